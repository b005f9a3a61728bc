"""Driving data: the last trip, and the sums of the day and since filling up, judged by the trips that a car has reported.

Source: the tables of what a car reports of the domain description. Figures marked ours there are in the words of the checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleet.checks.cars import Cars
from fleet.checks.check import UNTOLD, Check, Handlers, is_first, is_wiped
from fleet.kernel.instants import HOUR, Instant, format_instant
from fleet.observe.journal import Begin, Output

TRIP_ROUNDED: Final = 0.011
LONGEST_DAY: Final = 25 * HOUR
SUMMED: Final = frozenset({"distance_km", "duration_min", "fuel_l", "energy_kwh"})


class DrivingDataAgrees(Check):
    """The last trip of a status is the last that was reported, and adds up with the others of its day and since filling up.

    A trip belongs to the day on which it began (ours); which that is the record says. Filling up begins the long record anew, and
    in an electric car so does its plug. A reset wipes them all.
    """

    name = "driving data"
    rule = "driving data are the last trip, and the sums of the day's and of those since filling up"
    looks_at = "statuses at engine off with driving data"

    def __init__(self, begin: Begin, cars: Cars) -> None:
        """Take what is known of the cars."""
        super().__init__(begin)
        self._cars = cars
        self._trips: dict[str, dict[str, Any]] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._filled: set[str] = set()
        self._mileage: dict[str, float] = {}
        self._wiped: dict[str, float | None] = {}
        """The odometer in the last status before a reset: while it shows that, no trip has come since."""
        self._parked_at: dict[str, Instant] = {}

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Event"): self._event, ("out", "Transmit", "Status"): self._status}

    def forget(self, machine: str) -> None:
        """Forget the trips, which a silent car does not report; a reset has wiped all as long as the odometer stands still."""
        self._trips.pop(machine, None)
        self._told.pop(machine, None)
        self._parked_at.pop(machine, None)
        self._filled.discard(machine)

    def _later(self, machine: str, driving: Mapping[str, Any], now: Instant, line: int) -> None:
        """A day's record ends at midnight, with the clock's change a day and an hour at most after the car was parked."""
        parked_at = self._parked_at.get(machine)
        if parked_at is None:
            return
        self.looked_at += 1
        if driving.get("today") is not None and now > parked_at + LONGEST_DAY:
            told = f"the record of {driving['today']['day']} is told at {format_instant(now)}"
            self.breach(line, machine, f"{told}, though the car has stood for more than a day")

    def _event(self, record: Output, _line: int) -> None:
        message = record.data["message"]
        if not is_first(record):
            return
        if message["name"] == "trip":
            self._trips[record.m] = message["data"]
            self._wiped.pop(record.m, None)
        elif message["name"] == "refuelled":
            self._filled.add(record.m)
        elif message["name"] in UNTOLD:
            self._told.pop(record.m, None)
            self._parked_at.pop(record.m, None)
            if is_wiped(message):
                self._trips.pop(record.m, None)
                self._wiped[record.m] = self._mileage.get(record.m)

    def _status(self, record: Output, line: int) -> None:
        message = record.data["message"]
        driving, car = message.get("driving"), self._cars.of(record.m)
        if not is_first(record):
            return
        mileage_km = message.get("mileage_km", self._mileage.get(record.m))
        if mileage_km is not None:
            self._mileage[record.m] = mileage_km
        if driving is None:
            return
        # A car that is not paired tells no trip, and may have ended one before it moved.
        moved = driving.get("last_trip") is None or driving["last_trip"]["distance_km"] > 0
        if mileage_km is not None and mileage_km == self._wiped.get(record.m) and moved:
            self.breach(line, record.m, "driving data are told, though a reset has wiped them and no trip came since")
        if message["trigger"] != "engine_off":
            self._later(record.m, driving, message["captured_at"], line)
            return
        self._parked_at[record.m] = message["captured_at"]
        trip, before = self._trips.pop(record.m, None), self._told.get(record.m)
        self._told[record.m] = driving
        filled = record.m in self._filled
        self._filled.discard(record.m)
        if trip is None or not car.follows(message):
            return
        self.looked_at += 1
        if any(driving["last_trip"].get(key) != trip.get(key) for key in driving["last_trip"]):
            self.breach(line, record.m, f"the last trip is {driving['last_trip']}, but {trip} was told")
        if before is None:
            return
        same_day = before.get("today", {}).get("day") == driving["today"]["day"]
        for told in _sums(driving["today"], before["today"] if same_day else None, trip, anew=not same_day):
            self.breach(line, record.m, f"of the day {told}")
        so_far = None if filled else before.get("since_filled")  # a record that was empty begins with this trip
        for told in _sums(driving["since_filled"], so_far, trip, anew=so_far is None or "fuel_l" not in trip):
            self.breach(line, record.m, f"since filling up {told}")


def _sums(told: Mapping[str, Any], so_far: Mapping[str, Any] | None, trip: Mapping[str, Any], *, anew: bool) -> Iterator[str]:
    """Yield what is neither the sum with what was reported before nor, where a record may begin `anew`, the trip alone."""
    for key in sorted(SUMMED & trip.keys()):
        possible = [trip[key]] if anew else []
        if so_far is not None:
            possible.append(so_far[key] + trip[key])
        if not any(abs(told[key] - each) <= TRIP_ROUNDED for each in possible):
            yield f"{key} is {told[key]}, expected {' or '.join(f'{each:.3f}' for each in possible)}"
