"""What a broken run left with a broker goes, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import aiomqtt
import pytest

from fleet.errors import ConnectRefused, Unreachable
from fleet.runtime.access import Access, open_access
from fleet.runtime.cleaning import cars_of, clean, left_behind, left_by
from fleet.runtime.mosquitto import free_port
from fleet.transport.link import Endpoint
from fleet.transport.swarm_link import swarm_links
from fleet.wire.dialect import TopicAccess
from fleet.wire.frame import Frame
from tests.dialects.pieces import PiecesDialect
from tests.foreign_mosquitto import foreign_mosquitto
from tests.lab import TOPICS, VINS, Lab, LiveBroker

pytestmark = pytest.mark.live


def access_to(broker: LiveBroker, *, password: str | None = None) -> Access:
    return Access(
        cars=broker.mosquitto.cars,
        tools=broker.mosquitto.tools,
        password_for=broker.secret.password_for if password is None else lambda _: password,
    )


async def leave_behind(lab: Lab, vin: str) -> None:
    """Be a car whose process is killed: it has a session, a command that waits in it, and retained presence."""
    link, owner = await lab.car_up(vin, session_expiry_s=3600)
    link.publish(Frame(topic=TOPICS.presence(vin), payload=b"online", retain=True), 1)
    await owner.wait_for("acknowledgement", lambda: owner.outcomes == [(1, None)])
    link.drop()
    await owner.wait_for("the end", lambda: owner.downs == [None])
    desk, told = await lab.user_up("desk", f"desk-{vin}")
    desk.publish(Frame(topic=TOPICS.command(vin, "honk"), payload=b"waits"), 1)
    await told.wait_for("acknowledgement", lambda: told.outcomes == [(1, None)])


async def test_sessions_and_presence_are_gone(own_broker: LiveBroker) -> None:
    """Of two cars left behind one is cleaned: it comes to no session, no command waits, and nobody is told of it.

    The other still has all three.
    """
    lab = Lab(own_broker, swarm_links)
    gone, kept = VINS[:2]
    try:
        for vin in (gone, kept):
            await leave_behind(lab, vin)
        access = access_to(own_broker)
        assert sorted(await left_behind(access)) == sorted((gone, kept))
        cleaned = await clean(access.car_links(), cars_of(access, await left_by(access, [gone])))
        assert await left_behind(access) == {kept: (TOPICS.presence(kept),)}
        assert (cleaned.done, dict(cleaned.failed), cleaned.first_error) == (1, {}, None)

        _, kept_car = await lab.car_up(kept)
        await kept_car.wait_for_payload(b"waits")
        _, gone_car = await lab.car_up(gone)
        assert (kept_car.ups, gone_car.ups) == ([True], [False])

        _, watcher = await lab.user_up("tool", "watcher", subscriptions=tuple((TOPICS.presence(vin), 1) for vin in (gone, kept)))
        await watcher.wait_for_payload(b"online")
        assert [delivery.frame.topic for delivery in watcher.deliveries] == [TOPICS.presence(kept)]
        assert gone_car.payloads == []
    finally:
        await lab.close()


async def test_who_is_refused_is_told(own_broker: LiveBroker) -> None:
    """A car the broker does not know keeps none of the others; nobody who is let in ends it before the rest had a try."""
    access = access_to(own_broker)
    cleaned = await clean(access.car_links(), cars_of(access, await left_by(access, [*VINS[:2], "VSSZZZKMZTP999999"])))
    assert (cleaned.done, dict(cleaned.failed)) == (2, {"ConnectRefused": 1})
    access = access_to(own_broker, password="wrong")
    cleaned = await clean(access.car_links(), cars_of(access, await left_by(access, VINS[:2])))
    assert (cleaned.done, isinstance(cleaned.first_error, ConnectRefused)) == (0, True)


async def test_no_broker_is_no_wait() -> None:
    """Where nobody listens it ends with the first who came, however many there are."""
    nowhere = Endpoint("127.0.0.1", free_port("127.0.0.1"))
    access = Access(cars=nowhere, tools=nowhere, password_for=lambda _: None)
    left = await left_by(access, [f"VSSZZZKMZTP{number:06d}" for number in range(5_000)])
    cleaned = await clean(access.car_links(), cars_of(access, left))
    assert (cleaned.done, isinstance(cleaned.first_error, Unreachable)) == (0, True)
    assert cleaned.failed.total() < 5_000
    with pytest.raises(Unreachable):
        await left_behind(access)


async def test_all_that_cars_retain_in_another_dialect(tmp_path: Path) -> None:
    """Their retained topics are found by the dialect's own filters; what has no VIN in it stays."""
    vin = VINS[0]
    async with foreign_mosquitto(tmp_path / "broker") as foreign:
        access = replace(open_access(broker=foreign.url), dialects=(f"{__name__}:RetainingDialect",))
        async with aiomqtt.Client(foreign.host, foreign.port) as client:
            for topic in (f"theirs/{vin}/a", f"theirs/{vin}/b", "theirs/other/a", f"elsewhere/{vin}"):
                await client.publish(topic, b"x", qos=1, retain=True)
        assert await left_behind(access) == {vin: (f"theirs/{vin}/a", f"theirs/{vin}/b")}
        assert await left_by(access, VINS[:2]) == {vin: (f"theirs/{vin}/a", f"theirs/{vin}/b"), VINS[1]: ()}
        cleaned = await clean(access.car_links(), cars_of(access, await left_behind(access)))
        assert (cleaned.done, cleaned.first_error) == (1, None)
        assert await left_behind(access) == {}


class RetainingDialect(PiecesDialect):
    """One whose cars may leave anything under their own level."""

    @property
    def access(self) -> TopicAccess:
        return TopicAccess(("theirs/%u/#",), (), (), ())
