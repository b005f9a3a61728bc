"""Heater, ventilation and climatisation, in journals written by hand: what no run of ours would write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.checks.lab import CAR, VIN, Paper, broken
from tests.vehicle.car_lab import equipment

OFF = {"state": "off", "remaining_min": 0}


@pytest.fixture
def paper() -> Paper:
    return Paper()


def plug(*, plugged_in: bool) -> dict[str, Any]:
    """Return the group of a status that tells of the plug."""
    state = "plugged_in" if plugged_in else "unplugged"
    return {"state": state, "plugged_in": plugged_in, "remaining_min": 0, "max_current_a": 16, "power_kw": 0.0}


def start(paper: Paper, name: str, *, at: dict[str, Any] | None = None, **parameters: Any) -> None:
    """Let a service be started by a command; `at` are more groups of its first status."""
    command_id = f"{name}-{paper.now}"
    paper.get(command_id, name, **parameters)
    paper.answer(command_id, name, "accepted", "in_progress", "succeeded")
    state = "heating" if name == "heater" else name
    climate = {"state": state, "remaining_min": parameters.get("minutes", 30)}
    if name == "climatisation":
        climate["target_c"] = parameters["target_c"]
    paper.status("command", climate=climate, **(at or {}))


def test_two_at_once(paper: Paper, tmp_path: Path) -> None:
    start(paper, "heater", minutes=30)
    start(paper, "ventilation", minutes=10)
    assert broken(paper.judge(tmp_path)) == {"comfort"}


@pytest.mark.parametrize(("reason", "right"), [("heater_running", True), ("ventilation_running", False)])
def test_refused_for_the_other(paper: Paper, tmp_path: Path, reason: str, *, right: bool) -> None:
    start(paper, "heater", minutes=30)
    paper.get("two", "ventilation", minutes=10)
    paper.answer("two", "ventilation", "rejected", reason=reason)
    assert broken(paper.judge(tmp_path)) == (set() if right else {"comfort"})


@pytest.mark.parametrize(("minutes", "right"), [(29, True), (31, False)])
def test_climatisation_ends_after_half_an_hour(paper: Paper, tmp_path: Path, minutes: int, *, right: bool) -> None:
    start(paper, "climatisation", target_c=22)
    paper.pass_time(minutes)
    paper.status(climate={"state": "climatisation", "remaining_min": 1, "target_c": 22})
    assert broken(paper.judge(tmp_path)) == (set() if right else {"comfort"})


def test_another_target_than_asked_for(paper: Paper, tmp_path: Path) -> None:
    start(paper, "climatisation", target_c=22)
    paper.status(climate={"state": "climatisation", "remaining_min": 30, "target_c": 23})
    assert broken(paper.judge(tmp_path)) == {"comfort"}


@pytest.mark.parametrize("name", ["heater", "ventilation", "climatisation"])
def test_it_runs_on_with_a_low_12_v_battery(paper: Paper, tmp_path: Path, name: str) -> None:
    given: dict[str, Any] = {"target_c": 20} if name == "climatisation" else {"minutes": 30}
    start(paper, name, **given)
    paper.event("low_voltage_low", charge_percent=50.0)
    paper.status()
    assert broken(paper.judge(tmp_path)) == {"comfort"}


def test_a_timer_that_runs_too_long(paper: Paper, tmp_path: Path) -> None:
    """What the car has started by itself is held to what it says."""
    paper.event("ventilation_started", by="timer", mode="ventilation", minutes=10)
    paper.status("ventilation", climate={"state": "ventilation", "remaining_min": 10})
    paper.pass_time(11)
    paper.status()
    assert broken(paper.judge(tmp_path)) == {"comfort"}


@pytest.mark.parametrize(("percent", "right"), [(50.0, True), (49.0, False)])
def test_12_v_for_comfort(paper: Paper, tmp_path: Path, percent: float, *, right: bool) -> None:
    paper.status(low_voltage={"charge_percent": percent, "voltage_v": 12.3})
    start(paper, "ventilation", minutes=10)
    assert broken(paper.judge(tmp_path)) == (set() if right else {"12 V rule"})


def test_a_timer_on_a_low_12_v_battery(paper: Paper, tmp_path: Path) -> None:
    paper.event("low_voltage_low", charge_percent=49.9)
    paper.pass_time(10)
    paper.event("ventilation_started", by="timer", mode="ventilation", minutes=10)
    paper.status("ventilation", low_voltage={"charge_percent": 48.0, "voltage_v": 12.2})
    paper.event("ventilation_ended", reason="stopped", mode="ventilation", minutes=2 / 60)
    paper.event("heater_started", by="timer", mode="heating", minutes=10)
    assert broken(paper.judge(tmp_path)) == {"12 V rule"}


@pytest.mark.parametrize(
    ("charge_percent", "plugged_in", "right"), [(20.0, False, True), (19.0, False, False), (5.0, True, True)]
)
def test_charge_or_a_plug(paper: Paper, tmp_path: Path, charge_percent: float, *, plugged_in: bool, right: bool) -> None:
    paper.status(energy={"charge_percent": charge_percent}, charging=plug(plugged_in=plugged_in))
    start(paper, "climatisation", target_c=22)
    found = broken(paper.judge(tmp_path, equipment={VIN: equipment("Born", "electric")}))
    assert found == (set() if right else {"climatisation rule"})


def test_a_plug_of_which_nothing_is_told(paper: Paper, tmp_path: Path) -> None:
    """Somebody has plugged it in since: the status before it says nothing any more."""
    paper.status(energy={"charge_percent": 10.0}, charging=plug(plugged_in=False))
    paper.write(CAR, "in", "SetPlug", {"plugged_in": True})
    start(paper, "climatisation", target_c=22)
    assert broken(paper.judge(tmp_path, equipment={VIN: equipment("Born", "electric")})) == set()


@pytest.mark.parametrize(("after", "right"), [(76.6, True), (78.0, False)])
def test_what_was_taken_is_gone(paper: Paper, tmp_path: Path, after: float, *, right: bool) -> None:
    """2 kWh of 58 are 3.4 %."""
    fitted = equipment("Born", "electric", battery_kwh=58.0)
    paper.status(charging=plug(plugged_in=False))
    start(paper, "climatisation", target_c=22, at={"energy": {"charge_percent": 80.0}})
    paper.event("climatisation_ended", reason="stopped", mode="climatisation", minutes=2 / 60, energy_kwh=2.0)
    paper.status("climatisation", climate=OFF, energy={"charge_percent": after})
    assert broken(paper.judge(tmp_path, equipment={VIN: fitted})) == (set() if right else {"comfort energy"})


def test_a_plug_in_between_hides_it(paper: Paper, tmp_path: Path) -> None:
    """Plugged in, charged and unplugged again while it ran: nothing can be said."""
    fitted = equipment("Born", "electric", battery_kwh=58.0)
    paper.status(charging=plug(plugged_in=False))
    start(paper, "climatisation", target_c=22, at={"energy": {"charge_percent": 80.0}})
    for plugged_in in (True, False):
        paper.status("charging", charging=plug(plugged_in=plugged_in))
    paper.event("climatisation_ended", reason="stopped", mode="climatisation", minutes=4 / 60, energy_kwh=2.0)
    paper.status("climatisation", climate=OFF, energy={"charge_percent": 80.0})
    assert broken(paper.judge(tmp_path, equipment={VIN: fitted})) == set()


def test_ventilating_takes_no_fuel(paper: Paper, tmp_path: Path) -> None:
    start(paper, "heater", minutes=30)
    paper.event("heater_ended", reason="stopped", mode="ventilation", minutes=2 / 60, fuel_l=0.1)
    assert broken(paper.judge(tmp_path)) == {"comfort energy"}


@pytest.mark.parametrize(
    ("name", "given", "check"),
    [
        ("ventilation", {"minutes": 70}, "ventilation rule"),
        ("ventilation_timers", {"timers": [{"at": "06:30", "minutes": 15}]}, "ventilation rule"),
        ("ventilation_timers", {"timers": [{"at": "06:30"}] * 4}, "ventilation rule"),
        ("climatisation", {"target_c": 30}, "climatisation rule"),
        ("climatisation", {"target_c": 21.2}, "climatisation rule"),
    ],
)
def test_what_is_out_of_range_is_not_run(paper: Paper, tmp_path: Path, name: str, given: dict[str, Any], check: str) -> None:
    paper.get("one", name, **given)
    paper.answer("one", name, "accepted")
    assert broken(paper.judge(tmp_path)) == {check}


@pytest.mark.parametrize(
    ("name", "given", "check"),
    [("ventilation", {"minutes": 20}, "ventilation rule"), ("climatisation", {"target_c": 21.5}, "climatisation rule")],
)
def test_what_is_in_range_is_not_refused_for_it(
    paper: Paper, tmp_path: Path, name: str, given: dict[str, Any], check: str
) -> None:
    paper.get("one", name, **given)
    paper.answer("one", name, "rejected", reason="argument_out_of_range")
    assert broken(paper.judge(tmp_path)) == {check}


@pytest.mark.parametrize(
    ("name", "given", "check"),
    [
        ("ventilation", {"minutes": 20}, "ventilation rule"),
        ("climatisation", {"target_c": 21.5}, "climatisation rule"),
        ("climatisation", {"target_c": 21.5, "window_heating": True}, "climatisation rule"),
    ],
)
def test_equipment(paper: Paper, tmp_path: Path, name: str, given: dict[str, Any], check: str) -> None:
    """What a car has not does not run in it."""
    fitted = (
        equipment("Born", "electric", window_heating=False)
        if "window_heating" in given
        else equipment("Leon", "petrol", remote_ventilation=False)
    )
    paper.get("one", name, **given)
    paper.answer("one", name, "accepted")
    assert broken(paper.judge(tmp_path, equipment={VIN: fitted})) == {check}


@pytest.mark.parametrize(("wake_ups", "right"), [(41, True), (40, False)])
def test_the_power_budget_is_not_used_up_early(paper: Paper, tmp_path: Path, wake_ups: int, *, right: bool) -> None:
    """The one that is refused is one that woke the car itself."""
    for number in range(wake_ups):
        paper.get(str(number), "ventilation", minutes=10)
        last = number == wake_ups - 1
        paper.send(
            "Response",
            command_id=str(number),
            name="ventilation",
            state="rejected",
            reason="power_budget" if last else "fuel_low",
            awake=False,
        )
    assert broken(paper.judge(tmp_path)) == (set() if right else {"12 V rule"})
