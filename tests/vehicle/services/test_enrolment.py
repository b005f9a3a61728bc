"""Each model is enrolled in its way, with a network, and not while its privacy switch has it silent."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.kernel.instants import MINUTE
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.kept import obtain
from fleet.vehicle.services.enrolment import QR_LASTS, SECOND_KEY_WITHIN
from fleet.vehicle.services.online import Online, Shown
from fleet.vehicle.signals import (
    Acknowledged,
    AskOnline,
    CarInput,
    EnrolInCar,
    EnterCode,
    PairCar,
    ResetCar,
    SetCoverage,
    SetPrivacy,
    ShowQr,
    SwitchOn,
    UseKey,
)
from fleet.wire.messages import Event
from tests.vehicle.car_lab import equipment
from tests.vehicle.services.people_lab import SPIN, PeopleLab


def of_way(way: str) -> Equipment:
    match way:
        case "qr":
            return equipment("Born", None)
        case "assistant":
            return equipment("Leon", "petrol", media="navi_system")
        case "two_keys":
            return equipment("Leon", "petrol", media="media_system")
        case _:
            return equipment("Ateca", "petrol", media="media_system")


STEPS: dict[str, list[CarInput]] = {
    "qr": [ShowQr()],
    "assistant": [EnrolInCar("p1", "sealed")],
    "two_keys": [UseKey("first"), UseKey("second")],
    "code": [EnterCode("12345678")],
}
EVENTS = {"qr_shown", "key_presented"}


def steps(lab: PeopleLab) -> list[str]:
    """Return what has left the car of an enrolment."""
    events = [message.name for message in lab.sent if isinstance(message, Event) and message.name in EVENTS]
    return events + [request.data["way"] for request in lab.asked("enrolment")]


@pytest.mark.parametrize("own", STEPS)
@pytest.mark.parametrize("way", STEPS)
def test_a_car_is_enrolled_in_its_own_way_alone(own: str, way: str) -> None:
    lab = PeopleLab(of_way(own))
    for step in STEPS[way]:
        lab.put(step)
    assert bool(steps(lab)) == (own == way)
    if own != way and way in {"assistant", "code"}:
        assert lab.failures() == [("enrolment", "not_equipped")]


@pytest.mark.parametrize("way", STEPS)
def test_a_car_in_which_nobody_is_at_home_is_enrolled(way: str) -> None:
    """It says nothing else."""
    lab = PeopleLab(of_way(way))
    lab.put(ResetCar())
    before = len(lab.sent)
    for step in STEPS[way]:
        lab.put(step)
    assert steps(lab)
    assert len(lab.sent) - before == len(steps(lab))


@pytest.mark.parametrize("way", STEPS)
@pytest.mark.parametrize("reset", [False, True])
def test_at_maximum_privacy_nobody_is_enrolled(way: str, *, reset: bool) -> None:
    lab = PeopleLab(of_way(way))
    if reset:
        lab.put(ResetCar())
    lab.put(SetPrivacy("offline"))
    for step in STEPS[way]:
        lab.put(step)
    assert steps(lab) == []


@pytest.mark.parametrize("way", STEPS)
def test_without_a_network_nobody_is_enrolled(way: str) -> None:
    lab = PeopleLab(of_way(way))
    lab.put(SetCoverage(False))
    for step in STEPS[way]:
        lab.put(step)
    lab.put(SetCoverage(True))
    assert steps(lab) == []
    assert way in {"qr", "two_keys"} or lab.failures() == [("enrolment", "no_network")]


def test_what_waits_of_an_enrolment_does_not_leave_a_car_that_has_fallen_silent() -> None:
    lab = PeopleLab(of_way("qr"), acknowledging=False)
    lab.put(SwitchOn())
    lab.put(ShowQr())
    lab.put(SetPrivacy("offline"))
    for _ in range(3):
        for seq in lab.car.outbox.open_seqs:
            lab.put(Acknowledged(seq))
    assert steps(lab) == []
    assert "privacy_changed" in {message.name for message in lab.sent if isinstance(message, Event)}


def test_a_qr_code_is_worth_something_for_five_minutes_and_the_next_is_another() -> None:
    lab = PeopleLab(of_way("qr"))
    lab.put(ShowQr())
    lab.run_for(MINUTE)
    lab.put(ShowQr())
    first, second = lab.told("qr_shown")
    assert QR_LASTS == 5 * MINUTE
    assert (first["until"], second["until"]) == (lab.now + 4 * MINUTE, lab.now + 5 * MINUTE)
    assert first["code"] != second["code"]
    assert len(first["code"]) == 16
    assert (first["model"], first["navi"]) == ("Born", lab.car.equipment.navi_system)


def test_two_codes_of_one_instant_differ() -> None:
    lab = PeopleLab(of_way("qr"))
    for _ in range(3):
        lab.put(ShowQr())
    assert len({data["code"] for data in lab.told("qr_shown")}) == 3


def test_two_cars_show_different_codes() -> None:
    codes = set()
    for number in range(5):
        lab = PeopleLab(of_way("qr"), number=number)
        lab.put(ShowQr())
        codes.add(lab.told("qr_shown")[0]["code"])
    assert len(codes) == 5


@pytest.mark.parametrize(
    ("keys", "asks"),
    [
        (["first", "second"], 1),
        (["second", "first"], 0),
        (["second"], 0),
        (["first", "first"], 0),
        (["first", "second", "second"], 1),
        (["second", "first", "second"], 1),
        (["first", "second", "first", "second"], 2),
    ],
)
def test_the_second_key_counts_after_the_first(keys: list[Any], asks: int) -> None:
    """Each is told; with both in their order the back end is asked."""
    lab = PeopleLab(of_way("two_keys"))
    for key in keys:
        lab.put(UseKey(key))
    assert [data["key"] for data in lab.told("key_presented")] == keys
    assert [request.data for request in lab.asked("enrolment")] == [{"way": "two_keys", "model": "Leon", "navi": False}] * asks


@pytest.mark.parametrize(("late", "asks"), [(0, 1), (1, 0)])
def test_the_second_key_comes_within_ten_minutes(late: int, asks: int) -> None:
    lab = PeopleLab(of_way("two_keys"))
    lab.put(UseKey("first"))
    lab.run_for(SECOND_KEY_WITHIN + late)
    lab.put(UseKey("second"))
    assert len(lab.asked("enrolment")) == asks


def test_a_reset_forgets_the_first_key() -> None:
    lab = PeopleLab(of_way("two_keys"))
    lab.put(UseKey("first"))
    lab.put(ResetCar())
    lab.put(PairCar())
    lab.put(UseKey("second"))
    assert lab.asked("enrolment") == []


@pytest.mark.parametrize("code", ["", "1234567", "123456789", "1234567a", "١٢٣٤٥٦٧٨", "12 45678"])
def test_a_code_has_eight_digits(code: str) -> None:
    lab = PeopleLab(of_way("code"))
    lab.put(EnterCode(code))
    assert lab.asked("enrolment") == []
    assert lab.failures()[0][0] == "enrolment"
    assert lab.failures()[0][1] in {"malformed", "argument_out_of_range"}


def test_the_assistant_logs_in_and_then_accepts() -> None:
    lab = PeopleLab(of_way("assistant"))
    lab.enrol_in_car("p1")
    (begun,) = lab.asked("enrolment")
    assert begun.data.keys() == {"way", "user", "sealed_spin", "model", "navi"}
    assert lab.opened(begun) == SPIN
    lab.reply("enrolment", state="consents", user="p1", role="primary")
    assert lab.asked("enrolment")[-1].data == {
        "way": "assistant", "step": "accept", "user": "p1", "consents": ["privacy", "terms", "contract"],
        "model": "Leon", "navi": True,
    }  # fmt: skip
    lab.reply("enrolment", state="enrolled", user="p1", role="primary")
    lab.enrol("p1")
    lab.run_for(MINUTE)  # until it is awake
    assert len(lab.asked("enrolment")) == 2
    assert lab.told("user_enrolled") == [{"user": "p1", "role": "primary"}]


@pytest.mark.parametrize("first", ["the reply", "the command"])
def test_whoever_takes_a_car_over_sees_how_the_enrolment_ended(first: str) -> None:
    """The car is as after a reset; the answer on the screen is the new user's, whichever comes first."""
    lab = PeopleLab(of_way("code"))
    lab.put(SwitchOn())
    lab.enrol("p1")
    lab.put(AskOnline("traffic"))
    lab.put(EnterCode("12345678"))
    answered = {"state": "enrolled", "user": "p2", "role": "primary"}
    if first == "the reply":
        lab.reply("enrolment", **answered)
    lab.enrol("p2")
    if first == "the command":
        lab.reply("enrolment", **answered)
    shown = obtain(lab.car, Online).shown
    assert shown == Shown("enrolment", None, answered)
    assert obtain(lab.car, Online).waiting == {}
    assert lab.told("car_reset") == [{"by": "enrolment"}]


def test_who_accepts_less_says_so() -> None:
    lab = PeopleLab(of_way("assistant"))
    lab.enrol_in_car("p1", consents=("privacy",))
    lab.reply("enrolment", state="consents", user="p1", role="primary")
    assert lab.asked("enrolment")[-1].data["consents"] == ["privacy"]


def test_the_assistant_ends_with_a_wrong_spin() -> None:
    lab = PeopleLab(of_way("assistant"))
    lab.enrol_in_car("p1")
    lab.reply("enrolment", error="spin_wrong")
    assert (len(lab.asked("enrolment")), lab.failures()) == (1, [("enrolment", "spin_wrong")])
    lab.put(EnrolInCar("p1"))
    assert lab.failures()[-1] == ("enrolment", "spin_required")
