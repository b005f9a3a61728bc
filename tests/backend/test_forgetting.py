"""What is erased out of the rows of a store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fleet.backend.decisions import AnswerGiven, MailPosted, ReplyGiven, StoredWrite, decided
from fleet.backend.forgetting import ERASED_USER
from fleet.backend.mail.letter import Letter
from fleet.backend.needles import found_in, text_needle
from fleet.backend.reader import StoreReader
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch, QuarantinedFrame
from fleet.cloud.car_settings import ReportedSettings
from fleet.cloud.desk_io import CommandOpened, CommandRecord, KeepSettings, StoreUser, Transition, UserRecord
from fleet.cloud.rule import Erase, ErasedCar, Notify
from fleet.wire.messages import DeskAnswer, Reply
from tests.backend.lab import BOOT, OTHER, VIN, OpenSqlite, arrival, batch, buffered, in_memory, presence, status

EMAIL = "anna@example.com"
UNTIL = 1_000_000
PLACE = {"latitude": 41.3851234, "longitude": 2.1734567, "accuracy_m": 8.0, "fixed_at": 1}


def command(command_id: str, vin: str, user: str) -> CommandRecord:
    return CommandRecord(
        id=command_id, vin=vin, name="honk", user=user, parameters=PLACE, answer_topic="t", asked_at=1, expires_at=2,
        due_wall_us=None, changed_at=1,
    )  # fmt: skip


def filled(vin: str, number: int, account: str, email: str) -> Batch:
    """Return a batch with a row of this car or person in every table."""
    letter = Letter(number, account, email, "en", "enrolled", {"vin": vin}, vin, "mail", 1, 1)
    writes: list[StoredWrite] = [
        CommandOpened(command(f"c{number}", vin, account)),
        Transition(f"c{number}", "succeeded", None, None, 1, "car", True),
        StoreUser(UserRecord(vin, "primary")),
        KeepSettings(vin, ReportedSettings()),
        Notify(vin, "primary_user", "fault", {"at": PLACE}, 1),
        Notify("", "operator", "rule_failed", {"car": vin, "by": email}, 1),
        ReplyGiven(vin, Reply(id="q", name="weather", data={"place": PLACE}), 1, 2),
        AnswerGiven("t", DeskAnswer(id=f"a{number}", state="succeeded", final=True, data={"email": email, "vin": vin})),
        MailPosted(letter, "waiting"),
    ]
    held = QuarantinedFrame(1, f"fleet/v1/{vin}/status", "json", "it is none", 4, vin.encode() + email.encode(), vin, BOOT, 9)
    return Batch(
        arrivals=[arrival(status(seq, vin, position=PLACE)) for seq in (1, 2, 3)],
        presences=[presence(vin=vin)],
        quarantined=[held],
        writes=[decided(write, 1) for write in writes],
    )


def erase(*, whole: bool = True, until: int = UNTIL) -> Erase:
    return Erase("e1", UNTIL, (ErasedCar(VIN, whole, until),), "p1", (EMAIL,))


def tables(path: Path) -> dict[str, str]:
    """Return all that stands in each table, as text."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: repr(connection.execute(f"SELECT * FROM {name}").fetchall()) for name in names}


@pytest.mark.parametrize("open_it", [SqliteStore, buffered, in_memory])
def test_nothing_of_an_erased_car_is_left_in_any_table(path: Path, open_it: OpenSqlite) -> None:
    """Nor of its person; of another car and person everything stays."""
    store = open_it(path)
    store.commit(filled(VIN, 1, "p1", EMAIL), 1)
    store.commit(filled(OTHER, 2, "p2", "bea@example.com"), 1)
    store.commit(Batch(writes=[decided(erase(), 1)]), 1)
    store.save()
    store.close()
    for name, text in tables(path).items():
        for word in (VIN, EMAIL, "'p1'"):
            assert word not in text, name
        if name in {"message", "sequence", "newest", "command", "user", "notice", "reply", "service_state", "mail", "answer"}:
            assert OTHER in text or "p2" in text, name
    if open_it is not in_memory:
        assert found_in(path, [text_needle("VIN", VIN), text_needle("e-mail", EMAIL)]) == []


def test_the_account_still_adds_up(store: SqliteStore, path: Path) -> None:
    """Messages that were stored, and those that come afterwards, are erased ones: none is missing, and each counts once."""
    store.commit(filled(VIN, 1, "p1", EMAIL), 1)
    store.commit(Batch(writes=[decided(erase(), 1)]), 1)
    late = [(arrival(status(seq)), False) for seq in (3, 4, 4, 5)]
    committed = store.commit(Batch(forgotten=late), 1)
    assert [mark.through for _, mark in committed.marks] == [5]
    assert committed.erased == {BOOT: (2, 0)}
    with StoreReader(path) as reader:
        account = reader.account()
        assert (account.stored, account.erased, account.missing, account.quarantined_of_boots) == (0, 5, 0, 1)


def test_of_a_car_whose_data_alone_go_the_car_stays_known(store: SqliteStore, path: Path) -> None:
    """What was measured up to then goes; its numbers stay, and what it says afterwards is stored."""
    store.commit(filled(VIN, 1, "p1", EMAIL), 1)
    store.commit(Batch(writes=[decided(erase(whole=False, until=2_000), 1)]), 1)
    store.commit(Batch(forgotten=[(arrival(status(4)), True)]), 1)
    store.commit(batch(status(5)), 1)
    with StoreReader(path) as reader:
        assert [row.seq for row in reader.history(VIN, limit=9)] == [5, 3]
        account = reader.account()
        assert (account.stored, account.erased, account.missing) == (2, 3, 0)
        assert reader.status(VIN) is not None
    assert store.load().presence_boots == {VIN: BOOT}


def positions(path: Path) -> list[tuple[float | None, float | None]]:
    """Return where the car is said to be, by the list of cars and by its newest state."""
    with StoreReader(path) as reader:
        (row,) = [car for car in reader.cars() if car.vin == VIN]
        twin = reader.status(VIN)
        place = None if twin is None else twin.position
        return [(row.latitude, row.longitude), (None, None) if place is None else (place.latitude, place.longitude)]


@pytest.mark.parametrize("open_it", [SqliteStore, buffered])
def test_when_all_data_of_a_car_go_it_stands_nowhere_and_is_stored_again(path: Path, open_it: OpenSqlite) -> None:
    """Also in the back end that comes next; and no other car's message gets the number of one that is gone."""
    store = open_it(path)
    store.commit(filled(VIN, 1, "p1", EMAIL), 1)
    store.commit(Batch(writes=[decided(erase(whole=False), 1)]), 1)
    store.save()
    store.close()
    assert positions(path) == [(None, None), (None, None)]
    store = open_it(path)
    assert store.load().presence_boots == {VIN: BOOT}
    assert store.first_id == 4
    store.commit(batch(*[status(seq, OTHER, position=PLACE) for seq in (1, 2, 3)]), 2)
    store.commit(Batch(presences=[presence("offline")]), 2)
    store.save()
    assert positions(path) == [(None, None), (None, None)]
    store.commit(batch(status(1_001, position=PLACE)), 3)
    store.save()
    store.close()
    assert positions(path) == [(PLACE["latitude"], PLACE["longitude"])] * 2


@pytest.mark.parametrize("again", [False, True])
def test_the_newest_state_of_a_present_owner_stays(path: Path, again: bool) -> None:
    """What was said before the erasure's time goes out of it alone, in this process and in the next one."""
    store = SqliteStore(path)
    store.commit(filled(VIN, 1, "p1", EMAIL), 1)
    store.commit(batch(status(4)), 1)
    store.commit(Batch(writes=[decided(erase(whole=False, until=3_000), 1)]), 1)
    assert positions(path) == [(None, None), (None, None)]
    if again:
        store.close()
        store = SqliteStore(path)
    place = PLACE | {"latitude": 59.5}
    store.commit(batch(status(5, mileage_km=None, position=place)), 1)
    assert positions(path) == [(59.5, PLACE["longitude"])] * 2
    with StoreReader(path) as reader:
        (car,) = [car for car in reader.cars() if car.vin == VIN]
        assert car.mileage_km == 4.0
    store.close()


def test_a_store_whose_last_rows_were_erased_is_whole(store: SqliteStore, path: Path) -> None:
    """It is looked through when somebody else has written to the file: what was erased is not missed."""
    store.commit(filled(OTHER, 2, "p2", "bea@example.com"), 1)
    store.commit(filled(VIN, 1, "p1", EMAIL), 1)
    store.commit(Batch(writes=[decided(erase(), 1)]), 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.execute("PRAGMA user_version = 8")
    store.commit(batch(status(9, OTHER)), 1)
    store.rewrite()
    store.commit(batch(status(10, OTHER)), 1)


def test_in_other_peoples_cars_a_person_has_no_name_any_more(store: SqliteStore, path: Path) -> None:
    store.commit(Batch(writes=[decided(CommandOpened(command("c1", OTHER, "p1")), 1)]), 1)
    store.commit(Batch(writes=[decided(erase(), 1)]), 1)
    with StoreReader(path) as reader:
        assert [row.user for row in reader.commands(vin=OTHER)] == [ERASED_USER]


def test_what_is_new_of_an_erased_car_is_stored_as_of_a_new_one(store: SqliteStore, path: Path) -> None:
    """Also in the very process that has erased it: nothing of the old one is remembered."""
    store.commit(filled(VIN, 1, "p1", EMAIL), 1)
    store.commit(Batch(writes=[decided(erase(), 1)]), 1)
    store.commit(batch(status(7)), 1)
    with StoreReader(path) as reader:
        assert [row.seq for row in reader.history(VIN, limit=9)] == [7]
        assert reader.account().missing == 0
        (car,) = [car for car in reader.cars() if car.vin == VIN]
        assert (car.mileage_km, car.latitude) == (7.0, None)
    assert store.load().vins == [VIN]
