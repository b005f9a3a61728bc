"""Several dialects as one: a frame is read in the dialect whose topic it has, and a car is written to in its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from fleet.dialects.base import DeskSpeaker
from fleet.errors import Undecodable
from fleet.kernel.instants import Instant
from fleet.wire.dialect import CarEnd, CarFacts, Dialect, TopicAccess, TopicScheme
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import CarMessage, Event, FromCar, Header, Status, ToCar, Written, WrittenStatus
from fleet.wire.topics import Address

REMEMBERED: Final = 1 << 20
"""Cars whose dialect is remembered; when there are more it begins anew."""


class ManyTopics:
    """The topics of several systems. Those of tools and desk are ours."""

    def __init__(self, own: TopicScheme, schemes: Sequence[TopicScheme]) -> None:
        """Take ours and all, ours among them where a fleet speaks it."""
        self._own = own
        self._schemes = schemes
        self.prefix = own.prefix

    def desk_request(self) -> str:
        return self._own.desk_request()

    def desk_answer(self, client_id: str) -> str:
        return self._own.desk_answer(client_id)

    def desk_head(self) -> str:
        return self._own.desk_head()

    def car_subscriptions(self, vin: str) -> tuple[tuple[str, int], ...]:
        return self._own.car_subscriptions(vin)

    def backend_subscriptions(self) -> tuple[tuple[str, int], ...]:
        return tuple({pair: None for scheme in self._schemes for pair in scheme.backend_subscriptions()})

    def presence(self, vin: str) -> str:
        return self._own.presence(vin)

    def presence_of_all(self) -> str:
        return self._own.presence_of_all()

    def parse(self, topic: str) -> Address:
        for scheme in self._schemes:
            with suppress(Undecodable):
                return scheme.parse(topic)
        raise Undecodable("topic", f"{topic[:120]!r} is no topic of these dialects")

    def belongs_to(self, topic: str, vin: str) -> bool:
        return any(scheme.belongs_to(topic, vin) for scheme in self._schemes)

    def kind_of(self, topic: str) -> str:
        scheme = find_scheme(self._schemes, topic)
        return (self._own if scheme is None else scheme).kind_of(topic)


def find_scheme(schemes: Iterable[TopicScheme], topic: str) -> TopicScheme | None:
    """Return the first of the schemes that knows a topic."""
    for scheme in schemes:
        with suppress(Undecodable):
            scheme.parse(topic)
            return scheme
    return None


class ManyDialects(DeskSpeaker):
    """Several dialects as one; tools and desk speak ours."""

    def __init__(self, own: FleetDialect, by_fleet: Mapping[str, Dialect], more: Sequence[Dialect] = ()) -> None:
        """Take ours, the dialect of each fleet by its name, and `more` in which frames may come."""
        super().__init__(own)
        self._by_fleet = by_fleet
        self._all = tuple({id(each): each for each in (*by_fleet.values(), *more)}.values())
        self._of_car: dict[str, Dialect] = {}
        self.topics = ManyTopics(own.topics, tuple(each.topics for each in self._all))

    @property
    def name(self) -> str:
        """The names of all."""
        return "+".join(dict.fromkeys(each.name for each in self._all))

    @property
    def access(self) -> TopicAccess | None:
        """The topics of all that are not ours."""
        found = [each.access for each in self._all if each.access is not None]
        if not found:
            return None
        return TopicAccess(
            *(tuple(dict.fromkeys(line for each in found for line in each[place])) for place in range(len(TopicAccess._fields)))
        )

    @property
    def says_stored(self) -> bool:
        """Whether all can tell a car what is stored."""
        return all(each.says_stored for each in self._all)

    @property
    def has_ends(self) -> bool:
        """Whether any of them has."""
        return any(each.has_ends for each in self._all)

    def car_end(self, car: CarFacts, snapshot: Callable[[], Status]) -> CarEnd | None:
        """Return a car's end in its fleet's dialect."""
        return self._by_fleet.get(car.fleet, self._own).car_end(car, snapshot)

    @property
    def status_writer(self) -> Callable[[Status], Written] | None:
        """None: a car does not know whether its fleet speaks ours."""
        return None

    # --- car to cloud

    def from_car(self, message: FromCar | WrittenStatus) -> Frame:
        """Write a message of a car without an end of its own: it speaks ours."""
        return self._own.from_car(message)

    def read_from_car(self, frame: Frame) -> FromCar | None:
        """Read a message of a car, and learn which dialect it speaks. Raises Undecodable as the likeliest of them does."""
        problem: Undecodable | None = None
        for dialect in self._dialects_of(frame.topic):
            try:
                message = dialect.read_from_car(frame)
            except Undecodable as error:
                problem = problem or error
                continue
            if message is not None:
                self._learn(message.vin, dialect)
            return message
        assert problem is not None
        raise problem

    def header_of(self, frame: Frame) -> Header | None:
        """Read the header alone."""
        found = (dialect.header_of(frame) for dialect in self._dialects_of(frame.topic))
        return next((header for header in found if header is not None), None)

    def emergency_of(self, frame: Frame, at: Instant) -> Event | None:
        """Return the readable part of an emergency call."""
        found = (dialect.emergency_of(frame, at) for dialect in self._dialects_of(frame.topic))
        return next((event for event in found if event is not None), None)

    def stored_form(self, frame: Frame, message: CarMessage) -> bytes:
        """Return a message as stores keep it."""
        return self._of_car.get(message.vin, self._own).stored_form(frame, message)

    # --- cloud to car

    def to_car(self, vin: str, message: ToCar, *, expiry_s: int | None = None) -> Frame:
        """Write a message to a car in the dialect in which it was heard; in ours, while nothing was."""
        return self._of_car.get(vin, self._own).to_car(vin, message, expiry_s=expiry_s)

    def read_to_car(self, frame: Frame) -> ToCar:
        """Read a message to a car."""
        return self._dialects_of(frame.topic)[0].read_to_car(frame)

    # --- whose dialect

    def _dialects_of(self, topic: str) -> Sequence[Dialect]:
        """Return the dialects that know a topic, that of its car first: several may share it. Ours for a topic of nobody."""
        found: list[Dialect] = []
        for dialect in self._all:
            with suppress(Undecodable):
                vin = dialect.topics.parse(topic).vin
                found.insert(0 if self._of_car.get(vin) is dialect else len(found), dialect)
        return found or (self._own,)

    def _learn(self, vin: str, dialect: Dialect) -> None:
        if self._of_car.get(vin) is not dialect:
            if len(self._of_car) >= REMEMBERED:
                self._of_car.clear()
            self._of_car[vin] = dialect
