"""The outbox in a back end: committed with its cause, delivered once, and told how it ended, whatever dies in between."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from fleet.backend.mail.folder import Folder
from fleet.backend.mail.letter import Letter, NotDelivered, Way
from fleet.backend.mail.smtp import Smtp, SmtpServer
from fleet.backend.mail.webhook import Webhook
from fleet.backend.reader import MailRow, StoreReader
from fleet.backend.service import Backend
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch, Committed
from fleet.cloud.dispatcher import MailNoted, Outcome, Patience
from fleet.cloud.rule import Done, Erase, ErasedCar, Mail, RequestRefused, Rule
from fleet.errors import StoreFull
from fleet.kernel.instants import DAY, MILLISECOND, Instant
from fleet.kernel.schedule import Schedule
from fleet.runtime.backend_configs import virtual_backend
from fleet.runtime.clocks import VirtualClock
from fleet.runtime.shard import wait_until
from fleet.runtime.virtual_loop import run_virtually
from fleet.wire.messages import ServiceRequest
from tests.backend.fake_link import FakeSession
from tests.backend.lab import ANSWERS, DIALECT, BackendLab, running
from tests.backend.mail.lab import AT, DATA, SECRET, VIN
from tests.backend.mail.servers import HOST, Mailbox, Receiver, free_port, http_server, mail_server

QUICK = Patience(first=MILLISECOND, longest=4 * MILLISECOND, tries=5)


class Post(Rule):
    """Sends mails and pushes on demand, one or many."""

    name: ClassVar[str] = "post"

    def asked(self, request: ServiceRequest, now: Instant) -> Done | RequestRefused:
        data = request.data
        self.notes["asked"] = self.notes.get("asked", 0) + 1
        mail = Mail(
            data.get("account", "p1"), data.get("address", "anna@example.org"), "en", data.get("kind", "password_reset"),
            DATA, VIN, data.get("channel", "mail"), SECRET,
        )  # fmt: skip
        return Done([mail] * data.get("count", 1))


@dataclass
class Told:
    """A way that does what a test says: outcomes in their order, the last one stays. `hands` hands each letter over first."""

    outcomes: list[Outcome] = field(default_factory=lambda: ["sent"])
    hands: bool = False
    is_quick: bool = False
    delivered: list[Letter] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    go: threading.Event | None = None
    """A try ends only when it is set."""

    def deliver(self, letter: Letter, hand_over: Callable[[], None]) -> None:
        outcomes = self.outcomes
        outcome = outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]
        if self.hands:
            hand_over()
        self.delivered.append(letter)
        if self.go is not None:
            self.go.wait(30)
        if outcome != "sent":
            raise NotDelivered(outcome, f"told to be {outcome}")

    def remove(self, letter: Letter) -> None:
        self.removed.append(letter.id)


class Faulty:
    """A way with a defect."""

    is_quick = False

    def __init__(self, *, hands: bool) -> None:
        self._hands = hands
        self.tried = 0

    def deliver(self, letter: Letter, hand_over: Callable[[], None]) -> None:
        self.tried += 1
        if self._hands:
            hand_over()
        raise ZeroDivisionError(letter.secret)

    def remove(self, letter: Letter) -> None:
        raise AssertionError("nothing is erased here")


def options(way: Way, *, patience: Patience = QUICK, push: Way | None = None, **more: Any) -> dict[str, Any]:
    ways = {"mail": way} | ({} if push is None else {"push": push})
    return {"rules": (Post,), "ways": ways, "patience": patience} | more


async def post(lab: BackendLab, request_id: str = "r1", **data: Any) -> None:
    lab.ask(ServiceRequest(id=request_id, service="post", action="send", data=data))
    await lab.state(request_id, "succeeded")


def rows(path: Path) -> list[MailRow]:
    """Return all mails, the oldest first."""
    with StoreReader(path) as reader:
        return reader.mails(limit=2_000)[::-1]


async def until(condition: Callable[[], bool]) -> None:
    assert await wait_until(condition, 8, every_s=0.002)


async def until_states(lab: BackendLab, *states: str) -> list[MailRow]:
    """Wait until the mails stand so in the store, and return them."""
    found: list[MailRow] = []

    def stand_so() -> bool:
        found[:] = rows(lab.path)
        return [row.state for row in found] == list(states)

    await until(stand_so)
    return found


def secrets_of(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT secret FROM mail ORDER BY id")]


# --- once, and with its cause -----------------------------------------------------------------------------------------


async def test_a_mail_is_sent_once_it_is_stored_and_then_holds_no_secret(path: Path) -> None:
    way = Told(hands=True)
    async with running(path, **options(way)) as lab:
        await post(lab)
        (row,) = await until_states(lab, "sent")
        assert lab.backend.snapshot().mails == {"sent": 1}
    (letter,) = way.delivered
    assert (letter.id, letter.account, letter.address, letter.kind, letter.secret) == (
        1,
        "p1",
        "anna@example.org",
        "password_reset",
        SECRET,
    )
    assert letter.data == DATA
    assert (row.tries, row.error) == (1, "")
    assert row.sent_wall_us is not None
    assert secrets_of(path) == [""]


async def test_many_are_sent_each_once(path: Path) -> None:
    """More than may be tried at once, and more than are held in memory."""
    way = Told()
    async with running(path, **options(way)) as lab:
        await post(lab, "r1", count=1_200)
        await post(lab, "r2", count=30)
        await until_states(lab, *["sent"] * 1_230)
    assert sorted(letter.id for letter in way.delivered) == list(range(1, 1_231))


async def test_a_commit_that_fails_sends_nothing(path: Path) -> None:
    """What was not stored has not been: the request is done again, and its mail goes out once, under its number."""

    class Failing(SqliteStore):
        failures = 1

        def commit(self, batch: Batch, stored_at: int) -> Committed:
            if Failing.failures and any(type(decided.write).__name__ == "MailPosted" for decided in batch.writes):
                Failing.failures -= 1
                raise ValueError("planted")
            return super().commit(batch, stored_at)

    way = Told()
    async with running(path, **options(way, open_store=Failing)) as lab:
        await post(lab)
        await until_states(lab, "sent")
        with StoreReader(path) as reader:
            assert reader.service_state("post") == {"asked": 1}
    assert [letter.id for letter in way.delivered] == [1]


async def test_an_outcome_whose_commit_failed_is_told_again(path: Path) -> None:
    """That it was sent cannot be undone; it is not sent again."""

    class Failing(SqliteStore):
        failures = 1

        def commit(self, batch: Batch, stored_at: int) -> Committed:
            if Failing.failures and any(getattr(decided.write, "state", "") == "sent" for decided in batch.writes):
                Failing.failures -= 1
                raise ValueError("planted")
            return super().commit(batch, stored_at)

    way = Told(hands=True)
    async with running(path, **options(way, open_store=Failing)) as lab:
        await post(lab)
        await until_states(lab, "sent")
    assert len(way.delivered) == 1
    assert Failing.failures == 0


async def test_without_a_way_mails_are_kept_and_hold_no_secret(path: Path) -> None:
    """Those of another channel are delivered all the same, and a back end that has a way later sends none of them."""
    push = Told()
    async with running(path, rules=(Post,), ways={"push": push}) as lab:
        await post(lab)
        await post(lab, "r2", channel="push", kind="user_removed")
        await until_states(lab, "kept", "sent")
    assert secrets_of(path) == ["", ""]
    way = Told()
    async with running(path, **options(way)) as lab:
        await post(lab, "r3")
        await until_states(lab, "kept", "sent", "sent")
    assert [letter.id for letter in way.delivered] == [3]


# --- how it ends ------------------------------------------------------------------------------------------------------


async def test_tries_end_and_that_is_told(path: Path) -> None:
    """After the last one it has failed; the warning says nothing of the person."""
    way = Told(["deferred"])
    async with running(path, **options(way)) as lab:
        await post(lab)
        (row,) = await until_states(lab, "failed")
        (warning,) = [text for text in lab.backend.snapshot().warnings if "mail 1" in text]
    assert (row.tries, row.error) == (5, "given up after 5 tries; the last: told to be deferred")
    assert len(way.delivered) == 5
    assert "anna" not in warning


async def test_what_is_refused_or_unknown_stays_so(path: Path) -> None:
    way = Told(["refused", "unknown", "sent"], hands=True)
    async with running(path, **options(way)) as lab:
        await post(lab)
        await until_states(lab, "failed")
        await post(lab, "r2")
        _, row = await until_states(lab, "failed", "unknown")
        await post(lab, "r3")
        await until_states(lab, "failed", "unknown", "sent")
    assert row.error == "told to be unknown"
    assert len(way.delivered) == 3


@pytest.mark.parametrize(("hands", "state", "tries"), [(False, "failed", 5), (True, "unknown", 1)])
async def test_a_defect_of_a_way_is_tried_again_only_while_the_letter_is_ours(
    path: Path, hands: bool, state: str, tries: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the log shows where it was, but nothing of the letter."""
    way = Faulty(hands=hands)
    async with running(path, **options(way)) as lab:
        await post(lab)
        await until_states(lab, state)
    assert way.tried == tries
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err


async def test_a_mail_that_nobody_can_get_harms_no_other(path: Path) -> None:
    """Header injection, a kind without a text: refused for good, and the next one is sent."""
    with mail_server(box := Mailbox()) as port:
        async with running(path, **options(Smtp(SmtpServer(HOST, port)))) as lab:
            await post(lab, "r1", address="anna@example.org\r\nBcc: all@example.org")
            await post(lab, "r2", kind="none_such")
            await post(lab, "r3")
            await until_states(lab, "failed", "failed", "sent")
    assert [envelope.rcpt_tos for envelope in box.taken] == [["anna@example.org"]]


# --- kills and restarts -----------------------------------------------------------------------------------------------


def left_by_a_kill(path: Path, state: str, **changes: Any) -> None:
    """Bring the one mail of a store into the state in which a kill left it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE mail SET state = ?, secret = ?, sent_wall_us = NULL", (state, SECRET))
        for column, value in changes.items():
            connection.execute(f"UPDATE mail SET {column} = ?", (value,))
        connection.commit()


async def sent_before(path: Path) -> None:
    async with running(path, **options(Told())) as lab:
        await post(lab)
        await until_states(lab, "sent")


async def test_a_restart_goes_on_with_what_waits(path: Path) -> None:
    """Also when it is not due yet: it keeps its tries and its time."""
    await sent_before(path)
    left_by_a_kill(path, "waiting", tries=4)
    way = Told(["deferred"])
    async with running(path, **options(way)) as lab:
        (row,) = await until_states(lab, "failed")
    assert row.tries == 5
    assert len(way.delivered) == 1
    assert way.delivered[0].secret == SECRET


async def test_what_was_leaving_when_it_was_killed_is_unknown_and_not_sent_again(path: Path) -> None:
    await sent_before(path)
    left_by_a_kill(path, "sending", tries=3)
    way = Told()
    async with running(path, **options(way)) as lab:
        (row,) = await until_states(lab, "unknown")
        assert "may have arrived" in row.error
        assert any("mail 1 is unknown" in text for text in lab.backend.snapshot().warnings)
        assert row.tries == 3
        await post(lab, "r2")
        await until_states(lab, "unknown", "sent")
    assert [letter.id for letter in way.delivered] == [2]


async def test_what_has_waited_for_days_is_not_sent(path: Path) -> None:
    await sent_before(path)
    left_by_a_kill(path, "waiting", wall_us=rows(path)[0].wall_us - 3 * DAY)
    way = Told()
    async with running(path, **options(way)) as lab:
        await until_states(lab, "failed")
    assert way.delivered == []


async def test_a_number_is_never_used_twice(path: Path) -> None:
    """Not even that of a mail that was erased: another would be taken for it."""
    await sent_before(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM mail")
        connection.commit()
    async with running(path, **options(way := Told())) as lab:
        await post(lab, "r2")
        await until_states(lab, "sent")
    assert [letter.id for letter in way.delivered] == [2]


async def test_the_note_comes_before_the_letter_leaves(path: Path) -> None:
    """Whoever kills the back end at that moment finds it in the store."""
    way = Told(hands=True, go=threading.Event())
    async with running(path, **options(way)) as lab:
        await post(lab)
        (row,) = await until_states(lab, "sending")
        assert row.tries == 1
        assert way.go is not None
        way.go.set()
        await until_states(lab, "sent")


async def test_while_the_disk_is_full_no_letter_leaves(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be noted that it leaves; once there is room again it does, once."""
    monkeypatch.setattr("fleet.backend.mail.deliverer.NOTE_S", 0.05)

    class Full(SqliteStore):
        is_full = True

        def commit(self, batch: Batch, stored_at: int) -> Committed:
            if Full.is_full and any(getattr(decided.write, "state", "") == "sending" for decided in batch.writes):
                raise StoreFull(str(self.path))
            return super().commit(batch, stored_at)

    tried: list[str] = []

    class Asking(Told):
        def deliver(self, letter: Letter, hand_over: Callable[[], None]) -> None:
            try:
                super().deliver(letter, hand_over)
            except NotDelivered as error:
                tried.append(error.detail)
                raise

    way = Asking(hands=True)
    async with running(path, **options(way, patience=Patience(first=MILLISECOND, tries=99), open_store=Full)) as lab:
        await post(lab)
        await until(lambda: bool(tried))
        assert way.delivered == []
        Full.is_full = False
        await until_states(lab, "sent")
    assert len(way.delivered) == 1
    assert tried[0].startswith("the store could not note that it leaves")


async def test_stopping_waits_for_what_is_under_way_and_begins_nothing_more(path: Path) -> None:
    way = Told(hands=True, go=threading.Event())
    assert way.go is not None
    async with running(path, **options(way)) as lab:
        await post(lab, count=9)
        await until(lambda: len(way.delivered) == QUICK.at_once)
        asyncio.get_running_loop().call_later(0.05, way.go.set)
    states = [row.state for row in rows(path)]
    assert states.count("sent") == QUICK.at_once
    assert states.count("waiting") == 9 - QUICK.at_once


# --- real ways --------------------------------------------------------------------------------------------------------


async def test_a_server_that_was_down_gets_all_once_it_is_up(path: Path) -> None:
    """Each once; while it is down no mail fails, and its pauses grow."""
    port = free_port()
    patience = Patience(first=10 * MILLISECOND, longest=40 * MILLISECOND)
    async with running(path, **options(Smtp(SmtpServer(HOST, port)), patience=patience)) as lab:
        await post(lab, count=6)
        await until(lambda: sum(row.tries for row in rows(path)) >= 4)
        assert {row.state for row in rows(path)} == {"waiting"}
        with mail_server(box := Mailbox(), port) as _:
            await until_states(lab, *["sent"] * 6)
    assert len(box.taken) == 6
    assert len({envelope.content for envelope in box.taken}) == 6


async def test_a_push_is_posted_again_under_its_name_until_it_is_taken(path: Path) -> None:
    receiver = Receiver(answers=[503, 500, 200])
    with http_server(receiver) as port:
        way = Webhook(f"http://{HOST}:{port}/", b"k" * 32, lambda: 0)
        async with running(path, **options(Told(), push=way)) as lab:
            await post(lab, channel="push", kind="user_removed")
            (row,) = await until_states(lab, "sent")
    assert row.tries == 3
    assert len(receiver.posted) == 3
    assert len({got.headers["webhook-id"] for got in receiver.posted}) == 1


async def test_files_are_written_in_place(path: Path, tmp_path: Path) -> None:
    async with running(path, **options(Folder(tmp_path / "mail"), push=Folder(tmp_path / "mail"))) as lab:
        await post(lab, count=20)
        await post(lab, "r2", channel="push", kind="user_removed")
        await until_states(lab, *["sent"] * 21)
        assert lab.backend.mails.is_idle
    written = sorted(file.suffix for file in (tmp_path / "mail").iterdir())
    assert written == [".eml"] * 20 + [".json"]


def test_a_virtual_run_writes_the_same_files_each_time(tmp_path: Path) -> None:
    """Byte for byte, with their names: times and numbers come from the schedule."""

    def mails_of(folder: Path) -> dict[str, bytes]:
        folder.mkdir()
        schedule, session = Schedule(AT), FakeSession()
        clock = VirtualClock(schedule, AT, factor=1.0, epoch_wall_us=None)
        made = virtual_backend(folder / "fleet.sqlite", session, schedule, key=1, clock=clock)
        backend = Backend(replace(made, rules=(Post,), ways={"mail": Folder(folder / "mail")}, batch_wait_s=30.0))

        async def main() -> None:
            await backend.start()
            for number in range(20):
                asked = ServiceRequest(id=f"r{number}", service="post", action="send", data={"count": 2})
                session.deliver(DIALECT.desk_request(asked, answer_topic=ANSWERS))
                await asyncio.sleep(3600 * number)
            await backend.stop(quiet_s=60)

        run_virtually(main(), schedule)
        assert [row.state for row in rows(folder / "fleet.sqlite")] == ["sent"] * 40
        return {file.name: file.read_bytes() for file in (folder / "mail").iterdir()}

    first = mails_of(tmp_path / "a")
    assert len(first) == 40
    assert mails_of(tmp_path / "b") == first


async def test_an_erased_mail_is_not_sent(path: Path) -> None:
    way = Told(["unreachable"])
    async with running(path, **options(way, patience=Patience(first=20 * MILLISECOND, at_once=1))) as lab:
        await post(lab, count=3)
        await until(lambda: lab.backend.mails.is_idle)
        tried = len(way.delivered)
        lab.backend.mails.forget(lambda letter: letter.account == "p1" and letter.id < 4)
        way.outcomes = ["sent"]
        await post(lab, "r2")
        await until(lambda: len(way.delivered) > tried)
        assert [letter.id for letter in way.delivered[tried:]] == [4]


async def test_what_is_erased_is_taken_out_of_the_folder_once_that_is_stored(path: Path, tmp_path: Path) -> None:
    """The mails to a person, and those about a car, to whomever; what is not committed has removed nothing."""
    async with running(path, **options(Folder(tmp_path / "mail"))) as lab:
        for number, account in enumerate(("p1", "p2", "p3")):
            await post(lab, f"r{number}", account=account)
        await until_states(lab, "sent", "sent", "sent")
        lab.backend.mails.erase(Erase("e1", 0, account="p2"))
        assert len(list((tmp_path / "mail").iterdir())) == 3
        lab.backend.context.write(MailNoted(1, "sent", 1))
        lab.backend.context.changed()
        await until(lambda: len(list((tmp_path / "mail").iterdir())) == 2)
        lab.backend.mails.erase(Erase("e2", 0, (ErasedCar(VIN, whole=True, until=0),)))
        lab.backend.context.write(MailNoted(1, "sent", 1))
        lab.backend.context.changed()
        await until(lambda: not list((tmp_path / "mail").iterdir()))


async def test_a_mail_that_is_erased_before_it_is_stored_is_not_sent(path: Path) -> None:
    """Its cause and the erasure are in one batch."""

    class Erasing(Post):
        backend: ClassVar[Any] = None

        def asked(self, request: ServiceRequest, now: Instant) -> Done | RequestRefused:
            if request.action == "erase":
                self.backend.mails.forget(lambda letter: True)
                return Done()
            return super().asked(request, now)

    way = Told()
    async with running(path, **options(way, rules=(Erasing,))) as lab:
        Erasing.backend = lab.backend
        lab.ask(ServiceRequest(id="r1", service="post", action="send", data={"count": 2}))
        lab.ask(ServiceRequest(id="r2", service="post", action="erase"))
        await lab.state("r2", "succeeded")
        await post(lab, "r3")
        await until(lambda: bool(way.delivered))
    assert [letter.id for letter in way.delivered] == [3]


async def test_the_address_of_somebody_without_an_account_goes_when_the_mail_has_gone(path: Path) -> None:
    """Such as of somebody who was erased, and is told so."""
    way = Told(["deferred", "sent"])
    async with running(path, **options(way)) as lab:
        await post(lab, account="")
        (row,) = await until_states(lab, "sent")
    assert [letter.address for letter in way.delivered] == ["anna@example.org"] * 2
    assert row.address == ""
    async with running(path, rules=(Post,)) as lab:
        await post(lab, "r2", account="")
        _, row = await until_states(lab, "sent", "kept")
    assert row.address == ""


# --- sent again by hand -----------------------------------------------------------------------------------------------


async def retry(lab: BackendLab, request_id: str, action: str = "retry", **data: Any) -> tuple[str, str | None]:
    lab.ask(ServiceRequest(id=request_id, service="mail", action=action, data=data))
    answer = await lab.state(request_id, "succeeded", "rejected")
    return answer.state, answer.detail


async def test_what_failed_is_sent_again_when_a_person_says_so(path: Path) -> None:
    way = Told(["refused", "sent"])
    async with running(path, **options(way)) as lab:
        await post(lab)
        await until_states(lab, "failed")
        assert await retry(lab, "a", id=1) == ("succeeded", None)
        (row,) = await until_states(lab, "sent")
        assert row.tries == 1
        assert await retry(lab, "b", id=1) == ("rejected", "it is sent; only what has failed or is unknown can be sent again")
        assert await retry(lab, "c", id=2) == ("rejected", "there is no mail 2")
        assert await retry(lab, "d") == ("rejected", "which mail? its number is missing")
        assert await retry(lab, "e", id="1 OR 1") == ("rejected", "which mail? its number is missing")
        assert await retry(lab, "f", id=True) == ("rejected", "which mail? its number is missing")
        assert await retry(lab, "g", action="send", id=1) == ("rejected", "mails can be asked to: retry")
    first, second = way.delivered
    assert first == second  # under the same Message-ID
    assert second.secret == SECRET
