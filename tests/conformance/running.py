"""Runs a suite against a target, each group of cases with a broker that nobody has used, several groups side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final

from fleet.transport.link import Endpoint
from tests.conformance import broker_vectors, link_vectors, paho
from tests.conformance.outcome import Outcome
from tests.conformance.suites import MOSQUITTO, PAHO, Source
from tests.conformance.targets import LINK, TARGETS, Target, proxied
from tests.conformance.vectors import Vector, read_vectors

SIDE_BY_SIDE: Final = 8

Group = Sequence[Callable[[Endpoint], Awaitable[Outcome]]]
"""Cases that run one after the other on one broker."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Cases of a source, in groups, read from its folder. `of_brokers` False: the swarm link is under test, without a broker."""

    name: str
    title: str
    source: Source
    groups: Callable[[Path], list[Group]]
    of_brokers: bool = True


def _vectors(folder: Path) -> list[Group]:
    vectors = read_vectors(folder / "test" / "broker" / "data")
    return [
        [partial(broker_vectors.play, vector) for vector in group]
        for _, group in groupby(vectors, key=lambda vector: vector.group)
    ]


def _link_vectors(folder: Path) -> list[Group]:
    vectors = read_vectors(folder / "test" / "lib" / "data")
    return [[partial(_play_link, vector) for vector in group] for _, group in groupby(vectors, key=lambda vector: vector.group)]


async def _play_link(vector: Vector, _: Endpoint) -> Outcome:
    return await link_vectors.play(vector)


def _paho(file: str) -> Callable[[Path], list[Group]]:
    def groups(folder: Path) -> list[Group]:
        cases = paho.read_cases(folder / "interoperability" / file)
        return [[partial(paho.run, case)] for case in cases]

    return groups


SUITES: Final = {
    suite.name: suite
    for suite in (
        Suite("paho-5", "Paho's `client_test5.py`", PAHO, _paho("client_test5.py")),
        Suite("paho-3", "Paho's `client_test.py` (MQTT 3.1.1)", PAHO, _paho("client_test.py")),
        Suite("vectors", "Mosquitto's `test/broker/data`", MOSQUITTO, _vectors),
        Suite("link-vectors", "Mosquitto's `test/lib/data`", MOSQUITTO, _link_vectors, of_brokers=False),
    )
}


def targets_of(suite: Suite) -> tuple[str, ...]:
    """Return the targets of a suite, the proxies in front of them left out."""
    return tuple(TARGETS) if suite.of_brokers else (LINK,)


async def run(suite: Suite, folder: Path, target: str, *, through_proxy: bool = False) -> list[Outcome]:
    """Run all cases, and return their outcomes in the order of the suite."""
    groups = suite.groups(folder)
    room = asyncio.Semaphore(SIDE_BY_SIDE)
    if target == LINK:
        alone = await asyncio.gather(*(_without_broker(group, room) for group in groups))
        return [outcome for outcomes in alone for outcome in outcomes]
    start = proxied(TARGETS[target]) if through_proxy else TARGETS[target]
    found = await asyncio.gather(*(_with_broker(group, start, room) for group in groups))
    return [outcome for outcomes in found for outcome in outcomes]


async def _with_broker(group: Group, start: Target, room: asyncio.Semaphore) -> list[Outcome]:
    async with room, start() as endpoint:
        return [await case(endpoint) for case in group]


async def _without_broker(group: Group, room: asyncio.Semaphore) -> list[Outcome]:
    async with room:
        return [await case(Endpoint("", 0)) for case in group]


def changed(direct: Sequence[Outcome], through: Sequence[Outcome]) -> list[str]:
    """Return the cases that end otherwise through the proxy, or in which other bytes came; the addresses in words may differ."""
    return [before.case for before, after in zip(direct, through, strict=True) if _facts(before) != _facts(after)]


def _facts(outcome: Outcome) -> object:
    return outcome.case, outcome.status, outcome.transcript
