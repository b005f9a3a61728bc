"""Reset: what it wipes, what it leaves, and how a car comes back."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.kernel.instants import MINUTE, Instant
from fleet.vehicle.car import Car
from fleet.vehicle.kept import find, keep, obtain
from fleet.vehicle.services import hooks
from fleet.vehicle.services.area_alert import Watch
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.privacy import Privacy
from fleet.vehicle.services.registry import LISTENERS
from fleet.vehicle.services.speed_alert import Limit
from fleet.vehicle.services.updates import Updates
from fleet.vehicle.services.workshop import Workshop
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
    assert (held.trips.record, held.wear.report) == (None, None)
    assert (find(held, Watch), find(held, Limit)) == (None, None)
    assert find(held, Privacy) is not None
    assert (obtain(held, Privacy).mode, obtain(held, Privacy).services_off, obtain(held, Privacy).paired) == (
        "online_with_location",
        frozenset(),
        False,
    )


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
    assert find(car.car, Updates) is not None
    assert obtain(car.car, Updates).under_way is None
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
    assert find(car.car, Watch) is not None
    assert car.car.trips.record is not None
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
    assert find(car.car, Watch) is not None
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


# --- nothing is forgotten to be forgotten


class Notes:
    """Words that somebody has left in the car."""


def forgetful(_car: Car, _now: Instant) -> None:
    """Forget to forget."""


def test_all_services_forget() -> None:
    """A car that has been used keeps something of its users, and after a reset nothing."""
    car = used()
    assert set(hooks.not_forgotten(car.car)) >= {"Watch", "Limit", "Privacy", "trips.record"}
    car.put(ResetCar())
    assert hooks.not_forgotten(car.car) == []


@pytest.mark.parametrize("forget", [forgetful, None])
def test_a_service_that_forgets_to_forget_is_found(forget: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its data are there after a reset; one that says how to forget them has none."""
    service = Listener(state=Notes, forget=forget)
    monkeypatch.setitem(hooks.HEARD, "forget", (*hooks.HEARD["forget"], *([forget] if forget else [])))
    car = used()
    keep(car.car, Notes())
    car.put(ResetCar())
    assert hooks.not_forgotten(car.car, (*LISTENERS, service)) == ["Notes"]


def test_a_state_that_no_service_owns_is_found() -> None:
    car = used()
    keep(car.car, Notes())
    car.put(ResetCar())
    assert hooks.not_forgotten(car.car) == ["Notes"]


def test_every_state_says_how_it_is_forgotten() -> None:
    """Whatever a listener keeps of people, it also forgets; the mode of a workshop is of nobody, and a reset switches privacy."""
    silent = [listener.state for listener in LISTENERS if listener.state is not None and listener.forget is None]
    assert silent == [Workshop, Privacy]
