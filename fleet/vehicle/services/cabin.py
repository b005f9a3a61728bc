"""The inside temperature, a closed form of time: left alone it follows outside air and sun, else it nears what heats or cools it.

Outside air and sun as they are at the start of a run count for all of it, which lasts an hour at most (ours).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, Protocol

import msgspec

from fleet.kernel.instants import DAY, HOUR, MINUTE, Duration, Instant
from fleet.vehicle import ports
from fleet.vehicle.driver import Driver
from fleet.vehicle.services.listener import Listener

COMFORT_C: Final = 22.0
"""The temperature that a driver sets, and where a parking heater leaves it (ours)."""
SUN_C: Final = 18.0
"""The warmth that a sun overhead adds to a closed car (ours, of the size that road clubs measure; there is no shade)."""
COOLS_IN: Final[Duration] = 40 * MINUTE
"""Time constant of a car left alone (ours)."""
AIR_IN: Final[Duration] = 8 * MINUTE
"""Time constant while a blower exchanges the air (ours)."""
DRIVES_WARM_IN: Final[Duration] = 6 * MINUTE
"""Time constant with the engine on (ours)."""


class Cabin(msgspec.Struct, frozen=True, gc=False):
    """The inside from `since` on: it tends to `end_c`, or (None) to what outside air and sun make of it.

    `gap_c` is how far above that it was at `since`; the gap dies away with the time constant. `goal_c` lies on the way: a
    regulation holds it there.
    """

    since: Instant
    gap_c: float
    time_constant: Duration
    end_c: float | None = None
    goal_c: float | None = None

    def inside_c(self, now: Instant, left_alone_c: float) -> float:
        """Return the temperature at `now`, when outside air and sun alone would make it `left_alone_c`."""
        gap_c = self.gap_c * math.exp((self.since - now) / self.time_constant)
        inside_c = gap_c + (left_alone_c if self.end_c is None else self.end_c)
        if self.goal_c is None:
            return inside_c
        return min(inside_c, self.goal_c) if self.gap_c < 0 else max(inside_c, self.goal_c)

    def reached_at(self) -> Instant | None:
        """Return when the goal is reached; None when it never is, or there is none."""
        if self.goal_c is None or self.end_c is None:
            return None
        missing_c = self.goal_c - self.end_c
        if missing_c * self.gap_c <= 0:
            return None
        return self.since + max(0, math.ceil(self.time_constant * math.log(self.gap_c / missing_c)))


class Ports(ports.Located, Protocol):
    """The inside of the car, and where it stands."""

    cabin: Cabin | None
    driver: Driver


def outside_c(car: Ports, now: Instant) -> float:
    """Return the temperature of the air where the car stands."""
    return car.driver.region.ambient_c(car.fix.latitude, now)


def left_alone_c(car: Ports, now: Instant) -> float:
    """Return what the inside of a car tends to that nothing heats or cools but outside air and sun."""
    return outside_c(car, now) + SUN_C * max(0.0, sine_of_sun(car.fix.latitude, car.fix.longitude, now))


def sine_of_sun(latitude: float, longitude: float, instant: Instant) -> float:
    """Return the sine of the sun's elevation: 1 overhead, negative at night; right to a degree or two."""
    phi = math.radians(latitude)
    sine, cosine, noon = _sun(instant)
    return math.sin(phi) * sine + math.cos(phi) * cosine * math.cos(noon + math.radians(longitude))


@lru_cache(maxsize=256)
def _sun(instant: Instant) -> tuple[float, float, float]:
    """Return sine and cosine of the declination, and the hour angle at 0° longitude: the same for all who ask at an instant."""
    declination = math.radians(-23.44) * math.cos(2.0 * math.pi * (instant / DAY + 10.0) / 365.2425)
    return math.sin(declination), math.cos(declination), 2.0 * math.pi * (instant % DAY - 12 * HOUR) / DAY


def inside_c(car: Ports, now: Instant) -> float:
    """Return the temperature inside."""
    if car.cabin is None:
        return left_alone_c(car, now)
    alone_c = left_alone_c(car, now) if car.cabin.end_c is None else 0.0
    return car.cabin.inside_c(now, alone_c)


def move_to(car: Ports, end_c: float, time_constant: Duration, now: Instant, *, goal_c: float | None = None) -> Cabin:
    """From now on the inside tends to `end_c`, and stays at `goal_c` when it comes to that."""
    car.cabin = Cabin(now, inside_c(car, now) - end_c, time_constant, end_c, goal_c)
    return car.cabin


def let_air_in(car: Ports, now: Instant) -> None:
    """From now on a blower exchanges the air."""
    move_to(car, outside_c(car, now), AIR_IN, now)


def leave_alone(car: Ports, now: Instant) -> None:
    """From now on outside air and sun have it their way."""
    car.cabin = Cabin(now, inside_c(car, now) - left_alone_c(car, now), COOLS_IN)


def engine_started(car: Ports, now: Instant) -> None:
    """The driver has it comfortable."""
    move_to(car, COMFORT_C, DRIVES_WARM_IN, now)


LISTENER: Final = Listener(engine_started=engine_started, engine_stopped=leave_alone)
