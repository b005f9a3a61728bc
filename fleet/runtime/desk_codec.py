"""The records of the desk in a journal, without any S-PIN, hash or token, and how they are read back.

A journal is a file that people pass on. In it an S-PIN is only there or not, whether it was right is an input, and a token is
the number of the verification it came from. That is enough for another desk to decide the same.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import (
    Answer,
    CommandAsked,
    DeskInput,
    DeskOutput,
    DeskStart,
    HashSpin,
    KeepSpin,
    SpinAsked,
    SpinHashed,
    SpinSettingAsked,
    SpinVerified,
    StoreUser,
    VerifySpin,
)
from fleet.cloud.spin_guard import is_spin, looks_like_spin
from fleet.errors import Undecodable
from fleet.kernel.instants import Instant
from fleet.observe.journal import NOT_YET, Input, Output, Wake
from fleet.runtime.recording import JournalTime, as_it_is, plain_of
from fleet.wire.commands import read_parameters

DESK: Final = "desk"
INPUTS: Final = {kind.__name__: kind for kind in get_args(DeskInput)}
TOKENS: Final = 10_000
"""Tokens that have numbers of their own; they live for five minutes."""
RIGHT_FORM, WRONG_FORM = "0000", "-"
"""Stand-ins for an S-PIN when a desk decides again: its form is all that a desk itself looks at."""
UNFIT: Final[dict[str, Any]] = {"not kept": True}
"""Stand-in for parameters that no command has. They are not kept: an S-PIN may stand where it does not belong."""
_STAND_IN_HASH: Final = {"salt": "", "digest": "", "cost": "not kept"}


class DeskCodec:
    """The codec of one desk. It tells tokens apart by the verifications that gave them out."""

    def __init__(self, at: JournalTime = as_it_is) -> None:
        """Take the times to write."""
        self._at = at
        self._t: Instant = NOT_YET
        self._jobs: dict[str, int] = {}
        self._unfit: set[str] = set()

    # --- writing

    def start_record(self, start: DeskStart) -> Input:
        """Return the record of a beginning."""
        plain = plain_of(start)
        for entry in plain["users"]:
            entry["spin"] = entry["spin"] is not None
        _leave_out_unset(plain, "rights", "forgotten")
        return Input(self._at(NOT_YET)[0], DESK, "in", DeskStart.__name__, data=plain)

    def input_record(self, message: DeskInput, now: Instant) -> Input:
        self._t, machine_now = self._at(now)
        return Input(self._t, DESK, "in", type(message).__name__, None, machine_now, self._plain_input(message))

    def wake_record(self, now: Instant) -> Wake:
        self._t, machine_now = self._at(now)
        return Wake(self._t, DESK, "wake", machine_now)

    def output_record(self, output: DeskOutput) -> Output:
        return Output(self._t, DESK, "out", type(output).__name__, None, self._plain_output(output))

    def _plain_input(self, message: DeskInput) -> dict[str, Any]:
        plain = plain_of(message)
        match message:
            case CommandAsked(request):
                _leave_out_unset(plain, "person", "in_session", "session_ended", "forgotten")
                asked = _without_misplaced(plain["request"])
                if request.spin is not None:
                    asked["spin"] = is_spin(request.spin)
                if request.token is not None:
                    asked["token"] = self._jobs.get(request.token, 0)
                if not _fits(request.name, request.parameters):
                    asked["parameters"] = None
            case SpinAsked(spin=spin):
                plain["spin"] = is_spin(spin)
            case SpinSettingAsked(request):
                _without_misplaced(plain["request"])["spin"] = is_spin(request.spin)
            case SpinVerified(job, right, token):
                plain["token"] = True
                if right:
                    self._note(token, job)
            case SpinHashed() | KeepSpin():
                plain["spin"] = True
            case _:
                pass
        return plain

    def _note(self, token: str, job: int) -> None:
        self._jobs[token] = job
        if len(self._jobs) > TOKENS:
            del self._jobs[next(iter(self._jobs))]

    def _plain_output(self, output: DeskOutput) -> dict[str, Any]:
        plain = plain_of(output)
        match output:
            case Answer(answer=answer) if answer.token is not None:
                plain["answer"]["token"] = self._jobs.get(answer.token, 0)
            case StoreUser(user):
                plain["user"]["spin"] = user.spin is not None
            case VerifySpin(spin=spin):
                plain |= {"spin": is_spin(spin), "against": True}
            case HashSpin(spin=spin):
                plain["spin"] = is_spin(spin)
            case _:
                pass
        return plain

    # --- reading, with stand-ins for secrets

    def read_start(self, record: Input) -> Desk | None:
        if record.type != DeskStart.__name__:
            return None
        for entry in record.data["users"]:
            entry["spin"] = _STAND_IN_HASH if entry["spin"] else None
        return Desk.begin(msgspec.convert(record.data, DeskStart))

    def read_input(self, record: Input) -> DeskInput:
        """Return the input of a line; what a journal leaves out, such as an S-PIN, is replaced by something as good."""
        plain = record.data
        request = plain.get("request")
        if request is not None:
            if request.get("spin") is not None:
                request["spin"] = RIGHT_FORM if request["spin"] else WRONG_FORM
            if request.get("token") is not None:
                request["token"] = token_of(request["token"])
            if "parameters" in request and request["parameters"] is None:
                request["parameters"] = UNFIT
                self._unfit.add(request["id"])
        if record.type == SpinAsked.__name__:
            plain["spin"] = RIGHT_FORM if plain["spin"] else WRONG_FORM
        if record.type == SpinVerified.__name__:
            plain["token"] = token_of(plain["job"])
        if record.type == SpinHashed.__name__:
            plain["spin"] = _STAND_IN_HASH
        if record.type == KeepSpin.__name__:
            plain["spin"] = "not kept$$"
        message: DeskInput = msgspec.convert(plain, INPUTS[record.type])
        return message

    def comparable(self, record: Output) -> Any:
        """Leave out the words of a refusal that could have held an S-PIN."""
        for fields in (record.data, record.data.get("answer", {})):
            if fields.get("command_id", fields.get("id")) in self._unfit:
                fields.pop("detail", None)
        return record.data


def _leave_out_unset(plain: dict[str, Any], *names: str) -> None:
    """Leave out what nobody has set: most cars have no people of whom something is known."""
    for name in names:
        if not plain[name]:
            del plain[name]


def _without_misplaced(asked: dict[str, Any]) -> dict[str, Any]:
    """Put a stand-in where an S-PIN may have been typed in place of another word; a desk refuses both alike."""
    for words in (asked, asked.get("parameters") or {}):
        for name in ("vin", "name", "user"):
            if looks_like_spin(words.get(name)):
                words[name] = RIGHT_FORM
    return asked


def _fits(name: str, parameters: dict[str, Any]) -> bool:
    try:
        read_parameters(name, parameters)
    except Undecodable:
        return False
    return True


def token_of(job: int) -> str:
    """Return what stands for the token of a verification; of none of them for 0."""
    return f"token of verification {job}"
