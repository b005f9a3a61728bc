"""A car in the dialect of COVESA: a status by path, and VISS over MQTT."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fleet.dialects.vss.dialect import VssDialect
from fleet.errors import Undecodable
from fleet.kernel.instants import SECOND
from fleet.wire.dialect import CarEnd, CarFacts, Heard
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import Command, Event, Presence, Response, Status
from tests.dialects.statuses import NOW, VIN, whole_status

LEVEL = "Vehicle.Powertrain.FuelSystem.RelativeLevel"
LOCK = "VehicleService.Access.Lock"
GET = {"action": "get", "path": LEVEL, "requestId": "1"}


@pytest.fixture
def dialect() -> VssDialect:
    return VssDialect(FleetDialect())


@pytest.fixture
def end(dialect: VssDialect) -> CarEnd:
    found = dialect.car_end(CarFacts(vin=VIN, client_id=VIN, model="leon"), whole_status)
    assert found is not None
    return found


def asked(request: Any, topic: Any = "viss/1", at: str = f"{VIN}/Vehicle", **members: Any) -> Frame:
    return Frame(topic=at, payload=msgspec.json.encode({"topic": topic, "request": request}), **members)


def body(frame: Frame | Command) -> Any:
    assert isinstance(frame, Frame)
    return msgspec.json.decode(frame.payload)


def response(command: Command, state: Any) -> Response:
    return Response(vin=VIN, boot=3, seq=9, captured_at=NOW, command_id=command.id, name=command.name, state=state, awake=True)


# --- what our own back end reads


def test_a_status_is_one_frame_with_its_number_and_signals_by_path(dialect: VssDialect, end: CarEnd) -> None:
    """In their own datatypes; the back end reads it as a status of ours."""
    status = whole_status()
    (frame,) = end.write(status, NOW)
    assert (frame.topic, frame.retain, frame.content_type) == (f"fleet/v1/{VIN}/status", False, "application/json")
    state = body(frame)
    assert (state["vin"], state["boot"], state["seq"], state["ts"]) == (VIN, 3, 7, "2026-03-02T12:00:00Z")
    assert state["signals"][LEVEL] == 61
    read = dialect.read_from_car(frame)
    assert isinstance(read, Status)
    assert (read.seq, read.trigger, read.mileage_km, read.doors) == (7, "left", status.mileage_km, status.doors)
    header = dialect.header_of(frame)
    assert header is not None
    assert (header.boot, header.seq) == (3, 7)


@pytest.mark.parametrize(
    "message",
    [
        Event(vin=VIN, boot=3, seq=8, captured_at=NOW, name="trip", data={"distance_km": 3.5}),
        Presence(vin=VIN, boot=3, seq=0, captured_at=NOW, connection="online"),
        Response(vin=VIN, boot=3, seq=9, captured_at=NOW, command_id="c", name="lock", state="accepted", awake=True),
    ],
)
def test_all_else_survives_as_it_is(dialect: VssDialect, end: CarEnd, message: Any) -> None:
    """The catalogue has no events; they go on in our own words."""
    (frame,) = end.write(message, NOW)
    assert dialect.read_from_car(frame) == message


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"vin": "VSSZZZKMZTV000002"}, "foreign_vin"),
        ({"signals": {"Vehicle.TraveledDistance": "far"}}, "type"),
        ({"signals": {"Vehicle.TraveledDistance": -1e30}}, "type"),
        ({"signals": {"Vehicle.CurrentLocation.Timestamp": "noon"}}, "type"),
        ({"signals": {"Vehicle.Powertrain.TractionBattery.Range": [1]}}, "type"),
        ({"trigger": "mood"}, "type"),
    ],
)
def test_a_status_that_is_none_is_undecodable(dialect: VssDialect, end: CarEnd, payload: dict[str, Any], reason: str) -> None:
    """With one word for counting."""
    (frame,) = end.write(whole_status(), NOW)
    with pytest.raises(Undecodable) as caught:
        dialect.read_from_car(replace(frame, payload=msgspec.json.encode(body(frame) | payload)))
    assert caught.value.reason == reason


# --- VISS over MQTT


@pytest.mark.parametrize("request_", [GET, msgspec.json.encode(GET).decode()])
@pytest.mark.parametrize("topic", [f"{VIN}/Vehicle", f"/{VIN}/Vehicle"])
def test_a_request_is_text_or_object_on_a_topic_with_or_without_a_slash(end: CarEnd, request_: Any, topic: str) -> None:
    """The specification says a text; its reference client sends an object, behind a slash."""
    assert (topic, 1) in end.subscriptions
    heard = end.read(asked(request_, at=topic), NOW)
    (frame,) = heard.frames
    assert heard.messages == ()
    assert (frame.topic, frame.retain, body(frame)["data"]["dp"]["value"]) == ("viss/1", False, "61")


def test_an_invocation_is_a_command_and_its_answers_follow_the_response(end: CarEnd) -> None:
    """They are frames of their own, in no account: the numbered message is our own response."""
    invoke = {"action": "invoke", "path": LOCK, "filter": {"variant": "all"}, "requestId": "1"}
    heard = end.read(asked(invoke), NOW)
    (command,) = heard.messages
    assert isinstance(command, Command)
    assert (command.name, heard.frames) == ("lock", ())
    assert len(end.write(response(command, "accepted"), NOW)) == 1
    assert end.deadline() == NOW
    (answer,) = end.wake(NOW)
    assert isinstance(answer, Frame)
    assert (answer.topic, body(answer)["status"]) == ("viss/1", "ONGOING")
    assert end.deadline() is None


def test_what_is_ready_comes_before_what_is_due(end: CarEnd) -> None:
    """One waking sends both."""
    subscribe = {"action": "subscribe", "path": LEVEL, "filter": {"variant": "timebased", "parameter": {"period": "1000"}}}
    end.read(asked(subscribe), NOW)
    assert end.deadline() == NOW + SECOND
    (command,) = end.read(asked({"action": "set", "path": "Vehicle.Body.Trunk.Rear.IsLocked", "value": "true"}), NOW).messages
    assert isinstance(command, Command)
    end.write(response(command, "succeeded"), NOW + SECOND)
    assert [body(frame)["action"] for frame in end.wake(NOW + SECOND)] == ["set", "subscription"]


def test_subscriptions_live_through_a_lost_connection(end: CarEnd) -> None:
    """A car in a tunnel goes on as its client has asked."""
    subscribe = {"action": "subscribe", "path": LEVEL, "filter": {"variant": "timebased", "parameter": {"period": "1000"}}}
    end.read(asked(subscribe), NOW)
    assert end.connected(NOW + SECOND) == ()
    assert len(end.wake(NOW + SECOND)) == 1


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (asked(GET, retain=True), "retained"),
        (Frame(topic=f"{VIN}/Vehicle", payload=b"{"), "encoding"),
        (Frame(topic=f"{VIN}/Vehicle", payload=b"[]"), "topic"),
        (Frame(topic=f"{VIN}/Vehicle", payload=b'{"a":' * 9000), "size"),
        (asked(GET, topic=None), "topic"),
        (asked(GET, topic=""), "topic"),
        (asked(GET, topic="viss/#"), "topic"),
        (asked(GET, topic="$SYS/broker"), "topic"),
        (asked(GET, topic="a" * 201), "topic"),
        (asked(GET, topic="VSSZZZKMZTV000002/Vehicle"), "topic"),
        (asked(GET, topic="fleet/v1/VSSZZZKMZTV000002/command/lock"), "topic"),
        (asked(GET, topic="fleet/v1/desk/request"), "topic"),
        (Frame(topic="somewhere/else", payload=b""), "topic"),
    ],
)
def test_what_is_no_request_is_undecodable_and_no_answer_goes_where_it_would_mean_something(
    end: CarEnd, frame: Frame, reason: str
) -> None:
    """A client cannot have the car write to other cars, to the desk, or to the broker."""
    with pytest.raises(Undecodable) as caught:
        end.read(frame, NOW)
    assert caught.value.reason == reason


@pytest.mark.parametrize("request_", ["{", "7", 7, None])
def test_a_request_that_is_no_object_is_answered(end: CarEnd, request_: Any) -> None:
    """Its sender has told where to."""
    (frame,) = end.read(asked(request_), NOW).frames
    assert body(frame)["error"]["number"] == "400"


def test_a_token_guards_services_too(dialect: VssDialect) -> None:
    """Reading and commanding alike."""
    guarded = VssDialect(FleetDialect(), "secret").car_end(CarFacts(vin=VIN, client_id=VIN), whole_status)
    assert guarded is not None
    invoke = {"action": "invoke", "path": LOCK, "filter": {"variant": "all"}, "requestId": "1"}
    refused = guarded.read(asked(invoke), NOW)
    assert (refused.messages, body(refused.frames[0])["error"]["number"]) == ((), "401")
    assert len(guarded.read(asked(invoke | {"authorization": "secret"}), NOW).messages) == 1


def test_our_own_commands_come_as_ever(dialect: VssDialect, end: CarEnd) -> None:
    """The desk needs no VISS."""
    command = Command(id="c", vin=VIN, name="lock", issued_at=NOW, expires_at=NOW + SECOND)
    assert end.read(dialect.to_car(VIN, command), NOW) == Heard((command,))


def test_access_lets_a_car_write_below_its_vin_and_to_clients(dialect: VssDialect) -> None:
    """And read the requests to itself alone."""
    access = dialect.access
    assert access is not None
    assert "%u/Vehicle" in access.car_reads
    assert [each for each in access.car_writes if "%u" not in each] == ["viss/#"]


def test_nothing_but_the_presence_is_retained(end: CarEnd) -> None:
    """It is cleared when the run is over."""
    (frame,) = end.clear()
    assert (frame.topic, frame.payload, frame.retain) == (f"fleet/v1/{VIN}/presence", b"", True)
    will = end.will(Presence(vin=VIN, boot=3, seq=0, captured_at=NOW, connection="offline", reason="lost"))
    assert will is not None
    assert will.retain
