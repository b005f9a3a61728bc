"""Reset: what people have left in the car is wiped, and nobody is at home in it until it is paired again; the account stays.

To delete one user takes away that user's rights, which the back end keeps, and its place in the car. Deleting the primary user
is a reset of the whole car (ours). On the screen the primary user deletes anybody, an additional one itself, a guest nobody;
factory settings are anybody's. Who takes a car over finds it as after a reset.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

from msgspec.structs import replace

from fleet.kernel.instants import Instant
from fleet.vehicle import ports
from fleet.vehicle.outbox import LEGAL_EVENTS
from fleet.vehicle.services import privacy, users
from fleet.vehicle.services.car_users import is_primary, may_delete
from fleet.vehicle.services.service import Service
from fleet.wire.messages import CarMessage, Event, Response
from fleet.wire.parameters import Reset

PRIMARY: Final = "primary"


class _Answers(ports.Commands, Protocol):
    def forget_details(self) -> None:
        """Forget the details of all answers."""


class Ports(users.Ports, ports.Commanded, Protocol):
    """All that a reset wipes."""

    @property
    def remote(self) -> _Answers:
        """The commands of the car."""

    def forget(self, now: Instant) -> None:
        """Have all services forget what people have left in the car."""


def reset(car: Ports, user: str | None, by: Literal["app", "car", "enrolment"], now: Instant) -> None:
    """Delete a user, or (None, or the primary one) fall silent and wipe all. What was never sent is dropped, but answers."""
    if user is not None and user != PRIMARY and not is_primary(car, user):
        users.remove(car, user, now)
        car.send_event("car_reset", now, {"user": user, "by": by})
        return
    privacy.unpair(car)
    car.forget(now)
    car.remote.forget_details()
    car.outbox.redact_unsent(_kept)
    car.send_event("car_reset", now, {"by": by})


def _kept(message: CarMessage) -> CarMessage | None:
    """Return what may still be sent of what was on its way: answers that somebody waits for, without their details."""
    if isinstance(message, Response):
        return replace(message, detail=None)
    return message if isinstance(message, Event) and message.name in LEGAL_EVENTS else None


def pair(car: Ports, now: Instant) -> None:
    """Have a primary user again whom nobody names; does nothing in a car that has one."""
    privacy.come_home(car, now)


def delete_user(car: Ports, user: str, now: Instant) -> None:
    """Delete a user on the screen; nothing happens where whoever touches it may not."""
    if may_delete(car, user):
        reset(car, user, "car", now)


def _carry_out(car: Ports, parameters: Reset, now: Instant) -> None:
    reset(car, parameters.user, "app", now)


RESET: Final = Service(_carry_out, takes=None)
