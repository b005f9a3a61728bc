"""The state in which a driver leaves the car: locked or not, and anything left open or on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from fleet.kernel.draws import Draws


@dataclass(frozen=True, slots=True)
class Leaving:
    """How the driver leaves the car: `delay_s` between engine off and walking away; `open_window` is None if all are shut."""

    locks: bool
    open_window: Literal["front_left", "front_right", "rear_left", "rear_right"] | None
    boot_left_open: bool
    lights_left_on: bool
    delay_s: float


_WINDOWS: Final[tuple[Literal["front_left", "front_right", "rear_left", "rear_right"], ...]] = (
    "front_left", "front_left", "front_left", "front_right", "rear_left", "rear_right",
)  # fmt: skip


def leaving_habits(draws: Draws) -> Leaving:
    """Draw how a car is left (all shares ours).

    97 % are locked; 2 % have a window open, mostly the driver's; 0.4 % the boot, which then cannot be locked; 0.4 % the
    parking lights on. Between engine off and walking away lie 15 to 90 s.
    """
    boot_left_open = draws.chance(0.004)
    locks = draws.chance(0.97) and not boot_left_open
    open_window = draws.choice(_WINDOWS) if draws.chance(0.02) else None
    return Leaving(locks, open_window, boot_left_open, draws.chance(0.004), round(draws.uniform(15.0, 90.0), 1))
