"""The shape of a check: it takes the records it asked for, one at a time, and notes what breaks its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import msgspec

from fleet.observe.journal import Begin, End
from fleet.observe.story import CAR, LINK

Handler = Callable[[Any, int], None]
"""Takes a record and the number of its line."""
Route = tuple[str | None, ...]
"""Which records: the beginning of (kind, type, type of the message). () are all of them."""
Handlers = Mapping[Route, Handler]

LEGAL_EVENTS: Final = frozenset({"ecall", "privacy_changed", "car_reset", "car_paired"})
"""What the law requires to be told in every privacy mode, and the word of the switch itself."""
SILENT: Final = frozenset({"privacy_offline", "not_paired"})
"""Why a silent car refuses."""
KEPT: Final = 20
"""Breaches of one check that are kept; what is broken once is often broken everywhere."""


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """One place where a rule does not hold. `machine` is whose story belongs to it; `subject` is the car or command."""

    check: str
    line: int
    machine: str
    subject: str
    told: str


class Check:
    """One rule. It keeps a bounded amount for each car, however long the journal is.

    `rule` says what must hold, `looks_at` what is counted. `begin` is there before the first record. One that `remembers` holds
    whatever a car leaves out; the others conclude from all its messages, and `forget` what they know when it was silent.
    """

    name: ClassVar[str]
    rule: ClassVar[str]
    looks_at: ClassVar[str]
    remembers: ClassVar[bool] = False

    def __init__(self, begin: Begin) -> None:
        """Take the first line of the journal."""
        self.begin = begin
        self.looked_at = 0
        self.broken = 0
        self.breaches: list[Breach] = []

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


def overtakes(record: Any) -> bool:
    """Tell whether a message of a car leaves it before what waits, and in every privacy mode."""
    message = record.data["message"]
    match record.of:
        case "Event":
            return message["name"] in LEGAL_EVENTS
        case "Response":
            return message["name"] == "reset" or message.get("reason") in SILENT
        case _:
            return False


def is_first(record: Any) -> bool:
    """Tell whether a car transmits this message for the first time."""
    return not record.data["again"]
