"""Climatisation of e-hybrid and electric cars: heats or cools to a target, by the plug or out of the traction battery."""

from __future__ import annotations

from typing import Final, Protocol

from fleet.kernel.instants import HOUR, MINUTE, Duration, Instant
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.services import cabin, comfort
from fleet.vehicle.services.comfort import ComfortRun, Starter
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.reserve import reserve_of
from fleet.vehicle.services.service import Refusal, Service
from fleet.wire.parameters import Climatisation

RUN: Final[Duration] = 30 * MINUTE
"""It ends by itself after this (ours)."""
DEPARTURE_C: Final = 21.0
"""The target for a departure, when nobody has said otherwise (ours)."""
LEAST_CHARGE: Final = 0.2
"""Share of the usable charge below which it does not run without a plug (ours), unless the driver keeps a larger reserve."""
HEATS_BY_C: Final = 40.0
HEATS_KW: Final = 4.0
COOLS_BY_C: Final = 25.0
COOLS_KW: Final = 2.5
"""The change of the inside in the end at full power, and that power (ours, of the size that road tests name)."""
WINDOWS_KW: Final = 0.5
"""Front and rear window heating together (ours)."""
CONDITIONS_IN: Final[Duration] = 12 * MINUTE
"""Time constant of the cabin meanwhile (ours)."""


class Ports(comfort.Ports, Protocol):
    """A car whose traction battery, or plug, heats and cools it."""

    equipment: Equipment


def start(car: Ports, target_c: float, now: Instant, *, window_heating: bool = False, by: Starter = "command") -> None:
    """Bring the inside to a temperature and hold it there, anew when it runs already."""
    comfort.end(car, "restarted", now)
    alone_c = cabin.left_alone_c(car, now)
    end_c = alone_c + HEATS_BY_C if cabin.inside_c(car, now) < target_c else alone_c - COOLS_BY_C
    reached_at = cabin.move_to(car, end_c, CONDITIONS_IN, now, goal_c=target_c).reached_at()
    run = ComfortRun("climatisation", "climatisation", now, now + RUN, target_c=target_c, window_heating=window_heating)
    comfort.begin(car, run, current_a=0.0, by=by, now=now)  # the traction battery feeds the 12 V side meanwhile
    if reached_at is not None and reached_at < run.ends_at:
        car.agenda.replace(comfort.TARGET, reached_at, _reached)
    feed(car, now)


def feed(car: Ports, now: Instant) -> None:
    """Take what it needs from the plug where there is one, else from the battery as long as that lasts; call when that changes.

    A plug gives it beside what it charges (ours).
    """
    run = car.comfort
    if run is None or run.service != "climatisation":
        return
    draw_kw = 0.0 if car.powertrain.plugged_in else _power_kw(car, run, now)
    car.powertrain.condition(draw_kw, now)
    over_at = run.started_at + RUN
    spare_kwh = car.powertrain.charge_kwh - _least_share(car) * car.equipment.usable_kwh
    empty_at = now + max(0, int(spare_kwh / draw_kw * HOUR) + 1) if draw_kw else over_at
    if empty_at < over_at:
        comfort.end_at(car, empty_at, "battery_low")
    else:
        comfort.end_at(car, over_at, "time")


def _least_share(car: Ports) -> float:
    return max(LEAST_CHARGE, reserve_of(car))


def _power_kw(car: Ports, run: ComfortRun, now: Instant) -> float:
    """Return what it takes now: all it can until the target is reached, then what holds it there."""
    assert car.cabin is not None
    assert run.target_c is not None
    windows_kw = WINDOWS_KW * run.window_heating
    reached_at = car.cabin.reached_at()
    if reached_at is None or now < reached_at:
        return windows_kw + (HEATS_KW if car.cabin.gap_c < 0 else COOLS_KW)
    missing_c = run.target_c - cabin.left_alone_c(car, run.started_at)
    return windows_kw + (missing_c * HEATS_KW / HEATS_BY_C if missing_c > 0 else -missing_c * COOLS_KW / COOLS_BY_C)


def _reached(car: Ports, _data: None, now: Instant) -> None:
    """The target is reached."""
    run = car.comfort
    assert run is not None
    feed(car, now)
    car.send_event("target_reached", now, {"target_c": run.target_c, "minutes": round((now - run.started_at) / MINUTE, 2)})
    car.send_status("climatisation", now, ("climate", "energy"))


def condition(car: Ports, leaves_at: Instant, now: Instant) -> Refusal | None:
    """Have it comfortable for a departure, or say why not. What somebody has chosen already is kept when it lasts as long."""
    run = car.comfort
    if run is not None and run.service == "climatisation" and run.ends_at >= leaves_at:
        return None
    refused = comfort.hindrance(car, now) or hindrance(car, now)
    if refused is None:
        start(car, DEPARTURE_C, now, by="departure")
    return refused


# --- the command


def hindrance(car: Ports, now: Instant, *, window_heating: bool = False) -> Refusal | None:
    """Return why it cannot start: no window heating to switch on, or too little charge without a plug (ours)."""
    e = car.equipment
    if window_heating and not e.window_heating:
        return Refusal("not_equipped", "the car has no window heating")
    share, least = car.powertrain.levels(now).charge_kwh / e.usable_kwh, _least_share(car)
    if share < least and not car.powertrain.plugged_in:
        return Refusal("battery_low", f"the traction battery is at {share:.1%}; without a plug it needs {least:.0%}")
    return None


def _refusal(car: Ports, parameters: Climatisation, now: Instant) -> Refusal | None:
    return hindrance(car, now, window_heating=parameters.window_heating)


def _carry_out(car: Ports, parameters: Climatisation, now: Instant) -> None:
    if parameters.action == "start":
        start(car, parameters.target_c, now, window_heating=parameters.window_heating)
    else:
        comfort.stop(car, "climatisation", now)


CLIMATISATION: Final = Service(_carry_out, _refusal)


LISTENER: Final = Listener(charge_changed=feed, fuel_changed=feed)
