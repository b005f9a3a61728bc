"""The records of the service centre in a journal, and how they are read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from fleet.cloud.centre import ServiceCentre
from fleet.cloud.registry import RULES
from fleet.cloud.rule import CentreInput, CentreOutput
from fleet.kernel.instants import Instant
from fleet.observe.journal import NOT_YET, Input, Output, Wake
from fleet.runtime.recording import JournalTime, as_it_is, plain_of

CENTRE: Final = "centre"
_INPUTS: Final[dict[str, Any]] = {kind.__name__: kind for kind in get_args(CentreInput)}


class CentreStart(msgspec.Struct, frozen=True):
    """The notes with which the rules of a centre begin, as the store had them."""

    state: dict[str, dict[str, Any]]


class CentreCodec:
    """The codec of a service centre."""

    def __init__(self, at: JournalTime = as_it_is) -> None:
        """Take the times to write."""
        self._at = at
        self._t: Instant = NOT_YET

    def start_record(self, state: Mapping[str, Mapping[str, Any]]) -> Input:
        """Return the record of a beginning with these notes."""
        return Input(self._at(NOT_YET)[0], CENTRE, "in", CentreStart.__name__, data=plain_of({"state": state}))

    def input_record(self, message: CentreInput, now: Instant) -> Input:
        self._t, machine_now = self._at(now)
        return Input(self._t, CENTRE, "in", type(message).__name__, None, machine_now, plain_of(message))

    def wake_record(self, now: Instant) -> Wake:
        self._t, machine_now = self._at(now)
        return Wake(self._t, CENTRE, "wake", machine_now)

    def output_record(self, output: CentreOutput) -> Output:
        return Output(self._t, CENTRE, "out", type(output).__name__, None, plain_of(output))

    def read_start(self, record: Input) -> ServiceCentre | None:
        if record.type != CentreStart.__name__:
            return None
        return ServiceCentre(RULES, msgspec.convert(record.data, CentreStart).state)

    def read_input(self, record: Input) -> CentreInput:
        message: CentreInput = msgspec.convert(record.data, _INPUTS[record.type])
        return message

    def comparable(self, record: Output) -> Any:
        return record.data
