"""The archive with a person's data."""

from __future__ import annotations

import csv
import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.backend.decisions import MailPosted, StoredWrite, decided
from fleet.backend.mail.letter import Letter
from fleet.backend.reader import StoreReader
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch
from fleet.cloud.desk_io import CommandOpened, CommandRecord
from fleet.cloud.people.people import RULE
from fleet.cloud.people.records import Account, CarPeople, CarUser, Consent, Invoice, Session
from fleet.cloud.rule import Keep, Notify
from fleet.errors import UsageError
from fleet.runtime.exporting import counts_of, tables_of, write_archive
from tests.backend.lab import OTHER, VIN, batch, status

SINCE = 3_000


def place(number: int) -> dict[str, Any]:
    return {"latitude": 41.0 + number, "longitude": 2.0, "accuracy_m": 8.0, "fixed_at": number}


def keep(key: str, record: msgspec.Struct) -> Keep:
    return Keep(RULE, key, msgspec.json.encode(record).decode())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Anna owns a car since its third message; before that it was somebody else's."""
    path = tmp_path / "store.sqlite"
    writer = SqliteStore(path)
    for seq in range(1, 6):
        writer.commit(batch(status(seq, position=place(seq)), status(seq, OTHER, position=place(20 + seq))), 1)
    consents = (Consent(what="terms", version="1", given=True, at=1),)
    anna = Account(
        id="p1", email="anna@example.com", registered=1, password="$argon2id$secret", first_name="=Anna", consents=consents
    )
    users = {"p1": CarUser(role="primary", since=SINCE), "p2": CarUser(role="guest", since=SINCE)}
    notes = [
        keep("account/p1", anna),
        keep("account/p2", Account(id="p2", email="bea@example.com", registered=1)),
        keep(f"car/{VIN}", CarPeople(vin=VIN, managed=True, users=users)),
        keep("session/sha256:abc", Session(account="p1", device="phone", began=1, used=1, ends=9, refresh="sha256:def")),
        keep("invoice/i1", Invoice(number="i1", cents=900, at=1, account="p1", words="data plan")),
        keep("invoice/i2", Invoice(number="i2", cents=800, at=1, account="p2")),
    ]
    command = CommandRecord(
        id="c1", vin=VIN, name="honk", user="p1", parameters={}, answer_topic="", asked_at=1, expires_at=2, due_wall_us=None,
        changed_at=1,
    )  # fmt: skip
    letter = Letter(1, "p1", "anna@example.com", "en", "enrolled", {}, VIN, "mail", 1, 1, "fleet_secret")
    writes: list[StoredWrite] = [
        *notes,
        CommandOpened(command),
        Notify(VIN, "primary_user", "fault", {}, SINCE + 1),
        MailPosted(letter, "sent"),
    ]
    writer.commit(Batch(writes=[decided(write, 1) for write in writes]), 1)
    writer.close()
    return path


def test_all_of_a_person_is_there_and_nothing_of_others(store: Path) -> None:
    """The previous owner's time is not the person's, nor other cars, people and their invoices."""
    with StoreReader(store) as reader:
        tables = tables_of(reader, "p1")
    assert [row["at"] for row in tables["messages"]] == [3_000, 4_000, 5_000]
    assert [row["latitude"] for row in tables["positions"]] == [44.0, 45.0, 46.0]
    assert {name for name, count in counts_of(tables).items() if count} == {
        "account", "consents", "sessions", "cars", "messages", "positions", "invoices", "commands", "notices", "mails"
    }  # fmt: skip
    text = json.dumps(tables)
    for word in (OTHER, "bea@example.com", "p2", "i2"):
        assert word not in text, word


def test_no_secret_is_in_it(store: Path) -> None:
    """No hash, token, digest or link."""
    with StoreReader(store) as reader:
        text = json.dumps(tables_of(reader, "p1"))
    for word in ("argon2id", "sha256", "fleet_secret"):
        assert word not in text, word


def test_the_archive_has_each_table_twice(store: Path, tmp_path: Path) -> None:
    """As JSON and as CSV, for its owner alone; the same data are the same bytes; no cell is a formula."""
    path = tmp_path / "anna.zip"
    with StoreReader(store) as reader:
        tables = tables_of(reader, "p1")
    write_archive(path, tables)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        assert {Path(name).suffix for name in archive.namelist()} == {".json", ".csv"}
        assert json.loads(archive.read("positions.json")) == tables["positions"]
        rows = list(csv.DictReader(io.StringIO(archive.read("positions.csv").decode())))
        assert [row["at"] for row in rows] == [f"1970-01-01T00:00:00.00{each}000Z" for each in (3, 4, 5)]
        assert b"'=Anna" in archive.read("account.csv")
    write_archive(tmp_path / "again.zip", tables)
    assert path.read_bytes() == (tmp_path / "again.zip").read_bytes()
    with pytest.raises(FileExistsError):
        write_archive(path, tables)


def test_another_store_is_told(store: Path) -> None:
    with StoreReader(store) as reader, pytest.raises(UsageError, match="no account p9"):
        tables_of(reader, "p9")
