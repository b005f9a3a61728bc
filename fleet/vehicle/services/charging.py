"""Charging: when it runs, how far and how fast, by plug, settings, place, night, next departure, and the reserve to be kept.

`review` decides anew whenever one of these changes, and puts the next instant at which time alone changes it into the agenda.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from fleet.kernel.instants import MINUTE, Duration, Instant
from fleet.vehicle import ports
from fleet.vehicle.charge_curve import ChargeCurve
from fleet.vehicle.kept import find, keep
from fleet.vehicle.powertrain import CHARGE_GROUPS, Charge, Levels
from fleet.vehicle.services import charge_settings, departure_times
from fleet.vehicle.services.charge_settings import (
    NO_PREFERENCES,
    REVIEW,
    ChargingPreferences,
    Location,
    Settings,
    charge_at,
    hindrance,
    missing,
    missing_from,
    missing_of_reserve,
    percent,
    preferences_of,
    settings_here,
)
from fleet.vehicle.services.departure_times import next_departure
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Refusal, Service
from fleet.vehicle.timers import Window, clock_minute
from fleet.wire.parameters import Charging, ChargingLocation, ChargingLocations, ChargingSettings

READY_AHEAD: Final[Duration] = 10 * MINUTE
"""Charging for a departure is to be over so long before it (ours)."""
_SLACK: Final[Duration] = MINUTE
"""Once it charges for a departure, the last digits of the time that is left do not stop it."""


class Ports(
    charge_settings.Ports,
    departure_times.Ports,
    ports.Located,
    ports.Sender,
    ports.Timed,
    ports.Powered,
    ports.Engine,
    ports.Keeper,
    Protocol,
):
    """The plug, and all that decides when the car charges."""

    def charge_changed(self, now: Instant) -> None:
        """Let all services know that the plug is in or out, or that charging has begun or ended."""


class ChargingPlan(NamedTuple):
    """Whether to charge, and until when that holds if nothing but time passes; None for ever."""

    charge: bool
    until: Instant | None


def _judge(car: Ports, here: Settings, levels: Levels, now: Instant) -> ChargingPlan:
    """Say whether a car that is plugged in is to charge now."""
    preferences = preferences_of(car)
    takes = missing_from(car, here, levels)
    if not takes or hindrance(car) is not None:
        return ChargingPlan(False, None)
    full_at = now + takes
    if preferences.override == "start" or here.window is None:
        return ChargingPlan(True, full_at)
    to_reserve = missing_of_reserve(car, here, levels)
    if to_reserve:
        return ChargingPlan(True, now + to_reserve)
    begins_at, ends_at = here.window.next_stretch(now, car.driver.region.zone)
    if begins_at <= now:
        return ChargingPlan(True, min(full_at, ends_at))
    leaves_at = next_departure(car, now)
    if leaves_at is None:
        return ChargingPlan(False, begins_at)
    latest_at = leaves_at - takes - READY_AHEAD
    if now >= latest_at - (_SLACK if car.powertrain.charging is not None else 0):
        return ChargingPlan(True, min(full_at, leaves_at))
    return ChargingPlan(False, min(begins_at, latest_at))


def review(car: Ports, now: Instant) -> bool:
    """Charge or not, as counts here and now, and look again when that may change; return whether charging changed."""
    if not car.powertrain.plugged_in:
        return False
    here, power = settings_here(car), car.powertrain
    before = power.charging
    verdict = _judge(car, here, power.settle(now), now)
    power.charging = charge_at(car, here, now) if verdict.charge else None
    preferences = preferences_of(car)
    if preferences.override == "start" and not verdict.charge:
        keep(car, preferences._replace(override=None))
    if verdict.until is not None:
        car.agenda.replace(REVIEW, verdict.until, _look_again)
    else:
        car.agenda.cancel(REVIEW)
    changed = _what(before) != _what(power.charging)
    if changed:
        car.charge_changed(now)
    return changed


def _what(charge: Charge | None) -> tuple[ChargeCurve, float] | None:
    """Return what charging does, whenever it was settled last."""
    return None if charge is None else (charge.curve, charge.target_kwh)


def _look_again(car: Ports, _data: None, now: Instant) -> None:
    """Time has come to charge, or to end it."""
    review_and_tell(car, now)


def review_and_tell(car: Ports, now: Instant) -> None:
    """Decide anew, and send what has changed by it."""
    if review(car, now):
        car.send_status("charging", now, CHARGE_GROUPS)


# --- the plug


def plug_in(car: Ports, now: Instant) -> None:
    """Somebody plugs the car in: it charges, or waits for its time.

    Its 12 V battery is charged at once, and a modem that slept for want of it wakes.
    """
    car.powertrain.plugged_in = True
    car.low_voltage.plug(now, plugged_in=True)
    if car.low_voltage.in_deep_sleep:
        car.leave_deep_sleep(now)
    if not review(car, now):
        car.charge_changed(now)


def unplug(car: Ports, now: Instant) -> None:
    """Somebody takes the plug out: what was said for this charging alone is forgotten."""
    car.powertrain.end_charging(now)
    car.agenda.cancel(REVIEW)
    car.powertrain.plugged_in = False
    car.low_voltage.plug(now, plugged_in=False)
    preferences = find(car, ChargingPreferences)
    if preferences is not None:
        keep(car, preferences._replace(override=None, point_works=True))
    car.charge_changed(now)


def _powered_on(car: Ports, now: Instant) -> None:
    if car.powertrain.plugged_in:
        plug_in(car, now)


def _driver_gets_in(car: Ports, now: Instant) -> None:
    if car.powertrain.plugged_in:
        unplug(car, now)


def set_plug(car: Ports, *, plugged_in: bool, now: Instant) -> None:
    """Somebody plugs a parked car in or out; does nothing with the engine on, without a socket, or when it is so already."""
    if car.engine_is_on or plugged_in == car.powertrain.plugged_in or not car.equipment.charging_socket:
        return
    if plugged_in:
        plug_in(car, now)
    else:
        unplug(car, now)
    car.send_status("charging", now, CHARGE_GROUPS)


def set_point(car: Ports, *, works: bool, now: Instant) -> None:
    """The charge point fails, or gives power again; does nothing to a car that is not plugged in."""
    preferences = preferences_of(car)
    if not car.powertrain.plugged_in or works == preferences.point_works:
        return
    keep(car, preferences._replace(point_works=works))
    review(car, now)
    if not works:
        car.send_event("charging_error", now, {"charge_percent": percent(car, now)})
    car.send_status("charging", now, CHARGE_GROUPS)


# --- the commands


def _start_refusal(car: Ports, _parameters: Charging, now: Instant) -> Refusal | None:
    """Plugged in, at a charge point that works, and below the limit."""
    match hindrance(car):
        case "not_plugged_in":
            return Refusal("not_plugged_in", "the car is not plugged in")
        case "charging_error":
            return Refusal("charging_error", "the charge point gives no power")
        case _:
            pass
    if not missing(car, now):
        return Refusal("limit_reached", f"charged to {percent(car, now):g} %; the limit is {settings_here(car).limit_percent} %")
    return None


def _override(car: Ports, parameters: Charging, now: Instant) -> None:
    if car.powertrain.plugged_in:
        keep(car, (preferences_of(car))._replace(override=parameters.action))
        review(car, now)
    car.send_status("command", now, CHARGE_GROUPS)


def _read_window(*, wanted: bool | None, begins: str | None, ends: str | None) -> Window | None:
    """Return the night window that begin and end make; raises ValueError for words that do not go together."""
    if begins is None and ends is None:
        if wanted:
            raise ValueError("a night window has begins and ends")
        return None
    if wanted is False or begins is None or ends is None:
        raise ValueError("begins and ends go together, and with a night window")
    window = Window(clock_minute(begins), clock_minute(ends))
    if window.begin_minute == window.end_minute:
        raise ValueError("begins and ends are the same: that is no window")
    return window


def _settings_refusal(_car: Ports, parameters: ChargingSettings, _now: Instant) -> Refusal | None:
    if parameters == ChargingSettings():
        return Refusal("argument_out_of_range", "nothing is set: name one setting at least")
    try:
        _read_window(wanted=parameters.night_window, begins=parameters.begins, ends=parameters.ends)
    except ValueError as error:
        return Refusal("argument_out_of_range", str(error))
    return None


def _set(car: Ports, parameters: ChargingSettings, now: Instant) -> None:
    """Take the settings that were named; the others stay."""
    preferences = preferences_of(car)
    general = preferences.general
    window = _read_window(wanted=parameters.night_window, begins=parameters.begins, ends=parameters.ends)
    general = Settings(
        parameters.limit_percent or general.limit_percent,
        parameters.max_current_a or general.max_current_a,
        general.window if window is None and parameters.night_window is None else window,
    )
    keep(car, preferences._replace(general=general))
    review(car, now)
    car.send_status("command", now, CHARGE_GROUPS)


def _read_location(each: ChargingLocation) -> Location:
    """Return a location; raises ValueError for a name or window that is none."""
    if not each.name.strip():
        raise ValueError("the name is empty")
    window = _read_window(wanted=each.night_window, begins=each.begins, ends=each.ends)
    return Location(
        each.name,
        each.latitude,
        each.longitude,
        each.radius_m,
        each.limit_percent,
        each.max_current_a,
        own_window=window is not None or each.night_window is not None,
        window=window,
    )


def _locations_refusal(_car: Ports, parameters: ChargingLocations, _now: Instant) -> Refusal | None:
    names = [each.name for each in parameters.locations]
    for number, each in enumerate(parameters.locations, start=1):
        try:
            if names.index(each.name) != number - 1:
                raise ValueError(f"another location is named {each.name!r}, too")
            _read_location(each)
        except ValueError as error:
            return Refusal("argument_out_of_range", f"locations, item {number}: {error}")
    return None


def _locate(car: Ports, parameters: ChargingLocations, now: Instant) -> None:
    """Know these places in place of those before."""
    locations = tuple(_read_location(each) for each in parameters.locations)
    keep(car, (preferences_of(car))._replace(locations=locations))
    review(car, now)
    car.send_status("command", now, CHARGE_GROUPS)


def forget(car: Ports, now: Instant) -> None:
    """Forget what a user has set."""
    preferences = find(car, ChargingPreferences)
    if preferences is not None:
        keep(car, ChargingPreferences(point_works=preferences.point_works))
        review(car, now)


CHARGING: Final = Service(_override, _start_refusal)
SETTINGS: Final = Service(_set, _settings_refusal, takes=None)
LOCATIONS: Final = Service(_locate, _locations_refusal, takes=None)


def _is_personal(preferences: ChargingPreferences) -> bool:
    return preferences._replace(point_works=True) != NO_PREFERENCES


LISTENER: Final = Listener(
    state=ChargingPreferences,
    is_personal=_is_personal,
    powered_on=_powered_on,
    driver_gets_in=_driver_gets_in,
    driver_plugs_in=plug_in,
    fuel_changed=review_and_tell,
    forget=forget,
)
