"""Cars that were erased, and which of their messages are taken."""

from __future__ import annotations

from typing import Any

from fleet.backend.forgotten import ForgottenCars, digest_of_subject
from fleet.cloud.rule import ErasedCar
from fleet.wire.messages import Event
from tests.backend.lab import OTHER, VIN, status

PEPPER = b"0123456789abcdef"
NOW = 1_000_000


def forgotten(*, whole: bool = True, until: int = 10_000) -> ForgottenCars:
    cars = ForgottenCars(PEPPER)
    cars.note([ErasedCar(VIN, whole, until, cars.digest(VIN))])
    return cars


def event(name: str, at: int) -> Event:
    return Event(vin=VIN, boot=1, seq=1, captured_at=at, name=name)


def test_without_an_erasure_nothing_is_refused() -> None:
    cars = ForgottenCars(PEPPER)
    assert not cars
    assert not cars.refuses(status(1), is_known=False, plausible=NOW)


def test_what_was_measured_before_is_never_taken() -> None:
    """To the microsecond; not of a car that somebody has now, and not with an emergency call."""
    for message in (status(10), event("ecall", 10_000), event("car_paired", 1)):
        for is_known in (True, False):
            assert forgotten().refuses(message, is_known=is_known, plausible=NOW)
            assert forgotten(whole=False).refuses(message, is_known=is_known, plausible=NOW)


def test_an_erased_car_speaks_again_with_somebody_at_home_or_when_it_calls_for_help() -> None:
    for name, refused in {"trip": True, "car_reset": True, "car_paired": False, "ecall": False, "qr_shown": False}.items():
        assert forgotten().refuses(event(name, 10_001), is_known=False, plausible=NOW) is refused
    assert not forgotten().refuses(status(11), is_known=True, plausible=NOW)


def test_a_car_whose_data_alone_went_goes_on() -> None:
    assert not forgotten(whole=False).refuses(status(11), is_known=False, plausible=NOW)


def test_no_vin_is_kept_and_no_digest_is_the_same_with_another_pepper() -> None:
    cars = forgotten()
    assert VIN not in repr(vars(cars)["_marks"])
    assert digest_of_subject(PEPPER, VIN) != digest_of_subject(PEPPER[::-1], VIN)
    assert cars.mark(OTHER) is None


def test_of_two_erasures_the_later_time_holds_and_whole_stays_whole() -> None:
    cars = forgotten(until=10_000)
    cars.note([ErasedCar("", False, 5_000, cars.digest(VIN))])
    mark: Any = cars.mark(VIN)
    assert (mark.whole, mark.until) == (True, 10_000)
    cars.begin([])
    assert cars.mark(VIN) is None


def test_after_the_clock_was_set_back_what_is_ahead_of_it_is_from_before() -> None:
    """And what could have been measured by now is new, but for what is as old by either clock."""
    cars = ForgottenCars(PEPPER)
    cars.note([ErasedCar("", False, 3_000, cars.digest(VIN), 90_000), ErasedCar("", False, 4_000, cars.digest(VIN))])
    taken = {4_000: False, 4_001: True, 20_000: True, 20_001: False, 90_000: False, 90_001: True}
    assert {at: not cars.refuses(event("trip", at), is_known=True, plausible=20_000) for at in taken} == taken
