"""The store: offers that fit, purchases in the car by its primary user, invoices of one's own, and the data plan."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cloud.calendar import months_later, zone_of
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.online import OnlineRule
from fleet.cloud.people.licences import for_enrolment
from fleet.cloud.people.part import Refused
from fleet.cloud.people.people import RULE
from fleet.cloud.people.rule import PeopleRule
from fleet.cloud.people.terms import with_free_term
from fleet.cloud.rule import Notify, SendReply
from fleet.kernel.instants import DAY, SECOND
from fleet.wire.messages import Request
from fleet.wire.requests import requests
from tests.cloud.people.buyers import CAR, anna_and_her_car, car_of, lab_with
from tests.cloud.people.lab import OTHER, START, VIN, PeopleLab


def offers(lab: PeopleLab, vin: str = VIN) -> dict[str, int]:
    answer = lab.done("store", "offers", vin)
    assert answer.data is not None
    return {each["offer"]: each["price_cents"] for each in answer.data["offers"]}


# --- offers


def test_a_car_is_offered_what_fits_it() -> None:
    navi = offers(lab_with(CAR))
    assert {"navi_1_year": 13_500, "navi_2_years": 22_500, "data_plan_1_month": 1_500}.items() <= navi.items()
    assert not {"radio_1_year", "connect_1_year", "travel_assist_1_year"} & navi.keys()
    radio = offers(lab_with(replace(CAR, navi=False)))
    assert {"radio_1_year": 5_000, "radio_2_years": 8_500}.items() <= radio.items()
    assert not {"navi_1_year", "charging_map_1_year", "tidal_1_year"} & radio.keys()


def test_connected_travel_assist_is_for_cars_with_travel_assist() -> None:
    equipped = replace(CAR, generation="G4", equipment=("travel_assist",))
    assert "travel_assist_1_year" in offers(lab_with(equipped))
    assert lab_with(equipped).ask("store", "buy", VIN, offer="travel_assist_1_year").state == "succeeded"
    assert lab_with(CAR).refused("store", "buy", VIN, offer="travel_assist_1_year") == "not_equipped"


@pytest.mark.parametrize("app", ["apple_music_1_year", "tidal_1_year"])
def test_an_app_wants_a_subscription_of_ones_own(app: str) -> None:
    lab = lab_with(CAR)
    assert lab.refused("store", "buy", VIN, offer=app) == "subscription_missing"
    lab.done("store", "buy", VIN, offer=app, subscription="S-1")
    assert lab.request("store_purchase", product=app).error == "subscription_missing"
    assert lab.request("store_purchase", product=app, subscription="S-1").error is None


def test_what_is_bought_is_active_for_its_duration() -> None:
    lab = lab_with(CAR)
    lab.done("store", "buy", VIN, offer="charging_map_1_year")
    rights = lab.rights()
    assert rights is not None
    assert rights.terms is not None
    assert rights.terms["charging_map"].spans == ((START, months_later(START, 12, zone_of("DE"))),)


# --- in the car


def test_a_purchase_in_the_car_is_that_of_the_primary_user() -> None:
    lab = anna_and_her_car()
    reply = lab.request("store_purchase", product="navi_1_year")
    until = months_later(START, 24, zone_of("DE"))
    assert reply.data == {"purchase": 1, "product": "navi_1_year", "price_eur": 135.0, "active_until": until}
    assert set(reply.data) == set(requests()["store_purchase"].entry.answer)
    (told,) = lab.those(Notify)
    assert (told.to, told.kind, told.data["price_eur"]) == ("primary_user", "purchased", 135.0)
    assert [mail.kind for mail in lab.mails] == ["invoice", "licence_renewed"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"product": "navi_1_year", "user": "p2"}, "insufficient_rights"),
        ({"product": "navi_1_year", "user": "guest"}, "insufficient_rights"),
        ({"product": "yacht"}, "not_found"),
        ({"product": "radio_1_year"}, "not_equipped"),
        ({"product": "data_plan_1_month"}, "sim_not_owned"),
        ({"product": "x" * 41}, "argument_out_of_range"),
        ({}, "malformed"),
    ],
)
def test_what_is_not_sold_in_the_car(words: dict[str, Any], reason: str) -> None:
    lab = anna_and_her_car()
    assert lab.request("store_purchase", **words).error == reason
    assert len(lab.people.purchases) == 0


def test_a_car_whose_buyer_is_listed_or_incomplete_or_that_nobody_has_buys_nothing() -> None:
    lab = lab_with(car_of("p3"), replace(CAR, users={}))
    assert lab.request("store_purchase", vin=OTHER, product="navi_1_year").error == "sanctioned"
    assert [mail.kind for mail in lab.mails] == ["purchase_cancelled"]
    assert lab.request("store_purchase", product="navi_1_year").error == "insufficient_rights"
    lab.people.put_account(replace(lab.people.accounts["p3"], birth_date=""))
    assert lab.request("store_purchase", vin=OTHER, product="navi_1_year").error == "account_incomplete"


def test_what_nobody_waits_for_any_more_is_not_bought() -> None:
    lab = anna_and_her_car()
    asked = Request(
        vin=VIN, boot=1, seq=9, captured_at=START, id="late", name="store_purchase", data={"product": "navi_1_year"},
        expires_at=START + SECOND,
    )  # fmt: skip
    lab.now += SECOND
    lab.give(asked)
    assert lab.those(SendReply) == []
    assert len(lab.people.purchases) == 0


def test_a_car_without_people_buys_from_the_online_services_as_before() -> None:
    lab = lab_with(CAR)
    centre = ServiceCentre((PeopleRule, OnlineRule), {RULE: lab.notes})
    for vin, kept in ((VIN, "people"), (OTHER, "online")):
        asked = Request(
            vin=vin, boot=1, seq=1, captured_at=START, id="q1", name="store_purchase", data={"product": "navi_1_year"}
        )
        outputs = centre.receive(asked, START)
        assert [each.reply.error for each in outputs if isinstance(each, SendReply)] == [None]
        assert {each.module for each in outputs if hasattr(each, "module")} == {kept}


def test_for_a_car_that_nobody_has_anybody_buys_in_the_web_shop_and_then_can_enrol_it() -> None:
    """The free term of a used car is over, and nobody is enrolled on a car without a licence."""
    lab = lab_with(with_free_term(replace(CAR, users={}), START))
    lab.wait(400 * DAY)
    with pytest.raises(Refused, match="all licences of the car are over"):
        for_enrolment(lab.people.cars[VIN], lab.now)
    assert lab.refused("store", "buy", VIN, offer="navi_1_year") == "not_enrolled"
    lab.done("store", "buy", VIN, person="ben@example.com", offer="navi_1_year")
    assert for_enrolment(lab.people.cars[VIN], lab.now) is lab.people.cars[VIN]
    assert lab.refused("store", "refund", VIN, person="anna@example.com", purchase="b1") == "insufficient_rights"
    lab.done("store", "refund", VIN, person="ben@example.com", purchase="b1")


# --- invoices


def test_everybody_sees_the_own_invoices_alone() -> None:
    lab = lab_with(CAR, car_of("p2"))
    lab.done("store", "buy", VIN, offer="navi_1_year")
    lab.done("store", "buy", OTHER, offer="navi_2_years")
    lab.done("store", "refund", VIN, purchase="b1")
    own = lab.done("store", "invoices", person="anna@example.com").data
    assert own is not None
    assert [(each["number"], each["cents"]) for each in own["invoices"]] == [("00000001", 13_500), ("00000003", -13_500)]
    assert own["sum_cents"] == 0
    one = lab.done("store", "invoices", person="anna@example.com", number="00000003").data
    assert one is not None
    assert [(each["offer"], each["vin"], each["purchase"]) for each in one["invoices"]] == [("navi_1_year", VIN, "b1")]
    assert lab.refused("store", "invoices", person="anna@example.com", number="00000002") == "not_found"
    assert lab.refused("store", "invoices") == "insufficient_rights", "whose?"


# --- data plan


def test_who_owns_the_sim_buys_data_and_allows_it_in_the_car() -> None:
    lab = lab_with(CAR)
    assert lab.refused("store", "buy", VIN, offer="data_plan_1_month") == "sim_not_owned"
    assert lab.refused("store", "data_plan", VIN, in_car=True) == "sim_not_owned"
    assert lab.refused("store", "data_plan", VIN, person="ben@example.com", own_sim=True) == "insufficient_rights"
    lab.done("store", "data_plan", VIN, own_sim=True)
    assert lab.request("store_purchase", product="data_plan_1_month").error == "sim_not_owned", "not in the car yet"
    lab.done("store", "data_plan", VIN, in_car=True)
    assert lab.request("store_purchase", product="data_plan_1_month").error is None
    told = lab.done("store", "data_plan", VIN).data
    assert told is not None
    assert (told["until"], told["own_sim"], told["in_car"]) == (months_later(START, 1, zone_of("DE")), True, True)
    assert {"DE", "ES", "SE"} <= set(told["countries"])
    assert "CH" not in told["countries"]


def test_the_next_owner_does_not_own_the_sim_of_the_last_one() -> None:
    lab = lab_with(CAR)
    lab.done("store", "data_plan", VIN, own_sim=True, in_car=True)
    lab.people.put_car(replace(lab.people.cars[VIN], users=car_of("p2").users))
    assert lab.request("store_purchase", product="data_plan_1_month").error == "sim_not_owned"


def test_radio_goes_over_the_data_plan_and_without_one_over_a_phone() -> None:
    """The online services answer; what is paid for, they are told with the rights of the car."""
    lab = anna_and_her_car()
    centre = ServiceCentre((PeopleRule, OnlineRule), {RULE: lab.notes})
    lab.centre = centre
    assert lab.request("internet_radio", station="jazz").error == "no_data_plan"
    assert lab.request("internet_radio", station="jazz", phone=True).data["over"] == "phone"
    lab.done("store", "data_plan", VIN, own_sim=True)
    lab.done("store", "buy", VIN, offer="data_plan_1_month")
    assert lab.request("internet_radio", station="jazz", phone=True).data["over"] == "data_plan"
    assert lab.request("internet_radio", station="polka").error == "not_found"
    lab.wait(months_later(START, 1, zone_of("DE")) - START)
    assert lab.request("internet_radio", station="jazz").error == "no_data_plan"
