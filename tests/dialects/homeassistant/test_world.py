"""Cars in Home Assistant's dialect on a private broker: a client that knows its words alone, and our own back end beside it."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from fleet.harness import World
from fleet.harness.backend import HarnessBackend
from fleet.harness.broker import HarnessBroker
from fleet.harness.car import HarnessCar
from fleet.transport.link import LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.vehicle.signals import PowerOn
from fleet.wire.frame import Frame
from tests.lab import quick_back_off
from tests.recording_owner import RecordingOwner

pytestmark = pytest.mark.fleet(dialect="homeassistant")
ALL: Final = "homeassistant/device/+/config"
SLOW: Final = ("mileage_km", "energy", "service", "doors", "windows", "lights", "driving")
"""Groups of a status that stay as they are while nothing happens."""


async def home_of(fleet: World, broker: HarnessBroker) -> RecordingOwner:
    """Connect as Home Assistant does, and hear what cars say."""
    user, password = broker.login("backend")
    owner = RecordingOwner()
    filters = (
        (ALL, 1),
        (f"{fleet.prefix}/+/status/+", 1),
        (f"{fleet.prefix}/+/presence", 1),
        (f"{fleet.prefix}/+/response/+", 1),
    )
    settings = LinkSettings(client_id="home", username=user, password=password, subscriptions=filters)
    owner.link = swarm_links(broker.mosquitto.tools)(settings, owner, quick_back_off())
    owner.link.open()
    await owner.wait_for_up()
    return owner


def last(home: RecordingOwner, topic: str) -> bytes | None:
    """Return what came last on the topics that end so."""
    return next((each.frame.payload for each in reversed(home.deliveries) if each.frame.topic.endswith(topic)), None)


def say(home: RecordingOwner, topic: str, payload: bytes, *, retain: bool = False) -> None:
    assert home.link is not None
    home.link.publish(Frame(topic=topic, payload=payload, qos=1, retain=retain), 1)


@pytest.mark.live
async def test_a_client_finds_a_car_and_locks_it(fleet: World, fleet_broker: HarnessBroker, fleet_car: HarnessCar) -> None:
    """By the topics of the announcement, and nothing else that is known of us."""
    home = await home_of(fleet, fleet_broker)
    await fleet.eventually(lambda: last(home, f"{fleet_car.vin}/config") is not None)
    lock = msgspec.json.decode(last(home, f"{fleet_car.vin}/config") or b"")["components"]["lock"]
    await fleet.eventually(lambda: b"LOCKED" in (last(home, lock["state_topic"]) or b""))
    say(home, lock["command_topic"], b"UNLOCK")
    await fleet_car.wait_for_command("unlock")
    await fleet_car.wait_for_response("unlock", state="succeeded", within="2 min")
    await fleet.eventually(lambda: msgspec.json.decode(last(home, lock["state_topic"]) or b"")["lock"], "UNLOCKED")
    assert home.link is not None
    await home.link.close(end_session=True)


@pytest.mark.live
async def test_a_retained_command_does_nothing(fleet: World, fleet_broker: HarnessBroker) -> None:
    """A car that comes later finds it, counts it as unreadable, and leaves its doors as they are."""
    home = await home_of(fleet, fleet_broker)
    car = await fleet.car(switched_on=False)
    say(home, f"{fleet.prefix}/{car.vin}/set/lock", b"UNLOCK", retain=True)
    await home.wait_for("acknowledgement", lambda: bool(home.outcomes))
    car.put(PowerOn())
    await fleet.settle()
    await fleet.eventually(lambda: sum(fleet.shard.counts.unreadable.values()), 1)
    assert car.messages == []
    say(home, f"{fleet.prefix}/{car.vin}/set/lock", b"", retain=True)
    assert home.link is not None
    await home.link.close(end_session=True)


@pytest.mark.fleet(mode="virtual")
async def test_our_own_back_end_has_every_status_whole(fleet: World, fleet_backend: HarnessBackend) -> None:
    """It puts the groups together again, commands the car by the desk, and the account adds up."""
    car = await fleet.car("Formentor", "e-hybrid")
    await car.drive(km=5)
    await car.park()
    twin = await fleet_backend.twin(car)
    status = car.simulated.snapshot(fleet.now)
    assert twin is not None
    assert {group: getattr(twin, group) for group in SLOW} == {group: getattr(status, group) for group in SLOW}
    await fleet.user.unlock(car).succeeds()
    await fleet.settle()
    outbox = fleet.shard.cars[car.vin].car.outbox
    assert (outbox.left_out, outbox.dropped, outbox.created) == (0, 0, outbox.acknowledged)
