"""The desk: who may command which car, what each state means, and that every command ends exactly once."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cloud.desk import OPEN_PER_CAR, REMEMBERED, Desk
from fleet.cloud.desk_io import (
    Answer,
    BackEndAsked,
    ClockChanged,
    CommandAsked,
    CommandOpened,
    CommandRecord,
    EnrolmentAsked,
    LateResult,
    PresenceChanged,
    Restored,
    SendCommand,
    Transition,
)
from fleet.kernel.instants import DAY, MINUTE, SECOND
from fleet.wire.messages import CommandRequest, EnrolCar
from tests.cloud.desk_lab import OTHER, START, TOPIC, VIN, WHERE, DeskLab, outcome

# --- by the back end itself


def by_back_end(request_id: str = "b", name: str = "unlock", vin: str = VIN, **more: Any) -> BackEndAsked:
    return BackEndAsked(CommandRequest(id=request_id, vin=vin, name=name, **more))


def test_the_back_end_commands_without_s_pin_and_users_and_follows_the_command_to_its_end() -> None:
    """Nobody is enrolled for it, nobody is answered, and the record says who it was."""
    lab = DeskLab()
    outputs = lab.give(by_back_end())
    assert [type(output) for output in outputs] == [CommandOpened, Transition, SendCommand]
    assert isinstance(outputs[0], CommandOpened)
    assert outputs[0].record.user == "back_end"
    lab.published("b")
    lab.car("b", "accepted")
    lab.car("b", "succeeded")
    assert lab.states("b") == ["queued", "sent", "accepted", "succeeded"]


def test_the_back_end_asks_an_id_once() -> None:
    lab = DeskLab()
    lab.give(by_back_end())
    assert lab.give(by_back_end()) == []
    lab.car("b", "rejected")
    assert lab.give(by_back_end()) == []


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (by_back_end(name="dance"), "unsupported"),
        (by_back_end(vin="VSSZZZKMZPR000009"), "unknown_vin"),
        (by_back_end(parameters={"a": 1}), "malformed"),
        (by_back_end(ttl_s=-1), "argument_out_of_range"),
    ],
)
def test_what_the_back_end_asks_in_vain_is_rejected(asked: BackEndAsked, reason: str) -> None:
    lab = DeskLab()
    lab.give(asked)
    (ended,) = [output for output in lab.outputs if isinstance(output, Transition)]
    assert (ended.state, ended.reason) == ("rejected", reason)


def test_a_user_cannot_call_himself_the_back_end() -> None:
    lab = DeskLab()
    assert outcome(lab.ask("a", "unlock", user="back_end")) == ("rejected", "insufficient_rights")


# --- the straight way


def test_a_command_passes_all_its_states() -> None:
    """Queued at once, sent when the broker took it, the rest as the car says; each is stored and answered."""
    lab = DeskLab()
    lab.ask("a")
    (sent,) = lab.sent("a")
    assert (sent.command.vin, sent.command.name, sent.command.parameters) == (VIN, "honk", WHERE)
    assert (sent.command.issued_at, sent.command.expires_at) == (START, START + 60 * SECOND)
    assert sent.expiry_s == 60
    lab.published("a")
    for state in ("accepted", "in_progress", "succeeded"):
        lab.car("a", state)
    states = ["queued", "sent", "accepted", "in_progress", "succeeded"]
    assert lab.states("a") == states
    assert [answer.state for answer in lab.answers("a")] == states
    assert [answer.final for answer in lab.answers("a")] == [False, False, False, False, True]
    assert lab.desk.open_count == 0
    assert lab.desk.deadline() is None


def test_what_is_stored_comes_before_what_is_sent() -> None:
    """The driver performs outputs in their order, so a command is stored before it can reach a car."""
    lab = DeskLab()
    lab.ask("a")
    kinds = [type(output) for output in lab.outputs]
    assert kinds.index(CommandOpened) < kinds.index(Transition) < kinds.index(Answer) < kinds.index(SendCommand)


def test_an_answer_may_overtake_the_broker() -> None:
    """What the car answers was sent: the missing step is filled in, and the late acknowledgement changes nothing."""
    lab = DeskLab()
    lab.ask("a")
    lab.car("a", "accepted")
    lab.published("a")
    assert lab.states("a") == ["queued", "sent", "accepted"]


def test_repeated_and_reordered_answers_are_ignored() -> None:
    """States only move forward."""
    lab = DeskLab()
    lab.ask("a")
    lab.published("a")
    for state in ("in_progress", "accepted", "in_progress", "succeeded", "succeeded", "failed", "in_progress"):
        lab.car("a", state)
    assert lab.states("a") == ["queued", "sent", "in_progress", "succeeded"]
    assert not lab.of(LateResult)


def test_a_car_cannot_answer_for_another_nor_queue() -> None:
    """Responses of a foreign car, or with a state that is the desk's, mean nothing."""
    lab = DeskLab()
    lab.ask("a")
    lab.car("a", "succeeded", vin=OTHER)
    lab.car("a", "sent")
    lab.car("nobody", "accepted")
    assert lab.states("a") == ["queued"]


def test_the_car_rejects_with_its_reason() -> None:
    """Reason, detail and whether the car was awake are passed on; what is too long is cut."""
    lab = DeskLab()
    lab.ask("a")
    lab.car("a", "rejected", reason="too_far", detail="x" * 9_000, awake=False)
    answer = lab.last("a")
    assert answer is not None
    assert (answer.state, answer.reason, answer.awake, answer.by) == ("rejected", "too_far", False, "car")
    assert answer.detail == "x" * 500


# --- refusals


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("invalid_vin", {"vin": "SHORT"}),
        ("unknown_vin", {"vin": "VSSZZZKMZPR000009"}),
        ("unsupported", {"name": "fly"}),
        ("malformed", {"parameters": {"latitude": "here"}}),
        ("malformed", {"parameters": WHERE | {"spin": "1234"}}),
        ("argument_out_of_range", {"ttl_s": 0.0}),
        ("argument_out_of_range", {"ttl_s": -1.0}),
        ("argument_out_of_range", {"ttl_s": math.nan}),
        ("argument_out_of_range", {"ttl_s": 7 * 86_400 + 0.1}),
        ("insufficient_rights", {"user": "mallory"}),
        ("spin_required", {"name": "lock", "spin": "1234"}),
    ],
)
def test_refused_at_once(reason: str, changes: dict[str, object]) -> None:
    """Each reason of the desk ends the command at once, is stored, and reaches no car."""
    lab = DeskLab()
    assert outcome(lab.ask("a", **changes)) == ("rejected", reason)  # type: ignore[arg-type]
    assert lab.states("a") == ["rejected"]
    assert not lab.sent("a")
    assert lab.desk.open_count == 0
    (opened,) = lab.of(CommandOpened)
    assert "1234" not in repr(opened)


def test_a_missing_spin_says_how_to_set_one() -> None:
    lab = DeskLab()
    answer = lab.ask("a", "lock", spin="1234")
    assert answer is not None
    assert f"fleet user set-spin {VIN}" in str(answer.detail)


def test_deep_sleep_is_refused_and_plain_sleep_is_not() -> None:
    """A car in deep sleep has left the broker for good; one that is merely off-line may come back in time."""
    lab = DeskLab()
    lab.give(PresenceChanged(VIN, "offline", "lost"))
    assert outcome(lab.ask("a")) == ("queued", None)
    lab.give(PresenceChanged(VIN, "offline", "deep_sleep"))
    assert outcome(lab.ask("b")) == ("rejected", "deep_sleep")
    assert not lab.sent("b")


def test_the_longest_time_to_live_is_allowed() -> None:
    lab = DeskLab()
    lab.ask("a", ttl_s=7 * 86_400)
    (sent,) = lab.sent("a")
    assert sent.command.expires_at == START + 7 * DAY


def test_a_bad_id_is_answered_and_not_kept() -> None:
    lab = DeskLab()
    assert outcome(lab.ask("")) == ("rejected", "malformed")
    lab.ask("x" * 101)
    assert not lab.of(CommandOpened)


def test_one_car_holds_a_bounded_number_of_open_commands() -> None:
    lab = DeskLab()
    for number in range(OPEN_PER_CAR):
        lab.ask(f"c{number}")
    assert outcome(lab.ask("more")) == ("rejected", "busy")
    assert outcome(lab.ask("other", vin=OTHER)) == ("queued", None)


def test_a_refused_publish_is_a_definite_failure() -> None:
    lab = DeskLab()
    lab.ask("a")
    lab.published("a", "Not authorized")
    assert outcome(lab.last("a")) == ("failed", "publish_refused")


# --- the same id again


def test_the_same_id_is_answered_with_the_present_state_and_sent_once() -> None:
    """A tool that lost its answer asks again; the newest asker gets the rest."""
    lab = DeskLab()
    lab.ask("a")
    lab.published("a")
    lab.ask("a", topic="fleet/v1/desk/answer/u")
    assert outcome(lab.last("a")) == ("sent", None)
    lab.car("a", "succeeded")
    assert lab.of(Answer)[-1].topic == "fleet/v1/desk/answer/u"
    answer = lab.ask("a")
    assert answer is not None
    assert answer.final
    assert len(lab.sent("a")) == 1
    assert lab.states("a") == ["queued", "sent", "succeeded"]


def test_the_same_id_for_something_else_is_refused() -> None:
    lab = DeskLab()
    lab.ask("a")
    assert outcome(lab.ask("a", vin=OTHER)) == ("rejected", "malformed")
    assert lab.states("a") == ["queued"]


def test_a_repetition_during_verification_is_not_verified_twice() -> None:
    lab = DeskLab()
    lab.set_spin()
    lab.manual = True
    lab.ask("a", "lock", spin="0000")
    lab.ask("a", "lock", spin="0000")
    assert len(lab.work) == 1
    lab.work_off()
    assert [answer.state for answer in lab.answers("a")] == ["queued"]


def test_what_memory_forgot_the_store_remembers() -> None:
    """Memory is bounded; the driver hands in what the store holds."""
    lab = DeskLab()
    for number in range(REMEMBERED + 1):
        lab.desk.receive(CommandAsked(CommandRequest(id=f"c{number}", vin=VIN, name="fly"), TOPIC), lab.now)
    assert not lab.desk.remembers("c0")
    assert lab.desk.remembers("c1")
    lab.outputs.clear()
    record = CommandRecord(
        id="c0", vin=VIN, name="honk", user="primary", parameters={}, answer_topic="", asked_at=START, expires_at=START,
        state="succeeded", by="car",
    )  # fmt: skip
    request = CommandRequest(id="c0", vin=VIN, name="honk", parameters=WHERE)
    lab.give(CommandAsked(request, TOPIC, record))
    assert outcome(lab.last("c0")) == ("succeeded", None)
    assert not lab.of(SendCommand)


# --- time


def test_no_answer_by_the_deadline_is_unknown() -> None:
    """A car that was connected may have done it: a time-out is not a failure."""
    lab = DeskLab()
    lab.ask("a")
    lab.published("a")
    lab.wake(90 * SECOND - 1)
    assert lab.states("a") == ["queued", "sent"]
    lab.wake(1)
    assert outcome(lab.last("a")) == ("unknown", None)


def test_never_connected_is_expired() -> None:
    lab = DeskLab()
    lab.give(PresenceChanged(VIN, "offline", "lost"))
    lab.ask("a")
    lab.published("a")
    lab.wake(90 * SECOND)
    assert outcome(lab.last("a")) == ("expired", None)


def test_connected_for_a_moment_is_unknown() -> None:
    lab = DeskLab()
    lab.give(PresenceChanged(VIN, "offline", "lost"))
    lab.ask("a")
    lab.give(PresenceChanged(VIN, "online"))
    lab.give(PresenceChanged(VIN, "offline", "lost"))
    lab.wake(90 * SECOND)
    assert outcome(lab.last("a")) == ("unknown", None)


def test_a_car_without_presence_has_never_been_connected() -> None:
    """Presence is retained: a car of which there is none, from sending to expiry, was not there to take the command."""
    lab = DeskLab()
    lab.ask("a", vin=OTHER)
    lab.wake(90 * SECOND)
    assert outcome(lab.last("a")) == ("expired", None)
    lab.ask("b", vin=OTHER)
    lab.give(PresenceChanged(OTHER, "online"))
    lab.wake(90 * SECOND)
    assert outcome(lab.last("b")) == ("unknown", None)


def test_an_answer_moves_the_deadline_on() -> None:
    lab = DeskLab()
    lab.ask("a")
    lab.car("a", "in_progress")
    lab.wake(10 * MINUTE - 1)
    assert lab.states("a")[-1] == "in_progress"
    lab.wake(1)
    assert outcome(lab.last("a")) == ("unknown", None)


def test_a_late_result_is_kept_beside_the_state_and_answered_to_nobody() -> None:
    lab = DeskLab()
    lab.ask("a")
    lab.wake(90 * SECOND)
    answered = len(lab.answers("a"))
    lab.car("a", "accepted")
    lab.car("a", "succeeded", vin=OTHER)
    assert not lab.of(LateResult)
    lab.car("a", "failed", reason="jammed")
    (late,) = lab.of(LateResult)
    assert (late.command_id, late.state, late.reason) == ("a", "failed", "jammed")
    assert len(lab.answers("a")) == answered
    assert lab.states("a")[-1] == "unknown"


@pytest.mark.parametrize(("factor", "expiry_s", "wall_s"), [(1.0, 60, 90.0), (60.0, 5, 8.0), (1000.0, 5, 7.06)])
def test_deadlines_leave_wall_time_at_every_factor(factor: float, expiry_s: int, wall_s: float) -> None:
    """However fast the scenario runs, broker, car and network get some seconds of the wall."""
    lab = DeskLab(factor=factor)
    lab.ask("a")
    (sent,) = lab.sent("a")
    assert sent.expiry_s == expiry_s
    deadline = lab.desk.deadline()
    assert deadline is not None
    assert (deadline - START) / factor / SECOND == pytest.approx(wall_s)


def test_a_new_clock_takes_what_is_pending_along() -> None:
    """A jump of scenario time neither ends a command nor a token."""
    lab = DeskLab()
    lab.set_spin("4711")
    answer = lab.ask("a", "lock", spin="4711")
    shift = -200 * DAY
    lab.give(ClockChanged(2.0, shift))
    lab.now += shift
    assert lab.desk.deadline() == lab.now + 90 * SECOND
    assert outcome(lab.ask("b", "lock", token=answer.token if answer else "")) == ("queued", None)


# --- restart


def record(state: str | None, **changes: object) -> CommandRecord:
    base = CommandRecord(
        id="a", vin=VIN, name="honk", user="primary", parameters=WHERE, answer_topic=TOPIC, asked_at=START - SECOND,
        expires_at=START + 59 * SECOND,
    )  # fmt: skip
    return replace(base, state=state, **changes)


def restored(*records: CommandRecord) -> DeskLab:
    lab = DeskLab()
    lab.give(Restored(list(records)))
    return lab


def test_restart_sends_again_what_was_only_queued() -> None:
    lab = restored(record("queued"))
    (sent,) = lab.sent("a")
    assert sent.command.expires_at == START + 59 * SECOND
    lab.published("a")
    lab.car("a", "succeeded")
    assert lab.states("a") == ["sent", "succeeded"]


@pytest.mark.parametrize("state", ["sent", "accepted", "in_progress"])
def test_restart_waits_on_for_the_car(state: str) -> None:
    lab = restored(record(state))
    assert not lab.sent("a")
    lab.wake(30 * MINUTE)
    assert lab.states("a") == ["unknown"]


def test_restart_ends_what_was_being_verified() -> None:
    """The S-PIN is gone with the process, and nobody is left to wait for."""
    lab = restored(record(None))
    assert outcome(lab.last("a")) == ("rejected", "spin_required")


def test_restart_long_after_gives_the_answer_time_to_arrive() -> None:
    lab = restored(record("queued", asked_at=START - DAY, expires_at=START - DAY + SECOND))
    assert not lab.sent("a")
    assert lab.states("a") == []
    lab.wake(30 * SECOND)
    assert lab.states("a") == ["unknown"]


def test_restart_keeps_the_lock() -> None:
    lab = DeskLab()
    lab.set_spin("4711")
    for number in range(3):
        lab.ask(f"w{number}", "lock", spin="0815")
    desk = Desk(users=lab.users().values(), known_vins=[VIN])
    request = CommandRequest(id="b", vin=VIN, name="lock", spin="4711")
    answer = desk.receive(CommandAsked(request, TOPIC), START)[-1]
    assert isinstance(answer, Answer)
    assert answer.answer.reason == "spin_locked"


def test_an_enrolled_car_may_be_commanded_before_it_was_heard_of() -> None:
    """A car in a garage since before the back end was started has a user all the same."""
    new = "VSSZZZKMZPR000077"
    lab = DeskLab()
    assert outcome(lab.ask("early", vin=new)) == ("rejected", "unknown_vin")
    lab.give(EnrolmentAsked(EnrolCar(id="e", vin=new), TOPIC))
    assert outcome(lab.last("e")) == ("succeeded", None)
    assert (new, "primary") in lab.users()
    assert outcome(lab.ask("later", vin=new)) == ("queued", None)
    lab.give(EnrolmentAsked(EnrolCar(id="bad", vin="../#"), TOPIC))
    assert outcome(lab.last("bad")) == ("rejected", "invalid_vin")
