"""The people of a process at work: known first, prepared for what needs it, and in whose name each thing is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from fleet.kernel.draws import Draws
from fleet.runtime.people.acting import ActingPeople, mistake_of
from fleet.runtime.people.cast import CarCast, Cast
from fleet.runtime.people.flows import InCar
from fleet.runtime.people.mailboxes import PostOffice
from fleet.runtime.people.seeding import seeds_of
from fleet.scenario.actions import TimelineStep
from fleet.scenario.drawn import Given
from fleet.scenario.persons import MISTAKES
from fleet.vehicle.services.online import Shown
from fleet.wire.messages import CommandRequest, DeskAnswer, ServiceRequest
from tests.runtime.people.people_lab import START, VIN, anna, answer
from tests.runtime.people.test_cast import EQUIPMENT, GUEST

COMMAND = CommandRequest(id="c", vin=VIN, name="lock")


class Desk:
    """Keeps what is asked, until the test answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[ServiceRequest, Callable[[DeskAnswer], None]]] = []
        self.sent: list[CommandRequest] = []
        self.person = anna(app=True)
        cast = Cast(1)
        cast.cars[VIN] = CarCast(VIN, EQUIPMENT, "SE", roles={"primary": [self.person], "guest": [GUEST]})
        self.people = ActingPeople(cast, self, PostOffice(), run="r")

    def answers(self, told: DeskAnswer) -> ServiceRequest:
        """Answer the oldest request, and return it."""
        request, answered = self.asked.pop(0)
        answered(told)
        return request

    @property
    def words(self) -> list[str]:
        return [f"{request.service} {request.action}" for request, _ in self.asked]

    def ask_desk(self, request: ServiceRequest, answered: Callable[[DeskAnswer], None]) -> None:
        self.asked.append((request, answered))

    def act_in_car(self, want: InCar) -> None:
        raise AssertionError(want)

    def screen_of(self, vin: str) -> Shown | None:
        raise AssertionError(vin)

    def now(self) -> int:
        return START

    def rearm_people(self) -> None:
        """Nothing is waited for here."""


def step(**words: Any) -> TimelineStep:
    return msgspec.structs.replace(TimelineStep(), **words)


def test_everybody_is_known_before_anybody_asks_and_apps_log_in_then() -> None:
    desk = Desk()
    desk.people.be_known(seeds_of(desk.people.cast, seed=1, start=START))
    desk.people.command(desk.person, COMMAND, None, desk.sent.append, in_session=False)
    assert desk.words == ["people seed"]
    assert desk.sent == []
    desk.answers(answer(accounts=["p1", "p2"]))
    assert (desk.person.account, GUEST.account) == ("p1", "p2")
    assert desk.words == ["account log_in"]
    assert [command.user for command in desk.sent] == [desk.person.email]


def test_an_spin_is_set_once_before_the_first_command_that_wants_one() -> None:
    desk = Desk()
    for _ in range(2):
        desk.people.command(desk.person, COMMAND, "right", desk.sent.append, in_session=False)
    assert desk.words == ["account set_spin"]
    assert desk.sent == []
    request = desk.answers(answer())
    assert request.secrets["new_spin"] == desk.person.spin
    assert [command.spin for command in desk.sent] == [desk.person.spin] * 2
    desk.people.command(desk.person, COMMAND, "wrong", desk.sent.append, in_session=False)
    assert desk.sent[-1].spin == desk.person.wrong_spin
    desk.people.command(desk.person, COMMAND, "none", desk.sent.append, in_session=False)
    assert desk.sent[-1].spin is None


def test_who_cannot_be_prepared_asks_all_the_same() -> None:
    """Then the desk says what is lacking."""
    desk = Desk()
    desk.people.command(desk.person, COMMAND, "right", desk.sent.append, in_session=False)
    desk.answers(answer("insufficient_rights"))
    assert len(desk.sent) == 1


def test_in_a_session_the_token_says_who_asks_also_when_it_is_over() -> None:
    desk = Desk()
    desk.people.command(desk.person, COMMAND, None, desk.sent.append, in_session=True)
    assert desk.words == ["account log_in"]
    desk.answers(answer(secrets={"session": "old"}))
    assert [(command.session, command.user) for command in desk.sent] == [("old", None)]
    desk.people.ask_step(step(service="account", action="show", by="primary", in_session=True), VIN, {}, "s", lambda _told: None)
    request = desk.answers(answer())
    assert (request.id, request.session, request.user) == ("s", "old", None)


def test_a_step_names_whom_it_is_about_and_says_who_asks() -> None:
    desk = Desk()
    words = step(service="users", action="remove", by="primary", whom="guest", data=Given({}))
    desk.people.ask_step(words, VIN, {}, "s", lambda _told: None)
    request = desk.answers(answer())
    assert (request.user, request.data, request.vin) == (desk.person.email, {"user": GUEST.email}, VIN)
    assert request.origin


def test_an_enrolment_is_counted_by_how_it_ended_and_changes_who_is_who() -> None:
    desk = Desk()
    ends: list[str | None] = []
    desk.people.enrol(GUEST, VIN, "qr", None, ends.append)
    desk.answers(answer("garage_full"))
    assert ends == ["rejected(garage_full)"]
    assert dict(desk.people.enrolments) == {"rejected(garage_full)": 1}
    assert desk.people.cast.of_role("primary", VIN) is desk.person


def test_mistakes_are_made_by_their_shares_and_only_where_they_can_be() -> None:
    drawn = [mistake_of({"wrong_code": 0.3, "expired_code": 0.2}, MISTAKES["qr"], Draws(1, "m", n)) for n in range(1000)]
    assert 250 <= drawn.count("wrong_code") <= 350
    assert 150 <= drawn.count("expired_code") <= 250
    assert drawn.count(None) == 1000 - drawn.count("wrong_code") - drawn.count("expired_code")
    assert {mistake_of({"expired_code": 1.0}, MISTAKES["code"], Draws(1, "m", n)) for n in range(20)} == {None}
