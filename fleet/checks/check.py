"""The shape of a check: it takes the records it asked for, one at a time, counts what it judges and notes what breaks a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Literal

import msgspec

from fleet.observe.journal import Begin, End
from fleet.observe.story import CAR, LINK

Handler = Callable[[Any, int], None]
"""Takes a record and the number of its line."""
Route = tuple[str | None, ...]
"""The beginning of (kind, type, type of the message) of records, for answers also the command. () takes all records."""
ANSWER: Final = ("out", "Transmit", "Response")
"""The route of all answers of cars to commands; behind it may stand the name of a command."""
Handlers = Mapping[Route, Handler]

LEGAL_EVENTS: Final = frozenset({"ecall", "privacy_changed", "car_reset", "car_paired"})
"""Events that the law requires in every privacy mode, and that of the switch itself."""
ENROLMENT: Final = frozenset({"qr_shown", "key_presented", "enrolment", "enrol_user"})
"""Events, requests and commands of an enrolment: of a car in which nobody is at home, and before all that waits."""
UNTOLD: Final = frozenset({"privacy_changed", "car_reset", "car_paired"})
"""Before these events a car may have kept something to itself."""
MUTED_REASONS: Final = frozenset({"privacy_offline", "not_paired"})
"""The reasons for which a silent car refuses."""
WHOLE_CAR: Final = frozenset({None, "primary"})
"""The users of a reset that wipes the whole car."""
DESK_INPUTS: Final = (
    "DeskStart", "Restored", "CommandAsked", "BackEndAsked", "SpinSettingAsked", "EnrolmentAsked", "SpinVerified", "SpinHashed",
    "SpinJobFailed", "CommandPublished", "CarAnswered", "CarSeen", "PresenceChanged", "CarSwitched", "RightsChanged", "SpinAsked",
    "KeepSpin", "UnlockSpin", "ForgetSpin", "CarForgotten", "ClockChanged",
)  # fmt: skip
"""Inputs of the desk. Named one by one, since those of cars are far more."""
KEPT: Final = 20
"""Breaches of one check that are kept; what is broken once is often broken everywhere."""


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """One place where a rule does not hold. `machine` is whose story belongs to it; `subject` is the car or command."""

    check: str
    line: int
    machine: str
    subject: str
    told: str


Side = Literal["allowed", "refused", "judged"]
"""A journal shows that a rule allows something, that something is refused by it, or that it just holds."""


class CheckedRule(msgspec.Struct, frozen=True):
    """One thing that must hold, in words.

    `reasons` are those with which a car or the desk refuses by this rule: it has two sides, allowed and refused. A rule without
    reasons refuses nothing: it is judged, wherever it applies.
    """

    name: str
    words: str
    reasons: frozenset[str] = frozenset()

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides on which it can be judged."""
        return ("allowed", "refused") if self.reasons else ("judged",)


class Tally(msgspec.Struct):
    """How often one side of a rule was judged, and how often it could not be, by the reason."""

    judged: int = 0
    undecided: dict[str, int] = {}


class Check:
    """Some rules about one thing. It keeps a bounded amount for each car, however long the journal is.

    `rule` says in short what must hold, `looks_at` what is counted. `rules` are those that are counted each by itself; a check
    without any is one rule, judged as often as it looks at something. `begin` is there before the first record. One that
    `remembers` holds whatever a car leaves out; the others conclude from all its messages, and `forget` what they know when it
    was silent.
    """

    name: ClassVar[str]
    rule: ClassVar[str]
    looks_at: ClassVar[str]
    rules: ClassVar[tuple[CheckedRule, ...]] = ()
    remembers: ClassVar[bool] = False

    def __init__(self, begin: Begin) -> None:
        """Take the first line of the journal."""
        self.begin = begin
        self.looked_at = 0
        self.broken = 0
        self.breaches: list[Breach] = []
        self.tallies: dict[str, dict[Side, Tally]] = {
            rule.name: {side: Tally() for side in rule.sides} for rule in type(self).rules
        }

    @classmethod
    def declared(cls) -> tuple[CheckedRule, ...]:
        """Return the rules it judges, of which there is at least one."""
        return cls.rules or (CheckedRule(cls.name, cls.rule),)

    def counts(self) -> Mapping[str, Mapping[Side, Tally]]:
        """Return what was judged of each rule, by its name."""
        return self.tallies or {self.name: {"judged": Tally(self.looked_at)}}

    def judged(self, rule: str, side: Side = "judged") -> None:
        """Count that a rule was judged, whether it held or not."""
        self.tallies[rule][side].judged += 1

    def undecided(self, rule: str, side: Side, why: str) -> None:
        """Count that a rule could not be judged; `why` is one of a few, since each is kept."""
        undecided = self.tallies[rule][side].undecided
        undecided[why] = undecided.get(why, 0) + 1

    def handlers(self) -> Handlers:
        """Return what takes which records."""
        raise NotImplementedError

    def forget(self, machine: str) -> None:
        """Give up what earlier messages of a car said, which is all that is held under its name."""
        names = {machine, machine.removeprefix(CAR)}
        for held in vars(self).values():
            if isinstance(held, dict):
                for key in [key for key in held if not names.isdisjoint(key if isinstance(key, tuple) else (key,))]:
                    del held[key]

    def finish(self, end: End | None, line: int) -> None:
        """All records have been seen, to the last line; `end` is None when some are missing."""

    def breach(self, line: int, machine: str, told: str, *, subject: str = "") -> None:
        """Note that the rule does not hold; `told` says what was expected and what there is."""
        self.broken += 1
        if len(self.breaches) < KEPT:
            subject = subject or machine.removeprefix(CAR).removeprefix(LINK)
            self.breaches.append(Breach(check=self.name, line=line, machine=machine, subject=subject, told=told))


def desk_inputs(handler: Handler) -> Handlers:
    """Return the routes of a handler that takes all that the desk is given."""
    return {("in", name): handler for name in DESK_INPUTS}


def is_priority(record: Any) -> bool:
    """Tell whether a message of a car leaves it before what waits, and also while nobody is at home in it."""
    message = record.data["message"]
    match record.of:
        case "Event":
            return message["name"] in LEGAL_EVENTS or message["name"] in ENROLMENT
        case "Response":
            return message["name"] in {"reset", "enrol_user"} or message.get("reason") in MUTED_REASONS
        case "Request":
            return message["name"] in ENROLMENT
        case _:
            return False


def is_wiped(message: Mapping[str, Any]) -> bool:
    """Tell whether an event says that all that people had left in the car is gone, and not one user's rights alone."""
    return message["name"] == "car_reset" and message.get("data", {}).get("user") in WHOLE_CAR


def is_paired(record: Any) -> bool:
    """Tell whether a car says that somebody is at home in it again."""
    return bool(record.of == "Event" and record.data["message"]["name"] == "car_paired")


def is_first(record: Any) -> bool:
    """Tell whether a car transmits this message for the first time."""
    return not record.data["again"]
