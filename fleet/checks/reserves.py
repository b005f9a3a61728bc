"""The reserve that a car's traction battery keeps, by what was set in it: 20 to 50 % of the charge, 20 % otherwise (ours)."""

from __future__ import annotations

from typing import Any, Final

from fleet.checks.check import Handlers, is_first, is_wiped
from fleet.kernel.instants import Instant
from fleet.observe.journal import Input, Output

LEAST_CHARGE_PERCENT: Final = 20.0
"""What climatisation leaves without a plug in any car."""
HIGHEST_RESERVE_PERCENT: Final = 50.0
KEPT: Final = 64


class Reserves:
    """The reserves of all cars, in percent, with the instants since which they hold."""

    def __init__(self) -> None:
        self._since: dict[str, list[tuple[Instant, float]]] = {}

    def handlers(self) -> Handlers:
        """Return what takes which records."""
        return {("in", "SetBatteryProtection"): self._sets, ("out", "Transmit", "Event"): self._tells}

    def _sets(self, record: Input, _line: int) -> None:
        percent = round(record.data["reserve"] * 100, 6)
        if LEAST_CHARGE_PERCENT <= percent <= HIGHEST_RESERVE_PERCENT:
            self._set(record.m, record.t, percent if record.data["on"] else LEAST_CHARGE_PERCENT)

    def _tells(self, record: Output, _line: int) -> None:
        message: dict[str, Any] = record.data["message"]
        if is_wiped(message) and is_first(record):
            self._set(record.m, message["captured_at"], LEAST_CHARGE_PERCENT)

    def _set(self, machine: str, at: Instant, percent: float) -> None:
        changes = self._since.setdefault(machine, [])
        changes.append((at, percent))
        changes.sort(key=lambda change: change[0])  # a reset may be told late
        del changes[:-KEPT]

    def at(self, machine: str, instant: Instant) -> float | None:
        """Return the reserve at an instant; None at one at which it was set, before or after what happened there."""
        changes = self._since.get(machine, ())
        if any(since == instant for since, _ in changes):
            return None
        return self._before(machine, instant)

    def lowest(self, machine: str, begin: Instant, end: Instant) -> float:
        """Return the lowest reserve that held at any time between two instants."""
        within = [percent for since, percent in self._since.get(machine, ()) if begin <= since <= end]
        return min([self._before(machine, begin), *within])

    def _before(self, machine: str, instant: Instant) -> float:
        before = [percent for since, percent in self._since.get(machine, ()) if since < instant]
        return before[-1] if before else LEAST_CHARGE_PERCENT
