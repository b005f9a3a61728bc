"""What a person sees while a fleet runs: who sent a command makes no difference to it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from fleet.runtime.view import LiveView, PlainView

SIMULATOR: dict[str, Any] = {
    "scenario_time": "2026-03-02T05:00:00.000000Z", "elapsed_share": 0.5, "states": {"parked": 3}, "connections": {"online": 3},
    "account": {"created": 9, "acknowledged": 8, "in_outbox": 1}, "commands": {"succeeded": 2, "rejected(busy)": 1},
    "commands_waiting": 4, "publish_to_ack_ms": {}, "round_trip_ms": {}, "behind_ms": 0.0, "warnings": {},
}  # fmt: skip
BACKEND: dict[str, Any] = {
    "stored": 7, "commands_ended": {"succeeded": {"": 5}, "rejected": {"busy": 1, "too_far": 2}}, "commands_open": 6,
    "warnings": (),
}  # fmt: skip


def seen(view: type[LiveView | PlainView], backend: dict[str, Any]) -> str:
    """Return what stands on the screen, its blanks made one."""
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    shown = view(console)
    if isinstance(shown, LiveView):
        console.print(shown.draw(SIMULATOR, backend))
    else:
        shown.update(SIMULATOR, backend)
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


@pytest.mark.parametrize(
    ("view", "told"),
    [
        (LiveView, "commands 1 rejected(busy) 2 rejected(too_far) 5 succeeded 6 under way"),
        (PlainView, "stored 7 (0/s) commands 8 "),
    ],
)
def test_all_commands_that_the_desk_has_seen(view: type[LiveView | PlainView], told: str) -> None:
    """Those of `fleet command` and of services, too, which no user of the scenario has sent."""
    assert told in seen(view, BACKEND)


@pytest.mark.parametrize(
    ("view", "told"),
    [(LiveView, "commands 1 rejected(busy) 2 succeeded 4 under way"), (PlainView, "acknowledged 8 (0/s) commands 3 ")],
)
def test_without_a_back_end_those_of_the_users(view: type[LiveView | PlainView], told: str) -> None:
    assert told in seen(view, {})


# --- changes only


class Watch:
    """A plain view whose clock the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr("fleet.runtime.view.time.monotonic", lambda: self.now_s)
        self._file = io.StringIO()
        self.view = PlainView(Console(file=self._file, width=200, force_terminal=False))

    def pass_for(self, seconds: int, *, waits: tuple[str, str] = ("", ""), **changes: Any) -> list[str]:
        """Show the same each second, and return what is printed meanwhile."""
        before = len(self._file.getvalue())
        for _ in range(seconds):
            self.now_s += 1
            self.view.update(SIMULATOR | changes, BACKEND)
            self.view.waits(*waits)
        return self._file.getvalue()[before:].splitlines()


def test_what_does_not_change_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line when something has changed, and once a minute that it is still there; scenario time alone is no change."""
    watch = Watch(monkeypatch)
    assert len(watch.pass_for(30)) == 1
    assert len(watch.pass_for(40)) == 1
    assert len(watch.pass_for(6, elapsed_share=0.6)) == 1


def test_a_warning_is_told_once_and_when_there_are_twice_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    watch.pass_for(6)
    told = [line for count in range(1, 41) for line in watch.pass_for(6, warnings={"ConnectionLost": count})]
    assert [line.strip() for line in told if "warning" in line] == [
        f"warning: ConnectionLost ({count})" for count in (1, 2, 4, 8, 16, 32)
    ]
    assert watch.pass_for(12, warnings={"ConnectionLost": 41}) == []


def test_what_is_waited_for_is_told_with_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it has lasted five seconds, when it has changed, and each time it has lasted twice as long."""
    watch = Watch(monkeypatch)
    watch.pass_for(6)
    commands = ("the outcome of commands", "2: lock of A; honk of B")
    assert watch.pass_for(4, waits=commands) == []
    told = watch.pass_for(40, waits=commands)
    assert [line.strip() for line in told] == [
        f"waiting for the outcome of commands ({seconds} s): 2: lock of A; honk of B" for seconds in (5, 10, 20, 40)
    ]
    (changed,) = watch.pass_for(8, waits=(commands[0], "1: honk of B"))
    assert changed.endswith("1: honk of B")
    told = [*watch.pass_for(4), *watch.pass_for(4, waits=commands)]
    assert not [line for line in told if "waiting" in line], "another wait begins anew"
