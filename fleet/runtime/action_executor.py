"""Performs what load and timeline say is done: inputs to cars, commands of their users, words to the private broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, assert_never

from msgspec import convert

from fleet.kernel.draws import Draws
from fleet.kernel.instants import Instant
from fleet.runtime.car_selector import CarHandle
from fleet.runtime.lines import LineJudge
from fleet.runtime.places import place_of
from fleet.runtime.screen import on_screen
from fleet.runtime.users import Answered, Users
from fleet.scenario.actions import Action, BrokerAction, Control, InputAction, TimelineStep
from fleet.vehicle import signals
from fleet.vehicle.car import Car
from fleet.vehicle.region import Place
from fleet.vehicle.signals import (
    AskStatus,
    ClearRoutes,
    DrainTo,
    DriveTo,
    FailUpdate,
    FollowRoute,
    SetChargePoint,
    SetCoverage,
    SetOpening,
    SetPlug,
    SetUpdateConsent,
    SwitchOff,
    SwitchOn,
    WorldInput,
)

LOW_LEVEL = 0.05
"""The level that `low_fuel` leaves in the tank or in an electric car's battery, unless the scenario says: below each reserve."""
LOW_12V = 0.45
"""The level that `low_12v` leaves in the 12 V battery, unless the scenario says: too low for comfort, not for a connection."""

_PLAIN: Final[dict[str, WorldInput]] = {
    "plug_in": SetPlug(True),
    "unplug": SetPlug(False),
    "break_charge_point": SetChargePoint(False),
    "mend_charge_point": SetChargePoint(True),
    "follow_route": FollowRoute(),
    "clear_routes": ClearRoutes(),
    "give_consent": SetUpdateConsent(True),
    "withdraw_consent": SetUpdateConsent(False),
    "fail_update": FailUpdate(),
}
"""Actions without parameters."""


class ActionExecutor:
    """`users` is None when there is no desk: then commands are not sent. `broker` does something to the private broker,
    `network` begins (or ends) what the step of that name does to the network. `lines` judges the steps that expect something.
    """

    def __init__(
        self,
        *,
        users: Users | None,
        broker: Callable[[BrokerAction], None],
        network: Callable[[str, bool], None] = lambda _step, _begins: None,
        lines: LineJudge | None = None,
    ) -> None:
        self._users = users
        self._lines = lines
        self.to_broker = broker
        self.to_network = network

    def ask_service(self, step: TimelineStep, cars: Sequence[CarHandle], at: Instant, *, name: str, occasion: int) -> None:
        """Ask a service of the back end once, about all these cars or none. `name` is the step's own in the scenario."""
        if not self._has_somebody(step, None):
            return
        case = None if self._lines is None else self._lines.open(name, None, at)
        if self._users is not None:
            answered = None if case is None else case.answered
            vins = [handle.car.vin for handle in cars]
            self._users.ask_service(step, None, vins, number=f"{name}/{occasion}", answered=answered)

    def perform_step(self, step: TimelineStep, handle: CarHandle, at: Instant, *, draws: Draws, name: str, occasion: int) -> None:
        """Do what a step says to one car that has the people for it, and hold what comes of it against what the step expects."""
        if not self._has_somebody(step, handle.car.vin):
            return
        case = None if self._lines is None else self._lines.open(name, handle.car, at)
        request = f"{name}/{occasion}/{handle.car.vin}" if step.id is None else f"{step.id}/{handle.car.vin}"
        self.perform(step, handle, at, draws, request, answered=None if case is None else case.answered)
        if case is not None:
            case.done()

    def perform(
        self, action: Action, handle: CarHandle, at: Instant, draws: Draws, request: str, *, answered: Answered | None = None
    ) -> None:
        """Do it to one car as of `at`. `request` tells the commands of this scenario apart; `answered` hears how one ends.

        Nothing is done where there is nobody who does it.
        """
        if not self._has_somebody(action, handle.car.vin):
            return
        if action.command is not None:
            if self._users is not None:
                self._users.ask(action.command, action, handle.car, draws=draws, at=at, number=request, answered=answered)
            return
        if isinstance(action, TimelineStep) and action.service is not None:
            if self._users is not None:
                self._users.ask_service(action, handle.car.vin, (), number=request, answered=answered)
            return
        match action.do:
            case None:
                return
            case "enrol" | "register":
                if self._users is not None and self._users.people is not None:
                    self._users.people.do(action, handle.car, draws, answered)
            case do:
                self._act(action, do, handle, at, draws)

    def _has_somebody(self, action: Action, vin: str | None) -> bool:
        people = None if self._users is None else self._users.people
        return people is None or people.cast.can_act(action, vin)

    def _act(self, action: Action, do: InputAction, handle: CarHandle, at: Instant, draws: Draws) -> None:
        """Do what people and the world do to a car."""
        match do:
            case "ask_status":
                handle.put(AskStatus(), at)
            case "drive":
                handle.put(_drive(action, handle.car, at, draws), at)
            case "park":
                handle.put(SwitchOff(), at)
                if action.to is not None:
                    handle.put(_drive(action, handle.car, at, draws), at)
            case "engine_on":
                handle.put(SwitchOn(), at)
            case "engine_off":
                handle.put(SwitchOff(), at)
            case "open" | "close":
                assert action.door is not None
                handle.put(SetOpening(action.door, do == "open"), at)
            case "enter_garage":
                handle.put(SwitchOff(), at)
                handle.put(SetCoverage(False) if action.to is None else _drive(action, handle.car, at, draws, garage=True), at)
            case "lose_coverage" | "regain_coverage":
                handle.put(SetCoverage(do == "regain_coverage"), at)
            case "low_fuel":
                handle.put(DrainTo(LOW_LEVEL if action.level is None else float(action.level)), at)
            case (
                "plug_in" | "unplug" | "break_charge_point" | "mend_charge_point"
                | "follow_route" | "clear_routes" | "give_consent" | "withdraw_consent" | "fail_update"
            ):  # fmt: skip
                handle.put(_PLAIN[do], at)
            case (
                "show_qr" | "use_key" | "enter_code" | "enrol_in_car" | "log_in" | "log_out" | "delete_user"
                | "set_battery_protection"
            ):  # fmt: skip
                if self._users is not None and self._users.people is not None and _is_somebodys(action):
                    self._users.people.on_screen(action, do, handle.car, draws)
                else:
                    handle.put(on_screen(action, do, handle.car, draws), at)
            case _:
                handle.put(_control(action, do, draws), at)


def _control(action: Action, do: Control, draws: Draws) -> signals.ControlInput:  # noqa: PLR0911 (one case an action)
    """Return what is done at the car's own controls, or happens to it."""
    match do:
        case "crash":
            return signals.Crash(action.sensor or "airbag")
        case "repair":
            return signals.Repair()
        case "fault":
            assert action.fault is not None
            return signals.SetFault(action.fault)
        case "low_adblue":
            return signals.DrainAdBlue(0.0 if action.level is None else float(action.level))
        case "low_12v":
            return signals.DrainLowVoltage(LOW_12V if action.level is None else float(action.level))
        case "press_sos":
            return signals.PressButton("sos")
        case "breakdown_call":
            return signals.PressButton("breakdown")
        case "info_call":
            return signals.PressButton("info")
        case "set_privacy":
            assert action.mode is not None
            return signals.SetPrivacy(action.mode)
        case "set_service":
            assert action.named is not None
            return signals.SetService(action.named, action.switch == "on")
        case "workshop_mode":
            return signals.SetWorkshop(action.switch == "on")
        case "reset_car":
            return signals.ResetCar(action.user)
        case "pair_car":
            return signals.PairCar()
        case "ask":
            assert action.request is not None
            return signals.AskOnline(action.request, dict(action.data.values) if action.data is not None else {})
        case "set_heater":
            return convert({name: values.draw(draws) for name, values in action.parameters.items()}, signals.SetHeater)
        case _:
            assert_never(do)


def _is_somebodys(action: Action) -> bool:
    """Tell whether it matters who does it."""
    return (action.by or action.person or action.whom) is not None


def _drive(action: Action, car: Car, at: Instant, draws: Draws, *, garage: bool = False) -> DriveTo:
    assert action.to is not None
    place, purpose = place_of(action.to, car, at, draws)
    return DriveTo(Place(place.latitude, place.longitude, place.name, place.kind, garage or place.garage), purpose)
