"""Bounds of the quarantine: whoever sends garbage shall fill neither the disk nor anybody's commit."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Final

PAYLOAD_KEPT: Final = 4096
"""Bytes of each."""
ROWS_OF_CAR: Final = 500
ROWS_OF_REASON: Final = 5_000
ROWS: Final = 20_000
"""In the whole store: 80 MB, were all of them as large as can be. The first ones are kept; the others are counted."""


class Room:
    """Counts the rows there are of each car and reason."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Begin with what a store has."""
        run = connection.execute
        self._of_reason: Counter[str] = Counter(dict(run("SELECT reason, count(*) FROM quarantine GROUP BY reason").fetchall()))
        self._of_car: Counter[str] = Counter(
            dict(run("SELECT vin, count(*) FROM quarantine WHERE vin IS NOT NULL GROUP BY vin").fetchall())
        )
        self._rows = self._of_reason.total()

    def take(self, vin: str | None, reason: str) -> bool:
        """Tell whether there is room for one more, and count it."""
        full = self._rows >= ROWS or self._of_reason[reason] >= ROWS_OF_REASON
        if full or (vin is not None and self._of_car[vin] >= ROWS_OF_CAR):
            return False
        self._rows += 1
        self._of_reason[reason] += 1
        if vin is not None:
            self._of_car[vin] += 1
        return True
