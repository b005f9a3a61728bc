"""How a traction battery takes charge from a plug: evenly at first, then less and less; closed forms of time.

Above KNEE_SHARE the battery takes a power that falls in a straight line with its charge, so the charge nears its end
exponentially. A plug that gives less than the battery would take is felt later: the knee lies where the two meet.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, NamedTuple

KNEE_SHARE: Final = 0.8
"""Up to here the battery takes all the power of its charger (ours, of the size that charging tests show)."""
END_SHARE: Final = 0.2
"""Share of that power which it still takes when it is full (ours)."""
PHASE_V: Final = 230.0
PHASES: Final = {"e-hybrid": 1, "electric": 3}
"""Phases of the charger in the car: 3.6 kW with one, 11 kW with three."""


class ChargeCurve(NamedTuple):
    """`power_kw` up to a charge of `knee_kwh`; above it `fall_per_hour` kW less for each kWh. The power never comes to 0."""

    power_kw: float
    knee_kwh: float
    fall_per_hour: float

    def power_at(self, charge_kwh: float) -> float:
        """Return the power in kW that flows at a charge."""
        if charge_kwh <= self.knee_kwh:
            return self.power_kw
        return self.power_kw - self.fall_per_hour * (charge_kwh - self.knee_kwh)

    def charge_after(self, charge_kwh: float, hours: float) -> float:
        """Return the charge that `charge_kwh` has become after so many hours."""
        if charge_kwh < self.knee_kwh:
            evenly = (self.knee_kwh - charge_kwh) / self.power_kw
            if hours <= evenly:
                return charge_kwh + self.power_kw * hours
            charge_kwh, hours = self.knee_kwh, hours - evenly
        if not self.fall_per_hour:
            return charge_kwh + self.power_kw * hours
        gone = -math.expm1(-self.fall_per_hour * hours)
        return charge_kwh + self.power_at(charge_kwh) / self.fall_per_hour * gone

    def hours_to(self, charge_kwh: float, target_kwh: float) -> float:
        """Return how long it takes from one charge to another; 0 when there is nothing to do."""
        if target_kwh <= charge_kwh:
            return 0.0
        if target_kwh <= self.knee_kwh:
            return (target_kwh - charge_kwh) / self.power_kw
        hours = 0.0
        if charge_kwh < self.knee_kwh:
            charge_kwh, hours = self.knee_kwh, (self.knee_kwh - charge_kwh) / self.power_kw
        if not self.fall_per_hour:
            return hours + (target_kwh - charge_kwh) / self.power_kw
        return hours + math.log(self.power_at(charge_kwh) / self.power_at(target_kwh)) / self.fall_per_hour


@lru_cache(maxsize=256)
def charge_curve(energy: str, usable_kwh: float, most_kw: float, current_a: int) -> ChargeCurve:
    """Return the curve of a battery behind a charger of `most_kw`, when each phase may take `current_a`."""
    power_kw = min(most_kw, PHASE_V * current_a * PHASES[energy] / 1000.0)
    above_knee_kwh = (1.0 - KNEE_SHARE) * usable_kwh
    fall_per_hour = (1.0 - END_SHARE) * most_kw / above_knee_kwh
    knee_kwh = KNEE_SHARE * usable_kwh + (most_kw - power_kw) / fall_per_hour
    return ChargeCurve(power_kw, knee_kwh, fall_per_hour)
