"""Reminders, money and mails on journals written by hand: on either side of each rule."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fleet.checks.people_contracts import due_at
from fleet.kernel.instants import DAY, HOUR, MINUTE, Instant, from_datetime
from tests.checks.lab import START, VIN, Paper, broken, told

ENDS = START + 60 * DAY
USERS = {"p1": {"role": "primary", "since": START - DAY}}


def instant(text: str) -> Instant:
    return from_datetime(datetime.fromisoformat(f"{text}:00:00+00:00"))


def licence(**changed: Any) -> dict[str, Any]:
    return {"id": "connect-1", "product": "connect", "packages": ["remote"], "begins": START - DAY, "ends": ENDS} | changed


def car(**changed: Any) -> dict[str, Any]:
    return {"vin": VIN, "managed": True, "users": USERS, "licences": [licence()]} | changed


class Book(Paper):
    """A journal of the service centre."""

    def keep(self, key: str, value: dict[str, Any] | None) -> None:
        text = None if value is None else json.dumps(value)
        self.write("centre", "out", "Keep", {"module": "people", "key": key, "value": text})

    def mail(self, kind: str, account: str = "p1", vin: str = VIN, **data: Any) -> None:
        self.write("centre", "out", "Mail", {"kind": kind, "account": account, "vin": vin, "channel": "mail", "data": data})

    def remind(self, stage: str, *, at: Instant | None = None, account: str = "p1") -> None:
        """Tell of an end at the time when it is due, or at another."""
        self.now = (due_at(ENDS, stage) if at is None else at) - 1_000_000
        data = {"vin": VIN, "product": "connect", "when": stage, "ends": ENDS}
        self.write(
            "centre",
            "out",
            "Mail",
            {"kind": "licence_reminder", "account": account, "vin": VIN, "channel": "mail", "data": data},
        )

    def ended(self, folder: Path) -> set[str]:
        """Judge, at a time when all is over."""
        self.now = max(self.now, ENDS + DAY)
        self.keep("account/p9", {"id": "p9"})
        return broken(self.judge(folder))


@pytest.fixture
def book() -> Book:
    book = Book()
    book.keep(f"car/{VIN}", car())
    return book


STAGES = ("month", "15_days", "48_hours", "end")


def test_four_reminders_each_in_time(book: Book, tmp_path: Path) -> None:
    for stage in STAGES:
        book.remind(stage)
    assert book.ended(tmp_path) == set()


@pytest.mark.parametrize("missing", STAGES)
def test_one_that_is_missing(book: Book, tmp_path: Path, missing: str) -> None:
    for stage in STAGES:
        if stage != missing:
            book.remind(stage)
    assert book.ended(tmp_path) == {"reminders"}


@pytest.mark.parametrize("twice", STAGES)
def test_one_that_comes_twice(book: Book, tmp_path: Path, twice: str) -> None:
    for stage in STAGES:
        book.remind(stage)
        if stage == twice:
            book.remind(stage, at=book.now + 30_000_000)
    assert book.ended(tmp_path) == {"reminders"}


@pytest.mark.parametrize(
    ("stage", "off"), [("48_hours", -1), ("end", -1), ("end", 3 * MINUTE), ("15_days", 4 * HOUR), ("month", 2 * DAY)]
)
def test_one_beside_its_time(book: Book, tmp_path: Path, stage: str, off: int) -> None:
    for each in STAGES:
        book.remind(each, at=due_at(ENDS, each) + off if each == stage else None)
    assert book.ended(tmp_path) == {"reminders"}


def test_who_is_told_is_the_primary_user_of_that_time(book: Book, tmp_path: Path) -> None:
    book.remind("month")
    book.keep(f"car/{VIN}", car(users={"p2": {"role": "primary", "since": book.now}, "p1": {"role": "guest", "since": START}}))
    for stage in STAGES[1:]:
        book.remind(stage, account="p2")
    assert book.ended(tmp_path) == set()


def test_who_is_not_the_primary_user_is_not_told(book: Book, tmp_path: Path) -> None:
    book.remind("month", account="p2")
    for stage in STAGES[1:]:
        book.remind(stage)
    assert book.ended(tmp_path) == {"reminders", "mails"}


def test_nobody_is_told_where_nobody_is_or_the_licence_is_not_the_last_or_was_withdrawn(tmp_path: Path) -> None:
    states: tuple[dict[str, Any], ...] = (
        {"users": {}},
        {"licences": [licence(state="withdrawn")]},
        {"licences": [licence(), licence(id="connect-2", begins=ENDS, ends=ENDS + 365 * DAY)]},
        {"licences": [licence(product="data_plan")]},
        {"managed": False},
    )
    for changed in states:
        book = Book()
        book.keep(f"car/{VIN}", car(**changed))
        assert book.ended(tmp_path) == set()


def test_a_licence_that_is_renewed_has_no_more_reminders_of_its_old_end(book: Book, tmp_path: Path) -> None:
    again = Book()
    again.keep(f"car/{VIN}", car())
    for each, goes_on in ((book, False), (again, True)):
        each.remind("month")
        each.keep(f"car/{VIN}", car(licences=[licence(), licence(id="connect-2", begins=ENDS, ends=ENDS + 365 * DAY)]))
        if goes_on:
            each.remind("15_days")
        assert each.ended(tmp_path) == ({"reminders"} if goes_on else set())


def test_the_month_before_the_last_day_of_march_is_the_last_of_february() -> None:
    assert due_at(instant("2026-03-31T12"), "month") == instant("2026-02-28T12")
    assert due_at(instant("2026-01-15T00"), "month") == instant("2025-12-15T00")


# --- money ------------------------------------------------------------------------------------------------------------


def buy(book: Book, number: int, cents: int, **changed: Any) -> None:
    book.keep(f"purchase/b{number}", {"id": f"b{number}", "vin": VIN, "account": "p1", "price_cents": cents, "at": 1} | changed)


def bill(book: Book, number: int, cents: int) -> None:
    book.keep(f"invoice/{number:08}", {"number": f"{number:08}", "cents": cents, "at": 1})


def answered(book: Book) -> None:
    book.write("centre", "out", "Answer", {"topic": "t", "answer": {"id": f"a{book.now}", "state": "succeeded", "final": True}})


def test_what_is_sold_and_refunded_is_what_the_invoices_say(book: Book, tmp_path: Path) -> None:
    buy(book, 1, 13_500)
    bill(book, 1, 13_500)
    buy(book, 2, 5_000)
    bill(book, 2, 5_000)
    answered(book)
    buy(book, 2, 5_000, refunded=9)
    bill(book, 3, -5_000)
    answered(book)
    buy(book, 3, 22_500, cancelled="sanctioned")
    answered(book)
    assert "money" not in broken(book.judge(tmp_path))


def test_what_does_not_add_up(tmp_path: Path) -> None:
    unpaid, unrefunded, gap, changed, cancelled = Book(), Book(), Book(), Book(), Book()
    buy(unpaid, 1, 13_500)
    answered(unpaid)
    buy(unrefunded, 1, 13_500)
    bill(unrefunded, 1, 13_500)
    answered(unrefunded)
    buy(unrefunded, 1, 13_500, refunded=9)
    answered(unrefunded)
    buy(gap, 1, 100)
    bill(gap, 2, 100)
    answered(gap)
    buy(changed, 1, 100)
    bill(changed, 1, 100)
    answered(changed)
    bill(changed, 1, 200)
    buy(cancelled, 1, 100, cancelled="sanctioned", invoice="00000001")
    for book in (unpaid, unrefunded, gap, changed, cancelled):
        assert "money" in broken(book.judge(tmp_path))


def test_an_invoice_whose_person_was_erased_is_still_the_same_invoice(book: Book, tmp_path: Path) -> None:
    buy(book, 1, 100)
    bill(book, 1, 100)
    answered(book)
    book.keep("purchase/b1", None)
    book.keep("invoice/00000001", {"number": "00000001", "cents": 100, "at": 1})
    answered(book)
    assert "money" not in broken(book.judge(tmp_path))


def test_what_the_store_held_counts_as_settled(tmp_path: Path) -> None:
    book = Book()
    state = {"purchase/b1": {"id": "b1", "price_cents": 100}, "invoice/00000001": {"number": "00000001", "cents": 100, "at": 1}}
    book.write("centre", "in", "CentreStart", {"state": {"people": state}})
    buy(book, 2, 300)
    bill(book, 2, 300)
    answered(book)
    assert "money" not in broken(book.judge(tmp_path))


# --- mails ------------------------------------------------------------------------------------------------------------


def test_a_mail_about_a_car_goes_to_its_users_and_of_what_is_over_to_who_was_one(book: Book, tmp_path: Path) -> None:
    book.mail("enrolled", vin=VIN)
    book.mail("taken_over", "p8", at=1)
    book.mail("new_device", "p8", "", device="phone")
    assert "mails" not in broken(book.judge(tmp_path))
    book.mail("user_added", "p8", role="guest")
    assert told(book.judge(tmp_path), "mails") == ["user_added goes to p8, who is no user of the car"]


def test_the_same_mail_at_the_same_instant_is_one_too_many(book: Book, tmp_path: Path) -> None:
    book.mail("enrolled")
    book.now -= 1_000_000
    book.mail("enrolled")
    assert "mails" in broken(book.judge(tmp_path))
