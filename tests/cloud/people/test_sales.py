"""Sales: what fits is sold to who may buy, screened, invoiced and given back; money adds up."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from fleet.cloud.people.people import People
from fleet.cloud.rule import Mail, Notify
from fleet.kernel.instants import DAY, from_datetime
from tests.cloud.people.buyers import ANNA, CAR, LISTED, anna_and_her_car, car_of, lab_with
from tests.cloud.people.lab import OTHER, VIN, PeopleLab


def sold_less_refunded(people: People) -> int:
    sold = [each for each in people.purchases.values() if not each.cancelled]
    return sum(each.price_cents for each in sold if each.refunded is None)


def numbers(lab: PeopleLab) -> list[str]:
    return sorted(lab.people.invoices)


def test_what_was_sold_less_what_was_refunded_is_what_the_invoices_add_up_to() -> None:
    """In a year of purchases and refunds, numbered without a gap."""
    lab = lab_with(CAR, car_of("p2"))
    for day, (vin, offer) in enumerate([(VIN, "navi_1_year"), (OTHER, "navi_2_years"), (VIN, "charging_map_1_year")] * 4):
        answer = lab.done("store", "buy", vin, offer=offer)
        assert answer.data is not None
        if day % 3 == 1:
            lab.wait(3 * DAY)
            lab.done("store", "refund", vin, purchase=answer.data["purchase"])
        lab.wait(20 * DAY)
    assert (
        sum(invoice.cents for invoice in lab.people.invoices.values()) == sold_less_refunded(lab.people) == 4 * (13_500 + 2_900)
    )
    assert numbers(lab) == [f"{number:08}" for number in range(1, 17)]


def test_a_sale_that_fails_takes_no_number() -> None:
    lab = lab_with(CAR)
    assert lab.refused("store", "buy", VIN, offer="yacht") == "not_found"
    assert lab.refused("store", "buy", VIN, offer="connect_1_year") == "not_equipped"
    lab.done("store", "buy", VIN, offer="navi_1_year")
    assert numbers(lab) == ["00000001"]
    assert list(lab.people.purchases) == ["b1"]


def test_what_costs_nothing_has_no_invoice() -> None:
    lab = lab_with(CAR)
    answer = lab.done("store", "buy", VIN, offer="tidal_1_year", subscription="T-1")
    assert answer.data is not None
    assert answer.data["invoice"] == ""
    assert [mail.kind for mail in lab.mails] == []


def test_the_invoice_comes_by_mail_in_the_language_of_the_buyer() -> None:
    lab = lab_with(CAR)
    lab.done("store", "buy", VIN, offer="navi_1_year")
    (mail,) = lab.mails
    assert (mail.kind, mail.address, mail.language) == ("invoice", ANNA.email, "de")
    assert mail.data == {"number": "00000001", "cents": 13_500, "product": "g3_navi", "vin": VIN}


# --- screening


def test_a_purchase_of_somebody_listed_is_cancelled_recorded_and_told() -> None:
    lab = lab_with(car_of("p3"))
    answer = lab.ask("store", "buy", OTHER, offer="navi_1_year")
    assert (answer.state, answer.reason) == ("rejected", "sanctioned")
    (kept,) = lab.people.purchases.values()
    assert (kept.cancelled, kept.invoice, kept.licence) == ("sanctioned", "", "")
    assert [(mail.kind, mail.account, mail.data["product"]) for mail in lab.those(Mail)] == [
        ("purchase_cancelled", "p3", "g3_navi")
    ]
    assert [(told.to, told.kind, told.data["purchase"]) for told in lab.those(Notify)] == [
        ("operator", "purchase_cancelled", "b1")
    ]
    assert len(lab.people.invoices) == 0
    assert lab.people.cars[OTHER].licences == ()
    assert list(lab.again().people.purchases) == ["b1"], "it is kept in the store, too"


def test_an_innocent_namesake_buys() -> None:
    namesake = replace(LISTED, birth_date="1961-08-24")
    lab = lab_with(car_of("p3"), accounts=(namesake,))
    lab.done("store", "buy", OTHER, offer="navi_1_year")


@pytest.mark.parametrize("missing", ["first_name", "last_name", "birth_date"])
def test_who_cannot_be_screened_buys_nothing(missing: str) -> None:
    lab = lab_with(CAR, accounts=(replace(ANNA, **{missing: ""}),))
    assert lab.refused("store", "buy", VIN, offer="navi_1_year") == "account_incomplete"
    assert len(lab.people.purchases) == 0


# --- refunds


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("bought", "over"),
    [
        (datetime(2026, 3, 20, 18, tzinfo=BERLIN), datetime(2026, 4, 4, tzinfo=BERLIN)),
        (datetime(2026, 10, 20, 18, tzinfo=BERLIN), datetime(2026, 11, 4, tzinfo=BERLIN)),
        (datetime(2026, 6, 1, tzinfo=BERLIN), datetime(2026, 6, 16, tzinfo=BERLIN)),
    ],
)
def test_a_refund_is_in_time_until_the_end_of_the_fourteenth_day(bought: datetime, over: datetime) -> None:
    """Across a change of the clocks in spring and autumn, and without one."""
    for now, reason in ((from_datetime(over) - 1, None), (from_datetime(over), "withdrawal_over")):
        lab = lab_with(CAR, now=from_datetime(bought))
        lab.done("store", "buy", VIN, offer="navi_1_year")
        lab.wait(now - lab.now)
        assert lab.ask("store", "refund", VIN, purchase="b1").reason == reason


@pytest.mark.parametrize(
    ("person", "words", "reason"),
    [
        ("ben@example.com", {"purchase": "b1"}, "insufficient_rights"),
        (None, {"purchase": "b9"}, "not_found"),
        (None, {}, "malformed"),
    ],
)
def test_what_is_not_refunded(person: str | None, words: dict[str, Any], reason: str) -> None:
    lab = lab_with(CAR)
    lab.done("store", "buy", VIN, offer="navi_1_year")
    assert lab.refused("store", "refund", VIN, person=person, **words) == reason


def test_nothing_is_refunded_twice() -> None:
    lab = anna_and_her_car()
    lab.done("store", "buy", VIN, offer="navi_1_year")
    lab.done("store", "refund", VIN, purchase="b1")
    assert lab.refused("store", "refund", VIN, purchase="b1") == "already_refunded"
    assert lab.refused("licence", "withdraw", VIN, licence="g3_navi-2", statement="I withdraw.") == "already_withdrawn"
    assert sum(invoice.cents for invoice in lab.people.invoices.values()) == 0


def test_the_next_owner_gets_no_money_for_what_the_last_one_bought() -> None:
    lab = anna_and_her_car()
    lab.done("store", "buy", VIN, offer="navi_1_year")
    lab.people.put_car(replace(lab.people.cars[VIN], users=car_of("p2").users))
    assert lab.refused("store", "refund", VIN, purchase="b1") == "insufficient_rights"
    assert lab.people.rights_of(VIN) is not None
    assert len(lab.people.cars[VIN].licences) == 2, "and goes on with it"


def test_a_purchase_that_was_cancelled_is_not_refunded() -> None:
    lab = lab_with(car_of("p3"))
    lab.ask("store", "buy", OTHER, offer="navi_1_year")
    assert lab.refused("store", "refund", OTHER, purchase="b1") == "already_refunded"


# --- of a purchase whose licence is gone


def test_a_refund_never_takes_the_licence_of_another_purchase() -> None:
    lab = anna_and_her_car()
    lab.done("licence", "renew", VIN)
    lab.done("licence", "set", VIN, product="g3_navi")
    lab.done("licence", "renew", VIN)
    lab.done("store", "refund", VIN, purchase="b1")
    held = {licence.purchase: licence for licence in lab.people.cars[VIN].licences}
    assert {purchase: licence.state for purchase, licence in held.items()} == {"": "active", "b2": "active"}
    purchases = lab.people.purchases
    assert purchases["b1"].licence != purchases["b2"].licence == held["b2"].id, "no number comes twice"
    assert [invoice.purchase for invoice in lab.people.invoices.values() if invoice.cents < 0] == ["b1"]


def test_a_purchase_whose_licence_is_gone_is_refunded_for_fourteen_days() -> None:
    lab = anna_and_her_car()
    lab.done("licence", "renew", VIN)
    lab.done("licence", "set", VIN, product="g3_navi")
    lab.wait(15 * DAY)
    assert lab.refused("store", "refund", VIN, purchase="b1") == "withdrawal_over"
    assert len(lab.people.invoices) == 1
