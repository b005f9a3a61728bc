"""Views of a running fleet: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Any, Final, Protocol

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PLAIN_EVERY_S: Final = 5.0
LIVE_AFTER_S: Final = 2.0
STILL_EVERY_S: Final = 60.0
"""After so long a plain line comes although nothing has changed."""


class View(Protocol):
    """Shows the newest progress of simulator and back end."""

    def __enter__(self) -> View: ...
    def __exit__(self, *_: object) -> None: ...
    def say(self, text: str) -> None: ...
    def update(self, simulator: dict[str, Any], backend: dict[str, Any]) -> None: ...
    def waits(self, what: str, detail: str = "") -> None:
        """Take what is waited for now, such as "the back end to connect", and which; "" for nothing. Call it every second."""
        ...


def make_view(console: Console) -> View:
    """Return the view that fits where the output goes."""
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else PlainView(console)


class _Rate:
    """Stored messages per second, from one look to the next."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._stored = 0
        self.per_s = 0.0

    def update(self, stored: int) -> float:
        now = time.monotonic()
        if now - self._at >= 0.4:
            self.per_s = (stored - self._stored) / (now - self._at)
            self._at, self._stored = now, stored
        return self.per_s


class _Wait:
    """How long the same thing has been waited for."""

    def __init__(self) -> None:
        self.what = ""
        self.detail = ""
        self._since = 0.0

    def look(self, what: str, detail: str) -> None:
        if what != self.what:
            self._since = time.monotonic()
        self.what, self.detail = what, detail

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._since if self.what else 0.0

    def __str__(self) -> str:
        return f"waiting for {self.what} ({self.seconds:.0f} s)" + (f": {self.detail}" if self.detail else "")


class PlainView:
    """A line every few seconds while something changes, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rate = _Rate()
        self._last = 0.0
        self._told: tuple[object, ...] = ()
        self._warned: dict[str, int] = {}
        self._wait = _Wait()
        self._told_wait = ("", "")
        self._told_wait_at = 0.0
        self._tell_again_s = PLAIN_EVERY_S

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, simulator: dict[str, Any], backend: dict[str, Any]) -> None:
        """Print a line when the last one is some seconds old and something has changed, and warnings that are new."""
        arrived, word = _arrived(simulator, backend)
        rate = self._rate.update(arrived)
        silent_s = time.monotonic() - self._last
        if silent_s < PLAIN_EVERY_S or not simulator:
            return
        connections, commands = simulator["connections"], sum(_commands(simulator, backend)[0].values())
        told = (f"{simulator['elapsed_share']:.0%}", dict(connections), arrived, commands)
        if told != self._told or silent_s >= STILL_EVERY_S:
            self._told, self._last = told, time.monotonic()
            self.say(
                f"{simulator['scenario_time'][:19]}Z  {simulator['elapsed_share']:4.0%}  "
                f"online {connections.get('online', 0)} asleep {connections.get('reachable', 0)} "
                f"offline {connections.get('offline', 0)}  {word} {arrived} ({rate:.0f}/s)  "
                f"commands {commands}  ack p99 {_ms(simulator['publish_to_ack_ms'], 'p99')}"
            )
        self._warn(simulator["warnings"])

    def _warn(self, warnings: dict[str, int]) -> None:
        """Tell a warning once, and again when there are twice as many of it."""
        for warning, count in warnings.items():
            if count >= max(1, 2 * self._warned.get(warning, 0)):
                self._warned[warning] = count
                self.say(f"  warning: {warning} ({count})")

    def waits(self, what: str, detail: str = "") -> None:
        """Tell what lasts, and again when it has changed or has lasted twice as long."""
        if what != self._wait.what:
            self._tell_again_s = PLAIN_EVERY_S
        self._wait.look(what, detail)
        lasts_s, now = self._wait.seconds, time.monotonic()
        is_news = (what, detail) != self._told_wait and now - self._told_wait_at >= PLAIN_EVERY_S
        if what and lasts_s >= PLAIN_EVERY_S and (is_news or lasts_s >= self._tell_again_s):
            self._tell_again_s = 2 * lasts_s
            self._told_wait, self._told_wait_at = (what, detail), now
            self.say(f"  {self._wait}")


class LiveView:
    """A table that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rate = _Rate()
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._wait = _Wait()
        self._drawn_from: tuple[dict[str, Any], dict[str, Any]] = ({}, {})

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, simulator: dict[str, Any], backend: dict[str, Any]) -> None:
        """Redraw."""
        self._drawn_from = simulator, backend
        self._live.update(self.draw(simulator, backend))

    def waits(self, what: str, detail: str = "") -> None:
        """Show it as soon as it lasts."""
        self._wait.look(what, detail)
        self._live.update(self.draw(*self._drawn_from))

    def draw(self, simulator: dict[str, Any], backend: dict[str, Any]) -> RenderableType:
        """Return the picture of this progress; without any of the simulator, the wait for it."""
        arrived, word = _arrived(simulator, backend)
        rate = self._rate.update(arrived)
        if not simulator:
            return Text(f"{self._wait} …" if self._wait.what else "connecting …")
        table = Table.grid(padding=(0, 3))
        table.add_column(style="bold")
        share = min(1.0, max(0.0, simulator["elapsed_share"]))
        table.add_row("progress", ProgressBar(total=1.0, completed=share, width=60))
        table.add_row("scenario time", simulator["scenario_time"][:19].replace("T", " ") + " UTC")
        table.add_row("cars", _counts(simulator["states"], ("parked", "ignition_on", "driving")))
        table.add_row("connection", _counts(simulator["connections"], ("online", "reachable", "offline")))
        account = simulator["account"]
        table.add_row(
            "messages",
            f"{account['created']} made   {arrived} {word} ({rate:.0f}/s)   {account['in_outbox']} in outboxes",
        )
        ended, under_way = _commands(simulator, backend)
        table.add_row("commands", _counts(ended) + f"   {under_way} under way")
        table.add_row("publish to ack", _percentiles(simulator["publish_to_ack_ms"]))
        table.add_row("command round trip", _percentiles(simulator["round_trip_ms"]))
        table.add_row("behind the clock", f"{simulator['behind_ms']} ms p99")
        for warning, count in simulator["warnings"].items():
            table.add_row(Text("warning", style="yellow"), f"{warning} ({count})")
        for warning in backend.get("warnings", ())[-3:]:
            table.add_row(Text("warning", style="yellow"), str(warning))
        if self._wait.seconds >= LIVE_AFTER_S:
            table.add_row("", Text(str(self._wait), style="yellow"))
        return table


def _arrived(simulator: dict[str, Any], backend: dict[str, Any]) -> tuple[int, str]:
    """Return how many messages have arrived, and where: at our back end, or else at the broker."""
    if backend:
        return backend.get("stored", 0), "stored"
    return (simulator["account"]["acknowledged"], "acknowledged") if simulator else (0, "stored")


def _commands(simulator: dict[str, Any], backend: dict[str, Any]) -> tuple[dict[str, int], int]:
    """Return how many commands have ended how, and how many have not: of all that our desk has seen, else of the users' own."""
    if not backend:
        return simulator["commands"], simulator["commands_waiting"]
    ended = {
        f"{state}({reason})" if reason else state: count
        for state, reasons in backend["commands_ended"].items()
        for reason, count in reasons.items()
    }
    return ended, backend["commands_open"]


def _counts(counts: dict[str, int], order: tuple[str, ...] = ()) -> str:
    names = [*order, *(name for name in sorted(counts) if name not in order)]
    return "   ".join(f"{counts.get(name, 0)} {name}" for name in names) or "none"


def _ms(figures: dict[str, float], name: str) -> str:
    return f"{figures[name]:.1f} ms" if name in figures else "–"


def _percentiles(figures: dict[str, float]) -> str:
    return f"p50 {_ms(figures, 'p50')}   p99 {_ms(figures, 'p99')}"


class NoView:
    """Shows nothing, for runs that are looked at afterwards."""

    def __enter__(self) -> NoView:
        return self

    def __exit__(self, *_: object) -> None:
        """End nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def update(self, simulator: dict[str, Any], backend: dict[str, Any]) -> None:
        """Show nothing."""

    def waits(self, what: str, detail: str = "") -> None:
        """Wait for nothing."""
