"""What is right of people: `broken/people.yaml` has what is wrong with them."""

from __future__ import annotations

import pytest

from fleet.runtime.assembly import vocabulary
from fleet.scenario.loader import check
from tests.scenario.test_people import HEAD, PEOPLE


@pytest.mark.parametrize(
    "step",
    [
        "{at: 1 min, command: lock, by: previous_owner, in_session: true}",
        "{at: 1 min, command: lock, person: anna, spin: wrong}",
        "{at: 1 min, do: enrol, way: qr, by: buyer, wrong_first: {wrong_vin: 50 %, consent_missing: 50 %}}",
        "{at: 1 min, do: register, person: anna}",
        "{at: 1 min, service: partner, action: close, about: none, person: anna, data: {partner: North}, wrong: [password]}",
    ],
)
def test_steps_of_people(step: str) -> None:
    """Each of these may be written."""
    text = HEAD.partition("timeline:")[0] + PEOPLE + f"timeline:\n  - {step}\n"
    assert [str(error) for error in check(text, "", vocabulary())] == []


def test_steps_of_people_want_people() -> None:
    """Where nobody was drawn or named, nobody has a role."""
    text = HEAD.partition("timeline:")[0] + "timeline:\n  - {at: 1 min, command: lock, by: guest}\n"
    (told,) = check(text, "", vocabulary())
    assert "timeline[0].by: the scenario has no 'people'" in str(told)


def test_people_in_stages_are_looked_at() -> None:
    """A name is looked for at the place of its step."""
    stages = "stages: [{name: only, duration: 1 h, timeline: [{at: 1 min, command: lock, person: ana}]}]\n"
    head = HEAD.partition("timeline:")[0].replace("duration: 1 h\n", "")
    (told,) = check(head + PEOPLE + stages, "", vocabulary())
    assert "stages[0].timeline[0].person: unknown person 'ana'" in str(told)
