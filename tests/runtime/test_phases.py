"""Stages: one after the other, each with a life and figures of its own."""

from __future__ import annotations

from fleet.kernel.instants import MINUTE
from fleet.observe.histogram import Histogram
from fleet.runtime.phases import stage_results
from fleet.runtime.scheduled import schedule_commands
from fleet.wire.messages import CommandRequest, DeskAnswer, Status
from tests.runtime.pure_lab import DIALECT
from tests.runtime.stage_lab import ZONE, StageLab, staged

TWO = """\
load: [{do: ask_status, rate: 1 per min}]
stages:
  - name: quiet
    duration: 10 min
    timeline: [{at: 1 min, do: open, door: boot, cars: {index: 0}}]
  - name: busy
    duration: 20 min
    load:
      - {do: ask_status, rate: 2 per min}
      - {command: refresh, burst: 4, at: 5 min}
    timeline: [{at: 1 min, do: close, door: boot, cars: {index: 0}}]
    commands: [{name: refresh, count: 10}]
"""


def test_the_stages_make_the_run() -> None:
    """Their durations add up, and each begins where the one before it ends."""
    made = staged(TWO)
    assert made.duration == 30 * MINUTE
    assert [(phase.name, phase.after_us, phase.duration) for phase in made.phases()] == [
        ("", 0, 30 * MINUTE),
        ("quiet", 0, 10 * MINUTE),
        ("busy", 10 * MINUTE, 20 * MINUTE),
    ]


def test_what_stands_in_a_stage_goes_on_in_it_alone() -> None:
    """Loads keep to their stage, and its timeline counts from its beginning; what stands outside goes on all the time."""
    lab = StageLab(staged(TWO))
    lab.pass_for(2 * MINUTE)
    assert lab.cars[0].body.open_doors == {"boot"}
    lab.pass_for(9 * MINUTE - 1)
    assert lab.cars[0].body.open_doors == {"boot"}
    lab.pass_for(20 * MINUTE)
    assert not lab.cars[0].body.open_doors
    minutes = sorted(
        (message.captured_at - lab.start) / MINUTE
        for car in lab.cars
        for message in lab.messages(car)
        if isinstance(message, Status)
    )
    assert minutes == sorted([*range(30), *(10 + n / 2 for n in range(40))])


def test_users_of_a_stage_ask_in_it() -> None:
    """A stage's commands are scheduled within it."""
    made = staged(TWO)
    lab = StageLab(made)
    scheduled = schedule_commands(made, lab.start, ZONE)
    assert len(scheduled) == 10
    assert all(lab.start + 10 * MINUTE <= each.at < lab.start + 30 * MINUTE for each in scheduled)


def test_figures_are_those_of_the_stage() -> None:
    """Counts are taken at the ends; a command belongs to the stage in which it was asked, whenever it ends."""
    lab = StageLab(staged(TWO))
    lab.pass_for(29 * MINUTE)
    for request in lab.asked():
        answer(lab, request)
    lab.pass_for(MINUTE)
    assert [name for name, _ in lab.marks.marks] == ["quiet"]
    lab.marks.mark()
    assert lab.marks.is_over
    marks = [(name, {**mark, "publish_to_ack": Histogram().to_dict()}) for name, mark in lab.marks.marks]
    quiet, busy = stage_results(marks, lab.users.stages)
    assert (quiet["account"]["created"], busy["account"]["created"]) == (10, 60)
    assert (quiet["commands_asked"], quiet["commands"]) == (0, {})
    assert (busy["commands_asked"], busy["commands"]) == (4, {"rejected": {"busy": 4}})
    assert Histogram.from_dict(busy["round_trip_waking"]).count == 4


def test_a_histogram_since_an_earlier_one() -> None:
    """What a stage recorded is what the later one has more."""
    whole = Histogram()
    for value in (5, 1_000, 90_000):
        whole.record(value)
    earlier = Histogram.from_dict(whole.to_dict())
    for value in (50, 2_000, 3_000):
        whole.record(value)
    later = whole.since(earlier)
    assert (later.count, later.total) == (3, 5_050)
    assert later.percentile(0.5) == Histogram.from_dict(whole.to_dict()).since(earlier).percentile(0.5)
    assert abs(later.percentile(0.5) - 2_000) <= 8
    assert abs(later.maximum - 3_000) <= 12
    assert later.since(later).summary_ms() == {}


def answer(lab: StageLab, request: CommandRequest) -> None:
    said = DeskAnswer(id=request.id, state="rejected", reason="busy", by="car", awake=False, final=True)
    lab.user_link.deliver(DIALECT.desk_answer(said, topic="fleet/v1/desk/answer/users-0-1"))
