"""Reset: what it wipes, what it leaves, and how a car comes back."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.kernel.instants import MINUTE
from fleet.vehicle.signals import AskStatus, DriveTo, PairCar, ResetCar, SetCoverage, SetPrivacy, SetService, SwitchOn
from fleet.wire.messages import Response
from tests.vehicle.car_lab import SHOP, CarLab, account_holds, equipment

ZONE = [{"name": "home", "latitude": 48.1, "longitude": 11.5, "radius_m": 500}]


def lab() -> CarLab:
    return CarLab(equipment("Born", "electric"))


def used() -> CarLab:
    """A car in which people have left something."""
    car = lab()
    car.drive(SHOP)
    assert car.outcome("area_alert", zones=ZONE) == ("succeeded", None)
    assert car.outcome("speed_alert", limit_kmh=130) == ("succeeded", None)
    car.put(SetService("lock", False))
    car.put(SetPrivacy("online"))
    return car


def assert_wiped(car: CarLab) -> None:
    held = car.car
    assert (held.last_trip, held.today, held.since_filled, held.health) == (None,) * 4
    assert (held.area_alert, held.speed_alert) == (None, None)
    assert held.privacy is not None
    assert (held.privacy.mode, held.privacy.services_off, held.privacy.paired) == ("online_with_location", frozenset(), False)


def test_by_command_all_is_wiped_and_the_answer_still_leaves() -> None:
    car = used()
    assert car.outcome("reset") == ("succeeded", None)
    assert_wiped(car)
    assert [event.data for event in car.events("car_reset")] == [{"by": "app"}]


def test_in_the_car() -> None:
    car = used()
    car.put(ResetCar())
    assert_wiped(car)
    assert [event.data for event in car.events("car_reset")] == [{"by": "car"}]


def test_what_ends_by_it_is_not_told() -> None:
    """An update that is given up is no word that the law requires."""
    car = lab()
    car.put(SwitchOn())
    assert car.outcome("system_update", campaign="spring", version="2.0", size_mb=5_000, consent=True) == ("succeeded", None)
    assert car.events("update_progress")
    car.put(ResetCar())
    assert car.car.updates is not None
    assert car.car.updates.under_way is None
    assert car.events("update_result") == []


@pytest.mark.parametrize("user", [None, "primary"])
def test_the_primary_user_is_the_whole_car(user: str | None) -> None:
    car = used()
    car.put(ResetCar(user))
    assert_wiped(car)


def test_another_user_is_deleted_and_the_rest_stays() -> None:
    car = used()
    assert car.outcome("reset", user="anna") == ("succeeded", None)
    assert [event.data for event in car.events("car_reset")] == [{"user": "anna", "by": "app"}]
    assert car.car.area_alert is not None
    assert car.car.last_trip is not None
    assert car.outcome("unlock") == ("succeeded", None)


def test_then_it_is_silent_until_it_is_paired() -> None:
    """It drives, and nobody hears of it; commands are refused for want of a user."""
    car = lab()
    car.put(ResetCar())
    count = len(car.sent)
    car.drive(SHOP)
    car.put(AskStatus())
    assert len(car.sent) == count
    assert car.outcome("unlock") == ("rejected", "not_paired")
    car.put(PairCar())
    assert [event.name for event in car.events()][-1] == "car_paired"
    assert car.outcome("unlock") == ("succeeded", None)
    car.put(PairCar())
    assert len(car.events("car_paired")) == 1
    assert account_holds(car.car)


def test_what_was_never_sent_is_gone_and_counted() -> None:
    """But for answers, which wait for whoever comes next to have the car speak, without a detail."""
    car = lab()
    car.put(SetCoverage(False))
    car.put(AskStatus())
    car.put(SwitchOn())
    command_id = car.command("lock")
    car.run_for(MINUTE)
    dropped = car.car.outbox.in_outbox - 1
    car.put(ResetCar())
    car.put(SetCoverage(True))
    car.run_for(MINUTE)
    assert car.car.outbox.dropped == dropped
    assert [message for message in car.sent if not isinstance(message, Response)] == car.events("car_reset")
    car.put(PairCar())
    assert [(answer.command_id, answer.reason, answer.detail) for answer in car.responses()] == [
        (command_id, "engine_running", None)
    ]
    assert account_holds(car.car)


@pytest.mark.parametrize("parameters", [{"user": 5}, {"user": "x" * 41}, {"users": "all"}])
def test_what_is_no_user_changes_nothing(parameters: dict[str, Any]) -> None:
    car = used()
    state, reason = car.outcome("reset", **parameters)
    assert state == "rejected"
    assert reason in {"malformed", "argument_out_of_range"}
    assert car.car.area_alert is not None
    assert car.events("car_reset") == []


def test_an_answer_given_before_is_given_again_without_its_detail() -> None:
    """And the command is not run again."""
    car = lab()
    car.command("honk", command_id="far", latitude=48.2, longitude=11.575)
    car.run_for(2 * MINUTE)
    car.put(ResetCar())
    car.put(PairCar())
    car.command("honk", command_id="far", latitude=48.2, longitude=11.575)
    assert [(answer.reason, answer.detail is None) for answer in car.responses("far")] == [("too_far", False), ("too_far", True)]


def test_not_while_driving() -> None:
    car = lab()
    car.put(DriveTo(SHOP))
    car.run_for(MINUTE)
    assert car.outcome("reset") == ("rejected", "not_parked")


def test_in_each_privacy_mode() -> None:
    """Who says that nothing shall leave the car may also say that nothing shall stay in it."""
    car = used()
    car.put(SetPrivacy("offline"))
    assert car.outcome("reset") == ("succeeded", None)
    assert_wiped(car)
