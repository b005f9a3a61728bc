"""The base of dialects of other systems, for those in Python, too: tools and the desk go on to speak ours."""

from __future__ import annotations

from collections.abc import Callable

from fleet.errors import Undecodable, Unwritable
from fleet.kernel.instants import Instant
from fleet.wire.dialect import CarEnd, CarFacts, TopicAccess
from fleet.wire.fleet_dialect import FleetDialect, messagepack_codec
from fleet.wire.frame import Frame
from fleet.wire.messages import (
    CarMessage,
    DeskAnswer,
    DeskRequest,
    Event,
    FromCar,
    Header,
    Status,
    ToCar,
    Written,
    WrittenStatus,
)
from fleet.wire.numbering import read_number
from fleet.wire.topics import Address, Topics
from fleet.wire.vin import is_vin


class ForeignTopics:
    """The topics of another system, beside those of our tools and desk. Overridden is what cars and back ends use of it."""

    def __init__(self, own: Topics) -> None:
        """Take ours."""
        self._own = own
        self.prefix = own.prefix

    def desk_request(self) -> str:
        return self._own.desk_request()

    def desk_answer(self, client_id: str) -> str:
        """Return the topic of the answers to one tool; all of them begin with that of the empty name."""
        return self._own.desk_answer(client_id)

    def desk_head(self) -> str:
        """Return the beginning of all topics between tools and desk, and of no other."""
        return self._own.desk_head()

    def car_subscriptions(self, vin: str) -> tuple[tuple[str, int], ...]:  # noqa: ARG002
        """Return none: each car's end has its own."""
        return ()

    def backend_subscriptions(self) -> tuple[tuple[str, int], ...]:
        """Return the filters of a back end: what tools ask of the desk."""
        return ((self.desk_request(), 1),)

    def presence(self, vin: str) -> str:
        """Return the topic of a car's presence. Raises InvalidVin."""
        return self._own.presence(vin)

    def presence_of_all(self) -> str:
        """Return the filter for the presence of all cars."""
        return self._own.presence_of_all()

    def parse(self, topic: str) -> Address:
        """Read a topic of tools and desk. Raises Undecodable for any other."""
        if topic.startswith(self.desk_head()):
            return self._own.parse(topic)
        raise Undecodable("topic", f"{topic[:120]!r} is no topic of this dialect")

    def belongs_to(self, topic: str, vin: str) -> bool:  # noqa: ARG002
        """Tell whether only this car may write there: no topic, until somebody says which."""
        return False

    def kind_of(self, topic: str) -> str:
        """Return the topic with + for the car or the tool."""
        if topic.startswith(self.desk_head()):
            return self._own.kind_of(topic)
        return "/".join("+" if is_vin(level) else level for level in topic.split("/"))


class DeskSpeaker:
    """The half of a dialect between tools and desk, which is ours in any."""

    def __init__(self, own: FleetDialect) -> None:
        """Take ours."""
        self._own = own

    @property
    def content_type(self) -> str:
        """The content type between tools and desk."""
        return self._own.content_type

    def desk_request(self, request: DeskRequest, *, answer_topic: str, expiry_s: int = 30) -> Frame:
        """Write a request to the desk, as ours does."""
        return self._own.desk_request(request, answer_topic=answer_topic, expiry_s=expiry_s)

    def read_desk_request(self, frame: Frame) -> DeskRequest:
        """Read a request to the desk, as ours does."""
        return self._own.read_desk_request(frame)

    def desk_answer(self, answer: DeskAnswer, *, topic: str) -> Frame:
        """Write a step of an answer, as ours does."""
        return self._own.desk_answer(answer, topic=topic)

    def read_desk_answer(self, frame: Frame) -> DeskAnswer:
        """Read a step of an answer, as ours does."""
        return self._own.read_desk_answer(frame)


class ForeignDialect(DeskSpeaker):
    """A dialect of another system. A car has an end of its own; the rest is refused until it is overridden."""

    def __init__(self, own: FleetDialect, topics: ForeignTopics | None = None) -> None:
        """Take ours, in which tools and desk speak, and the topics of the system."""
        super().__init__(own)
        self._topics = topics or ForeignTopics(own.topics)
        self._encode_stored = messagepack_codec().encode

    @property
    def name(self) -> str:
        """The name under which it was chosen."""
        return type(self).__name__.lower()

    @property
    def topics(self) -> ForeignTopics:
        """The topics of the system."""
        return self._topics

    @property
    def access(self) -> TopicAccess | None:
        """The topics for a broker's access control list."""
        return None

    @property
    def leaves_out(self) -> frozenset[str]:
        """The messages that the system has no place for, in the words of mapping files: `status.health`, `events.trip` …"""
        return frozenset()

    @property
    def says_stored(self) -> bool:
        """False: the system has no word for what is stored."""
        return False

    @property
    def has_ends(self) -> bool:
        """True: a car has an end of its own."""
        return True

    def car_end(self, car: CarFacts, snapshot: Callable[[], Status]) -> CarEnd | None:
        """Return a new end for a car."""
        raise NotImplementedError

    # --- car to cloud

    def from_car(self, message: FromCar | WrittenStatus) -> Frame:
        """Refuse: only a car's end writes in this dialect."""
        raise Unwritable("end", f"a {type(message).__name__} is written by a car's end only")

    @property
    def status_writer(self) -> Callable[[Status], Written] | None:
        """None: no status is written ahead."""
        return None

    def read_from_car(self, frame: Frame) -> FromCar | None:
        """Return nothing: whoever wants to store what cars send overrides it. Raises Undecodable for a topic of nobody."""
        self.topics.parse(frame.topic)
        return None

    def header_of(self, frame: Frame) -> Header | None:
        """Read the number beside a frame's payload, None without one."""
        try:
            part = read_number(frame)
        except Undecodable:
            return None
        return None if part is None else part.header

    def emergency_of(self, frame: Frame, at: Instant) -> Event | None:  # noqa: ARG002
        """Return None: no frame is known as an emergency call."""
        return None

    def stored_form(self, frame: Frame, message: CarMessage) -> bytes:  # noqa: ARG002
        """Return a message as stores keep it: MessagePack with our names."""
        return self._encode_stored(message)

    # --- cloud to car

    def to_car(self, vin: str, message: ToCar, *, expiry_s: int | None = None) -> Frame:  # noqa: ARG002
        """Refuse until it is overridden. Raises Unwritable."""
        raise Unwritable("command", f"a {type(message).__name__} cannot be written in this dialect")

    def read_to_car(self, frame: Frame) -> ToCar:
        """Refuse until it is overridden. Raises Undecodable."""
        raise Undecodable("topic", f"{frame.topic[:120]!r} is read by cars' ends only")
