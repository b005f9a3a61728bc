"""The question: may this person do this with this car now, and if not, why? One answer for the desk and the service centre.

`CarRights` is all that it depends on, but for what the car itself has reported (`car_settings`). A car without them belongs to a
verified primary user with everything active. Source: roles, licences and privacy of the domain description.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal, NamedTuple

import msgspec

from fleet.kernel.instants import Instant
from fleet.wire.commands import COMMANDS
from fleet.wire.privacy import OPEN, SILENT_MODES, PrivacyMode
from fleet.wire.requests import requests

Role = Literal["primary", "additional", "guest"]
Why = tuple[str, str]
"""A reason of the contract, and words for people."""


class Terms(msgspec.Struct, frozen=True):
    """The licence for one package: when it holds (from, until), and whether one was bought that nobody has activated."""

    spans: tuple[tuple[Instant, Instant], ...] = ()
    inactive: bool = False


class UserRights(msgspec.Struct, frozen=True):
    """A user of a car. `allowed` are the services that the primary user has allowed to an additional one, None those of the role.

    `identified` by a dealer; `refused` are purposes without consent. `since` (scenario µs) the person is a user of this car.
    """

    role: Role
    allowed: tuple[str, ...] | None = None
    identified: bool = False
    refused: tuple[str, ...] = ()
    since: Instant = 0


class CarRights(msgspec.Struct, frozen=True):
    """The users of a car by their accounts, its licences by package, and what its users have switched off in the app."""

    users: dict[str, UserRights] = {}
    terms: dict[str, Terms] = {}
    mode: PrivacyMode = OPEN
    services_off: tuple[str, ...] = ()

    @property
    def primary(self) -> str | None:
        """The account of the primary user; None while nobody has enrolled the car."""
        return next((account for account, user in self.users.items() if user.role == "primary"), None)


class Doing(NamedTuple):
    """What somebody wants to do, as the catalogue has it."""

    name: str
    may: frozenset[str]
    package: str | None = None
    identity: bool = False
    consent: str | None = None
    tells_position: bool = False
    legal: bool = False


@cache
def command_doing(name: str) -> Doing:
    """Return what a command of the catalogue wants."""
    entry = COMMANDS[name].entry
    return Doing(name, frozenset(entry.may), entry.package, entry.identity, entry.consent, entry.tells_position, entry.legal)


@cache
def request_doing(name: str) -> Doing:
    """Return what an online service of the catalogue wants."""
    entry = requests()[name].entry
    return Doing(name, frozenset(entry.may or EVERYBODY), entry.package, False, entry.consent, entry.tells_position)


EVERYBODY: Final = ("primary", "additional", "guest")


def refusal(rights: CarRights, who: str | None, doing: Doing, now: Instant) -> Why | None:
    """Return why this account (None: nobody that is known) may not do this now; None when it may."""
    user = None if who is None else rights.users.get(who)
    if user is None:
        return ("insufficient_rights", "this person is no user of the car")
    if user.role not in doing.may and (user.allowed is None or doing.name not in user.allowed):
        return ("insufficient_rights", f"{doing.name} is not for this user, whose role is {user.role}")
    if doing.identity and not user.identified:
        return ("user_not_verified", f"{doing.name} wants a user whom a dealer has identified")
    if doing.legal:
        return None
    if doing.consent is not None and doing.consent in user.refused:
        return ("consent_missing", f"{doing.name} wants the consent to {doing.consent}")
    return unlicensed(rights, doing.package, now) or private(rights, doing)


def unlicensed(rights: CarRights, package: str | None, now: Instant) -> Why | None:
    """Return why a package cannot be used now, None when it can."""
    if package is None:
        return None
    terms = rights.terms.get(package)
    if terms is None or not (terms.spans or terms.inactive):
        return ("licence_missing", f"the car has no licence for {package}")
    if any(begins <= now < ends for begins, ends in terms.spans):
        return None
    if terms.inactive:
        return ("licence_inactive", f"the licence for {package} was bought, and nobody has activated it")
    if any(now < begins for begins, _ in terms.spans):
        return ("licence_inactive", f"the licence for {package} has not begun")
    return ("licence_expired", f"the licence for {package} is over")


def private(rights: CarRights, doing: Doing) -> Why | None:
    """Return what the users have switched off in the app that keeps this from being done."""
    if rights.mode in SILENT_MODES:
        return ("privacy_offline", f"the privacy mode chosen in the app is {rights.mode}")
    if doing.name in rights.services_off:
        return ("service_deactivated", f"{doing.name} is switched off in the app")
    if doing.tells_position and rights.mode != OPEN:
        return ("privacy_location", f"the privacy mode chosen in the app is {rights.mode}")
    return None
