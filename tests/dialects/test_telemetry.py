"""Cars as Tesla's fleet-telemetry hands its vehicles to MQTT: a topic for each field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.dialects.opening import open_named
from fleet.harness import World
from fleet.harness.broker import HarnessBroker
from fleet.harness.car import HarnessCar
from fleet.transport.link import LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.wire.dialect import CarEnd, CarFacts, Dialect
from fleet.wire.frame import Frame
from fleet.wire.messages import Event, Presence, Request, Status
from tests.dialects.statuses import NOW, VIN, petrol_status, whole_status
from tests.lab import quick_back_off
from tests.recording_owner import RecordingOwner

HEAD = f"telemetry/{VIN}/"


@pytest.fixture
def dialect() -> Dialect:
    return open_named("telemetry")


@pytest.fixture
def end(dialect: Dialect) -> CarEnd:
    found = dialect.car_end(CarFacts(vin=VIN, client_id=VIN), whole_status)
    assert found is not None
    return found


def by_topic(frames: Any) -> dict[str, Any]:
    return {frame.topic.removeprefix(HEAD): json.loads(frame.payload) for frame in frames}


def test_each_field_is_a_topic_with_its_bare_value(end: CarEnd) -> None:
    """In miles and hours, in the words of its enumerations; places and doors are objects."""
    said = by_topic(end.write(whole_status(), NOW))
    assert said["v/Odometer"] == 7671.2487
    assert said["v/BatteryLevel"] == said["v/Soc"] == 55.5
    assert said["v/TimeToFullCharge"] == 1.5833
    assert said["v/DetailedChargeState"] == "DetailedChargeStateCharging"
    assert said["v/FpWindow"] == "WindowStateOpened"
    assert said["v/Gear"] == "ShiftStateP"
    assert said["v/Location"] == {"latitude": 48.137, "longitude": 11.575}
    assert said["v/DoorState"]["TrunkRear"] is True
    assert len(said["v/DoorState"]) == 6


def test_what_a_car_does_not_have_is_no_topic(end: CarEnd) -> None:
    """A car that burns petrol has no charge."""
    said = by_topic(end.write(petrol_status(), NOW))
    assert "v/Odometer" in said
    assert "v/Soc" not in said
    assert "v/DetailedChargeState" not in said


def test_only_what_changed_is_sent_and_all_of_it_at_each_connection(end: CarEnd) -> None:
    """As the server does of a vehicle that reports changes."""
    first = end.write(whole_status(), NOW)
    status = whole_status(seq=8)
    assert end.write(status, NOW) == []
    assert status.energy is not None
    moved = replace(status, seq=9, energy=replace(status.energy, charge_percent=54.0))
    assert set(by_topic(end.write(moved, NOW))) == {"v/BatteryLevel", "v/Soc"}
    assert len(end.connected(NOW)) == len(first)


def test_our_back_end_reads_a_status_from_its_fields(dialect: Dialect, end: CarEnd) -> None:
    """It is whole with the last frame; miles are kilometres again."""
    *before, last = end.write(whole_status(), NOW)
    assert [dialect.read_from_car(frame) for frame in before] == [None] * len(before)
    read = dialect.read_from_car(last)
    assert isinstance(read, Status)
    assert (read.boot, read.seq, read.state) == (3, 7, "parked")
    assert read.mileage_km == pytest.approx(12_345.678, abs=0.001)
    assert read.windows is not None
    assert read.windows.front_right


def test_alerts_errors_and_connectivity(end: CarEnd) -> None:
    """A fault is an alert, a request that failed an error; the will says DISCONNECTED."""
    fault = Event(vin=VIN, boot=3, seq=8, captured_at=NOW, name="fault", data={"id": "bulb"})
    assert by_topic(end.write(fault, NOW)) == {"alerts/fault/current": {"StartedAt": "2026-03-02T12:00:00Z", "Audiences": None}}
    failed = replace(fault, name="request_failed", data={"id": "1", "reason": "offline"})
    assert by_topic(end.write(failed, NOW)) == {
        "errors/request_failed": {
            "Body": "request_failed", "Tags": {"id": "1", "reason": "offline"}, "CreatedAt": "2026-03-02T12:00:00Z",
        }
    }  # fmt: skip
    will = end.will(Presence(vin=VIN, boot=3, seq=0, captured_at=NOW, connection="offline", reason="lost"))
    assert will is not None
    assert json.loads(will.payload)["Status"] == "DISCONNECTED"


def test_what_the_server_has_no_topic_for_is_left_out(end: CarEnd) -> None:
    """Trips and requests are counted as left out, and a car hears nothing."""
    assert end.write(Event(vin=VIN, boot=3, seq=8, captured_at=NOW, name="trip", data={}), NOW) == []
    assert end.write(Request(vin=VIN, boot=3, seq=9, captured_at=NOW, id="r", name="traffic"), NOW) == []
    assert end.subscriptions == ()


@pytest.mark.live
@pytest.mark.fleet(mode="live", dialect="telemetry", backend=True)
async def test_a_subscriber_sees_fields_change_on_a_broker(
    fleet: World, fleet_broker: HarnessBroker, fleet_car: HarnessCar
) -> None:
    """One that knows `telemetry/#` alone; our own back end stores beside it."""
    user, password = fleet_broker.login("tool")
    owner = RecordingOwner()
    settings = LinkSettings(client_id="subscriber", username=user, password=password, subscriptions=(("telemetry/#", 1),))
    owner.link = swarm_links(fleet_broker.mosquitto.tools)(settings, owner, quick_back_off())
    owner.link.open()
    await owner.wait_for_up()
    await fleet_car.drive(km=3)
    await fleet_car.switch_off()
    status = await fleet_car.wait_for_status(trigger="refresh")
    assert status.mileage_km is not None
    odometer = f"telemetry/{fleet_car.vin}/v/Odometer"
    frames: list[Frame] = []

    def newest() -> float | None:
        frames[:] = [each.frame for each in owner.deliveries if each.frame.topic == odometer]
        return json.loads(frames[-1].payload) * 1.609344 if frames else None

    found = await fleet.eventually(newest)
    assert found == pytest.approx(fleet_car.odometer_km, abs=0.01)
    assert await fleet.eventually(lambda: fleet.reader().status(fleet_car.vin))
    await owner.link.close(end_session=True)
