"""How users are known in a car, log in on its screen, and leave.

The car asks the back end at each log-in, which wants the S-PIN: typed on the screen, or saved there before. Source: people, roles
and enrolment of the domain description.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple, Protocol, get_args

from fleet.kernel.instants import Instant
from fleet.vehicle.kept import drop, find, obtain
from fleet.vehicle.services import online
from fleet.vehicle.services.car_users import MOST, CarUsers, takes_over
from fleet.vehicle.services.listener import Listener
from fleet.wire.messages import Reply
from fleet.wire.parameters import Role
from fleet.wire.requests import requests

_ROLES: Final[tuple[Role, ...]] = get_args(Role)


class Ports(online.Ports, Protocol):
    """A car that asks who its users are."""


# --- at home in the car


def know(car: Ports, user: str, role: Role, now: Instant) -> None:
    """Know a user's role. A primary user is alone with those who come after: who came by another one is at home no more."""
    users = obtain(car, CarUsers)
    if role == "primary" and takes_over(car, user):
        _log_out(car, users, now)
        users.roles.clear()
        users.saved.clear()
    elif user not in users.roles and len(users.roles) >= MOST:
        others = [known for known, held in users.roles.items() if held != "primary" and known != users.logged_in]
        _forget_user(users, others[0])
    users.roles[user] = role


def remove(car: Ports, user: str, now: Instant) -> None:
    """Have a user at home no more."""
    users = find(car, CarUsers)
    if users is not None:
        if users.logged_in == user:
            _log_out(car, users, now)
        _forget_user(users, user)


def _forget_user(users: CarUsers, user: str) -> None:
    users.roles.pop(user, None)
    users.saved.discard(user)


# --- on the screen


def log_in(car: Ports, user: str, sealed_spin: str | None, now: Instant, *, save: bool) -> None:
    """Log in with the S-PIN, sealed for the car's next request, or with the saved one; `save` it for the next time."""
    users = find(car, CarUsers)
    saved = users is not None and user in users.saved and sealed_spin is None
    proof: dict[str, Any] = {"saved": True} if saved else {} if sealed_spin is None else {"sealed_spin": sealed_spin}
    then = partial(_answered, _LogIn(user, typed=sealed_spin is not None, save=save))
    online.ask(car, "log_in", {"user": user, **proof}, now, refused=None if proof else "spin_required", then=then)


class _LogIn(NamedTuple):
    """A log-in that waits for the back end: with an S-PIN that was typed, and is to be saved if it is right."""

    user: str
    typed: bool
    save: bool


def _answered(asked: _LogIn, car: Ports, reply: Reply, now: Instant) -> None:
    """Take the word of the back end: the settings of this user come back."""
    users, user = obtain(car, CarUsers), asked.user
    if reply.error is not None:
        if not asked.typed:
            users.saved.discard(user)  # such as one that was changed since
        return
    _log_out(car, users, now)
    know(car, user, _role_in(reply), now)
    users.logged_in, users.identified = user, asked.typed
    if asked.typed and asked.save:
        users.saved.add(user)
    car.send_event("user_logged_in", now, {"user": user})
    if users.roles[user] in requests()["personalisation"].entry.may and car.equipment.navi_system:
        online.ask(car, "personalisation", {"action": "log_in"}, now)


def _role_in(reply: Reply) -> Role:
    """Return what a user may do here; a guest, where the back end says nothing that a car understands."""
    told = reply.data.get("role")
    return next((role for role in _ROLES if role == told), "guest")


def log_out(car: Ports, now: Instant) -> None:
    """Log out; nothing happens where nobody is logged in."""
    users = find(car, CarUsers)
    if users is not None:
        _log_out(car, users, now)


def _log_out(car: Ports, users: CarUsers, now: Instant) -> None:
    if users.logged_in is not None:
        user, users.logged_in, users.identified = users.logged_in, None, False
        online.clear_screen(car)
        car.send_event("user_logged_out", now, {"user": user})


def forget(car: Ports, _now: Instant) -> None:
    """Forget all users, as at a reset."""
    drop(car, CarUsers)


LISTENER: Final = Listener(state=CarUsers, forget=forget)
