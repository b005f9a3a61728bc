"""What scenarios have people do on a car's screen; an S-PIN that is typed there is in no journal and no message."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.kernel.draws import Draws
from fleet.runtime.screen import another, on_screen, spin_of
from fleet.scenario.actions import TimelineStep
from fleet.scenario.drawn import SpinMix
from fleet.scenario.scalars import Share
from fleet.vehicle import signals
from fleet.wire.messages import Request
from fleet.wire.sealing import SIMULATED_CARS_SECRET, key_of, unseal
from tests.vehicle.car_lab import CarLab

DRAWS = Draws(1, "test")


def done(lab: CarLab, do: Any, **words: Any) -> signals.PeopleInput | signals.SetBatteryProtection:
    return on_screen(TimelineStep(do=do, **words), do, lab.car, DRAWS)


@pytest.mark.parametrize(
    ("do", "words", "what"),
    [
        ("show_qr", {}, signals.ShowQr()),
        ("use_key", {"key": "second"}, signals.UseKey("second")),
        ("enter_code", {"code": "12345678"}, signals.EnterCode("12345678")),
        ("log_out", {}, signals.LogOut()),
        ("delete_user", {"user": "p2"}, signals.DeleteUser("p2")),
        ("log_in", {"user": "p1", "spin": SpinMix.parse("none")}, signals.LogIn("p1")),
        ("enrol_in_car", {"user": "p1", "spin": SpinMix.parse("none"), "consents": ("privacy",)},
         signals.EnrolInCar("p1", None, ("privacy",))),
        ("set_battery_protection", {"switch": "on"}, signals.SetBatteryProtection(True, 0.2)),
        ("set_battery_protection", {"switch": "on", "level": Share(0.3)}, signals.SetBatteryProtection(True, 0.3)),
        ("set_battery_protection", {"switch": "off"}, signals.SetBatteryProtection(False, 0.2)),
    ],
)  # fmt: skip
def test_each_action_is_an_input(do: Any, words: dict[str, Any], what: signals.PeopleInput) -> None:
    assert done(CarLab(), do, **words) == what


@pytest.mark.parametrize(("kind", "right"), [("right", True), ("wrong", False)])
def test_the_back_end_opens_what_was_typed(kind: str, *, right: bool) -> None:
    lab = CarLab()
    lab.put(done(lab, "log_in", user="p1", spin=SpinMix.parse(kind)))
    (request,) = [message for message in lab.sent if isinstance(message, Request)]
    key = key_of(SIMULATED_CARS_SECRET, lab.car.vin)
    typed = unseal(key, lab.car.vin, request.id, request.data["sealed_spin"])
    assert (typed == spin_of(lab.car)) == right
    assert right or typed == another(spin_of(lab.car))


def test_a_spin_that_is_typed_is_in_no_journal() -> None:
    lines: list[Any] = []
    lab = CarLab(record=lines.append)
    spin = spin_of(lab.car)
    for do in ("log_in", "enrol_in_car"):
        lab.put(done(lab, do, user="p1", save=True if do == "log_in" else None))
    assert lines
    written = repr(lines)
    assert "LogIn" in written
    assert f"'{spin}'" not in written
    assert f'"{spin}"' not in written
