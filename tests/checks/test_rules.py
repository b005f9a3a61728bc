"""The rules on short journals that are written by hand: what a real run does not do is broken here, and what it may do holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.checks.verification import verify
from fleet.errors import JournalError
from fleet.kernel.instants import HOUR, MINUTE
from tests.checks.lab import CAR, VIN, Paper, broken, told

HOME = {"latitude": 48.1374, "longitude": 11.5755, "accuracy_m": 8.0, "fixed_at": 1, "parked_at": 1}
DOORS = ("front_left", "front_right", "rear_left", "rear_right", "bonnet", "boot")
USER = {"latitude": 48.1374, "longitude": 11.5755}
ACCOUNT = dict.fromkeys(("created", "published", "acknowledged", "refused", "dropped", "in_outbox", "repeated"), 0)


def doors(*, locked: bool, opened: str = "") -> dict[str, Any]:
    return {name: {"open": name == opened, "locked": locked and name != opened} for name in DOORS}


@pytest.fixture
def paper() -> Paper:
    return Paper()


def test_a_quiet_story_holds(paper: Paper, tmp_path: Path) -> None:
    """A drive, a lock and a refresh as they should be break nothing."""
    paper.event("engine_on")
    paper.event("engine_off")
    paper.status("engine_off", position=HOME, doors=doors(locked=False), captured_at=paper.now)
    paper.get("one", "lock")
    paper.answer("one", "lock", "accepted", "in_progress", "succeeded")
    paper.status("command", doors=doors(locked=True))
    paper.get("two", "refresh")
    paper.answer("two", "refresh", "accepted", "in_progress", "succeeded")
    paper.status("refresh", doors=doors(locked=True))
    assert broken(paper.judge(tmp_path)) == set()


def test_a_number_is_left_out(paper: Paper, tmp_path: Path) -> None:
    """A number that is missing must have been dropped."""
    paper.status()
    paper.status(seq=3)
    assert broken(paper.judge(tmp_path, end=ACCOUNT)) == {"numbering"}
    assert broken(paper.judge(tmp_path, end={**ACCOUNT, "dropped": 1})) == set()
    assert broken(paper.judge(tmp_path)) == set(), "nobody knows what was dropped in a journal without its end"


def test_a_number_comes_again(paper: Paper, tmp_path: Path) -> None:
    """A number is used once."""
    paper.status()
    paper.status(seq=1)
    assert broken(paper.judge(tmp_path)) == {"numbering"}


@pytest.mark.parametrize("name", ["honk", "lock", "unlock", "heater"])
def test_nothing_runs_while_the_engine_is_on(paper: Paper, tmp_path: Path, name: str) -> None:
    """Parked, and the engine off: at the moment of execution."""
    paper.event("engine_on")
    paper.get("one", name, **(USER if name == "honk" else {"minutes": 30} if name == "heater" else {}))
    paper.answer("one", name, "accepted")
    assert broken(paper.judge(tmp_path)) == {f"{'lock' if name == 'unlock' else name} rule"}


@pytest.mark.parametrize("reason", ["not_parked", "engine_running"])
def test_a_refusal_for_an_engine_that_is_off(paper: Paper, tmp_path: Path, reason: str) -> None:
    """A reason must be true."""
    paper.get("one", "unlock")
    paper.answer("one", "unlock", "rejected", reason=reason)
    assert broken(paper.judge(tmp_path)) == {"lock rule"}


@pytest.mark.parametrize(("offset", "state", "position_first", "breaks"), [
    (0.004496, "accepted", True, False),  # 499.98 m north
    (0.004498, "accepted", True, True),  # 500.20 m
    (0.004496, "accepted", False, False),
    (0.004498, "accepted", False, True),
    (0.004496, "rejected", True, True),
    (0.004498, "rejected", True, False),
])  # fmt: skip
def test_five_hundred_metres(paper: Paper, tmp_path: Path, offset: float, state: str, position_first: bool, breaks: bool) -> None:
    """Within 500 m the horn sounds and beyond it does not, also where only a later status tells the place."""
    if position_first:
        paper.status(position=HOME)
    paper.get("one", "honk", latitude=USER["latitude"] + offset, longitude=USER["longitude"])
    paper.answer("one", "honk", state, reason="too_far" if state == "rejected" else None)
    paper.status(position=HOME)
    assert broken(paper.judge(tmp_path)) == ({"honk rule"} if breaks else set())


def test_the_place_of_another_standstill_tells_nothing(paper: Paper, tmp_path: Path) -> None:
    """After a drive the car stands elsewhere."""
    paper.get("one", "honk", latitude=0.0, longitude=0.0)
    paper.answer("one", "honk", "accepted")
    paper.event("engine_on")
    paper.status(state="driving", position=HOME)
    assert broken(paper.judge(tmp_path)) == set()


def test_a_degree_that_is_none(paper: Paper, tmp_path: Path) -> None:
    """Not a number is null in a journal, and no place."""
    paper.get("one", "honk", latitude=None, longitude=0.0)
    paper.answer("one", "honk", "rejected", reason="argument_out_of_range")
    paper.get("two", "honk", latitude=None, longitude=0.0)
    paper.answer("two", "honk", "accepted")
    assert len(told(paper.judge(tmp_path), "honk rule")) == 1


def test_a_short_honk(paper: Paper, tmp_path: Path) -> None:
    """It lasts 10 s."""
    paper.status(position=HOME)
    paper.get("one", "honk", **USER)
    paper.answer("one", "honk", "accepted", "in_progress", "succeeded")
    assert told(paper.judge(tmp_path), "honk rule") == ["honk is succeeded, but lasted 2.0 s, expected 10 s"]


def test_open_doors(paper: Paper, tmp_path: Path) -> None:
    """A door that is open keeps the car from locking; one that was closed before does not."""
    paper.move_door("boot", opened=True)
    paper.get("one", "lock")
    paper.answer("one", "lock", "rejected", reason="door_open")
    paper.move_door("boot", opened=False)
    paper.get("two", "lock")
    paper.answer("two", "lock", "accepted", "in_progress", "succeeded")
    assert broken(paper.judge(tmp_path)) == set()
    paper.move_door("boot", opened=True)
    paper.get("three", "lock")
    paper.answer("three", "lock", "accepted")
    assert told(paper.judge(tmp_path), "lock rule") == ["lock is accepted, but open: boot"]


def test_what_people_do_counts_by_time_and_not_by_line(paper: Paper, tmp_path: Path) -> None:
    """A status that waited in the outbox was measured before the door was opened."""
    paper.status("refresh", doors=doors(locked=True))
    before = paper.now
    paper.pass_time(60)
    paper.move_door("boot", opened=True)
    paper.send("Status", trigger="load", state="parked", doors=doors(locked=True), captured_at=before)
    assert broken(paper.judge(tmp_path)) == set()


def test_a_dropped_status_leaves_the_doors_unknown(paper: Paper, tmp_path: Path) -> None:
    """Who left may have locked, and the status that said so was dropped."""
    paper.event("engine_on")
    paper.status(seq=3, state="ignition_on", doors=doors(locked=True, opened="boot"))
    assert broken(paper.judge(tmp_path)) == set()


def test_two_of_a_kind(paper: Paper, tmp_path: Path) -> None:
    """Lock and unlock are one kind; the second is refused."""
    paper.get("one", "lock")
    paper.get("two", "unlock")
    paper.answer("one", "lock", "accepted")
    paper.answer("two", "unlock", "accepted")
    assert broken(paper.judge(tmp_path)) == {"busy rule"}


def test_busy_with_nothing(paper: Paper, tmp_path: Path) -> None:
    """A car that runs nothing of the kind is not busy, and a stop never is."""
    paper.get("one", "lock")
    paper.answer("one", "lock", "rejected", reason="busy", detail="it is still in progress")
    paper.get("two", "heater", action="stop")
    paper.answer("two", "heater", "rejected", reason="busy", detail="it is still in progress")
    assert len(told(paper.judge(tmp_path), "busy rule")) == 2


def test_the_same_command_twice(paper: Paper, tmp_path: Path) -> None:
    """Delivered twice it is answered twice, alike."""
    for _ in range(2):
        paper.get("one", "unlock")
    paper.answer("one", "unlock", "accepted", "in_progress", "succeeded", "succeeded")
    assert broken(paper.judge(tmp_path)) == set()
    paper.answer("one", "unlock", "succeeded")
    assert told(paper.judge(tmp_path), "command runs") == ["came 2 times, but its end is told 3 times"]


def test_another_answer_than_before(paper: Paper, tmp_path: Path) -> None:
    """The second answer is the first one."""
    for _ in range(2):
        paper.get("one", "unlock")
    paper.answer("one", "unlock", "accepted", "in_progress", "succeeded", "failed")
    assert told(paper.judge(tmp_path), "command runs") == ["ended as succeeded, but is answered failed"]


def test_expired_before_its_time(paper: Paper, tmp_path: Path) -> None:
    """In time it is executed."""
    paper.get("one", "refresh", valid_min=10)
    paper.answer("one", "refresh", "expired")
    assert broken(paper.judge(tmp_path)) == {"command runs"}


def test_a_refresh_is_never_refused(paper: Paper, tmp_path: Path) -> None:
    """Any time, also with the engine on."""
    paper.event("engine_on")
    paper.get("one", "refresh")
    paper.answer("one", "refresh", "rejected", reason="engine_running")
    assert broken(paper.judge(tmp_path)) == {"refresh rule"}


@pytest.mark.parametrize(("minutes", "checks"), [(4, set[str]()), (6, {"S-PIN rule"})])
def test_a_token_lives_for_five_minutes(paper: Paper, tmp_path: Path, minutes: int, checks: set[str]) -> None:
    """A right S-PIN spares the next ones for a while."""
    open_with(paper, "one", spin=True)
    paper.desk("out", "VerifySpin", job=1, vin=VIN, user="primary", spin=True, against=True)
    paper.desk("in", "SpinVerified", job=1, right=True, token=True)
    send(paper, "one")
    paper.pass_time(minutes)
    open_with(paper, "two", token=1)
    send(paper, "two")
    assert broken(paper.judge(tmp_path)) == checks


def test_a_locked_spin_opens_nothing(paper: Paper, tmp_path: Path) -> None:
    """After three wrong tries a right one is worth nothing, until it is set anew."""
    for job in (1, 2, 3, 4):
        open_with(paper, str(job), spin=True)
        paper.desk("out", "VerifySpin", job=job, vin=VIN, user="primary", spin=True, against=True)
        paper.desk("in", "SpinVerified", job=job, right=job == 4, token=True)
    send(paper, "4")
    assert told(paper.judge(tmp_path), "S-PIN rule") == [
        "an S-PIN is verified, but three wrong tries have locked it",
        "lock is sent, but three wrong tries have locked the S-PIN",
    ]


def open_with(paper: Paper, command_id: str, **given: Any) -> None:
    if command_id in {"one", "1"}:
        paper.desk("out", "StoreUser", user={"vin": VIN, "name": "primary"})
    paper.desk("in", "CommandAsked", request={"id": command_id, **given})
    record = {"id": command_id, "vin": VIN, "name": "lock", "user": "primary", "state": None}
    paper.desk("out", "CommandOpened", record=record | dict.fromkeys(("asked_at", "expires_at", "changed_at"), paper.now))


def send(paper: Paper, command_id: str) -> None:
    paper.desk("out", "SendCommand", command={"id": command_id, "vin": VIN, "name": "lock"})


def test_a_heater_that_goes_on_for_ever(paper: Paper, tmp_path: Path) -> None:
    """It ends by itself when its time is over."""
    heat(paper, minutes=10)
    paper.pass_time(11)
    paper.status()
    assert broken(paper.judge(tmp_path)) == {"comfort"}


def test_a_heater_under_a_running_engine(paper: Paper, tmp_path: Path) -> None:
    """It ends when the driver starts the engine."""
    heat(paper, minutes=30)
    paper.event("engine_on")
    assert broken(paper.judge(tmp_path)) == {"comfort"}


def test_a_heater_that_was_started_anew(paper: Paper, tmp_path: Path) -> None:
    """The first one ends, and the second has its own time."""
    heat(paper, minutes=10)
    paper.pass_time(5)
    heat(paper, minutes=10, restarted=True)
    paper.pass_time(8)
    paper.status(climate={"state": "heating", "remaining_min": 2})
    assert broken(paper.judge(tmp_path)) == set()


def heat(paper: Paper, *, minutes: int, restarted: bool = False) -> None:
    command_id = f"heat-{paper.now}"
    paper.get(command_id, "heater", action="start", minutes=minutes)
    paper.answer(command_id, "heater", "accepted", "in_progress", "succeeded")
    if restarted:
        paper.event("heater_ended", reason="restarted", mode="heating", minutes=5.1, fuel_l=0.034)
        paper.status("heater", climate={"state": "off", "remaining_min": 0})
    paper.status("command", climate={"state": "heating", "remaining_min": minutes})


def test_a_heater_that_nobody_started(paper: Paper, tmp_path: Path) -> None:
    """What did not run cannot end."""
    paper.event("heater_ended", reason="time", mode="heating", minutes=10, fuel_l=0.067)
    assert broken(paper.judge(tmp_path)) == {"comfort"}


def test_an_engine_that_starts_twice(paper: Paper, tmp_path: Path) -> None:
    """On and off alternate."""
    paper.event("engine_on")
    paper.event("engine_on")
    assert broken(paper.judge(tmp_path)) == {"engine"}


def test_a_tank_that_was_filled(paper: Paper, tmp_path: Path) -> None:
    """Fuel rises with a refuelled event alone."""
    paper.status(energy={"fuel_level_percent": 20.0})
    paper.event("refuelled", fuel_l=40)
    paper.status(energy={"fuel_level_percent": 95.0})
    assert broken(paper.judge(tmp_path)) == set()
    paper.status(energy={"fuel_level_percent": 95.1})
    assert broken(paper.judge(tmp_path)) == {"fuel"}


def test_a_car_sends_without_a_connection(paper: Paper, tmp_path: Path) -> None:
    """What is down carries nothing."""
    paper.write(CAR, "in", "LinkDown", None)
    paper.status()
    assert broken(paper.judge(tmp_path)) == {"connection"}


@pytest.mark.parametrize(("clock", "back_min", "checks"), [
    ("x60", 0.9, set[str]()),
    ("x60", 1.1, {"time"}),
    ("real", 0.9, {"time"}),
    ("virtual", 0.001, {"time"}),
])  # fmt: skip
def test_a_loop_may_come_a_second_late(tmp_path: Path, clock: str, back_min: float, checks: set[str]) -> None:
    """Live a car is given what was due a little earlier; in a virtual run nothing is late."""
    paper = Paper(clock)
    paper.now -= 1_000_000
    paper.pass_time(-back_min)
    paper.write(CAR, "in", "AskStatus", None)
    assert broken(paper.judge(tmp_path)) == checks


def test_what_could_not_be_written_is_said(paper: Paper, tmp_path: Path) -> None:
    """Data without a form in JSON are no breach, but a warning tells of them."""
    paper.write(CAR, "in", "Received", {"not written": "TypeError"}, "Command")
    found = paper.judge(tmp_path)
    assert broken(found) == set()
    assert any("1 records whose data" in warning for warning in found.warnings)


def test_what_cannot_be_judged_is_an_error(paper: Paper, tmp_path: Path) -> None:
    """A record without what it must have is named."""
    paper.write(CAR, "out", "Transmit", {"again": False}, "Status")
    with pytest.raises(JournalError, match=r"journal.jsonl:3: the record cannot be judged"):
        paper.judge(tmp_path)


def test_a_journal_of_nothing(paper: Paper, tmp_path: Path) -> None:
    """Checks that look at nothing say so."""
    found = paper.judge(tmp_path)
    assert {finding.looked_at for finding in found.findings if finding.check != "time"} == {0}
    assert verify(tmp_path / "journal.jsonl", {}).records == 2


def test_a_car_that_remembers_does_nothing_again(paper: Paper, tmp_path: Path) -> None:
    """Delivered again after a restart a command is answered as before: the car wakes for none, and no status follows."""
    paper.begin(scenario={})
    done = {"name": "refresh", "expires_at": paper.now + HOUR, "at": paper.now}
    recalled = [{"id": "one", "state": "succeeded", **done}, {"id": "two", "state": "accepted", **done}]
    paper.write(CAR, "in", "Recall", {"executed": recalled})
    paper.answer("two", "refresh", "failed", reason="interrupted")
    for command_id, state, reason in (("one", "succeeded", None), ("two", "failed", "interrupted")):
        paper.get(command_id, "refresh")
        paper.answer(command_id, "refresh", state, reason=reason, awake=False, captured_at=paper.now)
    paper.event("engine_on")
    assert broken(paper.judge(tmp_path)) == set()
    paper.get("three", "refresh")
    paper.answer("three", "refresh", "succeeded", awake=False, captured_at=paper.now)
    paper.event("engine_off")
    assert broken(paper.judge(tmp_path)) == {"command runs", "refresh rule", "waking"}


def test_a_clock_that_is_set_back(paper: Paper, tmp_path: Path) -> None:
    """A simulator that is started anew sets the back end's clock back, and with it the time of its link, whatever its name."""
    before = paper.now
    paper.receive("link/backend042042", "fleet/v1/desk/request")
    paper.desk("in", "ClockChanged", factor=1.0, shift=-5 * MINUTE)
    paper.now = before - 5 * MINUTE
    paper.receive("link/backend042042", "fleet/v1/desk/request")
    assert broken(paper.judge(tmp_path)) == set()
    paper.now = before - 10 * MINUTE
    paper.receive("link/backend042042", "fleet/v1/desk/request")
    assert broken(paper.judge(tmp_path)) == {"time"}
