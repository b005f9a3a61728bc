"""Pairing codes are not found by trying: in no car, and not in all together."""

from __future__ import annotations

import pytest

from fleet.cloud.people import guessing
from fleet.cloud.people.guessing import LOCKED, WRONG_IN_ALL, WRONG_IN_CAR
from fleet.kernel.instants import DAY
from tests.cloud.people.enrolling import ANNA, ATECA, EnrolLab

OTHER = "VSSZZZKHZP6000002"
SLOWLY = 365 * WRONG_IN_CAR
"""Wrong codes of a patient guesser in the year in which a code is valid."""


def begun() -> tuple[EnrolLab, str]:
    lab = EnrolLab()
    secrets = lab.done("enrol", "begin", ATECA, person=ANNA, way="code").secrets
    assert secrets is not None
    return lab, secrets["code"]


def test_after_five_wrong_codes_a_car_takes_none_for_a_day() -> None:
    lab, code = begun()
    for number in range(WRONG_IN_CAR):
        assert lab.types(f"{number:08}").error == "code_wrong"
    assert lab.types(code).error == "code_locked"
    lab.now += LOCKED - 1
    assert lab.types(code).error == "code_locked", "tries that are not taken do not count"
    lab.now += 1
    assert lab.types(code).error is None
    assert LOCKED == DAY


def test_another_car_is_not_locked_by_that() -> None:
    lab, code = begun()
    for number in range(WRONG_IN_CAR + 3):
        lab.types(f"{number:08}", OTHER)
    assert lab.types("00000000", OTHER).error == "code_locked"
    assert lab.types(code).error is None


def test_all_cars_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    lab, code = begun()
    monkeypatch.setattr(guessing, "WRONG_IN_ALL", 20)
    for number in range(20):
        lab.types("00000000", f"VSSZZZKHZP61{number:05}")
    assert lab.types(code).error == "code_locked"
    lab.now += LOCKED
    assert lab.types(code).error is None


def test_some_wrong_codes_each_day_add_up_to_no_lock_of_all_cars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody mistypes each day in a large fleet; each day is counted anew."""
    lab, code = begun()
    monkeypatch.setattr(guessing, "WRONG_IN_ALL", 20)
    for number in range(100):
        assert lab.types("00000000", f"VSSZZZKHZP61{number:05}").error == "code_wrong"
        lab.now += LOCKED // 10
    assert lab.types(code).error is None


def test_the_right_code_lets_a_car_count_anew() -> None:
    lab, code = begun()
    for number in range(WRONG_IN_CAR - 1):
        lab.types(f"{number:08}")
    assert lab.types(code).error is None
    assert lab.types(code).error == "code_wrong"
    assert f"code/{ATECA}" in lab.people.tries
    assert lab.people.tries[f"code/{ATECA}"].count == 1


def test_guessing_for_a_year_is_hopeless() -> None:
    assert 10**8 / SLOWLY > 50_000
    assert WRONG_IN_ALL / 10**8 <= 1 / 10_000
