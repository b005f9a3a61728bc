"""Shipped scenarios with something harmed at random: read all the same, or told with the place; never anything else."""

from __future__ import annotations

import copy
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from fleet.runtime.assembly import vocabulary
from fleet.runtime.resources import resource_dir
from fleet.scenario.loader import check, parse
from fleet.scenario.summary import summary

LONGEST_BYTES = 100_000
NAMES = sorted(path.name for path in Path(resource_dir("scenarios")).glob("*.yaml") if path.stat().st_size < LONGEST_BYTES)
"""All but the rule book, which is of one kind throughout, and takes seconds to read."""
JUNK: list[Any] = [
    None, True, 0, -1, 1e308, float("inf"), float("nan"), 10**30, "", "x", "10", "10 min", "-5 min", "0 min", "150 %", "99:99",
    "2026-02-30", "2026-03-29T02:30", "999999 weeks", "1e400 km", "12 per parsec", "${cars}", "&a", "*a", "[", [], {}, [1],
    [[[]]], [None], {"a": 1}, {"<<": 1}, {"from": 3, "to": 1}, {"from": "1 km", "to": "x"}, {"count": -1},
]  # fmt: skip


@cache
def shipped(name: str) -> Any:
    return YAML(typ="safe").load((Path(resource_dir("scenarios")) / name).read_text(encoding="utf-8"))


def places(node: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the ways to all that is in it."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [way for key in keys for way in [(*above, key), *places(node[key], (*above, key))]]


def harm(tree: Any, place: int | tuple[Any, ...], how: str, junk: Any) -> None:
    """Replace, take out, misspell or double what stands at one of its places: a path of keys, or the number of one."""
    if isinstance(place, int):
        ways = places(tree)
        place = ways[place % len(ways)]
    *way, last = place
    parent = tree
    for key in way:
        parent = parent[key]
    if how == "take out":
        del parent[last]
    elif how == "misspell" and isinstance(parent, dict):
        parent[f"{last}e"] = parent.pop(last)
    elif how == "double":
        parent[last] = [parent[last], copy.deepcopy(parent[last])]
    else:
        parent[last] = copy.deepcopy(junk)


HARMS = st.tuples(
    st.integers(0, 10_000), st.sampled_from(["replace", "replace", "take out", "misspell", "double"]), st.sampled_from(JUNK)
)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(NAMES), harms=st.lists(HARMS, min_size=1, max_size=3))
@example(name="border.yaml", harms=[(("fleets", 3, "privacy"), "replace", [[[]]])])
def test_harmed_scenarios(name: str, harms: list[tuple[int | tuple[Any, ...], str, Any]]) -> None:
    """What `fleet check` says has file, line and column; what it takes, it can also sum up."""
    tree = copy.deepcopy(shipped(name))
    for place, how, junk in harms:
        harm(tree, place, how, junk)
    text = io.StringIO()
    YAML().dump(tree, text)
    errors = check(text.getvalue(), name, vocabulary())
    for error in errors:
        assert re.match(rf"{re.escape(name)}:\d+:\d+: ", str(error)), error
    if not errors:
        assert summary(parse(text.getvalue(), name, vocabulary()), vocabulary())
