"""The desk with a journal: what it is given and wants, without any S-PIN, hash or token; and how that is read back.

A journal is a file that people pass on. In it an S-PIN is only there or not, whether it was right is an input, and a token is
the number of the verification it came from. That is enough for another desk to decide the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, get_args

import msgspec

from fleet.cloud.car_settings import CarSettings
from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import (
    Answer,
    CommandAsked,
    CommandRecord,
    DeskInput,
    DeskOutput,
    HashSpin,
    PresenceChanged,
    SpinHashed,
    SpinSettingAsked,
    SpinVerified,
    StoreUser,
    UserRecord,
    VerifySpin,
)
from fleet.cloud.spin_guard import is_spin, looks_like_spin
from fleet.errors import Undecodable
from fleet.kernel.instants import Instant
from fleet.observe.journal import NOT_YET, Input, Output, Record, Wake, in_words
from fleet.wire.commands import read_parameters

DESK: Final = "desk"
INPUTS: Final = {kind.__name__: kind for kind in get_args(DeskInput)}
TOKENS: Final = 10_000
"""Tokens that are told apart by their numbers; they live for five minutes."""
RIGHT_FORM, WRONG_FORM = "0000", "-"
"""What stands for an S-PIN when a desk decides again: its form is all that a desk itself looks at."""
UNFIT: Final[dict[str, Any]] = {"not kept": True}
"""What stands for parameters that no command has. They are not kept: an S-PIN may stand where it does not belong."""
_STAND_IN_HASH: Final = {"salt": "", "digest": "", "cost": "not kept"}


class DeskStart(msgspec.Struct, frozen=True):
    """What a desk begins with, as the store had it."""

    factor: float
    users: list[UserRecord]
    known_vins: list[str]
    presence: list[PresenceChanged]
    settings: dict[str, CarSettings] = {}

    def desk(self) -> Desk:
        """Make the desk that begins so."""
        return Desk(
            factor=self.factor,
            users=self.users,
            known_vins=self.known_vins,
            presence=self.presence,
            settings=self.settings,
        )


class Restored(msgspec.Struct, frozen=True):
    """The commands without an end that a desk takes over after a restart."""

    commands: list[CommandRecord]


class DeskWords:
    """Writes inputs and outputs of one desk as plain data without secrets."""

    def __init__(self) -> None:
        self._jobs: dict[str, int] = {}

    def of_input(self, message: DeskInput) -> dict[str, Any]:
        """Return the fields of an input."""
        plain = _plain(message)
        match message:
            case CommandAsked(request):
                asked = _without_misplaced(plain["request"])
                if request.spin is not None:
                    asked["spin"] = is_spin(request.spin)
                if request.token is not None:
                    asked["token"] = self._jobs.get(request.token, 0)
                if not _fits(request.name, request.parameters):
                    asked["parameters"] = None
            case SpinSettingAsked(request):
                _without_misplaced(plain["request"])["spin"] = is_spin(request.spin)
            case SpinVerified(job, right, token):
                plain["token"] = True
                if right:
                    self._note(token, job)
            case SpinHashed():
                plain["spin"] = True
            case _:
                pass
        return plain

    def _note(self, token: str, job: int) -> None:
        self._jobs[token] = job
        if len(self._jobs) > TOKENS:
            del self._jobs[next(iter(self._jobs))]

    def of_output(self, output: DeskOutput) -> dict[str, Any]:
        """Return the fields of an output."""
        plain = _plain(output)
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

    def of_start(self, start: DeskStart) -> dict[str, Any]:
        """Return the fields of a beginning."""
        plain = _plain(start)
        for entry in plain["users"]:
            entry["spin"] = entry["spin"] is not None
        return plain


def _plain(value: object) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value, enc_hook=in_words)
    return plain


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


def read_desk_input(kind: str, plain: dict[str, Any]) -> DeskInput:
    """Return the input that was written so, with stand-ins for what is secret. Raises KeyError, msgspec.ValidationError."""
    request = plain.get("request")
    if request is not None:
        if request.get("spin") is not None:
            request["spin"] = RIGHT_FORM if request["spin"] else WRONG_FORM
        if request.get("token") is not None:
            request["token"] = token_of(request["token"])
        if "parameters" in request and request["parameters"] is None:
            request["parameters"] = UNFIT
    if kind == "SpinVerified":
        plain["token"] = token_of(plain["job"])
    if kind == "SpinHashed":
        plain["spin"] = _STAND_IN_HASH
    message: DeskInput = msgspec.convert(plain, INPUTS[kind])
    return message


def read_desk_start(plain: dict[str, Any]) -> DeskStart:
    """Return what a desk began with. Raises msgspec.ValidationError."""
    for entry in plain["users"]:
        entry["spin"] = _STAND_IN_HASH if entry["spin"] else None
    return msgspec.convert(plain, DeskStart)


def token_of(job: int) -> str:
    """Return what stands for the token of a verification; of none of them for 0."""
    return f"token of verification {job}"


class JournalledDesk(Desk):
    """A desk whose inputs and outputs are written down."""

    def __init__(
        self,
        write: Callable[[Record], None],
        at: Callable[[Instant], tuple[Instant, Instant | None]],
        *,
        factor: float = 1.0,
        users: Iterable[UserRecord] = (),
        known_vins: Iterable[str] = (),
        presence: Iterable[PresenceChanged] = (),
        settings: Mapping[str, CarSettings] | None = None,
    ) -> None:
        """Take what writes, and what tells which time to write for the desk's own, and the latter where it is another.

        The rest is the desk's.
        """
        start = DeskStart(factor, list(users), list(known_vins), list(presence), dict(settings or {}))
        super().__init__(
            factor=factor, users=start.users, known_vins=start.known_vins, presence=start.presence, settings=start.settings
        )
        self._write = write
        self._at = at
        self._words = DeskWords()
        write(Input(at(NOT_YET)[0], DESK, "in", "DeskStart", data=self._words.of_start(start)))

    def receive(self, message: DeskInput, now: Instant) -> list[DeskOutput]:
        self._given(type(message).__name__, self._words.of_input(message), now)
        return self._wants(super().receive(message, now), now)

    def restore(self, records: Iterable[CommandRecord], now: Instant) -> list[DeskOutput]:
        commands = list(records)
        self._given("Restored", _plain(Restored(commands)), now)
        return self._wants(super().restore(commands, now), now)

    def wake(self, now: Instant) -> list[DeskOutput]:
        t, told = self._at(now)
        self._write(Wake(t, DESK, "wake", told))
        return self._wants(super().wake(now), now)

    def _given(self, kind: str, plain: dict[str, Any], now: Instant) -> None:
        t, told = self._at(now)
        self._write(Input(t, DESK, "in", kind, None, told, plain))

    def _wants(self, outputs: list[DeskOutput], now: Instant) -> list[DeskOutput]:
        for output in outputs:
            self._write(Output(self._at(now)[0], DESK, "out", type(output).__name__, None, self._words.of_output(output)))
        return outputs
