"""The records of a car in a journal: its inputs and outputs as they are, and how they are read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, get_args

import msgspec

from fleet.kernel.instants import Instant
from fleet.observe.journal import Input, Output, Wake
from fleet.observe.story import CAR
from fleet.runtime.recording import Recorded, Write
from fleet.vehicle.car import Car
from fleet.vehicle.signals import CarInput, CarOutput, Received, Transmit
from fleet.wire.dialect import Dialect
from fleet.wire.messages import Status, ToCar, Written, WrittenStatus

_INPUTS: Final[dict[str, type[Any]]] = {kind.__name__: kind for kind in get_args(CarInput)}
_TO_CAR: Final[dict[str | None, type[Any]]] = {kind.__name__: kind for kind in get_args(ToCar)}
_NAMES: Final = {kind: kind.__name__ for kind in (*get_args(CarInput), *get_args(CarOutput))}
_BEHIND_HEADER: Final = b',"trigger":'
"""Begins the text of a status behind its header."""
_BARE: Final = frozenset(kind for kind in _NAMES if not kind.__struct_fields__)
"""Inputs and outputs without fields; a type tells neither this nor its name as fast."""


class CarCodec:
    """The codec of one car. A car takes an input that comes late as of its latest instant, and so is it written."""

    __slots__ = ("_name", "_now")

    def __init__(self, vin: str) -> None:
        """Take the car's VIN."""
        self._name = CAR + vin
        self._now: Instant = 0

    def input_record(self, message: CarInput, now: Instant) -> Input:
        """Return the line of an input; time in a journal never runs back."""
        self._now = max(self._now, now)
        kind = type(message)
        of = type(message.message).__name__ if isinstance(message, Received) else None
        return Input(self._now, self._name, "in", _NAMES[kind], of, None, None if kind in _BARE else message)

    def wake_record(self, now: Instant) -> Wake:
        self._now = max(self._now, now)
        return Wake(self._now, self._name, "wake")

    def output_record(self, output: CarOutput) -> Output:
        """Return the line of an output, at the time of the input that it comes from."""
        kind = type(output)
        if not isinstance(output, Transmit):
            return Output(self._now, self._name, "out", _NAMES[kind], None, None if kind in _BARE else output)
        message = output.message
        if type(message) is WrittenStatus:  # nearly all there is under load
            return Output(self._now, self._name, "out", "Transmit", "Status", _whole(output, message))
        return Output(self._now, self._name, "out", "Transmit", type(message).__name__, output)

    def read_start(self, record: Input) -> None:
        """Return None: cars are built from the first line of a journal."""

    def read_input(self, record: Input) -> CarInput:
        if record.type == Received.__name__:
            came: ToCar = msgspec.convert(record.data["message"], _TO_CAR[record.of])
            return Received(came, before=record.data.get("before", False))
        message: CarInput = msgspec.convert(record.data or {}, _INPUTS[record.type])
        return message

    def comparable(self, record: Output) -> Any:
        return record.data


def _whole(output: Transmit, message: WrittenStatus) -> msgspec.Raw:
    """Return the transmission of the status that a written one stands for, made of the text that was written ahead."""
    return msgspec.Raw(
        b'{"message":{"vin":"%s","boot":%d,"seq":%d,"captured_at":%d%s,"due_at":%d,"again":%s}'
        % (
            message.vin.encode(), message.boot, message.seq, message.captured_at, message.written.text, output.due_at,
            b"true" if output.again else b"false",
        )
    )  # fmt: skip


def status_writer_of(dialect: Dialect, *, recorded: bool) -> Callable[[Status], Written] | None:
    """Return the function that writes a status ahead in a dialect, and for cars with a journal its text, too."""
    write = dialect.status_writer
    if write is None or not recorded:
        return write

    def write_both(status: Status) -> Written:
        text = msgspec.json.encode(status)
        return msgspec.structs.replace(write(status), text=text[text.index(_BEHIND_HEADER) :])

    return write_both


def recorded_car(car: Car, write: Write) -> Recorded[CarInput, CarOutput]:
    """Return the car as a machine with a journal."""
    return Recorded(car, CarCodec(car.vin), write)
