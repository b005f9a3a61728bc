"""Frames drawn from the types of their messages, then bent: odd values, keys, codecs, topics and properties.

One seed makes one chunk of frames, so that a chunk of hundreds costs hypothesis one draw; a failure names seed and frame.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import inspect

from fleet.cloud.actions import load_actions
from fleet.kernel.draws import Draws, stream_key
from fleet.wire.fleet_dialect import JSON, MESSAGEPACK, FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import (
    AnnounceClock,
    Command,
    CommandRequest,
    EnrolCar,
    Event,
    Presence,
    Reply,
    Request,
    Response,
    ServiceRequest,
    SetSpin,
    Status,
    Stored,
)
from fleet.wire.services import Parameter, load_services

TOPICS: Final = FleetDialect().topics
VINS: Final = ("VSSZZZKMZPR000001", "VSSZZZKMZPR000002", "VSSZZZKMZPR000003")
_IDS: Final = ("a", "b", "c", "centre-campaign-spring-VSSZZZKMZPR000001-1", "x" * 100)
_SERVICES: Final = load_services()
_ACTIONS: Final = load_actions()
_EVENTS: Final = (*_SERVICES.events, "odd", "a/b")
_TEXTS: Final[dict[str, Sequence[str]]] = {
    "vin": VINS,
    "id": _IDS,
    "command_id": _IDS,
    "user": ("primary", "anna", "guest-1"),
    "spin": ("0815", "4711"),
    "token": ("t",),
    "service": ("partner", "campaign", "calls", "online", "nothing"),
    "action": ("plan", "start", "pause", "resume", "consent", "status", "choose", "close", "automatic", "show", "set_holder",
               "install_certificate", "odd"),
    "campaign": ("spring",),
    "partner": ("Muster",),
    "cars": (",".join(VINS), VINS[0]),
    "mode": ("open", "no_position", "offline", "odd"),
    "state": ("downloading", "installed", "rolled_back", "odd"),
    "day": ("2026-03-02",),
}  # fmt: skip
DEEP: Any = 1
for _ in range(60):
    DEEP = [DEEP]
ODD_VALUES: Final[tuple[Any, ...]] = (
    None, True, "", "x" * 5_000, "\0", "a\0b", "ä€\U0001f697", b"", b"\xff", 0, -1, 1.5, -0.0, 1e300, -1e300, math.inf, -math.inf,
    math.nan, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 253_402_300_799_999_999, [], {}, [[]], DEEP,
    {"a": DEEP}, {None: 1}, {True: 1}, {1: 2}, {1.5: 2}, {b"x": 1}, {(1, 2): 3}, {"\0": 1}, {"k" * 300: 1},
    msgspec.msgpack.Ext(5, b"x"), msgspec.msgpack.Ext(-1, b"\xff" * 12), datetime.datetime(2026, 3, 2, tzinfo=datetime.UTC),
    "../x", "+", "#", "[/bold]", "NaN",
)  # fmt: skip
ODD_KEYS: Final[tuple[Any, ...]] = (None, True, 1, 1.5, b"x", (1, 2), "", "\0", "unknown", "k" * 300)
_RAW: Final = (b"", b"\xc1", b"\x00", b"{", b"[]", b"null", b"\x80", b"\xde\xff\xff", b"[" * 3_000, b"\x91" * 3_000, b"{}")


def drawn(kind: inspect.Type, draws: Draws, name: str = "") -> Any:
    """Return plain data of a type: mostly values that mean something, by the field's name."""
    match kind:
        case inspect.StructType(fields=fields):
            made = {
                field.encode_name: drawn(field.type, draws, field.encode_name)
                for field in fields
                if field.required or draws.chance(0.5)
            }
            return made if kind.tag_field is None else {kind.tag_field: kind.tag, **made}
        case inspect.UnionType(types=types):
            return drawn(draws.choice(types), draws, name)
        case inspect.LiteralType(values=values):
            return draws.choice(values)
        case inspect.StrType():
            return draws.choice(_TEXTS.get(name, _EVENTS))
        case inspect.IntType(ge=ge, le=le):
            low, high = int(ge or 0), int(le or 1_000)
            near = draws.integer(max(low, 0), min(high, 300))
            return draws.choice((low, high, near, min(1_772_000_000_000_000 + draws.integer(0, 10**9), high)))
        case inspect.FloatType(ge=ge, le=le):
            lowest, highest = float(ge or 0.0), float(le or 100.0)
            return draws.choice((lowest, highest, draws.uniform(lowest, highest)))
        case inspect.BoolType():
            return draws.chance(0.5)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return [drawn(item, draws, name) for _ in range(draws.integer(0, 3))]
        case inspect.TupleType(item_types=items):
            return [drawn(item, draws, name) for item in items]
        case inspect.DictType():
            return {}
        case inspect.NoneType():
            return None
        case _:
            return lax(draws, name)


def given(parameters: Mapping[str, Parameter], draws: Draws) -> dict[str, Any]:
    """Return parameters as the catalogue has them, some of those that may be left out left out."""
    return {name: _given(each, draws, name) for name, each in parameters.items() if each.required or draws.chance(0.5)}


def _given(parameter: Parameter, draws: Draws, name: str) -> Any:
    low, high = parameter.minimum or 0, parameter.maximum or 100
    match parameter.type:
        case "choice":
            return draws.choice(parameter.choices)
        case "flag":
            return draws.chance(0.5)
        case "integer":
            return draws.integer(int(low), int(high))
        case "number":
            return lax(draws, name) if "itude" in name else draws.uniform(low, high)
        case "text":
            return draws.choice(_TEXTS.get(name, ("text", "10:00", "2026-03-02", "petrol")))
        case _:
            return [given(parameter.items, draws) for _ in range(draws.integer(0, 3))]


def lax(draws: Draws, name: str) -> Any:
    """Return plain data for a free field."""
    if name == "position":
        return {"latitude": 48.1, "longitude": 11.5, "accuracy_m": 5.0}
    if name in {"latitude", "to_latitude"}:
        return 48.1
    if name in {"longitude", "to_longitude"}:
        return 11.5
    if name in _TEXTS:
        return draws.choice(_TEXTS[name])
    return draws.choice((1, 30, 2.5, "text", True, None, [1, 2], {"a": 1}, "10:00", 450))


def bend(value: Any, draws: Draws) -> Any:
    """Put something odd somewhere into plain data."""
    if isinstance(value, dict) and value and draws.chance(0.8):
        key = draws.choice(list(value))
        match draws.integer(0, 9):
            case 0:
                return {each: held for each, held in value.items() if each != key}
            case 1:
                return {**value, draws.choice(ODD_KEYS): draws.choice(ODD_VALUES)}
            case 2 | 3 | 4:
                return {**value, key: draws.choice(ODD_VALUES)}
            case _:
                return {**value, key: bend(value[key], draws)}
    if isinstance(value, list) and value and draws.chance(0.5):
        return [bend(value[0], draws), *value[1:]]
    return draws.choice(ODD_VALUES)


def encoded(value: Any, draws: Draws) -> tuple[bytes, str | None]:
    """Return payload and content type: either codec, sometimes the wrong one, none, or broken bytes."""
    as_json = draws.chance(0.3)
    try:
        payload = json.dumps(value).encode() if as_json else msgspec.msgpack.encode(value)
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError):
        payload, as_json = msgspec.msgpack.encode("nothing that can be written"), False
    content_type: str | None = JSON if as_json else MESSAGEPACK
    if draws.chance(0.05):
        content_type = draws.choice((None, "text/plain", "", JSON, MESSAGEPACK))
    if draws.chance(0.05):
        payload = draws.choice(_RAW)
    elif draws.chance(0.05) and payload:
        at = draws.integer(0, len(payload) - 1)
        payload = payload[:at] + bytes((draws.integer(0, 255),)) + payload[at + 1 :]
    elif draws.chance(0.03):
        payload = payload[: draws.integer(0, len(payload))]
    return payload, content_type


_TYPES: Final[dict[type, inspect.Type]] = {
    kind: inspect.type_info(kind)
    for kind in (Status, Event, Response, Request, Presence, CommandRequest, SetSpin, EnrolCar, AnnounceClock, ServiceRequest,
                 Command, Reply, Stored)
}  # fmt: skip
_OF_CAR: Final = (Status, Event, Event, Response, Request, Presence)
_OF_TOOL: Final = (CommandRequest, CommandRequest, SetSpin, EnrolCar, AnnounceClock, ServiceRequest)
_TO_CAR: Final = (Command, Command, Reply, Stored)


def _topic(kind: type, plain: dict[str, Any]) -> str:
    vin, name = plain.get("vin"), str(plain.get("name", "x"))[:200]
    head = f"fleet/v1/{vin}"
    match kind.__name__:
        case "Status" | "Presence" | "Stored":
            return f"{head}/{kind.__name__.lower()}"
        case "Event" | "Response" | "Request" | "Command" | "Reply":
            return f"{head}/{kind.__name__.lower()}/{name}"
    return TOPICS.desk_request()


def frame(draws: Draws, kinds: Sequence[type], prepare: Callable[[type, dict[str, Any], Draws], None]) -> Frame:
    """Return a frame with a message of one of the kinds, bent in about two of three cases."""
    kind = draws.choice(kinds)
    plain: Any = drawn(_TYPES[kind], draws)
    prepare(kind, plain, draws)
    topic = _topic(kind, plain)
    for _ in range(draws.choice((0, 0, 1, 2))):
        plain = bend(plain, draws)
    payload, content_type = encoded(plain, draws)
    if draws.chance(0.04):
        topic = draws.choice(("", "/", "fleet/v1", f"fleet/v1/{VINS[1]}/status", f"fleet/v1/{VINS[0]}/command/honk", "x" * 300,
                              TOPICS.desk_request(), "fleet/v1/desk/answer/x", f"fleet/v1/{VINS[0]}/event/ecall"))  # fmt: skip
    answers: str | None = TOPICS.desk_answer("fuzz")
    if draws.chance(0.1):
        answers = draws.choice((None, "", "#", f"{TOPICS.status(VINS[0])}", f"{answers}{'x' * 300}", f"{answers}\0b"))
    return Frame(
        topic=topic,
        payload=payload,
        qos=0 if draws.chance(0.05) else 1,
        retain=draws.chance(0.02),
        response_topic=answers,
        correlation=draws.choice((None, b"", b"\xff\x00", b"a", b"b" * 300)),
        content_type=content_type,
    )


def chunk(seed: int, size: int, kinds: Sequence[type], prepare: Callable[[type, dict[str, Any], Draws], None]) -> list[Frame]:
    """Return the frames that a seed makes."""
    key = stream_key(seed, "bent")
    return [frame(Draws(key, "frame", number), kinds, prepare) for number in range(size)]


def _meant(kind: type, plain: dict[str, Any], draws: Draws) -> None:
    """Let most messages mean something: names and data of the catalogues, numbers that follow each other, clocks of ours."""
    if "boot" in plain and draws.chance(0.8):
        plain |= {"boot": 1_772_000_000_000_000, "seq": draws.integer(1, 300)}
    if "ttl_s" in plain:
        plain["ttl_s"] = draws.choice((1.0, 600.0, plain["ttl_s"]))
    match kind.__name__:
        case "Event":
            plain["name"] = draws.choice(_EVENTS)
            entry = _SERVICES.events.get(plain["name"])
            plain["data"] = {name: lax(draws, name) for name in (() if entry is None else entry.data)}
        case "Request":
            plain["name"] = draws.choice((*_SERVICES.requests, "odd"))
            plain["data"] = given(_SERVICES.requests[plain["name"]].parameters if plain["name"] != "odd" else {}, draws)
            plain |= {"id": f"{draws.choice(_IDS)}{draws.integer(0, 99)}"[:100], "expires_at": 1_999_000_000_000_000}
        case "CommandRequest" | "Command":
            plain["name"] = draws.choice((*_SERVICES.commands, "odd"))
            plain["parameters"] = given(_SERVICES.commands[plain["name"]].parameters if plain["name"] != "odd" else {}, draws)
        case "ServiceRequest":
            plain["service"] = draws.choice((*_ACTIONS, "nothing"))
            actions = _ACTIONS[plain["service"]].actions if plain["service"] in _ACTIONS else {}
            plain["action"] = draws.choice((*actions, "odd"))
            plain["data"] = given(actions[plain["action"]].parameters if plain["action"] in actions else {}, draws)
            plain["id"] = f"s{draws.integer(0, 9)}"
        case "AnnounceClock" if draws.chance(0.7):
            plain |= {"start": 1_772_000_000_000_000, "epoch_wall_us": 1_772_000_000_000_000, "factor": 1.0}
        case _:
            pass


def to_back_end(seed: int, size: int) -> list[Frame]:
    """Return what cars and tools send."""
    return chunk(seed, size, (*_OF_CAR, *_OF_TOOL), _meant)


def to_cars(seed: int, size: int, vins: Sequence[str]) -> list[Frame]:
    """Return what a back end sends to cars."""

    def prepare(kind: type, plain: dict[str, Any], draws: Draws) -> None:
        plain["vin"] = draws.choice(vins)
        _meant(kind, plain, draws)
        if kind is Command:
            plain["expires_at"] = draws.choice((plain["expires_at"], 1_782_000_000_000_000))
        if kind is Reply:
            plain["name"] = draws.choice((*_SERVICES.requests, "breakdown_call", "info_call"))
        if kind is Stored:
            plain |= {"boot": draws.choice((7, plain["boot"])), "through": draws.choice((0, 1, 5, plain["through"]))}

    return chunk(seed, size, _TO_CAR, prepare)
