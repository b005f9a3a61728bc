"""The driver: home, work place and the trips that a day brings.

Everything follows from (key, day) alone, so one day or one driver more changes no other. Knows places and roads,
but no car: how much fuel is left or what the modem does is not the driver's business.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Final, Literal, get_args
from zoneinfo import ZoneInfo

from fleet.errors import UnknownName
from fleet.kernel.draws import Draws
from fleet.kernel.instants import DAY, MINUTE, SECOND, Instant, from_datetime, to_datetime
from fleet.vehicle.geo import DETOUR_MEAN, distance_m
from fleet.vehicle.kinematics import longest_drive
from fleet.vehicle.region import GARAGE_SHARE, Place, Region

Profile = Literal["commuter", "errands", "courier", "weekend", "parked"]
PROFILES: Final[tuple[Profile, ...]] = get_args(Profile)
Purpose = Literal["work", "errand", "delivery", "home"]

COMMUTER_SHARE: Final = 0.4
"""Private drivers who go to work by car (ours); the others run errands. Only these two make up the published mixture."""

TRIPS_WEEKDAY: Final = {0: 0.354, 2: 0.299, 3: 0.083, 4: 0.125, 5: 0.139}
"""Trips a car makes on a working day (MiD 2017 via emobpy 0.6.2)."""
TRIPS_WEEKEND: Final = {0: 0.507, 2: 0.228, 3: 0.063, 4: 0.096, 5: 0.106}
"""The share of 0 from the same source; the others in the proportions of a working day (ours)."""
_TRIPS_WEEKEND_ONLY: Final = {0: 0.1, 2: 0.45, 3: 0.15, 4: 0.2, 5: 0.1}
_TRIPS_HARDLY: Final = {0: 0.95, 2: 0.05}

LENGTHS_KM: Final = ((0.6, 0.0), (5.0, 0.38), (10.0, 0.70), (20.0, 0.84), (50.0, 0.96))
"""Trip lengths: (km, share of the trips up to it), MiD 2017 via emobpy; even between them, and at least 0.6 km (ours)."""
_TAIL_MEAN_KM: Final = 180.0
"""Beyond 50 km: exponential and cut off, so that the mean over all trips is about 15 km (ours)."""
_LONGEST_KM: Final = {2: 300.0, 3: 250.0, 4: 250.0, 5: 250.0}
"""By the number of trips of the day: all of them fit into it (ours)."""
_LONGEST_COMMUTE_KM: Final = 100.0

_TO_WORK: Final = (0,) * 5 + (4, 24, 36, 26, 10) + (0,) * 14
_FROM_WORK: Final = (0,) * 14 + (10, 20, 30, 30, 10) + (0,) * 5
_AFTER_WORK: Final = (0,) * 16 + (10, 20, 20, 20, 15, 10, 5) + (0,)
_ERRANDS: Final = (0.7,) * 6 + (1.9,) * 3 + (9.2,) * 5 + (7.4,) * 3 + (6.9,) * 3 + (2.4,) * 3 + (0.9,)
"""The rest of the published hours when the commuters' trips are taken out (fitted; ours)."""
_WEEKEND: Final = (0.4,) * 6 + (1.5,) * 3 + (8.0,) * 5 + (8.0,) * 3 + (7.0,) * 3 + (3.0,) * 3 + (0.8,)
"""Hours of Saturdays and Sundays: later than on working days (ours)."""

SHORTEST_STAY: Final = 10 * MINUTE
"""Between an arrival and the next departure (ours); a courier's stops take 3 to 8 minutes."""


def _cumulative(weights: tuple[float, ...]) -> tuple[float, ...]:
    total = sum(weights)
    return tuple(weight / total for weight in accumulate(weights))


_HOURS: Final = {
    name: _cumulative(weights)
    for name, weights in {
        "to_work": _TO_WORK,
        "from_work": _FROM_WORK,
        "after_work": _AFTER_WORK,
        "errands": _ERRANDS,
        "weekend": _WEEKEND,
    }.items()
}


@dataclass(frozen=True, slots=True)
class PlannedTrip:
    """A trip the driver means to make: when it starts (µs UTC), where it leads, and what for.

    It starts where the trip before it ended, the day's first one at home.
    """

    departure: Instant
    destination: Place
    purpose: Purpose


class Driver:
    """The driver of one car. Plans a day at a time, from nothing but the key and the date."""

    __slots__ = ("garage_share", "home", "key", "profile", "region", "work")

    def __init__(
        self,
        key: int,
        region: Region,
        *,
        home: Place,
        work: Place,
        profile: Profile,
        garage_share: float = GARAGE_SHARE,
    ) -> None:
        """Take what `draw_driver` draws; `garage_share` is the share of destinations without coverage."""
        self.key: Final = key
        self.region: Final = region
        self.home: Final = home
        self.work: Final = work
        self.profile: Final[Profile] = profile
        self.garage_share: Final = garage_share

    def local_date(self, now: Instant) -> date:
        """Return the date where the driver lives."""
        return date.fromordinal(_local_ordinal(self.region.zone, now))

    def next_midnight(self, now: Instant) -> Instant:
        """Return the instant at which the driver's next day begins."""
        return _local_day(self.region.zone, _local_ordinal(self.region.zone, now))[1]

    def plan_day(self, day: date) -> tuple[PlannedTrip, ...]:
        """Return the trips of a local date, in their order: from home and, last of all, home again.

        Each departs after the one before it has arrived, however slowly it was driven, and the last arrives before
        midnight. Number, lengths and hours: see the tables above (MiD 2017 via emobpy); places are chained (ours).
        """
        if self.profile == "parked":
            return ()
        ordinal = day.toordinal()
        draws = Draws(self.key, "day", ordinal)
        is_weekend = ordinal % 7 in {6, 0}
        if self.profile == "courier":
            return () if ordinal % 7 == 0 else self._courier_day(draws, ordinal)
        count = _draw_count(draws, self.profile, is_weekend=is_weekend)
        if count == 0:
            return ()
        goes_to_work = self.profile == "commuter" and not is_weekend
        stops = self._draw_stops(draws, count, goes_to_work=goes_to_work)
        if goes_to_work:
            hours = ["to_work", "from_work", *["after_work"] * (count - 2)]
        else:
            hours = ["weekend" if is_weekend else "errands"] * count
        starts = [_draw_second(draws, name) for name in hours]
        starts[2 if goes_to_work else 0 :] = sorted(starts[2 if goes_to_work else 0 :])
        departures = self._feasible([_utc(self.region.zone, ordinal, second) for second in starts], stops, ordinal)
        return tuple(PlannedTrip(departure, stop, self._purpose(stop)) for departure, stop in zip(departures, stops, strict=True))

    def _purpose(self, stop: Place) -> Purpose:
        if stop is self.home:
            return "home"
        return "work" if stop is self.work else "errand"

    def _draw_stops(self, draws: Draws, count: int, *, goes_to_work: bool) -> list[Place]:
        """Return the destinations of a day's trips: tours of two or three trips that begin and end at home."""
        longest_km = _LONGEST_KM[count]
        stops: list[Place] = []
        for length in {2: (2,), 3: (3,), 4: (2, 2), 5: (3, 2)}[count]:
            if goes_to_work and not stops:
                first = self.work
                first_km = distance_m(*self.home.position, *first.position) * DETOUR_MEAN / 1000.0
            else:
                first_km = draw_length_km(draws, longest_km)
                first = self.region.draw_destination(draws, self.home, first_km, "errand", self.garage_share)
            stops.append(first)
            if length == 3:
                stops.append(self._second_stop(draws, first, first_km, longest_km))
            stops.append(self.home)
        return stops

    def _second_stop(self, draws: Draws, first: Place, first_km: float, longest_km: float) -> Place:
        """Return the stop between `first` and home, so that all three trips have lengths of the distribution.

        Two draws give three sides. The way home is as long as the way out, unless the middle would be too long for a
        triangle: then one of the two lengths is used twice, each as often, which keeps the mixture.
        """
        onward_km = home_km = draw_length_km(draws, longest_km)
        bits = draws.bits()
        if onward_km <= 1.9 * first_km:
            home_km = first_km
        elif bits & 1:
            onward_km = home_km = first_km
        garage = draws.chance(self.garage_share)
        scale = 1000.0 / DETOUR_MEAN
        return self.region.place_beyond(self.home, first, home_km * scale, onward_km * scale, left=bool(bits & 2), garage=garage)

    def _courier_day(self, draws: Draws, ordinal: int) -> tuple[PlannedTrip, ...]:
        """Return a working day of 10 to 25 deliveries a few kilometres apart, between about 8 and 18 h (ours)."""
        zone = self.region.zone
        departure = _utc(zone, ordinal, 8 * 3600 + draws.integer(0, 3600))
        closing = _utc(zone, ordinal, 17 * 3600)
        place = self.home
        trips: list[PlannedTrip] = []
        for _ in range(draws.integer(10, 25)):
            stop = self.region.draw_destination(draws, place, 1.0 + draws.exponential(2.5), "delivery", self.garage_share)
            trips.append(PlannedTrip(departure, stop, "delivery"))
            stay = int(draws.uniform(3 * MINUTE, 8 * MINUTE))
            departure += longest_drive(distance_m(*place.position, *stop.position)) + stay
            place = stop
            if departure > closing:
                break
        trips.append(PlannedTrip(departure, self.home, "home"))
        return tuple(trips)

    def _feasible(self, wanted: list[Instant], stops: list[Place], ordinal: int) -> list[Instant]:
        """Move departures apart where a drive would not be over, and forward where the day would not suffice."""
        before, place = None, self.home
        take = 0
        takes = []
        for stop in stops:
            if stop is not before:  # else it takes as long as the way there
                take = longest_drive(distance_m(*place.position, *stop.position)) + SHORTEST_STAY
            takes.append(take)
            before, place = place, stop
        departures: list[Instant] = []
        earliest = wanted[0]
        for want, take in zip(wanted, takes, strict=True):
            departures.append(max(want, earliest))
            earliest = departures[-1] + take
        latest = _local_day(self.region.zone, ordinal)[1]
        for index in range(len(departures) - 1, -1, -1):
            latest -= takes[index]
            if departures[index] <= latest:
                break
            departures[index] = latest
        return departures


def draw_driver(key: int, region: Region, profile: str | None = None, *, garage_share: float = GARAGE_SHARE) -> Driver:
    """Draw a driver: home, work place and, unless it is given, the profile (commuter or errands).

    Raises UnknownName for a profile that does not exist.
    """
    draws = Draws(key, "driver")
    drawn: Profile = "commuter" if draws.chance(COMMUTER_SHARE) else "errands"
    home = region.draw_home(draws, garage_share)
    work = region.draw_destination(draws, home, draw_length_km(draws, _LONGEST_COMMUTE_KM), "work", garage_share)
    if profile is not None:
        for known in PROFILES:
            if known == profile:
                drawn = known
                break
        else:
            raise UnknownName("driver profile", profile, PROFILES)
    return Driver(key, region, home=home, work=work, profile=drawn, garage_share=garage_share)


def draw_length_km(draws: Draws, longest_km: float) -> float:
    """Draw the length of a trip on the road in km, at most `longest_km` (≥ 50); see LENGTHS_KM."""
    point = draws.unit()
    low_km, low = LENGTHS_KM[0]
    for high_km, high in LENGTHS_KM[1:]:
        if point < high:
            return low_km + (high_km - low_km) * (point - low) / (high - low)
        low_km, low = high_km, high
    share = (point - low) / (1.0 - low)
    return low_km - _TAIL_MEAN_KM * math.log(1.0 - share * (1.0 - math.exp((low_km - longest_km) / _TAIL_MEAN_KM)))


def _draw_count(draws: Draws, profile: Profile, *, is_weekend: bool) -> int:
    if profile == "weekend":
        table = _TRIPS_WEEKEND_ONLY if is_weekend else _TRIPS_HARDLY
    else:
        table = TRIPS_WEEKEND if is_weekend else TRIPS_WEEKDAY
    point = draws.unit()
    for count, share in table.items():
        point -= share
        if point < 0.0:
            return count
    return 0


def _draw_second(draws: Draws, hours: str) -> int:
    """Draw a second of the day by one of the hour tables."""
    hour = min(bisect_right(_HOURS[hours], draws.unit()), 23)
    return hour * 3600 + draws.bits() % 3600


# --- local time

_FIRST_DAY: Final = date(1970, 1, 1).toordinal()


@lru_cache(maxsize=256)
def _local_day(zone: ZoneInfo, ordinal: int) -> tuple[Instant, Instant, bool]:
    """Return the instants at which a local date begins and ends, and whether the clocks stay as they are."""
    day = date.fromordinal(ordinal)
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    begin, end = from_datetime(midnight), from_datetime(midnight + timedelta(days=1))
    return begin, end, end - begin == DAY


def _local_ordinal(zone: ZoneInfo, now: Instant) -> int:
    """Return the number of the local date."""
    ordinal = _FIRST_DAY + now // DAY  # the date in UTC
    begin, end, is_plain = _local_day(zone, ordinal)
    if now >= end:
        ordinal += 1
        begin, end, is_plain = _local_day(zone, ordinal)
    if is_plain and begin <= now < end:
        return ordinal
    return to_datetime(now).astimezone(zone).toordinal()  # clocks change that day, or the zone is west of Greenwich


def _utc(zone: ZoneInfo, ordinal: int, second: int) -> Instant:
    """Convert a local wall time; one that the clocks jump over counts on, of one that comes twice the first is meant."""
    begin, _, is_plain = _local_day(zone, ordinal)
    if is_plain:
        return begin + second * SECOND
    day = date.fromordinal(ordinal)
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    return from_datetime(midnight + timedelta(seconds=second))
