"""A resolved scenario as plain data: nothing is lost on the way to another process or into a journal."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from fleet.runtime.assembly import vocabulary
from fleet.runtime.resources import resource_dir
from fleet.scenario.loader import load
from fleet.scenario.resolved import decode, encode, from_plain, to_plain

SHIPPED = sorted(resource_dir("scenarios").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_comes_back_as_it_was(path: Path) -> None:
    """As one line of JSON, and as the plain data that a journal holds; types included."""
    scenario = load(path, vocabulary())
    line = encode(scenario)
    assert b"\n" not in line
    assert repr(decode(line)) == repr(scenario)
    assert repr(from_plain(json.loads(json.dumps(to_plain(scenario))))) == repr(scenario)


def test_an_endless_clock_comes_back() -> None:
    """A virtual clock is infinitely fast, for which JSON has no number."""
    scenario = load(SHIPPED[0], vocabulary())
    scenario = msgspec.structs.replace(scenario, clock=type(scenario.clock)("inf"))
    assert scenario.clock.is_virtual
    assert decode(encode(scenario)).clock.is_virtual


@pytest.mark.parametrize("line", [b"", b"{}", b"rush-hour"])
def test_anything_else_is_refused(line: bytes) -> None:
    """An end without a line, too."""
    with pytest.raises(msgspec.DecodeError):
        decode(line)
