"""How cars come back after a lost connection, as the scenario says it."""

from __future__ import annotations

import pytest

from fleet.transport.link import BackOff, LinkOwner, LinkSettings
from tests.runtime.pure_lab import HandLink, HandLinks, ShardLab


class WaitingLinks(HandLinks):
    """Keeps the waits of each link."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[list[float]] = []

    def __call__(self, settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> HandLink:
        self.waits.append([back_off.next_s() for _ in range(6)])
        return super().__call__(settings, owner, back_off)


def waits(*, jitter: bool) -> list[list[float]]:
    links = WaitingLinks()
    ShardLab(links=links, first_back_off_s=2.0, longest_back_off_s=10.0, jitter=jitter).shard.connect()
    return links.waits


def test_without_jitter_all_wait_the_same() -> None:
    """Twice as long each time, up to the longest: a storm."""
    assert waits(jitter=False) == [pytest.approx([2, 4, 8, 10, 10, 10])] * 3


def test_with_jitter_no_two_wait_the_same() -> None:
    """Anywhere below that."""
    found = waits(jitter=True)
    assert all(wait < most for each in found for wait, most in zip(each, (2, 4, 8, 10, 10, 10), strict=True))
    assert len({wait for each in found for wait in each}) == 18
