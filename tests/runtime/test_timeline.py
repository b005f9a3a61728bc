"""The timeline: each thing is done to the right cars at the right instant, and conditions come true when they are."""

from __future__ import annotations

import pytest

from fleet.kernel.instants import HOUR, MINUTE, SECOND
from fleet.runtime.car_facts import car_facts
from fleet.runtime.timeline import look_every
from fleet.scenario.conditions import CAR_NUMBERS, CAR_WORDS
from fleet.vehicle.car import Car
from fleet.vehicle.geo import distance_m
from fleet.wire.messages import Status
from tests.runtime.stage_lab import StageLab, staged


def timeline(*steps: str, seed: int = 7) -> StageLab:
    """Make a lab whose timeline has these steps, as YAML flow mappings."""
    return StageLab(staged("timeline:\n" + "".join(f"  - {{{step}}}\n" for step in steps), seed=seed))


class TestWhen:
    def test_at_an_offset_at_a_time_of_day_and_at_a_date(self) -> None:
        """10 minutes after 06:00 local time is 06:10 is 2026-03-02T06:10."""
        for at in ("10 min", "06:10", "2026-03-02T06:10", "2026-03-02T05:10Z"):
            lab = timeline(f"at: '{at}', do: open, door: boot")
            lab.pass_for(10 * MINUTE - 1)
            assert not any(car.body.open_doors for car in lab.cars)
            lab.pass_for(1)
            assert all(car.body.open_doors == {"boot"} for car in lab.cars)

    def test_every_so_often_from_the_first_period_on(self) -> None:
        """Each time to each car; the end of the run is no more part of it."""
        lab = timeline("every: 20 min, do: ask_status, cars: {count: 1}")
        asked: list[int] = []
        for _ in range(4):
            lab.pass_for(20 * MINUTE)
            asked.append(sum(len(_statuses(lab, car)) for car in lab.cars))
        assert asked == [1, 2, 2, 2]

    def test_every_from_at_on(self) -> None:
        """`at` gives the first time."""
        lab = timeline("at: 5 min, every: 20 min, do: ask_status")
        lab.pass_for(HOUR)
        captured = [status.captured_at - lab.start for status in _statuses(lab, lab.cars[0])]
        assert captured == [5 * MINUTE, 25 * MINUTE, 45 * MINUTE]

    def test_a_condition_on_a_car_is_met_once_by_each_car(self) -> None:
        """A car whose fuel falls is noticed within a look, once, and no other car."""
        lab = timeline(
            "at: 10 min, do: low_fuel, cars: {fleet: leons, index: [0, 2]}",
            "when: car.fuel_percent < 6, do: open, door: boot",
        )
        lab.pass_for(10 * MINUTE + look_every(HOUR))
        leons = lab.fleet("leons")
        assert [car.body.open_doors == {"boot"} for car in leons] == [True, False, True, False, False, False]
        leons[0].body.set_opening("boot", opened=False)
        lab.pass_for(30 * MINUTE)
        assert not leons[0].body.open_doors

    def test_a_condition_on_counts_is_met_once_for_all(self) -> None:
        """As soon as half the cars are gone, all lock their users out once."""
        lab = timeline(
            "at: 10 min, do: lose_coverage, cars: {share: 60 %}",
            "when: connected / cars < 50 %, do: regain_coverage",
        )
        lab.pass_for(10 * MINUTE)
        assert sum(car.outbox.has_coverage for car in lab.cars) == 4
        lab.pass_for(look_every(HOUR))
        assert all(car.outbox.has_coverage for car in lab.cars)

    def test_with_every_a_condition_chooses(self) -> None:
        """Each time those for whom it holds then."""
        lab = timeline(
            "at: 1 min, do: engine_on, cars: {fleet: borns}",
            "every: 10 min, when: car.state == ignition_on, do: open, door: bonnet",
        )
        lab.pass_for(10 * MINUTE)
        assert all(car.body.open_doors for car in lab.fleet("borns"))
        assert not any(car.body.open_doors for car in lab.fleet("leons"))

    def test_conditions_are_looked_at_in_bounded_steps(self) -> None:
        """A thousand times a stage, between a second and a minute."""
        assert (look_every(MINUTE), look_every(5000 * SECOND), look_every(100 * HOUR)) == (SECOND, 5 * SECOND, MINUTE)


class TestWhat:
    def test_a_drive_leads_where_it_says(self) -> None:
        """The car is there at its end, and has driven at least the straight line."""
        lab = timeline("at: 1 min, do: drive, to: {latitude: 48.2, longitude: 11.6, spread: 100 m}, cars: {index: 0}")
        car = lab.cars[0]
        home, odometer = car.true_position(lab.start), car.levels(lab.start).odometer_m
        lab.pass_for(59 * MINUTE)
        now = lab.clock.now()
        assert car.state(now) == "parked"
        assert distance_m(48.2, 11.6, *car.true_position(now)) < 150
        assert car.levels(now).odometer_m - odometer > distance_m(*home, *car.true_position(now))
        assert lab.cars[1].levels(now).odometer_m == lab.cars[1].powertrain.start_m

    def test_a_drive_of_a_distance(self) -> None:
        """It ends so far from where it began, each car's in a direction of its own."""
        lab = timeline("at: 1 min, do: drive, to: {from: 2 km, to: 4 km}, cars: {fleet: leons}")
        began = [car.true_position(lab.start) for car in lab.fleet("leons")]
        lab.pass_for(50 * MINUTE)
        ended = [car.true_position(lab.clock.now()) for car in lab.fleet("leons")]
        away = [distance_m(*one, *other) for one, other in zip(began, ended, strict=True)]
        assert all(1_990 < metres < 4_010 for metres in away)
        assert len({round(metres) for metres in away}) == 6

    def test_parking_ends_a_drive_where_the_car_is(self) -> None:
        """Neither at its beginning nor where it was to lead."""
        lab = timeline("at: 1 min, do: drive, to: 20 km, cars: {index: 0}", "at: 10 min, do: park, cars: {index: 0}")
        car = lab.cars[0]
        home = car.true_position(lab.start)
        lab.pass_for(9 * MINUTE)
        assert car.state(lab.clock.now()) == "driving"
        lab.pass_for(2 * MINUTE)
        assert car.state(lab.clock.now()) == "parked"
        assert 500 < distance_m(*home, *car.true_position(lab.clock.now())) < 15_000

    def test_a_garage_is_parking_without_network(self) -> None:
        """The car is gone until it drives away again."""
        lab = timeline(
            "at: 1 min, do: drive, to: 10 km, cars: {index: 0}",
            "at: 5 min, do: enter_garage, cars: {index: [0, 1]}",
            "at: 20 min, do: drive, to: home, cars: {index: 0}",
        )
        lab.pass_for(6 * MINUTE)
        now = lab.clock.now()
        assert [car.state(now) for car in lab.cars[:2]] == ["parked", "parked"]
        assert [car.connection(now) for car in lab.cars[:3]] == ["offline", "offline", "reachable"]
        lab.pass_for(16 * MINUTE)
        assert lab.cars[0].outbox.has_coverage
        assert not lab.cars[1].outbox.has_coverage

    def test_a_garage_may_be_driven_to(self) -> None:
        """There is no network where it ends, but there is on the way."""
        lab = timeline("at: 1 min, do: enter_garage, to: 2 km, cars: {index: 0}")
        car = lab.cars[0]
        lab.pass_for(3 * MINUTE)
        assert car.outbox.has_coverage
        lab.pass_for(50 * MINUTE)
        assert (car.state(lab.clock.now()), car.outbox.has_coverage) == ("parked", False)

    def test_fuel_and_charge_fall_and_never_rise(self) -> None:
        """To the share that is said, of the tank or the battery; what holds less is left alone."""
        lab = timeline(
            "at: 1 min, do: low_fuel, level: 10 %",
            "at: 2 min, do: low_fuel, level: 50 %",
            "at: 3 min, do: low_fuel, cars: {index: 0}",
        )
        lab.pass_for(2 * MINUTE)
        facts = [car_facts(car, lab.clock.now()) for car in lab.cars]
        assert [fact["fuel_percent"] for fact in facts[:6]] == pytest.approx([10] * 6)
        assert all(isinstance(level, float) and 9.99 <= level < 15 for level in (fact["charge_percent"] for fact in facts[6:]))
        lab.pass_for(MINUTE)
        assert car_facts(lab.cars[0], lab.clock.now())["fuel_percent"] == pytest.approx(5)

    def test_engine_on_and_off(self) -> None:
        """The car stays where it is, and says that its engine went off."""
        lab = timeline("at: 1 min, do: engine_on, cars: {index: 0}", "at: 5 min, do: engine_off, cars: {index: 0}")
        lab.pass_for(2 * MINUTE)
        assert lab.cars[0].state(lab.clock.now()) == "ignition_on"
        lab.pass_for(5 * MINUTE)
        assert lab.cars[0].state(lab.clock.now()) == "parked"
        sent = [m.trigger for m in lab.messages(lab.cars[0]) if isinstance(m, Status)]
        assert sent == ["engine_off", "left"]

    def test_a_command_goes_to_the_desk_with_its_words(self) -> None:
        """Once for each car, due at its instant."""
        lab = timeline(
            "at: 5 min, command: heater, parameters: {minutes: [10, 20]}, spin: right, time_to_live: 30 min, cars: {count: 3}"
        )
        lab.pass_for(6 * MINUTE)
        asked = lab.asked()
        assert len({request.vin for request in asked}) == len(asked) == 3
        assert {request.parameters["minutes"] for request in asked} <= {10, 20}
        assert {(request.name, request.ttl_s) for request in asked} == {("heater", 1800.0)}
        assert all(request.spin for request in asked)
        assert {request.due_wall_us for request in asked} == {lab.clock.wall_us_at(lab.start + 5 * MINUTE)}

    def test_services_are_asked_for_each_car_for_all_in_a_list_or_about_none(self) -> None:
        """Each car is known to the desk first, each request has an id of its own, and what is given goes through as it is."""
        plan = 'campaign: spring, version: "2", size_mb: 9, waves: [0.1, 1.0]'
        lab = timeline(
            "at: 5 min, service: campaign, action: status, data: {campaign: spring}, cars: {fleet: leons, index: [0, 2]}",
            f"at: 10 min, service: campaign, action: start, data: {{{plan}}}, about: list, cars: {{fleet: borns}}",
            "every: 20 min, service: campaign, action: pause, data: {campaign: spring}, about: none",
        )
        lab.pass_for(HOUR)
        leons, borns = ([car.vin for car in lab.fleet(name)] for name in ("leons", "borns"))
        given = {"campaign": "spring"}
        asked = lab.services()
        assert [(request.vin, request.data) for request in asked] == [
            (leons[0], given),
            (leons[2], given),
            (None, {**given, "version": "2", "size_mb": 9, "waves": [0.1, 1.0], "cars": borns}),
            (None, given),
            (None, given),
        ]
        actions = [(request.service, request.action) for request in asked]
        assert actions == [("campaign", action) for action in ("status", "status", "start", "pause", "pause")]
        assert len({request.id for request in asked}) == len(asked)
        assert lab.enrolled() >= {leons[0], leons[2], *borns}

    def test_the_broker_is_told_once_each_time(self) -> None:
        """In the order of the timeline."""
        lab = timeline("at: 5 min, broker: kill", "at: 10 min, broker: start", "when: connected < 11, broker: pause")
        lab.pass_for(HOUR)
        assert lab.broker_heard == ["pause", "kill", "start"]


def test_every_fact_of_the_language_is_known_of_a_car() -> None:
    """Numbers are numbers, words are those of the language; an electric car has no fuel."""
    lab = timeline("at: 1 min, do: drive, to: 5 km, cars: {index: 0}")
    lab.pass_for(3 * MINUTE)
    for car in lab.cars:
        facts = car_facts(car, lab.clock.now())
        assert set(facts) == {*CAR_NUMBERS, *CAR_WORDS}
        assert all(facts[name] in (*words, None) for name, words in CAR_WORDS.items())
        assert all(isinstance(facts[name], int | float | None) for name in CAR_NUMBERS)
        assert (facts["fuel_percent"] is None) is (car.equipment.energy == "electric")
    driving = car_facts(lab.cars[0], lab.clock.now())
    assert (driving["state"], driving["trips"], driving["place"], driving["locked"]) == ("driving", 1, None, "no")


def test_one_step_more_changes_no_other() -> None:
    """Where cars are sent is a matter of that step."""
    drive = "at: 1 min, do: drive, to: {from: 2 km, to: 9 km}, cars: {fleet: leons}"

    def ends(lab: StageLab) -> list[tuple[float, float]]:
        lab.pass_for(55 * MINUTE)
        return [car.true_position(lab.clock.now()) for car in lab.fleet("leons")]

    assert ends(timeline(drive)) == ends(timeline("at: 3 min, do: open, door: boot, cars: {fleet: borns}", drive))
    assert ends(timeline(drive)) != ends(timeline(drive, seed=8))


def _statuses(lab: StageLab, car: Car) -> list[Status]:
    return [message for message in lab.messages(car) if isinstance(message, Status) and message.trigger == "load"]
