"""The foreign suites, where their folder is named: each case ends as `known.toml` says, alone and through the proxy."""

from __future__ import annotations

import pytest

from tests.conformance.known import read_book, surprises
from tests.conformance.running import SUITES, changed, run
from tests.conformance.suites import here, lack
from tests.conformance.targets import LINK, TARGETS, mosquitto_version

pytestmark = pytest.mark.live
SHORT = ("vectors", "embedded")
"""Done in seconds; the other suites against brokers take minutes."""


async def test_link_vectors() -> None:
    """The swarm link does with each packet of a broker what is known of it."""
    await _hold("link-vectors", LINK)


@pytest.mark.parametrize(
    ("suite", "target"),
    [
        pytest.param(name, target, marks=() if (name, target) == SHORT else (pytest.mark.nightly, pytest.mark.timeout(900)))
        for name, suite in SUITES.items()
        if suite.of_brokers
        for target in TARGETS
    ],
)
async def test_broker(suite: str, target: str) -> None:
    """A broker does with each case what is known of it, and the proxy changes nothing."""
    await _hold(suite, target)


async def _hold(name: str, target: str) -> None:
    suite, book = SUITES[name], read_book()
    if reason := lack(suite.source):
        pytest.skip(reason)
    if target == "mosquitto" and mosquitto_version() != book.mosquitto:
        pytest.skip(f"known.toml is for Mosquitto {book.mosquitto}, and {mosquitto_version()} is here")
    folder = here(suite.source)
    outcomes = await run(suite, folder, target)
    assert list(surprises(book, name, target, outcomes)) == []
    if suite.of_brokers:
        assert changed(outcomes, await run(suite, folder, target, through_proxy=True)) == []
