"""A dialect for tests: a status goes out in a frame for each group, requests are left out, and a car beats by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import asdict, replace

from fleet.errors import Unwritable
from fleet.kernel.instants import MINUTE, Instant
from fleet.wire.dialect import CarEnd, CarFacts, Heard, TopicAccess
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import STATUS_GROUPS, Command, Event, FromCar, Presence, Request, Status, ToCar
from fleet.wire.numbering import number_of, read_number

BEAT: Final = "beat"
UNWRITABLE: Final = "refuelled"
"""An event for which there is no word."""
UNKNOWN: Final = "refresh"
"""A command for which there is none."""
EVERY: Final = 10 * MINUTE


class PiecesEnd:
    """A car's end: remembers when it last beat, and what the broker retains."""

    def __init__(self, dialect: PiecesDialect, car: CarFacts, snapshot: Callable[[], Status]) -> None:
        self._dialect = dialect
        self._car = car
        self._snapshot = snapshot
        self._due: Instant | None = None

    @property
    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        return self._dialect.topics.car_subscriptions(self._car.vin)

    def will(self, presence: Presence) -> Frame | None:
        return self._dialect.from_car(presence)

    def connected(self, now: Instant) -> Sequence[Frame]:
        self._due = now + EVERY
        return [self._beat(now)]

    def write(self, message: FromCar, now: Instant) -> Sequence[Frame]:
        if isinstance(message, Request):
            return ()
        if isinstance(message, Event) and message.name == UNWRITABLE:
            raise Unwritable("word", f"no word for {message.name}")
        if not isinstance(message, Status):
            return [self._dialect.from_car(message)]
        pieces = [replace(message, **{name: None for name in STATUS_GROUPS if name != kept}) for kept in groups_of(message)]
        return [
            replace(self._dialect.from_car(piece), user_properties=(number_of(message, place, len(pieces)),))
            for place, piece in enumerate(pieces, 1)
        ]

    def read(self, frame: Frame, now: Instant) -> Heard:
        return Heard((self._dialect.read_to_car(frame),), (self._beat(now),))

    def deadline(self) -> Instant | None:
        return self._due

    def wake(self, now: Instant) -> Sequence[Frame]:
        self._due = now + EVERY
        return [self._beat(now)]

    def clear(self) -> Sequence[Frame]:
        return [Frame(topic=self._dialect.topics.presence(self._car.vin), payload=b"", retain=True)]

    def _beat(self, now: Instant) -> Frame:
        state = self._snapshot().state
        return self._dialect.from_car(Event(vin=self._car.vin, boot=0, seq=0, captured_at=now, name=BEAT, data={"state": state}))


def groups_of(status: Status) -> list[str]:
    """Return the groups that a status has."""
    return [name for name in STATUS_GROUPS if getattr(status, name) is not None]


class PiecesDialect(FleetDialect):
    """Ours, but for the pieces; read back when they are all there."""

    def __init__(self, own: FleetDialect) -> None:
        super().__init__(own.topics)
        self._open: dict[tuple[str, int, int], dict[int, Status]] = {}

    @property
    def name(self) -> str:
        return "pieces"

    @property
    def access(self) -> TopicAccess | None:
        return TopicAccess((), (), (), ())

    @property
    def status_writer(self) -> None:
        return None

    def car_end(self, car: CarFacts, snapshot: Callable[[], Status]) -> CarEnd | None:
        return PiecesEnd(self, car, snapshot)

    def to_car(self, vin: str, message: ToCar, *, expiry_s: int | None = None) -> Frame:
        if isinstance(message, Command) and message.name == UNKNOWN:
            raise Unwritable("command", f"no words for {message.name}")
        return super().to_car(vin, message, expiry_s=expiry_s)

    def read_from_car(self, frame: Frame) -> FromCar | None:  # type: ignore[override]  # ours never waits for another frame
        message = super().read_from_car(frame)
        if isinstance(message, Event) and message.name == BEAT:
            return None
        number = read_number(frame)
        if number is None or not isinstance(message, Status):
            return message
        key = (message.vin, message.boot, message.seq)
        pieces = self._open.setdefault(key, {})
        pieces[number.part] = message
        if len(pieces) < number.parts:
            return None
        del self._open[key]
        found = {name: value for piece in pieces.values() for name, value in asdict(piece).items() if name in groups_of(piece)}
        return replace(message, **found)
