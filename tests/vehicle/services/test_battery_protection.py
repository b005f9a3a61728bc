"""The traction battery keeps the reserve that the driver has set: climatisation leaves it, and charging fills it up first."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.kernel.instants import HOUR, MINUTE
from fleet.vehicle.kept import find
from fleet.vehicle.services.reserve import Reserve
from fleet.vehicle.signals import CarInput, DrainTo, PairCar, ResetCar, SetBatteryProtection, SetPlug
from fleet.wire.messages import Event, Response
from tests.vehicle.car_lab import CarLab
from tests.vehicle.services.test_charging import lab, percent, report, state

ON = SetBatteryProtection(True)
OFF = SetBatteryProtection(False)
NIGHT: dict[str, Any] = {"night_window": True, "begins": "22:00", "ends": "06:00"}


def keeps(share: float) -> SetBatteryProtection:
    return SetBatteryProtection(True, share)


def climatise(made: CarLab) -> tuple[str, str | None]:
    made.command("climatisation")
    made.run_for(2 * MINUTE)
    last = [message for message in made.sent if isinstance(message, Response)][-1]
    return last.state, last.reason


def ended(made: CarLab) -> list[str]:
    return [each.data["reason"] for each in made.sent if isinstance(each, Event) and each.name == "climatisation_ended"]


# --- climatisation


@pytest.mark.parametrize(
    ("switch", "charge", "obeyed"),
    [
        (None, 0.201, True), (None, 0.199, False), (ON, 0.201, True), (ON, 0.199, False), (OFF, 0.201, True),
        (keeps(0.4), 0.401, True), (keeps(0.4), 0.399, False), (keeps(0.5), 0.45, False),
    ],
)  # fmt: skip
def test_climatisation_does_not_begin_below_the_reserve(switch: CarInput | None, charge: float, *, obeyed: bool) -> None:
    made = lab(charge, plugged_in=False)
    if switch is not None:
        made.put(switch)
    assert climatise(made) == (("succeeded", None) if obeyed else ("rejected", "battery_low"))


def test_climatisation_ends_at_the_reserve() -> None:
    made = lab(0.4002, plugged_in=False)
    made.put(keeps(0.4))
    climatise(made)
    made.run_for(HOUR)
    assert ended(made) == ["battery_low"]
    assert percent(made) == pytest.approx(40, abs=0.01)


def test_a_reserve_that_is_raised_above_the_charge_ends_it_at_once() -> None:
    made = lab(0.35, plugged_in=False)
    climatise(made)
    made.put(keeps(0.4))
    made.run_for(0)
    assert ended(made) == ["battery_low"]


def test_a_reserve_that_is_given_up_lets_it_go_on() -> None:
    made = lab(0.4002, plugged_in=False)
    made.put(keeps(0.4))
    climatise(made)
    made.put(OFF)
    made.run_for(HOUR)
    assert ended(made) == ["time"]
    assert percent(made) < 40


def test_by_the_plug_it_runs_whatever_the_reserve() -> None:
    made = lab(0.3, plugged_in=True)
    made.put(keeps(0.5))
    assert climatise(made) == ("succeeded", None)
    made.run_for(HOUR)
    assert ended(made) == ["time"]


# --- charging


def test_below_the_reserve_it_charges_at_once_and_then_waits_for_the_night() -> None:
    made = lab(0.3)
    made.command("charging_settings", **NIGHT)
    made.run_for(2 * MINUTE)
    assert state(made) == "plugged_in"
    made.put(keeps(0.4))
    assert state(made) == "charging"
    made.run_for(3 * HOUR)
    assert state(made) == "plugged_in"
    assert percent(made) == pytest.approx(40, abs=0.01)
    assert report(made).starts_at is not None
    made.run_for(10 * HOUR)
    assert percent(made) > 60, "the night goes on from there"


@pytest.mark.parametrize("charge", [0.4, 0.6])
def test_from_the_reserve_on_the_night_counts(charge: float) -> None:
    made = lab(charge)
    made.command("charging_settings", **NIGHT)
    made.run_for(2 * MINUTE)
    made.put(keeps(0.4))
    assert state(made) == "plugged_in"


def test_charging_that_was_stopped_stays_so() -> None:
    made = lab(0.3)
    made.command("charging", action="stop")
    made.run_for(2 * MINUTE)
    made.put(keeps(0.4))
    assert state(made) == "plugged_in"


def test_a_car_that_falls_below_its_reserve_charges() -> None:
    made = lab(0.6)
    made.command("charging_settings", **NIGHT)
    made.run_for(2 * MINUTE)
    made.put(keeps(0.4))
    made.put(DrainTo(0.2))
    assert state(made) == "charging"
    made.put(SetPlug(False))
    assert state(made) == "unplugged"


# --- the switch


@pytest.mark.parametrize("share", [0.0, 0.19, 0.51, 1.0, -1.0, float("nan")])
def test_no_other_reserve_can_be_set(share: float) -> None:
    made = lab(0.6)
    made.put(keeps(share))
    assert find(made.car, Reserve) is None


def test_a_car_without_a_traction_battery_has_no_such_switch() -> None:
    made = CarLab()
    before = len(made.outputs)
    made.put(ON)
    assert find(made.car, Reserve) is None
    assert len(made.outputs) == before


def test_a_reset_switches_it_off() -> None:
    made = lab(0.41, plugged_in=False)
    made.put(keeps(0.5))
    made.put(ResetCar())
    assert find(made.car, Reserve) is None
    made.put(PairCar())
    assert climatise(made) == ("succeeded", None)
