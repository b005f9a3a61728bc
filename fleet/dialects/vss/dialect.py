"""The dialect of COVESA: ours in JSON, but a status says its values by VSS path, and each car is a VISS server, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from fleet.dialects.vss.car_end import REQUESTS, VssEnd
from fleet.dialects.vss.signals import Value, signals_of, status_of
from fleet.errors import Undecodable
from fleet.kernel.instants import format_instant
from fleet.wire.dialect import CarEnd, CarFacts, TopicAccess
from fleet.wire.fleet_dialect import FleetDialect, json_codec
from fleet.wire.frame import Frame
from fleet.wire.messages import FromCar, Header, Status, Trigger, WrittenStatus

ANSWERS: Final = "viss/#"
"""The topics that a private broker lets cars use for answers; the rest of a car's topics is its own."""


class State(Header, frozen=True, kw_only=True, omit_defaults=True):
    """The payload of a status: `ts` is `captured_at` as VISS writes it, `signals` are values by path, in their datatypes."""

    trigger: Trigger
    ts: str
    signals: dict[str, Value]


class VssDialect(FleetDialect):
    """Cars as VSS and VISS know them, under the prefix of our own topics."""

    def __init__(self, own: FleetDialect, token: str | None = None) -> None:
        """Take ours, for its prefix; with a `token` each VISS request must bear it as `authorization`."""
        super().__init__(own.topics, json_codec())
        self._token = token

    @property
    def name(self) -> str:
        """`vss`."""
        return "vss"

    @property
    def access(self) -> TopicAccess | None:
        """The topics that a broker must allow."""
        own, every = f"{self.topics.prefix}/%u", f"{self.topics.prefix}/+"
        writes = ("status", "event/+", "response/+", "request/+", "presence")
        reads = ("command/+", "reply/+", "stored")
        return TopicAccess(
            car_writes=(*(f"{own}/{name}" for name in writes), ANSWERS),
            car_reads=(*(f"{own}/{name}" for name in reads), f"%u/{REQUESTS}", f"/%u/{REQUESTS}"),
            cloud_writes=(*(f"{every}/{name}" for name in reads), f"+/{REQUESTS}", f"/+/{REQUESTS}"),
            cloud_reads=(*(f"{every}/{name}" for name in writes), ANSWERS),
        )

    @property
    def leaves_out(self) -> frozenset[str]:
        """The groups of a status for which VSS has no paths."""
        return frozenset({"status.health", "status.software"})

    def car_end(self, car: CarFacts, snapshot: Callable[[], Status]) -> CarEnd | None:
        """Return a new end for a car."""
        return VssEnd(car, snapshot, self, self._token)

    # --- the plain part of a car's end

    def car_subscriptions(self, vin: str) -> tuple[tuple[str, int], ...]:
        """Return the filters by which our own cloud reaches a car."""
        return self.topics.car_subscriptions(vin)

    def presence_topic(self, vin: str) -> str:
        """Return the topic of a car's presence."""
        return self.topics.presence(vin)

    def is_own(self, topic: str) -> bool:
        """Tell whether a topic is one of ours."""
        return topic.startswith(f"{self.topics.prefix}/")

    # --- a status

    def from_car(self, message: FromCar | WrittenStatus) -> Frame:
        """Write a message of a car: a status by path, all else as ours."""
        if not isinstance(message, Status):
            return super().from_car(message)
        state = State(
            vin=message.vin,
            boot=message.boot,
            seq=message.seq,
            captured_at=message.captured_at,
            due_wall_us=message.due_wall_us,
            sent_wall_us=message.sent_wall_us,
            trigger=message.trigger,
            ts=format_instant(message.captured_at),
            signals=signals_of(message),
        )
        return self._numbered(self.topics.status(message.vin), state)

    def read_from_car(self, frame: Frame) -> FromCar:
        """Read a message of a car; of a status what `signals.LOST` names is not there. Raises Undecodable."""
        address = self.topics.parse(frame.topic)
        if address.channel != "status":
            return super().read_from_car(frame)
        state: State = self._decode(frame, State)
        if state.vin != address.vin:
            raise Undecodable("foreign_vin", f"{state.vin[:40]!r} was sent on the topic of {address.vin}")
        try:
            return status_of(state, state.trigger, state.signals)
        except (msgspec.ValidationError, TypeError, ValueError, OverflowError) as error:
            raise Undecodable("type", f"signals: {error}") from None
