"""Makes the regions of fleet/vehicle/regions and their places in fleet/cloud/places.json from Natural Earth's data.

    .venv/bin/python tools/make_regions.py FOLDER

FOLDER holds five files, all of Natural Earth (public domain): land-10m.json of the npm package world-atlas 2.0.2, and of the
GeoJSON edition (github.com/martynafford/natural-earth-geojson) ne_10m_populated_places_simple.json, ne_50m_urban_areas.json,
ne_10m_lakes_europe.json and ne_50m_lakes.json. The same files give the same regions, byte for byte.

Real are the centres of cities and towns, their names, populations, built-up areas, coasts and lakes. All else is drawn here.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from fleet.kernel.draws import Draws, stream_key
from fleet.vehicle.geo import LatLon, distance_m, offset

CITY_KM: Final = 25.0
FAR_KM: Final = 90.0
"""How far from the centre a built-up area belongs to the city, and a town to its region."""
DENSEST_KM: Final = 9.0
SHORE_M: Final = 400.0
"""No place lies nearer to water or to the edge of its built-up area; the coasts are right to some 300 m."""
SPREAD_M: Final = 150
IN_CITY: Final = {"home": 60, "work": 30, "errand": 40, "delivery": 30}
IN_TOWN: Final = {"home": 2, "work": 1, "errand": 2}
TOWNS_MOST: Final = 10
SOURCE: Final = (
    "City and town centres, names, built-up areas, coasts and lakes: Natural Earth (naturalearthdata.com), public domain. The"
    " first place is the city's centre of Natural Earth; the others are drawn over its built-up areas, denser towards the centre,"
    " by tools/make_regions.py: none is a real address, brand or station."
)

CENTRAL: Final = (43.0, 2.0, 55.5, 19.5)
IBERIA: Final = (35.8, -9.8, 44.5, 4.5)


@dataclass(frozen=True)
class City:
    """What Natural Earth calls it, and what we say of it: `maps` is south, west, north, east; `mean_c` and `swing_c` climate."""

    name: str
    shown: str
    country: str
    timezone: str
    maps: tuple[float, float, float, float]
    mean_c: float
    swing_c: float
    roads: tuple[str, ...]
    brands: tuple[str, ...]
    streets: tuple[str, ...]


CITIES: Final = {
    "amsterdam": City(
        "Amsterdam", "Amsterdam", "NL", "Europe/Amsterdam", (49.0, 2.5, 54.0, 8.5), 10.5, 7.5, ("A1", "A2", "A4", "A10"),
        ("Tulpol", "Grachtstroom", "Polderoil"), ("Stationsplein", "Dijkweg", "Molenlaan", "Havenstraat"),
    ),
    "hamburg": City(
        "Hamburg", "Hamburg", "DE", "Europe/Berlin", CENTRAL, 9.5, 8.5, ("A1", "A7", "A23", "A24"),
        ("Elbtank", "Hansevolt", "Nordstern"), ("Hafenstraße", "Am Deich", "Bahnhofstraße", "Lindenallee"),
    ),
    "lisbon": City(
        "Lisbon", "Lisboa", "PT", "Europe/Lisbon", IBERIA, 17.5, 6.0, ("A1", "A2", "A5", "A8"),
        ("Tejoil", "Luz do Sul", "Oceano"), ("Avenida do Rio", "Rua da Estação", "Praça Nova", "Estrada Velha"),
    ),
    "milan": City(
        "Milan", "Milano", "IT", "Europe/Rome", (36.5, 6.0, 48.0, 19.0), 14.0, 11.5, ("A1", "A4", "A7", "A8"),
        ("Padanol", "Elettrica Nord", "Stella"), ("Via Stazione", "Viale Europa", "Via Mercato", "Corso Nuovo"),
    ),
    "paris": City(
        "Paris", "Paris", "FR", "Europe/Paris", (42.0, -5.5, 51.5, 10.0), 12.5, 8.0, ("A1", "A4", "A6", "A13"),
        ("Lutépol", "Voltaine", "Étoile Bleue"), ("Rue de la Gare", "Avenue Neuve", "Place du Marché", "Quai Vert"),
    ),
    "stockholm": City(
        "Stockholm", "Stockholm", "SE", "Europe/Stockholm", (55.0, 10.5, 69.5, 24.5), 7.5, 10.0, ("E4", "E18", "E20", "73"),
        ("Mälaroil", "Norrkraft", "Blå Stjärnan"), ("Stationsgatan", "Strandvägen Norra", "Torget", "Industrivägen"),
    ),
    "vienna": City(
        "Vienna", "Wien", "AT", "Europe/Vienna", (45.0, 9.0, 51.5, 20.0), 11.0, 10.5, ("A1", "A2", "A4", "A22"),
        ("Donauöl", "Alpenvolt", "Roter Stern"), ("Bahnhofstraße", "Wiener Straße", "Am Anger", "Gewerbestraße"),
    ),
    "warsaw": City(
        "Warsaw", "Warszawa", "PL", "Europe/Warsaw", (48.5, 13.0, 55.5, 24.5), 9.0, 10.5, ("A2", "S2", "S7", "S8"),
        ("Wislopol", "Mazowolt", "Syrena"), ("Dworcowa", "Aleja Nowa", "Rynek", "Fabryczna"),
    ),
}  # fmt: skip
"""Maps are those of a car of that market, rounded; the climate is the mean of the year and half of what lies between the warmest
and the coldest month, near the long-term means of the weather services (ours); brands and streets are made up."""


# --- polygons ---------------------------------------------------------------------------------------------------------

Ring = Sequence[Sequence[float]]


SLICES: Final = 50
"""Of a degree of latitude: the sides of a polygon are kept by them."""


class Polygon:
    """Rings of longitude and latitude: a point is inside when it lies in an odd number of them."""

    def __init__(self, rings: Sequence[Ring]) -> None:
        east, north = [point[0] for point in rings[0]], [point[1] for point in rings[0]]
        self.box = (min(east), min(north), max(east), max(north))
        self._sides: dict[int, list[tuple[float, float, float, float]]] = {}
        for ring in rings:
            for (x1, y1, *_), (x2, y2, *_) in pairwise(ring):
                for number in range(math.floor(min(y1, y2) * SLICES), math.floor(max(y1, y2) * SLICES) + 1):
                    self._sides.setdefault(number, []).append((x1, y1, x2, y2))

    def has(self, point: LatLon) -> bool:
        latitude, longitude = point
        west, south, east, north = self.box
        if not (west <= longitude <= east and south <= latitude <= north):
            return False
        inside = False
        for x1, y1, x2, y2 in self._sides.get(math.floor(latitude * SLICES), ()):
            if (y1 > latitude) != (y2 > latitude) and longitude < x1 + (latitude - y1) / (y2 - y1) * (x2 - x1):
                inside = not inside
        return inside


def read_geojson(path: Path) -> Iterator[tuple[dict[str, Any], Any, str]]:
    for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
        yield feature["properties"], feature["geometry"]["coordinates"], feature["geometry"]["type"]


def polygons(path: Path, near: LatLon) -> list[Polygon]:
    """Return the polygons of a GeoJSON file that come within two degrees of a place."""
    found = []
    for _, coordinates, kind in read_geojson(path):
        for rings in coordinates if kind == "MultiPolygon" else [coordinates]:
            polygon = Polygon(rings)
            if _reaches(polygon, near):
                found.append(polygon)
    return found


def read_land(path: Path) -> list[Polygon]:
    """Return the land of a TopoJSON file: its rings are chains of arcs, written as steps on a grid."""
    topology = json.loads(path.read_text(encoding="utf-8"))
    (step_x, step_y), (x0, y0) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append((x0 + x * step_x, y0 + y * step_y))
        arcs.append(points)
    found = []
    for geometry in topology["objects"]["land"]["geometries"]:
        for polygon in geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]:
            rings = [[point for n in ring for point in (arcs[n] if n >= 0 else arcs[~n][::-1])] for ring in polygon]
            found.append(Polygon(rings))
    return found


# --- places -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Town:
    """A populated place of Natural Earth."""

    name: str
    at: LatLon
    population_k: float


class Ground:
    """The land, the lakes and the built-up areas around a city."""

    def __init__(self, folder: Path, land: list[Polygon], centre: LatLon) -> None:
        self.land = [polygon for polygon in land if _reaches(polygon, centre)]
        self.lakes = polygons(folder / "ne_10m_lakes_europe.json", centre) + polygons(folder / "ne_50m_lakes.json", centre)
        self.built_up = polygons(folder / "ne_50m_urban_areas.json", centre)

    def is_dry(self, point: LatLon) -> bool:
        return any(polygon.has(point) for polygon in self.land) and not any(lake.has(point) for lake in self.lakes)

    def suits(self, point: LatLon) -> bool:
        """Tell whether a place and all around it is dry and built up."""
        ring = [offset(*point, SHORE_M * math.sin(n * math.tau / 8), SHORE_M * math.cos(n * math.tau / 8)) for n in range(8)]
        return all(self.is_dry(each) and any(area.has(each) for area in self.built_up) for each in (point, *ring))

    def draw(self, draws: Draws, centre: LatLon, most_km: float) -> LatLon | None:
        """Draw a place within some km of a centre, denser towards it."""
        for _ in range(4_000):
            km, bearing = most_km * math.sqrt(draws.unit()), math.tau * draws.unit()
            if draws.unit() > math.exp(-km / DENSEST_KM):
                continue
            point = offset(*centre, 1000 * km * math.sin(bearing), 1000 * km * math.cos(bearing))
            point = round(point[0], 5), round(point[1], 5)
            if self.suits(point):
                return point
        return None


def _reaches(polygon: Polygon, centre: LatLon) -> bool:
    """Tell whether a polygon may come within two degrees of a place."""
    west, south, east, north = polygon.box
    return west - 2 <= centre[1] <= east + 2 and south - 2 <= centre[0] <= north + 2


def towns_of(folder: Path, city: City) -> tuple[Town, list[Town]]:
    """Return the city and the towns of its country around it, the largest first."""
    found = []
    for entry, (longitude, latitude), _ in read_geojson(folder / "ne_10m_populated_places_simple.json"):
        if entry["iso_a2"] == city.country:
            found.append(Town(entry["name"], (round(latitude, 5), round(longitude, 5)), entry["pop_max"] / 1000))
    centre = next(town for town in found if town.name == city.name)
    near = [town for town in found if CITY_KM * 1000 < distance_m(*centre.at, *town.at) <= FAR_KM * 1000]
    return Town(city.shown, centre.at, centre.population_k), sorted(near, key=lambda town: -town.population_k)[:TOWNS_MOST]


def places_of(name: str, city: Town, towns: list[Town], ground: Ground) -> list[dict[str, Any]]:
    """Return the places of a region: its real centre, and then what is drawn."""
    found = [_place("errand", city.at, city.name)]
    for town in (city, *towns):
        counts = IN_CITY if town is city else IN_TOWN
        share = 1.0 if town is city else town.population_k / city.population_k
        for kind, count in counts.items():
            draws = Draws(stream_key(0, "region", name, town.name), kind)
            for _ in range(count):
                at = ground.draw(draws, town.at, CITY_KM if town is city else 5.0)
                if at is None or distance_m(*city.at, *at) > FAR_KM * 1000:
                    continue
                weight = max(0.1, round(share * IN_CITY[kind] / count, 1))
                found.append(_place(kind, at, town.name, weight=weight))
    return found


def _place(kind: str, at: LatLon, name: str, *, weight: float = 1.0) -> dict[str, Any]:
    place = {"kind": kind, "latitude": at[0], "longitude": at[1], "name": name}
    if weight != 1.0:
        place["weight"] = weight
    return place | ({"spread_m": SPREAD_M} if kind == "home" else {})


# --- places of the online services ------------------------------------------------------------------------------------

FAST_KW: Final = 50
HOURS: Final = ("00:00-24:00", "06:00-22:00", "05:30-23:00", "07:00-21:00")
POWERS: Final = ((150, ("type2", "ccs")), (300, ("ccs",)), (22, ("type2",)), (50, ("type2", "ccs")), (11, ("type2",)))


def services_of(name: str, city: City, town: Town, ground: Ground) -> dict[str, Any]:
    """Return petrol and charging stations, car parks and hold-ups of a city, none of them real."""
    draws = Draws(stream_key(0, "region", name, "services"), "places")
    taken: dict[str, int] = {}

    def spot(prefix: str) -> dict[str, Any]:
        at = ground.draw(draws, town.at, CITY_KM)
        assert at is not None, "a city has room"
        title = f"{prefix} {draws.choice(city.streets)}"
        taken[title] = taken.get(title, 0) + 1
        return {"name": title + (f" {taken[title]}" if taken[title] > 1 else ""), "latitude": at[0], "longitude": at[1]}

    petrol, charging = [], []
    for _ in range(16):
        brand = draws.choice(city.brands)
        diesel = draws.integer(145, 185) / 100
        litre = {"petrol": round(diesel + draws.integer(0, 10) / 100, 2), "diesel": diesel}
        petrol.append(spot(f"{brand} {town.name}") | {"brand": brand, "hours": draws.choice(HOURS)} | litre)
    for _ in range(20):
        operator = draws.choice(city.brands)
        power_kw, plugs = draws.choice(POWERS)
        charging.append(spot(f"{operator} Volt {town.name}") | {
            "operator": operator, "power_kw": power_kw, "plugs": plugs, "points": 2 * draws.integer(1, 5),
            "price": draws.integer(50, 85) / 100,
        })  # fmt: skip
    parking = [
        spot(f"P {town.name}")
        | {"hours": draws.choice(HOURS[:2]), "spaces": 20 * draws.integer(2, 30), "price": draws.integer(0, 8) / 2}
        for _ in range(12)
    ]
    incidents = [_incident(draws, road, number, town, ground) for number, road in enumerate(city.roads)]
    return {
        "timezone": city.timezone, "country": city.country, "maps": _maps(city),
        "petrol": petrol, "charging": charging, "parking": parking, "incidents": incidents,
    }  # fmt: skip


def _incident(draws: Draws, road: str, number: int, town: Town, ground: Ground) -> dict[str, Any]:
    at = ground.draw(draws, town.at, CITY_KM)
    assert at is not None, "a city has room"
    kind, from_h, to_h = (("queue", 7, 9), ("roadworks", 0, 24), ("queue", 16, 19), ("accident", 17, 20))[number % 4]
    days = [3] if kind == "accident" else [*range(7 if kind == "roadworks" else 5)]
    return {
        "road": road, "near": town.name, "kind": kind, "latitude": at[0], "longitude": at[1], "from_h": from_h, "to_h": to_h,
        "days": days, "length_km": draws.integer(1, 8), "delay_min": draws.integer(2, 10) * 2,
    }  # fmt: skip


def stations_of(services: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the stations as places, where cars that are low fill up; those that charge in minutes only."""
    petrol = [_place("petrol_station", (each["latitude"], each["longitude"]), each["name"]) for each in services["petrol"]]
    fast = [each for each in services["charging"] if each["power_kw"] >= FAST_KW]
    return petrol + [_place("charging_station", (each["latitude"], each["longitude"]), each["name"]) for each in fast]


def _maps(city: City) -> dict[str, float]:
    return dict(zip(("south", "west", "north", "east"), city.maps, strict=True))


# --- files ------------------------------------------------------------------------------------------------------------


def written(value: dict[str, Any], depth: int) -> str:
    """Return JSON with a line for each entry down to `depth`, so that a difference shows the place that changed."""
    pad = "  "
    lines = []
    for key, entry in value.items():
        text = json.dumps(entry, ensure_ascii=False)
        if isinstance(entry, list) and len(entry) > 1 and isinstance(entry[0], dict):
            items = ",\n".join(pad + json.dumps(item, ensure_ascii=False) for item in entry)
            text = f"[\n{items}\n]"
        elif isinstance(entry, dict) and depth:
            text = written(entry, depth - 1)
        lines.append(f"{json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}"


def main(folder: Path) -> None:
    package = Path(__file__).resolve().parent.parent / "fleet"
    land = read_land(folder / "land-10m.json")
    services = {}
    for name, city in CITIES.items():
        town, towns = towns_of(folder, city)
        ground = Ground(folder, land, town.at)
        assert ground.is_dry(town.at), f"{name} is on land"
        services[name] = services_of(name, city, town, ground)
        region = {
            "region": name, "source": SOURCE, "country": city.country, "timezone": city.timezone, "maps": _maps(city),
            "climate": {"mean_c": city.mean_c, "swing_c": city.swing_c},
            "places": places_of(name, town, towns, ground) + stations_of(services[name]),
        }  # fmt: skip
        (package / "vehicle" / "regions" / f"{name}.json").write_text(written(region, 0) + "\n", encoding="utf-8")
        sys.stdout.write(f"{name}: {len(region['places'])} places, towns {', '.join(each.name for each in towns)}\n")
    (package / "cloud" / "places.json").write_text(written(services, 1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
