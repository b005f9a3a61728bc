"""Load: every request has its instant and its car before anything happens, and is made as of then however late it comes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from fleet.kernel.instants import HOUR, MINUTE, SECOND
from fleet.runtime.load import OpenLoop
from fleet.scenario.loader import Overrides, override
from fleet.vehicle.car import Car
from fleet.wire.messages import Status
from tests.runtime.stage_lab import FLEETS, StageLab, staged


def load(*items: str, fleets: str = FLEETS) -> StageLab:
    """Make a lab whose load has these items, as YAML flow mappings."""
    return StageLab(staged("load:\n" + "".join(f"  - {{{item}}}\n" for item in items), fleets))


def asked(lab: StageLab, car: Car) -> list[int]:
    """When this car was asked for its status, since the start."""
    messages = [m for m in lab.messages(car) if isinstance(m, Status) and m.trigger == "load"]
    return [message.captured_at - lab.start for message in messages]


def all_asked(lab: StageLab) -> list[int]:
    return sorted(at for car in lab.cars for at in asked(lab, car))


def test_each_is_made_as_of_its_instant_in_its_turn() -> None:
    """10 cars, 2 per min: every 30 s one of them, and each once in five minutes."""
    lab = load("do: ask_status, rate: 2 per min")
    lab.pass_for(10 * MINUTE - 1)
    assert all_asked(lab) == [n * 30 * SECOND for n in range(20)]
    assert all([later - at for at, later in pairwise(asked(lab, car))] == [5 * MINUTE] for car in lab.cars)


def test_who_is_late_is_late_against_the_plan() -> None:
    """After a stall of five minutes what was due in them is made up for, as of its own instants: nothing is left out."""
    lab = load("do: ask_status, rate: 2 per min")
    lab.shard_lab.pass_until(lab.start + 5 * MINUTE)
    assert all_asked(lab) == [n * 30 * SECOND for n in range(11)]


def test_one_at_a_time() -> None:
    """A burst is cut into single deadlines, so that the shard can serve its sockets between them."""
    done: list[tuple[int, int]] = []
    actor = OpenLoop(iter([5, 5, 7]), lambda n, at: done.append((n, at)))
    actor.wake(4)
    assert (done, actor.deadline()) == ([], 5)
    for at in (5, 9, 9, 9):
        actor.wake(at)
    assert (done, actor.deadline()) == ([(0, 5), (1, 5), (2, 7)], None)


def test_a_burst_reaches_each_car_once_before_any_twice() -> None:
    """15 requests at once for 10 cars."""
    lab = load("do: ask_status, burst: 15, at: 10 min")
    lab.pass_for(11 * MINUTE)
    assert Counter(len(asked(lab, car)) for car in lab.cars) == {2: 5, 1: 5}
    assert set(all_asked(lab)) == {10 * MINUTE}


def test_at_for_and_during_bound_a_load() -> None:
    """It begins, ends and pauses as it says."""
    lab = load("do: ask_status, rate: 1 per min, at: 10 min, for: 40 min, during: 06:20-06:30")
    lab.pass_for(HOUR)
    assert all_asked(lab) == [n * MINUTE for n in range(20, 30)]


def test_cars_are_those_that_are_chosen() -> None:
    """A load for a fleet asks no other, and `per car` counts its cars only."""
    lab = load("do: ask_status, poisson: 30 per hour per car, cars: {fleet: borns, count: 3}")
    lab.pass_for(HOUR)
    counts = {car.vin: len(asked(lab, car)) for car in lab.cars}
    assert [counts[car.vin] for car in lab.fleet("leons")] == [0] * 6
    assert sum(count > 0 for count in counts.values()) == 3
    assert 60 < sum(counts.values()) < 120


def test_another_fleet_or_load_shifts_nothing() -> None:
    """Who is asked when in one fleet does not depend on what else there is."""
    item = "do: ask_status, poisson: 60 per hour, cars: {fleet: borns}"

    def story(lab: StageLab) -> list[list[int]]:
        lab.pass_for(HOUR)
        return [asked(lab, car) for car in lab.fleet("borns")]

    alone = "  - {name: borns, count: 4, models: {Born: 1}, profile: parked}\n"
    assert story(load(item, fleets=alone)) == story(load("do: open, door: boot, rate: 3 per hour", item))


def test_actions_and_commands_are_load_too() -> None:
    """Doors are opened, commands asked, with parameters from lists and ranges."""
    lab = load(
        "do: open, door: boot, burst: 1 per car, cars: {fleet: leons}",
        "command: heater, burst: {count: 40, within: 20 min}, parameters: {minutes: {from: 10, to: 12}}, spin: wrong",
    )
    lab.pass_for(30 * MINUTE)
    assert [car.body.open_doors == {"boot"} for car in lab.cars] == [True] * 6 + [False] * 4
    requests = lab.asked()
    assert len(requests) == len({request.id for request in requests}) == 40
    assert {request.parameters["minutes"] for request in requests} == {10, 11, 12}
    assert Counter(Counter(request.vin for request in requests).values()) == {4: 10}
    assert [request.due_wall_us for request in requests] == [lab.clock.wall_us_at(lab.start + n * 30 * SECOND) for n in range(40)]


def test_a_load_for_cars_that_are_not_there_asks_nobody() -> None:
    """A fleet made smaller by `--cars` may have lost the cars that a load names."""
    made = staged("load: [{do: ask_status, poisson: 5 per min per car, cars: {fleet: borns, index: 3}}]\n")
    lab = StageLab(override(made, Overrides(cars=2)))
    lab.pass_for(HOUR)
    assert all_asked(lab) == []
