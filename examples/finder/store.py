"""What Finder knows, in one SQLite file. Each message changes it in one transaction, or not at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

LOW_FUEL_PERCENT = 15

SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (vin TEXT, boot INTEGER, seq INTEGER, PRIMARY KEY (vin, boot, seq));
CREATE TABLE IF NOT EXISTS places (vin TEXT PRIMARY KEY, latitude REAL, longitude REAL, captured_at INTEGER);
CREATE TABLE IF NOT EXISTS trips (vin TEXT, km REAL);
CREATE TABLE IF NOT EXISTS tanks (vin TEXT PRIMARY KEY, is_low INTEGER);
CREATE TABLE IF NOT EXISTS notices (vin TEXT, text TEXT);
CREATE TABLE IF NOT EXISTS commands (id TEXT PRIMARY KEY, outcome TEXT);
"""


class Place(NamedTuple):
    """WGS 84 degrees."""

    latitude: float
    longitude: float


class Store:
    """Any thread may call, one at a time gets in."""

    def __init__(self, path: Path, *, patience_s: float = 5.0) -> None:
        """Take the file, made if there is none, and how long to wait while somebody else holds it."""
        self.path = path
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=patience_s, check_same_thread=False)
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._db as db:
            yield db

    # --- what cars send

    def add(self, kind: str, message: dict[str, Any]) -> None:
        """Take a message of a car; one that is known already changes nothing."""
        vin, number = message["vin"], (message["vin"], message["boot"], message["seq"])
        with self._transaction() as db:
            if db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", number).rowcount == 0:
                return
            data = message.get("data", {})
            if kind == "status" and "position" in message:
                _set_place(db, vin, message["position"], message["captured_at"])
            if kind == "status" and "energy" in message:
                _look_at_tank(db, vin, message["energy"])
            if kind == "event" and message["name"] == "ecall":
                _set_place(db, vin, data["position"], message["captured_at"])
            if kind == "event" and message["name"] == "trip":
                db.execute("INSERT INTO trips VALUES (?, ?)", (vin, data["distance_km"]))
            if kind == "response":
                _set_outcome(db, message)

    # --- what users ask

    def where(self, vin: str) -> Place:
        """Return where the car was last. Raises KeyError when nobody knows."""
        row = self._row("SELECT latitude, longitude FROM places WHERE vin = ?", vin)
        if row is None:
            raise KeyError(vin)
        return Place(*row)

    def kilometres(self, vin: str) -> float:
        """Return how far it was driven, all trips together."""
        return float(self._row("SELECT coalesce(sum(km), 0) FROM trips WHERE vin = ?", vin)[0])

    def known(self, vin: str) -> int:
        """Return how many messages of a car have been taken."""
        return int(self._row("SELECT count(*) FROM seen WHERE vin = ?", vin)[0])

    def notices(self, vin: str) -> list[str]:
        """Return what its user was told, oldest first."""
        with self._transaction() as db:
            return [text for (text,) in db.execute("SELECT text FROM notices WHERE vin = ? ORDER BY rowid", (vin,))]

    def outcome(self, command: str) -> str | None:
        """Return what became of a command, None as long as it is under way."""
        row = self._row("SELECT outcome FROM commands WHERE id = ?", command)
        return str(row[0]) if row else None

    def _row(self, query: str, key: str) -> Any:
        with self._transaction() as db:
            return db.execute(query, (key,)).fetchone()


def _set_place(db: sqlite3.Connection, vin: str, position: dict[str, Any], captured_at: int) -> None:
    """Keep the place that was measured last, in whatever order messages come."""
    db.execute(
        "INSERT INTO places VALUES (?, ?, ?, ?) ON CONFLICT (vin) DO UPDATE SET latitude = excluded.latitude,"
        " longitude = excluded.longitude, captured_at = excluded.captured_at WHERE excluded.captured_at > places.captured_at",
        (vin, position["latitude"], position["longitude"], captured_at),
    )


def _look_at_tank(db: sqlite3.Connection, vin: str, energy: dict[str, float]) -> None:
    """Tell the user once when fuel gets low; again only after the tank was filled."""
    if "fuel_level_percent" not in energy:
        return  # an electric car
    is_low = energy["fuel_level_percent"] < LOW_FUEL_PERCENT
    was_low = db.execute("SELECT is_low FROM tanks WHERE vin = ?", (vin,)).fetchone() == (1,)
    if is_low and not was_low:
        db.execute("INSERT INTO notices VALUES (?, ?)", (vin, f"fuel is at {energy['fuel_level_percent']:.0f} %"))
    db.execute("INSERT OR REPLACE INTO tanks VALUES (?, ?)", (vin, is_low))


def _set_outcome(db: sqlite3.Connection, response: dict[str, Any]) -> None:
    """Keep the end of a command; what comes before it is progress."""
    if response["state"] in {"succeeded", "rejected", "failed", "expired"}:
        outcome = ": ".join(filter(None, [response["state"], response.get("reason")]))
        db.execute("INSERT OR IGNORE INTO commands VALUES (?, ?)", (response["command_id"], outcome))
