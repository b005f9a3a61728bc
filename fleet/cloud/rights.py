"""The question: may this person do this with this car now, and if not, why? One answer for the desk and the service centre.

It depends on `CarRights`, the people and licences of a car, and on what the car itself has reported (`car_settings`). A car
without rights belongs to a verified primary user with everything active. Source: roles, licences and privacy of the domain
description.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import msgspec

from fleet.cloud.car_settings import NOT_PAIRED, ReportedSettings
from fleet.kernel.instants import Instant
from fleet.wire.commands import COMMANDS
from fleet.wire.privacy import OPEN, SILENT_MODES, PrivacyMode
from fleet.wire.requests import requests

Role = Literal["primary", "additional", "guest"]
EVERYBODY: Final[tuple[Role, ...]] = ("primary", "additional", "guest")
PRIMARY: Final = "primary"
"""Stands for the account of the primary user, whoever that is."""
Why = tuple[str, str]
"""A reason of the contract, and words for people."""

ANYBODY: Final = "anybody"
"""Whoever sits in a car and is none of its known users: at most a guest (ours)."""
PURPOSES: Final = {
    "location": "where the car and its user are, for the services that tell or watch it",
    "profile": "a user's settings of the car, kept in the back end",
    "service_partner": "what is due or faulty, told to the preferred service partner",
}
"""The purposes to which a user can consent, and what is used for each (ours)."""
OPT_IN: Final = ("service_partner",)
"""Purposes that want a consent of their own; to the others one has consented with the terms, and can take it back (ours)."""
ALLOWABLE: Final = frozenset(
    name for name, command in COMMANDS.items() if "primary" in command.entry.may and command.entry.group != "system"
)
"""The commands that a primary user allows an additional one, or not. What changes the car itself is none of them (ours)."""


class Terms(msgspec.Struct, frozen=True):
    """The licence for one package: when it holds (from, until), and whether one was bought that nobody has activated."""

    spans: tuple[tuple[Instant, Instant], ...] = ()
    inactive: bool = False


class Private(msgspec.Struct, frozen=True):
    """A time for which the app kept something private, in a mode; `ends` None while it lasts."""

    begins: Instant
    ends: Instant | None
    mode: PrivacyMode


class UserRights(msgspec.Struct, frozen=True):
    """A user of a car. `allowed` are those of `ALLOWABLE` that the primary user allows an additional one, None those of the role.

    `identified` by a dealer; `refused` are purposes without consent. `since` (scenario µs) the person is a user of this car.
    """

    role: Role
    allowed: tuple[str, ...] | None = None
    identified: bool = False
    refused: tuple[str, ...] = ()
    since: Instant = 0


class CarRights(msgspec.Struct, frozen=True):
    """The users of a car by their accounts, its licences by package, and what its users have switched off in the app.

    Without `people` whoever uses the car is a verified primary user; `terms` None: everything is licensed. `mode` is that of now,
    `private` are the times of all modes that keep something back. `generation` is G3, G4 or, not known, empty: then the rules of
    G4 hold.
    """

    users: dict[str, UserRights] = {}
    terms: dict[str, Terms] | None = {}
    mode: PrivacyMode = OPEN
    services_off: tuple[str, ...] = ()
    private: tuple[Private, ...] = ()
    generation: str = ""
    people: bool = True

    @property
    def primary(self) -> str | None:
        """The account of the primary user; None while nobody has enrolled the car."""
        return next((account for account, user in self.users.items() if user.role == "primary"), None)


class Doing(NamedTuple):
    """What somebody wants to do, as the catalogue has it; the names are its keys."""

    name: str
    may: frozenset[str]
    may_in_g3: frozenset[str] = frozenset()
    package: str | None = None
    identity: bool = False
    consent: str | None = None
    tells_position: bool = False
    legal: bool = False
    enrols: bool = False


@cache
def command_doing(name: str) -> Doing:
    """Return what a command of the catalogue wants."""
    entry = COMMANDS[name].entry
    return Doing(
        name=name,
        may=frozenset(entry.may),
        may_in_g3=frozenset(entry.may_in_g3),
        package=entry.package,
        identity=entry.identity,
        consent=entry.consent,
        tells_position=entry.tells_position,
        legal=entry.legal,
        enrols=entry.enrols,
    )


@cache
def request_doing(name: str) -> Doing:
    """Return what an online service of the catalogue wants."""
    entry = requests()[name].entry
    return Doing(
        name=name,
        may=frozenset(entry.may or EVERYBODY),
        package=entry.package,
        consent=entry.consent,
        tells_position=entry.tells_position,
    )


def of_oneself(doing: Doing, who: str | None, parameters: Mapping[str, Any]) -> Doing:
    """Return what somebody wants who wants it done to a user: deleting oneself is for an additional user, too."""
    if doing.name != "reset" or who is None or parameters.get("user") != who:
        return doing
    return doing._replace(may=doing.may | {"additional"})


def refusal(
    rights: CarRights | None, reported: ReportedSettings | None, who: str | None, doing: Doing, now: Instant
) -> Why | None:
    """Return why this account (None: nobody that is known) may not do this now; None when it may."""
    if rights is None or not rights.people:
        return _of_the_back_end(doing) or _licence_refusal(rights, doing, now) or unsent(rights, reported, doing)
    user = _user(rights, who)
    if user is None:
        return ("insufficient_rights", "this person is no user of the car")
    if not _may(user, doing, rights.generation):
        return ("insufficient_rights", f"{doing.name} is not for this user, whose role is {user.role}")
    if doing.identity and not user.identified:
        return ("user_not_verified", f"{doing.name} wants a user whom a dealer has identified")
    if doing.consent is not None and doing.consent in user.refused:
        return ("consent_missing", f"{doing.name} wants the consent to {doing.consent}")
    return _licence_refusal(rights, doing, now) or unsent(rights, reported, doing)


def _licence_refusal(rights: CarRights | None, doing: Doing, now: Instant) -> Why | None:
    return None if rights is None or doing.legal else unlicensed(rights, doing.package, now)


def unsent(rights: CarRights | None, reported: ReportedSettings | None, doing: Doing) -> Why | None:
    """Return what is switched off in the car, or in the app, that keeps this from being done, whoever wants it."""
    if reported is not None and not reported.paired and not doing.enrols:
        return NOT_PAIRED
    if doing.legal:
        return None
    in_car = None if reported is None else _switched_off(reported.mode, reported.services_off, doing, "car")
    in_app = None if rights is None else _switched_off(rights.mode, rights.services_off, doing, "app")
    return in_car or in_app


def _switched_off(mode: PrivacyMode, services_off: tuple[str, ...], doing: Doing, where: str) -> Why | None:
    if mode in SILENT_MODES:
        return ("privacy_offline", f"the {where}'s privacy mode is {mode}")
    if doing.name in services_off and not doing.enrols:
        return ("service_deactivated", f"{doing.name} is switched off in the {where}")
    if doing.tells_position and mode != OPEN:
        return ("privacy_location", f"the {where}'s privacy mode is {mode}")
    return None


def _of_the_back_end(doing: Doing) -> Why | None:
    if doing.may.isdisjoint(EVERYBODY):
        return ("insufficient_rights", f"{doing.name} is the back end's own, and no user's")
    return None


def _user(rights: CarRights, who: str | None) -> UserRights | None:
    """Return what somebody is in a car; a guest whom nobody knows consents to what its primary user does."""
    if who != ANYBODY:
        return None if who is None else rights.users.get(who)
    primary = rights.primary
    return None if primary is None else UserRights("guest", refused=rights.users[primary].refused)


def _may(user: UserRights, doing: Doing, generation: str) -> bool:
    """Tell whether somebody may by the role, or by what the primary user allows."""
    if user.role == "additional" and user.allowed is not None and doing.name in ALLOWABLE:
        return doing.name in user.allowed
    return user.role in doing.may or (generation == "G3" and user.role in doing.may_in_g3)


def unlicensed(rights: CarRights, package: str | None, now: Instant) -> Why | None:
    """Return why a package cannot be used now, None when it can."""
    if package is None or rights.terms is None:
        return None
    terms = rights.terms.get(package)
    if terms is None and not rights.people:
        return None  # a test has set the licence for another package
    if terms is None or not (terms.spans or terms.inactive):
        return ("licence_missing", f"the car has no licence for {package}")
    if any(begins <= now < ends for begins, ends in terms.spans):
        return None
    if terms.inactive:
        return ("licence_inactive", f"the licence for {package} was bought, and nobody has activated it")
    if any(now < begins for begins, _ in terms.spans):
        return ("licence_inactive", f"the licence for {package} has not begun")
    return ("licence_expired", f"the licence for {package} is over")
