"""The common part of heater, ventilation and climatisation: one of them runs at a time, for a while, and tells its end.

They are started by a command or, before a departure, by timers that the car itself keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, NamedTuple, Protocol

from fleet.kernel.instants import HOUR, MINUTE, Instant
from fleet.vehicle import ports
from fleet.vehicle.kept import drop, find, obtain
from fleet.vehicle.low_voltage import LOW_PERCENT
from fleet.vehicle.powertrain import HEATER_L_PER_HOUR, Draw, Powertrain
from fleet.vehicle.services import cabin
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Refusal
from fleet.vehicle.timers import Timer

Name = Literal["heater", "ventilation", "climatisation"]
Mode = Literal["heating", "ventilation", "climatisation"]
EndReason = Literal["time", "stopped", "restarted", "engine_start", "fuel_low", "battery_low"]
Starter = Literal["command", "timer", "departure"]
"""The starter of a run: a user from afar, a timer, or a departure time that also charges."""
END: Final = "comfort end"
TARGET: Final = "comfort target"
DEPARTURE: Final = "departure of"
"""Keys of timers: the end of the run, its target, and (with the service) its next start by a departure time."""


class ComfortRun(NamedTuple):
    """A comfort service at work. `reason` is why it will end at `ends_at`; `target_c` is None where nobody chose one."""

    service: Name
    mode: Mode
    started_at: Instant
    ends_at: Instant
    reason: EndReason = "time"
    target_c: float | None = None
    window_heating: bool = False


class Ports(cabin.Ports, ports.Located, ports.Sender, ports.Timed, ports.Powered, ports.Engine, ports.Keeper, Protocol):
    """The comfort slot, and all that heats, ventilates and feeds it."""

    comfort: ComfortRun | None
    powertrain: Powertrain


# --- running


def runs(car: Ports, service: Name) -> bool:
    """Tell whether it is this service that runs now."""
    return car.comfort is not None and car.comfort.service == service


def begin(car: Ports, run: ComfortRun, *, current_a: float, by: Starter, now: Instant) -> None:
    """Let it run until `ends_at`; `current_a` is what it takes from the 12 V battery."""
    car.comfort = run
    car.agenda.replace(END, run.ends_at, _over)
    car.low_voltage.load(current_a, now)
    if by != "command":
        minutes = round((run.ends_at - now) / MINUTE)
        car.send_event(f"{run.service}_started", now, {"by": by, "mode": run.mode, "minutes": minutes})
    car.send_status("command" if by == "command" else run.service, now, ("climate", "energy"))


def end_at(car: Ports, at: Instant, reason: EndReason) -> None:
    """Let what runs end at another time than was planned, and for another reason."""
    assert car.comfort is not None
    if at != car.comfort.ends_at:
        car.agenda.replace(END, at, _over)
    car.comfort = car.comfort._replace(ends_at=at, reason=reason)


def _over(car: Ports, _data: None, now: Instant) -> None:
    assert car.comfort is not None
    end(car, car.comfort.reason, now)


def end(car: Ports, reason: EndReason, now: Instant) -> None:
    """End what runs, and tell what it has used; does nothing when nothing runs."""
    run = car.comfort
    if run is None:
        return
    used = _used(run, car.powertrain.end_comfort(now), now)
    car.comfort = None
    car.agenda.cancel(END)
    car.agenda.cancel(TARGET)
    car.low_voltage.load(0.0, now)
    cabin.leave_alone(car, now)
    told = {"reason": reason, "mode": run.mode, "minutes": round((now - run.started_at) / MINUTE, 2), **used}
    car.send_event(f"{run.service}_ended", now, told)
    car.send_status(run.service, now, ("climate", "energy"))


def _engine_starts(car: Ports, now: Instant) -> None:
    end(car, "engine_start", now)


def _low_voltage_fell(car: Ports, now: Instant) -> None:
    end(car, "battery_low", now)


def stop(car: Ports, service: Name, now: Instant) -> None:
    """End this service when it runs."""
    if runs(car, service):
        end(car, "stopped", now)


def _used(run: ComfortRun, drawn: Draw | None, now: Instant) -> dict[str, float]:
    """Return the fuel, or the charge of the traction battery, that it took: neither what came from a plug nor the 12 V."""
    if drawn is not None:
        return {"energy_kwh": round(drawn.used_kwh, 3)}
    if run.mode == "heating":
        return {"fuel_l": round(HEATER_L_PER_HOUR * (now - run.started_at) / HOUR, 3)}
    return {}


# --- departure times


class Departure(NamedTuple):
    """When somebody wants to set off, and how many minutes before it the service starts."""

    timer: Timer
    minutes: int

    def next_start(self, car: Ports, now: Instant) -> Instant | None:
        """Return when it is to start next, later than `now`: the clock says when one sets off, and minutes are minutes."""
        ahead = self.minutes * MINUTE
        leaves_at = self.timer.next_after(now + ahead, car.driver.region.zone)
        return None if leaves_at is None else leaves_at - ahead


Start = Callable[[Any, int, Instant], Refusal | None]
"""Starts a service of (car, minutes, now) for a timer, or says why it cannot."""


class Programme(NamedTuple):
    """The departure times of one service, and how it starts."""

    departures: tuple[Departure, ...]
    start: Start


class Programmes(dict[Name, Programme]):
    """The departure times of the car, by service."""


def keep(car: Ports, service: Name, departures: Iterable[Departure], start: Start, now: Instant) -> None:
    """Replace the departure times of a service; an empty list switches them off."""
    programme = Programme(tuple(departures), start)
    programmes = obtain(car, Programmes)
    if programme.departures:
        programmes[service] = programme
    else:
        programmes.pop(service, None)
        if not programmes:
            drop(car, Programmes)
    car.agenda.cancel((DEPARTURE, service))
    _plan(car, service, programme, now)


def forget(car: Ports, _now: Instant) -> None:
    """Forget all departure times."""
    for service in find(car, Programmes) or ():
        car.agenda.cancel((DEPARTURE, service))
    drop(car, Programmes)


def _plan(car: Ports, service: Name, programme: Programme, now: Instant) -> None:
    starts = [at for each in programme.departures if (at := each.next_start(car, now)) is not None]
    if starts:
        car.agenda.replace((DEPARTURE, service), min(starts), _due, (service, programme))


def _due(car: Ports, planned: tuple[Name, Programme], now: Instant) -> None:
    """Start what is due, for the longest of those that start now; tell when it cannot."""
    service, programme = planned
    minutes = max(each.minutes for each in programme.departures if each.next_start(car, now - 1) == now)
    refused = hindrance(car, now) or programme.start(car, minutes, now)
    if refused is not None:
        car.send_event("timer_skipped", now, {"service": service, "reason": refused.reason})
    _plan(car, service, programme, now)


def hindrance(car: Ports, now: Instant) -> Refusal | None:
    """Return why no timer may start anything now: the rules that a user's command meets in the catalogue."""
    if car.engine_is_on:
        return Refusal("engine_running", "the engine is on")
    if car.low_voltage.percent(now) < LOW_PERCENT:
        return Refusal("battery_low", f"the 12 V battery is below {LOW_PERCENT:.0f} %")
    return None


LISTENER: Final = Listener(state=Programmes, engine_starts=_engine_starts, low_voltage_fell=_low_voltage_fell, forget=forget)
