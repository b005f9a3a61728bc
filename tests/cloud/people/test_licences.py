"""Licences of cars: registered, renewed, activated, withdrawn from, at their end with four reminders; and a test's own state."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from fleet.cloud.calendar import months_later, zone_of
from fleet.cloud.people.licences import for_enrolment
from fleet.cloud.people.part import Refused
from fleet.cloud.people.records import CarPeople, CarUser, Licence
from fleet.cloud.people.terms import with_free_term
from fleet.cloud.rights import Terms, unlicensed
from fleet.cloud.rule import AskCar, Mail, Notify
from fleet.kernel.instants import DAY, HOUR, SECOND, Instant, from_datetime
from tests.cloud.people.buyers import CAR, anna_and_her_car, car_of, lab_with
from tests.cloud.people.lab import PASSWORD, START, VIN, PeopleLab, _hash

BERLIN = zone_of("DE")
END = months_later(START, 12, BERLIN)
DUE = [months_later(END, -1, BERLIN), END - 15 * DAY, END - 2 * DAY, END]
WHEN = ["month", "15_days", "48_hours", "end"]


def reminders(lab: PeopleLab) -> list[tuple[Instant, str, str]]:
    return [(mail.at, mail.account, mail.data["when"]) for mail in lab.mails if mail.kind == "licence_reminder"]


def licence_of(lab: PeopleLab, licence_id: str = "g3_navi-1") -> Licence:
    return next(held for held in lab.people.cars[VIN].licences if held.id == licence_id)


def refused(lab: PeopleLab, package: str = "online") -> str | None:
    rights = lab.people.rights_of(VIN)
    assert rights is not None
    why = unlicensed(rights, package, lab.now)
    return None if why is None else why[0]


# --- registration


def test_the_free_term_begins_with_the_registration_and_only_once() -> None:
    lab = lab_with()
    answer = lab.ask("licence", "register", VIN, country="DE", generation="G3", navi=True)
    assert answer.data is not None
    assert [(held["product"], held["state"], held["ends"]) for held in answer.data["licences"]] == [("g3_navi", "active", END)]
    assert lab.ask("licence", "register", VIN, country="DE", generation="G3").reason == "already_registered"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"generation": "G5"}, "malformed"),
        ({"country": "XX"}, "argument_out_of_range"),
        ({"generation": "G3", "months": 11}, "argument_out_of_range"),
        ({"generation": "G3", "navi": "yes"}, "malformed"),
    ],
)
def test_what_registers_nothing(words: dict[str, Any], reason: str) -> None:
    lab = lab_with()
    assert lab.ask("licence", "register", VIN, **words).reason == reason
    assert VIN not in lab.people.cars


def test_a_longer_free_term_can_be_given() -> None:
    lab = lab_with()
    lab.ask("licence", "register", VIN, generation="G4", months=60)
    assert licence_of(lab, "connect-1").ends == months_later(START, 60)


def test_a_licence_outlives_its_owner() -> None:
    """It is the car's: the next owner goes on with what is left, and is the one who is reminded."""
    lab = anna_and_her_car()
    lab.wait(200 * DAY)
    car = lab.people.cars[VIN]
    lab.people.put_car(replace(car, users={"p2": CarUser(role="primary", since=lab.now)}))
    assert refused(lab) is None
    lab.wait(END - lab.now)
    assert [account for _, account, _ in reminders(lab)] == ["p2"] * 4


def test_an_enrolment_wants_a_licence_or_begins_the_free_term() -> None:
    lab = anna_and_her_car()
    car = lab.people.cars[VIN]
    assert for_enrolment(car, START) is car
    assert for_enrolment(replace(CAR, licences=()), START).licences == car.licences
    with pytest.raises(Refused) as caught:
        for_enrolment(car, END)
    assert caught.value.reason == "licence_expired"


# --- the end


def test_the_end_is_told_four_times_each_once_and_in_time() -> None:
    lab = anna_and_her_car()
    lab.wait(3 * 365 * DAY)
    assert reminders(lab) == [(at, "p1", when) for at, when in zip(DUE, WHEN, strict=True)]
    assert all(mail.data["ends"] == END and mail.vin == VIN and mail.language == "de" for mail in lab.mails)
    shown = [output for output in lab.outputs if isinstance(output, AskCar)]
    assert [(each.vin, each.name, each.parameters) for each in shown] == [(VIN, "show_notice", {"kind": "licence_ended"})]
    assert [(each.to, each.kind, each.at) for each in lab.outputs if isinstance(each, Notify)] == [
        ("primary_user", "licence_ended", END)
    ]


def test_the_service_stops_in_the_instant_of_the_end() -> None:
    lab = anna_and_her_car()
    lab.wait(END - 1 - lab.now)
    assert refused(lab) is None
    lab.wait(1)
    assert refused(lab) == "licence_expired"


def test_of_a_car_that_nobody_has_nobody_is_told_and_nothing_is_made_up_for_later() -> None:
    lab = lab_with(with_free_term(replace(CAR, users={}), START))
    lab.wait(DUE[1] - START)
    assert lab.mails == []
    lab.people.put_car(replace(lab.people.cars[VIN], users={"p1": CarUser(role="primary", since=lab.now)}))
    lab.wait(60 * DAY)
    assert [when for _, _, when in reminders(lab)] == ["48_hours", "end"]


@pytest.mark.parametrize(("until", "when"), [(DUE[1] + DAY, "15_days"), (DUE[2], "48_hours"), (END + 100 * DAY, "end")])
def test_after_a_jump_of_the_clock_the_newest_reminder_alone_is_sent(until: Instant, when: str) -> None:
    """What is still true: not a month, 15 days and 48 hours at once."""
    lab = anna_and_her_car()
    lab.now = until
    lab.last = lab.centre.wake(until)
    lab.outputs += lab.last
    assert [told for _, _, told in reminders(lab)] == [when]
    lab.wait(400 * DAY)
    assert [told for _, _, told in reminders(lab)] == WHEN[WHEN.index(when) :]


def test_a_restart_reminds_of_nothing_again() -> None:
    lab = anna_and_her_car()
    lab.wait(DUE[1] - START)
    again = lab.again()
    again.wait(400 * DAY)
    assert [when for _, _, when in reminders(again)] == ["48_hours", "end"]


def test_a_clock_that_is_set_back_reminds_of_nothing_again() -> None:
    lab = anna_and_her_car()
    lab.wait(DUE[1] - START)
    lab.now = START
    lab.wait(400 * DAY)
    assert [when for _, _, when in reminders(lab)] == WHEN


def test_the_next_deadline_is_found_without_a_look_at_every_car() -> None:
    """It is asked for after each input: with 10 000 cars no record of theirs is looked at for it."""
    cars = [with_free_term(car_of("p1", vin=f"VSSZZZKMZPR{n:06}"), START + n * SECOND) for n in range(1, 1_001)]
    lab = lab_with(*cars)
    looked: list[str] = []
    held = lab.people.cars
    lab.people.cars = _Watched(held, looked)  # type: ignore[assignment]
    assert lab.centre.deadline() == months_later(months_later(START + SECOND, 12, BERLIN), -1, BERLIN)
    assert looked == []


class _Watched:
    """Tells of each look at a shelf."""

    def __init__(self, shelf: object, looked: list[str]) -> None:
        self._shelf = shelf
        self._looked = looked

    def __getattr__(self, name: str) -> object:
        self._looked.append(name)
        return getattr(self._shelf, name)


# --- renewal


@pytest.mark.parametrize(("years", "cents"), [(1, 13_500), (2, 22_500)])
def test_a_renewal_begins_where_the_old_term_ends_and_costs_its_price(years: int, cents: int) -> None:
    lab = anna_and_her_car()
    lab.wait(END - 20 * DAY - START)
    answer = lab.ask("licence", "renew", VIN, years=years)
    assert answer.data is not None
    assert (answer.data["price_cents"], answer.data["invoice"]) == (cents, "00000001")
    renewed = licence_of(lab, "g3_navi-2")
    assert (renewed.begins, renewed.ends) == (END, months_later(END, 12 * years, BERLIN))
    assert [mail.kind for mail in lab.those(Mail)] == ["invoice", "licence_renewed"]


def test_after_a_renewal_the_new_end_is_told_and_not_the_old_one() -> None:
    lab = anna_and_her_car()
    lab.wait(DUE[1] - START)
    lab.ask("licence", "renew", VIN)
    lab.wait(500 * DAY)
    ends = [mail.data["ends"] for mail in lab.mails if mail.kind == "licence_reminder"]
    assert ends == [END] * 2 + [months_later(END, 12, BERLIN)] * 4
    assert not any(mail.at in {DUE[2], DUE[3]} for mail in lab.mails)


def test_a_renewal_one_second_after_the_end_begins_then() -> None:
    lab = anna_and_her_car()
    lab.wait(END + SECOND - START)
    assert refused(lab) == "licence_expired"
    lab.ask("licence", "renew", VIN)
    renewed = licence_of(lab, "g3_navi-2")
    assert (renewed.begins, renewed.ends) == (END + SECOND, months_later(END + SECOND, 12, BERLIN))
    assert refused(lab) is None
    assert [when for _, _, when in reminders(lab)] == WHEN


def test_each_product_of_a_car_is_renewed_by_itself() -> None:
    lab = lab_with(with_free_term(replace(CAR, generation="G4"), START))
    lab.ask("licence", "renew", VIN, product="connect_plus")
    lab.ask("licence", "renew", VIN, years=2)
    assert [held.id for held in lab.people.cars[VIN].licences] == ["connect-1", "connect_plus-1", "connect_plus-2", "connect-2"]


@pytest.mark.parametrize(
    ("person", "words", "reason"),
    [
        ("ben@example.com", {}, "insufficient_rights"),
        ("p9", {}, "insufficient_rights"),
        ("anna@example.com", {"years": 3}, "argument_out_of_range"),
        ("anna@example.com", {"product": "connect"}, "licence_missing"),
        ("anna@example.com", {"year": 1}, "malformed"),
    ],
)
def test_who_may_not_renew_or_what_cannot_be_renewed(person: str, words: dict[str, Any], reason: str) -> None:
    lab = anna_and_her_car()
    assert lab.ask("licence", "renew", VIN, person=person, **words).reason == reason
    assert len(lab.people.purchases) == 0


def test_a_car_without_a_primary_user_is_renewed_by_nobody() -> None:
    assert lab_with(with_free_term(replace(CAR, users={}), START)).ask("licence", "renew", VIN).reason == "insufficient_rights"


# --- withdrawal


STATEMENT = "I withdraw from the contract."
SPRING = from_datetime(datetime(2026, 3, 20, 18, tzinfo=ZoneInfo("Europe/Berlin")))
"""Nine days before the clocks change."""


def test_a_withdrawal_stops_the_services_at_once_and_gives_the_full_price_back() -> None:
    lab = anna_and_her_car()
    lab.wait(END + DAY - START)
    lab.ask("licence", "renew", VIN, years=2)
    assert refused(lab) is None
    answer = lab.ask("licence", "withdraw", VIN, licence="g3_navi-2", statement=STATEMENT)
    assert answer.state == "succeeded"
    assert refused(lab) == "licence_expired"
    assert [invoice.cents for invoice in lab.people.invoices.values()] == [22_500, -22_500]
    assert [(mail.kind, mail.data.get("cents")) for mail in lab.those(Mail)] == [("licence_withdrawn", None), ("refund", 22_500)]
    assert lab.ask("licence", "withdraw", VIN, licence="g3_navi-2", statement=STATEMENT).reason == "already_withdrawn"


@pytest.mark.parametrize("country", ["DE", "GB", ""])
def test_the_fourteenth_day_is_in_time_and_the_fifteenth_is_not_across_a_change_of_the_clocks(country: str) -> None:
    market = replace(CAR, country=country)
    midnight = from_datetime(datetime(2026, 4, 4, tzinfo=zone_of(country)))
    for now, reason in ((midnight - 1, None), (midnight, "withdrawal_over")):
        lab = lab_with(with_free_term(market, SPRING), now=now)
        assert lab.ask("licence", "withdraw", VIN, licence="g3_navi-1", statement=STATEMENT).reason == reason


def test_after_a_withdrawal_nobody_is_reminded_of_an_end_before_it() -> None:
    lab = anna_and_her_car()
    lab.wait(END - DAY - START)
    lab.ask("licence", "renew", VIN)
    lab.wait(2 * DAY)
    lab.ask("licence", "withdraw", VIN, licence="g3_navi-2", statement=STATEMENT)
    lab.wait(500 * DAY)
    assert [when for _, _, when in reminders(lab)] == WHEN[:3]


def test_a_free_term_is_withdrawn_from_without_money() -> None:
    lab = anna_and_her_car()
    assert lab.ask("licence", "withdraw", VIN, licence="g3_navi-1", statement=STATEMENT).state == "succeeded"
    assert refused(lab) == "licence_missing"
    assert len(lab.people.invoices) == 0
    assert lab.wait(400 * DAY) == [], "nothing ends any more"


@pytest.mark.parametrize(
    ("person", "words", "reason"),
    [
        ("ben@example.com", {"licence": "g3_navi-1", "statement": STATEMENT}, "insufficient_rights"),
        (None, {"licence": "g3_navi-9", "statement": STATEMENT}, "not_found"),
        (None, {"licence": "g3_navi-1", "statement": "  "}, "malformed"),
        (None, {"licence": "g3_navi-1"}, "malformed"),
    ],
)
def test_what_is_no_withdrawal(person: str | None, words: dict[str, Any], reason: str) -> None:
    lab = anna_and_her_car()
    assert lab.ask("licence", "withdraw", VIN, person=person, **words).reason == reason
    assert refused(lab) is None


def test_nothing_but_a_withdrawal_ends_a_licence_early() -> None:
    lab = anna_and_her_car()
    lab.wait(15 * DAY)
    assert lab.ask("licence", "withdraw", VIN, licence="g3_navi-1", statement=STATEMENT).reason == "withdrawal_over"
    assert lab.ask("licence", "end", VIN).reason == "unsupported"


# --- activation


def test_one_bought_elsewhere_is_inactive_until_somebody_activates_it() -> None:
    lab = lab_with(CAR)
    lab.ask("store", "buy", VIN, offer="navi_1_year", activate=False)
    assert refused(lab) == "licence_inactive"
    lab.wait(90 * DAY)
    assert lab.ask("licence", "activate", VIN).state == "succeeded"
    assert refused(lab) is None
    assert licence_of(lab).ends == months_later(lab.now, 12, BERLIN)
    assert [(each.name, each.parameters) for each in lab.those(AskCar)] == [("show_notice", {"kind": "activation"})]
    assert lab.ask("licence", "activate", VIN, licence="g3_navi-1").reason == "not_possible"
    assert lab.ask("licence", "activate", VIN).reason == "not_found"


def test_the_fourteen_days_run_from_the_activation() -> None:
    lab = lab_with(CAR)
    lab.ask("store", "buy", VIN, offer="navi_1_year", activate=False)
    lab.wait(90 * DAY)
    lab.ask("licence", "activate", VIN)
    lab.wait(13 * DAY)
    assert lab.ask("licence", "withdraw", VIN, licence="g3_navi-1", statement=STATEMENT).state == "succeeded"


# --- a test's own state


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"days_left": 0.25}, None),
        ({"state": "inactive"}, "licence_inactive"),
        ({"state": "expired"}, "licence_expired"),
        ({"state": "missing"}, "licence_missing"),
        ({"days_left": 0}, "licence_expired"),
    ],
)
def test_a_test_sets_a_state_and_nobody_is_told(words: dict[str, Any], reason: str | None) -> None:
    lab = anna_and_her_car()
    assert lab.ask("licence", "set", VIN, product="g3_navi", **words).state == "succeeded"
    assert refused(lab) == reason
    assert lab.mails == []


@pytest.mark.parametrize(
    ("action", "words"), [("set", {"product": "g3_navi", "days_left": 3_650}), ("register", {"generation": "G3", "months": 120})]
)
def test_no_app_gives_a_car_a_licence(action: str, words: dict[str, Any]) -> None:
    """Whoever runs the service registers cars, and tests set states; a user in a session buys."""
    lab = lab_with(CAR)
    anna = lab.people.accounts["p1"]
    lab.people.put_account(replace(anna, password=_hash(PASSWORD), password_version=1))
    session = lab.log_in("anna@example.com")
    assert lab.refused("licence", action, VIN, session=session, **words) == "insufficient_rights"
    assert lab.people.cars[VIN].licences == ()


def test_a_licence_that_ends_tonight() -> None:
    lab = anna_and_her_car()
    lab.ask("licence", "set", VIN, product="g3_navi", days_left=0.25)
    lab.wait(6 * HOUR - 1)
    assert refused(lab) is None
    lab.wait(1)
    assert refused(lab) == "licence_expired"
    assert [when for _, _, when in reminders(lab)] == ["end"]


def test_a_state_of_an_unknown_product_is_not_set() -> None:
    assert lab_with(CAR).ask("licence", "set", VIN, product="yacht").reason == "not_found"


def test_a_licence_set_on_a_car_without_people_makes_it_nobodys() -> None:
    """Its primary user, who has no account, stays; only the packages of the product are judged by it."""
    lab = lab_with()
    lab.ask("licence", "set", VIN, product="connect_plus", state="expired")
    car: CarPeople = lab.people.cars[VIN]
    assert (car.managed, car.users) == (False, {})
    assert (refused(lab), refused(lab, "remote")) == ("licence_expired", None)


def test_the_list_tells_terms_and_states() -> None:
    lab = anna_and_her_car()
    lab.ask("licence", "renew", VIN)
    lab.ask("store", "buy", VIN, offer="charging_map_1_year", activate=False)
    answer = lab.ask("licence", "list", VIN)
    assert answer.data is not None
    assert answer.data["registered"] == START
    assert [(held["licence"], held["state"]) for held in answer.data["licences"]] == [
        ("g3_navi-1", "active"), ("g3_navi-2", "pending"), ("charging_map-1", "inactive"),
    ]  # fmt: skip
    assert answer.detail == (
        "g3_navi-1 active 2026-03-02 05:00 to 2027-03-02 05:00; "
        "g3_navi-2 pending 2027-03-02 05:00 to 2028-03-02 05:00; charging_map-1 inactive"
    ), "by the clock of the market"
    lab.wait(END - START)
    answer = lab.ask("licence", "list", VIN)
    assert answer.data is not None
    assert [held["state"] for held in answer.data["licences"]] == ["expired", "active", "inactive"]


@pytest.mark.parametrize(("service", "action"), [("licence", "list"), ("store", "offers")])
def test_what_a_car_has_is_told_to_its_users_and_to_whoever_runs_the_service(service: str, action: str) -> None:
    lab = anna_and_her_car()
    for user in ("p1", "p2", None, "primary"):
        lab.done(service, action, VIN, person=user)
    for stranger in ("p3", "nobody@example.com"):
        assert lab.refused(service, action, VIN, person=stranger) == "insufficient_rights"


def test_of_a_car_that_nobody_has_anybody_with_an_account_sees_offers_but_nobody_what_others_bought() -> None:
    lab = lab_with(with_free_term(replace(CAR, users={}), START))
    lab.done("store", "offers", VIN, person="p3")
    for service, action, person in (("licence", "list", "p3"), ("store", "offers", "nobody@example.com")):
        assert lab.refused(service, action, VIN, person=person) == "insufficient_rights"
    lab.done("licence", "list", VIN)


def test_terms_of_a_withdrawn_licence_are_none() -> None:
    lab = anna_and_her_car()
    lab.ask("licence", "withdraw", VIN, licence="g3_navi-1", statement=STATEMENT)
    rights = lab.rights()
    assert rights is not None
    assert rights.terms is not None
    assert rights.terms["online"] == Terms()
