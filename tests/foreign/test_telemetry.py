"""Cars as Tesla's fleet-telemetry hands its vehicles to MQTT, held against that server's own protocol buffers and producer.

FLEET_TELEMETRY names a checkout of github.com/teslamotors/fleet-telemetry (v0.9.4), FLEET_TELEMETRY_PYTHON a Python with
protobuf.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from fleet.dialects.opening import open_named
from fleet.harness import virtual_world
from fleet.wire.dialect import CarEnd, CarFacts
from fleet.wire.frame import Frame
from fleet.wire.messages import Event, Presence, Status
from tests.dialects.statuses import NOW, VIN, whole_status

CHECKOUT: Final = os.environ.get("FLEET_TELEMETRY", "")
PYTHON: Final = os.environ.get("FLEET_TELEMETRY_PYTHON", "")
pytestmark = pytest.mark.skipif(
    not (CHECKOUT and PYTHON), reason="FLEET_TELEMETRY and FLEET_TELEMETRY_PYTHON name no checkout of fleet-telemetry"
)

_JUDGE: Final = """
import json, sys
sys.path.insert(0, sys.argv[1] + "/protos/python")
import vehicle_connectivity_pb2, vehicle_data_pb2 as data
words = {value.name for enum in data.DESCRIPTOR.enum_types_by_name.values() for value in enum.values}
messages = [data.DESCRIPTOR.message_types_by_name[name] for name in ("LocationValue", "Doors")]
members = {message.name: {field.name for field in message.fields} for message in messages}
for topic, value in json.load(sys.stdin):
    *_, kind, name = topic.split("/")
    if kind != "v":
        if name == "connectivity" and value["Status"] not in vehicle_connectivity_pb2.ConnectivityEvent.keys():
            print(topic, value)
    elif name not in data.Field.keys():
        print(topic, "is no field")
    elif isinstance(value, dict):
        if set(value) not in members.values():
            print(topic, value)
    elif isinstance(value, str) and value not in words and name != "Version":
        print(topic, value)
"""


def complaints(frames: list[Frame]) -> str:
    """Return what the protocol buffers say against these frames."""
    told = json.dumps([(frame.topic, json.loads(frame.payload)) for frame in frames])
    done = subprocess.run([PYTHON, "-c", _JUDGE, CHECKOUT], input=told, text=True, capture_output=True, check=True, timeout=60)
    return done.stdout


def producer() -> str:
    return (Path(CHECKOUT) / "datastore" / "mqtt" / "mqtt_payload.go").read_text(encoding="utf-8")


def new_end(vin: str = VIN) -> CarEnd:
    end = open_named("telemetry").car_end(CarFacts(vin=vin, client_id=vin), whole_status)
    assert end is not None
    return end


def body(frame: Frame) -> Any:
    return json.loads(frame.payload)


def test_topics_are_those_of_the_producer() -> None:
    """Each is one of the patterns in its source."""
    patterns = re.findall(r'fmt\.Sprintf\("(%s/%s/[^"]*)"', producer())
    assert len(patterns) == 5
    known = [re.compile(re.escape(each).replace("%s", "[^/]+")) for each in patterns]
    frames = [*new_end().write(whole_status(), NOW), *new_end().connected(NOW)]
    frames += new_end().write(Presence(vin=VIN, boot=3, seq=0, captured_at=NOW, connection="online"), NOW)
    for name in ("fault", "request_failed"):
        frames += new_end().write(Event(vin=VIN, boot=3, seq=8, captured_at=NOW, name=name, data={"id": "bulb"}), NOW)
    assert len(frames) > 50
    assert [frame.topic for frame in frames if not any(each.fullmatch(frame.topic) for each in known)] == []


async def test_fields_and_values_of_each_model_are_those_of_the_protocol_buffers() -> None:
    """Names of fields, words of enumerations, members of a location and of the doors."""
    frames: list[Frame] = []
    async with virtual_world(dialect="telemetry") as fleet:
        for model in ("Ateca", "Leon", "Formentor", "Born", "Tavascan"):
            car = await fleet.car(model)
            await car.drive(km=5)
            await car.switch_off()
            status = car.simulated.snapshot(fleet.now)
            assert type(status) is Status
            frames += new_end(car.vin).write(status, fleet.now)
    frames += new_end().write(whole_status(), NOW)
    assert len({frame.topic.rsplit("/", 1)[-1] for frame in frames}) > 20
    assert complaints(frames) == ""


def test_alerts_errors_and_connectivity_have_the_members_of_the_producer() -> None:
    """As its source writes them, with times to the second."""
    end = new_end()
    (alert,) = end.write(Event(vin=VIN, boot=3, seq=8, captured_at=NOW, name="fault", data={"id": "bulb"}), NOW)
    (error,) = end.write(Event(vin=VIN, boot=3, seq=9, captured_at=NOW, name="request_failed", data={"id": "1"}), NOW)
    (presence,) = end.write(Presence(vin=VIN, boot=3, seq=0, captured_at=NOW, connection="offline"), NOW)
    for frame in (alert, error, presence):
        assert all(f'"{name}"' in producer() for name in body(frame))
    assert body(alert) == {"StartedAt": "2026-03-02T12:00:00Z", "Audiences": None}
    assert body(presence) == {"ConnectionId": "3", "Status": "DISCONNECTED", "CreatedAt": "2026-03-02T12:00:00Z"}
    assert complaints([presence]) == ""
