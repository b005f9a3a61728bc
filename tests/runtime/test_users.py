"""The users: when they mean to ask, where they stand, which S-PIN they type, and what of it is measured."""

from __future__ import annotations

from collections import Counter

import pytest

from fleet.kernel.instants import HOUR, MINUTE
from fleet.runtime.assembly import vocabulary
from fleet.runtime.scheduled import ScheduledCommand, schedule_commands
from fleet.runtime.users import Users
from fleet.scenario.schema import Scenario
from fleet.vehicle.geo import distance_m
from fleet.wire.messages import AnnounceClock, CommandRequest, DeskAnswer, DeskRequest, EnrolCar, SetSpin
from tests.runtime.pure_lab import DIALECT, HandLink, HandLinks, ShardLab, scenario, users_of

ZONE = "Europe/Berlin"


def plan(made: Scenario, share: float = 1.0) -> list[ScheduledCommand]:
    return schedule_commands(made, vocabulary().start_of(made), ZONE, share=share)


class UsersLab:
    """Users of a small fleet on a hand-driven link."""

    def __init__(self, commands: str, *, up: bool = True, client_id: str = "users-0-1") -> None:
        self.lab = ShardLab(scenario(commands=commands))
        self.links = HandLinks()
        self.answered: set[str] = set()
        self.users: Users = users_of(self.lab, plan(self.lab.scenario), self.links, client_id)
        self.users.open()
        if up:
            self.link.come_up()

    @property
    def link(self) -> HandLink:
        (link,) = self.links.made.values()
        return link

    def ask_all(self) -> list[CommandRequest]:
        """Let all users ask, each in time, and return what they asked; the desk answers what comes before the commands."""
        while (at := self.users.deadline()) is not None:
            self.lab.clock.move_to(at)
            self.users.wake(at)
            self.answer_steps()
        return [request for request in self.requests() if isinstance(request, CommandRequest)]

    def answer_steps(self) -> None:
        """Answer all enrolments and settings of S-PINs that are not answered, and commands with an S-PIN as queued."""
        while open_ids := [request for request in self.requests() if request.id not in self.answered]:
            for request in open_ids:
                self.answered.add(request.id)
                if isinstance(request, EnrolCar | SetSpin):
                    self.answer(request, final=True)
                elif isinstance(request, CommandRequest) and request.spin is not None:
                    self.answer(request, state="queued")

    def requests(self) -> list[DeskRequest]:
        return [DIALECT.read_desk_request(frame) for frame, _ in self.link.published]

    def answer(self, request: DeskRequest, **fields: object) -> None:
        answer = DeskAnswer(id=request.id, **{"state": "succeeded", **fields})  # type: ignore[arg-type]
        self.link.deliver(DIALECT.desk_answer(answer, topic="fleet/v1/desk/answer/users-0-1"))


class TestPlanning:
    def test_a_count_is_exact_and_within_the_run(self) -> None:
        """So many commands, in the order of their times, none before the start or after the end."""
        made = scenario(commands="  - {name: refresh, count: 500}\n")
        scheduled = plan(made)
        start = vocabulary().start_of(made)
        assert len(scheduled) == 500
        assert scheduled == sorted(scheduled, key=lambda each: each.at)
        assert all(start <= each.at < start + 2 * HOUR for each in scheduled)

    def test_a_rate_is_met_on_average(self) -> None:
        """120 per hour for two hours are 240, with the spread of chance; per car it grows with the fleet."""
        counts = [len(plan(scenario(commands="  - {name: refresh, rate: 120 per hour}\n", seed=seed))) for seed in range(40)]
        assert sum(counts) / len(counts) == pytest.approx(240, abs=10)
        assert len(set(counts)) > 10
        per_car = scenario(commands="  - {name: refresh, rate: 60 per hour per car}\n")
        assert len(plan(per_car)) == pytest.approx(360, abs=100)

    def test_a_rate_per_car_counts_the_cars_that_are_commanded(self) -> None:
        """Ten cars of one fleet schedule as many commands as ten cars alone, however many others there are."""
        fleets = "  - {{name: {}, count: {}, models: {{Leon: 1}}, profile: parked}}\n"
        text = "  - {name: refresh, fleet: few, rate: 60 per hour per car}\n"
        both = scenario(fleets=fleets.format("few", 2) + fleets.format("many", 98), commands=text)
        assert len(plan(both)) == pytest.approx(240, abs=100)

    def test_a_window_is_local_time(self) -> None:
        """`during: 06:30-07:00` in Munich is 05:30 to 06:00 UTC in winter."""
        made = scenario(commands='  - {name: refresh, count: 50, during: "06:30-07:00"}\n')
        start = vocabulary().start_of(made)  # 05:00 UTC
        assert all(start + 30 * MINUTE <= each.at < start + HOUR for each in plan(made))

    def test_a_share_is_a_shards_part(self) -> None:
        """A shard with a quarter of the cars sends a quarter of the commands."""
        assert len(plan(scenario(commands="  - {name: refresh, count: 200}\n"), share=0.25)) == 50

    def test_one_load_more_changes_no_other(self) -> None:
        """The times of a load are its own."""
        one = plan(scenario(commands="  - {name: refresh, count: 20}\n"))
        two = plan(scenario(commands="  - {name: refresh, count: 20}\n  - {name: lock, count: 9}\n"))
        assert [each for each in two if each.load == 0] == one


class TestAsking:
    def test_the_clock_is_told_and_a_car_enrolled_before_its_first_command(self) -> None:
        """The back end knows scenario time and car before it is asked for anything."""
        lab = UsersLab("  - {name: refresh, count: 30}\n")
        lab.ask_all()
        requests = lab.requests()
        assert isinstance(requests[0], AnnounceClock)
        enrolled: set[str] = set()
        for request in requests[1:]:
            if isinstance(request, EnrolCar):
                assert request.vin not in enrolled
                enrolled.add(request.vin)
            elif isinstance(request, CommandRequest):
                assert request.vin in enrolled
        assert enrolled == set(lab.lab.vins)

    def test_users_stand_where_the_scenario_says(self) -> None:
        """The distance to the car's true position is within the range, in any direction, near and far alike."""
        lab = UsersLab("  - {name: honk, count: 300, distance: {from: 100 m, to: 900 m}, parameters: {mode: flash}}\n")
        asked = lab.ask_all()
        away, east = [], 0
        for request in asked:
            car = lab.lab.shard.cars[request.vin].car
            latitude, longitude = car.true_position(lab.lab.clock.now())
            place = request.parameters
            away.append(distance_m(latitude, longitude, place["latitude"], place["longitude"]))
            east += place["longitude"] > longitude
        assert min(away) == pytest.approx(100, abs=25)
        assert max(away) == pytest.approx(900, abs=25)
        assert sum(away) / len(away) == pytest.approx(500, abs=60)
        assert 100 < east < 200
        assert {request.parameters["mode"] for request in asked} == {"flash"}

    def test_spins_are_mixed_as_asked(self) -> None:
        """Right, wrong and none in their shares; the right one is set once before a car's first use."""
        lab = UsersLab("  - {name: lock, count: 600, spin: {right: 60 %, wrong: 30 %, none: 10 %}}\n")
        asked = lab.ask_all()
        right = {request.vin: request.spin for request in lab.requests() if isinstance(request, SetSpin)}
        assert len([request for request in lab.requests() if isinstance(request, SetSpin)]) == 3
        kinds = Counter("none" if r.spin is None else "right" if r.spin == right[r.vin] else "wrong" for r in asked)
        assert kinds["right"] == pytest.approx(360, abs=50)
        assert kinds["wrong"] == pytest.approx(180, abs=45)
        assert kinds["none"] == pytest.approx(60, abs=30)
        assert all(len(spin) == 4 and spin.isdigit() for spin in right.values())

    def test_commands_without_a_spin_rule_carry_none(self) -> None:
        """A refresh needs no S-PIN, so none is set or sent."""
        lab = UsersLab("  - {name: refresh, count: 20}\n")
        assert {request.spin for request in lab.ask_all()} == {None}
        assert not [request for request in lab.requests() if isinstance(request, SetSpin)]

    def test_the_same_seed_asks_the_same_in_every_run(self) -> None:
        """Cars, positions and S-PINs are the same; only the ids tell the runs apart, as a store may outlive them."""
        commands = "  - {name: honk, count: 40, distance: {from: 0 m, to: 900 m}}\n"
        first = UsersLab(commands, client_id="users-0-1").ask_all()
        second = UsersLab(commands, client_id="users-0-2").ask_all()
        assert [(r.vin, r.parameters) for r in first] == [(r.vin, r.parameters) for r in second]
        assert not {r.id for r in first} & {r.id for r in second}

    def test_requests_carry_when_they_were_due(self) -> None:
        """Latency counts from when the user meant to ask, and the time to live is in scenario seconds."""
        lab = UsersLab("  - {name: refresh, count: 10, time_to_live: 30 min}\n")
        due = [lab.lab.clock.wall_us_at(each.at) for each in plan(lab.lab.scenario)]
        asked = lab.ask_all()
        assert [request.due_wall_us for request in asked] == due
        assert {request.ttl_s for request in asked} == {1800.0}

    def test_a_load_for_a_fleet_without_cars_here_is_skipped(self) -> None:
        """A shard may have no car of a fleet; its users are in other shards."""
        lab = UsersLab("  - {name: refresh, count: 10}\n")
        lab.users._cars.clear()
        assert lab.ask_all() == []
        assert lab.users.asked == 0


class TestConnection:
    def test_requests_wait_while_there_is_no_connection(self) -> None:
        """Nothing is lost before the first connection: all goes out in its order when it stands."""
        lab = UsersLab("  - {name: refresh, count: 12}\n", up=False)
        lab.ask_all()
        assert lab.link.published == []
        lab.link.come_up()
        ids = [request.id for request in lab.requests()]
        assert isinstance(lab.requests()[0], AnnounceClock)
        assert len([request for request in lab.requests() if isinstance(request, CommandRequest)]) == 12
        assert len(set(ids)) == len(ids)

    def test_only_what_has_no_outcome_is_asked_again(self) -> None:
        """After a lost connection the unacknowledged go out again under their ids, so that the desk knows them."""
        lab = UsersLab("  - {name: refresh, count: 6}\n")
        lab.ask_all()
        sent = list(lab.link.published)
        for _, token in sent[:-2]:
            lab.link.take(token)
        lab.link.go_down()
        lab.link.come_up()
        again = lab.link.published[len(sent) :]
        assert [token for _, token in again] == [token for _, token in sent[-2:]]
        assert [frame.payload for frame, _ in again] == [frame.payload for frame, _ in sent[-2:]]

    def test_a_request_with_an_s_pin_goes_out_at_qos_0_and_again_until_it_is_answered(self) -> None:
        """No broker keeps it: neither for a back end that is away, nor for the users while they have no connection."""
        lab = UsersLab("  - {name: lock, count: 1}\n")
        at = lab.users.deadline()
        assert at is not None
        lab.lab.clock.move_to(at)
        lab.users.wake(at)
        (enrolment,) = [request for request in lab.requests() if isinstance(request, EnrolCar)]
        lab.answer(enrolment, final=True)
        again = lab.users.deadline()
        assert again is not None
        lab.lab.clock.move_to(again)
        lab.users.wake(again)
        lab.link.go_down()
        lab.link.come_up()
        setting = [frame for frame, _ in lab.link.published if isinstance(DIALECT.read_desk_request(frame), SetSpin)]
        assert [frame.qos for frame in setting] == [0, 0, 0]
        lab.answer_steps()
        locks = [frame for frame, _ in lab.link.published if isinstance(DIALECT.read_desk_request(frame), CommandRequest)]
        assert [frame.qos for frame in locks] == [0]
        assert lab.users.deadline() is None
        assert lab.users.waiting == 1


class TestMeasuring:
    def test_the_round_trip_ends_with_the_cars_first_answer(self) -> None:
        """Awake and sleeping cars are measured apart; the desk's own steps do not count."""
        lab = UsersLab("  - {name: refresh, count: 2}\n")
        first, second = lab.ask_all()
        now = lab.lab.clock.wall_us()
        lab.answer(first, state="sent")
        assert lab.users.round_trip.count == 0
        lab.answer(first, state="accepted", by="car", awake=True)
        lab.answer(first, state="succeeded", by="car", awake=True, final=True)
        lab.answer(second, state="accepted", by="car", awake=False)
        assert (lab.users.round_trip.count, lab.users.round_trip_waking.count) == (1, 1)
        assert lab.users.round_trip.maximum == now - (first.due_wall_us or 0)

    def test_outcomes_are_counted_once_and_waiting_falls(self) -> None:
        """Each command ends once, by state and reason; a repeated final answer changes nothing."""
        lab = UsersLab("  - {name: refresh, count: 3}\n")
        first, second, _third = lab.ask_all()
        lab.answer(first, final=True)
        lab.answer(first, final=True)
        lab.answer(second, state="rejected", reason="busy", final=True)
        assert lab.users.outcomes == {"succeeded": 1, "rejected(busy)": 1}
        assert lab.users.waiting == 1

    def test_the_last_outcome_is_passed_on(self) -> None:
        """Once, when no command waits any more: nobody has to look again and again."""
        lab = UsersLab("  - {name: refresh, count: 2}\n")
        called: list[int] = []
        lab.users.on_all_answered = lambda: called.append(lab.users.waiting)
        first, second = lab.ask_all()
        lab.answer(first, final=True)
        lab.answer(second, state="sent")
        assert called == []
        lab.answer(second, final=True)
        lab.answer(second, final=True)
        assert called == [0]

    def test_an_answer_that_cannot_be_read_stops_nothing(self) -> None:
        """It is acknowledged and left."""
        lab = UsersLab("  - {name: refresh, count: 1}\n")
        (asked,) = lab.ask_all()
        before = len(lab.link.acknowledged)
        frame = DIALECT.desk_answer(DeskAnswer(id=asked.id, state="sent"), topic="fleet/v1/desk/answer/users-0-1")
        lab.link.deliver(type(frame)(topic=frame.topic, payload=b"\xc1", content_type=frame.content_type))
        assert len(lab.link.acknowledged) == before + 1
        lab.answer(asked, final=True)
        assert lab.users.waiting == 0
