"""Any story of one car, its driver, user, network and time: no invariant breaks, and no check finds fault with its journal.

Each story is drawn from a seed and its number, which a failure tells with the steps that are left when all that can be left out
is. `FLEET_STORIES=SEED` draws other ones.
"""

from __future__ import annotations

import os
from typing import Final, get_args

import pytest

from fleet.vehicle.signals import WorldInput
from tests.nightly import NIGHTLY, draws
from tests.vehicle.any_story import AnyStory, failure, shortened
from tests.vehicle.story_inputs import STEPS, WORLD_INPUTS, draw_story

STORIES: Final = 200
"""Stories of one part."""
PARTS: Final = draws(1, 50)
SEED: Final = int(os.environ.get("FLEET_STORIES") or (int.from_bytes(os.urandom(4)) if NIGHTLY else 0))


@pytest.mark.random
@pytest.mark.parametrize("part", range(PARTS))
def test_any_story(part: int) -> None:
    """Whatever comes to a car in whatever order: its account, its levels and its commands are right, and `verify` agrees."""
    for number in range(part * STORIES, (part + 1) * STORIES):
        built, steps = draw_story(SEED, number)
        told = failure(built, steps)
        if told is not None:
            left = shortened(built, steps, told)
            words = "\n".join(f"    {step}" for step in left)
            pytest.fail(f"FLEET_STORIES={SEED}, story {number} of {built}:\n{words}\n  {failure(built, left)}")


def test_stories_have_all_that_can_happen_to_a_car() -> None:
    """Each kind of input that people and the world have for a car is drawn, and each step can be taken."""
    assert {*WORLD_INPUTS} == {*get_args(WorldInput)}
    assert all(callable(getattr(AnyStory, name)) for name in STEPS)
