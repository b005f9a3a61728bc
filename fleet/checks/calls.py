"""Whether calls from cars get where they belong: an emergency call once and before all else, an information call without data.

Source: the events from the car of the domain description.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from typing import Any, Final

from fleet.checks.check import Check, Handlers, is_first, is_priority
from fleet.checks.geodesy import vincenty_m
from fleet.observe.journal import Begin, End, Input, Output, StoredBatch
from fleet.observe.story import CAR

RECENT: Final = 2
PASSENGERS_MOST: Final = 5
MOVED_M: Final = 60.0
"""A car that has come so far since the earliest of the positions drives in the direction of the call, give or take a corner."""
CORNER_DEG: Final = 100.0
DIAGNOSIS: Final = frozenset({"mileage_km", "warnings"})
"""The fields of a breakdown call in each privacy mode."""
REMEMBERED: Final = 1_000
INFO: Final = frozenset({"id", "registered_in"})
"""The fields that an information call may have."""


class EmergencyCalls(Check):
    """Each cause is one emergency call at most; one by hand is the next message that is sent for the first time.

    Each one that is stored goes to the emergency centre, once. What a back end decided and had not stored when it died, it
    decides again.
    """

    name = "emergency calls"
    rule = "an emergency call is sent before all else, and goes to the emergency centre exactly once"
    looks_at = "emergency calls"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._pressed: Counter[str] = Counter()
        self._crashed: Counter[str] = Counter()
        self._sent: dict[tuple[str, int, int], str] = {}
        self._stored: set[tuple[str, str]] = set()
        self._passed_on: Counter[tuple[str, str]] = Counter()

    def handlers(self) -> Handlers:
        return {
            ("in", "PressButton"): self._press,
            ("in", "Crash"): self._crash,
            ("out", "Transmit"): self._sends,
            ("stored",): self._stores,
            ("in", "DeskStart"): self._restarts,
            ("out", "Notify"): self._passes_on,
        }

    def _press(self, record: Input, _line: int) -> None:
        self._pressed[record.m] += record.data["name"] == "sos"

    def _crash(self, record: Input, _line: int) -> None:
        self._crashed[record.m] += 1

    def _sends(self, record: Output, line: int) -> None:
        if not is_first(record):
            return
        message, machine = record.data["message"], record.m
        if record.of != "Event" or message["name"] != "ecall":
            if self._pressed[machine] and not is_priority(record):
                self.breach(line, machine, f"{record.of} {message['seq']} is sent before the emergency call")
            return
        self.looked_at += 1
        self._sent[message["vin"], message["boot"], message["seq"]] = message["data"]["id"]
        for told in _incomplete(message) if self.begin.scenario is not None else ():  # one of ours has all of it
            self.breach(line, machine, told)
        causes = self._crashed if message["data"]["automatic"] else self._pressed
        if not causes[machine]:
            self.breach(line, machine, "an emergency call without a cause")
        else:
            causes[machine] -= 1

    def _stores(self, record: StoredBatch, _line: int) -> None:
        for vin, boot, seq, kind in record.messages:
            if kind == "event" and (vin, boot, seq) in self._sent:
                self._stored.add((vin, self._sent[vin, boot, seq]))

    def _restarts(self, _record: Input, _line: int) -> None:
        self._passed_on = Counter({call: count for call, count in self._passed_on.items() if call in self._stored})

    def _passes_on(self, record: Output, line: int) -> None:
        notice = record.data
        if notice["to"] != "emergency_centre":
            return
        call = (notice["vin"], notice["data"].get("id", ""))
        self._passed_on[call] += 1
        if self._passed_on[call] > 1:
            self.breach(line, CAR + notice["vin"], f"the emergency call {call[1]} is passed on a second time")

    def finish(self, end: End | None, line: int) -> None:
        """Look for calls that were stored and not passed on, where the records of the back end are there."""
        if end is None or "backend" not in self.begin.parts:
            return
        for vin, call in sorted(self._stored):
            if not self._passed_on[vin, call]:
                self.breach(line, CAR + vin, f"the emergency call {call} is stored, but nobody was told")


MINIMUM_SET: Final = (
    "id", "automatic", "test_call", "vin", "vehicle_type", "propulsion", "called_at", "position", "position_trusted",
    "recent_positions", "passengers",
)  # fmt: skip
"""The fields that an emergency call has at least, after EN 15722; a direction only of a car that has moved."""


def _incomplete(message: dict[str, Any]) -> list[str]:
    """Return what the minimum set of data lacks, or has wrong."""
    data = message["data"]
    missing = [name for name in MINIMUM_SET if name not in data]
    if missing:
        return [f"an emergency call lacks {', '.join(missing)}"]
    found = []
    if (data["vin"], data["called_at"]) != (message["vin"], message["captured_at"]):
        found.append(f"an emergency call of {message['vin']} is told as of {data['vin']}, made at {data['called_at']}")
    if len(data["recent_positions"]) != RECENT or not 1 <= data["passengers"] <= PASSENGERS_MOST:
        found.append(
            f"an emergency call has {len(data['recent_positions'])} earlier positions and {data['passengers']} passengers"
        )
    if bool(data["automatic"]) != ("sensor" in data):
        found.append("an emergency call is automatic exactly when a sensor has made it")
    if "direction_deg" in data and len(data["recent_positions"]) == RECENT:
        came_deg = _direction_deg(data["recent_positions"][-1], data["position"])
        if came_deg is not None and abs((data["direction_deg"] - came_deg + 180) % 360 - 180) > CORNER_DEG:
            found.append(f"an emergency call tells {data['direction_deg']}°, but the car has come by {came_deg:.0f}°")
    return found


def _direction_deg(since: dict[str, float], now: dict[str, float]) -> float | None:
    """Return the direction from one position to another, None when they are too near to tell."""
    one, other = (since["latitude"], since["longitude"]), (now["latitude"], now["longitude"])
    if vincenty_m(one, other) < MOVED_M:
        return None
    east = (other[1] - one[1]) * math.cos(math.radians(one[0]))
    return math.degrees(math.atan2(east, other[0] - one[0])) % 360


class BreakdownCalls(Check):
    """A breakdown call tells the mileage and the warning lights; all that it tells of the car is passed on."""

    name = "breakdown calls"
    rule = "a breakdown call has mileage and warning lights, and all that it tells goes to the breakdown centre"
    looks_at = "breakdown calls and what is passed on of them"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._told: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Event"): self._sends, ("out", "Notify"): self._passes_on}

    def _sends(self, record: Output, line: int) -> None:
        message = record.data["message"]
        if message["name"] != "breakdown_call" or not is_first(record):
            return
        self.looked_at += 1
        data = message["data"]
        if self.begin.scenario is not None and (lacking := DIAGNOSIS - data.keys()):
            self.breach(line, record.m, f"a breakdown call lacks {', '.join(sorted(lacking))}")
        self._told[message["vin"], data.get("id", "")] = data
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    def _passes_on(self, record: Output, line: int) -> None:
        notice = record.data
        told = self._told.get((notice["vin"], notice["data"].get("id", "")))
        if notice["to"] != "breakdown_centre" or told is None:
            return
        for key in sorted(DIAGNOSIS | {"position"}):
            if told.get(key) != notice["data"].get(key):
                self.breach(line, CAR + notice["vin"], f"a breakdown call tells {key}, which is not passed on as it is")


class InfoCalls(Check):
    """An information call tells who calls, and nothing of the car; nor does what is passed on."""

    name = "info calls"
    rule = "an information call has no position and no service data"
    looks_at = "information calls and what is passed on of them"
    remembers = True

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Event"): self._sends, ("out", "Notify"): self._passes_on}

    def _sends(self, record: Output, line: int) -> None:
        message = record.data["message"]
        if message["name"] == "info_call" and is_first(record):
            self._judge(message["data"], record.m, line)

    def _passes_on(self, record: Output, line: int) -> None:
        if record.data["to"] == "info_centre":
            self._judge(record.data["data"], CAR + record.data["vin"], line)

    def _judge(self, data: dict[str, Any], machine: str, line: int) -> None:
        self.looked_at += 1
        more = sorted(set(data) - INFO)
        if more:
            self.breach(line, machine, f"an information call tells {', '.join(more)}")
