"""A region: where drivers live and where they go, its time zone, its maps, and how warm it is there.

Which kinds of regions there are is in `town_region` and `place_region`, and which are shipped in `regions`.
"""

from __future__ import annotations

import abc
import math
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import DAY, HOUR, Instant
from fleet.vehicle.geo import LatLon, distance_m

PlaceKind = Literal["home", "work", "errand", "delivery", "petrol_station", "charging_station"]

GARAGE_SHARE: Final = 0.0
"""How many places are underground garages without coverage, unless the caller says (ours; a choice of the scenario)."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a car can be parked. `name` is the town it is in or near; in a `garage` there is no coverage."""

    latitude: float
    longitude: float
    name: str
    kind: PlaceKind = "errand"
    garage: bool = False

    @property
    def position(self) -> LatLon:
        """Latitude and longitude in degrees."""
        return self.latitude, self.longitude


class MapArea(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The area that the maps in a car cover: degrees, edges included; none of them crosses the date line."""

    south: float
    west: float
    north: float
    east: float


class Climate(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The air at the centre of a region in °C: the mean of the year, and how far summer and winter are from it."""

    mean_c: float
    swing_c: float = 10.0


class Region(abc.ABC):
    """Where drivers live and travel: a time zone, a country, maps, a climate, places that are drawn. Shared by all drivers."""

    __slots__ = ("_swing", "_warmer_c", "centre", "country", "limit_m", "maps", "name", "timezone", "weather_key", "zone")

    def __init__(
        self,
        name: str,
        *,
        timezone: str,
        country: str,
        maps: MapArea,
        centre: LatLon,
        limit_m: float,
        climate: Climate | None = None,
    ) -> None:
        """`limit_m` is how far a place may lie from the centre; without a climate it follows from the latitude."""
        self.name: Final = name
        self.country: Final = country
        self.timezone: Final = timezone
        self.zone: Final = ZoneInfo(timezone)
        self.weather_key: Final = stream_key(0, "weather", name)
        self.limit_m: Final = limit_m
        self.maps: Final = maps
        self.centre: Final = centre
        self._warmer_c: Final = climate.mean_c - mean_c(centre[0]) if climate is not None else 0.0
        self._swing: Final = climate.swing_c / SWING_C if climate is not None else 1.0

    def has_map(self, latitude: float, longitude: float) -> bool:
        """Tell whether cars that are sold here have map data there."""
        return self.maps.south <= latitude <= self.maps.north and self.maps.west <= longitude <= self.maps.east

    def contains(self, lat: float, lon: float) -> bool:
        """Tell whether a point is within the region's limit."""
        return distance_m(*self.centre, lat, lon) <= self.limit_m

    def ambient_c(self, latitude: float, instant: Instant) -> float:
        """Return the outside temperature in °C; all cars of the region share the weather."""
        return ambient_c(latitude, instant, self.weather_key, warmer_c=self._warmer_c, swing=self._swing)

    @abc.abstractmethod
    def draw_home(self, draws: Draws, garage_share: float = GARAGE_SHARE) -> Place:
        """Draw where a driver lives."""

    @abc.abstractmethod
    def draw_destination(
        self, draws: Draws, home: Place, road_km: float, kind: PlaceKind = "errand", garage_share: float = GARAGE_SHARE
    ) -> Place:
        """Draw where a drive of about `road_km` from `home` (any place of this region) leads."""

    @abc.abstractmethod
    def place_beyond(
        self,
        home: Place,
        via: Place,
        home_m: float,
        via_m: float,
        *,
        left: bool,
        kind: PlaceKind = "errand",
        garage: bool = False,
    ) -> Place:
        """Return a place about `home_m` from `home` and `via_m` from `via` in a straight line, left or right of their line."""

    def station_near(self, position: LatLon, kind: PlaceKind, within_m: float) -> Place | None:  # noqa: ARG002
        """Return the nearest station of a kind that the region knows within a distance; None: stations are along the roads."""
        return None


def mean_c(latitude: float) -> float:
    """Return the mean temperature of the year in °C: 9.7 °C at 48.1° and 0.75 °C more for each degree towards the equator."""
    return 9.7 + 0.75 * (48.1 - abs(latitude))


def ambient_c(latitude: float, instant: Instant, draws_key: int, *, warmer_c: float = 0.0, swing: float = 1.0) -> float:
    """Return the outside temperature in °C: a closed form of season, hour and the day's weather.

    The mean of the year and `warmer_c`, ±10 °C times `swing` over the year (coldest in mid January, south of the equator in
    mid July), ±4.5 °C over the day (warmest at 14 h UTC), and weather with a deviation of 3 °C that passes from one noon to
    the next (ours, after the climate of Munich and Madrid). Cars with the same `draws_key` share their weather.
    """
    yearly_c, daily_c = _air(instant, draws_key)
    yearly_c = (yearly_c if latitude >= 0.0 else -yearly_c) * swing
    return mean_c(latitude) + warmer_c - yearly_c + daily_c


SWING_C: Final = 10.0
"""How far the warmest and the coldest time of the year are from its mean, unless a region says otherwise."""
_NOON: Final = 12 * HOUR
_WARMEST: Final = 14 * HOUR


@lru_cache(maxsize=256)
def _air(instant: Instant, draws_key: int) -> tuple[float, float]:
    """Return what the year takes north of the equator, and what hour and weather add; the same for all who ask at an instant."""
    day, since_noon = divmod(instant - _NOON, DAY)
    season = math.tau * (instant / DAY - 15.0) / 365.2425
    time_of_day = since_noon + _NOON if since_noon < _NOON else since_noon - _NOON
    daily = math.cos(math.tau * (time_of_day - _WARMEST) / DAY)
    today_c, tomorrow_c = _weather_c(draws_key, day)
    return SWING_C * math.cos(season), 4.5 * daily + (today_c + (tomorrow_c - today_c) * since_noon / DAY)


@lru_cache(maxsize=1024)
def _weather_c(draws_key: int, day: int) -> tuple[float, float]:
    """Return what the weather adds at noon of a day and of the next."""
    return Draws(draws_key, "weather", day).normal(0.0, 3.0), Draws(draws_key, "weather", day + 1).normal(0.0, 3.0)
