"""Online requests of cars with people, on journals written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.checks.lab import VIN, broken
from tests.checks.test_people_contracts import Book
from tests.checks.test_people_rights import ALWAYS, USERS

CHECK = "people's requests"
BOUGHT = {"product": "radio_1_year", "price_eur": 50, "active_until": 1}
"""What another check wants of the reply to a purchase."""


def judged(tmp_path: Path, name: str, error: str | None, *, data: dict[str, Any] | None = None, **changed: Any) -> bool:
    """Tell whether the check finds nothing wrong with a reply."""
    book = Book()
    book.keep(f"car/{VIN}", {"vin": VIN, "managed": True, "users": USERS, "licences": ALWAYS} | changed)
    header = {"vin": VIN, "boot": 7, "seq": 1, "captured_at": book.now, "id": "q1", "name": name, "data": data or {}}
    book.write("centre", "in", "Request", header)
    reply = {"id": "q1", "name": name, "data": BOUGHT} | ({} if error is None else {"error": error})
    book.write("centre", "out", "SendReply", {"vin": VIN, "reply": reply, "lifetime": 1})
    return CHECK not in broken(book.judge(tmp_path))


@pytest.mark.parametrize(("name", "data", "changed", "reason"), [
    ("traffic", {}, {}, None),
    ("internet_radio", {"user": "p3"}, {}, "insufficient_rights"),
    ("internet_radio", {"user": "p2"}, {}, None),
    ("internet_radio", {"user": "somebody"}, {}, "insufficient_rights"),
    ("personalisation", {"user": "primary"}, {}, None),
    ("personalisation", {"user": "primary"}, {"users": {}}, "insufficient_rights"),
    ("store_purchase", {"user": "p2"}, {}, "insufficient_rights"),
    ("store_purchase", {"user": "p1"}, {"licences": []}, None),
    ("traffic", {}, {"licences": []}, "licence_missing"),
    ("traffic", {}, {"services_off": ["traffic"]}, "service_deactivated"),
    ("traffic", {}, {"mode": "online"}, "privacy_location"),
    ("internet_radio", {}, {"mode": "online"}, None),
])  # fmt: skip
def test_what_is_answered_and_what_is_refused(
    tmp_path: Path, name: str, data: dict[str, Any], changed: dict[str, Any], reason: str | None
) -> None:
    """The right outcome holds, and the other one does not."""
    wrong = "insufficient_rights" if reason is None else None
    assert judged(tmp_path, name, reason, data=data, **changed)
    assert not judged(tmp_path, name, wrong, data=data, **changed)


def test_another_error_says_nothing_of_rights(tmp_path: Path) -> None:
    assert judged(tmp_path, "traffic", "no_map_data", licences=[])


def test_nothing_is_judged_of_a_car_without_people(tmp_path: Path) -> None:
    assert judged(tmp_path, "store_purchase", None, data={"user": "whoever"}, managed=False)
