"""A mapped dialect: what a car writes, what a back end reads of it, and the commands between them."""

from __future__ import annotations

import json
from typing import Any

import cbor2
import pytest

from fleet.dialects.car_end import MappedEnd
from fleet.dialects.mapped import MappedDialect
from fleet.errors import Undecodable, Unwritable
from fleet.kernel.instants import SECOND
from fleet.wire.dialect import CarFacts
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import (
    Command,
    Door,
    Doors,
    Energy,
    Event,
    FromCar,
    Position,
    Presence,
    Response,
    Status,
    ToCar,
)
from tests.dialects.test_spec import ACME, mapping_of
from tests.wire.test_dialect import VIN, WHOLE

AT = 1_700_000_000_123_456
HEADER: dict[str, Any] = {"vin": VIN, "boot": 3, "seq": 4, "captured_at": AT}
CAR = CarFacts(vin=VIN, client_id=VIN, model="Born", fleet="north", name="Born 1")
_DOOR = Door(open=False, locked=True)
GROUPS: dict[str, Any] = WHOLE | {
    "doors": Doors(front_left=_DOOR, front_right=_DOOR, rear_left=_DOOR, rear_right=_DOOR, bonnet=_DOOR, boot=_DOOR),
    "position": Position(latitude=48.1, longitude=11.5, accuracy_m=5.0, fixed_at=AT),
}
STATUS = Status(**HEADER, trigger="engine_off", state="parked", **GROUPS)
OFFLINE = Presence(vin=VIN, boot=3, seq=0, captured_at=AT, connection="offline", reason="lost")
HEAD = "{mapping: t, purpose: t, base: 't/{vin}', "


def dialect_of(text: str) -> MappedDialect:
    return MappedDialect(mapping_of(text), FleetDialect())


def acme() -> MappedDialect:
    return dialect_of(ACME.read_text())


def end_of(dialect: MappedDialect, status: Status = STATUS) -> MappedEnd:
    end = dialect.car_end(CAR, lambda: status)
    assert isinstance(end, MappedEnd)
    return end


def body(frame: Frame) -> Any:
    return json.loads(frame.payload)


def status(seq: int = 4, trigger: Any = "load", state: Any = "driving", **groups: Any) -> Status:
    return Status(**{**HEADER, "seq": seq}, trigger=trigger, state=state, **groups)


def read_all(dialect: MappedDialect, frames: Any) -> FromCar | None:
    """Return what a back end reads with the last of the frames; before it there is nothing."""
    *others, last = frames
    assert all(dialect.read_from_car(frame) is None for frame in others)
    return dialect.read_from_car(last)


def heard(end: MappedEnd, frame: Frame) -> ToCar:
    (message,) = end.read(frame, AT).messages
    return message


# --- car to cloud


def test_a_status_is_one_frame_in_their_words() -> None:
    (frame,) = end_of(acme()).write(STATUS, AT)
    found = body(frame)
    assert frame.topic == f"acme/north/{VIN}/state"
    assert (frame.qos, frame.expiry_s, frame.content_type) == (1, 3600, "application/json")
    assert frame.user_properties[:2] == (("vehicle", VIN), ("source", "fleet"))
    assert found["vehicle"] == {"vin": VIN, "type": "car"}
    assert found["locks"] == {"driver": "LOCKED", "all": True}
    assert (found["time"], found["ignition"], found["odometer_mi"]) == ("2023-11-14T22:13:20.123Z", "OFF", 0.9)
    assert found["energy"] == {"fuel": 0.5}
    assert found["gps"]["at"] == AT / SECOND
    assert found["climate"]["left_s"] == 0


def test_what_has_a_way_back_is_read_back() -> None:
    """But for digits that rounding took, and groups that the mapping leaves out."""
    dialect = acme()
    found = read_all(dialect, end_of(dialect).write(STATUS, AT))
    assert isinstance(found, Status)
    assert (found.vin, found.boot, found.seq, found.captured_at) == (VIN, 3, 4, AT)
    assert (found.trigger, found.state) == ("engine_off", "parked")
    assert found.mileage_km == pytest.approx(1.5, abs=0.1)
    for name in ("doors", "windows", "lights", "position", "charging", "low_voltage", "energy"):
        assert getattr(found, name) == getattr(STATUS, name)
    assert (found.adblue, found.service, found.software) == (None, None, None)


def test_a_frame_for_each_group_is_one_message() -> None:
    dialect = acme()
    frames = end_of(dialect).write(status(mileage_km=2.0, energy=Energy(charge_percent=55.5), position=GROUPS["position"]), AT)
    assert [frame.topic.rpartition("/")[2] for frame in frames] == ["mileage_km", "energy", "position"]
    assert cbor2.loads(frames[1].payload) == {"t": AT / 1000, "soc": 55.5}
    found = read_all(dialect, frames)
    assert isinstance(found, Status)
    assert (found.mileage_km, found.energy) == (2.0, Energy(charge_percent=55.5))
    assert found.position is None, "of a position the accuracy is wanting"


@pytest.mark.parametrize("name", ["ecall", "trip"])
def test_an_event_goes_where_its_name_does(name: str) -> None:
    dialect = acme()
    event = Event(**HEADER, name=name, data={"distance_km": 2.5})
    (frame,) = end_of(dialect).write(event, AT)
    assert frame.topic.endswith("alert/ecall" if name == "ecall" else "/event")
    assert dialect.read_from_car(frame) == event


def test_presence_and_will_are_text() -> None:
    dialect = acme()
    end = end_of(dialect)
    (frame,) = end.write(OFFLINE, AT)
    assert (frame.topic, frame.payload, frame.retain) == (f"acme/north/{VIN}/link", b"down", True)
    assert end.will(OFFLINE) == frame
    found = dialect.read_from_car(frame)
    assert isinstance(found, Presence)
    assert (found.connection, found.seq) == ("offline", 0)
    assert [(each.topic, each.payload, each.retain) for each in end.clear()] == [(frame.topic, b"", True)]


# --- commands


@pytest.mark.parametrize(
    ("name", "parameters"), [("lock", {}), ("unlock", {}), ("climatisation", {"action": "stop", "target_c": 21.5})]
)
def test_a_command_of_our_desk_comes_as_theirs_and_its_answers_go_back(name: str, parameters: dict[str, Any]) -> None:
    dialect = acme()
    end = end_of(dialect)
    end.write(OFFLINE, AT)
    command = Command(id="c1", vin=VIN, name=name, issued_at=AT, expires_at=AT + 60 * SECOND, parameters=parameters)
    frame = dialect.to_car(VIN, command, expiry_s=5)
    assert (frame.correlation, frame.expiry_s) == (b"c1", 5)
    came = heard(end, frame)
    assert isinstance(came, Command)
    assert (came.id, came.name, came.parameters) == ("c1", name, parameters)
    accepted = Response(**HEADER, command_id="c1", name=name, state="accepted", awake=True)
    refused = Response(**HEADER, command_id="c1", name=name, state="rejected", reason="not_parked", awake=True)
    for answer in (accepted, refused):
        (frame,) = end.write(answer, AT)
        assert (frame.topic, frame.correlation) == (f"acme/north/{VIN}/answer", b"c1")
        assert dialect.read_from_car(frame) == answer
    assert body(frame) == {"request": "c1", "code": 409, "error": "MOVING"}


def command_frame(payload: str, topic: str = "doors", **more: Any) -> Frame:
    return Frame(topic=f"acme/north/{VIN}/command/{topic}", payload=payload.encode(), **more)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (command_frame('{"do": "DANCE"}'), "unmapped"),
        (command_frame("{}", "horn"), "unmapped"),
        (command_frame('{"do": "LOCK"}'), "id"),
        (command_frame('{"do": "LOCK", "request": "c"}', retain=True), "retained"),
        (command_frame('{"do"'), "encoding"),
        (command_frame('{"request": "c", "until": "noon"}', "climate"), "type"),
        (Frame(topic=f"acme/south/{VIN}/command/doors", payload=b"{}"), "topic"),
        (Frame(topic="acme", payload=b"{}"), "topic"),
    ],
)
def test_a_command_that_is_none_of_the_mapping_is_undecodable(frame: Frame, reason: str) -> None:
    with pytest.raises(Undecodable) as caught:
        end_of(acme()).read(frame, AT)
    assert caught.value.reason == reason


def test_parameters_that_cannot_be_read_are_the_cars_to_answer() -> None:
    came = heard(end_of(acme()), command_frame('{"request": "c", "on": "perhaps"}', "climate"))
    assert isinstance(came, Command)
    assert came.parameters == {"not plain data": True}


def test_a_response_topic_outside_the_cars_own_is_not_used() -> None:
    end = end_of(acme())
    for asked, answered in (("elsewhere/x", f"acme/north/{VIN}/answer"), (f"acme/north/{VIN}/mine", f"acme/north/{VIN}/mine")):
        heard(end, command_frame('{"do": "LOCK", "request": "c"}', response_topic=asked))
        (frame,) = end.write(Response(**HEADER, command_id="c", name="lock", state="succeeded", awake=True), AT)
        assert frame.topic == answered


def test_a_command_without_an_entry_cannot_be_written() -> None:
    dialect = acme()
    command = Command(id="c", vin=VIN, name="honk", issued_at=0, expires_at=9, parameters={})
    with pytest.raises(Unwritable, match="unmapped"):
        dialect.to_car(VIN, command)


# --- values that cannot be written


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("{expression: 1 / (mileage_km - 1.5)}", "expression"),
        ("{from: climate.state, values: {heating: H}}", "value"),
        ("{expression: energy.fuel_range_km + 1}", None),
    ],
)
def test_a_value_that_fails_on_one_car_says_why(field: str, reason: str | None) -> None:
    """What is not there is left out; what cannot be written is an error of its own."""
    end = end_of(dialect_of(HEAD + "status: [{topic: '{base}/s', fields: {m: mileage_km, x: " + field + "}}]}"))
    if reason is None:
        (frame,) = end.write(STATUS, AT)
        assert body(frame) == {"m": 1.5}
    else:
        with pytest.raises(Unwritable) as caught:
            end.write(STATUS, AT)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("field", "reason", "written"),
    [
        ("{from: reason, values: {busy: B}, otherwise: OTHER}", "busy", "B"),
        ("{from: reason, values: {busy: B}, otherwise: OTHER}", "too_far", "OTHER"),
        ("{from: reason, values: {busy: B}, otherwise: OTHER}", None, "left out"),
        ("{from: reason, values: {busy: B, 'null': NONE}, otherwise: OTHER}", None, "NONE"),
        ("{from: reason, otherwise: NONE}", None, "NONE"),
        ("{from: reason, otherwise: NONE}", "busy", "busy"),
    ],
)
def test_what_stands_for_other_values_and_for_none(field: str, reason: str | None, written: str) -> None:
    dialect = dialect_of(
        HEAD + "responses: [{topic: '{base}/r', fields: {s: state, id: command_id, n: name, e: " + field + "}}]}"
    )
    answer = Response(**HEADER, command_id="c", name="lock", state="rejected", reason=reason, awake=True)
    (frame,) = end_of(dialect).write(answer, AT)
    assert body(frame).get("e", "left out") == written
    found = dialect.read_from_car(frame)
    assert isinstance(found, Response)
    assert found.reason == (None if written in {"OTHER", "NONE"} else reason)
