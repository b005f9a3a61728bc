"""An example of each message in a dialect: frames that simulated cars send and get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fleet.errors import InvalidVin, Undecodable, Unwritable
from fleet.runtime.dialect_samples import Sample, end_of, label_of, samples_of_rule_book
from fleet.runtime.dialects import open_dialect
from fleet.wire.dialect import CarEnd, Dialect
from fleet.wire.frame import Frame
from fleet.wire.messages import Command, Reply, Stored


class Example(NamedTuple):
    """A kind of message, whether it goes to a car, and its frames; none for what the dialect does not say."""

    label: str
    to_car: bool
    frames: Sequence[Frame]


def examples(choice: str) -> list[Example]:
    """Return an example of each kind of message, in the order of statuses, events … and commands. Raises UsageError."""
    dialect = open_dialect(choice)
    ends: dict[str, CarEnd] = {}
    found: dict[str, Example] = {}
    for sample in samples_of_rule_book():
        end = ends.get(sample.car.vin)
        if end is None:
            end = ends[sample.car.vin] = end_of(dialect, sample)
            end.connected(sample.at)
        label = label_of(sample.message)
        to_car = isinstance(sample.message, Command | Reply | Stored)
        if not found.get(label, _NOTHING).frames or isinstance(sample.message, Command):
            frames = _to_car(dialect, end, sample) if to_car else _from_car(end, sample)
            if not found.get(label, _NOTHING).frames:
                found[label] = Example(label, to_car, frames)
    return sorted(found.values(), key=lambda each: (_ORDER.index(each.label.partition(" ")[0]), each.label))


_NOTHING = Example("", False, ())
_ORDER = ("status", "presence", "event", "request", "reply", "command", "response", "the")


def _from_car(end: CarEnd, sample: Sample) -> Sequence[Frame]:
    try:
        return end.write(sample.message, sample.at)  # type: ignore[arg-type]  # the other kinds go to cars
    except Unwritable:
        return ()


def _to_car(dialect: Dialect, end: CarEnd, sample: Sample) -> Sequence[Frame]:
    try:
        frame = dialect.to_car(sample.car.vin, sample.message)  # type: ignore[arg-type]  # the other kinds come from cars
        end.read(frame, sample.at)
    except (Unwritable, Undecodable, InvalidVin):
        return ()
    return (frame,)
