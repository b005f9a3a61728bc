"""A broker that offers less than is asked: both links keep to it and say it once for all clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.transport.remarks import GRANTED_LESS, KINDS_MAX, NO_RETAIN, SHORTER_SESSIONS, Remarks
from fleet.transport.swarm_link import swarm_links
from tests.lab import ANYONE, quick_back_off
from tests.recording_owner import RecordingOwner
from tests.transport.scripted_broker import Script, ScriptedBroker


@pytest.mark.parametrize("make", [swarm_links, aiomqtt_links])
@pytest.mark.parametrize(
    ("script", "kind", "example"),
    [
        (Script(offers=b"\x25\x00"), NO_RETAIN, ""),
        (Script(offers=b"\x11\x00\x00\x00\x3c"), SHORTER_SESSIONS, "60 s instead of 3600 s"),
        (Script(suback=(0,)), GRANTED_LESS, "'a/+'"),
        (Script(offers=b"\x11\x00\x00\x0e\x10"), None, ""),
    ],
)
async def test_what_a_broker_offers_less_is_said(
    make: Callable[..., Any], script: Script, kind: str | None, example: str
) -> None:
    """Once, however many clients meet it, with how many they were."""
    told: list[str] = []
    remarks = Remarks(told.append)
    async with ScriptedBroker(script) as broker:
        links = make(broker.endpoint(), remarks=remarks)
        for number in range(3):
            owner = RecordingOwner()
            owner.link = links(replace(ANYONE, client_id=f"client-{number}"), owner, quick_back_off())
            owner.link.open()
            await owner.wait_for_up()
            await owner.link.close()
    if kind is None:
        assert (told, remarks.in_words()) == ([], [])
        return
    assert remarks.counts == {kind: 3}
    assert told == [f"{kind}: {example}" if example else kind]
    assert remarks.in_words() == [f"{kind} (3 times, first: {example})" if example else f"{kind} (3 times)"]


def test_kinds_are_bounded() -> None:
    """Whatever is remarked, memory is not used up."""
    remarks = Remarks()
    for number in range(2 * KINDS_MAX):
        remarks.add(f"kind {number}")
    assert len(remarks.in_words()) == KINDS_MAX
