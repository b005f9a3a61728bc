"""Any mapping and any status: what has a way back is read back, and no frame leaves the car's own topics."""

from __future__ import annotations

from contextlib import suppress
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import cbor2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.dialects.mapped import MappedDialect
from fleet.dialects.paths import all_paths, find_place
from fleet.dialects.spec import Mapping, read_mapping
from fleet.dialects.units import UNITS, unit_of
from fleet.errors import Undecodable
from fleet.wire.dialect import CarFacts
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import STATUS_GROUPS, Event, Response, Status
from fleet.wire.numbering import NUMBER
from tests.dialects.test_car_end import OVMS, TELEMETRY
from tests.dialects.test_spec import ACME, mapping_of
from tests.wire.test_dialect import VIN

GROUP_PATHS = sorted(
    path
    for path in all_paths(Status)
    if path.partition(".")[0] in STATUS_GROUPS and (place := find_place(Status, path)) is not None and place.is_plain
)
CAR = CarFacts(vin=VIN, client_id=VIN, model="Born", fleet="north", name="Born 1")


# --- any status


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for the values of a field, with few digits: that is what sensors have."""
    bounds: dict[str, Any] = {}
    while get_origin(hint) is Annotated:
        hint, *metas = get_args(hint)
        for meta in metas:
            bounds |= {name: getattr(meta, name) for name in ("ge", "le", "min_length") if getattr(meta, name) is not None}
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        return st.one_of([st.none() if each is NoneType else values_of(each) for each in get_args(hint)])
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is tuple:
        return st.lists(values_of(get_args(hint)[0]), max_size=2).map(tuple)
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(max(bounds.get("ge", -1000), -1000), min(bounds.get("le", 4 * 10**15), 4 * 10**15))
    if hint is float:
        least, most = max(bounds.get("ge", -1000), -1000), min(bounds.get("le", 5000), 5000)
        return st.integers(int(least * 100), int(most * 100)).map(lambda number: number / 100)
    if hint is str:
        return st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=bounds.get("min_length", 0), max_size=8)
    return structs(hint)


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{name: values_of(hints[name]) for name in kind.__struct_fields__})


GROUPS = {name: values_of(hint) for name, hint in get_type_hints(Status, include_extras=True).items() if name in STATUS_GROUPS}
STATUSES = st.builds(
    Status,
    vin=st.just(VIN), boot=st.just(3), seq=st.just(1), captured_at=st.integers(0, 4 * 10**15),
    trigger=st.sampled_from(["load", "engine_off"]), state=st.sampled_from(["parked", "driving"]), **GROUPS,
)  # fmt: skip


# --- any mapping


@st.composite
def fields(draw: st.DrawFn, paths: list[str]) -> dict[str, Any]:
    """Return fields for paths: renamed, nested, in other units and words."""
    found = {}
    for number, path in enumerate(paths):
        place = find_place(Status, path)
        assert place is not None
        field: dict[str, Any] = {"from": path}
        unit = unit_of(path)
        if draw(st.booleans()) and place.options:
            words = [str(option).lower() if isinstance(option, bool) else option for option in place.options]
            numbers: list[int] = draw(st.permutations(range(len(words))))
            field["values"] = dict(zip(words, map(str, numbers), strict=True))
        elif unit is not None:
            field["unit"] = draw(st.sampled_from(sorted(UNITS[unit])))
        if draw(st.booleans()) and field.get("unit") != "iso8601":
            field["as_text"] = True
        found[f"{draw(st.sampled_from(['', 'a.', 'a.b.', 'c.']))}f{number}"] = field
    return found


@st.composite
def mappings(draw: st.DrawFn) -> Mapping:
    paths = draw(st.lists(st.sampled_from(GROUP_PATHS), unique=True, min_size=1, max_size=30))
    frames = draw(st.sampled_from(["one", "group", "field"]))
    head: list[Any] = draw(
        st.permutations([("why", "trigger"), ("st", "state"), ("at", {"from": "captured_at", "unit": "iso8601"})])
    )
    return read_mapping({
        "mapping": "any",
        "purpose": "Anything that has a way back.",
        "base": draw(st.sampled_from(["a/{vin}", "{fleet}/{vin}/x", "{client_id}", "m/{model}/{name}/{vin}"])),
        "payload": draw(st.sampled_from(["json", "msgpack", "cbor"])),
        "status": [{
            "topic": "{base}/s" if frames == "one" else f"{{base}}/s/{{{frames}}}",
            "frames": frames,
            "changes_only": draw(st.booleans()),
            "missing": draw(st.sampled_from(["left_out", "null"])),
            "nested": draw(st.booleans()),
            "fields": dict(head) | draw(fields(paths)),
        }],
    })  # fmt: skip


def value_at(status: Status, path: str) -> Any:
    value: Any = status
    for step in path.split("."):
        value = None if value is None else getattr(value, step)
    return value


def assert_same(found: Status, sent: Status, paths: set[str], *, whole: bool) -> None:
    """Each group that was read says what was sent, as far as the mapping has it."""
    for path in sorted(paths):
        group = path.partition(".")[0]
        if getattr(found, group) is not None:
            theirs, ours = value_at(found, path), value_at(sent, path)
            if theirs is None and path.count(".") > 1:
                continue  # what is around it lacks something else
            assert theirs == (pytest.approx(ours, rel=1e-9, abs=1e-6) if isinstance(ours, float) else ours), path
        elif whole and getattr(sent, group) is not None and required(group):
            assert required(group) - paths, f"{group} has all that it needs"


def required(name: str) -> set[str]:
    """Return the fields that a group cannot be without."""
    place = find_place(Status, name)
    assert place is not None
    if not place.is_struct:
        return set()
    prefix = f"{name}."
    return {each for each in all_paths(Status) if each.startswith(prefix) and not _may_be_absent(each)}


def _may_be_absent(path: str) -> bool:
    kind: Any = Status
    steps = path.split(".")
    for index, step in enumerate(steps):
        field = next(each for each in msgspec.structs.fields(kind) if each.name == step)
        if index and not field.required:
            return True
        place = find_place(Status, ".".join(steps[: index + 1]))
        assert place is not None
        kind = place.kind
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def paths_of(mapping: Mapping) -> set[str]:
    return {field.path for field in mapping.status[0].fields.values() if not isinstance(field, str) and field.path} - {
        "captured_at"
    }


@settings(max_examples=60)
@given(mapping=mappings(), status=STATUSES)
def test_a_status_comes_back_as_far_as_the_mapping_has_it(mapping: Mapping, status: Status) -> None:
    dialect = MappedDialect(mapping, FleetDialect())
    frames = dialect.car_end(CAR, lambda: status).write(status, 0)
    found = None
    for number, frame in enumerate(frames, start=1):
        assert dialect.topics.belongs_to(frame.topic, VIN)
        found = dialect.read_from_car(frame)
        assert (found is None) == (number < len(frames))
    if found is not None:
        assert isinstance(found, Status)
        assert (found.vin, found.boot, found.seq, found.captured_at) == (VIN, 3, 1, status.captured_at)
        assert (found.trigger, found.state) == (status.trigger, status.state)
        assert_same(found, status, paths_of(mapping), whole=True)


@settings(max_examples=60)
@given(
    mapping=mappings(),
    first=STATUSES,
    steps=st.lists(st.tuples(st.sampled_from(sorted(GROUPS)), st.booleans(), STATUSES), min_size=1, max_size=6),
)
def test_changes_add_up_to_what_is(mapping: Mapping, first: Status, steps: list[tuple[str, bool, Status]]) -> None:
    """Of the groups that a message tells of; a value that is gone is told by null alone."""
    mapping = replace(mapping, status=(replace(mapping.status[0], changes_only=True, missing="null"),))
    dialect = MappedDialect(mapping, FleetDialect())
    end = dialect.car_end(CAR, lambda: first)
    status = first
    for seq, (group, breaks, other) in enumerate([("mileage_km", False, first), *steps], start=1):
        if breaks:
            end.connected(0)
        status = replace(status, seq=seq, **{group: getattr(other, group)})
        found = None
        for frame in end.write(status, 0):
            assert dialect.topics.belongs_to(frame.topic, VIN)
            found = dialect.read_from_car(frame)
        if found is not None:
            assert isinstance(found, Status)
            assert found.seq == seq
            present = {path for path in paths_of(mapping) if getattr(status, path.partition(".")[0]) is not None}
            assert_same(found, status, present, whole=False)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


@pytest.mark.parametrize("payload", ["json", "msgpack", "cbor"])
@given(
    name=TEXTS,
    data=st.dictionaries(
        TEXTS, st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS | st.lists(TEXTS), max_size=3
    ),
    state=st.sampled_from(["accepted", "succeeded", "rejected"]),
    reason=st.none() | TEXTS,
    awake=st.booleans(),
)
def test_events_and_answers_come_back(
    payload: Any, name: str, data: dict[str, Any], state: Any, reason: str | None, awake: bool
) -> None:
    raw = {
        "mapping": "t", "purpose": "t", "base": "t/{vin}", "payload": payload,
        "events": [{"topic": "{base}/e", "fields": {"x.n": "name", "d": "data"}}],
        "responses": [{"topic": "{base}/r", "fields": {
            "i": "command_id", "n": "name", "s": "state", "r": "reason", "d": "detail", "a": "awake",
        }}],
    }  # fmt: skip
    dialect = MappedDialect(read_mapping(raw), FleetDialect())
    header: dict[str, Any] = {"vin": VIN, "boot": 1, "seq": 2, "captured_at": 3}
    for message in (
        Event(**header, name=name, data=data),
        Response(**header, command_id=name, name=name, state=state, reason=reason, awake=awake),
    ):
        (frame,) = dialect.car_end(CAR, lambda: Status(**header, trigger="load", state="parked")).write(message, 0)
        assert dialect.read_from_car(frame) == message


KEYS = st.sampled_from(["do", "request", "on", "until", "target", "code", "value", "doors", "energy", "at", "name", "details"])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["LOCK", "doors", "lock"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
PAYLOADS = st.binary(max_size=40) | PLAIN.map(cbor2.dumps) | PLAIN.map(msgspec.json.encode)
LEVELS = ["state", "live/energy", "alert/ecall", "event", "link", "answer", "command/doors", "command/climate", "v/Soc", "v/?",
          "client/a/command/1", "client/a/response/1", "x"]  # fmt: skip
PROPERTIES = st.sampled_from(
    [(), ((NUMBER, f"{VIN} 3 4 5 1/1"),), ((NUMBER, f"{VIN} 3 4 5 1/2"),), ((NUMBER, "x"),), ((NUMBER, f"{VIN} 0 0 0 1/1"),)]
)


@pytest.mark.parametrize("text", [ACME.read_text(), OVMS, TELEMETRY], ids=["acme", "ovms", "telemetry"])
@given(
    frames=st.lists(
        st.builds(
            Frame, topic=st.sampled_from([f"{head}{VIN}/{level}" for head in ("acme/north/", "t/") for level in LEVELS]),
            payload=PAYLOADS, user_properties=PROPERTIES, correlation=st.none() | st.binary(max_size=4), retain=st.booleans(),
        ),
        max_size=5,
    )
)  # fmt: skip
def test_whatever_comes_is_a_message_or_undecodable(text: str, frames: list[Frame]) -> None:
    """And no other error; it can be kept and handed on."""
    dialect = MappedDialect(mapping_of(text), FleetDialect())
    end = dialect.car_end(CAR, lambda: Status(vin=VIN, boot=1, seq=0, captured_at=0, trigger="load", state="parked"))
    for frame in frames:
        with suppress(Undecodable):
            message = dialect.read_from_car(frame)
            if isinstance(message, Event | Response | Status):
                assert msgspec.msgpack.decode(dialect.stored_form(frame, message), type=type(message)) == message
        with suppress(Undecodable):
            end.read(frame, 0)
        with suppress(Undecodable):
            dialect.read_to_car(frame)
        dialect.header_of(frame)
        dialect.emergency_of(frame, 0)
