"""The markets, and which of them a position is in.

There is no map here: a position belongs to the country of the nearest of some 300 towns. Near a border it can be wrong by as
far as the towns there are apart, 10 to 40 km as a rule; a real emergency call is routed by the network's cell.
"""

from __future__ import annotations

import math
from functools import cache
from importlib import resources
from typing import Final

import msgspec

FARTHEST_KM: Final = 400.0
"""A place farther from all the towns is in none of the countries."""
_KM_PER_DEGREE: Final = 111.2


class Country(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A market, with the time zone of its capital; `breakdown` tells whether the breakdown service has a call centre there."""

    name: str
    timezone: str
    towns: tuple[tuple[float, float], ...]
    breakdown: bool = True


@cache
def load_countries() -> dict[str, Country]:
    """Return the markets by their two letters (ISO 3166), from the package's own file."""
    text = resources.files("fleet.cloud").joinpath("countries.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=dict[str, Country])


def country_at(latitude: float, longitude: float) -> str | None:
    """Return the country of a position in WGS 84 degrees, None far from all of them."""
    away_km, found = min(
        (_away_km(latitude, longitude, town), code) for code, country in load_countries().items() for town in country.towns
    )
    return found if away_km <= FARTHEST_KM else None


def _away_km(latitude: float, longitude: float, town: tuple[float, float]) -> float:
    east = (town[1] - longitude) * math.cos(math.radians((latitude + town[0]) / 2))
    return math.hypot(town[0] - latitude, east) * _KM_PER_DEGREE
