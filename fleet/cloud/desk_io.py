"""Inputs and outputs of the command desk: frozen, documented, one union each. Decides nothing.

An S-PIN passes through some of these; it is left out of every `repr`. Those are dataclasses, as a `Struct` shows all its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from fleet.cloud.car_settings import NEVER, Number, ReportedSettings
from fleet.cloud.rights import CarRights
from fleet.kernel.instants import Duration, Instant
from fleet.wire.messages import Command, CommandRequest, CommandState, DeskAnswer, EnrolCar, Event, Response, SetSpin

By = Literal["desk", "car"]
INTERNAL: Final = "internal"
"""The reason where desk, service centre or publisher failed: whose fault it is, a warning says."""
NOT_IN_DIALECT: Final = "not_in_dialect"
"""The reason where the dialect of the car has no words for a command, or for these parameters."""

# --- what the store keeps -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpinHash:
    """An S-PIN as it is kept: `cost` names the parameters of `digest`, in the format of the hash."""

    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    cost: str

    @property
    def text(self) -> str:
        """The same in one word."""
        return f"{self.cost}${self.salt.hex()}${self.digest.hex()}"

    @staticmethod
    def parse(text: str) -> SpinHash:
        """Read the word of `text`."""
        cost, salt, digest = text.split("$")
        return SpinHash(bytes.fromhex(salt), bytes.fromhex(digest), cost)


class UserRecord(msgspec.Struct, frozen=True):
    """A person enrolled on a car. `spin` is None until it is set; `locked` ends when it is set again.

    `given` is the newest pairing of the car that was known when the person was enrolled or the S-PIN set: a reset takes away
    what was given under a pairing before it, whenever it is heard of.
    """

    vin: str
    name: str
    role: str = "primary"
    spin: SpinHash | None = None
    wrong_tries: int = 0
    locked: bool = False
    given: Number = NEVER


class CommandRecord(msgspec.Struct, frozen=True):
    """A command as the desk remembers it. `state` is None while its S-PIN is being verified."""

    id: str
    vin: str
    name: str
    user: str
    parameters: Mapping[str, Any]
    answer_topic: str
    asked_at: Instant
    expires_at: Instant
    due_wall_us: int | None = None
    state: CommandState | None = None
    reason: str | None = None
    detail: str | None = None
    by: By = "desk"
    changed_at: Instant = 0
    awake: bool | None = None


# --- inputs -------------------------------------------------------------------------------------------------------


class CommandAsked(msgspec.Struct, frozen=True):
    """A user asks for a command. `stored` is what the store holds under the same id, where the driver looked it up.

    `person` is the account that asks, where there is one of that name or session; `in_session` tells that a session proved it.
    A session that holds no more is `session_ended`. A car that is `forgotten` was erased: not even its VIN is kept.
    """

    request: CommandRequest
    answer_topic: str
    stored: CommandRecord | None = None
    person: str | None = None
    in_session: bool = False
    session_ended: bool = False
    forgotten: bool = False


class BackEndAsked(msgspec.Struct, frozen=True):
    """The back end itself asks for a command: no user's rights and no S-PIN are asked for."""

    request: CommandRequest


class SpinSettingAsked(msgspec.Struct, frozen=True):
    """A user sets the S-PIN."""

    request: SetSpin
    answer_topic: str


class EnrolmentAsked(msgspec.Struct, frozen=True):
    """A car gets its primary user, and is known from now on."""

    request: EnrolCar
    answer_topic: str


@dataclass(frozen=True, slots=True)
class SpinVerified:
    """The answer to `VerifySpin`; `token` is fresh and unpredictable whether or not the S-PIN was right."""

    job: int
    right: bool
    token: str = field(repr=False)


class SpinHashed(msgspec.Struct, frozen=True):
    """The answer to `HashSpin`."""

    job: int
    spin: SpinHash


class SpinJobFailed(msgspec.Struct, frozen=True):
    """A verification or a hash came to no result; says nothing about the S-PIN."""

    job: int


class CommandPublished(msgspec.Struct, frozen=True):
    """The broker took a command, or (`refused`, the reason's name) definitely did not; or it could not be written at all."""

    command_id: str
    refused: str | None = None


class CarAnswered(msgspec.Struct, frozen=True):
    """A car's response came in; possibly again, possibly out of order."""

    response: Response


class CarSeen(msgspec.Struct, frozen=True):
    """A message of this car is about to be stored: from now on it is known."""

    vin: str


class PresenceChanged(msgspec.Struct, frozen=True):
    """The connection of a car has changed."""

    vin: str
    connection: Literal["online", "offline"] | None
    reason: Literal["lost", "shutdown", "deep_sleep"] | None = None


class CarSwitched(msgspec.Struct, frozen=True):
    """A car says what its own switches are set to, that it was reset, or that somebody is at home in it again."""

    event: Event


class RightsChanged(msgspec.Struct, frozen=True):
    """Who may do what with a car, and what is paid for, is this from now on; None: nobody's people are known of this car."""

    vin: str
    rights: CarRights | None


class CarForgotten(msgspec.Struct, frozen=True):
    """All that is known of a car is erased; its open commands end."""

    vin: str


@dataclass(frozen=True, slots=True)
class SpinAsked:
    """The S-PIN of an account is to be checked for the service centre: on a car's screen, or in the app."""

    id: str
    account: str
    spin: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeepSpin:
    """The S-PIN of an account is this from now on, as its driver has hashed it (`SpinHash.text`)."""

    account: str
    spin: str = field(repr=False)


class UnlockSpin(msgspec.Struct, frozen=True):
    """The S-PIN of an account is unlocked, as its password was changed."""

    account: str


class ForgetSpin(msgspec.Struct, frozen=True):
    """The S-PIN of an account is forgotten: the account is no more."""

    account: str


class Restored(msgspec.Struct, frozen=True):
    """The store's commands without a terminal state, which a desk takes over after a restart."""

    commands: list[CommandRecord]


class ClockChanged(msgspec.Struct, frozen=True):
    """Scenario time was announced anew: it runs at `factor` and jumped by `shift`, and all that is pending with it."""

    factor: float
    shift: Duration


SpinInput = SpinVerified | SpinHashed | SpinJobFailed | SpinAsked | KeepSpin | UnlockSpin | ForgetSpin
DeskInput = (
    CommandAsked
    | BackEndAsked
    | SpinSettingAsked
    | EnrolmentAsked
    | CommandPublished
    | CarAnswered
    | CarSeen
    | PresenceChanged
    | CarSwitched
    | RightsChanged
    | CarForgotten
    | ClockChanged
    | Restored
    | SpinInput
)


class DeskStart(msgspec.Struct, frozen=True):
    """The state in which a desk begins, as the store has it; `factor` is scenario seconds per wall second.

    `forgotten` are the cars of which nothing is known any more, and that the back end still asks to forget their people.
    """

    factor: float
    users: list[UserRecord]
    known_vins: list[str]
    presence: list[PresenceChanged]
    settings: dict[str, ReportedSettings] = {}
    rights: dict[str, CarRights] = {}
    forgotten: list[str] = []


# --- outputs ------------------------------------------------------------------------------------------------------


class CommandOpened(msgspec.Struct, frozen=True):
    """To be stored: a request the desk has taken up; its first transition follows now or after a verification."""

    record: CommandRecord


class Transition(msgspec.Struct, frozen=True):
    """To be stored: a command's state changed."""

    command_id: str
    state: CommandState
    reason: str | None
    detail: str | None
    at: Instant
    by: By = "desk"
    awake: bool | None = None


class LateResult(msgspec.Struct, frozen=True):
    """To be stored beside a state that stays: how the car ended a command the desk had already given up."""

    command_id: str
    vin: str
    state: CommandState
    reason: str | None
    at: Instant


class StoreUser(msgspec.Struct, frozen=True):
    """To be stored: a user is new or has changed."""

    user: UserRecord


class RemoveUser(msgspec.Struct, frozen=True):
    """To be removed from the store: somebody who has no rights on this car any more."""

    vin: str
    name: str


class KeepSettings(msgspec.Struct, frozen=True):
    """To be stored: what a car has said of its switches; the newest is all that counts."""

    vin: str
    settings: ReportedSettings


@dataclass(frozen=True, slots=True)
class VerifySpin:
    """To be answered with `SpinVerified` (or `SpinJobFailed`) under the same job."""

    job: int
    vin: str
    user: str
    spin: str = field(repr=False)
    against: SpinHash


@dataclass(frozen=True, slots=True)
class HashSpin:
    """To be answered with `SpinHashed` (or `SpinJobFailed`) under the same job."""

    job: int
    vin: str
    user: str
    spin: str = field(repr=False)


class SpinChecked(msgspec.Struct, frozen=True):
    """The answer to `SpinAsked`: right when `refused` is None."""

    id: str
    refused: str | None = None
    detail: str | None = None


class SendCommand(msgspec.Struct, frozen=True):
    """To be published to the car, once what goes before it is stored; answered with `CommandPublished`.

    `expiry_s` is in wall seconds.
    """

    command: Command
    expiry_s: int


class Answer(msgspec.Struct, frozen=True):
    """To be published to `topic`, once what goes before it is stored."""

    topic: str
    answer: DeskAnswer


DeskOutput = (
    CommandOpened
    | Transition
    | LateResult
    | StoreUser
    | RemoveUser
    | KeepSettings
    | VerifySpin
    | HashSpin
    | SpinChecked
    | SendCommand
    | Answer
)
