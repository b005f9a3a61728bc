"""The records of the service centre in a journal, without anything secret, and how they are read back.

What became of a secret is an input, and a journal has that. For a token, for the digest by which it is found again, and for the
hash of a password it has stand-ins, by which another centre decides the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from fleet.cloud.centre import OWN, ServiceCentre
from fleet.cloud.desk_io import Answer, KeepSpin
from fleet.cloud.people.people import RULE
from fleet.cloud.people.tokens import StandIns
from fleet.cloud.registry import RULES
from fleet.cloud.rule import CentreInput, CentreOutput, Erase, Keep, Mail, RequestProven, ServiceAsked, SessionUsed
from fleet.kernel.instants import Instant
from fleet.observe.journal import NOT_YET, Input, Output, Wake
from fleet.runtime.recording import JournalTime, as_it_is, plain_of

CENTRE: Final = "centre"
_SELDOM: Final = ("person", "proofs", "fresh", "reported")
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
        self._stand_ins = StandIns()

    def start_record(self, state: Mapping[str, Mapping[str, Any]]) -> Input:
        """Return the record of a beginning with these notes."""
        plain = plain_of(
            {"state": {name: notes if name not in {RULE, OWN} else self._without_secrets(notes) for name, notes in state.items()}}
        )
        return Input(self._at(NOT_YET)[0], CENTRE, "in", CentreStart.__name__, data=plain)

    def input_record(self, message: CentreInput, now: Instant) -> Input:
        self._t, machine_now = self._at(now)
        plain = plain_of(message)
        if isinstance(message, ServiceAsked):
            plain["fresh"] = [self._stand_ins.of(word) for word in message.fresh]
            plain["request"].pop("session", None)
        if isinstance(message, SessionUsed):
            plain = self._without_secrets(plain)
        if isinstance(message, ServiceAsked | RequestProven):
            plain["proofs"] = self._without_secrets(plain["proofs"])
        for name in _SELDOM:
            if name in plain and not plain[name]:
                del plain[name]  # most of what is asked is not about people
        return Input(self._t, CENTRE, "in", type(message).__name__, None, machine_now, plain)

    def wake_record(self, now: Instant) -> Wake:
        self._t, machine_now = self._at(now)
        return Wake(self._t, CENTRE, "wake", machine_now)

    def output_record(self, output: CentreOutput) -> Output:
        plain = plain_of(output)
        match output:
            case Keep(module=module, key=key, value=value) if module in {RULE, OWN}:
                plain["key"] = self._stand_ins.without_secrets(key)
                plain["value"] = None if value is None else self._stand_ins.without_secrets(value)
            case KeepSpin():
                plain["spin"] = True
            case Erase():
                plain = self._without_secrets(plain)
            case Mail():
                plain["secret"] = bool(output.secret)
            case Answer(answer=answer):
                if answer.secrets:
                    plain["answer"]["secrets"] = dict.fromkeys(answer.secrets, True)
                if answer.data:  # such as the digest by which an erasure is known again
                    plain["answer"]["data"] = self._without_secrets(plain["answer"]["data"])
            case _:
                pass
        return Output(self._t, CENTRE, "out", type(output).__name__, None, plain)

    def _without_secrets(self, plain: Any) -> Any:
        return msgspec.json.decode(self._stand_ins.without_secrets(msgspec.json.encode(plain).decode()))

    def read_start(self, record: Input) -> ServiceCentre | None:
        if record.type != CentreStart.__name__:
            return None
        return ServiceCentre(RULES, msgspec.convert(record.data, CentreStart).state)

    def read_input(self, record: Input) -> CentreInput:
        message: CentreInput = msgspec.convert(record.data, _INPUTS[record.type])
        return message

    def comparable(self, record: Output) -> Any:
        return record.data
