"""Cars in the dialect of COVESA on a private broker: a client that knows VISS alone, and our own back end beside it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest

from fleet.harness import World
from fleet.harness.broker import HarnessBroker
from fleet.harness.car import HarnessCar
from fleet.transport.link import Link, LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.wire.frame import Frame
from tests.lab import quick_back_off
from tests.recording_owner import RecordingOwner

ANSWERS: Final = "viss/client-1"
LOCK: Final = "Vehicle.Cabin.Door.Row1.DriverSide.IsLocked"
pytestmark = [pytest.mark.live, pytest.mark.fleet(mode="live", dialect="vss")]


class Client:
    """A client of VISS over MQTT."""

    def __init__(self, fleet: World, link: Link, owner: RecordingOwner) -> None:
        self._fleet = fleet
        self._link = link
        self._owner = owner
        self._tokens = itertools.count(1)
        self._seen = 0

    def send(self, car: HarnessCar, **request: Any) -> None:
        """Publish a request as the reference client does: an object, behind a slash."""
        payload = msgspec.json.encode({"topic": ANSWERS, "request": request})
        self._link.publish(Frame(topic=f"/{car.vin}/Vehicle", payload=payload, qos=0), next(self._tokens))

    async def next(self) -> dict[str, Any]:
        """Return the next answer or event."""
        await self._fleet.eventually(lambda: len(self._owner.deliveries) > self._seen)
        frame = self._owner.deliveries[self._seen].frame
        self._seen += 1
        assert frame.topic == ANSWERS
        found = msgspec.json.decode(frame.payload)
        assert isinstance(found, dict)
        return found

    async def ask(self, car: HarnessCar, **request: Any) -> dict[str, Any]:
        self.send(car, **request)
        return await self.next()


@pytest.fixture
async def client(fleet: World, fleet_broker: HarnessBroker) -> AsyncIterator[Client]:
    user, password = fleet_broker.login("backend")
    owner = RecordingOwner()
    settings = LinkSettings(client_id="viss-client", username=user, password=password, subscriptions=(("viss/#", 1),))
    owner.link = swarm_links(fleet_broker.mosquitto.tools)(settings, owner, quick_back_off())
    owner.link.open()
    await owner.wait_for_up()
    yield Client(fleet, owner.link, owner)
    await owner.link.close(end_session=True)


async def test_a_client_reads_sets_and_sees_the_change(fleet: World, fleet_car: HarnessCar, client: Client) -> None:
    """Unlocked by an update of an actuator, and seen by the next read."""
    before = await client.ask(fleet_car, action="get", path=LOCK, requestId="1")
    assert before["data"]["dp"]["value"] == "true"
    client.send(fleet_car, action="set", path=LOCK, value="false", requestId="2")
    response = await fleet_car.wait_for_response("unlock", state="succeeded")
    assert response.command_id.startswith("viss-set-")
    done = await client.next()
    assert (done["action"], done["requestId"]) == ("set", "2")
    assert "error" not in done
    after = await client.ask(fleet_car, action="get", path=LOCK, requestId="3")
    assert after["data"]["dp"]["value"] == "false"


async def test_a_refusal_reaches_the_client_with_the_reason_of_the_car(
    fleet: World, fleet_car: HarnessCar, client: Client
) -> None:
    """A car with its ignition on does not lock."""
    await fleet_car.switch_on()
    client.send(fleet_car, action="set", path=LOCK, value="true", requestId="2")
    await fleet_car.wait_for_response("lock", state="rejected", reason="engine_running")
    refused = await client.next()
    assert (refused["error"]["number"], refused["error"]["reason"]) == ("503", "service_unavailable")
    assert "engine_running" in refused["error"]["description"]


async def test_a_service_is_invoked_and_followed(fleet: World, fleet_car: HarnessCar, client: Client) -> None:
    """ONGOING as the car takes it, SUCCESSFUL when it has locked."""
    invoke = {"action": "invoke", "path": "VehicleService.Access.Lock", "filter": {"variant": "status"}, "requestId": "4"}
    client.send(fleet_car, **invoke)
    await fleet_car.wait_for_response("lock", state="succeeded")
    first, end = await client.next(), await client.next()
    assert (first["action"], first["status"]) == ("invoke", "ONGOING")
    assert (end["action"], end["status"], end["serviceId"]) == ("monitoring", "SUCCESSFUL", first["serviceId"])


async def test_a_subscription_follows_the_car_through_a_drive(fleet: World, fleet_car: HarnessCar, client: Client) -> None:
    """Each kilometre more is an event, by the time of the car."""
    path = "Vehicle.TraveledDistance"
    filter_ = {"variant": "change", "parameter": {"logic-op": "gte", "diff": "1000"}}
    name = (await client.ask(fleet_car, action="subscribe", path=path, filter=filter_, requestId="5"))["subscriptionId"]
    await fleet_car.drive(km=4)
    metres = []
    for _ in range(3):
        event = await client.next()
        assert (event["action"], event["subscriptionId"]) == ("subscription", name)
        metres.append(int(event["data"]["dp"]["value"]))
    assert all(later - earlier >= 1000 for earlier, later in itertools.pairwise(metres))


@pytest.mark.fleet(mode="live", dialect="vss", backend=True)
async def test_our_own_back_end_stores_what_cars_send_by_path(fleet: World, fleet_car: HarnessCar) -> None:
    """The account adds up, and the status is there but for what the catalogue does not know."""
    await fleet_car.drive(km=3)
    await fleet_car.switch_off()
    status = await fleet_car.wait_for_status(trigger="engine_off", within="10 min")
    stored = await fleet.eventually(lambda: fleet.reader().status(fleet_car.vin))
    assert stored is not None
    assert status.mileage_km is not None
