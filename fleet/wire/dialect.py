"""The seam between messages and bytes: a dialect writes messages as frames and reads frames as messages.

`FleetDialect` is ours, in MessagePack or JSON. Other systems' topics and payloads are further dialects. Whoever sends or receives
takes one, and composes no topic and no payload itself; `fleet.runtime.dialects` alone chooses which.

In our own a message is a frame, and neither end remembers anything. In another a message may be many frames, or none, and a car
may send what is no message of ours: there each car has a `CarEnd` of its own, and the back end reads through a dialect that
remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from fleet.kernel.instants import Duration, Instant
from fleet.wire.commands import COMMANDS
from fleet.wire.frame import Frame
from fleet.wire.messages import (
    CarMessage,
    Command,
    DeskAnswer,
    DeskRequest,
    Event,
    FromCar,
    Header,
    Presence,
    Status,
    ToCar,
    Written,
    WrittenStatus,
)
from fleet.wire.topics import Address

ANSWER_OF_USE_S: Final = 900
"""How long an answer of the desk is of use, in wall seconds: as long as any tool of ours waits."""


class CarFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a car that topics and payloads may name; they stay as they are for as long as it lives."""

    vin: str
    client_id: str
    model: str = ""
    fleet: str = ""
    name: str = ""
    commands: frozenset[str] = frozenset(COMMANDS)
    """Those that the car's equipment allows."""


class TopicAccess(NamedTuple):
    """The topics that a dialect uses, for a broker's access control list, as filters.

    In those of a car `%u` stands for its user name, the VIN: what has no VIN in it is open to all cars.
    """

    car_writes: tuple[str, ...]
    car_reads: tuple[str, ...]
    cloud_writes: tuple[str, ...]
    cloud_reads: tuple[str, ...]


class StatusIntervals(NamedTuple):
    """How often cars of a dialect report their status while they drive and while they charge; None for never."""

    driving: Duration | None = None
    charging: Duration | None = None


NO_INTERVALS: Final = StatusIntervals()


class Heard(NamedTuple):
    """The outcome of a frame at a car's end: messages for the car, and frames that answer without it."""

    messages: tuple[ToCar, ...] = ()
    frames: tuple[Frame, ...] = ()


class CarEnd(Protocol):
    """A car's end of a dialect that is more than one frame a message: a machine with the car's time as an argument.

    Each frame that it returns is published at once, in this order. The frames of a numbered message bear its number: the broker
    has the message when it has acknowledged them all. All others, as those of presence, are in no account.
    """

    @property
    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """The filters of the car, with their QoS."""
        ...

    def will(self, presence: Presence) -> Frame | None:
        """Return the will of a connection, None for a system that knows none."""
        ...

    def connected(self, now: Instant) -> Sequence[Frame]:
        """Begin a connection: return the frames that announce the car. Nothing that was sent before counts as known any more."""
        ...

    def write(self, message: FromCar, now: Instant) -> Sequence[Frame]:
        """Write a message; empty where the system has no place for it, or knows everything in it already."""
        ...

    def read(self, frame: Frame, now: Instant) -> Heard:
        """Read a frame for the car. Raises Undecodable, and no other error."""
        ...

    def deadline(self) -> Instant | None:
        """Return when it wants to send by itself, None for never."""
        ...

    def wake(self, now: Instant) -> Sequence[Frame | Command]:
        """Return what is due by `now`: frames, and commands that the end has held back from the car."""
        ...

    def clear(self) -> Sequence[Frame]:
        """Return empty retained frames for all that the broker retains of this car."""
        ...


class TopicScheme(Protocol):
    """The topics of one system, as those use them who write no car's message. Filters come with their QoS."""

    prefix: str

    def desk_request(self) -> str: ...

    def desk_answer(self, client_id: str) -> str:
        """Return the topic of the answers to one tool; all of them begin with that of the empty name."""
        ...

    def desk_head(self) -> str:
        """Return the beginning of all topics between tools and desk, whose payloads may hold secrets, and of no other."""
        ...

    def car_subscriptions(self, vin: str) -> tuple[tuple[str, int], ...]:
        """Return the filters of a car without an end of its own."""
        ...

    def backend_subscriptions(self) -> tuple[tuple[str, int], ...]:
        """Return the filters of a back end: all that cars send, and `desk_request`."""
        ...

    def presence(self, vin: str) -> str:
        """Return the topic of a car's presence. Raises InvalidVin."""
        ...

    def presence_of_all(self) -> str:
        """Return the filter for the presence of all cars."""
        ...

    def parse(self, topic: str) -> Address:
        """Read a topic. Raises Undecodable with reason `topic` or `vin`, never another error."""
        ...

    def belongs_to(self, topic: str, vin: str) -> bool:
        """Tell whether only this car may write there, also where `parse` knows no such topic."""
        ...

    def kind_of(self, topic: str) -> str:
        """Return the topic with + for the car or the tool, so that those of all can be counted together."""
        ...


class Dialect(Protocol):
    """The topics and payloads of one system, for each kind of message that cars, desk and tools exchange.

    Each `read_…` raises Undecodable, and no other error, for a frame that is no such message. Whoever reads what cars send has
    one of its own: it may remember the parts of a message.
    """

    @property
    def name(self) -> str:
        """The name under which it was chosen: `fleet`, `json`, `vss` …, or a file."""
        ...

    @property
    def topics(self) -> TopicScheme:
        """The topics of the same system."""
        ...

    @property
    def access(self) -> TopicAccess | None:
        """The topics for a broker's access control list; None for our own, which the shipped list has."""
        ...

    @property
    def says_stored(self) -> bool:
        """Whether a back end can tell a car in it which messages are stored."""
        ...

    @property
    def has_ends(self) -> bool:
        """Whether cars have ends of their own in it; without them nobody need gather the facts about each car."""
        ...

    def car_end(self, car: CarFacts, snapshot: Callable[[], Status]) -> CarEnd | None:
        """Return a new end for a car, None where `from_car` and `read_to_car` do.

        `snapshot` returns the car's status as it is at the moment, whole, under the number 0.
        """
        ...

    @property
    def content_type(self) -> str:
        """The MQTT content type of what it writes."""
        ...

    # --- car to cloud

    def from_car(self, message: FromCar | WrittenStatus) -> Frame:
        """Write a message of a car; presence is retained."""
        ...

    @property
    def status_writer(self) -> Callable[[Status], Written] | None:
        """The function that writes a status ahead, to be sent again as `WrittenStatus`; None where that saves nothing."""
        ...

    def read_from_car(self, frame: Frame) -> FromCar | None:
        """Read a message of a car; the topic and the message name the same car.

        None: the frame is part of a message that others complete, or says nothing to a back end.
        """
        ...

    def header_of(self, frame: Frame) -> Header | None:
        """Read the header alone of a frame that does not decode as a whole, for the account; None without one."""
        ...

    def emergency_of(self, frame: Frame, at: Instant) -> Event | None:
        """Return the readable part of an emergency call that does not decode as a whole; None for anything else.

        A header that cannot be read leaves boot and seq 0, and `at` for the instant.
        """
        ...

    def stored_form(self, frame: Frame, message: CarMessage) -> bytes:
        """Return a message that was read from `frame` as stores keep it: MessagePack with the names of `messages`."""
        ...

    # --- cloud to car

    def to_car(self, vin: str, message: ToCar, *, expiry_s: int | None = None) -> Frame:
        """Write a message to a car; the broker keeps it for `expiry_s` wall seconds at most."""
        ...

    def read_to_car(self, frame: Frame) -> ToCar:
        """Read a message to a car; a retained command is refused."""
        ...

    # --- tools and the desk

    def desk_request(self, request: DeskRequest, *, answer_topic: str, expiry_s: int = 30) -> Frame:
        """Write a request to the desk; one that `is_secret` at QoS 0, as the broker keeps the rest in a file."""
        ...

    def read_desk_request(self, frame: Frame) -> DeskRequest:
        """Read a request to the desk; the error's detail never holds a part of the payload."""
        ...

    def desk_answer(self, answer: DeskAnswer, *, topic: str) -> Frame:
        """Write a step of an answer to the asker's topic; with a token at QoS 0, as no broker must keep it."""
        ...

    def read_desk_answer(self, frame: Frame) -> DeskAnswer:
        """Read a step of an answer."""
        ...


@runtime_checkable
class Reporting(Protocol):
    """A dialect that wants regular reports of its cars."""

    @property
    def status_intervals(self) -> StatusIntervals:
        """How often."""
        ...


def intervals_of(dialect: Dialect) -> StatusIntervals:
    """Return how often cars of a dialect report by themselves: never, if it does not say so."""
    return dialect.status_intervals if isinstance(dialect, Reporting) else NO_INTERVALS


def is_secret(request: DeskRequest) -> bool:
    """Tell whether no broker may keep a request: it holds something secret. Whoever asks repeats it until it is answered."""
    held = getattr(request, "spin", None) or getattr(request, "token", None) or getattr(request, "session", None)
    return bool(held or getattr(request, "secrets", None))
