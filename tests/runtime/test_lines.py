"""Lines: what steps expect is held against what comes of them, for each car, and told with what was seen instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.runtime import lines as lines_module
from fleet.runtime.assembly import vocabulary
from fleet.runtime.run import RunConfig
from fleet.runtime.verdicts import Verdicts, line_outcomes, unjudged
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.loader import parse
from fleet.vehicle.services.registry import SERVICES
from fleet.wire.parameters import Lock, Unlock
from tests.runtime.test_virtual_stage import Quiet

HEAD = """\
scenario: lines
purpose: Cars that stand, and are asked.
seed: 1
start: 2026-03-02T08:00
duration: {duration}
clock: virtual
region: munich
fleets:
  - name: leons
    count: 3
    models: {{Leon: 1}}
    energies: {{Leon: {{petrol: 1}}}}
    profile: parked
    coverage: {{garages: 0 %, holes: 0 %}}
    equipment: {{parking_heater: true}}
timeline:
"""


def run(out: Path, *steps: str, duration: str = "2 h") -> dict[str, Any]:
    """Run a timeline of these steps, and return the report."""
    text = HEAD.format(duration=duration) + "".join(f"  - {{{step}}}\n" for step in steps)
    config = RunConfig(scenario=parse(text, "lines.yaml", vocabulary()), out=out, journal=False)
    return virtual_run(config, Quiet()).execute()


def lines(out: Path, *steps: str, duration: str = "2 h") -> list[tuple[str, bool, str]]:
    """Return text, whether it passed, and what is said of it, for each line."""
    return [(line["text"], line["passed"], line["note"]) for line in run(out, *steps, duration=duration)["expectations"]]


class TestOutcomes:
    def test_each_car_must_have_the_outcome(self, tmp_path: Path) -> None:
        """A line is met when all its cars end so; else it tells how some ended, with the words for people."""
        found = lines(
            tmp_path,
            "at: 1 min, do: open, door: boot, cars: {index: 2}",
            "at: 2 min, title: all shut, command: lock, expect: {outcome: succeeded}",
            "at: 3 min, command: refresh, expect: {outcome: succeeded}",
        )
        (first, first_passed, note), (second, second_passed, nothing) = found
        assert (first, first_passed, second, second_passed, nothing) == (
            "all shut: succeeded", False, "refresh: succeeded", True, "",
        )  # fmt: skip
        assert note.startswith("of 3; seen: rejected(door_open): open: boot (VSSZZZKL")

    def test_the_car_is_looked_at_when_the_answer_is_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An unlock that locks is answered well, and seen nevertheless."""
        step = "at: 2 min, command: unlock, cars: {index: 0}, expect: {outcome: succeeded, then: car.locked == no}"
        assert [passed for _, passed, _ in lines(tmp_path / "right", step)] == [True]
        monkeypatch.setitem(SERVICES, Unlock, SERVICES[Lock])
        ((_, passed, note),) = lines(tmp_path / "wrong", step)
        assert not passed
        assert note.startswith("of 1; seen: car.locked is yes (")

    def test_no_answer_is_not_met(self, tmp_path: Path) -> None:
        """What is still open at the end is told as that."""
        ((_, passed, note),) = lines(
            tmp_path,
            "at: 1 min, do: lose_coverage, cars: {index: 0}",
            "at: 2 min, command: refresh, time_to_live: 6 days, cars: {index: 0}, expect: {outcome: expired}",
        )
        assert not passed
        assert note.startswith("of 1; seen: no outcome by the end (")

    def test_who_is_not_enrolled_and_a_new_spin(self, tmp_path: Path) -> None:
        """Another user has no rights; an S-PIN that is locked is free once it is set anew."""
        wrong = "command: lock, spin: wrong, cars: {index: 0}"
        found = lines(
            tmp_path,
            "at: 1 min, command: lock, user: anna, cars: {index: 0}, expect: {outcome: rejected(insufficient_rights)}",
            *(f"at: {n} min, {wrong}, expect: {{outcome: rejected(spin_wrong)}}" for n in (2, 3, 4)),
            "at: 5 min, command: lock, spin: right, cars: {index: 0}, expect: {outcome: rejected(spin_locked)}",
            "at: 6 min, command: lock, spin: new, cars: {index: 0}, expect: {outcome: succeeded}",
            "at: 7 min, command: lock, spin: right, cars: {index: 0}, expect: {outcome: succeeded}",
        )
        assert [passed for _, passed, _ in found] == [True] * 7

    def test_the_same_id_is_one_command(self, tmp_path: Path) -> None:
        """Asked again it is answered again, and the heater that ran is not started anew."""
        report = run(
            tmp_path,
            "at: 1 min, id: one, command: heater, parameters: {minutes: 10}, cars: {index: 0}, "
            "expect: {outcome: succeeded, event: heater_ended, data: {reason: time, minutes: 10}}",
            "at: 5 min, id: one, command: heater, parameters: {minutes: 10}, cars: {index: 0}, expect: {outcome: succeeded}",
            "at: 1 min, id: one, command: refresh, cars: {index: 1}, expect: {outcome: succeeded}",
            "at: 5 min, id: one, command: honk, distance: 1 m, cars: {index: 1}, expect: {outcome: rejected(malformed)}",
        )
        assert report["verdict"] == "passed", report["reason"]
        assert report["commands"]["total"] == 2

    def test_services_of_the_back_end_have_outcomes(self, tmp_path: Path) -> None:
        """Each car's user asks, or somebody asks once."""
        found = lines(
            tmp_path,
            "at: 1 min, service: partner, action: choose, data: {partner: north}, cars: {index: 0}, expect: {outcome: succeeded}",
            "at: 2 min, service: campaign, action: status, about: none, data: {campaign: x}, "
            "expect: {outcome: rejected(not_found)}",
        )
        assert [passed for _, passed, _ in found] == [True, True], found

    def test_meant_to_be_wrong(self, tmp_path: Path) -> None:
        """What a step expects to be refused is asked as it stands."""
        found = lines(
            tmp_path,
            "at: 1 min, command: whistle, cars: {index: 0}, expect: {outcome: rejected(unsupported)}",
            "at: 1 min, command: honk, distance: 1 m, parameters: {mode: 3}, expect: {outcome: rejected(malformed)}",
            "at: 1 min, command: refresh, time_to_live: 8 days, expect: {outcome: rejected(argument_out_of_range)}",
        )
        assert [passed for _, passed, _ in found] == [True, True, True], found


class TestEvents:
    def test_the_next_event_decides_and_its_data_count(self, tmp_path: Path) -> None:
        """The first heater_ended after the start is that of the stop, and not the one by time."""
        start = "command: heater, parameters: {minutes: 60}, cars: {index: 0}"
        ((_, passed, note),) = lines(
            tmp_path,
            f"at: 1 min, {start}, expect: {{event: heater_ended, data: {{reason: time}}}}",
            "at: 20 min, command: heater, parameters: {action: stop}, cars: {index: 0}",
        )
        assert not passed
        assert note.startswith("of 1; seen: event heater_ended (reason stopped) (")

    def test_lines_that_wait_for_one_name_take_turns(self, tmp_path: Path) -> None:
        """The first event is the first line's, the second the second one's."""
        found = lines(
            tmp_path,
            "at: 1 min, do: press_sos, cars: {index: 0}, expect: {event: ecall, data: {automatic: false}}",
            "at: 1 min, do: press_sos, cars: {index: 0}, expect: {event: ecall, data: {automatic: false}}",
            "at: 2 min, cars: {index: 0}, expect: {event: ecall, within: 5 min}",
        )
        assert [passed for _, passed, _ in found] == [True, True, False]
        assert "no event by the end" in found[2][2]

    def test_within_and_none_at_all(self, tmp_path: Path) -> None:
        """An event after its time does not count, for good or bad; one within it does."""
        found = lines(
            tmp_path,
            "at: 1 min, cars: {index: 0}, expect: {event: engine_on, within: 9 min}",
            "at: 1 min, cars: {index: 0}, expect: {no_event: engine_on, within: 9 min}",
            "at: 1 min, cars: {index: 0}, expect: {no_event: engine_on, within: 10 min}",
            "at: 1 min, cars: {index: 0}, expect: {event: engine_on, within: 10 min}",
            "at: 11 min, do: engine_on, cars: {index: 0}",
        )
        assert [passed for _, passed, _ in found] == [False, True, False, True]

    def test_an_event_that_waits_without_network_counts_by_its_own_time(self, tmp_path: Path) -> None:
        """It is heard when it leaves the car."""
        ((_, passed, note),) = lines(
            tmp_path,
            "at: 1 min, do: lose_coverage, cars: {index: 0}",
            "at: 2 min, do: press_sos, cars: {index: 0}, expect: {event: ecall, within: 1 s}",
            "at: 50 min, do: regain_coverage, cars: {index: 0}",
        )
        assert passed, note


class TestReport:
    def test_a_line_that_nobody_did_is_not_met(self) -> None:
        """A line without a car says nothing of a rule."""
        line = {"text": "x: succeeded", "stage": "", "cars": 0, "held": 0, "judged": True, "seen": []}
        (told,) = line_outcomes([line])
        assert not told["passed"]
        assert told["note"] == "it was not done: its time did not come, or there is no such car"

    def test_steps_that_come_again_and_again_leave_nothing_behind(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Cases are counted and let go of; beyond the bound they are not watched, which is told and not met."""
        every = "every: 10 s, cars: {index: 0}"
        steps = (f"{every}, expect: {{then: car.state == parked}}", f"{every}, expect: {{no_event: ecall, within: 1 s}}")
        found = run(tmp_path / "right", *steps)["expectations"]
        assert [(line["passed"], line["value"]) for line in found] == [(True, 719), (True, 719)]
        monkeypatch.setattr(lines_module, "OPEN_MOST", 100)
        found = run(tmp_path / "bounded", *steps, duration="1 h")["expectations"]
        assert [line["passed"] for line in found] == [False, False]
        assert "more that were not watched" in found[1]["note"]

    def test_without_a_desk_what_asks_it_is_left_out(self) -> None:
        """And said to be."""
        line = {"text": "x: succeeded", "stage": "", "cars": 1, "held": 0, "judged": False, "seen": ["no outcome by the end"]}
        other = line | {"judged": True, "held": 1, "seen": []}
        assert [told["passed"] for told in line_outcomes([line, other])] == [True]
        text = HEAD.format(duration="1 h") + "  - {at: 1 min, do: park}\nexpectations:\n"
        text += "".join(f"  - {each} == 0\n" for each in ("dropped", "lost", "notices.fault", "commands.unknown"))
        made = parse(text, "lines.yaml", vocabulary())
        about_lines = "1 of 2 lines were not judged: they ask the desk, and there is none"
        others = "expectations that were not judged, as only a back end of ours sees what they are about: {}"
        assert unjudged(Verdicts(made, backend=False, desk=False), [line, other]) == [others.format(3), about_lines]
        assert unjudged(Verdicts(made, backend=False), [other]) == [others.format(2)]
        assert unjudged(Verdicts(made), [other]) == []


class TestOnly:
    def test_a_step_for_live_runs_is_not_done_in_a_virtual_one(self, tmp_path: Path) -> None:
        """Nor is it a line of the report."""
        found = lines(
            tmp_path,
            "at: 1 min, only: live, do: press_sos, cars: {index: 0}, expect: {event: ecall}",
            "at: 1 min, only: virtual, do: press_sos, cars: {index: 1}, expect: {event: ecall}",
        )
        assert len(found) == 1
        assert found[0][1]
