"""The dialect: names on the wire as an independent reader sees them, and nothing but Undecodable from whatever comes."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.errors import Undecodable
from fleet.wire.fleet_dialect import JSON, MESSAGEPACK, FleetDialect, json_codec
from fleet.wire.frame import Frame
from fleet.wire.intake import MAX_PAYLOAD
from fleet.wire.messages import (
    AdBlue,
    AnnounceClock,
    ChargingStatus,
    Climate,
    Command,
    CommandRequest,
    DeskAnswer,
    DeskRequest,
    Energy,
    Event,
    FromCar,
    Lights,
    LowVoltage,
    Presence,
    Reply,
    Request,
    Response,
    ServiceDue,
    SetSpin,
    Software,
    Status,
    Stored,
    ToCar,
    Windows,
    WrittenStatus,
)

VIN = "VSSZZZKMZPR000001"
OTHER = "VSSZZZKMZPR000002"
PLAIN = FleetDialect()
DIALECTS = [PLAIN, FleetDialect(codec=json_codec())]
HEADER: dict[str, Any] = {"vin": VIN, "boot": 3, "seq": 4, "captured_at": 5}
FROM_CARS: list[FromCar] = [
    Status(**HEADER, trigger="engine_off", state="parked", mileage_km=1.5, energy=Energy(fuel_level_percent=50.0)),
    Event(**HEADER, name="trip", data={"distance_km": 1.5, "stops": [1, 2]}),
    Response(**HEADER, command_id="c", name="honk", state="rejected", reason="too_far", detail="x", awake=True),
    Request(**HEADER, id="r", name="poi", data={"kind": "fuel"}),
    Presence(vin=VIN, boot=3, seq=0, captured_at=5, connection="offline", reason="lost"),
]
WHOLE: dict[str, Any] = {
    "mileage_km": 1.5,
    "energy": Energy(fuel_level_percent=50.0),
    "adblue": AdBlue(level_percent=50.0, range_km=5000.0, warning="none"),
    "service": ServiceDue(inspection_km=1000.0, inspection_days=-1),
    "windows": Windows(front_left=False, front_right=True, rear_left=False, rear_right=False),
    "lights": Lights(parking_lights_on=True),
    "climate": Climate(state="off", remaining_min=0, outside_c=-3.5),
    "charging": ChargingStatus(state="charging", plugged_in=True, remaining_min=1, max_current_a=16, power_kw=11.0),
    "low_voltage": LowVoltage(charge_percent=90.0, voltage_v=12.5),
    "software": Software(system="2.0"),
}
TO_CARS: list[ToCar] = [
    Command(id="c", vin=VIN, name="honk", issued_at=1, expires_at=2, parameters={"latitude": 1.0}),
    Reply(id="r", name="poi", data={"a": 1}, error="none"),
    Stored(boot=3, through=4),
]
REQUESTS: list[DeskRequest] = [
    CommandRequest(id="c", vin=VIN, name="lock", spin="0815", token="secret-token", ttl_s=5.0),
    SetSpin(id="s", vin=VIN, spin="0815"),
    AnnounceClock(id="a", start=1, epoch_wall_us=2, factor=3.0),
]


def reason_of(dialect: FleetDialect, frame: Frame, *, to_car: bool = False) -> str:
    with pytest.raises(Undecodable) as caught:
        (dialect.read_to_car if to_car else dialect.read_from_car)(frame)
    return caught.value.reason


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("message", FROM_CARS)
def test_round_trip_from_car(dialect: FleetDialect, message: FromCar) -> None:
    """Written and read, in both codecs, it is the same; each reads the other's by the content type."""
    frame = dialect.from_car(message)
    assert all(reader.read_from_car(frame) == message for reader in DIALECTS)
    assert frame.retain == isinstance(message, Presence)
    assert frame.qos == 1


@pytest.mark.parametrize("stamps", [{}, {"due_wall_us": 6, "sent_wall_us": 1 << 50}])
@pytest.mark.parametrize("groups", range(10))
def test_a_written_status_is_the_status_it_stands_for(groups: int, stamps: dict[str, int]) -> None:
    """To the byte, also where the map gets a longer head, at 16 fields."""
    before = Status(**HEADER, trigger="load", state="parked", **dict(list(WHOLE.items())[: groups + 1]))
    again: dict[str, Any] = {**HEADER, "seq": 300, "captured_at": 1 << 40, **stamps}
    status = msgspec.structs.replace(before, **again)
    write = PLAIN.status_writer
    assert write is not None
    frame, ordinary = PLAIN.from_car(WrittenStatus(**again, written=write(before))), PLAIN.from_car(status)
    assert PLAIN.read_from_car(frame) == status
    assert frame == ordinary


def test_in_json_no_status_is_written_ahead() -> None:
    """It is sent whole each time."""
    assert DIALECTS[1].status_writer is None


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("message", TO_CARS)
def test_round_trip_to_car(dialect: FleetDialect, message: ToCar) -> None:
    """A command goes with response topic and correlation data, and is never retained."""
    frame = dialect.to_car(VIN, message, expiry_s=9)
    assert dialect.read_to_car(frame) == message
    assert not frame.retain
    if isinstance(message, Command):
        assert frame.response_topic == f"fleet/v1/{VIN}/response/honk"
        assert frame.correlation == b"c"
        assert frame.expiry_s == 9


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("request_", REQUESTS)
def test_round_trip_with_the_desk(dialect: FleetDialect, request_: DeskRequest) -> None:
    """Requests and answers, whatever their kind; a request expires soon."""
    frame = dialect.desk_request(request_, answer_topic="fleet/v1/desk/answer/t")
    assert dialect.read_desk_request(frame) == request_
    assert frame.expiry_s == 30
    answer = DeskAnswer(id="c", state="rejected", reason="spin_wrong", final=True)
    assert dialect.read_desk_answer(dialect.desk_answer(answer, topic="t")) == answer


def test_an_independent_reader_finds_maps_with_readable_names() -> None:
    """msgpack and json, which know nothing of us; what is None is left out."""
    for dialect, read in ((DIALECTS[0], msgpack.unpackb), (DIALECTS[1], json.loads)):
        status = read(dialect.from_car(FROM_CARS[0]).payload)
        assert status == {
            **HEADER,
            "trigger": "engine_off",
            "state": "parked",
            "mileage_km": 1.5,
            "energy": {"fuel_level_percent": 50.0},
        }
        command = read(dialect.to_car(VIN, TO_CARS[0]).payload)
        assert set(command) == {"id", "vin", "name", "issued_at", "expires_at", "parameters"}
        assert read(dialect.desk_request(REQUESTS[1], answer_topic="t").payload)["type"] == "set_spin"


def test_what_an_independent_writer_writes_is_read_and_unknown_fields_are_ignored() -> None:
    """New fields may be added without breaking readers."""
    payload = msgpack.packb({**HEADER, "name": "trip", "data": {}, "new_field": [1]})
    frame = Frame(topic=f"fleet/v1/{VIN}/event/trip", payload=payload, content_type=MESSAGEPACK)
    assert PLAIN.read_from_car(frame) == Event(**HEADER, name="trip")


def event_frame(payload: bytes, **changed: Any) -> Frame:
    topic = f"fleet/v1/{VIN}/event/trip"
    return msgspec.structs.replace(Frame(topic=topic, payload=payload, content_type=MESSAGEPACK), **changed)


GOOD = msgpack.packb({**HEADER, "name": "trip"})


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (event_frame(b"\xc0" * (MAX_PAYLOAD + 1)), "size"),
        (event_frame(b"\x91" * MAX_PAYLOAD), "type"),
        (event_frame(b"\x86" + GOOD[1:] + b"\xa4data\x81\xa1a" + b"\x91" * 60_000 + b"\xc0"), "encoding"),
        (event_frame(b'{"data": {"a": ' + b"[" * 60_000, content_type=JSON), "encoding"),
        (event_frame(b""), "encoding"),
        (event_frame(b"\xc1"), "encoding"),
        (event_frame(GOOD + b"\x00"), "encoding"),
        (event_frame(b'{"vin": "\\ud800"}', content_type=JSON), "encoding"),
        (event_frame(b"\x93\x01\x02\x03"), "type"),
        (event_frame(msgpack.packb({**HEADER, "name": 5})), "type"),
        (event_frame(msgpack.packb({"name": "trip"})), "type"),
        (event_frame(msgpack.packb({**HEADER, "seq": 2**63, "name": "trip"})), "type"),
        (event_frame(msgpack.packb({**HEADER, "boot": -1, "name": "trip"})), "type"),
        (event_frame(msgpack.packb({**HEADER, "vin": OTHER, "name": "trip"})), "foreign_vin"),
        (event_frame(msgpack.packb({**HEADER, "name": "engine_on"})), "name"),
        (event_frame(GOOD, content_type="text/plain"), "content_type"),
        (event_frame(GOOD, topic=f"other/{VIN}/event/trip"), "topic"),
        (event_frame(GOOD, topic=f"fleet/v1/{VIN}/command/trip"), "topic"),
        (event_frame(GOOD, topic="fleet/v1/nobody/event/trip"), "vin"),
    ],
)
def test_every_reason_for_quarantine(frame: Frame, reason: str) -> None:
    """One word each, to be counted."""
    assert reason_of(PLAIN, frame) == reason


def test_what_a_car_refuses() -> None:
    """A retained command, one for another car, one under another name, and topics that nobody writes to cars."""
    command = PLAIN.to_car(VIN, TO_CARS[0])
    assert reason_of(PLAIN, msgspec.structs.replace(command, retain=True), to_car=True) == "retained"
    assert reason_of(PLAIN, PLAIN.to_car(OTHER, TO_CARS[0]), to_car=True) == "foreign_vin"
    renamed = msgspec.structs.replace(command, topic=f"fleet/v1/{VIN}/command/lock")
    assert reason_of(PLAIN, renamed, to_car=True) == "name"
    assert reason_of(PLAIN, PLAIN.from_car(FROM_CARS[0]), to_car=True) == "topic"


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=80), st.sampled_from([MESSAGEPACK, JSON, None]), st.integers(0, len(GOOD)))
def test_whatever_bytes_come_only_undecodable_comes_out(noise: bytes, content_type: str | None, cut: int) -> None:
    """Random bytes, and good ones with noise in them, on every topic."""
    for payload in (noise, GOOD[:cut] + noise + GOOD[cut:], GOOD[:cut] + noise):
        for message in FROM_CARS:
            frame = Frame(topic=PLAIN.from_car(message).topic, payload=payload, content_type=content_type)
            with suppress(Undecodable):
                PLAIN.read_from_car(frame)
            PLAIN.header_of(frame)
        for read in (PLAIN.read_to_car, PLAIN.read_desk_request, PLAIN.read_desk_answer):
            with suppress(Undecodable):
                read(Frame(topic=f"fleet/v1/{VIN}/command/x", payload=payload, content_type=content_type))


def test_parameters_that_nest_too_deeply_are_refused() -> None:
    """They are written again by the back end, where they would exhaust the stack."""
    parameters: Any = {}
    for _ in range(200):
        parameters = {"a": [parameters]}
    request = CommandRequest(id="c", vin=VIN, name="lock", parameters=parameters)
    with pytest.raises(Undecodable) as caught:
        PLAIN.read_desk_request(PLAIN.desk_request(request, answer_topic="t"))
    assert caught.value.reason == "type"
