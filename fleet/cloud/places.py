"""The world of the online services: places, hold-ups, distances, from places.toml and places.json. Pure lookups.

Knows no road: a way is the straight line times a detour, and its duration comes from its length (ours).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import HOUR, Instant, to_datetime

EARTH_M: Final = 6_371_000.0
MOST_FOUND: Final = 5
"""Places in one reply."""
DETOUR: Final = 1.3
"""A road is that many times as long as the straight line; road networks are commonly put at about this."""
SPEEDS: Final = ((5.0, 30.0), (20.0, 60.0), (math.inf, 100.0))
"""km from the start, and km/h up to there (ours)."""
ON_THE_WAY_KM: Final = 5.0
"""A hold-up is on the way when it is that near to the straight line (ours)."""
ALREADY_THERE_KM: Final = 0.1
BEND: Final = 0.06
"""How far the drawn way leaves the straight line, as a part of its length (ours)."""
_POINTS: Final = 8

Kind = Literal["queue", "roadworks", "accident"]
Position = tuple[float, float]


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all entries: a misspelt key is an error."""


class _Spot(_Data, frozen=True, kw_only=True):
    """Something at a place."""

    latitude: float
    longitude: float


class PetrolStation(_Spot, frozen=True, kw_only=True):
    """`petrol` and `diesel` are € a litre."""

    name: str
    brand: str
    hours: str
    petrol: float
    diesel: float


class ChargingStation(_Spot, frozen=True, kw_only=True):
    """`price` is € a kWh."""

    name: str
    operator: str
    power_kw: float
    plugs: tuple[Literal["type2", "ccs"], ...]
    points: int
    price: float


class CarPark(_Spot, frozen=True, kw_only=True):
    """`price` is € an hour."""

    name: str
    hours: str
    spaces: int
    price: float


class Incident(_Spot, frozen=True, kw_only=True):
    """A hold-up in these local hours of these days (0 is Monday)."""

    road: str
    near: str
    kind: Kind
    from_h: int
    to_h: int
    days: tuple[int, ...]
    length_km: float
    delay_min: float


class _Area(_Data, frozen=True, kw_only=True):
    south: float
    west: float
    north: float
    east: float


class MapRegion(_Data, frozen=True, kw_only=True):
    """The places of one part of the world."""

    timezone: str
    country: str
    maps: _Area
    petrol: tuple[PetrolStation, ...]
    charging: tuple[ChargingStation, ...]
    parking: tuple[CarPark, ...]
    incidents: tuple[Incident, ...]

    def holds(self, position: Position) -> bool:
        """Tell whether the maps of this region have the position."""
        maps = self.maps
        return maps.south <= position[0] <= maps.north and maps.west <= position[1] <= maps.east


class Offer(_Data, frozen=True, kw_only=True):
    """An offer of the store: a licence for a product (`people/products.toml`), active for `months`."""

    product: str
    price_cents: int
    months: int

    @property
    def price_eur(self) -> float:
        """The price in €."""
        return self.price_cents / 100


class Sanctioned(_Data, frozen=True, kw_only=True):
    """Somebody with whom nobody may trade; `born` is "" where it is not known, and for companies. `also`: other names."""

    name: str
    born: str = ""
    also: tuple[str, ...] = ()


class WorldMap(_Data, frozen=True, kw_only=True):
    """All of places.toml, and the regions of places.json. `radio` has the kbit/s of each station."""

    regions: dict[str, MapRegion]
    store: dict[str, Offer]
    radio: dict[str, int]
    sanctions: tuple[Sanctioned, ...]

    def station(self, wanted: str, over: str) -> dict[str, Any] | None:
        """Return the first radio station whose name has these words, as a car plays it over data plan or phone; or None."""
        for name, kbit_s in self.radio.items():
            if wanted.lower() in name.lower():
                return {"station": name, "stream": f"radio/{name.lower().replace(' ', '-')}", "kbit_s": kbit_s, "over": over}
        return None

    def regions_at(self, position: Position) -> list[str]:
        """Return the regions whose maps have the position, the one with the nearest known place first."""
        found = [name for name, region in self.regions.items() if region.holds(position)]
        return sorted(found, key=lambda name: min(distance_km(position, _at(spot)) for spot in self.regions[name].petrol))


@cache
def load_world() -> WorldMap:
    """Return the data, from the package's own files."""
    folder = resources.files("fleet.cloud")
    world = msgspec.toml.decode(folder.joinpath("places.toml").read_text(encoding="utf-8"), type=WorldMap)
    cities = msgspec.json.decode(folder.joinpath("places.json").read_bytes(), type=dict[str, MapRegion])
    return msgspec.structs.replace(world, regions=world.regions | cities)


def _at(spot: _Spot) -> Position:
    return spot.latitude, spot.longitude


def distance_km(here: Position, there: Position) -> float:
    """Return the distance on a sphere: within 0.6 % of the geodesic."""
    (lat1, lon1), (lat2, lon2) = here, there
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    half = math.sin((phi2 - phi1) / 2) ** 2 + math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(half)) / 1000


def is_open(hours: str, minute: int) -> bool:
    """Tell whether `HH:MM-HH:MM` has a minute of the day; the end may lie after midnight."""
    begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in hours.split("-"))
    return begin <= minute < end if begin < end else minute >= begin or minute < end


def _minute(region: MapRegion, now: Instant) -> int:
    local = to_datetime(now).astimezone(ZoneInfo(region.timezone))
    return local.hour * 60 + local.minute


def _taken(name: str, capacity: int, now: Instant) -> int:
    """Return how much of a place is taken in this hour: a share of chance, the same for all who ask (ours)."""
    draws = Draws(stream_key(0, "places", name), "taken", now // HOUR)
    return min(capacity, int(draws.unit() * (capacity + 1)))


# --- places -----------------------------------------------------------------------------------------------------------


def _nearest(found: Iterable[tuple[float, dict[str, Any]]], radius_km: float) -> list[dict[str, Any]]:
    """Return the nearest ones within the radius, with their distance."""
    within = sorted((entry for entry in found if entry[0] <= radius_km), key=lambda entry: (entry[0], entry[1]["name"]))
    return [{**place, "distance_km": round(away, 2)} for away, place in within[:MOST_FOUND]]


def petrol_places(
    region: MapRegion, here: Position, now: Instant, *, fuel: Literal["petrol", "diesel"], radius_km: float, open_now: bool
) -> list[dict[str, Any]]:
    """Return petrol stations with their hours and the price of that fuel."""
    minute = _minute(region, now)
    found = []
    for station in region.petrol:
        opened = is_open(station.hours, minute)
        if opened or not open_now:
            place = {
                "name": station.name, "brand": station.brand, "latitude": station.latitude, "longitude": station.longitude,
                "hours": station.hours, "open": opened, "fuel": fuel, "price_eur_l": getattr(station, fuel),
            }  # fmt: skip
            found.append((distance_km(here, _at(station)), place))
    return _nearest(found, radius_km)


def charging_places(
    region: MapRegion,
    here: Position,
    now: Instant,
    *,
    plug: Literal["type2", "ccs"],
    power_kw: float,
    radius_km: float,
    free_now: bool,
) -> list[dict[str, Any]]:
    """Return charging stations that have the plug and the power, with how many points are free."""
    found = []
    for station in region.charging:
        free = station.points - _taken(station.name, station.points, now)
        if plug in station.plugs and station.power_kw >= power_kw and (free or not free_now):
            place = {
                "name": station.name, "operator": station.operator, "latitude": station.latitude,
                "longitude": station.longitude, "power_kw": station.power_kw, "plugs": list(station.plugs),
                "points": station.points, "free": free, "price_eur_kwh": station.price,
            }  # fmt: skip
            found.append((distance_km(here, _at(station)), place))
    return _nearest(found, radius_km)


def parking_places(region: MapRegion, here: Position, now: Instant, *, radius_km: float, free_now: bool) -> list[dict[str, Any]]:
    """Return car parks with spaces, hours and price."""
    minute = _minute(region, now)
    found = []
    for park in region.parking:
        opened = is_open(park.hours, minute)
        free = park.spaces - _taken(park.name, park.spaces, now)
        if (opened and free) or not free_now:
            place = {
                "name": park.name, "latitude": park.latitude, "longitude": park.longitude, "spaces": park.spaces,
                "free": free, "hours": park.hours, "open": opened, "price_eur_h": park.price,
            }  # fmt: skip
            found.append((distance_km(here, _at(park)), place))
    return _nearest(found, radius_km)


# --- ways -------------------------------------------------------------------------------------------------------------


def incidents(region: MapRegion, here: Position, now: Instant, *, radius_km: float, to: Position | None) -> list[dict[str, Any]]:
    """Return what holds up traffic now: around, or on the way to a destination; the nearest first."""
    local = to_datetime(now).astimezone(ZoneInfo(region.timezone))
    found = []
    for incident in region.incidents:
        if local.weekday() not in incident.days or not incident.from_h <= local.hour < incident.to_h:
            continue
        away = distance_km(here, _at(incident))
        if away <= radius_km if to is None else _aside_km(here, to, _at(incident)) <= ON_THE_WAY_KM:
            plain = msgspec.to_builtins(incident)
            for key in ("from_h", "to_h", "days"):
                del plain[key]
            found.append((away, {"name": incident.road, **plain}))
    return [{key: value for key, value in each.items() if key != "name"} for each in _nearest(found, math.inf)]


def _aside_km(start: Position, end: Position, point: Position) -> float:
    """Return how far a point is from the straight line between two others, on the plane of its middle."""
    east = math.cos(math.radians((start[0] + end[0]) / 2))
    to_km = math.radians(1) * EARTH_M / 1000
    ex, ey = (end[1] - start[1]) * east * to_km, (end[0] - start[0]) * to_km
    px, py = (point[1] - start[1]) * east * to_km, (point[0] - start[0]) * to_km
    along = max(0.0, min(1.0, (px * ex + py * ey) / max(ex * ex + ey * ey, 1e-9)))
    return math.hypot(px - along * ex, py - along * ey)


def duration_min(length_km: float) -> float:
    """Return how long a way of that length takes without hold-ups: slow at first, faster farther out."""
    driven, minutes = 0.0, 0.0
    for until_km, speed_kmh in SPEEDS:
        part = min(length_km, until_km) - driven
        if part <= 0:
            break
        minutes += part / speed_kmh * 60
        driven += part
    return minutes


def route(region: MapRegion, here: Position, to: Position, now: Instant) -> dict[str, Any] | None:
    """Return the way there: length, duration with hold-ups, and some points of it; None when one is there already."""
    straight_km = distance_km(here, to)
    if straight_km < ALREADY_THERE_KM:
        return None
    length_km = straight_km * DETOUR
    held_up = incidents(region, here, now, radius_km=0.0, to=to)
    delay = sum(each["delay_min"] for each in held_up)
    minutes = duration_min(length_km) + delay
    return {
        "distance_km": round(length_km, 1),
        "duration_min": round(minutes),
        "delay_min": round(delay),
        "arrives_at": now + round(minutes * 60) * 1_000_000,
        "geometry": _geometry(here, to),
        "incidents": held_up,
    }


def _geometry(here: Position, to: Position) -> list[list[float]]:
    """Return points of a way with one bend, from here to there."""
    points = []
    for step in range(_POINTS + 1):
        part = step / _POINTS
        aside = BEND * math.sin(math.pi * part)
        latitude = here[0] + (to[0] - here[0]) * part + (to[1] - here[1]) * aside
        longitude = here[1] + (to[1] - here[1]) * part - (to[0] - here[0]) * aside
        points.append([round(latitude, 5), round(longitude, 5)])
    assert all(one != other for one, other in pairwise(points)), "a way leads somewhere"
    return points
