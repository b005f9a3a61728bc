"""The reserve that the traction battery keeps while its driver has it protected."""

from __future__ import annotations

from typing import Final, NamedTuple

from fleet.vehicle.kept import find
from fleet.vehicle.ports import Keeper

LEAST: Final = 0.2
"""Share of the usable charge: the reserve unless the driver says otherwise, and no reserve is smaller (ours)."""
MOST: Final = 0.5
"""The lowest limit of charging: nobody can want a reserve to which the car is not charged (ours)."""


class Reserve(NamedTuple):
    """The protection is on, with this share of the usable charge."""

    share: float


def reserve_of(car: Keeper) -> float:
    """Return the share of the usable charge that is to be kept; 0 while the battery is not protected."""
    reserve = find(car, Reserve)
    return 0.0 if reserve is None else reserve.share
