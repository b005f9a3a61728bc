"""Faults planted into the journal of a day with routes and updates: each check of them catches its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.kernel.instants import MINUTE
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
    told,
    write_records,
)

DAY = """\
scenario: a-day-on-the-road
purpose: Routes and updates, with all that the checks of them look at.
seed: 12
start: 2026-03-02T05:00Z
duration: 17 h
clock: virtual
region: munich
fleets:
  - {name: several, count: 12, models: {Formentor: 1}, profile: commuter, coverage: {garages: 10 %, holes: 60 %},
     equipment: {media: navi_system, build_week: 202301}}
  - {name: one, count: 4, models: {Leon: 1}, profile: courier, equipment: {media: navi_system, build_week: 202101}}
  - {name: none, count: 4, models: {Ateca: 1}, profile: errands, equipment: {media: media_system}}
timeline:
  - {at: 5 min, do: give_consent, cars: {share: 50 %}}
  - {at: 10 min, command: system_update, parameters: {campaign: a, version: "2", size_mb: 2500}}
  - {at: 15 min, command: system_update, cars: {share: 70 %},
     parameters: {campaign: b, version: "3", size_mb: 2500, target: infotainment, consent: true}}
  - {at: 20 min, command: route_import, parameters: {trips: [{waypoints: [{at: 5 km}]}]}}
  - {at: 30 min, command: route_import, parameters: {trips: [{waypoints: [{at: 5 km}]}, {waypoints: [{at: 5 km}]}]}}
  - {every: 3 h, command: route_import, parameters: {trips: [{waypoints: [{at: 5 km}, {at: 4 km}]}]}}
  - {at: 12 h, do: clear_routes, cars: {share: 50 %}}
  - {at: 7 h, do: fail_update, cars: {share: 20 %}}
  - {every: 2 h, do: drive, to: {from: 8 km, to: 15 km}}
  - {every: 30 min, do: ask_status}
"""
JOURNEYS = {"route rule", "consent rule", "updates"}
Plant = Callable[[Records], None]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_day(tmp_path_factory.mktemp("road"), DAY)


def received(records: Records, name: str, state: str, where: Callable[[dict[str, Any]], object] = bool) -> dict[str, Any]:
    """Return the first such command that was answered like this, as the car got it."""
    ids = {
        record["data"]["message"]["command_id"]
        for record in records
        if record.get("of") == "Response"
        and (record["data"]["message"]["name"], record["data"]["message"]["state"]) == (name, state)
    }
    at = find(
        records,
        lambda r: r["data"]["message"]["id"] in ids and where(r["data"]["message"]["parameters"]),
        k="in",
        type="Received",
        of="Command",
    )
    command: dict[str, Any] = records[at]["data"]["message"]
    return command


def many_waypoints(records: Records) -> None:
    parameters = received(records, "route_import", "succeeded")["parameters"]
    parameters["trips"][0]["waypoints"] *= 5


def no_waypoint(records: Records) -> None:
    received(records, "route_import", "succeeded")["parameters"]["trips"][0]["waypoints"] = []


def nowhere(records: Records) -> None:
    received(records, "route_import", "succeeded")["parameters"]["trips"][0]["waypoints"][0]["latitude"] = None


def change_event(name: str, which: str | None = None, **changed: Any) -> Plant:
    """Return what changes the first such event."""

    def plant(records: Records) -> None:
        at = find_message(records, "Event", lambda m: m["name"] == name and which in {None, m["data"].get("state")})
        records[at]["data"]["message"]["data"] |= changed
        reframe(records, at)

    return plant


def nobody_agreed(records: Records) -> None:
    del received(records, "system_update", "accepted", lambda parameters: parameters.get("consent"))["parameters"]["consent"]


def agreed_all_the_time(records: Records) -> None:
    answer = find_message(records, "Response", lambda m: m.get("reason") == "consent_missing")
    command_id = records[answer]["data"]["message"]["command_id"]
    for record in records:
        if record.get("of") == "Command" and record["data"]["message"]["id"] == command_id:
            record["data"]["message"]["parameters"]["consent"] = True


def installed_in_a_minute(records: Records) -> None:
    """What was installed is told too early; everything else of the car's story is kept in its order."""
    at = find_message(records, "Event", lambda m: m["name"] == "update_progress" and m["data"]["state"] == "installing")
    machine, seq = records[at]["m"], records[at]["data"]["message"]["seq"]
    result = find_message(records, "Event", lambda m: m["name"] == "update_result", after=at)
    assert records[result]["m"] == machine
    records[result]["data"]["message"]["captured_at"] = records[at]["data"]["message"]["captured_at"] + MINUTE
    assert records[result]["data"]["message"]["seq"] > seq
    reframe(records, result)


def another_version(records: Records) -> None:
    at = find_message(records, "Status", lambda m: "software" in m)
    records[at]["data"]["message"]["software"] = {"system": "99"}
    reframe(records, at)


FAULTS: list[tuple[Plant, set[str]]] = [
    (many_waypoints, {"route rule"}),
    (no_waypoint, {"route rule"}),
    (nowhere, {"route rule"}),
    (change_event("route_offered", count=4), {"route rule"}),
    (change_event("route_downloaded", listed=9), {"route rule"}),
    (nobody_agreed, {"consent rule"}),
    (agreed_all_the_time, {"consent rule"}),
    (change_event("update_progress", "paused", percent=0.0), {"updates"}),
    (change_event("update_progress", "downloading", percent=7.0), {"updates"}),
    (change_event("update_progress", "installing", percent=99.0), {"updates"}),
    (change_event("update_progress", "downloaded", state="installing"), {"effects", "updates"}),
    (change_event("update_result", "installed", version="99"), {"updates"}),
    (another_version, {"updates"}),
]


@pytest.mark.parametrize(
    ("plant", "checks"), FAULTS, ids=[f"{number}-{min(checks)}" for number, (_, checks) in enumerate(FAULTS)]
)
def test_a_planted_fault_is_caught(clean: Path, tmp_path: Path, plant: Plant, checks: set[str]) -> None:
    """What is wrong breaks the rule it belongs to, and no other."""
    records = read_records(clean)
    plant(records)
    assert broken(judged(write_records(tmp_path / "journal.jsonl", records))) == checks


def test_an_installation_that_was_too_short(clean: Path, tmp_path: Path) -> None:
    """It is caught; what was measured when is in doubt, too."""
    records = read_records(clean)
    installed_in_a_minute(records)
    found = judged(write_records(tmp_path / "journal.jsonl", records))
    assert any("1.0 min after installing" in words for words in told(found, "updates"))


def test_the_day_without_a_fault_holds(clean: Path) -> None:
    """Nothing of it breaks a rule, and each of these checks had something to look at."""
    found = judged(clean)
    assert broken(found) == set()
    assert {finding.check for finding in found.findings if finding.looked_at} >= JOURNEYS


@pytest.mark.parametrize("changed", [{"media": "media_system"}, {"build_week": 202101}, {"build_week": 202301}])
def test_routes_of_other_cars(clean: Path, changed: dict[str, Any]) -> None:
    """Without a navi system they are not taken; an older car holds one, and is never full; others are not refused two."""
    equipment = {vin: msgspec.structs.replace(each, **changed) for vin, each in equipment_in(clean).items()}
    assert broken(judged(clean, equipment)) >= {"route rule"}
