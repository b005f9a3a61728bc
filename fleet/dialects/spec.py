"""The language of mapping files, as types: how messages of ours become topics and payloads of another system, and back.

Unknown keys are errors. Only the shape is here: `checks` judges names, paths, units and what a mapping would lose.

A path leads to a value by dots. In what a car sends it begins at the message: `doors.front_left.locked`, `captured_at`,
`data.distance_km`. In what it receives it begins at `payload`, `topic` (a level that the entry's topic names in braces),
`properties` or `correlation`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from fleet.errors import UsageError
from fleet.scenario.drawn import Plain
from fleet.scenario.element import Element
from fleet.scenario.scalars import Duration, Misread, Readable
from fleet.wire.messages import CommandState, Trigger

Payload = Literal["json", "msgpack", "cbor", "text"]
Frames = Literal["one", "group", "field"]
Account = Literal["property", "payload", "none"]
Connection = Literal["online", "offline"]
CAR_PLACEHOLDERS: Final = ("vin", "client_id", "name", "model", "fleet")
"""The placeholders of any topic; `{base}` is the mapping's own beginning. Other entries have some of their own beside them."""


class Field(Element, frozen=True, kw_only=True):
    """One value: `from` a path, a `constant`, or an `expression` over the paths of the message. A text alone is the path.

    `unit` is theirs: ours follows from the name of our field. `values` maps a value that is read to the one that is written, and
    `otherwise` stands for all that it lacks; without that a message with such a value cannot be sent. Without `values` it stands
    for a value that is not there; else such a field is left out. `digits` rounds, 0 to a whole number. `every`: where only
    changes are sent, it is not sent again before.
    """

    path: str | None = msgspec.field(name="from", default=None)
    constant: Plain | None = None
    expression: str | None = None
    unit: str | None = None
    digits: int | None = None
    values: dict[str, Plain] = msgspec.field(default_factory=dict)
    otherwise: Plain | None = None
    as_text: bool = False
    every: Duration | None = None


class Entry(Element, frozen=True, kw_only=True):
    """A message that a car sends: its topic and payload. Each entry that fits a message sends it.

    `fields` maps their paths to values of ours; the dots of their path nest, unless `nested` is false. `value` instead is the
    whole payload. `missing: null` writes null for a field without a value. `expiry` is wall time. `content_type` is that of the
    payload if not given, and none if empty. `properties` are MQTT 5 user properties. `shared` allows a topic that all cars have.
    """

    topic: str
    shared: bool = False
    payload: Payload | None = None
    qos: Literal[0, 1] = 1
    retain: bool = False
    expiry: Duration | None = None
    content_type: str | None = None
    properties: dict[str, str | Field] = msgspec.field(default_factory=dict)
    fields: dict[str, str | Field] = msgspec.field(default_factory=dict)
    value: str | Field | None = None
    nested: bool = True
    missing: Literal["left_out", "null"] = "left_out"


class StatusEntry(Entry, frozen=True, kw_only=True):
    """The status, for all `triggers` or some, as one frame, as a frame for each group, or as a frame for each field.

    The topic of a group has `{group}`, that of a field `{field}`; the payload of a field is its bare value, or what `each` builds
    of `value`, `field` and the message. `changes_only` sends what differs from what was sent in this connection; header,
    `trigger` and constants go with it and cause nothing. `on_connect` sends the whole status when a connection begins, in no
    account.
    """

    triggers: tuple[Trigger, ...] = ()
    frames: Frames = "one"
    each: dict[str, str | Field] = msgspec.field(default_factory=dict)
    changes_only: bool = False
    on_connect: bool = False


class EventEntry(Entry, frozen=True, kw_only=True):
    """Events of these names, or all that no other entry names; the topic may have `{event}`."""

    names: tuple[str, ...] = ()


class RequestEntry(Entry, frozen=True, kw_only=True):
    """The requests to online services: those of these names, or all that no other entry names; `{request}` in the topic."""

    names: tuple[str, ...] = ()


class ResponseEntry(Entry, frozen=True, kw_only=True):
    """The answers to some or all `commands`, in some or all `states`.

    The topic may have `{command}`, `{id}`, and whatever the command's own topic names in braces. With `to_response_topic` it is
    the command's MQTT 5 response topic, where it has one among the car's own. Correlation data are echoed.
    """

    commands: tuple[str, ...] = ()
    states: tuple[CommandState, ...] = ()
    to_response_topic: bool = False


class PresenceEntry(Entry, frozen=True, kw_only=True):
    """Whether the car is connected: both, or one kind of `connection`. `will` makes `offline` the will of the connection, too."""

    connection: tuple[Connection, ...] = ()
    retain: bool = True
    will: bool = True


class CommandEntry(Element, frozen=True, kw_only=True):
    """A command of theirs that is our `command`: what comes on the topic, `when` these paths have these values.

    Words in braces in the topic are levels that may be anything, unless `when` says so (`topic.action: LOCK`). A text payload is
    `payload`, its words are `payload.0`, `payload.1` …. `parameters` maps ours to theirs. Without an `id` it is the MQTT 5
    correlation data, and without those the car invents one. It is void at `expires`, or `time_to_live` after its arrival, or when
    the command is by itself. `shared` allows a topic that all cars hear.
    """

    command: str
    topic: str
    shared: bool = False
    when: dict[str, Plain] = msgspec.field(default_factory=dict)
    payload: Payload | None = None
    qos: Literal[0, 1] = 1
    id: str | Field | None = None
    expires: str | Field | None = None
    time_to_live: Duration | None = None
    parameters: dict[str, str | Field] = msgspec.field(default_factory=dict)


class ReplyEntry(Element, frozen=True, kw_only=True):
    """The answer of an online service: `id` and `name` of the request, its `data` (a mapping), and an `error` instead."""

    topic: str
    payload: Payload | None = None
    qos: Literal[0, 1] = 1
    id: str | Field = "payload.id"
    name: str | Field = "payload.name"
    data: str = "payload.data"
    error: str | Field = "payload.error"


class Confirm(Element, frozen=True, kw_only=True):
    """Messages are stored when their `number` comes on this topic, all before it, too, with `cumulative`. Without: at PUBACK."""

    topic: str
    number: str = "payload.seq"
    boot: str | None = None
    payload: Payload | None = None
    cumulative: bool = False
    qos: Literal[0, 1] = 1


class Intervals(Element, frozen=True, kw_only=True):
    """How often the car sends its status while it drives and while it charges, beside all other occasions."""

    driving: Duration | None = None
    charging: Duration | None = None


class Mapping(Element, frozen=True, kw_only=True):
    """A whole mapping file.

    `base` begins topics as `{base}`. `account` tells where number and time of a message are: in the user property `fleet-number`,
    in the payload (each entry maps `boot`, `seq` and `captured_at`), or nowhere. `leaves_out` declares what the system has no
    place for: `status.health`, `triggers.load`, `events.trip`, `events`, `requests`, `responses.accepted`, `presence`.
    """

    mapping: str
    purpose: str
    base: str = "{vin}"
    payload: Payload = "json"
    account: Account = "property"
    intervals: Intervals = Intervals()
    status: tuple[StatusEntry, ...] = ()
    events: tuple[EventEntry, ...] = ()
    responses: tuple[ResponseEntry, ...] = ()
    requests: tuple[RequestEntry, ...] = ()
    presence: tuple[PresenceEntry, ...] = ()
    commands: tuple[CommandEntry, ...] = ()
    replies: tuple[ReplyEntry, ...] = ()
    confirm: Confirm | None = None
    leaves_out: tuple[str, ...] = ()


def read_mapping(plain: object) -> Mapping:
    """Read plain data as a mapping; raises UsageError for another shape. Files are read elsewhere, with line and column."""
    try:
        return msgspec.convert(plain, Mapping, dec_hook=_read_value)
    except msgspec.ValidationError as error:
        raise UsageError(f"no mapping: {error}", hint="`fleet dialect check FILE` shows line and column of each error.") from None


def full(field: str | Field) -> Field:
    """Return a field that may have been written as a path alone."""
    return Field(path=field) if isinstance(field, str) else field


def _read_value(kind: type[Any], raw: object) -> object:
    if issubclass(kind, Readable):
        try:
            return kind.parse(raw)
        except Misread as error:
            raise ValueError(str(error)) from None
    raise NotImplementedError(kind)
