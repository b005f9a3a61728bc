"""How the rules of one service are written: what they are given, what they can want, and what they remember. Pure.

A service's own rules are a `Rule` in a module of their own, with one line in `registry.py` and an entry in `actions.toml`:

- `events` and `requests` name what the rule is given; each (VIN, boot, number) comes once, also across restarts. Of rules that
  answer the same request the first that `takes` it gets it. What is in `data` was written by a car: read it with
  `msgspec.convert`, and expect anything.
- `asked` answers what tools and scenarios ask (`fleet service NAME ACTION [VIN] key=value …`), NAME being the rule's `name`. Of a
  list of `cars` it gets those that the back end knows; the answer names the others.
- Each method returns outputs, in their order: `Notify` somebody, `AskCar` for a command, `SendReply` to a request.
- What must outlive a restart stands in `self.notes`, a mapping of text to plain data (as JSON has it). Assign an entry anew to
  change it: `notes[key] = {**notes[key], "closed": True}`. It is stored in the transaction that stores the message itself and
  all outputs, and is read back by the rule's constructor. So nothing is done twice and nothing is forgotten, whatever dies.
- `deadline` says when the rule wants to be woken, in scenario time; `wake` is then called until it is later than now.
- A command it asked for ends in `command_ended`, exactly once, under the id it was asked with.
- What raises is undone: the notes are as before, and the rule is made anew from them, so it may hold nothing that does not follow
  from its notes. An event or the end of a command is kept and tried again, see `failures.py`; whoever asked gets `internal`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

import msgspec

from fleet.cloud.car_settings import ReportedSettings
from fleet.cloud.desk_io import Answer, ForgetSpin, KeepSpin, RightsChanged, UnlockSpin
from fleet.cloud.rights import CarRights
from fleet.kernel.instants import Duration, Instant
from fleet.wire.messages import CommandState, Event, Reply, Request, ServiceRequest
from fleet.wire.vin import is_vin

Recipient = Literal[
    "primary_user", "user", "service_partner", "emergency_centre", "breakdown_centre", "info_centre", "operator"
]  # fmt: skip
"""Recipients of notices."""

# --- outputs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendReply:
    """To be published to the car: the answer to its request. It is of use for `lifetime` from now."""

    vin: str
    reply: Reply
    lifetime: Duration


@dataclass(frozen=True, slots=True)
class Notify:
    """A notice about a car to a recipient, to be stored. `at` is filled in by the centre."""

    vin: str
    to: Recipient
    kind: str
    data: Mapping[str, Any]
    at: Instant = 0


@dataclass(frozen=True, slots=True)
class AskCar:
    """A command by the back end itself: no S-PIN, no user's rights. One id is one command, however often it is asked.

    `time_to_live` None takes the command's own. The rule's id comes back in `CommandEnded`.
    """

    id: str
    vin: str
    name: str
    parameters: Mapping[str, Any]
    time_to_live: Duration | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail or a push to a person, to be stored in the outbox and delivered from there.

    `account` is "" for somebody without one, `address` an e-mail address (of a push nothing). `kind` and `data` are those of
    `fleet.cloud.people.mails`, put into words in `language` by the driver. `secret` belongs to a link, and no journal has it.
    `at` is filled in by the centre.
    """

    account: str
    address: str
    language: str
    kind: str
    data: Mapping[str, Any]
    vin: str = ""
    channel: Literal["mail", "push"] = "mail"
    secret: str = field(default="", repr=False)
    at: Instant = 0


@dataclass(frozen=True, slots=True)
class Keep:
    """To be stored: a note of a rule, as JSON; None removes it."""

    module: str
    key: str
    value: str | None


@dataclass(frozen=True, slots=True)
class ErasedCar:
    """A car whose data are erased; `digest` is by what it is known again.

    `whole`: its data go altogether, and nothing more is taken of it before it has somebody at home again. Otherwise the car stays
    known, and what it has measured up to `until` (scenario µs) goes, whenever it comes. So goes what was measured up to
    `ahead_until` by a clock that was set back since, as far as it is ahead of the present one.
    """

    vin: str
    whole: bool
    until: Instant
    digest: str = field(default="", repr=False)
    ahead_until: Instant = 0


@dataclass(frozen=True, slots=True)
class Erase:
    """All that is kept of these cars is to be forgotten, by each rule, by the desk, in the store, and by the broker.

    `account` is the person who asked, whose traces as a user of other people's cars go, too; "" for none. `words` are names of
    the person (e-mail, user name, mobile number). `commands` are to go as well, by their ids. `request` is the id of the request
    that asked for it, answered once nothing is found any more.
    """

    id: str
    at: Instant
    cars: tuple[ErasedCar, ...] = ()
    account: str = ""
    words: tuple[str, ...] = field(default=(), repr=False)
    commands: tuple[str, ...] = ()
    request: str = ""

    @property
    def vins(self) -> tuple[str, ...]:
        """The cars of which nothing stays."""
        return tuple(car.vin for car in self.cars if car.whole)

    @property
    def telling(self) -> tuple[str, ...]:
        """The words that mean nobody else wherever they stand: VINs, e-mail addresses and mobile numbers, but no user name."""
        named = [word for word in self.words if "@" in word or word.removeprefix("+").isdigit() or is_vin(word)]
        return (*self.vins, *named)


RuleOutput = SendReply | Notify | AskCar | Mail | RightsChanged | KeepSpin | UnlockSpin | ForgetSpin | Erase
CentreOutput = RuleOutput | Keep | Answer

# --- inputs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of one secret of a request. The driver proves secrets, slowly and elsewhere; a rule never sees one.

    `right` tells whether it was that of `account`; `against` says which one it was held against, as a secret may change
    meanwhile. `digest` is what is to be kept of a new one, or by what one that is random is looked up: in no repr or journal.
    `refused` is why it could not be proven at all (`spin_locked`, `malformed`, `busy` …), `detail` the same in words for people.
    """

    right: bool = False
    account: str | None = None
    against: int = 0
    digest: str = field(default="", repr=False)
    refused: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ServiceAsked:
    """A tool or a scenario asks a rule for something. `unknown` are those of its cars of which the back end has never heard.

    `request` comes without its secrets and session: `proofs` say what became of each, by its name, that of the session among
    them. `person` is the account that asks, where it is known. `reported` is what the car has said of its own switches, where the
    service wants to know. `fresh` are words that nobody can guess, for what is made anew.
    """

    request: ServiceRequest
    answer_topic: str
    unknown: tuple[str, ...] = ()
    person: str | None = None
    proofs: Mapping[str, Proof] = field(default_factory=dict)
    fresh: tuple[str, ...] = field(default=(), repr=False)
    reported: ReportedSettings | None = None


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """A command that a rule asked for has its terminal state."""

    id: str
    vin: str
    state: CommandState
    reason: str | None


@dataclass(frozen=True, slots=True)
class RequestProven:
    """A car's request with a secret in it, and what became of that; it comes in place of the request.

    `reported` is what the car has said of its own switches.
    """

    request: Request
    proofs: Mapping[str, Proof]
    reported: ReportedSettings | None = None


@dataclass(frozen=True, slots=True)
class ClockMoved:
    """Scenario time was announced anew, and jumped by this."""

    shift: Duration


@dataclass(frozen=True, slots=True)
class SessionUsed:
    """Somebody does something in a session, by the digest of its token: it goes on."""

    session: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SpinLocked:
    """Wrong tries have locked the S-PIN of an account."""

    account: str


CentreInput = Event | Request | RequestProven | ServiceAsked | CommandEnded | ClockMoved | SessionUsed | SpinLocked
"""Inputs of a service centre. An event or a request is new: its sequence number was never seen before."""

# --- rules ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    """A request to a service is done; `data` and `secrets` (told once) are for whoever asked, `detail` words for people."""

    outputs: Sequence[RuleOutput] = ()
    data: Mapping[str, Any] | None = None
    detail: str | None = None
    secrets: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """Why what was asked is not done: a reason for machines, words for people. Somebody can be told of it all the same."""

    reason: str
    detail: str
    outputs: Sequence[RuleOutput] = ()


_ABSENT: Final = object()


class Notes(MutableMapping[str, Any]):
    """The memory of a rule: plain data by key. Notes which entries were assigned or removed, and what they were before."""

    def __init__(self, held: Mapping[str, Any] | None = None) -> None:
        """Start from what the store holds."""
        self._held = dict(held or {})
        self._before: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        return self._held[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._before.setdefault(key, self._held.get(key, _ABSENT))
        self._held[key] = value

    def __delitem__(self, key: str) -> None:
        before = self._held.pop(key)
        self._before.setdefault(key, before)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def take_changes(self) -> list[tuple[str, str | None]]:
        """Return what has changed since the last call, each value as JSON and None for what is gone.

        Raises TypeError for a value that JSON does not know; then nothing was taken.
        """
        changed = [(key, as_json(self._held[key]) if key in self._held else None) for key in self._before]
        self._before.clear()
        return changed

    def undo(self) -> None:
        """Take back what has changed since the last `take_changes`."""
        for key, before in self._before.items():
            if before is _ABSENT:
                self._held.pop(key, None)
            else:
                self._held[key] = before
        self._before.clear()


def as_json(value: Any) -> str:
    """Write plain data; raises TypeError for what JSON does not know."""
    return msgspec.json.encode(value).decode()


class RuleFailed(Exception):
    """A rule raised; what it had begun is undone."""

    def __init__(self, rule: str, error: Exception) -> None:
        self.rule = rule
        self.error = type(error).__name__
        super().__init__(f"{rule}: {self.error}")


RightsOf = Callable[[str], CarRights | None]
"""Returns the rights of a car, None for one that belongs to a nameless primary user who may do all."""


def nobodys(_vin: str) -> CarRights | None:
    """Know the rights of no car."""
    return None


class Rule:
    """The rules of one service, a small machine; the module's first lines say how to write one. Does nothing by itself.

    `notices` are the kinds of other rules' notices to which it adds something.
    `serves` are the names under which it is asked; none: its own. With `any_car` it is asked about cars that nobody has heard of.
    `rights_of` tells the rights of a car, which what the rule gets was judged by; the rule that `knows_rights` tells it to all.
    """

    name: ClassVar[str]
    events: ClassVar[frozenset[str]] = frozenset()
    requests: ClassVar[frozenset[str]] = frozenset()
    notices: ClassVar[frozenset[str]] = frozenset()
    serves: ClassVar[frozenset[str]] = frozenset()
    any_car: ClassVar[bool] = False
    knows_rights: ClassVar[bool] = False

    def __init__(self, notes: Notes) -> None:
        """Go on from the notes."""
        self.notes = notes
        self.rights_of: RightsOf = nobodys

    def hears(self, event: Event) -> bool:  # noqa: ARG002
        """Tell whether it wants an event of those that it names; as a rule it wants all."""
        return True

    def refused(self, event: Event, reason: str) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Take word of an event that this rule does not get, as the people of its car have switched off or not paid for it."""
        return ()

    def takes(self, request: Request) -> bool:  # noqa: ARG002
        """Tell whether a request of a car is for this rule; of several that answer its name the first one gets it."""
        return True

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Take an event of a car. It can be old: `captured_at` says when it happened."""
        return ()

    def request(self, request: Request, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Take a request of a car, and reply to it now or later."""
        return ()

    def proven(self, proven: RequestProven, now: Instant) -> Sequence[RuleOutput]:
        """Take a request of a car whose secrets were proven."""
        return self.request(proven.request, now)

    def asked(self, request: ServiceRequest, now: Instant) -> Done | RequestRefused:  # noqa: ARG002
        """Take what a tool or a scenario asks. Its VIN, if any, is one by its form; nothing else of it has been checked."""
        return RequestRefused("unsupported", f"nothing can be asked of {self.name}")

    def asked_by(self, asked: ServiceAsked, now: Instant) -> Done | RequestRefused:
        """Take the same with who asks, and the proofs of what is secret in it; as a rule only the request counts."""
        return self.asked(asked.request, now)

    def noticed(self, notice: Notify, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Add to a notice of another rule, such as a mail to the person whom it is for."""
        return ()

    def command_ended(self, ended: CommandEnded, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Take the end of a command that this rule asked for."""
        return ()

    def has_pending_times(self) -> bool:
        """Tell whether `clock_moved` would move something."""
        return False

    def clock_moved(self, shift: Duration, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Move what is still to come (no date of a calendar) by this, as scenario time was set anew by it."""
        return ()

    def session_used(self, session: str, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Note that somebody does something in a session."""
        return ()

    def spin_locked(self, account: str, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Take that the S-PIN of an account was locked by wrong tries."""
        return ()

    def forget(self, erased: Erase) -> None:
        """Drop from the notes what belongs to cars or to a person that are erased; the rule is made anew from them afterwards.

        As it stands: all entries whose key names such a car.
        """
        for key in [key for key in self.notes if any(vin in key for vin in erased.vins)]:
            del self.notes[key]

    def deadline(self) -> Instant | None:
        """Return when to be woken, None while nothing is due."""
        return None

    def wake(self, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Do what is due."""
        return ()


RuleFactory = Callable[[Notes], Rule]
