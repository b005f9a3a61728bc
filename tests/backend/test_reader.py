"""Reading a store beside its writer, or without one."""

from __future__ import annotations

import shutil
from pathlib import Path

from fleet.backend.decisions import MailPosted, decided
from fleet.backend.reader import StoreReader
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch
from fleet.cloud.dispatcher import MailNoted
from tests.backend.lab import OTHER, VIN, batch, event, status
from tests.backend.mail.lab import MADE, SECRET, letter


def test_history_is_cut_by_limit_time_and_kind(store: SqliteStore, path: Path) -> None:
    store.commit(batch(*[status(n) for n in range(1, 9)], event(9), status(1, vin=OTHER)), 1)
    with StoreReader(path) as reader:
        assert [row.seq for row in reader.history(VIN, limit=3)] == [9, 8, 7]
        assert [row.seq for row in reader.history(VIN, since=7_000)] == [9, 8, 7]
        assert [row.seq for row in reader.history(VIN, kind="event")] == [9]
        assert reader.history("nobody") == []


def test_a_closed_store_is_read_without_the_right_to_write(store: SqliteStore, path: Path) -> None:
    """Tools may run where they cannot create the files that WAL wants."""
    store.commit(batch(status(1)), 1)
    store.close()
    copy = path.with_name("copy ? #.sqlite")
    shutil.copy(path, copy)
    with StoreReader(copy) as reader:
        assert reader.account().stored == 1
        assert reader.meta()["created_by"] == '"test"'


def test_mails_are_read_the_newest_first_and_counted(store: SqliteStore, path: Path) -> None:
    """By person, kind and state; the secret of a link is nowhere in what is read."""
    letters = [letter("password_reset", id=1, secret=SECRET), letter(id=2, account="p2", address="Bo@example.org"), letter(id=3)]
    store.commit(Batch(writes=[decided(MailPosted(each, "waiting"), MADE) for each in letters]), MADE)
    store.commit(Batch(writes=[decided(MailNoted(2, "sent", 4), MADE + 7)]), MADE + 7)
    with StoreReader(path) as reader:
        assert [row.id for row in reader.mails()] == [3, 2, 1]
        assert [row.id for row in reader.mails(limit=1)] == [3]
        assert [row.id for row in reader.mails(person="bo@example.org")] == [2]
        assert [row.id for row in reader.mails(person="p1", kind="password_reset")] == [1]
        assert [row.id for row in reader.mails(state="sent")] == [2]
        assert reader.mail(4) is None
        sent = reader.mail(2)
        assert sent is not None
        assert (sent.tries, sent.sent_wall_us, sent.letter()) == (4, MADE + 7, letters[1])
        assert SECRET not in repr(reader.mails())
        assert reader.mail_counts() == {"licence_renewed": {"sent": 1, "waiting": 1}, "password_reset": {"waiting": 1}}
