"""Applies the inputs by which people, or the world, act on a car: one line for each."""

from __future__ import annotations

from typing import Protocol, assert_never

from fleet.kernel.instants import Instant
from fleet.vehicle import driver_actions
from fleet.vehicle.services import (
    battery_protection,
    calls,
    charging,
    enrolment,
    heating,
    online,
    privacy,
    reset,
    routes,
    updates,
    users,
    wear,
    workshop,
)
from fleet.vehicle.signals import (
    AskOnline,
    ClearRoutes,
    ControlInput,
    Crash,
    DeleteUser,
    DrainAdBlue,
    DrainLowVoltage,
    DrainTo,
    DriveTo,
    EnrolInCar,
    EnterCode,
    FailUpdate,
    FollowRoute,
    LogIn,
    LogOut,
    PairCar,
    PeopleInput,
    PressButton,
    Repair,
    ResetCar,
    ScreenInput,
    SetBatteryProtection,
    SetChargePoint,
    SetCoverage,
    SetFault,
    SetHeater,
    SetNetwork,
    SetOpening,
    SetPlug,
    SetPrivacy,
    SetService,
    SetUpdateConsent,
    SetWorkshop,
    ShowQr,
    StayPut,
    SwitchOff,
    SwitchOn,
    UseKey,
    WorldInput,
)


class Ports(driver_actions.Ports, reset.Ports, Protocol):
    """A car in the hands of people and the world."""

    def set_network(self, works: bool, now: Instant) -> None:
        """Have a network that works, or fails for all cars wherever they are."""

    def drain_low_voltage(self, share: float, now: Instant) -> None:
        """Draw the 12 V battery down."""

    def stay_put(self) -> None:
        """Start no further trip."""


def apply_input(car: Ports, message: WorldInput, now: Instant) -> None:
    """Take what people and the world do to the car."""
    match message:
        case SetCoverage(covered):
            car.set_coverage(covered, now)
        case SetNetwork(works):
            car.set_network(works, now)
        case SetOpening(name, opened):
            car.body.set_opening(name, opened=opened)
        case SetPlug(plugged_in):
            charging.set_plug(car, plugged_in=plugged_in, now=now)
        case SetChargePoint(works):
            charging.set_point(car, works=works, now=now)
        case SwitchOn():
            driver_actions.switch_on(car, now)
        case SwitchOff():
            driver_actions.switch_off(car, now)
        case DriveTo(place, purpose):
            driver_actions.drive_to(car, place, purpose, now)
        case DrainTo(share):
            driver_actions.drain(car, share, now)
        case StayPut():
            car.stay_put()
        case FollowRoute() | ClearRoutes() | SetUpdateConsent() | FailUpdate() | SetBatteryProtection():
            _touch_screen(car, message, now)
        case ShowQr() | UseKey() | EnterCode() | EnrolInCar() | LogIn() | LogOut() | DeleteUser():
            _identify(car, message, now)
        case _:
            _handle(car, message, now)


def _touch_screen(car: Ports, message: ScreenInput, now: Instant) -> None:
    """Take what people do on the screen: with the routes and updates that were sent to the car, and to its battery."""
    match message:
        case FollowRoute():
            if car.journey is None and (legs := routes.follow(car, now)):
                driver_actions.drive_legs(car, legs, now)
        case ClearRoutes():
            routes.clear(car)
        case SetUpdateConsent(given):
            updates.set_consent(car, given=given, now=now)
        case FailUpdate():
            updates.fail_next(car)
        case SetBatteryProtection(on, reserve):
            battery_protection.protect(car, reserve, now, on=on)
        case _:
            assert_never(message)


def _identify(car: Ports, message: PeopleInput, now: Instant) -> None:
    """Take what people do to become users of the car, and as such."""
    match message:
        case ShowQr():
            enrolment.show_qr(car, now)
        case UseKey(key):
            enrolment.use_key(car, key, now)
        case EnterCode(code):
            enrolment.enter_code(car, code, now)
        case EnrolInCar(user, sealed_spin, consents):
            enrolment.enrol_here(car, user, sealed_spin, consents, now)
        case LogIn(user, sealed_spin, save):
            users.log_in(car, user, sealed_spin, now, save=save)
        case LogOut():
            users.log_out(car, now)
        case DeleteUser(user):
            reset.delete_user(car, user, now)
        case _:
            assert_never(message)


def _handle(car: Ports, message: ControlInput, now: Instant) -> None:
    """Take what people do at the car's own controls, a crash among it."""
    match message:
        case Crash(sensor):
            if calls.crash(car, sensor, now):
                driver_actions.switch_off(car, now)
        case Repair():
            calls.repair(car, now)
            wear.repair(car, now)
        case DrainLowVoltage(share):
            car.drain_low_voltage(share, now)
        case SetFault(name):
            wear.arise(car, name, now)
        case DrainAdBlue(share):
            if not car.engine_is_on:
                car.powertrain.drain_adblue(share)
        case PressButton(name):
            calls.press(car, name, now)
        case SetPrivacy(mode):
            privacy.set_mode(car, mode, now)
        case SetService(name, on):
            privacy.set_service(car, name, now, on=on)
        case SetWorkshop(on):
            workshop.switch(car, now, on=on)
        case ResetCar(user):
            reset.reset(car, user, "car", now)
        case SetHeater(minutes, timers):
            heating.set_in_car(car, minutes, timers, now)
        case PairCar():
            reset.pair(car, now)
        case AskOnline(name, data):
            online.ask_in_words(car, name, data, now)
        case _:
            assert_never(message)
