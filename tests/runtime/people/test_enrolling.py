"""The ways to an account and a car: what is asked and done, in order; a mistake that is taken fails the whole."""

from __future__ import annotations

import pytest

from fleet.kernel.instants import MINUTE
from fleet.runtime.people.enrolling import TRIES, enrol, log_in, log_in_car, register
from fleet.scenario.persons import MISTAKES, WAYS, EnrolWay, Mistake
from fleet.vehicle.services.online import Shown
from fleet.vehicle.signals import EnterCode, ShowQr, UseKey
from tests.runtime.people.people_lab import START, VIN, PeopleWorld, anna, answer

ENROLLED = Shown("enrolment", None, {"state": "enrolled"})


def world_of(way: EnrolWay) -> PeopleWorld:
    """Return a world in which everything goes well."""
    world = PeopleWorld()
    home = world.event("user_enrolled", user="p1", role="primary")
    world.shows = {
        "ShowQr()": world.event("qr_shown", code="00AB"), repr(EnterCode("12345678")): home, "assistant": home,
        repr(UseKey("second")): home,
    }  # fmt: skip
    world.follows["enrol scan"] = home
    world.screens = [ENROLLED, ENROLLED]
    world.answers["enrol begin"] = [answer(secrets={"code": "12345678"})]
    return world


def enrolling(world: PeopleWorld, way: EnrolWay, mistake: Mistake | None = None) -> str | None:
    person = anna()
    person.account, person.has_spin, person.code = "p1", True, "12345678"
    return world.run(enrol(person, VIN, way, mistake), person)


def test_an_account_is_registered_confirmed_completed_and_known_to_a_dealer() -> None:
    world, person = PeopleWorld(), anna(registered=False, language="sv")
    world.links.append("the link")
    assert world.run(register(person), person) is None
    assert world.words == [f"account {word}" for word in ("register", "confirm", "complete", "set_spin", "identify")]
    assert world.asked[0].data == {"email": person.email, "language": "sv"}
    assert world.asked[1].given == {"link": "the link"}
    assert person.registered


def test_who_is_not_verified_does_not_go_to_a_dealer_and_without_mail_there_is_no_account() -> None:
    world, person = PeopleWorld(), anna(registered=False, verified=False)
    world.links.append("the link")
    assert world.run(register(person), person) is None
    assert "account identify" not in world.words
    assert PeopleWorld().run(register(person), person) == "failed(no_mail)"


def test_a_refusal_is_how_it_ends() -> None:
    world = PeopleWorld()
    world.answers["account log_in"] = [answer("too_many_tries")]
    assert world.run(log_in(anna())) == "rejected(too_many_tries)"


@pytest.mark.parametrize("way", WAYS)
def test_each_way_ends_at_home(way: EnrolWay) -> None:
    assert enrolling(world_of(way), way) is None


def test_by_qr_the_texts_come_before_the_code() -> None:
    world = world_of("qr")
    assert enrolling(world, "qr") is None
    assert world.words == ["enrol begin", "enrol consents", "enrol scan"]
    assert world.asked[-1].data == {"code": "00AB"}
    assert [each.message for each in world.done] == [ShowQr()]


def test_a_code_that_is_over_is_five_minutes_old() -> None:
    world = world_of("qr")
    world.answers["enrol scan"] = [answer("code_expired")]
    assert enrolling(world, "qr", "expired_code") is None
    assert world.at > START + 5 * MINUTE
    assert [each.message for each in world.done] == [ShowQr(), ShowQr()]


def test_a_wrong_pairing_code_is_the_next_number() -> None:
    world = world_of("code")
    world.screens[0] = Shown("enrolment", "code_wrong", None)
    assert enrolling(world, "code", "wrong_code") is None
    assert [each.message for each in world.done] == [EnterCode("12345679"), EnterCode("12345678")]


TAKEN = [(way, mistake) for way in WAYS for mistake in MISTAKES[way]]


@pytest.mark.parametrize(("way", "mistake"), TAKEN)
def test_a_mistake_that_is_taken_fails(way: EnrolWay, mistake: Mistake) -> None:
    """With the rule taken out, nothing is refused: then enrolling fails, and says which mistake was taken."""
    assert enrolling(world_of(way), way, mistake) == f"failed(taken_{mistake})"


def test_a_log_in_on_a_screen_ends_as_the_screen_says() -> None:
    """Whoever is in has the car ask for the own settings at once, and there may be none."""
    outcomes = []
    for shown in (
        Shown("log_in", None, {"user": "p1"}), Shown("personalisation", "no_profile", None), Shown("log_in", "spin_wrong", None)
    ):  # fmt: skip
        world = PeopleWorld()
        world.screens = [shown]
        outcomes.append(world.run(log_in_car(anna(), VIN)))
        assert world.words == ["account set_spin"]
    assert outcomes == [None, None, "rejected(spin_wrong)"]
    assert PeopleWorld().run(log_in_car(anna(), VIN)) == "failed(no_answer)"


def test_what_the_screen_says_is_how_it_ends() -> None:
    world = world_of("code")
    world.screens = [Shown("enrolment", "garage_full", None)]
    assert enrolling(world, "code") == "rejected(garage_full)"
    silent = world_of("two_keys")
    silent.screens = []
    silent.shows.clear()
    assert enrolling(silent, "two_keys") == "failed(no_answer)"
    forgetful = world_of("two_keys")
    forgetful.screens = []
    assert enrolling(forgetful, "two_keys") is None, "who takes a car over finds it as after a reset, and at home"
    nowhere = world_of("qr")
    nowhere.follows.clear()
    assert enrolling(nowhere, "qr") == "failed(not_at_home)"


def test_who_is_told_that_the_back_end_is_busy_asks_again() -> None:
    world = world_of("code")
    world.answers["enrol begin"] = [answer("busy"), answer("busy"), answer(secrets={"code": "12345678"})]
    world.screens = [Shown("enrolment", "busy", None), ENROLLED]
    assert enrolling(world, "code") is None
    assert world.words == ["enrol begin"] * 3
    assert [each.message for each in world.done] == [EnterCode("12345678")] * 2
    never = world_of("code")
    never.answers["enrol begin"] = [answer("busy")] * 9
    assert enrolling(never, "code") == "rejected(busy)"
    assert len(never.asked) == TRIES


def test_both_keys_in_order_after_the_wrong_one() -> None:
    world = world_of("two_keys")
    shown = world.shows.pop(repr(UseKey("second")))
    world.later[repr(UseKey("second"))] = shown
    assert enrolling(world, "two_keys", "second_key_first") is None
    assert [each.message for each in world.done] == [UseKey("second"), UseKey("first"), UseKey("second")]


def test_who_has_no_account_gets_one_first() -> None:
    world, person = PeopleWorld(), anna(registered=False)
    assert world.run(enrol(person, VIN, "code"), person) == "failed(no_mail)"
    assert world.words == ["account register"]


def test_the_assistant_wants_an_spin_first() -> None:
    world, person = world_of("assistant"), anna()
    assert world.run(enrol(person, VIN, "assistant"), person) is None
    assert world.words == ["account set_spin"]
