"""Faults planted into the journal of a day under watch: each check of alerts, wear and driving data catches its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.checks.lab import (
    Records,
    broken,
    equipment_in,
    find,
    find_message,
    judged,
    read_records,
    reframe,
    run_day,
    write_records,
)

DAY = """\
scenario: a-day-under-watch
purpose: Zones, limits, faults, AdBlue and the workshop, with all that the checks of them look at.
seed: 11
start: 2026-03-02T05:00Z
duration: 17 h
clock: virtual
region: munich
fleets:
  - {name: watched, count: 16, models: {Leon: 1}, energies: {Leon: {diesel: 1}}, profile: commuter,
     coverage: {garages: 20 %, holes: 20 %}, equipment: {build_week: 202301}}
  - {name: older, count: 6, models: {Formentor: 1}, profile: commuter, equipment: {build_week: 202224}}
commands:
  - {name: area_alert, count: 30, fleet: watched, during: 06:00-07:00,
     parameters: {zones: [{name: home, at: home, radius_m: 500}, {name: work, at: work, width_m: 1500, height_m: 900}]}}
  - {name: speed_alert, count: 30, fleet: watched, during: 06:00-07:00, parameters: {limit_kmh: [40, 80]}}
  - {name: speed_alert, count: 6, fleet: older, parameters: {limit_kmh: 120}}
  - {name: refresh, count: 40}
timeline:
  - {at: 10 min, do: fault, fault: headlight, cars: {fleet: watched, share: 50 %}}
  - {at: 20 min, do: low_adblue, level: 41 %, cars: {fleet: watched}}
  - {at: 14 h, do: repair, cars: {fleet: watched, share: 20 %}}
"""
WATCHING = {"alert rule", "area alerts", "speed alerts", "wear", "driving data"}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_day(tmp_path_factory.mktemp("watched"), DAY)


def received(records: Records, name: str, state: str) -> dict[str, Any]:
    """Return the first command of this name that was answered like this, as the car got it."""
    answer = find_message(records, "Response", lambda m: (m["name"], m["state"]) == (name, state))
    command_id = records[answer]["data"]["message"]["command_id"]
    at = find(records, lambda r: r["data"]["message"]["id"] == command_id, k="in", type="Received", of="Command")
    command: dict[str, Any] = records[at]["data"]["message"]
    return command


def watched_at_no_time(records: Records) -> None:
    received(records, "area_alert", "accepted")["parameters"]["zones"][0] |= {"begins": "25:00", "ends": "06:00"}


def change_event(name: str, **changed: Any) -> Callable[[Records], None]:
    """Return what changes the data of the first event of this name."""

    def plant(records: Records) -> None:
        at = find_message(records, "Event", lambda m: m["name"] == name)
        records[at]["data"]["message"]["data"] |= changed
        reframe(records, at)

    return plant


def entered_from_afar(records: Records) -> None:
    at = find_message(records, "Event", lambda m: m.get("data", {}).get("direction") == "enter")
    records[at]["data"]["message"]["data"]["latitude"] = 47.9
    reframe(records, at)


def a_light_that_is_off(records: Records) -> None:
    def has_light(message: dict[str, Any]) -> bool:
        return any(light["id"] == "headlight" for light in message.get("health", {}).get("warnings", ()))

    at = find_message(records, "Status", has_light)
    records[at]["data"]["message"]["health"]["warnings"] = []
    reframe(records, at)


def a_longer_day(records: Records) -> None:
    at = find_message(records, "Status", lambda m: m["trigger"] == "engine_off" and "driving" in m, after=len(records) // 2)
    records[at]["data"]["message"]["driving"]["today"]["distance_km"] += 5
    reframe(records, at)


FAULTS: list[tuple[Callable[[Records], None], str]] = [
    (watched_at_no_time, "alert rule"),
    (entered_from_afar, "area alerts"),
    (change_event("area_alert", zone="nowhere"), "area alerts"),
    (change_event("speed_alert", speed_kmh=20.0), "speed alerts"),
    (change_event("speed_alert", limit_kmh=30), "speed alerts"),
    (a_light_that_is_off, "wear"),
    (a_longer_day, "driving data"),
]


@pytest.mark.parametrize(("plant", "check"), FAULTS, ids=[f"{number}-{check}" for number, (_, check) in enumerate(FAULTS)])
def test_a_planted_fault_is_caught(clean: Path, tmp_path: Path, plant: Callable[[Records], None], check: str) -> None:
    """What is wrong breaks the rule it belongs to, and no other."""
    records = read_records(clean)
    plant(records)
    assert broken(judged(write_records(tmp_path / "journal.jsonl", records))) == {check}


def test_the_day_without_a_fault_holds(clean: Path) -> None:
    """Nothing of it breaks a rule, and each of these checks had something to look at."""
    found = judged(clean)
    assert broken(found) == set()
    assert {finding.check for finding in found.findings if finding.looked_at} >= WATCHING


def test_alerts_of_an_older_car(clean: Path) -> None:
    """Cars built before week 25 of 2022 have none."""
    equipment = {vin: msgspec.structs.replace(each, build_week=202224) for vin, each in equipment_in(clean).items()}
    assert broken(judged(clean, equipment)) == {"alert rule"}
