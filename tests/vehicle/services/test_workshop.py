"""Workshop mode: nobody commands the car, until it is switched off or driven away."""

from __future__ import annotations

import pytest

from fleet.kernel.instants import MINUTE
from fleet.vehicle.kept import find
from fleet.vehicle.region import Place
from fleet.vehicle.services.workshop import Workshop
from fleet.vehicle.signals import Crash, DriveTo, SetWorkshop, SwitchOff
from tests.vehicle.car_lab import CarLab, equipment

NEAR = Place(48.150, 11.575, "München", "errand")
FAR = Place(48.237, 11.675, "Garching", "work")


def lab() -> CarLab:
    found = CarLab(equipment("Born", "electric"))
    found.put(SetWorkshop(True))
    return found


def told(car: CarLab) -> list[dict[str, object]]:
    return [event.data for event in car.events("workshop_mode")]


@pytest.mark.parametrize("name", ["refresh", "lock", "unlock"])
def test_commands_are_refused(name: str) -> None:
    car = lab()
    assert car.outcome(name) == ("rejected", "workshop_mode")
    car.put(SetWorkshop(False))
    assert car.outcome(name) == ("succeeded", None)
    assert told(car) == [{"on": True, "reason": "by_hand"}, {"on": False, "reason": "by_hand"}]


def test_what_the_law_requires_is_not() -> None:
    assert lab().outcome("reset") == ("succeeded", None)


def test_arguments_and_equipment_are_told_before() -> None:
    """What can never work is said so."""
    car = lab()
    assert car.outcome("heater") == ("rejected", "not_equipped")
    assert car.outcome("lock", colour="red") == ("rejected", "malformed")


def test_twice_on_is_once() -> None:
    car = lab()
    car.put(SetWorkshop(True))
    assert len(told(car)) == 1


def test_a_test_drive_does_not_end_it_and_a_longer_one_does() -> None:
    """It ends on the way, after 5 km (ours)."""
    car = lab()
    car.drive(NEAR)
    assert find(car.car, Workshop)
    car.put(DriveTo(FAR))
    car.arrive()
    assert told(car)[1:] == [{"on": False, "reason": "driven"}]
    assert car.events("workshop_mode")[-1].captured_at < car.events("engine_off")[-1].captured_at


def test_it_ends_on_the_drive_during_which_it_was_switched_on() -> None:
    """Once, though it was switched off and on again; but not when the 5 km were over before."""
    car = CarLab(equipment("Born", "electric"))
    car.put(DriveTo(FAR))
    for on in (True, False, True):
        car.run_for(MINUTE)
        car.put(SetWorkshop(on))
    car.arrive()
    assert [event["reason"] for event in told(car)] == ["by_hand", "by_hand", "by_hand", "driven"]
    assert not find(car.car, Workshop)

    late = CarLab(equipment("Born", "electric"))
    late.put(DriveTo(FAR))
    while late.car.journey is None or late.car.journey.distance_at(late.now) < 6_000:
        late.run_for(MINUTE)
    late.put(SetWorkshop(True))
    late.arrive()
    assert find(late.car, Workshop)


@pytest.mark.parametrize("end", [SwitchOff(), Crash()])
def test_a_drive_that_is_broken_off_early_does_not_end_it(end: SwitchOff | Crash) -> None:
    car = lab()
    car.put(DriveTo(FAR))
    car.run_for(MINUTE)
    car.put(end)
    car.run_for(60 * MINUTE)
    assert find(car.car, Workshop)
