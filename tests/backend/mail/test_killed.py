"""A back end that sends mails is killed with -9 again and again: no mail is sent twice, and none is lost without a word."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fleet.backend.reader import MailRow, StoreReader
from fleet.errors import StoreError
from fleet.kernel.draws import Draws
from fleet.runtime.shard import wait_until
from tests.backend.mail.servers import Mailbox, mail_server
from tests.backend.mail.test_smtp import text_of
from tests.nightly import draws

pytestmark = pytest.mark.live

KILLS = draws(4, 20)
PER_ROUND = 30


@asynccontextmanager
async def back_end(store: Path, port: int, count: int = 0) -> AsyncIterator[None]:
    """Run one until the end of the block, where it is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.backend.mail.mail_process", str(store), str(port), str(count),
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        await process.wait()


def rows(store: Path) -> list[MailRow]:
    try:
        with StoreReader(store) as reader:
            return reader.mails(limit=10_000)
    except StoreError:  # it is being made
        return []


async def until(condition: Callable[[], bool]) -> None:
    assert await wait_until(condition, 40)


def arrived(box: Mailbox) -> Counter[str]:
    return Counter(text_of(envelope)["Message-ID"] for envelope in box.taken)


async def test_killed_while_it_leaves_a_mail_is_unknown_and_is_not_sent_again(path: Path) -> None:
    """The server has its text, and has not answered when the back end dies: it takes it all the same."""
    box = Mailbox(release=threading.Event())
    with mail_server(box) as port:
        async with back_end(path, port, 1):
            await until(lambda: [row.state for row in rows(path)] == ["sending"])
        assert box.release is not None
        box.release.set()
        async with back_end(path, port, 1):
            await until(lambda: sorted(row.state for row in rows(path)) == ["sent", "unknown"])
    names = arrived(box)
    assert set(names.values()) == {1}
    assert len(names) <= 2  # the one that is unknown may have arrived


async def test_killed_while_the_server_refuses_for_now_a_mail_is_sent_once_it_does_not(path: Path) -> None:
    box = Mailbox(to_receiver="450 4.2.1 come again")
    with mail_server(box) as port:
        async with back_end(path, port, 3):
            await until(lambda: len(rows(path)) == 3 and sum(row.tries for row in rows(path)) > 3)
        assert {row.state for row in rows(path)} == {"waiting"}
        box.to_receiver = ""
        async with back_end(path, port):
            await until(lambda: [row.state for row in rows(path)] == ["sent"] * 3)
    assert sorted(arrived(box).values()) == [1, 1, 1]


@pytest.mark.random
async def test_killed_at_any_moment_nothing_is_sent_twice(path: Path) -> None:
    """Whatever is noted as sent has arrived once; what is unknown has arrived once or not at all; nothing else is left."""
    box = Mailbox()
    draw = Draws(1, "kills")
    with mail_server(box) as port:
        for _ in range(KILLS):
            before = len(box.taken)
            wanted = before + 1 + int(draw.unit() * PER_ROUND)
            async with back_end(path, port, PER_ROUND):
                await until(lambda wanted=wanted: len(box.taken) >= wanted)  # type: ignore[misc]
        async with back_end(path, port):
            await until(lambda: all(row.state in {"sent", "unknown"} for row in rows(path)))
    names = arrived(box)
    assert max(names.values()) == 1
    found = rows(path)
    of_sent = {f"<mail-{row.id}.{row.wall_us}@fleet.example>" for row in found if row.state == "sent"}
    of_unknown = {f"<mail-{row.id}.{row.wall_us}@fleet.example>" for row in found if row.state == "unknown"}
    assert of_sent <= names.keys()
    assert names.keys() <= of_sent | of_unknown
    assert len(of_unknown) <= 4 * KILLS
