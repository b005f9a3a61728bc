"""Charging and departures in journals written by hand: what each part of the rules catches, and what it lets pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.kernel.instants import HOUR, MINUTE
from fleet.vehicle.catalogue import Equipment
from tests.checks.lab import VIN, Paper, broken
from tests.vehicle.car_lab import equipment

BORN = equipment("Born", "electric", battery_kwh=77, usable_kwh=77)
OFF: dict[str, Any] = {"state": "unplugged", "plugged_in": False, "remaining_min": 0, "max_current_a": 16, "power_kw": 0.0}
WAITS = OFF | {"state": "plugged_in", "plugged_in": True}
FLOWS = WAITS | {"state": "charging", "power_kw": 11.0, "remaining_min": 60}
FULL = WAITS | {"state": "complete", "target_percent": 80}


def judged(paper: Paper, folder: Path, car: Equipment = BORN) -> set[str]:
    return broken(paper.judge(folder, equipment={VIN: car}))


def tell(paper: Paper, percent: float, charging: dict[str, Any]) -> None:
    """Say how far the battery is charged, and what charges it, with the time that it takes to its target."""
    if charging["power_kw"]:
        missing_kwh = (charging.get("target_percent", 100) - percent) / 100 * BORN.usable_kwh
        charging = charging | {"remaining_min": round(missing_kwh / charging["power_kw"] * 60)}
    paper.status(energy={"charge_percent": percent}, charging=charging)


@pytest.mark.parametrize(
    ("before", "minutes", "after", "holds"),
    [
        ((50.0, FLOWS), 60, (64.3, FLOWS), True),  # 11 kWh of 77
        ((50.0, FLOWS), 60, (66.0, FLOWS), False),
        ((50.0, FLOWS), 60, (60.0, FLOWS), False),
        ((50.0, FLOWS), 60, (60.0, WAITS), True),  # it may have ended before
        ((50.0, WAITS), 60, (50.0, FLOWS), True),
        ((50.0, WAITS), 60, (51.0, FLOWS), False),
        ((50.0, OFF), 60, (50.2, OFF), False),
        ((50.0, OFF), 60, (49.0, OFF), True),
        ((79.0, FLOWS | {"target_percent": 80}), 60, (82.0, WAITS), False),
        ((79.0, FLOWS | {"target_percent": 80}), 60, (80.0, FULL), True),
        ((85.0, FULL), 60, (85.0, FULL), True),
    ],
)
def test_what_may_become_of_the_charge(
    tmp_path: Path, before: tuple[float, Any], minutes: float, after: tuple[float, Any], holds: bool
) -> None:
    paper = Paper()
    tell(paper, *before)
    paper.pass_time(minutes)
    tell(paper, *after)
    assert judged(paper, tmp_path) == (set() if holds else {"charge"})


@pytest.mark.parametrize(
    "charging",
    [
        OFF | {"plugged_in": True},
        FLOWS | {"plugged_in": False},
        WAITS | {"power_kw": 3.6},
        FLOWS | {"power_kw": 0.0},
        FLOWS | {"max_current_a": 6},
        FLOWS | {"target_percent": 50},
        FULL | {"target_percent": 90},
    ],
)
def test_what_does_not_fit_together_in_one_status(tmp_path: Path, charging: dict[str, Any]) -> None:
    paper = Paper()
    tell(paper, 60.0, charging)
    assert judged(paper, tmp_path) == {"charge"}


@pytest.mark.parametrize(("asked", "holds"), [(False, False), (True, True)])
def test_who_waits_begins_when_it_said_unless_asked_to(tmp_path: Path, asked: bool, holds: bool) -> None:
    paper = Paper()
    tell(paper, 50.0, WAITS | {"starts_at": paper.now + 2 * HOUR})
    paper.pass_time(60)
    if asked:
        paper.get("c1", "charging", action="start")
        paper.answer("c1", "charging", "accepted", "in_progress", "succeeded")
    tell(paper, 50.0, FLOWS)
    assert judged(paper, tmp_path) == (set() if holds else {"charge"})


@pytest.mark.parametrize(
    ("name", "parameters", "reason", "holds"),
    [
        ("charging", {}, None, False),
        ("charging", {}, "not_plugged_in", True),
        ("charging", {"action": "stop"}, None, True),
        ("charging_settings", {"limit_percent": 80}, None, True),
        ("charging_settings", {"limit_percent": 80}, "argument_out_of_range", False),
        ("charging_settings", {"limit_percent": 85}, None, False),
        ("charging_settings", {"max_current_a": 20}, None, False),
        ("charging_settings", {}, None, False),
        ("charging_settings", {"begins": "22:00"}, None, False),
        ("charging_settings", {"begins": "22:00", "ends": "06:00"}, None, True),
        ("charging_settings", {"night_window": False}, None, True),
        ("charging_locations", {"locations": [{"name": "here", "latitude": 48.1, "longitude": 11.5}] * 2}, None, False),
        ("charging_locations", {"locations": [{"name": "here", "latitude": None, "longitude": 11.5}]}, None, False),
        ("charging_locations", {"locations": []}, None, True),
        ("departure_timers", {"timers": [{"at": "07:00", "days": ["monday"]}] * 3}, None, True),
        ("departure_timers", {"timers": [{"at": "07:00", "days": ["monday"]}] * 4}, None, False),
        ("departure_timers", {"timers": [{"at": "7:00", "days": ["monday"]}]}, None, False),
        ("departure_timers", {"timers": [{"at": "07:00"}]}, "argument_out_of_range", True),
    ],
)
def test_what_is_accepted_and_what_is_refused(
    tmp_path: Path, name: str, parameters: dict[str, Any], reason: str | None, holds: bool
) -> None:
    paper = Paper()
    tell(paper, 50.0, OFF)
    paper.get("c1", name, **parameters)
    paper.answer("c1", name, *(("accepted",) if reason is None else ("rejected",)), reason=reason)
    assert judged(paper, tmp_path) == (set() if holds else {"charging rule"})


def test_who_has_no_socket_charges_nothing(tmp_path: Path) -> None:
    paper = Paper()
    paper.get("c1", "charging_settings", limit_percent=80)
    paper.answer("c1", "charging_settings", "accepted")
    assert judged(paper, tmp_path, equipment("Leon", "petrol")) == {"charging rule"}


def leaving(minutes: int, name: str, *, percent: float = 80.0, engine: bool = False) -> Paper:
    """Write of a car at 80 %, its limit, that is to leave at 07:00 and tells so many minutes before it."""
    paper = Paper()
    paper.get("c1", "departure_timers", timers=[{"at": "07:00", "days": ["monday"]}])
    paper.answer("c1", "departure_timers", "accepted", "succeeded")
    if engine:
        paper.event("engine_on")
    paper.status(state="ignition_on" if engine else "parked", energy={"charge_percent": 80.0}, charging=OFF if engine else FULL)
    departs_at = -(-paper.now // HOUR) * HOUR
    paper.now = departs_at - minutes * MINUTE - 1_000_000  # it is told a second later
    paper.event(name, departs_at=departs_at, charge_percent=percent, reason="too_late")
    return paper


@pytest.mark.parametrize(
    ("paper", "holds"),
    [
        (leaving(0, "departure_ready"), True),
        (leaving(5, "departure_ready"), False),
        (leaving(0, "departure_ready", percent=60.0), False),
        (leaving(0, "departure_not_ready", percent=60.0), True),
        (leaving(20, "departure_not_ready", percent=60.0), True),
        (leaving(21, "departure_not_ready", percent=60.0), False),
        (leaving(0, "departure_ready", engine=True), False),
    ],
)
def test_when_and_how_a_departure_is_told(tmp_path: Path, paper: Paper, holds: bool) -> None:
    assert judged(paper, tmp_path) == (set() if holds else {"departures"})


def test_a_departure_is_told_once(tmp_path: Path) -> None:
    twice = leaving(10, "departure_not_ready")
    told = twice.last["data"]
    twice.event("departure_not_ready", **told)
    assert judged(twice, tmp_path) == {"departures"}
