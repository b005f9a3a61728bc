"""A machine with a journal: `Recorded` writes down its inputs and outputs, `Replayed` gives another one the same inputs.

A codec for each kind of machine knows its records. Nothing here decides, reads a clock, or changes what it passes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from fleet.kernel.instants import Instant
from fleet.kernel.machine import Machine
from fleet.observe.journal import Input, Output, Record, Wake, encode_unknown

Write = Callable[[Record], None]
ScenarioTime = Callable[[], Instant]
"""Returns the scenario time, `NOT_YET` as long as it is not known."""
JournalTime = Callable[[Instant], tuple[Instant, Instant | None]]
"""Returns the time to write for that of a machine, and the latter where it is another; for `NOT_YET` the time of a beginning."""


In = TypeVar("In")
Out = TypeVar("Out")


class Codec(Protocol[In, Out]):
    """Writes the inputs and outputs of one machine as records, and reads them back.

    The record of an output has the time of the input before it. The readers raise KeyError, TypeError, AttributeError or
    msgspec.ValidationError for a record that no machine of this kind has written.
    """

    def input_record(self, message: In, now: Instant) -> Input:
        """Return the record of an input."""
        ...

    def wake_record(self, now: Instant) -> Wake:
        """Return the record of a wake."""
        ...

    def output_record(self, output: Out) -> Output:
        """Return the record of an output."""
        ...

    def read_start(self, record: Input) -> Machine[In, Out] | None:
        """Return the machine that begins with this record; None when the record is an input."""
        ...

    def read_input(self, record: Input) -> In:
        """Return the input that was written so."""
        ...

    def comparable(self, record: Output) -> Any:
        """Return the fields in which an output has to be the recorded one."""
        ...


class Recorded(Generic[In, Out]):
    """A machine that writes down each input before it is taken, and each output; itself a `Machine`."""

    __slots__ = ("_codec", "_machine", "_write")

    def __init__(self, machine: Machine[In, Out], codec: Codec[In, Out], write: Write) -> None:
        """Take the machine, the codec of its kind, and what takes the records."""
        self._machine = machine
        self._codec = codec
        self._write = write

    def receive(self, message: In, now: Instant) -> Sequence[Out]:
        """Write the input, have the machine take it, and write its outputs."""
        codec, write = self._codec, self._write
        write(codec.input_record(message, now))
        outputs = self._machine.receive(message, now)
        for output in outputs:
            write(codec.output_record(output))
        return outputs

    def deadline(self) -> Instant | None:
        return self._machine.deadline()

    def wake(self, now: Instant) -> Sequence[Out]:
        """Write the wake-up, wake the machine, and write its outputs."""
        codec, write = self._codec, self._write
        write(codec.wake_record(now))
        outputs = self._machine.wake(now)
        for output in outputs:
            write(codec.output_record(output))
        return outputs


class Replayed(Generic[In, Out]):
    """A machine that is given again what its journal says. Its outputs are records as they would be read from a file."""

    def __init__(self, machine: Machine[In, Out], codec: Codec[In, Out]) -> None:
        """Take the machine as it was at the beginning of the journal, and the codec of its kind."""
        self._codec = codec
        self._written: list[Record] = []
        self._recorded = Recorded(machine, codec, self._written.append)

    def read(self, record: Input) -> In | None:
        """Return the input of a record; None when the machine begins anew with it. Raises as `Codec` says."""
        machine = self._codec.read_start(record)
        if machine is None:
            return self._codec.read_input(record)
        self._recorded = Recorded(machine, self._codec, self._written.append)
        return None

    def receive(self, message: In, now: Instant) -> Sequence[Output]:
        """Return the records of the outputs."""
        self._recorded.receive(message, now)
        return self._outputs()

    def wake(self, now: Instant) -> Sequence[Output]:
        """Return the records of the outputs."""
        self._recorded.wake(now)
        return self._outputs()

    def comparable(self, record: Output) -> Any:
        """Return the fields in which an output has to be the recorded one."""
        return self._codec.comparable(record)

    def _outputs(self) -> Sequence[Output]:
        outputs = [_as_read(record) for record in self._written if isinstance(record, Output)]
        self._written.clear()
        return outputs


_encode = msgspec.json.Encoder(enc_hook=encode_unknown).encode
_decode = msgspec.json.Decoder(Output).decode


def _as_read(record: Output) -> Output:
    """Return a record as it would be read from a file."""
    return _decode(_encode(record))


def as_it_is(now: Instant) -> tuple[Instant, None]:
    """Return the time of a machine that runs in the journal's own time."""
    return now, None


def plain_of(value: object) -> dict[str, Any]:
    """Return the fields of an input or output as plain data."""
    plain: dict[str, Any] = msgspec.to_builtins(value, enc_hook=encode_unknown)
    return plain
