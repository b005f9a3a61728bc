"""Cars as modules of OVMS v3: metrics, events, and the lines of its shell."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from fleet.dialects.opening import open_named
from fleet.errors import Undecodable
from fleet.harness import World
from fleet.harness.broker import HarnessBroker
from fleet.harness.car import HarnessCar
from fleet.kernel.instants import SECOND
from fleet.transport.link import Link, LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.wire.dialect import CarEnd, CarFacts, Dialect, Heard
from fleet.wire.frame import Frame
from fleet.wire.messages import Command, Event, Presence, Response, Status
from tests.dialects.statuses import NOW, VIN, whole_status
from tests.lab import quick_back_off
from tests.recording_owner import RecordingOwner

HEAD: Final = f"ovms/fleet/{VIN}/"


@pytest.fixture
def dialect() -> Dialect:
    return open_named("ovms")


@pytest.fixture
def end(dialect: Dialect) -> CarEnd:
    found = dialect.car_end(CarFacts(vin=VIN, client_id=VIN), whole_status)
    assert found is not None
    return found


def by_topic(frames: Any) -> dict[str, str]:
    return {frame.topic.removeprefix(HEAD): frame.payload.decode() for frame in frames}


def line(text: str, count: str = "1", **members: Any) -> Frame:
    return Frame(topic=f"{HEAD}client/app/command/{count}", payload=text.encode(), **members)


def asked(end: CarEnd, text: str) -> Command:
    (command,) = end.read(line(text), NOW).messages
    assert isinstance(command, Command)
    return command


def answered(end: CarEnd, command: Command, state: Any, reason: str | None = None) -> dict[str, str]:
    response = Response(
        vin=VIN, boot=3, seq=9, captured_at=NOW, command_id=command.id, name=command.name, state=state, reason=reason, awake=True
    )
    return by_topic(end.write(response, NOW))


# --- what a car says


def test_metrics_are_retained_texts_in_the_units_of_the_module(end: CarEnd) -> None:
    """yes and no, km and kW, without a unit behind the number."""
    frames = end.write(whole_status(), NOW)
    assert all(frame.retain and frame.content_type is None for frame in frames)
    said = by_topic(frames)
    assert said["metric/v/p/odometer"] == "12345.7"
    assert said["metric/v/b/soc"] == "55.5"
    assert said["metric/v/c/state"] == "charging"
    assert said["metric/v/c/duration/full"] == "95"
    assert said["metric/v/e/locked"] == "yes"
    assert said["metric/v/d/trunk"] == "yes"
    assert said["metric/v/e/on"] == "no"
    assert said["metric/v/e/drivetime"] == "1200"
    assert said["metric/v/b/12v/voltage"] == "12.55"


def test_presence_is_the_metric_of_the_server_and_the_will(end: CarEnd) -> None:
    """As the module has it: retained, `no` when it is lost."""
    online = Presence(vin=VIN, boot=3, seq=0, captured_at=NOW, connection="online")
    assert by_topic(end.write(online, NOW)) == {"metric/s/v3/connected": "yes"}
    will = end.will(Presence(vin=VIN, boot=3, seq=0, captured_at=NOW, connection="offline", reason="lost"))
    assert will is not None
    assert (will.payload, will.retain) == (b"no", True)


def test_an_event_is_its_name_on_one_topic_and_a_topic_of_its_own(end: CarEnd) -> None:
    """The older way and the newer one, as the module sends both."""
    event = Event(vin=VIN, boot=3, seq=8, captured_at=NOW, name="engine_on")
    assert by_topic(end.write(event, NOW)) == {"event": "vehicle.on", "event/vehicle/on": ""}
    fault = Event(vin=VIN, boot=3, seq=8, captured_at=NOW, name="fault", data={"id": "bulb", "text": "A bulb is broken"})
    assert by_topic(end.write(fault, NOW)) == {"notify/alert/vehicle/fault": "A bulb is broken"}


def test_our_back_end_reads_numbers_from_texts(dialect: Dialect, end: CarEnd) -> None:
    """A status that went out as texts is one of numbers again."""
    *_, read = [dialect.read_from_car(frame) for frame in end.write(whole_status(), NOW)]
    assert isinstance(read, Status)
    assert (read.mileage_km, read.state) == (12_345.7, "parked")
    assert read.charging is not None
    assert (read.charging.state, read.charging.remaining_min, read.charging.power_kw) == ("charging", 95, 3.51)


# --- the shell


@pytest.mark.parametrize(
    ("text", "name", "parameters", "done"),
    [
        ("lock 1234", "lock", {}, "Vehicle locked"),
        ("unlock nopin", "unlock", {}, "Vehicle unlocked"),
        ("climatecontrol on", "climatisation", {"action": "start"}, "Climate Control"),
        ("climatecontrol off", "climatisation", {"action": "stop"}, "Climate Control"),
        ("charge start", "charging", {"action": "start"}, "Charge has been started or stopped"),
        ("charge stop", "charging", {"action": "stop"}, "Charge has been started or stopped"),
        ("charge current 10", "charging_settings", {"max_current_a": 10}, "Charge current limit set"),
        ("wakeup", "refresh", {}, "Vehicle has been woken"),
    ],
)
def test_a_line_is_a_command_and_answered_once_it_is_done(
    end: CarEnd, text: str, name: str, parameters: dict[str, Any], done: str
) -> None:
    """To the client that asked, under its own count."""
    command = asked(end, text)
    assert (command.name, command.parameters, command.vin) == (name, parameters, VIN)
    assert answered(end, command, "accepted") == {}
    assert answered(end, command, "succeeded") == {"client/app/response/1": done}


def test_refusals_are_errors_in_the_words_of_the_module(end: CarEnd) -> None:
    """What is not there has words of its own."""
    assert answered(end, asked(end, "lock 1"), "rejected", "door_open") == {
        "client/app/response/1": "Error: vehicle could not be locked"
    }
    assert answered(end, asked(end, "charge start"), "rejected", "not_equipped") == {
        "client/app/response/1": "Error: Charge start functionality not available"
    }
    assert answered(end, asked(end, "climatecontrol on"), "failed", "actuator") == {
        "client/app/response/1": "Error: Climate Control failed (failed)"
    }


def test_the_count_of_a_client_is_no_id(end: CarEnd) -> None:
    """Its second command with the same number is another one, and is answered, too."""
    first, second = asked(end, "lock 1"), asked(end, "lock 1")
    assert first.id != second.id
    assert len(answered(end, first, "succeeded")) == len(answered(end, second, "succeeded")) == 1


def test_an_unknown_line_is_counted_and_answered(end: CarEnd) -> None:
    """Its client does not wait in vain."""
    with pytest.raises(Undecodable, match="no entry of the mapping"):
        end.read(line("homelink 1", "7"), NOW)
    assert end.deadline() == NOW
    assert by_topic(end.wake(NOW)) == {"client/app/response/7": "Unrecognised command\n"}
    assert end.deadline() is None


def test_a_retained_line_is_neither_obeyed_nor_answered(end: CarEnd) -> None:
    """Else it would be at each connection."""
    for text in ("lock 1", "homelink 1"):
        with pytest.raises(Undecodable):
            end.read(line(text, retain=True), NOW)
    assert end.deadline() is None


@pytest.mark.parametrize(
    ("pattern", "topics"),
    [("v.b.soc", ["metric/v/b/soc"]), ("v.d.f*,v.vin", ["metric/v/vin", "metric/v/d/fl", "metric/v/d/fr"]), ("x.*", [])],
)
def test_metrics_are_sent_when_a_client_asks(end: CarEnd, pattern: str, topics: list[str]) -> None:
    """Those that its pattern means, as they are at the moment, in no account."""
    heard = end.read(Frame(topic=f"{HEAD}client/app/request/metric", payload=pattern.encode()), NOW)
    assert list(by_topic(heard.frames)) == topics
    assert all(frame.retain and not frame.user_properties for frame in heard.frames)


def test_all_metrics_are_sent_for_a_star(end: CarEnd) -> None:
    """As many as at a connection."""
    heard = end.read(Frame(topic=f"{HEAD}client/app/request/metric", payload=b"*"), NOW)
    assert len(heard.frames) == len(end.connected(NOW)) > 30
    assert end.read(Frame(topic=f"{HEAD}client/app/active", payload=b"1"), NOW) == Heard()


def test_our_desk_asks_in_lines_and_knows_the_answer_for_its_own(dialect: Dialect, end: CarEnd) -> None:
    """The levels that may be anything are the command's id."""
    command = Command(
        id="desk-1", vin=VIN, name="climatisation", issued_at=NOW, expires_at=NOW + SECOND, parameters={"action": "stop"}
    )
    frame = dialect.to_car(VIN, command)
    assert (frame.topic, frame.payload) == (f"{HEAD}client/desk-1/command/desk-1", b"climatecontrol off")
    (heard,) = end.read(frame, NOW).messages
    assert isinstance(heard, Command)
    response = Response(
        vin=VIN, boot=3, seq=9, captured_at=NOW, command_id=heard.id, name=heard.name, state="succeeded", awake=True
    )
    (answer,) = end.write(response, NOW)
    read = dialect.read_from_car(answer)
    assert isinstance(read, Response)
    assert (read.command_id, read.name, read.state) == ("desk-1", "climatisation", "succeeded")


# --- on a broker


class Client:
    """A client as the module's own shell over MQTT: it subscribes its answers, and counts its commands."""

    def __init__(self, fleet: World, link: Link, owner: RecordingOwner) -> None:
        self._fleet = fleet
        self._link = link
        self._owner = owner
        self._tokens = itertools.count(1)

    def send(self, car: HarnessCar, topic: str, text: str) -> None:
        frame = Frame(topic=f"ovms/fleet/{car.vin}/client/app/{topic}", payload=text.encode(), qos=0)
        self._link.publish(frame, next(self._tokens))

    async def answer(self, count: int) -> str:
        def found() -> list[str]:
            ending = f"/client/app/response/{count}"
            return [each.frame.payload.decode() for each in self._owner.deliveries if each.frame.topic.endswith(ending)]

        await self._fleet.eventually(found)
        return found()[0]


@pytest.fixture
async def client(fleet: World, fleet_broker: HarnessBroker) -> AsyncIterator[Client]:
    user, password = fleet_broker.login("backend")
    owner = RecordingOwner()
    settings = LinkSettings(
        client_id="app", username=user, password=password, subscriptions=(("ovms/fleet/+/client/app/response/#", 1),)
    )
    owner.link = swarm_links(fleet_broker.mosquitto.tools)(settings, owner, quick_back_off())
    owner.link.open()
    await owner.wait_for_up()
    yield Client(fleet, owner.link, owner)
    await owner.link.close(end_session=True)


@pytest.mark.live
@pytest.mark.fleet(mode="live", dialect="ovms", backend=False)
async def test_a_client_commands_a_car_and_is_answered(fleet: World, fleet_car: HarnessCar, client: Client) -> None:
    """Done, refused, and not understood."""
    client.send(fleet_car, "active", "1")
    client.send(fleet_car, "command/1", "unlock 1234")
    await fleet_car.wait_for_command("unlock")
    await fleet_car.wait_for_response("unlock", state="succeeded", within="1 min")
    assert await client.answer(1) == "Vehicle unlocked"
    await fleet_car.switch_on()
    client.send(fleet_car, "command/2", "lock 1234")
    await fleet_car.wait_for_command("lock")
    await fleet_car.wait_for_response("lock", state="rejected", within="1 min")
    assert await client.answer(2) == "Error: vehicle could not be locked"
    client.send(fleet_car, "command/3", "homelink 1")
    await fleet.eventually(lambda: fleet.inboxes.unreadable(fleet_car.vin))
    await fleet.clock.advance(seconds=1)
    assert await client.answer(3) == "Unrecognised command\n"
