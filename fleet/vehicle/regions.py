"""The regions that are shipped, by name: towns from regions.toml, and a region file for each city in the folder regions."""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec

from fleet.errors import UnknownName
from fleet.vehicle.place_region import RegionFile, place_region
from fleet.vehicle.region import MapArea, Region
from fleet.vehicle.town_region import Town, TownRegion


class _TownsData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    timezone: str
    country: str
    limit_km: float
    maps: MapArea
    towns: tuple[Town, ...]


@cache
def load_town_regions() -> dict[str, TownRegion]:
    """Return the regions of towns by name, from the package's own file."""
    text = resources.files("fleet.vehicle").joinpath("regions.toml").read_text(encoding="utf-8")
    data = msgspec.toml.decode(text, type=dict[str, _TownsData])
    return {
        name: TownRegion(name, entry.timezone, entry.country, entry.limit_km, entry.towns, maps=entry.maps)
        for name, entry in data.items()
    }


@cache
def load_region_files() -> dict[str, RegionFile]:
    """Return the shipped region files by name."""
    folder = resources.files("fleet.vehicle").joinpath("regions")
    files = [path for path in folder.iterdir() if path.name.endswith(".json")]
    read = [msgspec.json.decode(path.read_bytes(), type=RegionFile) for path in files]
    return {file.region: file for file in sorted(read, key=lambda file: file.region)}


@cache
def load_regions() -> dict[str, Region]:
    """Return all shipped regions by name."""
    return {**load_town_regions(), **{name: place_region(file) for name, file in load_region_files().items()}}


def region(name: str) -> Region:
    """Return a shipped region by name; raises UnknownName with the nearest one."""
    regions = load_regions()
    if name not in regions:
        raise UnknownName("region", name, regions)
    return regions[name]


def region_of(wanted: str | RegionFile) -> Region:
    """Return the region of a shipped name or of a file; raises UnknownName for a name that is not shipped."""
    return region(wanted) if isinstance(wanted, str) else place_region(wanted)
