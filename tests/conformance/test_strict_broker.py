"""The swarm link with Paho's strict broker: a client's life, in which no statement of MQTT 5 is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.transport.link import Endpoint, LinkSettings, Will
from fleet.transport.swarm_link import SwarmLink, swarm_links
from fleet.wire.frame import Frame
from tests.conformance.strict_broker import strict_broker
from tests.conformance.suites import PAHO, here, lack
from tests.conformance.wire import CLOSED, connect, publish, wire_to
from tests.lab import quick_back_off
from tests.recording_owner import RecordingOwner

pytestmark = pytest.mark.live

SETTINGS = LinkSettings(
    client_id="car",
    subscriptions=(("car/+", 2), ("news/#", 1)),
    will=Will(Frame(topic="presence/car", payload=b"gone", retain=True, user_properties=(("why", "cut"),)), 0),
    receive_maximum=3,
)
WATCHER = LinkSettings(
    client_id="watcher", subscriptions=(("status/#", 1), ("presence/+", 1)), clean_start=True, session_expiry_s=0
)
FULL = Frame(
    topic="status/full", payload=b"full", expiry_s=60, response_topic="car/answer", correlation=b"\0\1", content_type="text",
    user_properties=(("a", "b"), ("a", "c")),
)  # fmt: skip


async def _up(endpoint: Endpoint, settings: LinkSettings) -> tuple[SwarmLink, RecordingOwner]:
    owner = RecordingOwner()
    link = swarm_links(endpoint)(settings, owner, quick_back_off())
    owner.link = link
    link.open()
    await owner.wait_for_up()
    assert isinstance(link, SwarmLink)
    return link, owner


async def _publish_at_all_qos(endpoint: Endpoint) -> None:
    """Have another client send the car one message at each QoS."""
    async with wire_to(endpoint) as other:
        other.send(connect("other", 5))
        await other.read()
        for qos in (0, 1, 2):
            other.send(publish("car/command", b"%d" % qos, qos, packet_id=qos + 1, version=5))
            await other.read() if qos else None
        other.send(b"\x62\x02\x00\x03")
        await other.read()
        other.send(b"\xe0\0")


async def test_a_life_breaks_no_statement(tmp_path: Path) -> None:
    """Publishes beyond the broker's window, messages at all QoS, a will, a session that is found again, its end."""
    if reason := lack(PAHO):
        pytest.skip(reason)
    async with strict_broker(here(PAHO), tmp_path) as broker:
        watcher, seen = await _up(broker.endpoint, WATCHER)
        link, owner = await _up(broker.endpoint, SETTINGS)
        link.publish(at_qos_0(FULL), 100)
        for token in range(8):  # the broker takes two at once
            link.publish(Frame(topic=f"status/{token}", payload=bytes(100)), token)
        link.publish(FULL, 8)
        await owner.wait_for("outcomes", lambda: len(owner.outcomes) == 10)
        assert all(error is None for _, error in owner.outcomes)
        await seen.wait_for("status", lambda: len(seen.deliveries) == 10)
        assert seen.deliveries[-1].frame.user_properties == FULL.user_properties
        await _publish_at_all_qos(broker.endpoint)
        await owner.wait_for("commands", lambda: sorted(owner.payloads) == [b"0", b"1", b"2"])
        link.drop()
        await seen.wait_for("the will", lambda: seen.payloads[-1] == b"gone")
        link.open()
        assert await owner.wait_for_up(2)
        link.publish(Frame(topic="presence/car", payload=b"", retain=True), 9)
        await owner.wait_for("outcomes", lambda: len(owner.outcomes) == 11)
        await link.close(end_session=True, last=Frame(topic="status/last", payload=b"bye"))
        await seen.wait_for("the last word", lambda: seen.payloads[-1] == b"bye")
        await watcher.close()
    assert broker.errors() == []
    assert len(broker.met()) >= 30
    assert owner.downs == [None, None]  # only as it wanted
    assert seen.downs == [None]


async def test_the_broker_is_strict(tmp_path: Path) -> None:
    """A packet that breaks a statement is an error of its log: without that the test above would hold nothing."""
    if reason := lack(PAHO):
        pytest.skip(reason)
    async with strict_broker(here(PAHO), tmp_path) as broker, wire_to(broker.endpoint) as wire:
        wire.send(connect("bad", 5))
        await wire.read()
        wire.send(b"\x36\x05\0\1a\0\1\0")
        assert await wire.read() == CLOSED
        assert broker.errors() == ["[MQTT5-3.3.1-4] QoS in Publish must be 0, 1, or 2"]


def at_qos_0(frame: Frame) -> Frame:
    """Return it at QoS 0."""
    return Frame(topic=frame.topic, payload=frame.payload, qos=0, user_properties=frame.user_properties)
