"""The service centre with a journal: what it is given and wants, and how that is read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args

import msgspec

from fleet.cloud.centre import ServiceCentre
from fleet.cloud.rule import CentreInput, CentreOutput, Rule
from fleet.kernel.instants import Instant
from fleet.observe.journal import NOT_YET, Input, Output, Record, Wake, in_words

CENTRE: Final = "centre"
_INPUTS: Final[dict[str, Any]] = {kind.__name__: kind for kind in get_args(CentreInput)}


class CentreStart(msgspec.Struct, frozen=True):
    """What a centre begins with: the notes of its rules, as the store had them."""

    state: dict[str, dict[str, Any]]


class JournalledCentre(ServiceCentre):
    """A service centre whose inputs and outputs are written down."""

    def __init__(
        self,
        write: Callable[[Record], None],
        at: Callable[[Instant], tuple[Instant, Instant | None]],
        rules: Sequence[type[Rule]],
        state: Mapping[str, Mapping[str, Any]],
        *,
        again: bool = False,
    ) -> None:
        """Take what writes, and what tells which time to write, as for the desk; the rest is the centre's.

        `again`: another one was there before, so that this one's beginning is told even without notes.
        """
        super().__init__(rules, state)
        self._write = write
        self._at = at
        if state or again:
            write(Input(at(NOT_YET)[0], CENTRE, "in", "CentreStart", data=plain_of({"state": state})))

    def receive(self, message: CentreInput, now: Instant) -> list[CentreOutput]:
        t, told = self._at(now)
        self._write(Input(t, CENTRE, "in", type(message).__name__, None, told, plain_of(message)))
        return self._wants(super().receive(message, now), now)

    def wake(self, now: Instant) -> list[CentreOutput]:
        t, told = self._at(now)
        self._write(Wake(t, CENTRE, "wake", told))
        return self._wants(super().wake(now), now)

    def _wants(self, outputs: list[CentreOutput], now: Instant) -> list[CentreOutput]:
        for output in outputs:
            self._write(centre_record(output, self._at(now)[0]))
        return outputs


def centre_record(output: CentreOutput, now: Instant) -> Output:
    """Return the record of what a centre wants."""
    return Output(now, CENTRE, "out", type(output).__name__, None, plain_of(output))


def read_centre_input(kind: str, plain: dict[str, Any]) -> CentreInput | CentreStart:
    """Return the input that was written so. Raises KeyError, msgspec.ValidationError."""
    if kind == CentreStart.__name__:
        return msgspec.convert(plain, CentreStart)
    message: CentreInput = msgspec.convert(plain, _INPUTS[kind])
    return message


def plain_of(value: object) -> dict[str, Any]:
    """Return the fields of an input or output as plain data."""
    plain: dict[str, Any] = msgspec.to_builtins(value, enc_hook=in_words)
    return plain
