"""The 12 V battery: what sleeping, waking, lights, heater and ventilation cost, and when it is too low; closed forms of time."""

# ruff: noqa: FURB136, PLR1730 (this is worked out ten times for each drive, and min() and max() cost more than all the rest)

from __future__ import annotations

from typing import Final

from fleet.kernel.instants import HOUR, Instant
from fleet.wire.messages import LowVoltage

ASLEEP_A: Final = 0.025
AWAKE_A: Final = 0.6
LIGHTS_A: Final = 0.9
HEATER_A: Final = 2.5
BLOWER_A: Final = 6.0
CHARGING_A: Final = 25.0
"""Currents of a present-day car with a telematics unit (ours, of the size that manuals and road clubs name)."""
_WAKING_A: Final = AWAKE_A - ASLEEP_A
LOW_PERCENT: Final = 50.0
"""Below this the event `low_voltage_low` is sent and comfort commands are rejected with `battery_low` (ours)."""
DEEP_SLEEP_PERCENT: Final = 40.0
"""Below this the telematics unit switches itself off until the next drive (ours)."""
SURELY_BELOW: Final = 2
"""Microseconds after the limit's: the first may still be the limit itself, by rounding."""


class LowVoltageBattery:
    """Charge at a base instant and the currents since: awake until `awake_until`, asleep after it.

    `due_at` is when the charge falls below the next of its two limits if nothing changes; None without one ahead. Whatever
    changes a current settles the charge before, and finds `due_at` anew.
    """

    __slots__ = (
        "_since",
        "awake_until",
        "capacity_ah",
        "charge_ah",
        "comfort_a",
        "due_at",
        "engine_on",
        "in_deep_sleep",
        "lights_on",
        "plugged_in",
    )

    def __init__(self, capacity_ah: float, charge_percent: float, now: Instant) -> None:
        """Take the capacity and the charge at `now`; the car is asleep."""
        self.capacity_ah = capacity_ah
        self.charge_ah = capacity_ah * charge_percent / 100
        self._since = now
        self.awake_until = now
        self.engine_on = False
        self.plugged_in = False
        self.lights_on = False
        self.comfort_a = 0.0
        self.in_deep_sleep = False
        self.due_at: Instant | None = None

    def charge_at(self, now: Instant) -> float:
        """Return the charge in Ah."""
        passed = now - self._since
        if not passed:
            return self.charge_ah  # as often as not it has just been settled
        if self.engine_on or self.plugged_in:
            charged_ah = self.charge_ah + CHARGING_A * passed / HOUR
            return charged_ah if charged_ah < self.capacity_ah else self.capacity_ah
        awake = (now if now < self.awake_until else self.awake_until) - self._since
        if awake < 0:
            awake = 0
        left_ah = self.charge_ah - (awake * _WAKING_A + passed * self._constant_a()) / HOUR
        return left_ah if left_ah > 0.0 else 0.0

    @property
    def is_fed(self) -> bool:
        """Whether it is charged: with the engine on, or while an electric car is plugged in (ours)."""
        return self.engine_on or self.plugged_in

    def _constant_a(self) -> float:
        return ASLEEP_A + LIGHTS_A * self.lights_on + self.comfort_a

    def percent(self, now: Instant) -> float:
        """Return the charge in percent."""
        return self.charge_at(now) / self.capacity_ah * 100

    def drain(self, share: float, now: Instant) -> None:
        """Draw the charge down to a share of the capacity; never up."""
        self._settle(now)
        self.charge_ah = min(self.charge_ah, share * self.capacity_ah)
        self.look_ahead(now)

    def _settle(self, now: Instant) -> None:
        """Make the charge at `now` the new base."""
        self.charge_ah = self.charge_at(now)
        self._since = now

    def start_engine(self, now: Instant) -> None:
        """Be charged by the engine, which switches the lights as it needs them."""
        self._settle(now)
        self.engine_on = True
        self.lights_on = False
        self.look_ahead(now)

    def stop_engine(self, now: Instant) -> None:
        """Be charged by the engine no more."""
        self._settle(now)
        self.engine_on = False
        self.look_ahead(now)

    def plug(self, now: Instant, *, plugged_in: bool) -> None:
        """Be charged by the plug, or not; that is too little to be seen in the traction battery (ours)."""
        self._settle(now)
        self.plugged_in = plugged_in
        self.look_ahead(now)

    def light(self, now: Instant, *, on: bool) -> None:
        """Feed the lights that were left on, or none."""
        self._settle(now)
        self.lights_on = on
        self.look_ahead(now)

    def load(self, comfort_a: float, now: Instant) -> None:
        """Feed heater or ventilation with this current."""
        self._settle(now)
        self.comfort_a = comfort_a
        self.look_ahead(now)

    def stay_awake(self, now: Instant, until: Instant) -> None:
        """Keep the car awake until `until`, or longer if it already is."""
        self._settle(now)
        if until > self.awake_until:
            self.awake_until = until
        self.look_ahead(now)

    def look_ahead(self, now: Instant) -> None:
        """Find `due_at` anew."""
        if self.engine_on or self.plugged_in:
            self.due_at = None
        else:
            at = self.falls_below_at(LOW_PERCENT, now)
            self.due_at = at if at is not None else self.falls_below_at(DEEP_SLEEP_PERCENT, now)

    def falls_below_at(self, percent: float, now: Instant) -> Instant | None:
        """Return when the charge falls below `percent` if nothing changes; None while it is charged, or when it has."""
        if self.engine_on or self.plugged_in:
            return None
        spare_ah = self.charge_at(now) - self.capacity_ah * percent / 100
        if spare_ah <= 0:
            return None
        awake = self.awake_until - now if self.awake_until > now else 0
        constant_a = self._constant_a()
        in_wake_ah = awake * (constant_a + AWAKE_A - ASLEEP_A) / HOUR
        if spare_ah < in_wake_ah:
            return now + int(spare_ah / (constant_a + AWAKE_A - ASLEEP_A) * HOUR) + SURELY_BELOW
        return now + awake + int((spare_ah - in_wake_ah) / constant_a * HOUR) + SURELY_BELOW

    def report(self, now: Instant) -> LowVoltage:
        """Return charge and the voltage that goes with it: 11.8 V empty to 12.8 V full at rest, 14.2 V charging.

        A sensor that was read before the last change has read again at that change.
        """
        percent = self.percent(max(now, self._since))
        volts = 14.2 if self.is_fed else 11.8 + percent / 100
        return LowVoltage(charge_percent=round(percent, 1), voltage_v=round(volts, 2))
