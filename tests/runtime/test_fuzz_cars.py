"""Whatever a back end sends, a car lives: commands, replies and marks drawn from their types and bent, at a car's own intake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.kernel.instants import MINUTE, SECOND
from fleet.wire.messages import Response
from tests.bending import to_cars
from tests.nightly import draws
from tests.runtime.pure_lab import ShardLab, scenario

CHUNK = 250
FLEET = "  - {name: parked, count: 3, models: {Leon: 1, Born: 1, Formentor: 1}, profile: parked}\n"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.mark.random
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("journalled", [False, True])
@settings(max_examples=draws(20, 2_000), deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**64 - 1), until_stored=st.booleans())
async def test_whatever_is_sent_a_car_lives(journalled: bool, seed: int, until_stored: bool) -> None:
    """Each frame is acknowledged, its time goes on, and the next good command is executed and answered."""
    records: list[Any] = []
    write = (lambda record: records.append(msgspec.json.encode(record))) if journalled else None
    lab = ShardLab(scenario(FLEET), write=write, until_stored=until_stored)
    lab.live()
    for number, frame in enumerate(to_cars(seed, CHUNK, lab.vins)):
        link = lab.links.made[lab.vins[number % len(lab.vins)]]
        before = len(link.acknowledged)
        link.deliver(frame)
        assert len(link.acknowledged) == before + 1
        if number % 10 == 0:
            lab.pass_for(MINUTE)
            for each in lab.links.made.values():
                for _, token in each.published[-3:]:
                    each.take(token)
    lab.refresh("good")
    for _ in range(2 * CHUNK):
        lab.pass_for(10 * SECOND)
        for _, token in lab.link.published[-1:]:
            lab.link.take(token)
    answers = [message for message, _ in lab.messages() if isinstance(message, Response) and message.command_id == "good"]
    assert answers
    assert answers[-1].state in {"succeeded", "rejected", "failed"}
