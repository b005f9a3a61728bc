"""S-PINs at the desk: tries, locks, tokens, and that they show nowhere."""

from __future__ import annotations

import pytest

from fleet.cloud.desk_io import (
    CommandAsked,
    HashSpin,
    SendCommand,
    SpinJobFailed,
    SpinSettingAsked,
    SpinVerified,
    VerifySpin,
)
from fleet.cloud.spin_guard import WAITING_PER_USER
from fleet.kernel.instants import MINUTE
from fleet.wire.messages import CommandRequest, SetSpin
from tests.cloud.desk_lab import OTHER, TOPIC, VIN, WHERE, DeskLab, fake_hash, outcome


def test_0000_is_a_spin() -> None:
    lab = DeskLab()
    assert outcome(lab.set_spin("0000")) == ("succeeded", None)
    assert outcome(lab.ask("a", "lock", spin="0000")) == ("queued", None)


@pytest.mark.parametrize("spin", ["", "123", "12345", "12a4", "１２３４", " 123", "123\n"])
def test_what_is_not_four_digits_is_malformed_and_no_try(spin: str) -> None:
    lab = DeskLab()
    assert outcome(lab.set_spin(spin)) == ("rejected", "malformed")
    lab.set_spin("4711")
    for number in range(4):
        answer = lab.ask(f"a{number}", "lock", spin=spin)
        assert outcome(answer) == ("rejected", "malformed")
        assert not spin or spin not in str(answer.detail if answer else "")
    assert outcome(lab.ask("b", "lock", spin="4711")) == ("queued", None)


def test_three_wrong_tries_lock_until_a_new_spin_is_set() -> None:
    """The third is still `spin_wrong`; from then on everything is `spin_locked`, the right S-PIN and tokens too."""
    lab = DeskLab()
    lab.set_spin("4711")
    right = lab.ask("a", "lock", spin="4711")
    assert right is not None
    details = []
    for number in range(3):
        answer = lab.ask(f"w{number}", "lock", spin="0815")
        assert outcome(answer) == ("rejected", "spin_wrong")
        details.append(answer.detail if answer else None)
    assert details[0] == "2 tries left"
    assert details[1] == "1 try left"
    assert lab.users()[VIN, "primary"].locked
    assert outcome(lab.ask("b", "lock", spin="4711")) == ("rejected", "spin_locked")
    assert outcome(lab.ask("c", "lock", token=right.token)) == ("rejected", "spin_locked")
    assert outcome(lab.ask("d", "honk")) == ("queued", None)
    lab.set_spin("1234")
    assert outcome(lab.ask("e", "lock", token=right.token)) == ("rejected", "spin_required")
    assert outcome(lab.ask("f", "lock", spin="1234")) == ("queued", None)


def test_a_right_spin_starts_the_count_again() -> None:
    lab = DeskLab()
    lab.set_spin("4711")
    for round_ in range(3):
        for number in range(2):
            lab.ask(f"w{round_}{number}", "lock", spin="0815")
        assert outcome(lab.ask(f"r{round_}", "lock", spin="4711")) == ("queued", None)
    assert lab.users()[VIN, "primary"].wrong_tries == 0


def test_parallel_guesses_do_not_beat_the_count() -> None:
    """However many guesses come at once, three are verified; the rest meets the lock or a full queue."""
    lab = DeskLab()
    lab.set_spin("4711")
    lab.manual = True
    for number in range(20):
        lab.ask(f"g{number}", "lock", spin="4711" if number == 5 else "0815")
    assert len(lab.work) == 1
    lab.work_off()
    reasons = [outcome(lab.last(f"g{number}"))[1] for number in range(20)]
    waiting = 1 + WAITING_PER_USER
    assert reasons[:3] == ["spin_wrong"] * 3
    assert reasons[3:waiting] == ["spin_locked"] * (waiting - 3)
    assert reasons[waiting:] == ["busy"] * (20 - waiting)


def test_setting_a_spin_waits_behind_verifications_and_unlocks_for_those_behind_it() -> None:
    lab = DeskLab()
    lab.set_spin("4711")
    lab.manual = True
    for number in range(4):
        lab.ask(f"w{number}", "lock", spin="0815")
    lab.set_spin("1234")
    lab.ask("r", "lock", spin="1234")
    lab.work_off()
    assert [outcome(lab.last(f"w{number}"))[1] for number in range(4)] == ["spin_wrong"] * 3 + ["spin_locked"]
    assert outcome(lab.last("r")) == ("queued", None)


def test_a_command_asked_right_after_setting_its_first_spin_waits_for_it() -> None:
    """A user who sets the S-PIN and locks at once is judged by the S-PIN just set, however slow its hash is."""
    lab = DeskLab(manual=True)
    lab.set_spin("4711")
    lab.ask("right", "lock", spin="4711")
    lab.ask("wrong", "lock", spin="0815")
    assert lab.answers("right") == []
    lab.work_off()
    assert outcome(lab.last("right")) == ("queued", None)
    assert outcome(lab.last("wrong")) == ("rejected", "spin_wrong")


def test_a_spin_that_could_not_be_set_leaves_none_to_be_right() -> None:
    """When the hash fails, what waited behind it is told that there is no S-PIN, and nothing is verified."""
    lab = DeskLab(manual=True)
    lab.set_spin("4711")
    lab.ask("behind", "lock", spin="4711")
    lab.give(SpinJobFailed(lab.work.pop().job))
    assert outcome(lab.last("behind")) == ("rejected", "spin_required")
    assert lab.work == []


def test_a_token_spares_the_spin_for_five_minutes_for_the_same_user_and_car() -> None:
    lab = DeskLab()
    lab.set_spin("4711")
    lab.set_spin("4711", vin=OTHER)
    answer = lab.ask("a", "lock", spin="4711")
    assert answer is not None
    token = answer.token
    assert token
    assert outcome(lab.ask("b", "unlock", token=token)) == ("queued", None)
    assert lab.answers("b")[0].token is None
    assert outcome(lab.ask("c", "lock", vin=OTHER, token=token)) == ("rejected", "spin_required")
    assert outcome(lab.ask("d", "lock", token="guess")) == ("rejected", "spin_required")
    lab.wake(5 * MINUTE - 1)
    assert outcome(lab.ask("e", "lock", token=token)) == ("queued", None)
    lab.wake(1)
    assert outcome(lab.ask("f", "lock", token=token)) == ("rejected", "spin_required")


def test_a_valid_token_beats_a_wrong_spin_and_an_invalid_one_falls_back_to_it() -> None:
    lab = DeskLab()
    lab.set_spin("4711")
    answer = lab.ask("a", "lock", spin="4711", token="stale")
    assert outcome(answer) == ("queued", None)
    assert outcome(lab.ask("b", "lock", spin="0815", token=answer.token if answer else "")) == ("queued", None)


def test_set_spin_is_refused_for_unknown_cars_and_users() -> None:
    lab = DeskLab()
    assert outcome(lab.set_spin(vin="SHORT")) == ("rejected", "invalid_vin")
    assert outcome(lab.set_spin(vin="VSSZZZKMZPR000009")) == ("rejected", "unknown_vin")
    assert outcome(lab.set_spin(user="mallory")) == ("rejected", "insufficient_rights")


def test_work_that_failed_is_no_try_and_lets_the_next_go_on() -> None:
    lab = DeskLab(manual=True)
    lab.set_spin("4711")
    lab.work_off()
    lab.ask("a", "lock", spin="4711")
    lab.ask("b", "lock", spin="4711")
    failed = lab.work.pop()
    lab.give(SpinJobFailed(failed.job))
    lab.work_off()
    assert outcome(lab.last("a")) == ("rejected", "busy")
    assert outcome(lab.last("b")) == ("queued", None)
    assert lab.users()[VIN, "primary"].wrong_tries == 0
    lab.give(SpinVerified(failed.job, True, "late"))
    assert lab.states("a") == ["rejected"]


def test_a_spin_shows_in_no_repr_and_in_no_command() -> None:
    """What is logged, raised or sent shows neither S-PIN nor token nor hash."""
    lab = DeskLab()
    lab.set_spin("4711")
    answer = lab.ask("a", "lock", spin="4711")
    lab.ask("b", "lock", spin="4711", parameters={"x": "4711"})
    lab.ask("c", "honk", spin="flash?", parameters=WHERE | {"mode": "flash?"})
    assert answer is not None
    shown = repr(lab.outputs) + repr(CommandAsked(CommandRequest(id="a", vin=VIN, name="lock", spin="4711"), TOPIC))
    shown += repr(SpinVerified(1, True, answer.token or ""))
    assert "4711" not in shown
    assert "1174" not in shown
    assert str(answer.token) not in shown
    assert "flash?" not in str(lab.last("c"))
    for sent in lab.of(SendCommand):
        assert "4711" not in str(sent.command)


def test_what_goes_to_the_worker_is_one_users_own_hash() -> None:
    lab = DeskLab(manual=True)
    lab.set_spin("4711")
    assert isinstance(lab.work[0], HashSpin)
    lab.work_off()
    lab.ask("a", "lock", spin="0815")
    (work,) = lab.work
    assert isinstance(work, VerifySpin)
    assert work.against == fake_hash("4711")


def test_a_request_to_set_an_s_pin_that_comes_again_sets_nothing_anew() -> None:
    """No broker keeps it, so it is repeated: a lock of meanwhile holds, a token stays, and the answer is told again."""
    lab = DeskLab(manual=True)
    asked = SpinSettingAsked(SetSpin(id="set", vin=VIN, spin="4711"), TOPIC)
    lab.give(asked)
    lab.give(asked)
    assert len(lab.of(HashSpin)) == 1
    assert lab.answers("set") == []
    lab.work_off()
    lab.manual = False
    right = lab.ask("a", "lock", spin="4711")
    assert right is not None
    lab.give(asked)
    assert [answer.state for answer in lab.answers("set")] == ["succeeded", "succeeded"]
    assert outcome(lab.ask("b", "unlock", token=right.token)) == ("queued", None)
    for number in range(3):
        lab.ask(f"w{number}", "lock", spin="0815")
    lab.give(asked)
    assert outcome(lab.ask("c", "lock", spin="4711")) == ("rejected", "spin_locked")


def test_the_id_of_another_users_request_sets_nothing() -> None:
    lab = DeskLab()
    lab.give(SpinSettingAsked(SetSpin(id="set", vin=VIN, spin="4711"), TOPIC))
    lab.give(SpinSettingAsked(SetSpin(id="set", vin=OTHER, spin="4711"), TOPIC))
    assert [(answer.state, answer.reason) for answer in lab.answers("set")] == [("succeeded", None), ("rejected", "malformed")]
    assert outcome(lab.ask("a", "lock", OTHER, spin="4711")) == ("rejected", "spin_required")


@pytest.mark.parametrize("typed", ["7391", " 7391", "73 91", "７３９１"])
def test_what_looks_like_an_s_pin_is_no_users_name(typed: str) -> None:
    """It is refused wherever a person may have typed it by mistake, and neither kept nor told."""
    lab = DeskLab()
    asked = [
        lab.ask("user", user=typed),
        lab.ask("vin", vin=typed),
        lab.ask("name", typed),
        lab.ask("parameter", "reset", parameters={"user": typed}),
        lab.set_spin("4711", user=typed),
        lab.set_spin("4711", vin=typed),
    ]
    assert [outcome(answer) for answer in asked] == [("rejected", "malformed")] * len(asked)
    assert typed not in str(lab.outputs)
    assert outcome(lab.ask("five digits", user="73911")) == ("rejected", "insufficient_rights")
