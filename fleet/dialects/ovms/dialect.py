"""The dialect of OVMS v3: the mapping beside this file, and what no mapping can say of the module's shell and its clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from fleet.dialects.car_end import Asked, MappedEnd
from fleet.dialects.compiled import Compiled
from fleet.dialects.mapped import MappedDialect
from fleet.dialects.mapping_files import read_mapping_file
from fleet.dialects.patterns import level
from fleet.errors import Undecodable
from fleet.kernel.instants import Instant
from fleet.wire.dialect import CarEnd, CarFacts, Heard, TopicAccess
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import FromCar, Response, Status

MAPPING: Final = Path(__file__).with_name("ovms.yaml")
UNRECOGNISED: Final = b"Unrecognised command\n"
LONGEST: Final = 200
"""Bytes of a pattern of metrics."""
_OF_CLIENTS: Final = ("client/+/active", "client/+/request/metric")


class OvmsEnd(MappedEnd):
    """A car. It answers lines that it does not know, and sends the metrics that a client asks for at once."""

    __slots__ = ("_car", "_head", "_ready", "_ready_at", "_snapshot_now")

    def __init__(self, compiled: Compiled, car: CarFacts, snapshot: Callable[[], Status]) -> None:
        """Take what all cars share, the facts about this one, and its status on request."""
        super().__init__(compiled, car, snapshot)
        self._head = f"{head_of(compiled, car.vin)}/"
        self._car = car
        self._snapshot_now = snapshot
        self._ready: list[Frame] = []
        self._ready_at: Instant = 0

    @property
    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """The filters of the mapping, and those of clients that are there or ask for metrics."""
        return (*super().subscriptions, *((self._head + each, 1) for each in _OF_CLIENTS))

    def read(self, frame: Frame, now: Instant) -> Heard:
        """Read a line of the shell or a pattern of metrics. Raises Undecodable, for a line that is unknown after its answer."""
        levels = frame.topic.removeprefix(self._head).split("/")
        match levels:
            case ["client", _, "active"]:
                return Heard()  # who looks on is no matter of a car's
            case ["client", _, "request", "metric"]:
                return Heard(frames=tuple(self._metrics(frame, now)))
        try:
            return super().read(frame, now)
        except Undecodable as error:
            if error.reason == "unmapped" and not frame.retain:
                self._ready.append(Frame(topic=f"{self._head}client/{levels[1]}/response/{levels[3]}", payload=UNRECOGNISED))
                self._ready_at = now
            raise

    def write(self, message: FromCar, now: Instant) -> Sequence[Frame]:
        """Write a message; the answer to a command that is not remembered goes where our own desk would look for it."""
        if isinstance(message, Response) and message.command_id not in self._open:
            number = level(message.command_id)
            self._open[message.command_id] = Asked(None, message.command_id.encode(), {"asker": number, "count": number})
        return super().write(message, now)

    def _metrics(self, frame: Frame, now: Instant) -> list[Frame]:
        """Return all metrics that the pattern means: `*`, `v.b.*`, or several, with commas or spaces between.

        They are those of a car that has sent nothing yet: what this one has sent stays as it is.
        """
        text = frame.payload[:LONGEST].decode(errors="replace").replace(",", " ").replace(".", "/")
        wanted = [self._head + "metric/" + each for each in text.split()]
        metrics = MappedEnd(self._compiled, self._car, self._snapshot_now).connected(now)
        return [metric for metric in metrics if any(fnmatchcase(metric.topic, each) for each in wanted)]

    def deadline(self) -> Instant | None:
        """Return when an answer is ready, or a value that came too soon may be sent."""
        return self._ready_at if self._ready else super().deadline()

    def wake(self, now: Instant) -> Sequence[Frame]:
        """Return what is ready, and what may be sent by `now`."""
        ready, self._ready = self._ready, []
        return [*ready, *super().wake(now)]


class OvmsDialect(MappedDialect):
    """Metrics, events and shell of a module of the Open Vehicle Monitoring System, version 3."""

    def __init__(self, own: FleetDialect) -> None:
        """Take ours, in which tools and desk speak."""
        super().__init__(read_mapping_file(MAPPING), own)

    @property
    def access(self) -> TopicAccess:
        """The topics of the mapping, and those of clients."""
        mapped = super().access
        of_car, of_any = (tuple(f"{head_of(self.compiled, vin)}/{each}" for each in _OF_CLIENTS) for vin in ("%u", "+"))
        return mapped._replace(car_reads=mapped.car_reads + of_car, cloud_writes=mapped.cloud_writes + of_any)

    def car_end(self, car: CarFacts, snapshot: Callable[[], Status]) -> CarEnd:
        """Return a new end for a car."""
        return OvmsEnd(self.compiled, car, snapshot)


def head_of(compiled: Compiled, vin: str) -> str:
    """Return the beginning of a car's topics."""
    return compiled.mapping.base.replace("{vin}", vin)
