"""Passes calls of cars on: to the emergency centre where the car is, the breakdown centre of its country, the information centre.

What is written in a call is the car's: the back end has no accounts yet, so the car tells where it is registered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from fleet.cloud.countries import country_at, load_countries
from fleet.cloud.failures import unreadable
from fleet.cloud.rule import Notify, Rule, RuleOutput, SendReply
from fleet.kernel.instants import MINUTE, Duration, Instant
from fleet.wire.messages import Event, Reply

ANSWERED_WITHIN: Final[Duration] = 5 * MINUTE
"""After that a driver has hung up."""
_OF_INFO_CALL: Final = ("id", "registered_in")
_OF_BREAKDOWN_CALL: Final = (*_OF_INFO_CALL, "position", "mileage_km", "warnings")
"""The data of a call that are passed on: nothing that does not belong to it."""


class _Position(msgspec.Struct):
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]


class _Located(msgspec.Struct):
    """Of an emergency call, all that is read here; the rest is passed on as it is."""

    position: _Position


class _Call(msgspec.Struct):
    id: str
    registered_in: str = ""


class CallRule(Rule):
    """Keeps no notes: the service centre gives it each call once, also across restarts."""

    name = "calls"
    events = frozenset({"ecall", "breakdown_call", "info_call"})

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002 (a call is for whoever is there)
        """Pass a call on, once. An emergency goes on whatever is written in it; another call needs an id to be answered."""
        if event.name == "ecall":
            return (Notify(event.vin, "emergency_centre", "ecall", {**event.data, "country": _country_of(event)}),)
        try:
            call = msgspec.convert(event.data, _Call)
        except msgspec.ValidationError as error:
            return (unreadable(self.name, event, error),)
        return _breakdown(event, call) if event.name == "breakdown_call" else _info(event, call)

    def refused(self, event: Event, reason: str) -> Sequence[RuleOutput]:
        """Answer a call that goes nowhere, so that the driver is told why."""
        try:
            call = msgspec.convert(event.data, _Call)
        except msgspec.ValidationError:
            return ()
        return (_reply(event, call, reason),)


def _country_of(event: Event) -> str | None:
    """Return the country whose emergency centre it is; None when the call has no usable position, and all are asked."""
    try:
        place = msgspec.convert(event.data, _Located).position
    except msgspec.ValidationError:
        return None
    return country_at(place.latitude, place.longitude)


def _breakdown(event: Event, call: _Call) -> Sequence[RuleOutput]:
    country = load_countries().get(call.registered_in)
    if country is None or not country.breakdown:
        return (_reply(event, call, "no_breakdown_centre"),)
    return (
        Notify(event.vin, "breakdown_centre", "breakdown_call", _part(event, _OF_BREAKDOWN_CALL)),
        _reply(event, call, None),
    )


def _info(event: Event, call: _Call) -> Sequence[RuleOutput]:
    """An information centre answers calls from every market."""
    return Notify(event.vin, "info_centre", "info_call", _part(event, _OF_INFO_CALL)), _reply(event, call, None)


def _part(event: Event, names: Sequence[str]) -> dict[str, object]:
    return {name: event.data[name] for name in names if name in event.data}


def _reply(event: Event, call: _Call, error: str | None) -> SendReply:
    return SendReply(event.vin, Reply(id=call.id, name=event.name, error=error), ANSWERED_WITHIN)
