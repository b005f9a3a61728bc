"""What may come in: plain data, storable texts, finite numbers in ranges that make sense."""

from __future__ import annotations

import datetime
import math
from typing import Any

import msgspec
import pytest

from fleet.errors import Undecodable
from fleet.wire.commands import read_parameters
from fleet.wire.fleet_dialect import MESSAGEPACK, FleetDialect, json_codec
from fleet.wire.frame import Frame
from fleet.wire.intake import BOOT_AHEAD, MAX_NESTING, MAX_PAYLOAD, check_boot, is_storable, misfit, plain_part, storable
from fleet.wire.messages import (
    AnnounceClock,
    Command,
    CommandRequest,
    EnrolCar,
    Event,
    Reply,
    Request,
    Response,
    ServiceRequest,
    SetSpin,
    Status,
)

VIN = "VSSZZZKMZPR000001"
DIALECT = FleetDialect()
HEADER: dict[str, Any] = {"vin": VIN, "boot": 3, "seq": 4, "captured_at": 5}
DEEP: Any = None
for _ in range(MAX_NESTING + 2):
    DEEP = [DEEP]
UNFIT: dict[str, tuple[Any, str]] = {
    "a key None": ({None: 1}, "type"),
    "a key True": ({True: 1}, "type"),
    "a key 1": ({1: 1}, "type"),
    "a key of bytes": ({b"x": 1}, "type"),
    "a key that is a list": ({(1, 2): 1}, "type"),
    "a key with NUL": ({"a\0": 1}, "type"),
    "an ext type": (msgspec.msgpack.Ext(5, b"x"), "type"),
    "bytes": (b"x", "type"),
    "a moment": (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "type"),
    "NUL": ("a\0b", "type"),
    "infinity": (math.inf, "range"),
    "not a number": (math.nan, "range"),
    "65 bits": (2**64 - 1, "range"),
    "depth": (DEEP, "type"),
}


def frame_of(message: Any, topic: str, **changes: Any) -> Frame:
    plain = msgspec.to_builtins(message, builtin_types=(bytes, datetime.datetime)) | changes
    return Frame(topic=topic, payload=msgspec.msgpack.encode(plain), content_type=MESSAGEPACK)


@pytest.mark.parametrize("name", UNFIT)
def test_what_is_not_plain_is_told_wherever_it_stands(name: str) -> None:
    """In a mapping and in a list, of a car, of a tool and to a car; the error names the kind, and never a value."""
    value, reason = UNFIT[name]
    for data in ({"x": value}, {"x": [1, {"y": value}]}):
        from_car, to_car, of_tool = DIALECT.read_from_car, DIALECT.read_to_car, DIALECT.read_desk_request
        asked = CommandRequest(id="c", vin=VIN, name="x")
        frames = [
            (from_car, frame_of(Event(**HEADER, name="trip"), f"fleet/v1/{VIN}/event/trip", data=data)),
            (from_car, frame_of(Request(**HEADER, id="r", name="poi"), f"fleet/v1/{VIN}/request/poi", data=data)),
            (to_car, frame_of(Reply(id="r", name="poi"), f"fleet/v1/{VIN}/reply/poi", data=data)),
            (of_tool, frame_of(ServiceRequest(id="s", service="x", action="y"), "fleet/v1/desk/request", data=data)),
            (of_tool, frame_of(asked, "fleet/v1/desk/request", parameters=data)),
        ]
        for read, frame in frames:
            with pytest.raises(Undecodable) as caught:
                read(frame)
            assert caught.value.reason == reason


@pytest.mark.parametrize(
    "value", [None, True, 0, -(2**63), 2**63 - 1, 1.5, "", "ä €", "\U0001f697", [], {}, {"a": [1, {"b": None}]}]
)
def test_plain_data_may_come_in(value: Any) -> None:
    assert misfit(value) is None
    assert plain_part(value) == value
    msgspec.json.encode(value)


@pytest.mark.parametrize("name", UNFIT)
def test_a_command_with_parameters_that_are_not_plain_is_one_that_the_car_finds_malformed(name: str) -> None:
    command = Command(id="c", vin=VIN, name="honk", issued_at=1, expires_at=2)
    frame = frame_of(command, f"fleet/v1/{VIN}/command/honk", parameters={"x": UNFIT[name][0]})
    read = DIALECT.read_to_car(frame)
    assert isinstance(read, Command)
    assert misfit(read.parameters) is None
    with pytest.raises(Undecodable) as caught:
        read_parameters("honk", read.parameters)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize("name", UNFIT)
def test_the_plain_part_of_anything_is_plain(name: str) -> None:
    value, _ = UNFIT[name]
    kept = plain_part({"good": 1, "bad": value})
    assert misfit(kept) is None
    assert kept["good"] == 1


def test_texts_that_cannot_be_stored_are_known_and_can_be_made_storable() -> None:
    for bad in ("\0", "a\0ä", "\ud800", "a\udfffb"):
        assert not is_storable(bad)
        assert is_storable(storable(bad))
    assert storable("ä") == "ä"


@pytest.mark.parametrize("codec", [FleetDialect(), FleetDialect(codec=json_codec())])
@pytest.mark.parametrize(
    "message",
    [
        Event(**HEADER, name="trip\0"),
        Event(**HEADER, name="n" * 101),
        Response(**HEADER, command_id="c\0", name="honk", state="accepted", awake=True),
        Response(**HEADER, command_id="c" * 101, name="honk", state="accepted", awake=True),
        Response(**HEADER, command_id="c", name="honk", state="rejected", reason="\0", awake=True),
        Request(**HEADER, id="\0", name="traffic"),
        Request(**HEADER, id="", name="traffic"),
    ],
)
def test_texts_of_cars_are_storable_and_of_a_sensible_length(codec: FleetDialect, message: Any) -> None:
    with pytest.raises(Undecodable):
        codec.read_from_car(codec.from_car(message))


@pytest.mark.parametrize(
    "request_",
    [
        CommandRequest(id="c\0", vin=VIN, name="honk"),
        CommandRequest(id="c", vin=VIN, name="honk", user="anna\0"),
        SetSpin(id="c", vin=VIN, spin="0815", user="\0"),
        SetSpin(id="c", vin=f"{VIN}\0", spin="0815"),
        EnrolCar(id="\0", vin=VIN),
        AnnounceClock(id="\0", start=1, epoch_wall_us=1, factor=1.0),
        ServiceRequest(id="c", service="\0", action="x"),
    ],
)
def test_texts_of_tools_are_storable(request_: Any) -> None:
    with pytest.raises(Undecodable) as caught:
        DIALECT.read_desk_request(DIALECT.desk_request(request_, answer_topic="fleet/v1/desk/answer/x"))
    assert "0815" not in str(caught.value)


NUMBERS: dict[str, dict[str, Any]] = {
    "energy": {"fuel_level_percent": 50.0, "fuel_range_km": 1.0, "charge_percent": 50.0, "electric_range_km": 1.0},
    "adblue": {"level_percent": 50.0, "range_km": 1.0, "warning": "none"},
    "service": {"inspection_km": 1.0, "inspection_days": 1, "oil_change_km": 1.0, "oil_change_days": 1},
    "position": {"latitude": 1.0, "longitude": 1.0, "accuracy_m": 1.0, "fixed_at": 1, "parked_at": 1},
    "climate": {"state": "off", "remaining_min": 0, "target_c": 1.0, "outside_c": 1.0, "inside_c": 1.0},
    "charging": {
        "state": "charging", "plugged_in": True, "remaining_min": 1, "max_current_a": 1, "power_kw": 1.0, "current_a": 1.0,
        "limit_percent": 1, "target_percent": 1, "starts_at": 1,
    },
    "driving": {
        "last_trip": {"distance_km": 1.0, "duration_min": 1.0, "average_speed_kmh": 1.0, "fuel_l": 1.0, "energy_kwh": 1.0}
    },
    "health": {"reported_at": 1, "mileage_km": 1.0, "warnings": [{"id": "a", "text": "b", "category": "other", "priority": 1}]},
    "low_voltage": {"charge_percent": 1.0, "voltage_v": 12.0},
    "mileage_km": {"": 1.0},
}  # fmt: skip


def bent(value: Any, wrong: Any) -> list[Any]:
    """Return the value with each of its numbers replaced in turn."""
    if isinstance(value, dict):
        return [value | {key: inner} for key in value for inner in bent(value[key], wrong)]
    if isinstance(value, list):
        return [[inner] for inner in bent(value[0], wrong)]
    return [wrong] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan, 2**63, 1e300, -1e300])
@pytest.mark.parametrize("group", NUMBERS)
def test_each_number_of_a_status_is_finite_and_in_its_range(group: str, wrong: float) -> None:
    """`energy` with an infinite range is no status."""
    head = HEADER | {"trigger": "engine_off", "state": "parked"}
    whole = NUMBERS[group]
    read = DIALECT.read_from_car
    plain = head | {group: whole.get("", whole)}
    assert isinstance(read(frame_of(plain, f"fleet/v1/{VIN}/status")), Status)
    found = bent(whole.get("", whole), wrong)
    assert found
    for value in found:
        with pytest.raises(Undecodable):
            read(frame_of(head | {group: value}, f"fleet/v1/{VIN}/status"))


def test_a_boot_from_the_future_is_refused() -> None:
    """A day of difference between two machines is none."""
    now = 1_772_000_000_000_000
    check_boot(now + BOOT_AHEAD, now)
    check_boot(1, now)
    with pytest.raises(Undecodable, match="from now"):
        check_boot(now + BOOT_AHEAD + 1, now)


# --- emergencies

ECALL = DIALECT.topics.event(VIN, "ecall")
HERE = {"latitude": 48.1, "longitude": 11.5}
CALL = {"id": "c", "position": HERE, "passengers": 2}


def call_of(payload: Any, topic: str = ECALL, content_type: str | None = MESSAGEPACK) -> Event | None:
    raw = payload if isinstance(payload, bytes) else msgspec.msgpack.encode(payload)
    return DIALECT.emergency_of(Frame(topic=topic, payload=raw, content_type=content_type), 7)


def test_of_an_emergency_call_is_told_what_can_be_told() -> None:
    """The car by its topic, its number where it can be read, and the plain part of its data."""
    whole = HEADER | {"name": "ecall", "data": CALL}
    assert call_of(whole) == Event(**HEADER, name="ecall", data=CALL)
    assert call_of(whole | {"data": {**CALL, "odd": {None: 1}}}) == Event(**HEADER, name="ecall", data=CALL | {"odd": {}})
    assert call_of(whole | {"name": "else"}) == Event(**HEADER, name="ecall", data=CALL)
    unnumbered = Event(vin=VIN, boot=0, seq=0, captured_at=7, name="ecall", data=CALL)
    assert call_of(whole | {"seq": -1}) == unnumbered
    assert call_of(whole | {"vin": "VSSZZZKMZPR000002"}) == unnumbered
    nothing = msgspec.structs.replace(unnumbered, data={})
    for unreadable in (b"", b"\xc1", b"\x00" * (MAX_PAYLOAD + 1), whole | {"data": [1]}, [1], msgspec.msgpack.encode(whole)[:-1]):
        found = call_of(unreadable)
        assert found is not None
        assert found.data == nothing.data
    assert call_of(whole, content_type="text/plain") == nothing


def test_nothing_else_is_an_emergency() -> None:
    for topic in (
        DIALECT.topics.event(VIN, "trip"),
        DIALECT.topics.status(VIN),
        f"fleet/v1/{VIN}/command/ecall",
        "x",
        "fleet/v1/x/event/ecall",
    ):
        assert call_of(b"\xc1", topic) is None
