"""Calls in the back end: whom each is passed on to, with what, and what the driver hears."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fleet.cloud.calls import CallRule
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.countries import country_at, load_countries
from fleet.cloud.rule import Notify, Rule, SendReply
from fleet.wire.messages import Event

VIN = "VSSZZZKMZPR000001"
NOW = 1_772_000_000_000_000
MUNICH = {"latitude": 48.137, "longitude": 11.575, "accuracy_m": 8.0}
RULES: tuple[type[Rule], ...] = (CallRule,)


def taken(name: str, data: dict[str, Any]) -> list[Any]:
    event = Event(vin=VIN, boot=1, seq=1, captured_at=NOW, name=name, data=data)
    return list(ServiceCentre(RULES).receive(event, NOW))


# --- countries ------------------------------------------------------------------------------------------------------


def test_there_are_38_markets_and_some_have_no_breakdown_centre() -> None:
    countries = load_countries()
    assert len(countries) == 38
    assert 0 < sum(not country.breakdown for country in countries.values()) < 19
    assert all(len(code) == 2 and code.isupper() and country.name and country.towns for code, country in countries.items())


def test_each_town_is_in_its_country() -> None:
    for code, country in load_countries().items():
        assert {country_at(*town) for town in country.towns} == {code}


@pytest.mark.parametrize(
    ("latitude", "longitude", "country"),
    [
        (48.137, 11.575, "DE"), (40.417, -3.703, "ES"), (47.50, 12.13, "AT"), (47.72, 12.13, "DE"), (59.0, 10.2, "NO"),
        (38.99, -1.86, "ES"), (46.5, 6.6, "CH"), (0.0, 0.0, None), (40.7, -74.0, None), (-90.0, 0.0, None), (90.0, 180.0, None),
    ],
)  # fmt: skip
def test_the_country_of_a_position(latitude: float, longitude: float, country: str | None) -> None:
    assert country_at(latitude, longitude) == country


# --- emergency ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "country"),
    [(MUNICH, "DE"), ({**MUNICH, "latitude": 47.5, "longitude": 12.13}, "AT"), (MUNICH | {"latitude": 0}, None)],
)
def test_an_emergency_call_goes_to_the_centre_where_the_car_is(place: dict[str, float], country: str | None) -> None:
    """Once, with all that is in it; registration does not matter."""
    data = {"id": "c", "automatic": True, "position": place, "passengers": 2}
    assert taken("ecall", data) == [Notify(VIN, "emergency_centre", "ecall", {**data, "country": country}, at=NOW)]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"position": None},
        {"position": {"latitude": "north"}},
        {"position": [48, 11]},
        {"position": {"latitude": 1e300, "longitude": 0}},
        {"position": {"latitude": math.inf, "longitude": 1.5}},
        {"position": {"latitude": None, "longitude": math.nan}},
    ],
)
def test_an_emergency_call_goes_on_whatever_is_in_it(data: dict[str, Any]) -> None:
    assert taken("ecall", data) == [Notify(VIN, "emergency_centre", "ecall", {**data, "country": None}, at=NOW)]


# --- breakdown and information --------------------------------------------------------------------------------------

BREAKDOWN = {"id": "c", "registered_in": "DE", "position": MUNICH, "mileage_km": 7.5, "warnings": ["fuel_reserve"]}


def reply(outputs: list[Any]) -> tuple[str, str, str | None]:
    (found,) = [output for output in outputs if isinstance(output, SendReply)]
    return found.vin, found.reply.id, found.reply.error


def test_a_breakdown_call_goes_to_the_centre_of_the_country_of_registration() -> None:
    """With its diagnostic data, and nothing that does not belong to it."""
    outputs = taken("breakdown_call", BREAKDOWN | {"contacts": ["anna"]})
    assert outputs[0] == Notify(VIN, "breakdown_centre", "breakdown_call", BREAKDOWN, at=NOW)
    assert reply(outputs) == (VIN, "c", None)
    assert len(outputs) == 2


@pytest.mark.parametrize("country", ["AL", "MT", "US", ""])
def test_where_there_is_no_breakdown_centre_the_driver_is_told(country: str) -> None:
    outputs = taken("breakdown_call", BREAKDOWN | {"registered_in": country})
    assert [type(output) for output in outputs] == [SendReply]
    assert reply(outputs) == (VIN, "c", "no_breakdown_centre")


def test_an_info_call_tells_no_position_and_no_service_data() -> None:
    """Not even what a car should not have sent."""
    outputs = taken("info_call", BREAKDOWN | {"registered_in": "AL"})
    assert outputs[0] == Notify(VIN, "info_centre", "info_call", {"id": "c", "registered_in": "AL"}, at=NOW)
    assert reply(outputs) == (VIN, "c", None)


@pytest.mark.parametrize("name", ["breakdown_call", "info_call"])
@pytest.mark.parametrize("data", [{}, {"id": 5}, {"id": "c", "registered_in": ["DE"]}])
def test_a_call_that_cannot_be_read_becomes_a_notice_to_the_operator(name: str, data: dict[str, Any]) -> None:
    """Nobody could answer it; it is counted, and found by its number."""
    (notice,) = taken(name, data)
    assert (notice.to, notice.kind) == ("operator", "unreadable_event")
    assert notice.data.items() >= {"rule": "calls", "at": name, "car": VIN, "boot": 1, "seq": 1}.items()
