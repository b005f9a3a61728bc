"""The users of a car, the one who is logged in on its screen, and what each may do there.

A car knows its users by the ids of their accounts. One of which nobody has said who its users are has a primary user all the
same, who logs in nowhere (ours). All of it is personal: a reset forgets it.
"""

from __future__ import annotations

from typing import Final

from fleet.vehicle.kept import find
from fleet.vehicle.ports import Keeper
from fleet.wire.parameters import Role

MOST: Final = 10
"""Users whom a car remembers: five at home, and guests who come and go (ours)."""


class CarUsers:
    """The users of a car by the ids of their accounts, and who is logged in.

    `saved` are those who need not type the S-PIN again. `identified`: whoever is logged in has typed it.
    """

    __slots__ = ("identified", "logged_in", "roles", "saved")

    def __init__(self) -> None:
        self.roles: dict[str, Role] = {}
        self.saved: set[str] = set()
        self.logged_in: str | None = None
        self.identified = False


# --- who may do what on the screen


def acting_role(car: Keeper) -> Role:
    """Return the role of whoever touches the screen: a guest where a car with known users has nobody logged in."""
    users = find(car, CarUsers)
    if users is None or not users.roles:
        return "primary"
    return "guest" if users.logged_in is None else users.roles[users.logged_in]


def may_delete(car: Keeper, user: str) -> bool:
    """Tell whether whoever touches the screen may delete a user: the primary one anybody, an additional one itself."""
    role = acting_role(car)
    return role == "primary" or (role == "additional" and user == logged_in(car))


def logged_in(car: Keeper) -> str | None:
    """Return who is logged in, None for nobody."""
    users = find(car, CarUsers)
    return None if users is None else users.logged_in


def is_primary(car: Keeper, user: str) -> bool:
    """Tell whether this is the id of the primary user."""
    users = find(car, CarUsers)
    return users is not None and users.roles.get(user) == "primary"


def takes_over(car: Keeper, user: str) -> bool:
    """Tell whether the car knows another primary user than this one."""
    users = find(car, CarUsers)
    return users is not None and any(role == "primary" for other, role in users.roles.items() if other != user)
