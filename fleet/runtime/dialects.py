"""Chooses the dialect of a run: all other modules take it as an argument."""

from __future__ import annotations

from fleet.wire.dialect import Dialect
from fleet.wire.fleet_dialect import FleetDialect, json_codec, messagepack_codec
from fleet.wire.topics import DEFAULT_PREFIX, Topics


def open_dialect(prefix: str = DEFAULT_PREFIX, *, json: bool = False) -> Dialect:
    """Return our own dialect under a topic prefix. Raises UsageError for a prefix that no broker takes."""
    return FleetDialect(Topics(prefix), json_codec() if json else messagepack_codec())
