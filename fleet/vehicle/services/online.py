"""Online requests: what somebody in the car asks of the back end, and whether and when it was answered.

A request is judged in the car first, and needs a connection at once: nobody waits for coverage with a question (ours). It has
one outcome, an event: `request_answered`, `request_failed` or, when the time-out has passed, `request_timed_out`. What is
answered later goes unheard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from fleet.errors import Undecodable
from fleet.kernel.instants import Instant
from fleet.vehicle import ports
from fleet.vehicle.kept import find, obtain
from fleet.vehicle.outbox import is_priority
from fleet.vehicle.powertrain import Powertrain
from fleet.vehicle.services import privacy
from fleet.vehicle.services.car_users import CarUsers
from fleet.vehicle.services.listener import Listener
from fleet.wire.messages import Reply, Request
from fleet.wire.requests import read_request, requests

WAITING_MOST: Final = 8
"""Requests of a car that may wait for their replies at once (ours)."""
_NEEDED_FUEL: Final = {"petrol": "petrol", "e-hybrid": "petrol", "diesel": "diesel"}
_FITTING_PLUG: Final = {"electric": "ccs", "e-hybrid": "type2"}


class Shown(NamedTuple):
    """The last display to the driver: `reason` without an answer, and `data` with one. None of both: nobody answered in time."""

    request: str
    reason: str | None
    data: dict[str, Any] | None


Then = Callable[[Any, Reply, Instant], None]
"""Takes the reply to a request that somebody waits for, once the driver has seen it: (car, reply, now)."""


class Waiting(NamedTuple):
    """A request without an outcome, and what follows from its reply."""

    name: str
    then: Then | None


class Online:
    """The requests of a car that has made one; `waiting` are those without an outcome, by id."""

    __slots__ = ("made", "shown", "waiting")

    def __init__(self) -> None:
        self.made = 0
        self.waiting: dict[str, Waiting] = {}
        self.shown: Shown | None = None


class Ports(privacy.Ports, ports.Located, ports.Sender, ports.Timed, ports.Connected, ports.Keeper, Protocol):
    """A car that asks, and what it knows itself."""

    powertrain: Powertrain


def next_id(car: Ports) -> str:
    """Return the id that the car's next request will have: what is sealed for a request is bound to it."""
    online = find(car, Online)
    return f"{car.outbox.boot:x}-ask-{1 if online is None else online.made + 1}"


def ask_in_words(car: Ports, name: str, given: dict[str, Any], now: Instant) -> None:
    """Ask as somebody in the car says; what the screen asks by itself is nothing that can be said."""
    known = requests().get(name)
    ask(car, name, given, now, refused="unsupported" if known is not None and known.entry.is_of_screen else None)


def ask(
    car: Ports, name: str, given: dict[str, Any], now: Instant, *, refused: str | None = None, then: Then | None = None
) -> None:
    """Ask an online service with the words of the driver; what the car knows itself is filled in.

    `refused` is why the car itself does not ask, where it may at all; `then` takes the reply if it comes in time.
    """
    request_id = next_id(car)
    online = obtain(car, Online)
    online.made += 1
    data = given
    reason = _unavailable(car, name) or refused
    if reason is None:
        data = _own_facts(car, name, now) | given
        reason = _misfit(name, data)
    if reason is None and len(online.waiting) >= WAITING_MOST:
        reason = "busy"
    if reason is None and not car.outbox.is_connected:
        reason = "no_network"
    if reason is not None:
        _end(car, "request_failed", request_id, Shown(name, reason, None), now)
        return
    until = now + max(requests()[name].time_out, car.settings.reply_time)
    online.waiting[request_id] = Waiting(name, then)
    car.agenda.call(until, _timed_out, request_id)
    request = Request(
        vin=car.vin,
        boot=car.outbox.boot,
        seq=car.outbox.next_seq(),
        captured_at=now,
        id=request_id,
        name=name,
        data=data,
        expires_at=until,
    )
    if is_priority(request):
        car.send_priority(request)
    else:
        car.send(request)


def _unavailable(car: Ports, name: str) -> str | None:
    """Return why this car cannot ask this now: equipment, privacy, what the car must be doing."""
    known = requests().get(name)
    if known is None:
        return "unsupported"
    if not all(getattr(car.equipment, needed) for needed in known.entry.equipment):
        return "not_equipped"
    refused = privacy.request_refusal(car, name)
    if refused is None and name == "plug_and_charge" and not car.powertrain.plugged_in:
        return "not_plugged_in"
    return refused


def _own_facts(car: Ports, name: str, now: Instant) -> dict[str, Any]:
    """Return what of a request's parameters the car knows itself."""
    entry = requests()[name].entry
    parameters = entry.parameters
    facts: dict[str, Any] = {}
    if "latitude" in parameters:
        fix = car.position(now)
        facts = {"latitude": fix.latitude, "longitude": fix.longitude}
    energy = car.equipment.energy
    if "fuel" in parameters and energy in _NEEDED_FUEL:
        facts["fuel"] = _NEEDED_FUEL[energy]
    if "plug" in parameters and energy in _FITTING_PLUG:
        facts["plug"] = _FITTING_PLUG[energy]
    if "model" in parameters:
        facts |= model_facts(car)
    users = find(car, CarUsers)
    if users is not None and users.logged_in is not None and not entry.enrols:
        if "user" in parameters:
            facts["user"] = users.logged_in
        if "identified" in parameters:
            facts["identified"] = users.identified
    return facts


def model_facts(car: Ports) -> dict[str, Any]:
    """Return what the back end holds against the identification number that somebody has typed."""
    return {"model": car.equipment.model, "navi": car.equipment.navi_system}


def _misfit(name: str, data: dict[str, Any]) -> str | None:
    try:
        read_request(name, data)
    except Undecodable as error:
        return error.reason
    return None


def answered(car: Ports, reply: Reply, now: Instant) -> None:
    """Take what the back end says to a request that still waits; all else is left to others."""
    online = find(car, Online)
    waiting = None if online is None else online.waiting.get(reply.id)
    if online is None or waiting is None or waiting.name != reply.name:
        return
    del online.waiting[reply.id]
    if reply.error is None:
        _end(car, "request_answered", reply.id, Shown(reply.name, None, dict(reply.data)), now)
    else:
        _end(car, "request_failed", reply.id, Shown(reply.name, reply.error, None), now)
    if waiting.then is not None:
        waiting.then(car, reply, now)


def _timed_out(car: Ports, request_id: str, now: Instant) -> None:
    online = find(car, Online)
    waiting = None if online is None else online.waiting.pop(request_id, None)
    if waiting is not None:
        _end(car, "request_timed_out", request_id, Shown(waiting.name, None, None), now)


def _end(car: Ports, event: str, request_id: str, shown: Shown, now: Instant) -> None:
    """Show the driver how the request ended, and tell it."""
    obtain(car, Online).shown = shown
    data = {"id": request_id, "request": shown.request}
    car.send_event(event, now, data if shown.reason is None else data | {"reason": shown.reason})


def clear_screen(car: Ports) -> None:
    """Show nothing of what was answered: it was for somebody who is not there any more."""
    online = find(car, Online)
    if online is not None:
        online.shown = None


class Enrolling(NamedTuple):
    """What the driver sees of an enrolment, and waits for: it belongs to whoever enrols."""

    shown: Shown | None
    waiting: dict[str, Waiting]


def enrolling(car: Ports) -> Enrolling:
    """Return what of the requests is an enrolment's."""
    online = find(car, Online) or Online()
    shown = online.shown if online.shown is not None and _enrols(online.shown.request) else None
    return Enrolling(shown, {key: each for key, each in online.waiting.items() if _enrols(each.name)})


def _enrols(name: str) -> bool:
    known = requests().get(name)
    return known is not None and known.entry.enrols


def go_on_enrolling(car: Ports, held: Enrolling) -> None:
    """Show an enrolment again, and wait for it, in a car that has forgotten all."""
    online = obtain(car, Online)
    online.shown, online.waiting = held


def forget(car: Ports, _now: Instant) -> None:
    """Forget what was asked and shown."""
    online = find(car, Online)
    if online is not None:
        online.waiting.clear()
        online.shown = None


def _is_personal(online: Online) -> bool:
    return online.shown is not None or bool(online.waiting)


LISTENER: Final = Listener(state=Online, is_personal=_is_personal, replied=answered, forget=forget)
