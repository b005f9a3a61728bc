"""Reads the row of a car's newest state, and makes it anew once messages that it came from are erased."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from fleet.cloud.twin import Newest, origin_of
from fleet.wire.messages import Presence, Status

_ROW: Final = "SELECT connection, connection_reason, connection_boot, connection_at, origins FROM newest WHERE vin = ?"
_ORIGIN: Final = "SELECT payload FROM message WHERE id = ? AND vin = ?"
_STATUSES: Final = "SELECT id, payload FROM message WHERE vin = ? AND kind = 'status'"
_REWRITE: Final = (
    "UPDATE newest SET state = ?, latitude = ?, longitude = ?, mileage_km = ?, captured_at = ?, origins = ? WHERE vin = ?"
)
_decode_status: Final = msgspec.msgpack.Decoder(Status).decode
_decode_ids: Final = msgspec.msgpack.Decoder(list[int]).decode


def load_newest(connection: sqlite3.Connection, vin: str) -> Newest:
    """Return of which statuses the newest state of a car comes, and its presence; of a car without a row nothing.

    A message that is not there any more, or is another car's, is left out: an erasure without `rebuild_newest` named such.
    """
    newest = Newest()
    row = connection.execute(_ROW, (vin,)).fetchone()
    if row is not None:
        state, reason, boot, at, origins = row
        if state is not None:
            newest.presence = Presence(vin=vin, boot=boot, seq=0, captured_at=at, connection=state, reason=reason)
        for key in _decode_ids(origins):
            kept = connection.execute(_ORIGIN, (key, vin)).fetchone()
            if kept is not None:
                newest.take(origin_of(_decode_status(kept[0])), key)
    return newest


def rebuild_newest(connection: sqlite3.Connection, vin: str) -> None:
    """Make the row of a car say what the statuses say that are left, if it came from others; the presence stays.

    Without any status it is the row of a car that was heard of and has said nothing.
    """
    row = connection.execute(_ROW, (vin,)).fetchone()
    if row is None or all(connection.execute(_ORIGIN, (key, vin)).fetchone() for key in _decode_ids(row[-1])):
        return
    left = Newest()
    for key, payload in connection.execute(_STATUSES, (vin,)):
        left.take(origin_of(_decode_status(payload)), key)
    origins = msgspec.msgpack.encode([key for _, key in left.origins])
    connection.execute(_REWRITE, (left.state, *left.position, left.mileage_km, left.captured_at, origins, vin))
