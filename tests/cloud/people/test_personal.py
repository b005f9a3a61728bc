"""Names and dates of birth as people have them."""

from __future__ import annotations

import pytest

from fleet.cloud.people.personal import birth_date_fault, name_fault
from tests.cloud.people.lab import START


@pytest.mark.parametrize("name", ["Anna", "Åsa-Märta", "Đặng Thị", "O’Neill", "x" * 80])
def test_a_name_may_be_any(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize("name", ["", " ", "x" * 81, "Anna\r\nBcc: all@example.com", "Anna\x00", "Anna\u2028Ek"])
def test_a_name_that_would_break_a_line_is_none(name: str) -> None:
    assert name_fault(name) is not None


@pytest.mark.parametrize("born", ["2010-03-02", "1990-05-17", "1905-03-03", "2000-02-29"])
def test_people_of_16_to_120_years_have_accounts(born: str) -> None:
    """As of 2026-03-02; on the birthday somebody is a year older."""
    assert birth_date_fault(born, START) is None


@pytest.mark.parametrize(
    ("born", "told"),
    [
        ("2026-03-03", "future"), ("9999-12-31", "future"), ("2010-03-03", "16 to 120"), ("1905-03-02", "16 to 120"),
        ("0001-01-01", "16"),
        ("2001-02-29", "written"), ("19900517", "written"), ("1990-W20-4", "written"), ("17.05.1990", "written"), ("", "written"),
        ("1990-05-17T00:00:00", "written"),
    ],
)  # fmt: skip
def test_other_dates_are_none(born: str, told: str) -> None:
    assert told in (birth_date_fault(born, START) or "")
