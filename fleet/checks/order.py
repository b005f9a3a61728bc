"""Whether anything is out of its order: lines of the file, time, the instants of measuring, the odometer, the tank."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.checks.check import Check, Handlers, is_first, is_priority
from fleet.kernel.instants import SECOND, Duration, Instant, format_instant
from fleet.observe.journal import NOT_YET, Begin, End, Gap, Input, Mark, Output, ReceivedFrame, Record
from fleet.observe.story import CAR


class LinesKept(Check):
    """The file has each line once, as it was written: none cut out of its middle, none added, none changed.

    Its marks tell. What was cut off at the end, as by a kill, is no breach: there the journal is incomplete.
    """

    name = "lines"
    rule = "every line is there once, as it was written"
    looks_at = "lines up to a mark"
    remembers = True

    def __init__(self, begin: Begin, gaps: Sequence[Gap]) -> None:
        """Take the gaps that the reader notes while it reads."""
        super().__init__(begin)
        self._gaps = gaps

    def handlers(self) -> Handlers:
        return {("mark",): self._marked, ("end",): self._marked}

    def _marked(self, record: Mark | End, line: int) -> None:
        if record.line is not None:
            self.looked_at = line

    def finish(self, end: End | None, line: int) -> None:  # noqa: ARG002 (each gap has its own line)
        for gap in self._gaps:
            self.breach(gap.line, "run", gap.finding, subject="the file")


class TimeRuns(Check):
    """Scenario time never runs back for a machine. What a back end does before it knows the time has none.

    Two machines may be a little apart: live the back end has its own clock. Where its clock is set, its time may jump once.
    Live a car is given what was due at its time, by a loop that may come to it a little late: up to a second of wall time.
    """

    name = "time"
    rule = "the time of a machine's records never runs back"
    looks_at = "records"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._latest: dict[str, Instant] = {}
        self._link_of_desk = "link/backend"
        self._late: Duration = _late(begin.clock)

    def handlers(self) -> Handlers:
        return {(): self._seen, ("received",): self._asked, ("in", "ClockChanged"): self._set}

    def _seen(self, record: Record, line: int) -> None:
        t, machine = record.t, record.m
        if t == NOT_YET or isinstance(record, Mark):  # which has the time of whatever machine was before it
            return
        if isinstance(record, Input) and record.type == "ClockChanged":
            return  # it has the time to come, which a simulator that was started anew begins anew
        self.looked_at += 1
        latest = self._latest.get(machine, t)
        if t >= latest:
            self._latest[machine] = t
        elif t < latest - (self._late if machine.startswith(CAR) else 0):
            self.breach(line, machine, f"expected no time before {format_instant(latest)}, but it is {format_instant(t)}")

    def _asked(self, record: ReceivedFrame, _line: int) -> None:
        """Learn the back end's link, which bears the name of its session: the one that gets what tools ask."""
        if record.topic.endswith("/desk/request"):
            self._link_of_desk = record.m

    def _set(self, _record: Record, _line: int) -> None:
        for machine in [machine for machine in self._latest if not machine.startswith((CAR, "link/"))]:
            del self._latest[machine]
        self._latest.pop(self._link_of_desk, None)


def _late(clock: str | None) -> Duration:
    """Return a second of wall time, in scenario time; nothing in a virtual run."""
    if clock == "virtual":
        return 0
    return int(float(clock.removeprefix("x")) * SECOND) if clock and clock.startswith("x") else SECOND


class CapturedInOrder(Check):
    """A car's messages are measured in the order of their numbers. Source: header of the contract.

    What overtakes is measured after messages that come later.
    """

    name = "captured_at"
    rule = "a car's later message is not measured before an earlier one"
    looks_at = "messages"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._latest: dict[str, Instant] = {}

    def handlers(self) -> Handlers:
        return {("out", "Transmit"): self._sent}

    def _sent(self, record: Output, line: int) -> None:
        if not is_first(record):
            return
        self.looked_at += 1
        at = record.data["message"]["captured_at"]
        latest = self._latest.get(record.m, 0)
        if at < latest:
            self.breach(line, record.m, f"expected captured_at from {format_instant(latest)} on, but it is {format_instant(at)}")
        elif not is_priority(record):
            self._latest[record.m] = at


class Odometer(Check):
    """The odometer never runs back, in the order of the car's messages."""

    name = "odometer"
    rule = "mileage_km never falls"
    looks_at = "statuses with mileage"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._highest_km: dict[str, float] = {}

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Status"): self._sent}

    def _sent(self, record: Output, line: int) -> None:
        mileage_km = record.data["message"].get("mileage_km")
        if mileage_km is None or not is_first(record):
            return
        self.looked_at += 1
        highest_km = self._highest_km.get(record.m, 0.0)
        if mileage_km < highest_km:
            self.breach(line, record.m, f"expected at least {highest_km} km, but the odometer shows {mileage_km} km")
        else:
            self._highest_km[record.m] = mileage_km


class Fuel(Check):
    """The tank is filled by a stop at a station alone, which the car tells as `refuelled`."""

    name = "fuel"
    rule = "fuel never rises without a refuelled event"
    looks_at = "statuses with fuel"

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._lowest_percent: dict[str, float] = {}

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Status"): self._status, ("out", "Transmit", "Event"): self._event}

    def _event(self, record: Output, _line: int) -> None:
        if record.data["message"]["name"] == "refuelled":
            self._lowest_percent.pop(record.m, None)

    def _status(self, record: Output, line: int) -> None:
        percent = record.data["message"].get("energy", {}).get("fuel_level_percent")
        if percent is None or not is_first(record):
            return
        self.looked_at += 1
        lowest = self._lowest_percent.get(record.m, percent)
        if percent > lowest:
            self.breach(line, record.m, f"expected at most {lowest} % of fuel without a refuelled event, but it is {percent} %")
        else:
            self._lowest_percent[record.m] = percent
