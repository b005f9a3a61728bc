"""What happens seldom and is no fault: commands that come again, words that nobody reads, what is told late or dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.kernel.instants import SECOND
from fleet.wire.messages import Doors
from tests.checks.lab import CAR, START, VIN, Paper, broken
from tests.vehicle.car_lab import equipment


@pytest.fixture
def paper() -> Paper:
    return Paper()


def doors(*, locked: bool) -> dict[str, dict[str, bool]]:
    return {field.name: {"open": False, "locked": locked} for field in msgspec.structs.fields(Doors)}


def test_a_refresh_that_comes_again_is_answered_without_a_status(paper: Paper, tmp_path: Path) -> None:
    """The first answer is followed by its status, the repeated one by anything."""
    paper.get("c1", "refresh")
    paper.answer("c1", "refresh", "accepted", "succeeded")
    paper.status("refresh")
    paper.get("c1", "refresh")
    paper.answer("c1", "refresh", "succeeded")
    paper.event("workshop_mode", on=True, reason="by_hand")
    assert broken(paper.judge(tmp_path)) == set()


def test_a_lock_that_comes_again_locks_nothing(paper: Paper, tmp_path: Path) -> None:
    """It was unlocked since, and the answer to the same command says nothing of now."""
    for number, name in enumerate(("lock", "unlock")):
        paper.get(f"c{number}", name)
        paper.answer(f"c{number}", name, "accepted", "in_progress", "succeeded")
    paper.get("c0", "lock")
    paper.answer("c0", "lock", "succeeded")
    paper.status(doors=doors(locked=False))
    assert broken(paper.judge(tmp_path)) == set()


@pytest.mark.parametrize("reason", ["malformed", "privacy_offline", "not_paired", "busy"])
@pytest.mark.parametrize("name", ["area_alert", "route_import", "charging_locations", "departure_timers", "honk"])
def test_words_that_nobody_has_read_are_not_judged(paper: Paper, tmp_path: Path, name: str, reason: str) -> None:
    """A silent car, and one whose queue is full, refuse without looking at the parameters."""
    if reason == "not_paired":
        paper.write(CAR, "in", "ResetCar", {"user": None})
    paper.get("c1", name)
    detail = "too many commands wait for the car to wake" if reason == "busy" else ""
    paper.send("Response", command_id="c1", name=name, state="rejected", reason=reason, detail=detail, awake=False)
    assert broken(paper.judge(tmp_path)) == set()


def test_a_reset_that_is_told_after_the_pairing_silences_nobody(paper: Paper, tmp_path: Path) -> None:
    """The car was reset without a connection, and has a user again before it can tell."""
    paper.get("c1", "reset")
    reset_at = paper.now
    paper.pass_time(10)
    paper.write(CAR, "in", "PairCar", None)
    for state in ("accepted", "succeeded"):
        header = {"vin": VIN, "boot": 7, "seq": 1 + (state == "succeeded"), "captured_at": reset_at}
        told = header | {"command_id": "c1", "name": "reset", "state": state, "reason": None, "awake": True}
        paper.write(CAR, "out", "Transmit", {"message": told, "due_at": reset_at, "again": False}, "Response")
    paper.send("Event", seq=3, name="car_paired", data={})
    paper.status()
    assert "silence kept" not in broken(paper.judge(tmp_path))


def test_a_dropped_status_leaves_the_doors_unknown(paper: Paper, tmp_path: Path) -> None:
    """Who has left the car may have locked it, and the message that said so was dropped before another came."""
    paper.event("engine_on")
    paper.event("engine_off")
    paper.status("engine_off", doors=doors(locked=False))
    paper.send("Event", seq=5, name="workshop_mode", data={"on": True, "reason": "by_hand"})
    paper.send("Status", seq=6, trigger="load", state="parked", doors=doors(locked=True))
    assert "doors" not in broken(paper.judge(tmp_path))


def test_a_dropped_status_of_the_engine_is_not_waited_for(paper: Paper, tmp_path: Path) -> None:
    """What overtakes comes first, after the gap; what follows it is not the status of that stop."""
    paper.event("engine_on")
    paper.event("engine_off")
    paper.send("Event", seq=4, name="privacy_changed", data={"mode": "online_with_location", "services_off": []})
    paper.send("Event", seq=5, name="workshop_mode", data={"on": True, "reason": "by_hand"})
    assert broken(paper.judge(tmp_path)) == set()


@pytest.mark.parametrize("day", ["soon", "2026-02-30", "2026-3-2"])
def test_a_departure_on_no_day_is_out_of_range(paper: Paper, tmp_path: Path, day: str) -> None:
    paper.get("c1", "departure_timers", timers=[{"at": "07:00", "date": day}])
    paper.answer("c1", "departure_timers", "rejected", reason="argument_out_of_range")
    assert broken(paper.judge(tmp_path)) == set()
    paper.get("c2", "departure_timers", timers=[{"at": "07:00", "date": day}])
    paper.answer("c2", "departure_timers", "accepted", "succeeded")
    assert broken(paper.judge(tmp_path)) == {"charging rule"}


def test_who_is_paired_again_may_end_a_request_that_was_asked_before(paper: Paper, tmp_path: Path) -> None:
    paper.send("Request", id="a1", name="traffic", data={}, expires_at=paper.now + 60_000_000)
    paper.write(CAR, "in", "PairCar", None)
    paper.pass_time(0.5)
    paper.event("request_failed", id="a1", request="traffic", reason="internal")
    paper.event("request_timed_out", id="a2", request="traffic")
    assert "request ends" not in broken(paper.judge(tmp_path))


def test_routes_of_which_a_pairing_leaves_nothing_known_may_lapse(paper: Paper, tmp_path: Path) -> None:
    paper.get("c1", "route_import", trips=[{"waypoints": [{"latitude": 48.1, "longitude": 11.5}]}])
    paper.answer("c1", "route_import", "accepted", "succeeded")
    paper.write(CAR, "in", "PairCar", None)
    paper.event("route_lapsed", count=1)
    assert broken(paper.judge(tmp_path)) == set()


def test_a_plug_that_a_dropped_status_told_of_is_not_missed(paper: Paper, tmp_path: Path) -> None:
    paper.status(
        "charging", charging={"state": "unplugged", "plugged_in": False, "power_kw": 0.0, "max_current_a": 16, "remaining_min": 0}
    )
    paper.get("c1", "charging")
    paper.send("Response", seq=3, command_id="c1", name="charging", state="accepted", reason=None, awake=True)
    assert broken(paper.judge(tmp_path)) == set()


def test_a_start_waits_for_a_stop_and_for_no_other(paper: Paper, tmp_path: Path) -> None:
    """While a stop works, a start is busy; when it is done, it is not."""
    paper.get("c1", "heater", action="stop")
    paper.answer("c1", "heater", "accepted", "in_progress")
    paper.get("c2", "heater")
    paper.answer("c2", "heater", "rejected", reason="busy", detail="heater is still in progress")
    assert broken(paper.judge(tmp_path)) == set()
    paper.answer("c1", "heater", "succeeded")
    paper.get("c3", "heater")
    paper.answer("c3", "heater", "rejected", reason="busy", detail="heater is still in progress")
    assert broken(paper.judge(tmp_path)) == {"busy rule"}


@pytest.mark.parametrize("name", ["departure_timers", "ventilation_timers"])
def test_a_day_of_the_week_that_is_named_twice_is_one_too_many_of_eight(paper: Paper, tmp_path: Path, name: str) -> None:
    """The list of days has seven at most, whatever they are."""
    week = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    paper.get("c1", name, timers=[{"at": "07:30", "days": [*week, "monday"]}])
    paper.answer("c1", name, "rejected", reason="argument_out_of_range")
    paper.get("c2", name, timers=[{"at": "07:30", "days": week}])
    paper.answer("c2", name, "accepted", "succeeded")
    assert broken(paper.judge(tmp_path)) == set()


@pytest.mark.parametrize("word", ["campaign", "version"])
def test_an_update_with_too_long_a_name_is_refused(paper: Paper, tmp_path: Path, word: str) -> None:
    """Forty characters are taken, one more is not."""
    words: dict[str, Any] = {"campaign": "spring", "version": "2.0", "size_mb": 900, "consent": True}
    paper.get("c1", "system_update", **(words | {word: "x" * 41}))
    paper.answer("c1", "system_update", "rejected", reason="argument_out_of_range")
    paper.get("c2", "system_update", **(words | {word: "x" * 40}))
    paper.answer("c2", "system_update", "accepted", "succeeded")
    assert broken(paper.judge(tmp_path)) == set()


def test_departure_times_outlive_a_pairing(paper: Paper, tmp_path: Path) -> None:
    """Nobody has deleted them."""
    paper.get("c1", "departure_timers", timers=[{"at": "07:30", "days": ["monday"]}])
    paper.answer("c1", "departure_timers", "accepted", "succeeded")
    paper.write(CAR, "in", "PairCar", None)
    paper.event("workshop_mode", on=True, reason="by_hand")
    departs_at = START + 90 * 60 * SECOND
    paper.now = departs_at - SECOND
    paper.send("Event", name="departure_ready", data={"departs_at": departs_at, "charge_percent": 80.0})
    assert "departures" not in broken(paper.judge(tmp_path))


def test_what_is_opened_in_the_microsecond_of_a_status_is_open_in_the_next(paper: Paper, tmp_path: Path) -> None:
    """The first status may be of before or after; the second is of after."""
    paper.move_door("bonnet", opened=True)
    moved_at = paper.now
    first = {"captured_at": moved_at, "trigger": "load", "state": "parked", "doors": doors(locked=False)}
    message = {"vin": VIN, "boot": 7, "seq": 1} | first
    paper.write(CAR, "out", "Transmit", {"message": message, "due_at": moved_at, "again": False}, "Status")
    opened = doors(locked=False) | {"bonnet": {"open": True, "locked": False}}
    paper.send("Status", seq=2, trigger="load", state="parked", doors=opened)
    assert broken(paper.judge(tmp_path)) == set()


def test_a_charge_that_was_drawn_down_before_anybody_heard_of_it_may_have_fallen(paper: Paper, tmp_path: Path) -> None:
    """Both statuses waited for a connection, and leave the car after it."""
    charging = {"state": "charging", "plugged_in": True, "power_kw": 4.0, "max_current_a": 16}
    measured_at = paper.now
    paper.write(CAR, "in", "DrainTo", {"share": 0.0})
    for seq, at, percent in ((1, measured_at, 96.0), (2, paper.now, 0.0)):
        flows = charging | {"remaining_min": round((100 - percent) / 100 * 77 / 4.0 * 60)}
        told = {"trigger": "load", "state": "parked", "energy": {"charge_percent": percent}, "charging": flows}
        message = {"vin": VIN, "boot": 7, "seq": seq, "captured_at": at} | told
        paper.write(CAR, "out", "Transmit", {"message": message, "due_at": at, "again": False}, "Status")
    assert "charge" not in broken(paper.judge(tmp_path, equipment={VIN: equipment("Born", "electric")}))
