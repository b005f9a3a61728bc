"""Health reports and wear, judged by what a car has said of its faults, services and AdBlue.

Source: the tables of what a car reports of the domain description. Figures marked ours there are in the words of the checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleet.checks.cars import Cars
from fleet.checks.check import UNTOLD, Check, Handlers, is_first
from fleet.observe.journal import Begin, Output

FIRST_REPORT_KM: Final = 20.0
ROUNDED_KM: Final = 0.06
_ADBLUE: Final = ("low", "very_low", "critical", "empty")


class _Known:
    """The wear and the health reports of one car."""

    __slots__ = ("adblue", "driven_km", "due", "due_before", "faults", "has_report", "since", "whole")

    def __init__(self) -> None:
        self.faults: set[str] = set()
        self.due: set[str] = set()
        self.due_before: dict[str, bool] = {}
        """Whether each service was due already in the first status that has it."""
        self.adblue = -1
        self.since = 0
        self.driven_km = 0.0
        self.has_report = False
        self.whole = True


class WearTold(Check):
    """A fault is reported when it comes and not again before it is mended, and stands in every report made in between.

    So are services that come due. AdBlue warnings come in their order, each once, until AdBlue is filled in. The first health
    report comes after 20 km with an engine off, or with a refresh while the engine runs; a later one is never older.
    """

    name = "wear"
    rule = "faults, services and AdBlue are told once each and reports have them; the first comes after 20 km, none gets older"
    looks_at = "events of wear, and health reports"

    def __init__(self, begin: Begin, cars: Cars) -> None:
        """Take what is known of the cars."""
        super().__init__(begin)
        self._cars = cars
        self._known: dict[str, _Known] = {}
        self._newest: dict[str, int] = {}

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Event"): self._event, ("out", "Transmit", "Status"): self._status}

    def forget(self, machine: str) -> None:
        """Forget faults and distance, which a silent car does not report."""
        super().forget(machine)
        self._known[machine] = _Known()
        self._known[machine].whole = False

    def _of(self, record: Output) -> _Known:
        known = self._known.get(record.m)
        if known is None:
            known = self._known[record.m] = _Known()
            car = self._cars.of(record.m)
            known.whole = car.follows(record.data["message"])
        return known

    def _event(self, record: Output, line: int) -> None:
        if not is_first(record):
            return
        known, message = self._of(record), record.data["message"]
        data = message.get("data", {})
        told = ""
        match message["name"]:
            case "fault":
                told = f"the fault {data['id']} is told again" if data["id"] in known.faults else ""
                known.faults.add(data["id"])
                known.since = message["captured_at"]
            case "service_due":
                told = f"{data['service']} is told to be due again" if data["service"] in known.due else ""
                if data["left_km"] > ROUNDED_KM and data["left_days"] > 0:
                    told = f"{data['service']} is told to be due {data['left_km']} km and {data['left_days']} days ahead"
                known.due.add(data["service"])
            case "serviced":
                missing = known.faults - set(data["faults"])
                told = f"the workshop left {', '.join(sorted(missing))}" if missing else ""
                known.faults.clear()
                known.due -= set(data["services"])
                known.due_before |= dict.fromkeys(data["services"], False)
                known.since = message["captured_at"]
            case "adblue_warning":
                step = _ADBLUE.index(data["warning"])
                if step <= known.adblue:
                    told = f"the warning {data['warning']} comes after {_ADBLUE[known.adblue]}"
                known.adblue = step
            case "refuelled" if "adblue_l" in data:
                known.adblue = -1
            case "trip":
                known.driven_km += data["distance_km"]
            case name if name in UNTOLD:
                known.whole = False
                known.faults.clear()
                known.due.clear()
                known.due_before.clear()
                known.adblue = -1
            case _:
                return
        self.looked_at += message["name"] in {"fault", "service_due", "serviced", "adblue_warning"}
        if told:
            self.breach(line, record.m, told)

    def _status(self, record: Output, line: int) -> None:
        message, machine = record.data["message"], record.m
        report = message.get("health")
        if not is_first(record):
            return
        for told in _untold(self._of(record), message):
            self.breach(line, machine, told)
        running = message["state"] != "parked"
        if report is None:
            if message["trigger"] == "refresh" and running:
                self.breach(line, machine, "a refresh with the engine running brings no health report")
            return
        self.looked_at += 1
        known, at = self._of(record), report["reported_at"]
        if at < self._newest.get(machine, 0) or at > message["captured_at"]:
            self.breach(line, machine, "the health report is older than one before it, or newer than its status")
        self._newest[machine] = at
        if message["trigger"] == "refresh" and running and at != message["captured_at"]:
            self.breach(line, machine, "a refresh with the engine running brings an old health report")
        if known.whole and not known.has_report and not running and known.driven_km < FIRST_REPORT_KM - ROUNDED_KM:
            self.breach(line, machine, f"the first health report comes after {known.driven_km:.1f} km")
        known.has_report = True
        lights = {light["id"] for light in report["warnings"]}
        if at > known.since and not known.faults <= lights:  # in one microsecond either may have been first
            self.breach(line, machine, f"the report lacks {', '.join(sorted(known.faults - lights))}")
        priorities = [light["priority"] for light in report["warnings"]]
        if priorities != sorted(priorities):
            self.breach(line, machine, "the warnings are not in the order of their priority")


def _untold(known: _Known, status: Mapping[str, Any]) -> Iterator[str]:
    """Yield what has come due on the way, or by time a day before, and has no event."""
    service = status.get("service", {})
    for name in ("inspection", "oil_change"):
        km, days = service.get(f"{name}_km"), service.get(f"{name}_days")
        if km is None or days is None:
            continue
        if name not in known.due_before:
            known.due_before[name] = km <= ROUNDED_KM or days <= 0
            continue
        is_overdue = status["trigger"] == "engine_off" and (km < -ROUNDED_KM or days < -1)
        if is_overdue and not known.due_before[name] and name not in known.due:
            yield f"{name} is {km} km and {days} days away, and was not told to be due"
