"""Users come to be at home in a car, log in with the S-PIN, and are forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.kernel.instants import DAY, MINUTE
from fleet.vehicle.kept import find
from fleet.vehicle.services.car_users import MOST, CarUsers
from fleet.vehicle.services.hooks import not_forgotten
from fleet.vehicle.signals import AskOnline, DeleteUser, LogIn, LogOut, PairCar, ResetCar, SetPrivacy, SwitchOn
from fleet.wire.messages import Event, Response
from tests.vehicle.car_lab import equipment
from tests.vehicle.services.people_lab import SPIN, PeopleLab


@pytest.fixture
def lab() -> PeopleLab:
    """Return a Leon with navi whose engine runs."""
    made = PeopleLab(equipment("Leon", "petrol", media="navi_system"))
    made.put(SwitchOn())
    return made


def roles(lab: PeopleLab) -> dict[str, Any]:
    users = find(lab.car, CarUsers)
    return {} if users is None else dict(users.roles)


def outcomes(lab: PeopleLab, command_id: str) -> list[tuple[str, str | None]]:
    return [(each.state, each.reason) for each in lab.sent if isinstance(each, Response) and each.command_id == command_id]


# --- at home


def test_a_user_is_enrolled_and_the_screen_says_so(lab: PeopleLab) -> None:
    command = lab.enrol("p1")
    assert outcomes(lab, command) == [("accepted", None), ("succeeded", None)]
    assert lab.told("user_enrolled") == [{"user": "p1", "role": "primary"}]
    assert lab.told("car_paired") == [], "it had a primary user"
    lab.enrol("p2", "additional")
    assert roles(lab) == {"p1": "primary", "p2": "additional"}


def test_a_primary_user_pairs_a_car_that_was_reset(lab: PeopleLab) -> None:
    """The command reaches it, and all that follows leaves it: before, it says nothing."""
    lab.put(ResetCar())
    before = len(lab.sent)
    command = lab.enrol("p1")
    assert [getattr(message, "name", "") for message in lab.sent[before:]] == [
        "enrol_user", "enrol_user", "car_paired", "user_enrolled",
    ]  # fmt: skip
    assert outcomes(lab, command)[-1] == ("succeeded", None)
    assert not lab.car.outbox.muted


@pytest.mark.parametrize("role", ["additional", "guest"])
def test_nobody_else_is_at_home_without_a_primary_user(lab: PeopleLab, role: str) -> None:
    lab.put(ResetCar())
    assert outcomes(lab, lab.enrol("p2", role)) == [("rejected", "not_paired")]
    assert roles(lab) == {}


def test_a_private_car_enrols_nobody(lab: PeopleLab) -> None:
    lab.put(SetPrivacy("maximum_privacy"))
    assert outcomes(lab, lab.enrol("p1")) == [("rejected", "privacy_offline")]
    lab.put(ResetCar())
    lab.put(SetPrivacy("maximum_privacy"))
    assert outcomes(lab, lab.enrol("p2"))[-1][0] == "rejected"
    assert roles(lab) == {}


def test_who_takes_over_is_alone_in_the_car(lab: PeopleLab) -> None:
    """The users of before, their log-in and their saved S-PINs are gone, with all that they have left: as after a reset."""
    lab.enrol("p1")
    lab.enrol("p2", "additional")
    lab.log_in("p1", save=True)
    lab.command("speed_alert", limit_kmh=130)
    lab.put(AskOnline("a service that nobody knows"))
    before = len(lab.sent)
    lab.enrol("p9")
    assert roles(lab) == {"p9": "primary"}
    told = [message.name for message in lab.sent[before:] if isinstance(message, Event)]
    assert told == ["car_reset", "car_paired", "user_enrolled"]
    assert lab.told("car_reset") == [{"by": "enrolment"}]
    assert not_forgotten(lab.car) == ["CarUsers"]
    assert not lab.car.outbox.muted
    lab.put(LogIn("p1"))
    assert lab.failures()[-1] == ("log_in", "spin_required")


def test_a_car_that_does_not_know_its_primary_user_is_taken_over_all_the_same(lab: PeopleLab) -> None:
    """The back end says that there was one; told again, it changes nothing more."""
    for times in (1, 1, 1):
        lab.command("enrol_user", ttl=DAY, user="p9", role="primary", takes_over=True)
        assert lab.told("car_reset") == [{"by": "enrolment"}] * times
    assert len(lab.told("user_enrolled")) == 3
    assert roles(lab) == {"p9": "primary"}


def test_the_same_primary_user_again_takes_nobody_over(lab: PeopleLab) -> None:
    lab.enrol("p1")
    lab.enrol("p2", "additional")
    lab.enrol("p1")
    assert roles(lab) == {"p1": "primary", "p2": "additional"}


def test_guests_who_come_and_go_do_not_fill_the_car(lab: PeopleLab) -> None:
    lab.enrol("p1")
    for number in range(3 * MOST):
        lab.log_in(f"g{number}", "guest")
    assert len(roles(lab)) == MOST
    assert roles(lab)["p1"] == "primary"
    assert f"g{3 * MOST - 1}" in roles(lab)


# --- logging in


def test_a_log_in_asks_with_the_sealed_spin(lab: PeopleLab) -> None:
    lab.put(LogIn("p1", lab.sealed()))
    (request,) = lab.asked("log_in")
    assert request.data.keys() == {"user", "sealed_spin"}
    assert SPIN not in repr(request)
    assert lab.opened(request) == SPIN
    lab.reply("log_in", user="p1", role="primary")
    assert lab.told("user_logged_in") == [{"user": "p1"}]


def test_each_log_in_wants_the_spin_unless_it_was_saved(lab: PeopleLab) -> None:
    lab.log_in("p1")
    lab.put(LogOut())
    lab.put(LogIn("p1"))
    assert lab.failures() == [("log_in", "spin_required")]
    assert len(lab.asked("log_in")) == 1, "the back end is not asked for that"
    lab.log_in("p1", save=True)
    lab.put(LogOut())
    lab.put(LogIn("p1"))
    assert lab.asked("log_in")[-1].data == {"user": "p1", "saved": True}


def test_a_wrong_spin_is_not_saved_and_a_saved_one_that_is_refused_is_asked_for(lab: PeopleLab) -> None:
    lab.put(LogIn("p1", lab.sealed("0000"), save=True))
    lab.reply("log_in", error="spin_wrong")
    lab.put(LogIn("p1"))
    assert lab.failures() == [("log_in", "spin_wrong"), ("log_in", "spin_required")]
    lab.log_in("p1", save=True)
    lab.put(LogIn("p1"))
    lab.reply("log_in", error="spin_wrong")
    lab.put(LogIn("p1"))
    assert lab.failures()[-1] == ("log_in", "spin_required")
    assert lab.told("user_logged_in") == [{"user": "p1"}]


def test_nobody_is_logged_in_by_a_reply_that_comes_too_late(lab: PeopleLab) -> None:
    lab.put(LogIn("p1", lab.sealed()))
    lab.run_for(MINUTE)
    lab.reply("log_in", user="p1", role="primary")
    assert lab.told("user_logged_in") == []


@pytest.mark.parametrize("role", [None, 7, "owner", ["primary"], ""])
def test_a_role_that_a_car_does_not_know_is_a_guests(lab: PeopleLab, role: Any) -> None:
    lab.put(LogIn("p1", lab.sealed()))
    lab.reply("log_in", user="p1", **({} if role is None else {"role": role}))
    assert roles(lab) == {"p1": "guest"}


def test_whoever_logs_in_logs_out_who_was(lab: PeopleLab) -> None:
    lab.log_in("p1")
    lab.log_in("p2", "additional")
    assert lab.told("user_logged_out") == [{"user": "p1"}]
    lab.put(LogOut())
    lab.put(LogOut())
    assert lab.told("user_logged_out") == [{"user": "p1"}, {"user": "p2"}]


# --- personalisation


def test_settings_come_back_for_the_user_who_is_logged_in(lab: PeopleLab) -> None:
    """Identified by a typed S-PIN, and not by a saved one."""
    lab.log_in("p1", save=True)
    lab.put(LogOut())
    lab.log_in("p1", spin=None)
    asked = [request.data for request in lab.asked("personalisation")]
    assert asked == [
        {"action": "log_in", "user": "p1", "identified": True},
        {"action": "log_in", "user": "p1", "identified": False},
    ]


def test_a_guest_has_no_settings(lab: PeopleLab) -> None:
    lab.log_in("g1", "guest")
    assert lab.asked("personalisation") == []


def test_a_car_without_navi_has_no_settings_to_fetch() -> None:
    lab = PeopleLab(equipment("Leon", "petrol", media="media_system"))
    lab.put(SwitchOn())
    lab.log_in("p1")
    assert (lab.asked("personalisation"), lab.failures()) == ([], [])


# --- deleting


@pytest.mark.parametrize(
    ("by", "whom", "gone"),
    [
        ("p1", "p2", True), ("p1", "g1", True), ("p2", "p2", True), ("p2", "p1", False), ("p2", "p3", False), ("p2", "g1", False),
        ("g1", "g1", False), ("g1", "p1", False), ("g1", "p2", False), (None, "p2", False), (None, "p1", False),
    ],
)  # fmt: skip
def test_who_may_delete_whom(lab: PeopleLab, by: str | None, whom: str, *, gone: bool) -> None:
    """The primary user anybody, an additional one itself, a guest nobody; with nobody logged in one is a guest."""
    lab.enrol("p1")
    for user, role in (("p2", "additional"), ("p3", "additional"), ("g1", "guest")):
        lab.enrol(user, role)
    if by is not None:
        lab.log_in(by, roles(lab)[by])
    lab.put(DeleteUser(whom))
    assert lab.told("car_reset") == ([{"user": whom, "by": "car"}] if gone else [])
    assert (whom not in roles(lab)) == gone


@pytest.mark.parametrize("whom", ["p1", "primary"])
def test_to_delete_the_primary_user_resets_the_car(lab: PeopleLab, whom: str) -> None:
    lab.enrol("p1")
    lab.log_in("p1", save=True)
    lab.put(DeleteUser(whom))
    assert lab.told("car_reset") == [{"by": "car"}]
    assert (roles(lab), lab.car.outbox.muted) == ({}, True)


def test_a_car_without_people_has_a_primary_user_who_deletes_anybody(lab: PeopleLab) -> None:
    lab.put(DeleteUser("anna"))
    assert lab.told("car_reset") == [{"user": "anna", "by": "car"}]


def test_a_reset_forgets_users_log_in_and_saved_spins(lab: PeopleLab) -> None:
    lab.enrol("p1")
    lab.log_in("p1", save=True)
    lab.put(ResetCar())
    lab.put(PairCar())
    lab.put(LogIn("p1"))
    assert lab.failures()[-1] == ("log_in", "spin_required")
    assert find(lab.car, CarUsers) is None


def test_a_command_deletes_the_user_who_is_logged_in(lab: PeopleLab) -> None:
    lab.enrol("p1")
    lab.log_in("p2", "additional")
    lab.stop()
    lab.command("reset", user="p2")
    assert lab.told("user_logged_out") == [{"user": "p2"}]
    assert lab.told("car_reset") == [{"user": "p2", "by": "app"}]
    assert roles(lab) == {"p1": "primary"}
