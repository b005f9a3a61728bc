"""Campaigns: waves that follow only what went well, pause and resume, consent, and tables that survive a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from fleet.cloud.campaigns import LARGEST_MB, LONGEST_ID, LOT_EVERY, TIME_TO_LIVE, CampaignRule
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.rule import AskCar, CommandEnded, Done, Keep, Notes, Notify, RequestRefused, ServiceAsked
from fleet.kernel.instants import MINUTE, SECOND
from fleet.wire.messages import Event, ServiceRequest
from fleet.wire.services import load_services

START = 1_772_000_000_000_000
CARS = tuple(f"VSSZZZKMZPR{number:06d}" for number in range(200))
PLAN: dict[str, Any] = {"campaign": "v4", "version": "4.1", "size_mb": 900, "cars": CARS}


class Lab:
    """A campaign rule, and cars that answer as they are told to."""

    def __init__(self, **changed: Any) -> None:
        self.now = START
        self.notes = Notes()
        self.rule = CampaignRule(self.notes)
        self.asked: list[AskCar] = []
        self.told: list[Notify] = []
        self.answer = self.ask("start", **{**PLAN, **changed})

    def ask(self, action: str, vin: str | None = None, **data: Any) -> Done | RequestRefused:
        request = ServiceRequest(id=action, service="campaign", action=action, vin=vin, data={"campaign": "v4", **data})
        answer = self.rule.asked(request, self.now)
        if isinstance(answer, Done):
            self.keep(answer.outputs)
        return answer

    def restart(self) -> None:
        """Go on with what was noted."""
        self.notes = Notes(self.notes)
        self.rule = CampaignRule(self.notes)

    def keep(self, outputs: Any) -> None:
        self.asked += [output for output in outputs if isinstance(output, AskCar)]
        self.told += [output for output in outputs if isinstance(output, Notify)]

    def run(self, minutes: float = 30) -> list[AskCar]:
        """Let time pass; return which commands were sent."""
        before, end = len(self.asked), self.now + int(minutes * MINUTE)
        while (at := self.rule.deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            self.keep(self.rule.wake(self.now))
        self.now = end
        return self.asked[before:]

    def ended(self, command: AskCar, state: Any = "succeeded", reason: str | None = None) -> None:
        self.keep(self.rule.command_ended(CommandEnded(command.id, command.vin, state, reason), self.now))

    def event(self, vin: str, name: str, **data: Any) -> None:
        message = Event(vin=vin, boot=1, seq=1, captured_at=self.now, name=name, data=data)
        self.keep(self.rule.event(message, self.now))

    def result(self, vin: str, state: str) -> None:
        self.event(vin, "update_result", campaign="v4", state=state)

    def install(self, commands: list[AskCar], *, failing: int = 0) -> None:
        for number, command in enumerate(commands):
            self.ended(command)
            self.result(command.vin, "rolled_back" if number < failing else "installed")

    @property
    def summary(self) -> dict[str, Any]:
        answer = self.ask("status")
        assert isinstance(answer, Done)
        assert answer.data is not None
        return dict(answer.data)

    @property
    def table(self) -> dict[str, int]:
        table: dict[str, int] = self.summary["table"]
        return table


# --- waves


def test_one_in_a_hundred_then_one_in_ten_then_all() -> None:
    """Each wave is asked once the one before has been installed; at the end every car has it, and was asked once."""
    lab = Lab()
    sizes = []
    while commands := lab.run():
        sizes.append(len(commands))
        lab.install(commands)
    assert sizes == [2, 18, 180]
    assert (lab.summary["phase"], lab.table) == ("finished", {"installed": 200})
    assert {command.vin for command in lab.asked} == set(CARS)
    first = lab.asked[0]
    assert (first.name, first.time_to_live) == ("system_update", TIME_TO_LIVE)
    assert first.parameters == {"campaign": "v4", "target": "system", "version": "4.1", "size_mb": 900}


def test_who_comes_first_is_left_to_chance() -> None:
    """Not the order of the list; but the same for the same campaign."""
    first = [command.vin for command in Lab(waves=[0.1, 1]).run()]
    assert first == [command.vin for command in Lab(waves=[0.1, 1]).run()]
    assert set(first) != set(CARS[:20])


@pytest.mark.parametrize(("failing", "phase"), [(0, "running"), (1, "running"), (2, "halted"), (20, "halted")])
def test_the_next_wave_needs_few_failures(failing: int, phase: str) -> None:
    """At most 5 % of 20: one is allowed, two halt the campaign, and no further car is asked."""
    lab = Lab(waves=[0.1, 1], decided_share=1)
    lab.install(lab.run(), failing=failing)
    assert lab.summary["phase"] == phase
    assert len(lab.run()) == (180 if phase == "running" else 0)
    told = [(each.kind, each.data["told"]) for each in lab.told if each.to == "operator"][-1]
    ended = f"{failing} of 20 installations of wave 1 failed; the limit is 5%"
    assert told == (("campaign_halted", ended) if phase == "halted" else ("campaign_wave", "wave 2 of 2: 180 cars"))


def test_a_wave_is_judged_when_enough_of_it_is_decided() -> None:
    """With 80 % of 20 decided the next begins; with 15 of them it does not, however well they went."""
    lab = Lab(waves=[0.1, 1])
    commands = lab.run()
    lab.install(commands[:15])
    assert lab.run() == []
    lab.install(commands[15:16])
    assert len(lab.run()) == 180


def test_what_is_no_installation_is_no_failure() -> None:
    """Cars without consent, not equipped or out of reach are decided, but say nothing of the update."""
    lab = Lab(waves=[0.1, 1])
    commands = lab.run()
    lab.ended(commands[0], "rejected", "consent_missing")
    lab.ended(commands[1], "rejected", "unsupported")
    lab.ended(commands[2], "unknown")
    lab.ended(commands[3], "expired")
    lab.install(commands[4:])
    assert lab.table == {"planned": 180, "unreached": 2, "installed": 16, "consent_missing": 1, "rejected": 1}
    assert len(lab.run()) == 180


def test_cars_are_asked_in_lots() -> None:
    """600 in a minute are 100 every 10 s; the first at once."""
    lab = Lab(waves=[1])
    assert [len(lab.run(seconds / 60)) for seconds in (0, 9, 1, 9)] == [100, 0, 100, 0]
    assert LOT_EVERY == 10 * SECOND


@pytest.mark.parametrize(("late_s", "asked"), [(0, 50), (25, 150), (30, 200), (3600, 350)])
def test_who_is_woken_late_asks_as_many_in_a_minute(late_s: int, asked: int) -> None:
    """Lots that were missed are made up for, those of the last minute only."""
    lab = Lab(waves=[1], cars_per_min=300, cars=[f"VSSZZZKMZPR{number:06d}" for number in range(1_000)])
    lab.now += late_s * SECOND
    lab.keep(lab.rule.wake(lab.now))
    while (at := lab.rule.deadline()) is not None and at <= lab.now:
        lab.keep(lab.rule.wake(lab.now))
    assert len(lab.asked) == asked


def test_each_user_is_told_how_it_ended() -> None:
    """Once, and nobody else."""
    lab = Lab(cars=CARS[:4], waves=[1])
    commands = lab.run()
    for _ in range(2):
        for command, state in zip(commands, ("installed", "rolled_back", "cancelled", "installed"), strict=True):
            lab.result(command.vin, state)
    told = [(each.vin, each.kind) for each in lab.told if each.to == "primary_user"]
    states = ("update_installed", "update_rolled_back", "update_cancelled", "update_installed")
    assert told == [(command.vin, kind) for command, kind in zip(commands, states, strict=True)]


# --- further cars


def test_cars_that_are_added_come_with_the_last_wave() -> None:
    """The waves before stay as they were; who is in it already is not asked again, and a restart changes nothing."""
    lab = Lab(cars=CARS[:100])
    first = lab.run()
    assert isinstance(lab.ask("start", **{**PLAN, "cars": CARS[50:150]}), Done)
    assert lab.summary["cars"] == 150
    lab.restart()
    lab.install(first)
    second = lab.run()
    lab.install(second)
    third = lab.run()
    assert [len(first), len(second), len(third)] == [1, 9, 140]
    assert set(CARS[100:150]) <= {command.vin for command in third}
    lab.install(third)
    assert lab.summary["phase"] == "finished"
    lab.ask("start", **{**PLAN, "cars": CARS[190:]})
    assert lab.summary["phase"] == "running"
    assert len(lab.run()) == 10


def test_a_plan_waits_for_its_start() -> None:
    """Its cars may come in parts, also from one list twice; then all of them take part in every wave."""
    lab = Lab(campaign="other")
    for cars in (CARS[:100], CARS[50:150], CARS[150:]):
        answer = lab.ask("plan", **{**PLAN, "cars": cars})
        lab.restart()
    assert isinstance(answer, Done)
    assert answer.data == {"campaign": "v4", "phase": "planned", "cars": 200}
    assert isinstance(lab.ask("pause"), RequestRefused)
    lab.asked.clear()
    for _ in range(2):
        assert isinstance(lab.ask("start"), Done)
    assert [len([command for command in lab.run() if command.id.startswith("v4")])] == [2]
    assert lab.summary["cars"] == 200


def test_another_plan_under_its_name_is_refused() -> None:
    """Before it is started as well as afterwards."""
    lab = Lab()
    lab.ask("plan", **{**PLAN, "campaign": "v5"})
    for name in ("v4", "v5"):
        refused = lab.ask("plan", **{**PLAN, "campaign": name, "version": "6"})
        assert isinstance(refused, RequestRefused)
        assert refused.reason == "argument_out_of_range"


# --- pause and resume


def test_pause_stops_asking_and_resume_goes_on() -> None:
    """In the midst of a wave; what cars tell meanwhile is kept."""
    lab = Lab(waves=[1])
    lab.run(0)
    assert isinstance(lab.ask("pause"), Done)
    assert lab.run() == []
    lab.install(lab.asked[:1])
    assert lab.table == {"planned": 100, "asked": 99, "installed": 1}
    assert isinstance(lab.ask("resume"), Done)
    assert len(lab.run()) == 100


def test_a_wave_that_ends_during_a_pause_is_judged_afterwards() -> None:
    lab = Lab()
    commands = lab.run()
    lab.ask("pause")
    lab.install(commands)
    assert lab.run() == []
    lab.ask("resume")
    assert len(lab.run()) == 18


def test_somebody_may_go_on_where_too_much_failed() -> None:
    lab = Lab(waves=[0.1, 1])
    lab.install(lab.run(), failing=10)
    assert lab.summary["phase"] == "halted"
    lab.ask("resume")
    assert len(lab.run()) == 180


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_what_does_not_fit_its_phase(action: str) -> None:
    """A running one is not resumed, a paused one not paused again."""
    lab = Lab()
    if action == "pause":
        lab.ask("pause")
    refused = lab.ask(action)
    assert isinstance(refused, RequestRefused)
    assert refused.reason == "not_possible"


# --- one car


def test_every_step_of_a_car() -> None:
    """From planned to installed; a download that pauses and an installation put off are steps, too."""
    lab = Lab(cars=CARS[:1])
    seen = [lab.table]
    [command] = lab.run()
    steps: list[Callable[[], None]] = [
        lambda: lab.ended(command),
        *[
            lambda state=state: lab.event(CARS[0], "update_progress", campaign="v4", state=state)
            for state in (
                "downloading",
                "paused",
                "downloading",
                "downloaded",
                "postponed",
                "installing",
                "postponed",
                "installing",
            )
        ],
        lambda: lab.result(CARS[0], "installed"),
    ]
    for step in [lambda: None, *steps]:
        step()
        seen.append(lab.table)
    assert [state for table in seen for state in table] == [
        "planned", "asked", "accepted", "downloading", "downloading", "downloading", "downloaded", "downloaded", "installing",
        "downloaded", "installing", "installed",
    ]  # fmt: skip


@pytest.mark.parametrize("late", ["expired", "succeeded", "rejected"])
def test_what_is_decided_stays(late: Any) -> None:
    """Neither a late word of the desk nor a late event of the car changes it."""
    lab = Lab(cars=CARS[:1])
    [command] = lab.run()
    lab.result(CARS[0], "installed")
    lab.ended(command, late)
    lab.event(CARS[0], "update_progress", campaign="v4", state="downloading")
    lab.result(CARS[0], "rolled_back")
    assert lab.table == {"installed": 1}


def test_a_car_that_was_given_up_may_still_come() -> None:
    """The desk knew nothing of it; the car does."""
    lab = Lab(cars=CARS[:1])
    [command] = lab.run()
    lab.ended(command, "unknown")
    assert lab.table == {"unreached": 1}
    lab.event(CARS[0], "update_progress", campaign="v4", state="downloading")
    assert lab.table == {"downloading": 1}


# --- consent


def refused_for_consent(lab: Lab) -> None:
    [command] = lab.run()
    lab.ended(command, "rejected", "consent_missing")
    assert lab.table == {"consent_missing": 1}
    assert [(each.vin, each.to, each.kind) for each in lab.told][-1] == (CARS[0], "primary_user", "update_consent_wanted")


def test_consent_in_the_car_has_it_asked_again() -> None:
    """Under another id, without the consent given in the app."""
    lab = Lab(cars=CARS[:1])
    refused_for_consent(lab)
    lab.event(CARS[0], "update_consent", given=False)
    assert lab.run() == []
    lab.event(CARS[0], "update_consent", given=True)
    [again] = lab.run()
    assert again.id != lab.asked[0].id
    assert "consent" not in again.parameters
    lab.install([again])
    assert (lab.summary["phase"], lab.table) == ("finished", {"installed": 1})


def test_consent_by_app_goes_with_the_command() -> None:
    """Also when it was given before the car's turn came; another car's command has none."""
    lab = Lab(cars=CARS[:1])
    refused_for_consent(lab)
    lab.ask("consent", CARS[0])
    [again] = lab.run()
    assert again.parameters["consent"] is True
    early = Lab()
    early.ask("pause")
    early.ask("consent", CARS[7])
    early.ask("resume")
    for _ in range(3):
        early.install(early.run())
    assert {command.vin for command in early.asked if command.parameters.get("consent")} == {CARS[7]}


def test_an_answer_to_an_earlier_command_changes_nothing() -> None:
    lab = Lab(cars=CARS[:1])
    refused_for_consent(lab)
    lab.event(CARS[0], "update_consent", given=True)
    lab.run()
    lab.ended(lab.asked[0], "unknown")
    assert lab.table == {"asked": 1}


# --- bad input


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"campaign": ""}, "argument_out_of_range"),
        ({"campaign": "a/b"}, "argument_out_of_range"),
        ({"campaign": "x" * 41}, "argument_out_of_range"),
        ({"version": ""}, "argument_out_of_range"),
        ({"version": "x" * 41}, "argument_out_of_range"),
        ({"size_mb": 0}, "argument_out_of_range"),
        ({"size_mb": -1}, "argument_out_of_range"),
        ({"size_mb": 50_001}, "argument_out_of_range"),
        ({"cars": []}, "argument_out_of_range"),
        ({"cars": [CARS[0], CARS[0]]}, "argument_out_of_range"),
        ({"cars": ["no-vin"]}, "argument_out_of_range"),
        ({"waves": []}, "argument_out_of_range"),
        ({"waves": [0, 1]}, "argument_out_of_range"),
        ({"waves": [0.1, 0.1, 1]}, "argument_out_of_range"),
        ({"waves": [0.1, 0.5]}, "argument_out_of_range"),
        ({"waves": [0.1, 1.5]}, "argument_out_of_range"),
        ({"waves": [float("nan"), 1]}, "argument_out_of_range"),
        ({"failure_limit": -0.1}, "argument_out_of_range"),
        ({"failure_limit": float("nan")}, "argument_out_of_range"),
        ({"decided_share": 0}, "argument_out_of_range"),
        ({"cars_per_min": 0}, "argument_out_of_range"),
        ({"target": "radio"}, "malformed"),
        ({"size_mb": "big"}, "malformed"),
        ({"extra": 1}, "malformed"),
        ({"cars": 7}, "malformed"),
    ],
)
def test_a_plan_that_cannot_be(changed: dict[str, Any], reason: str) -> None:
    """It is refused with its reason, and nothing is remembered of it."""
    lab = Lab(**changed)
    assert isinstance(lab.answer, RequestRefused)
    assert lab.answer.reason == reason
    assert (dict(lab.notes), lab.run()) == ({}, [])


@pytest.mark.parametrize(
    ("cars", "told"),
    [
        ([CARS[0], "no-vin"], "'no-vin' among the cars is no VIN"),
        ([CARS[0], CARS[1], CARS[0]], f"{CARS[0]} stands 2 times"),
        ([], "1 to 100000 cars, not 0"),
    ],
)
def test_a_wrong_car_is_named(cars: list[str], told: str) -> None:
    answer = Lab(cars=cars).answer
    assert isinstance(answer, RequestRefused)
    assert told in answer.detail


def test_a_plan_takes_what_cars_take() -> None:
    """Its bounds are those of the command that cars get, so that none refuses for them what the operator was granted."""
    command = load_services().commands["system_update"].parameters
    assert (command["size_mb"].minimum, command["size_mb"].maximum) == (1, LARGEST_MB)
    assert command["campaign"].maximum == command["version"].maximum == LONGEST_ID


@pytest.mark.parametrize("missing", ["campaign", "version", "size_mb", "cars"])
def test_what_is_missing(missing: str) -> None:
    data = {name: value for name, value in PLAN.items() if name != missing}
    answer = CampaignRule(Notes()).asked(ServiceRequest(id="x", service="campaign", action="start", data=data), START)
    assert isinstance(answer, RequestRefused)
    assert answer.reason == "malformed"


def test_nothing_was_planned() -> None:
    answer = CampaignRule(Notes()).asked(
        ServiceRequest(id="x", service="campaign", action="start", data={"campaign": "v4"}), START
    )
    assert isinstance(answer, RequestRefused)
    assert answer.reason == "not_found"


def test_text_is_read_as_a_command_line_writes_it() -> None:
    lab = Lab(cars=",".join(CARS[:20]), size_mb="900", waves="0.5,1")
    assert len(lab.run()) == 10


@pytest.mark.parametrize("action", ["pause", "resume", "status", "consent"])
def test_a_campaign_that_is_not(action: str) -> None:
    refused = Lab().ask(action, campaign="v5")
    assert isinstance(refused, RequestRefused)
    assert refused.reason == "not_found"


def test_other_words() -> None:
    """An action that is none, and consent for a car that is not part of it."""
    lab = Lab(cars=CARS[:1])
    for answer, reason in ((lab.ask("stop"), "unsupported"), (lab.ask("consent", CARS[1]), "not_possible")):
        assert isinstance(answer, RequestRefused)
        assert answer.reason == reason


def test_the_same_plan_again_is_none_more_and_another_is_refused() -> None:
    lab = Lab()
    lab.run()
    assert isinstance(lab.ask("start", **PLAN), Done)
    assert lab.run() == []
    assert isinstance(lab.ask("start", **{**PLAN, "version": "5"}), RequestRefused)


@pytest.mark.parametrize(
    "data",
    [{}, {"campaign": 7, "state": "installed"}, {"campaign": "v5", "state": "installed"}, {"campaign": "v4", "state": [1]}],
)
def test_events_that_say_nothing(data: dict[str, Any]) -> None:
    """A car may send anything."""
    lab = Lab()
    [command, _] = lab.run()
    lab.event(command.vin, "update_result", **data)
    lab.event("VSSZZZKMZPR999999", "update_result", campaign="v4", state="installed")
    lab.event("VSSZZZKMZPR999999", "update_consent", given=True)
    assert lab.table == {"planned": 198, "asked": 2}


# --- restart


@pytest.mark.parametrize("phase", ["running", "paused", "halted"])
def test_a_restart_changes_nothing(phase: str) -> None:
    """Whenever the back end dies, in whichever phase: what was stored goes on to the same end."""
    stored: dict[str, Any] = {}

    def performed(outputs: Any) -> list[AskCar]:
        for output in outputs:
            if isinstance(output, Keep) and output.module == "campaign":
                if output.value is None:
                    stored.pop(output.key, None)
                else:
                    stored[output.key] = msgspec.json.decode(output.value)
        return [output for output in outputs if isinstance(output, AskCar)]

    def ask(centre: ServiceCentre, action: str, number: int, **data: Any) -> None:
        request = ServiceRequest(id=f"{action}{number}", service="campaign", action=action, data={"campaign": "v4", **data})
        performed(centre.receive(ServiceAsked(request, ""), now))

    now = START
    centre = ServiceCentre([CampaignRule])
    ask(centre, "start", 0, **PLAN)
    asked: list[AskCar] = []
    for round_number in range(1, 400):
        centre = ServiceCentre([CampaignRule], {"campaign": stored})
        commands = performed(centre.wake(now)) if centre.deadline() is not None else []
        asked += commands
        if round_number == 1:
            if phase == "paused":
                ask(centre, "pause", round_number)
            centre = ServiceCentre([CampaignRule], {"campaign": stored})
        for number, command in enumerate(commands):
            performed(centre.receive(CommandEnded(command.id, command.vin, "succeeded", None), now))
            state = "rolled_back" if phase == "halted" and round_number == 1 and number == 0 else "installed"
            event = Event(
                vin=command.vin, boot=1, seq=1, captured_at=now, name="update_result", data={"campaign": "v4", "state": state}
            )
            performed(centre.receive(event, now))
        if round_number == 1:
            assert stored["phase/v4"]["phase"] == phase
            if phase != "running":
                ask(centre, "resume", round_number)
        now += LOT_EVERY
    assert sorted(command.vin for command in asked) == sorted(CARS)
    assert stored["phase/v4"] == {"phase": "finished", "wave": 2}
