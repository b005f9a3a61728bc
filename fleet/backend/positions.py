"""Reads positions of a car out of its stored messages, some of many: by them is looked for what should be gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

import msgspec

_IDS: Final = "SELECT id FROM message WHERE vin = ? AND captured_at <= ? AND kind IN ('status', 'event') ORDER BY captured_at"
_SHARE: Final = 4
"""Of so many messages for each position some have none."""


def sample_of_positions(
    connection: sqlite3.Connection, vin: str, until: int, most: int, *, newest: bool = True
) -> list[tuple[float, float]]:
    """Return up to so many different positions (latitude, longitude in degrees) of a car, spread over its messages.

    Without the `newest` one: a car that goes on may stand there still, and say so again.
    """
    found: dict[tuple[float, float], None] = {}
    last = connection.execute("SELECT latitude, longitude FROM newest WHERE vin = ?", (vin,)).fetchone()
    if newest and last is not None and None not in last:
        found[last] = None
    ids = [row[0] for row in connection.execute(_IDS, (vin, until))]
    for message_id in ids[:: max(1, len(ids) // (most * _SHARE))]:
        row = connection.execute("SELECT payload FROM message WHERE id = ?", (message_id,)).fetchone()
        for place in () if row is None else positions_in(msgspec.msgpack.decode(row[0])):
            if newest or place != last:
                found[place] = None
        if len(found) >= most:
            break
    return list(found)[:most]


def positions_in(content: Any) -> Iterator[tuple[float, float]]:
    """Yield all positions that stand in plain data, however deep."""
    if isinstance(content, dict):
        latitude, longitude = content.get("latitude"), content.get("longitude")
        if isinstance(latitude, float) and isinstance(longitude, float):
            yield latitude, longitude
        for inner in content.values():
            yield from positions_in(inner)
    elif isinstance(content, list):
        for inner in content:
            yield from positions_in(inner)
