"""What `fleet check` says of a right file: its cars, times and loads are those that will come."""

from __future__ import annotations

from fleet.scenario.loader import parse
from fleet.scenario.summary import STEPS_MOST, chosen_count, summary
from tests.scenario.samples import GOOD, VOCABULARY

STAGES = """\
stages:
  - name: calm
    duration: 30 min
    load:
      - {do: ask_status, rate: 2 per min, cars: {share: 25 %}}
      - {do: ask_status, ramp: {from: 0 per s, to: 2 per s}, for: 10 min}
  - name: storm
    duration: 30 min
    load:
      - {command: honk, burst: 2 per car, distance: 10 m, cars: {fleet: parked}}
    timeline:
      - {at: 10 min, broker: kill}
      - {every: 5 min, when: car.state == parked, do: open, door: boot, cars: {fleet: parked, index: [1, 3]}}
"""


def test_each_line_is_what_will_come() -> None:
    """Numbers are those of load, stages and selections."""
    text = GOOD.replace("duration: 17 h\n", "").replace("05:00", "06:30") + STAGES
    scenario = parse(text, "f.yaml", VOCABULARY)
    assert summary(scenario, VOCABULARY) == [
        "small: Shows every element once.",
        "40 cars: 30 commuters, 10 parked in lisbon",
        "Mon 2026-03-02 06:30 to Mon 2026-03-02 07:30 in Europe/Berlin: 1 h at clock x1800, 2 s of real time, seed 7",
        "the whole run:",
        "  about 120 × command honk from the users of all cars",
        "  about 20 × command heater from the users of commuters",
        "stage calm: 30 min",
        "  about 60 × ask_status, rate 2 per minute, 10 cars",
        "  about 600 × ask_status, ramp 0 per second to 2 per second, 40 cars",
        "stage storm: 30 min",
        "  about 20 × command honk, burst 2 per car at once, 10 cars",
        "  at 10 min: broker kill",
        "  every 5 min when car.state == parked: open, 2 cars",
        "2 expectations",
    ]
    assert [chosen_count(scenario, step.cars) for step in scenario.steps()] == [40, 2]


def test_what_is_asked_of_the_back_end_is_told_by_its_name() -> None:
    """Service and action, and the cars that it is about, if any."""
    steps = """
timeline:
  - {at: 10 min, service: online, action: show, cars: {count: 3}}
  - {at: 20 min, service: campaign, action: pause, about: none, data: {campaign: spring}}
"""
    lines = summary(parse(GOOD + steps, "f.yaml", VOCABULARY), VOCABULARY)
    assert [line for line in lines if "service" in line] == [
        "  at 10 min: service online show, 3 cars",
        "  at 20 min: service campaign pause",
    ]


def test_a_plain_file_has_no_stages_to_tell_of() -> None:
    """Its loads go on in the run; over a day of clock change the times are local ones."""
    plain = GOOD.replace("2026-03-02T05:00", "2026-03-28T22:00")
    lines = summary(parse(plain.replace("duration: 17 h", "duration: 12 h"), "f.yaml", VOCABULARY), VOCABULARY)
    assert "Sat 2026-03-28 22:00 to Sun 2026-03-29 11:00 in Europe/Berlin" in lines[2]
    assert lines[3] == "in it:"


def test_of_a_long_timeline_the_rest_is_counted() -> None:
    """Nobody reads thousands of steps at the prompt."""
    steps = "".join(f"  - {{at: {n + 1} s, do: press_sos, expect: {{event: ecall}}}}\n" for n in range(STEPS_MOST + 7))
    told = summary(parse(GOOD + "timeline:\n" + steps, "long.yaml", VOCABULARY), VOCABULARY)
    assert sum("press_sos" in line for line in told) == STEPS_MOST
    assert any(line.endswith(f"… and 7 more steps; {STEPS_MOST + 7} of all {STEPS_MOST + 7} expect something") for line in told)
