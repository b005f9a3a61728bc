"""What the checks of alerts, wear, reports and driving data say of stories written by hand: each right, and each wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.checks.verification import Verification
from fleet.vehicle.catalogue import Equipment
from tests.checks import lab
from tests.checks.lab import VIN, Paper, told
from tests.vehicle.car_lab import equipment

HOME = {"latitude": 48.137, "longitude": 11.575}
AWAY = {"latitude": 48.157, "longitude": 11.575}
EDGE = {"latitude": 48.137 + 0.00427, "longitude": 11.575}
"""Some 475 m north of home."""
OUTSIDE = {"latitude": 48.137 + 0.00472, "longitude": 11.575}
"""Some 525 m."""
ZONE = {"name": "home", **HOME, "radius_m": 500.0}


WATCHING = {"alert rule", "area alerts", "speed alerts", "wear", "driving data"}


def broken(found: Verification) -> set[str]:
    """Return which of these checks found something; the stories here are no whole drives."""
    return lab.broken(found) & WATCHING


def at(place: dict[str, float]) -> dict[str, Any]:
    return {"position": {**place, "accuracy_m": 8.0, "fixed_at": 0}}


def watch(paper: Paper, *zones: dict[str, Any], command_id: str = "a1") -> None:
    paper.get(command_id, "area_alert", zones=list(zones))
    paper.answer(command_id, "area_alert", "accepted", "succeeded")


def alert(paper: Paper, direction: str, place: dict[str, float], zone: str = "home") -> None:
    paper.event("area_alert", zone=zone, direction=direction, accuracy_m=8.0, **place)


def drive(paper: Paper, **trip: Any) -> None:
    paper.event("engine_off")
    paper.event("trip", **TRIP | trip)


TRIP = {"started_at": 0, "distance_km": 5.0, "duration_min": 10.0, "average_speed_kmh": 30.0, "fuel_l": 0.4}
FIGURES = {key: value for key, value in TRIP.items() if key != "started_at"}

# --- area alerts


def test_home_and_away(tmp_path: Path) -> None:
    paper = Paper()
    paper.status(**at(HOME))
    watch(paper, ZONE)
    paper.event("engine_on")
    alert(paper, "leave", OUTSIDE)
    drive(paper)
    paper.status("engine_off", **at(AWAY))
    paper.event("engine_on")
    alert(paper, "enter", EDGE)
    drive(paper)
    paper.status("engine_off", **at(HOME))
    assert broken(paper.judge(tmp_path)) == set()


@pytest.mark.parametrize(
    ("direction", "place", "words"),
    [
        ("enter", EDGE, "the car was in before"),
        ("leave", HOME, "to be left at least 25 m outside"),
        ("leave", EDGE, "to be left at least 25 m outside"),
    ],
)
def test_an_alert_that_cannot_be(tmp_path: Path, direction: str, place: dict[str, float], words: str) -> None:
    paper = Paper()
    paper.status(**at(HOME))
    watch(paper, ZONE)
    alert(paper, direction, place)
    assert words in " ".join(told(paper.judge(tmp_path), "area alerts"))


def test_an_alert_of_what_is_not_watched(tmp_path: Path) -> None:
    """Never, replaced, or the other way only."""
    paper = Paper()
    alert(paper, "leave", OUTSIDE)
    watch(paper, ZONE)
    watch(paper, {**ZONE, "name": "other", "on": "enter"}, command_id="a2")
    alert(paper, "leave", OUTSIDE)
    alert(paper, "leave", OUTSIDE, zone="other")
    found = told(paper.judge(tmp_path), "area alerts")
    assert ["not watched" in words for words in found] == [True, True, False]
    assert "is watched for enter" in found[2]


@pytest.mark.parametrize(
    ("zone", "missing"),
    [
        (ZONE, True),
        ({**ZONE, "on": "leave"}, True),
        ({**ZONE, "on": "enter"}, False),
        ({**ZONE, "days": "weekend"}, False),
        ({**ZONE, "begins": "20:00", "ends": "21:00"}, False),
        ({"name": "home", **HOME, "width_m": 1000.0, "height_m": 1000.0}, True),
        ({"name": "home", **HOME, "width_m": 1000.0, "height_m": 6000.0}, False),
    ],
)
def test_parked_on_the_other_side_without_an_alert(tmp_path: Path, zone: dict[str, Any], *, missing: bool) -> None:
    paper = Paper()
    paper.status(**at(HOME))
    watch(paper, zone)
    paper.event("engine_on")
    drive(paper)
    paper.status("engine_off", **at(AWAY))
    assert broken(paper.judge(tmp_path)) == ({"area alerts"} if missing else set())


@pytest.mark.parametrize("name", ["privacy_changed", "car_reset"])
def test_who_was_silent_meanwhile_has_missed_nothing(tmp_path: Path, name: str) -> None:
    paper = Paper()
    paper.status(**at(HOME))
    watch(paper, ZONE)
    paper.event("engine_on")
    drive(paper)
    paper.event(name)
    paper.status("load", **at(AWAY))
    assert "area alerts" not in broken(paper.judge(tmp_path))


# --- the commands


@pytest.mark.parametrize(
    ("name", "parameters", "is_wrong"),
    [
        ("speed_alert", {"limit_kmh": 100}, False),
        ("speed_alert", {}, False),
        ("speed_alert", {"limit_kmh": 105}, True),
        ("speed_alert", {"limit_kmh": 20}, True),
        ("area_alert", {"zones": []}, False),
        ("area_alert", {"zones": [ZONE]}, False),
        ("area_alert", {"zones": [ZONE, ZONE]}, True),
        ("area_alert", {"zones": [{**ZONE, "name": str(n)} for n in range(5)]}, True),
        ("area_alert", {"zones": [{**ZONE, "name": " "}]}, True),
        ("area_alert", {"zones": [{**ZONE, "radius_m": 0}]}, True),
        ("area_alert", {"zones": [{**ZONE, "radius_m": None}]}, True),
        ("area_alert", {"zones": [{**ZONE, "width_m": 500.0}]}, True),
        ("area_alert", {"zones": [{**ZONE, "latitude": 90.0}]}, True),
        ("area_alert", {"zones": [{**ZONE, "longitude": 179.999}]}, True),
        ("area_alert", {"zones": [{**ZONE, "longitude": None}]}, True),
        ("area_alert", {"zones": [{**ZONE, "begins": "06:00"}]}, True),
        ("area_alert", {"zones": [{**ZONE, "begins": "06:00", "ends": "24:00"}]}, True),
        ("area_alert", {"zones": [{**ZONE, "begins": "06:00", "ends": "05:00"}]}, False),
    ],
    ids=str,
)
def test_words_of_the_commands(tmp_path: Path, name: str, parameters: dict[str, Any], *, is_wrong: bool) -> None:
    """What is wrong must not be accepted, what is right must not be refused."""
    paper = Paper()
    paper.get("c1", name, **parameters)
    paper.answer("c1", name, "accepted")
    assert broken(paper.judge(tmp_path)) == ({"alert rule"} if is_wrong else set())
    paper = Paper()
    paper.get("c1", name, **parameters)
    paper.answer("c1", name, "rejected", reason="argument_out_of_range")
    assert broken(paper.judge(tmp_path)) == (set() if is_wrong else {"alert rule"})


@pytest.mark.parametrize(("week", "states", "reason"), [(202224, ("accepted",), None), (202225, ("rejected",), "not_equipped")])
def test_weeks(tmp_path: Path, week: int, states: tuple[str, ...], reason: str | None) -> None:
    fitted: dict[str, Equipment] = {VIN: msgspec.structs.replace(equipment(), build_week=week)}
    paper = Paper()
    paper.get("c1", "speed_alert", limit_kmh=100)
    paper.answer("c1", "speed_alert", *states, reason=reason)
    assert broken(paper.judge(tmp_path, equipment=fitted)) == {"alert rule"}


# --- speed


def limited(action: str = "start") -> Paper:
    paper = Paper()
    paper.get("s1", "speed_alert", action=action, limit_kmh=60)
    paper.answer("s1", "speed_alert", "accepted", "succeeded")
    return paper


@pytest.mark.parametrize(("limit", "speed", "holds"), [(60, 60.1, True), (60, 59.9, False), (50, 70.0, False)])
def test_a_speed_alert(tmp_path: Path, limit: int, speed: float, *, holds: bool) -> None:
    paper = limited()
    paper.event("speed_alert", limit_kmh=limit, speed_kmh=speed)
    assert broken(paper.judge(tmp_path)) == (set() if holds else {"speed alerts"})


def test_a_speed_alert_without_a_limit(tmp_path: Path) -> None:
    paper = limited("stop")
    paper.event("speed_alert", limit_kmh=60, speed_kmh=70.0)
    assert broken(paper.judge(tmp_path)) == {"speed alerts"}


@pytest.mark.parametrize(("average", "alerted", "holds"), [(70.0, True, True), (70.0, False, False), (59.0, False, True)])
def test_a_fast_trip(tmp_path: Path, average: float, *, alerted: bool, holds: bool) -> None:
    paper = limited()
    paper.event("engine_on")
    if alerted:
        paper.event("speed_alert", limit_kmh=60, speed_kmh=80.0)
    drive(paper, average_speed_kmh=average)
    paper.status("engine_off")
    assert broken(paper.judge(tmp_path)) == (set() if holds else {"speed alerts"})


def test_a_limit_that_was_set_on_the_way(tmp_path: Path) -> None:
    """The trip may have been fast before."""
    paper = Paper()
    paper.event("engine_on")
    paper.get("s1", "speed_alert", limit_kmh=60)
    paper.answer("s1", "speed_alert", "accepted", "succeeded")
    drive(paper, average_speed_kmh=90.0)
    paper.status("engine_off")
    assert broken(paper.judge(tmp_path)) == set()


# --- wear


def fault(paper: Paper, name: str = "headlight") -> None:
    paper.event("fault", id=name, text="", category="lighting", priority=3, mileage_km=1.0)


def report(paper: Paper, *lights: str, trigger: str = "load", state: str = "parked", at: int | None = None) -> None:
    warnings = [{"id": name, "text": "", "category": "other", "priority": 3} for name in lights]
    reported_at = paper.now + 1_000_000 if at is None else at
    paper.status(trigger, state, health={"reported_at": reported_at, "mileage_km": 1.0, "warnings": warnings})


def driven(km: float = 25.0) -> Paper:
    paper = Paper()
    paper.event("engine_on")
    drive(paper, distance_km=km)
    return paper


def test_a_fault_its_report_and_the_workshop(tmp_path: Path) -> None:
    paper = driven()
    fault(paper)
    report(paper, "headlight", trigger="engine_off")
    paper.event("serviced", faults=["headlight"], services=[])
    fault(paper)
    report(paper, "fuel_reserve", "headlight")
    assert broken(paper.judge(tmp_path)) == set()


def fault_again(paper: Paper) -> None:
    fault(paper)
    fault(paper)


def light_missing(paper: Paper) -> None:
    fault(paper)
    report(paper)


def left_by_the_workshop(paper: Paper) -> None:
    fault(paper)
    paper.event("serviced", faults=[], services=["inspection"])


def due_again(paper: Paper) -> None:
    paper.event("service_due", service="inspection", left_km=0.0, left_days=3)
    paper.event("service_due", service="inspection", left_km=-1.0, left_days=3)


def adblue_back(paper: Paper) -> None:
    paper.event("adblue_warning", warning="critical", range_km=900)
    paper.event("adblue_warning", warning="low", range_km=2400)


def older_report(paper: Paper) -> None:
    report(paper)
    report(paper, at=paper.now - 60_000_000)


def report_of_tomorrow(paper: Paper) -> None:
    report(paper, at=paper.now + 86_400_000_000)


def refreshed_with_an_old_one(paper: Paper) -> None:
    paper.event("engine_on")
    report(paper, trigger="refresh", state="ignition_on", at=paper.now)


def refreshed_without(paper: Paper) -> None:
    paper.event("engine_on")
    paper.status("refresh", "ignition_on")


def out_of_order(paper: Paper) -> None:
    lights = [{"id": name, "text": "", "category": "other", "priority": priority} for name, priority in (("a", 4), ("b", 1))]
    paper.status(health={"reported_at": paper.now, "mileage_km": 1.0, "warnings": lights})


@pytest.mark.parametrize(
    "plant",
    [
        fault_again, light_missing, left_by_the_workshop, due_again, adblue_back, older_report, report_of_tomorrow,
        refreshed_with_an_old_one, refreshed_without, out_of_order,
    ],
    ids=lambda plant: plant.__name__,
)  # fmt: skip
def test_wear_and_reports_that_cannot_be(tmp_path: Path, plant: Any) -> None:
    paper = driven()
    paper.status("engine_off")
    plant(paper)
    assert broken(paper.judge(tmp_path)) == {"wear"}


def test_adblue_again_once_it_was_filled_in(tmp_path: Path) -> None:
    paper = driven()
    paper.status("engine_off")
    for taken in ({"fuel_l": 20.0, "adblue_l": 8.0}, {"fuel_l": 3.0}):
        paper.event("adblue_warning", warning="low", range_km=2400)
        paper.event("refuelled", **taken)
    paper.event("adblue_warning", warning="very_low", range_km=1750)
    assert broken(paper.judge(tmp_path)) == set()


@pytest.mark.parametrize(("km", "holds"), [(19.0, False), (20.0, True)])
def test_the_first_report(tmp_path: Path, km: float, *, holds: bool) -> None:
    paper = driven(km)
    report(paper, trigger="engine_off")
    assert broken(paper.judge(tmp_path)) == (set() if holds else {"wear"})


# --- driving data


def told_driving(paper: Paper, today: float, long: float, day: str = "2026-03-02", last: float = 5.0) -> None:
    def figures(km: float) -> dict[str, Any]:
        return {**FIGURES, "distance_km": km, "duration_min": km * 2, "fuel_l": km * 0.08}

    paper.event("engine_on")
    drive(paper)
    driving = {
        "last_trip": FIGURES | {"distance_km": last},
        "today": {**figures(today), "day": day},
        "since_filled": figures(long),
    }
    paper.status("engine_off", driving=driving)


def test_driving_data_that_add_up(tmp_path: Path) -> None:
    """Over days, and over a filling up."""
    paper = Paper()
    told_driving(paper, 5.0, 105.0)
    told_driving(paper, 10.0, 110.0)
    told_driving(paper, 5.0, 115.0, "2026-03-03")
    paper.event("refuelled", fuel_l=30.0)
    told_driving(paper, 10.0, 5.0, "2026-03-03")
    assert broken(paper.judge(tmp_path)) == set()


@pytest.mark.parametrize(
    ("today", "long", "day", "last"),
    [
        (11.0, 110.0, "2026-03-02", 5.0),
        (5.0, 110.0, "2026-03-02", 5.0),
        (10.0, 110.0, "2026-03-03", 5.0),
        (10.0, 111.0, "2026-03-02", 5.0),
        (10.0, 110.0, "2026-03-02", 4.0),
    ],
)
def test_driving_data_that_do_not(tmp_path: Path, today: float, long: float, day: str, last: float) -> None:
    paper = Paper()
    told_driving(paper, 5.0, 105.0)
    told_driving(paper, today, long, day, last)
    assert broken(paper.judge(tmp_path)) == {"driving data"}
