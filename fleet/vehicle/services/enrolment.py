"""Enrolment in the car, by the way of its model: a QR code, the assistant, both keys, or a pairing code.

All of it needs a network, and a privacy switch that lets the car speak; in another way than the car's own nothing is begun. Who
has enrolled comes from the back end as a command: who takes over a car finds it as after a reset. Source: enrolment of the domain
description.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Literal, NamedTuple, Protocol

from fleet.kernel.draws import Draws
from fleet.kernel.instants import MINUTE, Duration, Instant
from fleet.vehicle import ports
from fleet.vehicle.kept import drop, find, keep
from fleet.vehicle.services import online, privacy, reset, users
from fleet.vehicle.services.car_users import is_primary, takes_over
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Refusal, Service
from fleet.wire.enrolment import Way, way_of
from fleet.wire.messages import Reply
from fleet.wire.parameters import EnrolUser
from fleet.wire.privacy import SILENT_MODES

QR_LASTS: Final[Duration] = 5 * MINUTE
SECOND_KEY_WITHIN: Final[Duration] = 10 * MINUTE
"""Of the first one; later the first one is needed again (ours)."""
CODE_DIGITS: Final = 8
Consent = Literal["privacy", "terms", "contract"]
CONSENTS: Final[tuple[Consent, ...]] = ("privacy", "terms", "contract")
Key = Literal["first", "second"]


class FirstKey(NamedTuple):
    """The car was unlocked with its first key, and waits for the second."""

    at: Instant


class Ports(reset.Ports, ports.Chance, Protocol):
    """A car that shows codes, and asks the back end."""


def _is_ready(car: Ports, way: Way) -> bool:
    """Tell whether this is the way of the car, and whether it can be gone now."""
    return way_in(car) == way and car.outbox.is_connected and privacy.mode_in(car) not in SILENT_MODES


def way_in(car: Ports) -> Way:
    """Return how this car is enrolled."""
    return way_of(car.equipment.model, car.equipment.generation, navi=car.equipment.navi_system)


def show_qr(car: Ports, now: Instant) -> None:
    """Show a new QR code, which is worth something for five minutes."""
    if _is_ready(car, "qr"):
        number = now + car.outbox.created  # two of one instant differ by the message between them
        code = {"code": _draw_code(car.draws("qr", number)), "until": now + QR_LASTS}
        car.send_event("qr_shown", now, code | online.model_facts(car))


def _draw_code(draws: Draws) -> str:
    return f"{draws.bits():016X}"


def use_key(car: Ports, key: Key, now: Instant) -> None:
    """Unlock with a key to enrol: the second one counts after the first."""
    if not _is_ready(car, "two_keys"):
        return
    car.send_event("key_presented", now, {"key": key} | online.model_facts(car))
    first = find(car, FirstKey)
    if key == "first":
        keep(car, FirstKey(now))
    elif first is not None:
        drop(car, FirstKey)
        if now - first.at <= SECOND_KEY_WITHIN:
            online.ask(car, "enrolment", {"way": "two_keys"}, now)


def enter_code(car: Ports, code: str, now: Instant) -> None:
    """Type the pairing code that the app has shown."""
    refused = _not_its_way(car, "code")
    if refused is None and not (len(code) == CODE_DIGITS and code.isdecimal() and code.isascii()):
        refused = "malformed"
    online.ask(car, "enrolment", {"way": "code", "code": code}, now, refused=refused)


def enrol_here(car: Ports, user: str, sealed_spin: str | None, consents: Sequence[Consent], now: Instant) -> None:
    """Go through the assistant on the screen: log in with the S-PIN, sealed for the car's next request, then accept the texts."""
    refused = _not_its_way(car, "assistant") or ("spin_required" if sealed_spin is None else None)
    words = {"way": "assistant", "user": user, "sealed_spin": sealed_spin}
    online.ask(car, "enrolment", words, now, refused=refused, then=partial(_accept, user, tuple(consents)))


def _accept(user: str, consents: tuple[Consent, ...], car: Ports, reply: Reply, now: Instant) -> None:
    """Accept what the driver wants to accept, once the back end has the texts shown."""
    if reply.error is None and reply.data.get("state") == "consents":
        words: dict[str, Any] = {"way": "assistant", "step": "accept", "user": user, "consents": list(consents)}
        online.ask(car, "enrolment", words, now)


def _not_its_way(car: Ports, way: Way) -> str | None:
    return None if way_in(car) == way else "not_equipped"


# --- at home


def _refusal(car: Ports, parameters: EnrolUser, _now: Instant) -> Refusal | None:
    if parameters.role != "primary" and not privacy.is_paired(car):
        return Refusal("not_paired", "the car has no primary user, so it can have no other")
    return None


def _carry_out(car: Ports, parameters: EnrolUser, now: Instant) -> None:
    """Have a user at home, as the back end says; the screen shows it.

    A primary user in place of another one finds the car as after a reset, once, but for the enrolment on its screen. The car need
    not know the other: whoever never logged in, and enrolled elsewhere, it does not.
    """
    user, role = parameters.user, parameters.role
    if role == "primary":
        if takes_over(car, user) or (parameters.takes_over and not is_primary(car, user)):
            held = online.enrolling(car)
            reset.reset(car, None, "enrolment", now)
            online.go_on_enrolling(car, held)
        privacy.come_home(car, now)
    users.know(car, user, role, now)
    car.send_event("user_enrolled", now, {"user": user, "role": role})


ENROL_USER: Final = Service(_carry_out, _refusal, takes=None)


def forget(car: Ports, _now: Instant) -> None:
    """Forget a key that was presented, as at a reset."""
    drop(car, FirstKey)


LISTENER: Final = Listener(state=FirstKey, forget=forget)
