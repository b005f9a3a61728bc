"""A car's end of a mapped dialect: frames for fields, only what changed, connections, confirmations, and commands of any form."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fleet.dialects.car_end import ANSWERED_COMMANDS, OPEN_COMMANDS, MappedEnd
from fleet.dialects.mapped import MappedDialect
from fleet.errors import Undecodable, Unwritable
from fleet.kernel.instants import LATEST, MINUTE, SECOND
from fleet.wire.frame import Frame
from fleet.wire.messages import Command, Energy, Event, Reply, Request, Response, Status, Stored
from fleet.wire.numbering import NUMBER
from tests.dialects.test_mapped import AT, CAR, HEAD, HEADER, OFFLINE, STATUS, body, dialect_of, end_of, heard, read_all, status
from tests.wire.test_dialect import VIN

TELEMETRY = HEAD + (
    "status: [{topic: '{base}/v/{field}', frames: field, each: {value: value, at: {from: captured_at, unit: epoch_s}},"
    " fields: {Soc: energy.charge_percent, Odometer: {from: mileage_km, unit: mi, digits: 3}, door/fl: doors.front_left.open}}]}"
)
CHANGES = HEAD + (
    "status: [{topic: '{base}/WORD', frames: FRAMES, changes_only: true, MORE fields: {t: captured_at, why: trigger,"
    " km: mileage_km, soc: {from: energy.charge_percent, every: 30 s}, fuel: energy.fuel_level_percent, s: state}}]}"
)


def changes(frames: str = "one", more: str = "") -> str:
    word = "s" if frames == "one" else f"{{{frames}}}"
    return CHANGES.replace("FRAMES", frames).replace("WORD", word).replace("MORE", more)


def changing(frames: str = "one", more: str = "") -> MappedDialect:
    return dialect_of(changes(frames, more))


def said(frames: Any) -> dict[str, Any]:
    """Return the bodies of frames by the last level of their topic."""
    return {frame.topic.rpartition("/")[2]: body(frame) for frame in frames}


def moved(seq: int, km: float, soc: float = 50.0, **more: Any) -> Status:
    return status(seq, mileage_km=km, energy=Energy(charge_percent=soc, **more))


# --- a frame for each field


def test_a_field_has_a_topic_of_its_own() -> None:
    dialect = dialect_of(TELEMETRY)
    frames = end_of(dialect).write(moved(4, 160.9344), AT)
    assert [(frame.topic, body(frame)) for frame in frames] == [
        (f"t/{VIN}/v/Soc", {"value": 50.0, "at": AT / SECOND}),
        (f"t/{VIN}/v/Odometer", {"value": 100.0, "at": AT / SECOND}),
    ]
    found = read_all(dialect, frames)
    assert isinstance(found, Status)
    assert (found.mileage_km, found.energy) == (160.9344, Energy(charge_percent=50.0))


def test_a_field_with_several_levels_and_a_bare_value() -> None:
    dialect = dialect_of(
        HEAD + "payload: text, status: [{topic: '{base}/m/{field}', frames: field, fields: {v/b/soc: mileage_km}}]}"
    )
    (frame,) = end_of(dialect).write(moved(4, 12.0), AT)
    assert (frame.topic, frame.payload) == (f"t/{VIN}/m/v/b/soc", b"12")
    found = dialect.read_from_car
    with pytest.raises(Undecodable, match="type"):
        found(frame)  # a text has to say that it is a number


def test_a_number_in_a_text_is_read_where_the_mapping_says_so() -> None:
    fields = "fields: {v/b/soc: {from: mileage_km, as_text: true}}"
    dialect = dialect_of(HEAD + "payload: text, status: [{topic: '{base}/m/{field}', frames: field, " + fields + "}]}")
    (frame,) = end_of(dialect).write(moved(4, 12.5), AT)
    found = dialect.read_from_car(frame)
    assert isinstance(found, Status)
    assert found.mileage_km == 12.5


# --- only what changed


@pytest.mark.parametrize("frames", ["one", "group", "field"])
def test_only_what_changed_is_sent_and_the_rest_is_remembered(frames: str) -> None:
    """The back end completes a group with what it knows of it."""
    dialect = changing(frames)
    end = end_of(dialect)
    read_all(dialect, end.write(moved(1, 1.0, fuel_level_percent=70.0), AT))
    second = end.write(moved(2, 2.0, fuel_level_percent=60.0), AT)
    expected: dict[str, Any] = {
        "one": {"s": {"t": AT, "why": "load", "km": 2.0, "fuel": 60.0}},
        "group": {"mileage_km": {"t": AT, "why": "load", "km": 2.0}, "energy": {"t": AT, "why": "load", "fuel": 60.0}},
        "field": {"km": 2.0, "fuel": 60.0},
    }
    assert said(second) == expected[frames]
    found = read_all(dialect, second)
    assert isinstance(found, Status)
    assert found.energy == Energy(charge_percent=50.0, fuel_level_percent=60.0)
    assert (found.mileage_km, found.state, found.seq) == (2.0, "driving", 2)


@pytest.mark.parametrize("frames", ["one", "group"])
def test_nothing_new_is_no_frame(frames: str) -> None:
    end = end_of(changing(frames))
    assert end.write(moved(1, 1.0), AT)
    assert end.write(moved(2, 1.0), AT) == []
    assert end.write(status(3, mileage_km=1.0), AT) == [], "what is no part of a status has not changed"


def test_a_new_run_of_the_cars_computer_is_nothing_that_comes_again() -> None:
    """Its numbers begin anew, and what the system knows it still knows."""
    end = end_of(changing())
    end.write(moved(7, 1.0), AT)
    again = replace(moved(1, 1.0), boot=4)
    assert end.write(again, AT) == []
    assert said(end.write(replace(again, seq=2, mileage_km=2.0), AT))["s"].keys() == {"t", "why", "km"}


def test_everything_after_an_outage() -> None:
    end = end_of(changing())
    first = said(end.write(moved(1, 1.0), AT))
    assert end.connected(AT) == ()
    assert said(end.write(moved(1, 1.0), AT)) == first


def test_a_field_waits_for_its_own_interval_and_comes_then() -> None:
    """In no account, and only the newest value."""
    dialect = changing()
    end = end_of(dialect)
    end.write(moved(1, 1.0, 50.0), AT)
    assert said(end.write(moved(2, 2.0, 51.0), AT + 10 * SECOND))["s"].keys() == {"t", "why", "km"}
    assert end.deadline() == AT + 30 * SECOND
    end.write(moved(3, 2.5, 52.0), AT + 20 * SECOND)
    assert end.wake(AT + 30 * SECOND - 1) == []
    (frame,) = end.wake(AT + 30 * SECOND)
    assert body(frame) == {"t": AT, "why": "load", "soc": 52.0}
    assert frame.user_properties == ()
    assert end.deadline() is None
    assert end.wake(AT + MINUTE) == []
    assert dialect.read_from_car(frame) is None, "it belongs to no message"


def test_a_value_that_is_what_it_was_needs_not_be_sent() -> None:
    end = end_of(changing())
    end.write(moved(1, 1.0, 50.0), AT)
    end.write(moved(2, 1.0, 51.0), AT)
    assert end.deadline() is not None
    end.write(moved(3, 1.0, 50.0), AT)
    assert end.deadline() is None


def test_after_its_interval_a_field_goes_with_the_next_message() -> None:
    end = end_of(changing())
    end.write(moved(1, 1.0, 50.0), AT)
    assert said(end.write(moved(2, 1.0, 51.0), AT + 30 * SECOND))["s"]["soc"] == 51.0


def test_a_message_that_comes_again_has_everything() -> None:
    """Nobody has stored it: what was told with it the first time is not known. What follows tells changes again."""
    end = end_of(changing())
    first = end.write(moved(1, 10.0, fuel_level_percent=40.0), AT)
    assert end.write(moved(1, 10.0, fuel_level_percent=40.0), AT) == first
    assert list(said(end.write(moved(2, 11.0, fuel_level_percent=40.0), AT))["s"]) == ["t", "why", "km"]


def test_an_outage_forgets_what_is_held() -> None:
    end = end_of(changing())
    end.write(moved(1, 1.0, 50.0), AT)
    end.write(moved(2, 1.0, 51.0), AT)
    end.connected(AT)
    assert (end.deadline(), end.wake(AT + MINUTE)) == (None, [])


def test_what_could_not_be_written_counts_as_not_sent() -> None:
    bad = "{topic: '{base}/x', fields: {x: {expression: 1 / (mileage_km - 2)}}}]}"
    dialect = dialect_of(changes()[:-2] + ", " + bad)
    end = end_of(dialect)
    end.write(moved(1, 1.0), AT)
    with pytest.raises(Unwritable):
        end.write(moved(2, 2.0), AT)
    assert said(end.write(moved(3, 3.0), AT))["s"] == {"t": AT, "why": "load", "km": 3.0, "soc": 50.0, "s": "driving"}


def test_null_says_that_a_value_is_gone() -> None:
    dialect = changing(more="missing: 'null',")
    end = end_of(dialect)
    read_all(dialect, end.write(moved(1, 1.0, fuel_level_percent=70.0), AT))
    frames = end.write(moved(2, 1.0), AT)
    assert said(frames)["s"]["fuel"] is None
    found = read_all(dialect, frames)
    assert isinstance(found, Status)
    assert found.energy == Energy(charge_percent=50.0)


def test_a_connection_may_begin_with_the_whole_status() -> None:
    """Then only changes follow."""
    dialect = changing(more="on_connect: true,")
    end = end_of(dialect, moved(0, 5.0))
    (frame,) = end.connected(AT)
    assert body(frame)["km"] == 5.0
    assert frame.user_properties == ()
    assert dialect.read_from_car(frame) is None
    frames = end.write(moved(1, 6.0), AT)
    assert said(frames)["s"].keys() == {"t", "why", "km"}
    found = read_all(dialect, frames)
    assert isinstance(found, Status)
    assert (found.mileage_km, found.state) == (6.0, "driving")


@pytest.mark.parametrize("name", ["privacy_changed", "car_paired"])
def test_a_car_that_speaks_again_tells_everything(name: str) -> None:
    """Its link let nothing out of the connection that began in silence."""
    end = end_of(changing(more="on_connect: true,"), moved(0, 5.0))
    (held_back,) = end.connected(AT)
    end.write(Event(vin=VIN, boot=1, seq=1, captured_at=AT, name=name), AT)
    assert said(end.write(moved(2, 5.0), AT))["s"] == body(held_back)


# --- the account


def test_numbers_in_the_payload() -> None:
    text = HEAD + "account: payload, status: [{topic: '{base}/s', fields: {b: boot, n: seq, t: captured_at, km: mileage_km}}]}"
    dialect = dialect_of(text)
    (frame,) = end_of(dialect).write(moved(7, 1.0), AT)
    assert frame.user_properties == ()
    found = dialect.read_from_car(frame)
    assert isinstance(found, Status)
    assert (found.boot, found.seq, found.captured_at) == (3, 7, AT)
    assert dialect.header_of(frame) is not None
    broken = Frame(topic=frame.topic, payload=b'{"km": 1.0}')
    with pytest.raises(Undecodable, match="number"):
        dialect.read_from_car(broken)


def test_without_numbers_they_are_counted_as_they_come() -> None:
    dialect = dialect_of(HEAD + "account: none, status: [{topic: '{base}/s', fields: {km: mileage_km}}]}")
    end = end_of(dialect)
    found = [dialect.read_from_car(end.write(moved(seq, 1.0), AT)[0]) for seq in (5, 9)]
    assert [(each.boot, each.seq) for each in found if isinstance(each, Status)] == [(0, 1), (0, 2)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_properties": ()}, "number"),
        ({"user_properties": ((NUMBER, "x"),)}, "number"),
        ({"user_properties": ((NUMBER, f"{VIN[:-1]}9 3 4 5 1/1"),)}, "foreign_vin"),
        ({"payload": b"{"}, "encoding"),
        ({"payload": b"[]"}, "type"),
        ({"payload": b'{"km": "far", "m": 1}'}, "type"),
        ({"payload": b'{"km": 1.0}' + b" " * 70_000}, "size"),
        ({"topic": "t/x/s"}, "topic"),
    ],
)
def test_a_frame_that_is_none_of_the_mapping_is_undecodable(change: dict[str, Any], reason: str) -> None:
    dialect = dialect_of(HEAD + "status: [{topic: '{base}/s', fields: {km: mileage_km, m: climate.remaining_min}}]}")
    (frame,) = end_of(dialect).write(moved(4, 1.0), AT)
    plain = {name: getattr(frame, name) for name in ("topic", "payload", "user_properties")}
    with pytest.raises(Undecodable) as caught:
        dialect.read_from_car(Frame(**{**plain, **change}))
    assert caught.value.reason == reason


def test_entries_with_one_topic_may_have_payloads_of_different_kinds() -> None:
    """Whichever stands first in the file."""
    entry = "{topic: '{base}/e', names: [NAME], payload: KIND, fields: {d: data, n: name}}"
    entries = [entry.replace("NAME", name).replace("KIND", kind) for name, kind in (("trip", "json"), ("ecall", "msgpack"))]
    dialect = dialect_of(HEAD + f"events: [{', '.join(entries)}]}}")
    end = end_of(dialect)
    for name in ("trip", "ecall"):
        event = Event(**HEADER, name=name, data={"a": 1})
        assert read_all(dialect, end.write(event, AT)) == event


@pytest.mark.parametrize("strange", [{"a": 1}, [1], 7])
def test_a_name_or_id_may_be_anything_in_what_comes(strange: object) -> None:
    """It is a message or undecodable, and no other error reaches the back end."""
    dialect = dialect_of(
        HEAD + "events: [{topic: '{base}/e', fields: {n: name}}],"
        " responses: [{topic: '{base}/r', fields: {id: command_id, s: state}}], commands: [{command: lock, topic: '{base}/c'}]}"
    )
    dialect.to_car(VIN, Command(id="c", vin=VIN, name="lock", issued_at=0, expires_at=1))
    number = (NUMBER, f"{VIN} 3 4 5 1/1")
    for topic, said_ in (("e", {"n": strange}), ("r", {"id": strange, "s": "succeeded"})):
        frame = Frame(topic=f"t/{VIN}/{topic}", payload=json.dumps(said_).encode(), user_properties=(number,))
        with pytest.raises(Undecodable, match="type"):
            dialect.read_from_car(frame)
        assert dialect.emergency_of(frame, AT) is None


def test_an_emergency_call_is_passed_on_whatever_is_written_in_it() -> None:
    dialect = dialect_of(HEAD + "events: [{topic: '{base}/e/{event}', fields: {d: data, n: {from: seq}}}]}")
    (frame,) = end_of(dialect).write(Event(**HEADER, name="ecall", data={"a": 1}), AT)
    broken = Frame(topic=frame.topic, payload=b"\xff", user_properties=frame.user_properties)
    call = dialect.emergency_of(broken, 9)
    assert call is not None
    assert (call.vin, call.seq, call.name, call.data) == (VIN, 4, "ecall", {})
    unnumbered = dialect.emergency_of(Frame(topic=frame.topic, payload=b'{"d": {"a": 1}}'), 9)
    assert unnumbered is not None
    assert (unnumbered.seq, unnumbered.captured_at, unnumbered.data) == (0, 9, {"a": 1})
    (other,) = end_of(dialect).write(Event(**HEADER, name="trip"), AT)
    assert dialect.emergency_of(other, 9) is None


# --- confirmations, requests, replies


def test_a_confirmation_is_what_is_stored() -> None:
    confirm = "confirm: {topic: '{base}/ack', number: payload.n, cumulative: true}}"
    dialect = dialect_of(HEAD + "status: [{topic: '{base}/s', fields: {km: mileage_km}}], " + confirm)
    end = end_of(dialect)
    for seq in (1, 2, 3):
        end.write(moved(seq, 1.0), AT)
    frame = dialect.to_car(VIN, Stored(boot=3, through=2))
    assert json.loads(frame.payload) == {"n": 2}
    assert heard(end, frame) == Stored(boot=3, through=2)
    assert dialect.says_stored
    with pytest.raises(Undecodable, match="type"):
        end.read(Frame(topic=frame.topic, payload=b'{"n": "two"}'), AT)


def test_a_number_in_the_topic_confirms_one_message() -> None:
    confirm = "confirm: {topic: '{base}/ack/{n}', number: topic.n, payload: text}}"
    dialect = dialect_of(HEAD + "status: [{topic: '{base}/s', fields: {km: mileage_km}}], " + confirm)
    end = end_of(dialect)
    for seq in (1, 2):
        end.write(moved(seq, 1.0), AT)
    assert heard(end, Frame(topic=f"t/{VIN}/ack/2", payload=b"")) == Stored(boot=3, through=0, high=2, gaps=((1, 1),))
    assert not dialect.says_stored


def test_a_request_and_its_reply() -> None:
    replies = "replies: [{topic: '{base}/reply', data: payload.a}]}"
    dialect = dialect_of(HEAD + "requests: [{topic: '{base}/ask/{request}', fields: {id: id, q: data}}], " + replies)
    end = end_of(dialect)
    request = Request(**HEADER, id="r1", name="poi", data={"kind": "fuel"})
    (frame,) = end.write(request, AT)
    assert dialect.read_from_car(frame) == request
    for reply in (Reply(id="r1", name="poi", data={"x": [1]}), Reply(id="r1", name="poi", error="none")):
        assert heard(end, dialect.to_car(VIN, reply, expiry_s=3)) == reply


# --- commands of any form


OVMS = (
    HEAD
    + """
payload: text,
commands: [
  {command: climatisation, topic: '{base}/client/{asker}/command/{nr}', id: topic.nr, when: {payload.0: climatecontrol},
   parameters: {action: {from: payload.1, values: {"on": start, "off": stop}}}},
  {command: lock, topic: '{base}/client/{asker}/command/{nr}', id: topic.nr, when: {payload: lock}}],
responses: [{topic: '{base}/client/{asker}/response/{nr}', states: [succeeded, rejected, failed, expired, unknown],
  value: {from: state, values: {succeeded: ok}, otherwise: error}}]}"""
)


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [("climatecontrol on", "climatisation", {"action": "start"}), ("climatecontrol off", "climatisation", {"action": "stop"}),
     ("lock", "lock", {})],
)  # fmt: skip
def test_a_command_in_words_and_its_answer_to_whom_asked(text: str, name: str, parameters: dict[str, Any]) -> None:
    dialect = dialect_of(OVMS)
    end = end_of(dialect)
    came = heard(end, Frame(topic=f"t/{VIN}/client/phone/command/17", payload=text.encode()))
    assert isinstance(came, Command)
    assert (came.id, came.name, came.parameters) == ("17", name, parameters)
    assert end.write(Response(**HEADER, command_id="17", name=name, state="accepted", awake=True), AT) == []
    (frame,) = end.write(Response(**HEADER, command_id="17", name=name, state="succeeded", awake=True), AT)
    assert (frame.topic, frame.payload) == (f"t/{VIN}/client/phone/response/17", b"ok")
    with pytest.raises(Unwritable, match="asker"):
        end.write(Response(**HEADER, command_id="18", name=name, state="succeeded", awake=True), AT)


def test_a_last_answer_that_is_sent_again_goes_where_it_went() -> None:
    """A connection that is lost before the acknowledgement, and a command that is delivered twice, have it written again."""
    end = end_of(dialect_of(OVMS))
    asked = Frame(topic=f"t/{VIN}/client/phone/command/17", payload=b"lock", correlation=b"c")
    heard(end, asked)
    heard(end, asked)
    done = Response(**HEADER, command_id="17", name="lock", state="succeeded", awake=True)
    (first,) = end.write(done, AT)
    end.connected(AT)
    assert end.write(done, AT) == [first]
    assert first.correlation == b"c"
    for number in range(ANSWERED_COMMANDS):
        end.read(Frame(topic=f"t/{VIN}/client/phone/command/n{number}", payload=b"lock"), AT)
        end.write(Response(**HEADER, command_id=f"n{number}", name="lock", state="succeeded", awake=True), AT)
    with pytest.raises(Unwritable, match="asker"):
        end.write(done, AT)


def test_without_an_id_the_car_invents_one_and_the_desk_finds_its_command() -> None:
    answers = "responses: [{topic: '{base}/done', fields: {s: state}}]}"
    dialect = dialect_of(HEAD + "commands: [{command: lock, topic: '{base}/lock', time_to_live: 2 min}], " + answers)
    end = end_of(dialect)
    ids = set()
    for own in ("a", "b"):
        frame = dialect.to_car(VIN, Command(id=own, vin=VIN, name="lock", issued_at=0, expires_at=9))
        came = heard(end, frame)
        assert isinstance(came, Command)
        assert came.expires_at == AT + 2 * MINUTE
        ids.add(came.id)
        (answer,) = end.write(Response(**HEADER, command_id=came.id, name="lock", state="succeeded", awake=True), AT)
        found = dialect.read_from_car(answer)
        assert isinstance(found, Response)
        assert (found.command_id, found.name, found.state) == (own, "lock", "succeeded")
    assert len(ids) == 2


def test_an_answer_without_id_or_echo_is_that_of_the_oldest_open_command() -> None:
    answers = "responses: [{topic: '{base}/done', fields: {s: state}}]}"
    dialect = dialect_of(HEAD + "commands: [{command: lock, topic: '{base}/lock'}], " + answers)
    for own in ("a", "b"):
        dialect.to_car(VIN, Command(id=own, vin=VIN, name="lock", issued_at=0, expires_at=9))
    for own in ("a", "b"):
        (answer,) = end_of(dialect).write(Response(**HEADER, command_id="?", name="lock", state="succeeded", awake=True), AT)
        found = dialect.read_from_car(answer)
        assert isinstance(found, Response)
        assert found.command_id == own


def test_units_expressions_and_levels_of_a_command() -> None:
    text = """
commands: [{command: heater, topic: '{base}/{who}/heat', id: payload.id, parameters: {
  action: {constant: start}, minutes: {expression: payload.s / 60}}}],
responses: [{topic: '{base}/done', fields: {who: topic.who, s: state}}]}"""
    dialect = dialect_of(HEAD + text)
    end = end_of(dialect)
    came = heard(end, Frame(topic=f"t/{VIN}/mia/heat", payload=b'{"id": "h", "s": 1200}'))
    assert isinstance(came, Command)
    assert came.parameters == {"action": "start", "minutes": 20.0}
    (frame,) = end.write(Response(**HEADER, command_id="h", name="heater", state="accepted", awake=True), AT)
    assert body(frame) == {"who": "mia", "s": "accepted"}
    with pytest.raises(Unwritable, match="computed"):
        dialect.to_car(VIN, Command(id="h", vin=VIN, name="heater", issued_at=0, expires_at=9, parameters={"minutes": 10}))


@pytest.mark.parametrize(("until", "expires_at"), [(1e300, LATEST), (-1e300, 0)])
def test_an_expiry_beyond_all_calendars_is_the_last_instant_there_is(until: float, expires_at: int) -> None:
    """A journal can hold it, and the car gives it back."""
    lock = "commands: [{command: lock, topic: '{base}/lock', id: payload.id, expires: {from: payload.until, unit: epoch_ms}}]}"
    asked = json.dumps({"id": "a", "until": until}).encode()
    came = heard(end_of(dialect_of(HEAD + lock)), Frame(topic=f"t/{VIN}/lock", payload=asked))
    assert isinstance(came, Command)
    assert came.expires_at == expires_at
    assert msgspec.convert(msgspec.to_builtins(came), Command) == came


def test_a_topic_of_all_cars_is_for_the_one_that_is_named() -> None:
    text = "commands: [{command: lock, topic: all/commands, when: {payload.car: '{vin}', payload.do: lock}, id: payload.id}]}"
    dialect = dialect_of(HEAD + text)
    end = end_of(dialect)
    frame = dialect.to_car(VIN, Command(id="a", vin=VIN, name="lock", issued_at=0, expires_at=9))
    assert body(frame) == {"car": VIN, "do": "lock", "id": "a"}
    assert isinstance(heard(end, frame), Command)
    with pytest.raises(Undecodable, match="unmapped"):
        end.read(Frame(topic="all/commands", payload=json.dumps({"car": "other", "do": "lock", "id": "b"}).encode()), AT)


def test_a_car_remembers_so_many_open_commands() -> None:
    dialect = dialect_of(OVMS)
    end = end_of(dialect)
    for number in range(OPEN_COMMANDS + 1):
        end.read(Frame(topic=f"t/{VIN}/client/phone/command/{number}", payload=b"lock"), AT)
    with pytest.raises(Unwritable):
        end.write(Response(**HEADER, command_id="0", name="lock", state="succeeded", awake=True), AT)
    assert end.write(Response(**HEADER, command_id="1", name="lock", state="succeeded", awake=True), AT)


# --- the rest of the seam


def test_a_tool_reads_a_command_without_a_car() -> None:
    dialect = dialect_of(OVMS)
    found = dialect.read_to_car(Frame(topic=f"t/{VIN}/client/phone/command/17", payload=b"lock"))
    assert isinstance(found, Command)
    assert (found.vin, found.id, found.name) == (VIN, "17", "lock")
    with pytest.raises(Undecodable, match="topic"):
        dialect.read_to_car(Frame(topic="elsewhere", payload=b"lock"))


def test_a_message_of_one_frame_needs_no_end() -> None:
    dialect = dialect_of(TELEMETRY)
    assert dialect.from_car(status(4, mileage_km=160.9344)).topic == f"t/{VIN}/v/Odometer"
    with pytest.raises(Unwritable, match="2 frames"):
        dialect.from_car(moved(4, 1.0))


def test_the_topics_of_a_mapping() -> None:
    dialect = dialect_of(OVMS)
    topics = dialect.topics
    assert topics.parse(f"t/{VIN}/client/phone/response/1") == ("response", VIN, "")
    assert topics.parse(f"t/{VIN}/client/phone/command/1")[:2] == ("command", VIN)
    assert topics.kind_of(f"t/{VIN}/client/phone/response/1") == "t/+/client/+/response/+"
    assert topics.parse(topics.desk_request()).channel == "desk"
    assert topics.belongs_to(f"t/{VIN}/client/phone/response/1", VIN)
    assert not topics.belongs_to(f"t/{VIN}/client/phone/response/1", VIN[:-1] + "9")
    assert dialect.access.car_writes == ("t/%u/client/+/response/+",)
    assert dialect.access.cloud_writes == ("t/+/client/+/command/+",)
    assert (topics.desk_request(), 1) in topics.backend_subscriptions()


def test_retained_topics_are_cleared_one_by_one() -> None:
    text = "status: [{topic: '{base}/v/{field}', frames: field, retain: true, fields: {a: mileage_km, b/c: state}}]}"
    end = end_of(dialect_of(HEAD + text))
    assert sorted(frame.topic for frame in end.clear()) == [f"t/{VIN}/v/a", f"t/{VIN}/v/b/c"]
    assert all(frame.retain and not frame.payload for frame in end.clear())


@pytest.mark.parametrize("payload", ["json", "text"])
def test_a_retained_message_that_is_cleared_is_none(payload: str) -> None:
    """A back end hears each car's clearing at its end; empty frames of what nobody retains are of somebody else."""
    text = HEAD + "status: [{topic: '{base}/v/{field}', frames: field, retain: true, payload: WORD, fields: {km: mileage_km}}]}"
    text = text.replace("WORD", payload)
    dialect = dialect_of(text)
    cleared = end_of(dialect).clear()
    assert len(cleared) == 1
    assert dialect.read_from_car(cleared[0]) is None
    with pytest.raises(Undecodable):
        dialect_of(text.replace("retain: true", "retain: false")).read_from_car(cleared[0])


def test_a_system_without_presence_has_no_will() -> None:
    end = end_of(dialect_of(TELEMETRY))
    assert end.will(OFFLINE) is None
    assert end.write(OFFLINE, AT) == []


def test_no_frame_leaves_the_cars_own_topics() -> None:
    """Whatever its name and model are."""
    text = (
        "{mapping: t, purpose: t, base: 'x/{fleet}/{name}/{client_id}', status: [{topic: '{base}/s', fields: {km: mileage_km}}]}"
    )
    dialect = dialect_of(text)
    assert isinstance(CAR.name, str)
    end = dialect.car_end(type(CAR)(vin=VIN, client_id=VIN, fleet="a/b", name="#+/{vin}"), lambda: STATUS)
    assert isinstance(end, MappedEnd)
    (frame,) = end.write(STATUS, AT)
    assert dialect.topics.belongs_to(frame.topic, VIN)
    assert frame.topic.count("/") == 4


# --- privacy


def test_a_retained_position_is_taken_back() -> None:
    """By a car that tells it no more, with its next message; what else is retained stays."""
    dialect = dialect_of(
        HEAD + "status: [{topic: '{base}/v/{field}', frames: field, retain: true,"
        " fields: {lat: position.latitude, lon: position.longitude, km: mileage_km}}],"
        " events: [{topic: '{base}/e', fields: {name: name}}]}"
    )
    end = end_of(dialect, status())  # its snapshot has no position
    frames = end.write(Event(**HEADER, name="privacy_changed", data={"mode": "online"}), AT)
    assert [(frame.topic, frame.payload, frame.retain) for frame in frames[:-1]] == [
        (f"t/{VIN}/v/lat", b"", True),
        (f"t/{VIN}/v/lon", b"", True),
    ]
    assert body(frames[-1]) == {"name": "privacy_changed"}
    assert len(end.write(Event(**HEADER, name="engine_on"), AT)) == 1, "once"
    assert all(dialect.read_from_car(frame) is None for frame in frames[:-1])
