"""Child processes: what they tell, how they end, and what is said when they fail. Real processes, no broker."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import Unreachable, UsageError
from fleet.runtime.children import Child, ChildFailed
from fleet.runtime.shard import wait_until

pytestmark = pytest.mark.live

NOBODY = "mqtt://127.0.0.1:9"  # the discard port, where nobody listens


class Heard(list[dict[str, Any]]):
    """What a child has told."""

    @property
    def log(self) -> str:
        return "\n".join(message["text"] for message in self if message["type"] == "log")


@asynccontextmanager
async def child(arguments: Sequence[str], **environment: str) -> AsyncIterator[tuple[Child, Heard]]:
    heard = Heard()
    made = await Child.start("part", arguments, environment=environment, listen=heard.append)
    try:
        yield made, heard
    finally:
        await made.end()


def backend(folder: Path, *more: str) -> list[str]:
    return ["backend", "--broker", NOBODY, "--store", str(folder / "store.sqlite"), "--json", "--until-eof", *more]


async def test_it_tells_and_ends_in_order_when_asked(tmp_path: Path) -> None:
    """Lines come as messages, the newest of each type is kept; asked to end it says its result and ends with 0."""
    async with child(backend(tmp_path)) as (part, heard):
        progress = await part.wait_for("progress", 20)
        assert progress["connected"] is False
        assert await part.end() == 0
        assert part.seen["result"]["stored"] == 0
        assert not part.is_running
    assert "Connection refused" in heard.log


async def test_it_can_be_ended_while_it_is_still_starting(tmp_path: Path) -> None:
    """The wish to end is not lost on a child that has not set up anything yet: it ends in order, by itself."""
    async with child(backend(tmp_path)) as (part, _):
        part.interrupt()
        part.interrupt()
        async with asyncio.timeout(20):
            assert (await part.wait_for("result"))["type"] == "result"
        assert await part.end() == 0


async def test_why_it_failed_is_told_in_its_own_words(tmp_path: Path) -> None:
    """An error raised on purpose arrives with its hint, at once and not after a time-out."""
    (tmp_path / "store.sqlite").mkdir()
    async with child(backend(tmp_path)) as (part, _):
        with pytest.raises(ChildFailed, match=r"store\.sqlite") as caught:
            await part.wait_for("ready", 20)
        assert caught.value.hint
        assert "Traceback" not in str(caught.value)
        assert await part.end() == 2


async def test_a_wrong_call_is_told_by_what_it_wrote_last() -> None:
    """What ends before it can tell has at least its exit code and its last lines."""
    async with child(["backend", "--no-such-option"]) as (part, _):
        with pytest.raises(ChildFailed, match="the part ended with exit code 2") as caught:
            await part.wait_for("ready", 20)
        assert "--no-such-option" in str(caught.value)


async def test_a_killed_one_is_told_as_killed(tmp_path: Path) -> None:
    """By the name of the signal."""
    async with child(backend(tmp_path)) as (part, _):
        await part.wait_for("progress", 20)
        part.kill()
        with pytest.raises(ChildFailed, match="the part was killed by SIGKILL"):
            await part.wait_for("ready", 20)
        assert await part.end() == -signal.SIGKILL


async def test_waiting_has_an_end(tmp_path: Path) -> None:
    """What is not told in time is an error that says for what was waited."""
    async with child(backend(tmp_path)) as (part, _):
        await part.wait_for("progress", 20)
        with pytest.raises(ChildFailed, match=r"the part was not ready within 0\.01 s"):
            await part.wait_for("ready", 0.01)


async def test_one_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """A stopped process hears nothing; it is given its time and then killed."""
    async with child(backend(tmp_path)) as (part, _):
        await part.wait_for("progress", 20)
        os.kill(part.pid, signal.SIGSTOP)
        assert await part.end(timeout_s=0.1) == -signal.SIGKILL


async def test_it_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    """A parent killed with -9 closes the child's standard input, and that is enough."""
    async with child(backend(tmp_path)) as (part, _):
        await part.wait_for("progress", 20)
        process = part._process
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(20):
            assert await process.wait() == 0


async def test_an_error_arrives_with_its_kind_and_fields(tmp_path: Path) -> None:
    """Whoever waits sees the error that was raised there, even one of the options."""
    async with child([*backend(tmp_path), "--topic-prefix", "a/#"]) as (part, _):
        with pytest.raises(ChildFailed) as caught:
            await part.wait_for("ready", 20)
        assert isinstance(caught.value.error, UsageError)
        assert caught.value.hint == caught.value.error.hint
        assert "topic prefix" in str(caught.value)


async def test_what_is_waited_for_in_vain_names_the_trouble(tmp_path: Path) -> None:
    """A back end that finds no broker tells why, and what to do."""
    async with child(backend(tmp_path)) as (part, _):
        assert await wait_until(lambda: part.seen.get("progress", {}).get("trouble") is not None, 20)
        with pytest.raises(ChildFailed, match="no connection to") as caught:
            await part.wait_for("ready", 0.01)
        assert isinstance(caught.value.error, Unreachable)
        assert caught.value.hint
