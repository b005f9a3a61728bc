"""Flows: what they yield is done, and what comes of it is sent into them, in scenario time."""

from __future__ import annotations

from fleet.kernel.instants import MINUTE, SECOND
from fleet.runtime.people.flows import (
    ANSWER_WITHIN,
    LOOK_EVERY,
    MAIL_WITHIN,
    Ask,
    Flow,
    InCar,
    OnScreen,
    ReadMail,
    Seen,
    Wait,
)
from fleet.vehicle.services.online import Shown
from fleet.vehicle.signals import ShowQr
from tests.runtime.people.people_lab import START, VIN, PeopleWorld, anna, answer


def test_an_answer_is_sent_to_who_asked() -> None:
    world = PeopleWorld()
    world.answers["account show"] = [answer("busy")]

    def flow() -> Flow:
        told = yield Ask("account", "show")
        return f"{told.state}({told.reason})"

    assert world.run(flow()) == "rejected(busy)"
    assert world.words == ["account show"]


def test_what_a_car_shows_at_once_is_seen() -> None:
    """The event comes while the car is being touched, before anybody waits for it."""
    world = PeopleWorld()
    world.shows["ShowQr()"] = world.event("qr_shown", code="AB")

    def flow() -> Flow:
        yield InCar(VIN, ShowQr())
        seen = yield Seen(("qr_shown",), MINUTE)
        return str(seen.data["code"])

    assert world.run(flow()) == "AB"
    assert world.at == START


def test_what_was_shown_before_is_not_seen_again() -> None:
    """Only what has come since somebody last did something counts."""
    world = PeopleWorld()

    def flow() -> Flow:
        yield Wait(SECOND)
        yield Ask("enrol", "begin")
        return "seen" if (yield Seen(("qr_shown",), MINUTE)) else "nothing"

    world.flows.start(anna(), flow(), vin=VIN, ended=world.outcomes.append)
    world.flows.heard(world.event("qr_shown"))
    while (due := world.flows.deadline()) is not None:
        world.at = due
        world.flows.wake(due)
    assert world.outcomes == ["nothing"]
    assert world.at == START + SECOND + MINUTE


def test_an_event_ends_a_wait_and_its_deadline_wakes_nothing() -> None:
    world = PeopleWorld()

    def flow() -> Flow:
        first = yield Seen(("user_enrolled", "request_failed"), MINUTE)
        second = yield Seen(("user_enrolled",), 2 * MINUTE)
        return f"{first.name} {second}"

    world.flows.start(anna(), flow(), vin=VIN, ended=world.outcomes.append)
    world.at += 30 * SECOND
    world.flows.heard(world.event("request_failed"))
    assert world.flows.deadline() == START + 30 * SECOND + 2 * MINUTE
    world.flows.wake(START + MINUTE)
    assert world.outcomes == []
    world.flows.wake(START + 3 * MINUTE)
    assert world.outcomes == ["request_failed None"]


def test_mail_is_looked_for_until_it_comes_or_nobody_waits_any_more() -> None:
    world = PeopleWorld()

    def flow() -> Flow:
        link: str | None = yield ReadMail("confirm_address")
        return link

    world.flows.start(anna(), flow(), ended=world.outcomes.append)
    assert world.flows.deadline() == START + LOOK_EVERY
    world.links.append("secret")
    world.at += LOOK_EVERY
    world.flows.wake(world.at)
    assert world.outcomes == ["secret"]
    assert world.flows.deadline() is None
    late = PeopleWorld()
    assert late.run(flow()) is None
    assert late.at == START + MAIL_WITHIN


def test_a_screen_is_looked_at_until_it_shows_an_answer() -> None:
    world = PeopleWorld()

    def flow() -> Flow:
        shown: Shown | None = yield OnScreen(VIN)
        return None if shown is None else shown.reason

    world.flows.start(anna(), flow(), vin=VIN, ended=world.outcomes.append)
    world.screens.append(Shown("log_in", "spin_wrong", None))
    world.at += LOOK_EVERY
    world.flows.wake(world.at)
    assert world.outcomes == ["spin_wrong"]
    late = PeopleWorld()
    assert late.run(flow()) is None
    assert late.at == START + ANSWER_WITHIN


def test_flows_at_the_same_car_see_the_same() -> None:
    world = PeopleWorld()

    def flow() -> Flow:
        return "seen" if (yield Seen(("user_enrolled",), MINUTE)) else "nothing"

    for _ in range(2):
        world.flows.start(anna(), flow(), vin=VIN, ended=world.outcomes.append)
    assert world.flows.open == 2
    world.flows.heard(world.event("user_enrolled"))
    assert world.outcomes == ["seen", "seen"]
    assert world.flows.open == 0
