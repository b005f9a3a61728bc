"""High-voltage battery protection: the driver sets in the car that the traction battery keeps a reserve, whoever it is.

Climatisation out of the battery does not begin below it, and ends there; below it a car that is plugged in charges at once,
whatever night window and departure times say (how charging leaves a reserve is ours). Source: roles of the domain description.
"""

from __future__ import annotations

from typing import Final, Protocol

from fleet.kernel.instants import Instant
from fleet.vehicle.kept import drop, find, keep
from fleet.vehicle.services import charging, climatisation
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.reserve import LEAST, MOST, Reserve


class Ports(charging.Ports, climatisation.Ports, Protocol):
    """A car that charges and conditions itself."""


def protect(car: Ports, share: float, now: Instant, *, on: bool) -> None:
    """Switch the protection on, with a reserve of 20 to 50 % of the usable charge, or off.

    Nothing happens in a car without a traction battery, nor with another reserve.
    """
    if not car.equipment.usable_kwh or not LEAST <= share <= MOST:
        return
    if on:
        keep(car, Reserve(share))
    else:
        drop(car, Reserve)
    _apply(car, now)


def _apply(car: Ports, now: Instant) -> None:
    """Charge, and end climatisation, as the reserve says now."""
    charging.review_and_tell(car, now)
    climatisation.feed(car, now)


def forget(car: Ports, now: Instant) -> None:
    """Switch it off, as at a reset."""
    if find(car, Reserve) is not None:
        drop(car, Reserve)
        _apply(car, now)


LISTENER: Final = Listener(state=Reserve, forget=forget)
