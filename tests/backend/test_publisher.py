"""Commands, replies and answers go out until the broker has said yes or no."""

from __future__ import annotations

from pathlib import Path

from tests.backend.fake_link import FakeSession
from tests.backend.lab import car, kept_answers, presence, running


async def test_a_refused_publish_is_told_as_failed(path: Path) -> None:
    session = FakeSession()
    session.takes_publishes = False
    async with running(path, session) as lab:
        lab.session.deliver(*car(presence()))
        lab.command("a")
        await session.wait_for(lambda: bool(lab.commands()))
        assert session.link is not None
        for token in (1, 2):
            session.link.refuse(token)
        answer = await lab.state("a", "failed")
        assert answer.reason == "publish_refused"
        assert lab.backend.snapshot().publishes_refused == 2


async def test_what_had_no_outcome_is_published_again(path: Path) -> None:
    """After a lost connection: commands that are still open, and answers."""
    session = FakeSession()
    session.takes_publishes = False
    async with running(path, session) as lab:
        lab.session.deliver(*car(presence()))
        lab.command("a")
        await session.wait_for(lambda: bool(lab.commands()))
        session.lose_connection()
        session.takes_publishes = True
        session.reconnect()
        await lab.state("a", "sent")
        assert len(lab.commands()) == 2


async def test_a_token_is_in_no_answer_that_anybody_keeps(path: Path) -> None:
    """Neither the broker (QoS 0) nor the store: a token given with a final answer is told beside it."""
    stuck = FakeSession()
    async with running(path, stuck) as lab:
        lab.session.deliver(*car(presence("offline", reason="deep_sleep")))
        await lab.set_spin("2580", "pin")
        stuck.takes_publishes = False
        lab.command("a", name="lock", spin="2580")
        await stuck.wait_for(lambda: len(lab.answers("a")) == 2)
        with_token, kept = lab.answers("a")
        assert with_token.token
        assert (kept.token, kept.state, kept.reason) == (None, "rejected", "deep_sleep")
        qos = [frame.qos for frame in stuck.published if frame.correlation == b"a"]
        assert qos == [0, 1]
        token = with_token.token
    assert kept_answers(path) == [("a", "rejected")]
    assert token.encode() not in b"".join(file.read_bytes() for file in path.parent.iterdir())
