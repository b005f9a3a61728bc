"""What is left of somebody in the files of a run."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest

from fleet.backend.decisions import decided
from fleet.backend.needles import text_needle
from fleet.backend.reader import StoreReader
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch
from fleet.cloud.people.people import RULE
from fleet.cloud.people.records import Account, CarPeople, CarUser, Consent, Record
from fleet.cloud.rule import Keep
from fleet.errors import UsageError
from fleet.observe.journal import Begin, JournalWriter
from fleet.runtime.traces import Subject, files_of, needles_by_name, needles_of, rewrite, search, subject_of
from tests.backend.lab import VIN, batch, status
from tests.observe.test_redacting import journal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = SqliteStore(tmp_path / "store.sqlite")
    place = {"latitude": 41.3851234, "longitude": 2.1734567, "accuracy_m": 8.0, "fixed_at": 1}
    store.commit(batch(status(1, position=place)), 1)
    store.close()
    return tmp_path


def test_a_position_is_looked_for_where_it_was(folder: Path) -> None:
    """Before the erasure the search finds what it will look for afterwards: VIN and position, in the store itself."""
    with StoreReader(folder / "store.sqlite") as reader:
        subject = subject_of(reader, VIN)
        needles = needles_of(reader, subject, whole=True)
        assert needles_of(reader, subject, whole=False) == []  # it stands there still
    assert subject == Subject("", (VIN,), ())
    found = search(files_of(folder, folder / "store.sqlite"), needles)
    assert {trace.what for trace in found} == {"a VIN (1)", "position (2)"}
    assert not any(VIN in trace.what for trace in found)


def test_packed_files_and_names_are_searched_too(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"x": "VSSZZZKMZPR000001"}\n'))
    (tmp_path / f"of-{VIN}.txt").write_text("nothing")
    (tmp_path / "other.txt").write_text("nothing")
    found = search(files_of(tmp_path, tmp_path / "store.sqlite"), [text_needle("VIN", VIN)])
    assert [Path(trace.where).name for trace in found] == ["a.jsonl.gz", f"of-{VIN}.txt"]


def test_journals_are_rewritten_copies_removed_and_what_runs_is_refused(folder: Path) -> None:
    store = folder / "store.sqlite"
    ended = journal(folder / "journal.jsonl")
    running = journal(folder / "running.jsonl", ended=False)
    JournalWriter(folder / "elsewhere.jsonl", Begin(1, "run", "begin")).close(1, {})
    copy = folder / "store.sqlite.schema-6"
    copy.write_bytes(store.read_bytes())
    done = rewrite(files_of(folder, store), store, [VIN])
    assert done.journals == {str(ended): 666}
    assert done.removed == (str(copy),)
    assert list(done.refused) == [str(running)]
    assert not copy.exists()


def test_in_a_journal_an_account_stands_by_its_id() -> None:
    """In quotes: p1 is not p17."""
    words = Subject("p1", (VIN,), ("anna@example.com",)).in_journals
    assert [word for word in words if word in '{"person":"p17"}'] == []
    assert [word for word in words if word in '{"person":"p1"}'] == ['"p1"']
    assert [needle.what for needle in needles_by_name(Subject("p1", (VIN,), ("anna@example.com",)))] == [
        "a VIN (1)", "a name of the person (2)"
    ]  # fmt: skip


def test_nobody_of_that_name_is_told(folder: Path) -> None:
    with StoreReader(folder / "store.sqlite") as reader, pytest.raises(UsageError, match="nobody has an account"):
        subject_of(reader, "anna@example.com")


def test_positions_of_former_cars_are_looked_for_up_to_when_the_next_one_had_them(tmp_path: Path) -> None:
    """Their VINs are not, nor where such a car stands: they are somebody else's, or nobody's."""
    contract = Consent(what="contract", version="1", given=True, at=1, vin=VIN)
    bea = CarUser(role="primary", since=3_500)
    notes: dict[str, Record] = {
        "account/p1": Account(id="p1", email="anna@example.com", registered=1, consents=(contract,)),
        f"car/{VIN}": CarPeople(vin=VIN, managed=True, users={"p2": bea}),
    }
    store = SqliteStore(tmp_path / "store.sqlite")
    easts = (2.2345678, 2.3456789, 2.4567891, 2.5678912)
    places = [{"latitude": 41.3851234, "longitude": east, "accuracy_m": 8.0, "fixed_at": 1} for east in easts]
    store.commit(batch(*[status(seq, position=place) for seq, place in enumerate(places, 2)]), 1)
    keeps = [Keep(RULE, key, msgspec.json.encode(record).decode()) for key, record in notes.items()]
    store.commit(Batch(writes=[decided(keep, 1) for keep in keeps]), 1)
    store.close()
    with StoreReader(tmp_path / "store.sqlite") as reader:
        subject = subject_of(reader, "anna@example.com")
        assert subject == Subject("p1", (), ("anna@example.com",), ((VIN, 3_499),))
        needles = needles_of(reader, subject, whole=True)
        assert [needle.what for needle in needles] == ["a name of the person (1)", "position (2)", "position (3)"]
        assert needles_of(reader, subject, whole=False) == []
