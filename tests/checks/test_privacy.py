"""The checks of privacy and calls: a day on which people turn all switches breaks no rule, and planted faults are caught."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet.observe.story import CAR
from tests.checks.lab import (
    Paper,
    Records,
    broken,
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
scenario: a-private-day
purpose: Switches are turned all day, messages wait, cars crash and are reset, and a broker dies.
seed: 21
start: 2026-03-02T05:00Z
duration: 15 h
clock: virtual
region: munich
fleets:
  - {name: new, count: 24, models: {Born: 1}, profile: commuter, coverage: {garages: 20 %, holes: 20 %},
     privacy: {online_with_location: 50 %, online: 30 %, offline: 20 %}}
  - {name: old, count: 16, models: {Leon: 1}, energies: {Leon: {petrol: 1}}, profile: commuter,
     coverage: {garages: 20 %, holes: 10 %}, equipment: {parking_heater: true},
     privacy: {online_with_location: 80 %, maximum_privacy: 20 %}}
commands:
  - {name: refresh, count: 120}
  - {name: honk, count: 80, parameters: {mode: flash}, distance: {from: 0 m, to: 700 m}}
  - {name: lock, count: 80, spin: right}
  - {name: unlock, count: 40, spin: right}
  - {name: heater, count: 60, fleet: old, spin: right, parameters: {action: [start, start, stop], minutes: [10, 20, 60]}}
  - {name: area_alert, count: 60, fleet: new, parameters: {zones: [{name: home, at: home, radius_m: 800}]}}
  - {name: speed_alert, count: 60, fleet: new, parameters: {action: start, limit_kmh: 60}}
  - {name: charging, count: 60, fleet: new, parameters: {action: [start, stop]}}
  - {name: climatisation, count: 60, fleet: new, spin: right, parameters: {action: [start, start, stop]}}
load:
  - {do: ask_status, rate: 60 per hour}
  - {do: set_privacy, mode: offline, poisson: 0.1 per hour per car}
  - {do: set_privacy, mode: online, poisson: 0.1 per hour per car}
  - {do: set_privacy, mode: online_with_location, poisson: 0.2 per hour per car}
  - {do: press_sos, poisson: 0.1 per hour per car}
  - {do: breakdown_call, poisson: 0.05 per hour per car}
  - {do: info_call, poisson: 0.1 per hour per car}
  - {do: crash, poisson: 0.3 per hour per car}
  - {do: repair, poisson: 0.5 per hour per car}
  - {do: set_service, named: refresh, switch: off, poisson: 0.05 per hour per car}
  - {do: set_service, named: refresh, switch: on, poisson: 0.1 per hour per car}
  - {do: workshop_mode, switch: on, poisson: 0.05 per hour per car}
  - {do: workshop_mode, switch: off, poisson: 0.05 per hour per car}
timeline:
  - {at: 5 h, broker: kill}
  - {at: 5 h 10 min, broker: start}
  - {at: 7 h, do: lose_coverage, cars: {share: 40 %}}
  - {at: 9 h, do: regain_coverage, cars: {share: 40 %}}
  - {every: 3 h, do: reset_car, cars: {share: 20 %}}
  - {every: 3 h 40 min, do: pair_car}
  - {every: 4 h, command: reset, cars: {share: 10 %}}
"""
OWN = {"position kept", "silence kept", "switch rule", "emergency calls", "info calls"}
Plant = Callable[[Records], None]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_day(tmp_path_factory.mktemp("private"), DAY)


@pytest.mark.parametrize("until_stored", [False, True])
def test_a_day_with_switches_breaks_no_rule(clean: Path, tmp_path: Path, *, until_stored: bool) -> None:
    """Neither those of privacy nor any other: what a silence hides is not taken for a fault."""
    found = judged(run_day(tmp_path, DAY, until_stored=True) if until_stored else clean)
    assert broken(found) == set(), [breach for finding in found.findings for breach in finding.breaches][:3]
    assert all(finding.looked_at for finding in found.findings if finding.check in OWN)


# --- planted --------------------------------------------------------------------------------------------------------


def messages_in(records: Records, mode: str) -> list[int]:
    """Return the places of messages first sent by a car after its switch was set to this mode and before it was set again."""
    modes: dict[str, str] = {}
    found = []
    for index, record in enumerate(records):
        if record.get("type") == "SetPrivacy":
            modes[record["m"]] = record["data"]["mode"]
        elif record.get("type") == "Transmit" and modes.get(record["m"]) == mode and not record["data"]["again"]:
            found.append(index)
    return found


def a_position_leaves(records: Records) -> None:
    at = next(i for i in messages_in(records, "online") if records[i]["of"] == "Status" and "K1Z" in records[i]["m"])
    records[at]["data"]["message"]["position"] = {"latitude": 48.1, "longitude": 11.5, "accuracy_m": 8.0, "fixed_at": 1}
    reframe(records, at)


def a_place_leaves_with_an_event(records: Records) -> None:
    at = next(
        i
        for i in messages_in(records, "online")
        if records[i]["of"] == "Event" and records[i]["data"]["message"]["name"] == "trip" and "K1Z" in records[i]["m"]
    )
    records[at]["data"]["message"]["data"]["destination"] = {"latitude": 48.1, "longitude": 11.5}
    reframe(records, at)


def one_speaks_in_silence(records: Records) -> None:
    """Its switch was turned just before."""
    at = find_message(records, "Status", lambda m: m["trigger"] == "engine_off", after=len(records) // 3)
    inserted(records, at, records[at]["t"], "SetPrivacy", {"mode": "offline"})


def one_speaks_after_its_reset(records: Records) -> None:
    at = find_message(records, "Status", lambda m: m["trigger"] == "engine_off", after=len(records) // 3)
    inserted(records, at, records[at]["t"], "ResetCar", {"user": None})


def obeyed_in_the_workshop(records: Records) -> None:
    at = find_message(records, "Response", lambda m: (m["name"], m["state"]) == ("lock", "accepted"))
    inserted(records, at, records[at]["t"] - 1, "SetWorkshop", {"on": True})


def obeyed_though_switched_off(records: Records) -> None:
    at = find_message(records, "Response", lambda m: (m["name"], m["state"]) == ("lock", "accepted"))
    inserted(records, at, records[at]["t"] - 1, "SetService", {"name": "lock", "on": False})


def inserted(records: Records, before: int, t: int, kind: str, data: dict[str, Any]) -> None:
    records.insert(before, {"t": t, "m": records[before]["m"], "k": "in", "type": kind, "data": data})


def nobody_is_told(records: Records) -> None:
    del records[find(records, lambda r: r["data"]["to"] == "emergency_centre", k="out", type="Notify")]


def told_twice(records: Records) -> None:
    at = find(records, lambda r: r["data"]["to"] == "emergency_centre", k="out", type="Notify")
    records.insert(at + 1, dict(records[at]))


def called_without_a_cause(records: Records) -> None:
    del records[find(records, lambda r: r["data"]["name"] == "sos", k="in", type="PressButton")]


def an_info_call_tells_the_mileage(records: Records) -> None:
    at = find_message(records, "Event", lambda m: m["name"] == "info_call")
    records[at]["data"]["message"]["data"]["mileage_km"] = 7.0
    reframe(records, at)


def an_info_call_is_passed_on_with_a_place(records: Records) -> None:
    at = find(records, lambda r: r["data"]["to"] == "info_centre", k="out", type="Notify")
    records[at]["data"]["data"]["position"] = {"latitude": 48.1, "longitude": 11.5}


FAULTS: list[tuple[Plant, str]] = [
    (a_position_leaves, "position kept"),
    (a_place_leaves_with_an_event, "position kept"),
    (one_speaks_in_silence, "silence kept"),
    (one_speaks_after_its_reset, "silence kept"),
    (obeyed_in_the_workshop, "switch rule"),
    (obeyed_though_switched_off, "switch rule"),
    (nobody_is_told, "emergency calls"),
    (told_twice, "emergency calls"),
    (called_without_a_cause, "emergency calls"),
    (an_info_call_tells_the_mileage, "info calls"),
    (an_info_call_is_passed_on_with_a_place, "info calls"),
]


@pytest.mark.parametrize(("plant", "check"), FAULTS, ids=[plant.__name__ for plant, _ in FAULTS])
def test_a_planted_fault_is_caught(clean: Path, tmp_path: Path, plant: Plant, check: str) -> None:
    """By the check it belongs to; of these five, by no other but where they share the fact that a switch was turned."""
    records = read_records(clean)
    plant(records)
    found = judged(write_records(tmp_path / "journal.jsonl", records))
    assert check in broken(found)
    assert broken(found) & OWN <= {check, *({"position kept"} if check == "silence kept" else ())}


# --- by hand --------------------------------------------------------------------------------------------------------


def press(paper: Paper) -> None:
    paper.write(f"{CAR}VSSZZZKLZTR000000", "in", "PressButton", {"name": "sos"})


def call(paper: Paper, *, automatic: bool = False) -> None:
    paper.event("ecall", id="c", automatic=automatic)


def test_a_call_that_is_not_the_first_to_leave(tmp_path: Path) -> None:
    paper = Paper()
    press(paper)
    paper.event("engine_not_started", reason="adblue_empty")
    call(paper)
    assert told(paper.judge(tmp_path), "emergency calls") == ["Event 1 is sent before the emergency call"]


def test_a_call_is_the_first_to_leave_but_for_the_word_of_the_switch(tmp_path: Path) -> None:
    paper = Paper()
    press(paper)
    paper.event("privacy_changed", mode="offline")
    call(paper)
    assert "emergency calls" not in broken(paper.judge(tmp_path))


def test_a_second_call_for_one_cause(tmp_path: Path) -> None:
    paper = Paper()
    press(paper)
    call(paper)
    call(paper)
    assert told(paper.judge(tmp_path), "emergency calls") == ["an emergency call without a cause"]


def test_a_distance_is_a_position(tmp_path: Path) -> None:
    """From somebody whose place is known; the bare reason is none."""
    paper = Paper()
    paper.write(f"{CAR}VSSZZZKLZTR000000", "in", "SetPrivacy", {"mode": "online"})
    paper.send("Response", command_id="a", name="honk", state="rejected", reason="too_far", awake=True)
    assert "position kept" not in broken(paper.judge(tmp_path))
    paper.send("Response", command_id="b", name="honk", state="rejected", reason="too_far", detail="600 m away", awake=True)
    assert told(paper.judge(tmp_path), "position kept") == ["the mode is online, but Response 2 tells a distance"]
