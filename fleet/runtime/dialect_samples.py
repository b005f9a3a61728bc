"""Samples for the conformance kit: messages of simulated cars, completed by what the catalogue knows and the day has not seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, get_args

from msgspec.structs import replace

from fleet.errors import Undecodable
from fleet.kernel.instants import Instant
from fleet.runtime.dialect_days import Day, live_through, rule_book
from fleet.runtime.dialects import open_dialect
from fleet.wire.dialect import CarEnd, CarFacts, Dialect, Heard
from fleet.wire.frame import Frame
from fleet.wire.messages import Command, Event, FromCar, Presence, Reply, Request, Response, Status, Stored, ToCar, Trigger
from fleet.wire.services import Parameter, load_services

_BY_ENDING: Final[dict[str, Any]] = {"_at": 1_772_409_600_000_000, "_km": 12.5, "_percent": 40.0, "_days": 30, "count": 1}
"""Values for data of events that no sample has, by the end of their name."""


class Sample(NamedTuple):
    """A message from or to a car, in scenario time."""

    at: Instant
    car: CarFacts
    message: FromCar | ToCar


@cache
def samples_of_rule_book() -> Sequence[Sample]:
    """Return all messages of the rule book, in which each command is tried under every rule, and one of each kind beside."""
    found = list(_carried(live_through(rule_book())))
    return [*found, *_lacking(found)]


def label_of(message: FromCar | ToCar) -> str:
    """Return a message's kind in words."""
    match message:
        case Status(trigger=trigger):
            return f"status ({trigger})"
        case Presence(connection=connection):
            return f"presence ({connection})"
        case Response(name=name, state=state, reason=reason):
            return f"response {name}: {state}" + (f" ({reason})" if reason else "")
        case Stored():
            return "the mark of what is stored"
        case Event() | Request() | Command() | Reply():
            return f"{type(message).__name__.lower()} {message.name}"


def end_of(dialect: Dialect, sample: Sample) -> CarEnd:
    """Return a new end for the car of a sample, also in a dialect in which a message is a frame."""
    return dialect.car_end(sample.car, lambda: _status_before(sample)) or PlainEnd(dialect, sample.car)


def _status_before(sample: Sample) -> Status:
    """Return the least status of a car: without any group, so that a system knows nothing of what a sample says."""
    boot = getattr(sample.message, "boot", 1)
    return Status(vin=sample.car.vin, boot=boot, seq=0, captured_at=sample.at, trigger="refresh", state="parked")


def _carried(day: Day) -> Iterator[Sample]:
    own = open_dialect()
    for at, vin, frame, from_car in day.carried:
        try:
            message = own.read_from_car(frame) if from_car else own.read_to_car(frame)
        except Undecodable:
            continue  # a fault of the network, on purpose
        if message is not None:
            yield Sample(at, day.cars[vin], message)


def _lacking(found: Sequence[Sample]) -> Iterator[Sample]:
    """Yield events and statuses of the kinds that no car has sent, and commands that the back end alone sends."""
    services = load_services()
    commands = {each.message.name for each in found if isinstance(each.message, Command)}
    events = {each.message.name for each in found if isinstance(each.message, Event)}
    triggers = {each.message.trigger for each in found if isinstance(each.message, Status)}
    at, car, _ = found[-1]
    boot, seq = 1, 0
    for name, entry in services.events.items():
        if name not in events:
            seq += 1
            data = {key: _value_of(key) for key in entry.data}
            yield Sample(at, car, Event(vin=car.vin, boot=boot, seq=seq, captured_at=at, name=name, data=data))
    for name, command in services.commands.items():
        if name not in commands:
            words = {key: _word_of(parameter) for key, parameter in command.parameters.items() if parameter.required}
            expires_at = at + command.time_to_live
            yield Sample(at, car, Command(id=name, vin=car.vin, name=name, issued_at=at, expires_at=expires_at, parameters=words))
    whole = next(each.message for each in reversed(found) if isinstance(each.message, Status) and each.message.position)
    for trigger in get_args(Trigger):
        if trigger not in triggers:
            seq += 1
            yield Sample(at, car, replace(whole, vin=car.vin, boot=boot, seq=seq, captured_at=at, trigger=trigger))


def _word_of(parameter: Parameter) -> str:
    """Return a word for what must be said: of the commands of the back end alone, a choice or a name."""
    return parameter.choices[0] if parameter.choices else "p1"


def _value_of(name: str) -> Any:
    return next((value for ending, value in _BY_ENDING.items() if name.endswith(ending)), "inspection")


class PlainEnd:
    """The end of a car in a dialect in which a message is a frame."""

    def __init__(self, dialect: Dialect, car: CarFacts) -> None:
        self._dialect = dialect
        self.subscriptions = dialect.topics.car_subscriptions(car.vin)

    def will(self, presence: Presence) -> Frame | None:
        return self._dialect.from_car(presence)

    def connected(self, now: Instant) -> Sequence[Frame]:  # noqa: ARG002
        return ()

    def write(self, message: FromCar, now: Instant) -> Sequence[Frame]:  # noqa: ARG002
        return (self._dialect.from_car(message),)

    def read(self, frame: Frame, now: Instant) -> Heard:  # noqa: ARG002
        return Heard((self._dialect.read_to_car(frame),))

    def deadline(self) -> Instant | None:
        return None

    def wake(self, now: Instant) -> Sequence[Frame]:  # noqa: ARG002
        return ()

    def clear(self) -> Sequence[Frame]:
        return ()
