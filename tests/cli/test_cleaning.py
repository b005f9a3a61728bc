"""`fleet clean` as a user has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.lab import fleet
from tests.lab import LiveBroker

pytestmark = pytest.mark.live


async def test_what_a_scenario_alone_can_say_wants_a_scenario(tmp_path: Path) -> None:
    """Without a scenario nobody knows which 50 cars are meant."""
    done = await fleet("clean", "--broker", "mqtt://127.0.0.1:1", "--cars", "50", cwd=tmp_path)
    assert done.code == 2
    assert "--cars, --set and --seed change a scenario, and none is named" in done.text
    assert "Name the scenario" in done.text


async def test_nothing_left_is_said_and_a_refusal_is_an_error(own_broker: LiveBroker, tmp_path: Path) -> None:
    """An empty broker has no cars to clean; one that refuses the tool, or the cars of a scenario, is told with its word."""
    where = ["--broker", str(own_broker.mosquitto.cars), "--tools-broker", str(own_broker.mosquitto.tools)]
    own_broker.secret.write(tmp_path / "secret")
    empty = await fleet("clean", *where, "--backend", "--secret-file", "secret", cwd=tmp_path)
    assert (empty.code, empty.err) == (0, "")
    assert empty.out.splitlines() == ["sessions and presence of 0 cars removed", "the session 'backend' of the back end removed"]
    for more in ([], ["rush-hour", "--cars", "20"]):
        refused = await fleet("clean", *more, *(where[:2] if more else where), cwd=tmp_path)
        assert refused.code == 2
        assert "Not authorized" in refused.text
