"""What cars tell and ask, and what is asked of services, put to the one question before any rule gets it. Pure.

Only cars with rights of their own (see `rights.py`) are judged; all others belong to a nameless primary user who may do all.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from msgspec.structs import replace

from fleet.cloud.actions import ActionEntry, load_actions
from fleet.cloud.rights import ANYBODY, EVERYBODY, PRIMARY, CarRights, Doing, Why, refusal, request_doing
from fleet.cloud.rule import ServiceAsked
from fleet.kernel.instants import Instant
from fleet.wire.messages import Event, Request
from fleet.wire.privacy import OPEN
from fleet.wire.requests import requests
from fleet.wire.services import load_services

BECOMING_KNOWN: Final = frozenset({"enrolment", "log_in"})
"""Requests by which somebody becomes a user of a car, or says who is in it: their own rules judge them."""
ACCOUNT: Final = "account"
WITHOUT_SESSION: Final = frozenset(
    {"register", "send_link", "confirm", "log_in", "refresh", "log_out", "forgot_password", "reset_password"}
)
"""Actions of an account that prove by themselves who asks, or are for anybody."""
PLACE_DATA: Final = frozenset({"position", "latitude", "longitude"})
"""Names under which an event says where the car is."""


def request_refusal(rights: CarRights | None, request: Request, now: Instant) -> Why | None:
    """Return why a car's request is not answered."""
    if rights is None or request.name in BECOMING_KNOWN or request.name not in requests():
        return None
    named = requests()[request.name].entry.parameters.get("user")
    user = None if named is None else request.data.get("user", named.default)
    return refusal(rights, None, in_car(rights, user), request_doing(request.name), now)


def in_car(rights: CarRights, name: object) -> str | None:
    """Return whom a car means by a name: an account, the primary user, or somebody whom nobody knows."""
    if name == PRIMARY:
        return rights.primary
    return name if isinstance(name, str) and name in rights.users else ANYBODY


def session_refusal(asked: ServiceAsked) -> Why | None:
    """Return why what is asked in a session is not done, whatever it is about.

    One that does not hold speaks for nobody, and what is for whoever runs the service is for no app.
    """
    proof, request = asked.proofs.get("session"), asked.request
    if proof is None:
        return None
    if not proof.right:
        by_itself = request.service == ACCOUNT and request.action in WITHOUT_SESSION
        return None if by_itself else ("insufficient_rights", "the session is over; log in again")
    action = _entry(asked)
    if action is not None and action.operator:
        name = f"{request.service} {request.action}"
        return ("insufficient_rights", f"{name} is for whoever runs the service, and for no app")
    return None


def _entry(asked: ServiceAsked) -> ActionEntry | None:
    service = load_actions().get(asked.request.service)
    return None if service is None else service.actions.get(asked.request.action)


def service_refusal(rights: CarRights | None, asked: ServiceAsked, now: Instant) -> Why | None:
    """Return why a person may not ask this of a service about a car.

    Contracts and switches are no service of the car: they want no licence, and hold in every privacy mode.
    """
    request = asked.request
    action = _entry(asked)
    if rights is None or action is None or not action.may:
        return None
    doing = Doing(f"{request.service} {request.action}", frozenset(action.may), consent=action.consent, legal=True)
    return refusal(rights, None, asking(rights, asked), doing, now)


def asking(rights: CarRights, asked: ServiceAsked) -> str | None:
    """Return whose account asks; a trusted tool that names nobody speaks for the primary user."""
    if asked.person is None and "session" not in asked.proofs and asked.request.user in {None, PRIMARY}:
        return rights.primary
    return asked.person


def in_person(rights: CarRights | None, asked: ServiceAsked) -> ServiceAsked:
    """Return what is asked about a car with people with whose account asks."""
    if rights is None or not rights.people or (who := asking(rights, asked)) == asked.person:
        return asked
    return dataclasses.replace(asked, person=who)


def event_refusal(rights: CarRights | None, rule: str, event: Event, now: Instant) -> Why | None:
    """Return why a rule does not get an event, so that nothing of it goes to anybody."""
    entry = None if rights is None else load_services().events.get(event.name)
    if rights is None or entry is None or entry.package is None or entry.legal:
        return None
    service = load_actions().get(rule)
    if service is None or service.consent is None:
        return refusal(rights, None, ANYBODY, Doing(event.name, frozenset(EVERYBODY), package=entry.package), now)
    wants = Doing(rule, frozenset({"primary"}), package=entry.package, consent=service.consent)
    return refusal(rights, None, rights.primary, wants, now)


def without_place(rights: CarRights | None, event: Event) -> Event:
    """Return an event without what tells where the car is, where the privacy mode of the app keeps that back."""
    entry = load_services().events.get(event.name)
    if rights is None or rights.mode == OPEN or (entry is not None and entry.legal) or PLACE_DATA.isdisjoint(event.data):
        return event
    return replace(event, data={name: value for name, value in event.data.items() if name not in PLACE_DATA})
