"""The terms of licences, as functions of a car's record: free term, renewal, withdrawal, and when ends are told."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from fleet.cloud.calendar import months_later, zone_of
from fleet.cloud.people.records import CarPeople
from fleet.cloud.people.terms import (
    covered_until,
    next_reminder,
    over_by,
    reminded_of,
    with_changed,
    with_free_term,
    with_licence,
    withdrawable_until,
    withdrawn,
)
from fleet.kernel.instants import DAY, HOUR, MICROSECOND, SECOND, Instant, from_datetime

BERLIN = zone_of("DE")


def at(year: int, month: int, day: int, hour: int = 9) -> Instant:
    return from_datetime(datetime(year, month, day, hour, tzinfo=ZoneInfo("Europe/Berlin")))


NOW = at(2026, 3, 20)


def car(generation: str = "G3", *, navi: bool = True, country: str = "DE", equipment: tuple[str, ...] = ()) -> CarPeople:
    return CarPeople(vin="VSSZZZKMZPR000001", generation=generation, navi=navi, country=country, equipment=equipment)


@pytest.mark.parametrize(
    ("generation", "navi", "products", "months"),
    [
        ("G3", False, ["g3_radio"], 12),
        ("G3", True, ["g3_navi"], 12),
        ("G4", False, ["connect"], 36),
        ("G4", True, ["connect", "connect_plus"], 36),
    ],
)
def test_a_car_is_free_from_its_registration(generation: str, navi: bool, products: list[str], months: int) -> None:
    registered = with_free_term(car(generation, navi=navi), NOW)
    assert [held.product for held in registered.licences] == products
    assert all((held.begins, held.ends) == (NOW, months_later(NOW, months, BERLIN)) for held in registered.licences)
    assert with_free_term(registered, NOW + DAY) is registered, "once and for all"


@pytest.mark.parametrize(
    ("fitted", "months"),
    [
        (car(country="CH"), 24),
        (car(equipment=("long_warranty",)), 24),
        (car("G4", country="CH", equipment=("long_warranty",)), 36),
    ],
)
def test_the_free_term_is_longer_in_some_markets_and_with_some_equipment(fitted: CarPeople, months: int) -> None:
    (first, *_) = with_free_term(fitted, NOW).licences
    assert first.ends == months_later(NOW, months, zone_of(fitted.country))


def test_a_renewal_begins_where_the_old_term_ends() -> None:
    before = with_free_term(car(), NOW)
    (free,) = before.licences
    after, renewed = with_licence(before, "g3_navi", 12, at(2027, 3, 1))
    assert (renewed.begins, renewed.ends) == (free.ends, months_later(NOW, 24, BERLIN))
    assert covered_until(after, "g3_navi") == renewed.ends


@pytest.mark.parametrize("late", [0, MICROSECOND, SECOND])
def test_a_renewal_at_the_end_or_one_second_after_it_begins_now(late: int) -> None:
    before = with_free_term(car(), NOW)
    end = before.licences[0].ends
    _, renewed = with_licence(before, "g3_navi", 12, end + late)
    assert (renewed.begins, renewed.ends) == (end + late, months_later(end + late, 12, BERLIN))


def test_one_bought_and_not_activated_has_no_term() -> None:
    after, bought = with_licence(car(), "g3_navi", 12, NOW, active=False)
    assert (bought.state, bought.activated, covered_until(after, "g3_navi")) == ("inactive", None, 0)
    assert next_reminder(after) is None
    assert withdrawable_until(after, bought) is None


@pytest.mark.parametrize(
    ("activated", "until"),
    [
        (at(2026, 3, 2), at(2026, 3, 17, 0)),
        (at(2026, 3, 20), at(2026, 4, 4, 0)),
        (at(2026, 3, 20, 23), at(2026, 4, 4, 0)),
        (at(2026, 10, 20), at(2026, 11, 4, 0)),
    ],
)
def test_one_may_withdraw_until_the_end_of_the_fourteenth_day(activated: Instant, until: Instant) -> None:
    """By the calendar of the market, so also where the clocks change in those days."""
    after, licence = with_licence(car(), "g3_navi", 12, activated)
    assert withdrawable_until(after, licence) == until


def test_terms_behind_one_that_is_withdrawn_move_up() -> None:
    held, first = with_licence(car(), "g3_navi", 12, NOW)
    held, _ = with_licence(held, "g3_navi", 24, NOW + DAY)
    left = withdrawn(held, first, NOW + 2 * DAY)
    gone, second = left.licences
    assert (gone.state, gone.ends) == ("withdrawn", NOW + 2 * DAY)
    assert (second.begins, second.ends) == (NOW + 2 * DAY, months_later(NOW + 2 * DAY, 24, BERLIN))


def test_withdrawing_a_renewal_that_has_not_begun_leaves_the_term_before_it() -> None:
    before = with_free_term(car(), NOW)
    after, renewed = with_licence(before, "g3_navi", 12, NOW + DAY)
    left = withdrawn(after, renewed, NOW + 2 * DAY)
    assert covered_until(left, "g3_navi") == before.licences[0].ends
    assert next_reminder(left) == next_reminder(before)


def test_an_end_is_told_a_month_fifteen_days_and_48_hours_before_and_when_it_comes() -> None:
    held = with_free_term(car(), NOW)
    (licence,) = held.licences
    dues: list[Instant] = []
    while (due := next_reminder(held)) is not None:
        dues.append(due)
        (licence,) = held.licences
        held = with_changed(held, replace(licence, reminded=tuple(over_by(held, licence, due))))
    end = licence.ends
    assert dues == [at(2027, 2, 20), at(2027, 3, 5), end - 48 * HOUR, end]


def test_of_a_product_the_term_that_ends_last_is_told_and_of_a_data_plan_none() -> None:
    held = with_free_term(car("G4"), NOW)
    held, renewed = with_licence(held, "connect", 12, NOW)
    held, _ = with_licence(held, "data_plan", 1, NOW)
    assert {licence.id for licence in reminded_of(held)} == {renewed.id, "connect_plus-1"}
    assert next_reminder(held) == months_later(months_later(NOW, 36, BERLIN), -1, BERLIN), "of connect_plus, which is not renewed"


def test_what_is_over_when_a_licence_begins_is_not_told() -> None:
    held, licence = with_licence(car(), "charging_map", 1, NOW)
    assert licence.reminded == ("month",)
    assert next_reminder(held) == licence.ends - 15 * DAY
