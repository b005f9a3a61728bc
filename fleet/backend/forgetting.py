"""Takes what is erased out of the rows of a store, with SQL. Opens no file and no transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final

from fleet.backend.newest_rows import rebuild_newest
from fleet.backend.schema import LAST_ID, LAST_OF_ERASED
from fleet.cloud.car_settings import MODULE
from fleet.cloud.rule import Erase

ERASED_USER: Final = "erased"
"""Stands for the name of a person in the commands of other people's cars."""
_COUNT: Final = (
    "INSERT INTO erased_count (boot, stored, refused, noted, duplicates, quarantined) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (boot) DO UPDATE SET stored = stored + excluded.stored, refused = refused + excluded.refused,"
    " noted = noted + excluded.noted, duplicates = duplicates + excluded.duplicates,"
    " quarantined = quarantined + excluded.quarantined"
)
_OF_CAR: Final = ("sequence", "newest", "user", "notice", "reply", "mail")
"""Tables with a row that names its car."""


def forget(connection: sqlite3.Connection, erased: Erase) -> None:
    """Delete all rows of the cars and of the person, and count by boot how many messages there were."""
    if erased.cars:
        (last_id,) = connection.execute(LAST_ID).fetchone()
        connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (LAST_OF_ERASED, str(last_id)))
    for car in erased.cars:
        if car.whole:
            _forget_car(connection, car.vin)
        else:
            _forget_data(connection, car.vin, car.until)
    for command_id in erased.commands:
        connection.execute("DELETE FROM command_transition WHERE command_id = ?", (command_id,))
        connection.execute("DELETE FROM command WHERE id = ?", (command_id,))
    _forget_person(connection, erased)
    _forget_words(connection, erased.telling)


def count_refused(connection: sqlite3.Connection, refused: Mapping[int, tuple[int, int]]) -> None:
    """Count messages that were not stored, by boot: all, and those whose number stands in a row of `sequence` all the same."""
    connection.executemany(_COUNT, [(boot, 0, count, noted, 0, 0) for boot, (count, noted) in refused.items()])


def _forget_car(connection: sqlite3.Connection, vin: str) -> None:
    """Delete all of a car; of its messages a number by boot stays."""
    run = connection.execute
    stored = dict(run("SELECT boot, count(*) FROM message WHERE vin = ? GROUP BY boot", (vin,)).fetchall())
    numbers = run("SELECT boot, duplicates, quarantined FROM sequence WHERE vin = ?", (vin,)).fetchall()
    connection.executemany(_COUNT, [(boot, stored.get(boot, 0), 0, 0, again, held) for boot, again, held in numbers])
    run("DELETE FROM message WHERE vin = ?", (vin,))
    run("DELETE FROM command_transition WHERE command_id IN (SELECT id FROM command WHERE vin = ?)", (vin,))
    run("DELETE FROM command WHERE vin = ?", (vin,))
    for table in _OF_CAR:
        run(f"DELETE FROM {table} WHERE vin = ?", (vin,))  # noqa: S608 (a name of ours)
    run("DELETE FROM service_state WHERE module = ? AND key = ?", (MODULE, vin))
    run("DELETE FROM quarantine WHERE vin = ? OR instr(topic, ?) OR instr(payload, ?)", (vin, vin, vin.encode()))


def _forget_data(connection: sqlite3.Connection, vin: str, until: int) -> None:
    """Delete what a car has measured, done and been told up to a time; the car itself stays known."""
    run = connection.execute
    counted = run("SELECT boot, count(*) FROM message WHERE vin = ? AND captured_at <= ? GROUP BY boot", (vin, until)).fetchall()
    connection.executemany(_COUNT, [(boot, count, 0, count, 0, 0) for boot, count in counted])
    run("DELETE FROM message WHERE vin = ? AND captured_at <= ?", (vin, until))
    rebuild_newest(connection, vin)
    run(
        "DELETE FROM command_transition WHERE command_id IN"
        " (SELECT id FROM command WHERE vin = ? AND asked_at <= ? AND ended_wall_us IS NOT NULL)",
        (vin, until),
    )
    run("DELETE FROM command WHERE vin = ? AND asked_at <= ? AND ended_wall_us IS NOT NULL", (vin, until))
    run("DELETE FROM notice WHERE vin = ? AND at <= ?", (vin, until))
    run("DELETE FROM mail WHERE vin = ? AND at <= ?", (vin, until))
    run("DELETE FROM reply WHERE vin = ? AND at <= ? AND published_wall_us IS NOT NULL", (vin, until))
    run("DELETE FROM quarantine WHERE vin = ?", (vin,))


def _forget_person(connection: sqlite3.Connection, erased: Erase) -> None:
    if not erased.account:
        return
    names = (erased.account, *erased.words)
    connection.executemany("UPDATE command SET user = ? WHERE user = ?", [(ERASED_USER, name) for name in names])
    connection.execute("DELETE FROM user WHERE vin = '' AND name = ?", (erased.account,))
    connection.execute("DELETE FROM mail WHERE account = ?", (erased.account,))
    connection.executemany("DELETE FROM mail WHERE address = ?", [(word,) for word in erased.words])


def _forget_words(connection: sqlite3.Connection, words: Iterable[str]) -> None:
    """Delete the rows that tell of a car or person in passing: notices to others, answers that were not fetched."""
    for word in words:
        connection.execute("DELETE FROM notice WHERE instr(data, ?)", (word,))
        connection.execute("DELETE FROM answer WHERE instr(answer, ?)", (word,))
        connection.execute("DELETE FROM quarantine WHERE instr(payload, ?)", (word.encode(),))
