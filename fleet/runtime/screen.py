"""What people of a scenario do on a car's screen and with its keys, as inputs of the car.

An S-PIN is sealed here, as it is typed: the car's machine, its journal and the broker never have it in clear.
"""

from __future__ import annotations

from typing import assert_never

from fleet.kernel.draws import Draws
from fleet.scenario.actions import Action, ScreenAction
from fleet.scenario.drawn import SpinMix
from fleet.vehicle import signals
from fleet.vehicle.car import Car
from fleet.vehicle.kept import find
from fleet.vehicle.services import enrolment, online
from fleet.vehicle.services.reserve import LEAST
from fleet.wire.sealing import SIMULATED_CARS_SECRET, key_of, seal


def sealed(car: Car, spin: str) -> str:
    """Return an S-PIN as the screen of a car seals it for the next request."""
    return seal(key_of(SIMULATED_CARS_SECRET, car.vin), car.vin, online.next_id(car), spin)


def spin_of(car: Car) -> str:
    """Return the S-PIN of the users of a simulated car who are nobody in particular."""
    return f"{Draws(car.key, 'spin').integer(0, 9999):04d}"


def another(spin: str) -> str:
    """Return an S-PIN that is not this one."""
    return f"{(int(spin) + 1) % 10_000:04d}"


def answer_shown(car: Car) -> online.Shown | None:
    """Return what the screen shows of an answer; None while somebody waits for one."""
    asked = find(car, online.Online)
    return None if asked is None or asked.waiting else asked.shown


def on_screen(
    action: Action, do: ScreenAction, car: Car, draws: Draws, *, spin: str | None = None
) -> signals.PeopleInput | signals.SetBatteryProtection:
    """Return what somebody does on the screen or with a key; which S-PIN is typed is drawn where the scenario gives shares.

    `spin` is the right one of somebody in particular.
    """
    right = spin_of(car) if spin is None else spin
    match do:
        case "show_qr":
            return signals.ShowQr()
        case "use_key":
            assert action.key is not None
            return signals.UseKey(action.key)
        case "enter_code":
            assert action.code is not None
            return signals.EnterCode(action.code)
        case "enrol_in_car":
            consents = enrolment.CONSENTS if action.consents is None else action.consents
            return signals.EnrolInCar(action.user or "", _typed(car, right, action.spin, draws), consents)
        case "log_in":
            return signals.LogIn(action.user or "", _typed(car, right, action.spin, draws), action.save or False)
        case "log_out":
            return signals.LogOut()
        case "delete_user":
            return signals.DeleteUser(action.user or "")
        case "set_battery_protection":
            return signals.SetBatteryProtection(action.switch == "on", float(LEAST if action.level is None else action.level))
        case _:
            assert_never(do)


def _typed(car: Car, right: str, mix: SpinMix | None, draws: Draws) -> str | None:
    """Return what is typed as the S-PIN, sealed; None for nothing."""
    kind = "right" if mix is None else mix.draw(draws)
    if kind == "none":
        return None
    return sealed(car, right if kind == "right" else another(right))
