"""Performs what load and timeline say is done: inputs to cars, commands of their users, words to the private broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, assert_never

from msgspec import convert

from fleet.kernel.draws import Draws
from fleet.kernel.instants import Instant
from fleet.runtime.lines import Lines
from fleet.runtime.places import place_of
from fleet.runtime.roster import HeldCar
from fleet.runtime.users import Answered, Users
from fleet.scenario.deeds import Action, BrokerAction, Control, Deed, Step
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
"""What `low_fuel` leaves in the tank, or in an electric car's battery, unless the scenario says: below every reserve."""
LOW_12V = 0.45
"""What `low_12v` leaves in the 12 V battery, unless the scenario says: too little for comfort, and enough to be reached."""

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
"""What needs no further words."""


class Deeds:
    """`users` is None when there is no desk: then commands are not sent. `broker` does something to the private broker,
    `network` begins (or ends) what the step of that name does to the network. `lines` judges the steps that expect something.
    """

    def __init__(
        self,
        *,
        users: Users | None,
        broker: Callable[[BrokerAction], None],
        network: Callable[[str, bool], None] = lambda _step, _begins: None,
        lines: Lines | None = None,
    ) -> None:
        self._users = users
        self._lines = lines
        self.to_broker = broker
        self.to_network = network

    def ask_service(self, step: Step, cars: Sequence[HeldCar], at: Instant, *, name: str, occasion: int) -> None:
        """Ask a service of the back end once, about all these cars or none. `name` is the step's own in the scenario."""
        case = None if self._lines is None else self._lines.open(name, None, at)
        if self._users is not None:
            answered = None if case is None else case.answered
            vins = [held.car.vin for held in cars]
            self._users.ask_service(step, None, vins, number=f"{name}/{occasion}", answered=answered)

    def perform_step(self, step: Step, held: HeldCar, at: Instant, *, draws: Draws, name: str, occasion: int) -> None:
        """Do what a step says to one car, and hold what comes of it against what the step expects."""
        case = None if self._lines is None else self._lines.open(name, held.car, at)
        request = f"{name}/{occasion}/{held.car.vin}" if step.id is None else f"{step.id}/{held.car.vin}"
        self.perform(step, held, at, draws, request, answered=None if case is None else case.answered)
        if case is not None:
            case.done()

    def perform(
        self, deed: Deed, held: HeldCar, at: Instant, draws: Draws, request: str, *, answered: Answered | None = None
    ) -> None:
        """Do it to one car as of `at`. `request` tells the commands of this scenario apart; `answered` hears how one ends."""
        if deed.command is not None:
            if self._users is not None:
                self._users.ask(deed.command, deed, held.car, draws=draws, at=at, number=request, answered=answered)
            return
        if isinstance(deed, Step) and deed.service is not None:
            if self._users is not None:
                self._users.ask_service(deed, held.car.vin, (), number=request, answered=answered)
            return
        if deed.do is not None:
            self._act(deed, deed.do, held, at, draws)

    def _act(self, deed: Deed, action: Action, held: HeldCar, at: Instant, draws: Draws) -> None:
        """Do what people and the world do to a car."""
        match action:
            case "ask_status":
                held.put(AskStatus(), at)
            case "drive":
                held.put(_drive(deed, held.car, at, draws), at)
            case "park":
                held.put(SwitchOff(), at)
                if deed.to is not None:
                    held.put(_drive(deed, held.car, at, draws), at)
            case "engine_on":
                held.put(SwitchOn(), at)
            case "engine_off":
                held.put(SwitchOff(), at)
            case "open" | "close":
                assert deed.door is not None
                held.put(SetOpening(deed.door, action == "open"), at)
            case "enter_garage":
                held.put(SwitchOff(), at)
                held.put(SetCoverage(False) if deed.to is None else _drive(deed, held.car, at, draws, garage=True), at)
            case "lose_coverage" | "regain_coverage":
                held.put(SetCoverage(action == "regain_coverage"), at)
            case "low_fuel":
                held.put(DrainTo(LOW_LEVEL if deed.level is None else float(deed.level)), at)
            case (
                "plug_in" | "unplug" | "break_charge_point" | "mend_charge_point"
                | "follow_route" | "clear_routes" | "give_consent" | "withdraw_consent" | "fail_update"
            ):  # fmt: skip
                held.put(_PLAIN[action], at)
            case _:
                held.put(_control(deed, action, draws), at)


def _control(deed: Deed, action: Control, draws: Draws) -> signals.ControlInput:  # noqa: PLR0911 (one case an action)
    """Return what is done at the car's own controls, or happens to it."""
    match action:
        case "crash":
            return signals.Crash(deed.sensor or "airbag")
        case "repair":
            return signals.Repair()
        case "fault":
            assert deed.fault is not None
            return signals.SetFault(deed.fault)
        case "low_adblue":
            return signals.DrainAdBlue(0.0 if deed.level is None else float(deed.level))
        case "low_12v":
            return signals.DrainLowVoltage(LOW_12V if deed.level is None else float(deed.level))
        case "press_sos":
            return signals.PressButton("sos")
        case "breakdown_call":
            return signals.PressButton("breakdown")
        case "info_call":
            return signals.PressButton("info")
        case "set_privacy":
            assert deed.mode is not None
            return signals.SetPrivacy(deed.mode)
        case "set_service":
            assert deed.named is not None
            return signals.SetService(deed.named, deed.switch == "on")
        case "workshop_mode":
            return signals.SetWorkshop(deed.switch == "on")
        case "reset_car":
            return signals.ResetCar(deed.user)
        case "pair_car":
            return signals.PairCar()
        case "ask":
            assert deed.request is not None
            return signals.AskOnline(deed.request, dict(deed.data.values) if deed.data is not None else {})
        case "set_heater":
            return convert({name: values.draw(draws) for name, values in deed.parameters.items()}, signals.SetHeater)
        case _:
            assert_never(action)


def _drive(deed: Deed, car: Car, at: Instant, draws: Draws, *, garage: bool = False) -> DriveTo:
    assert deed.to is not None
    place, purpose = place_of(deed.to, car, at, draws)
    return DriveTo(Place(place.latitude, place.longitude, place.name, place.kind, garage or place.garage), purpose)
