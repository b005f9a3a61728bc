"""The page about the language: each example on it is right, and no key goes without one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fleet.runtime.assembly import vocabulary
from fleet.scenario.json_schema import json_schema
from fleet.scenario.loader import check

PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
BLOCKS = [part.partition("```")[0] for part in PAGE.split("```yaml\n")[1:]]
FILES = {block.split()[1]: block for block in BLOCKS if block.startswith("# ")}
"""Files that other examples import: their name is in the first line."""
TRACKS = {
    "tracks/courier.csv": PAGE.partition("```csv\n")[2].partition("```")[0],
    "tracks/morning.gpx": PAGE.partition("```xml\n")[2].partition("```")[0],
}
EXAMPLES = [block for block in BLOCKS if block not in FILES.values()]
HEAD = {
    "scenario": "scenario: example",
    "purpose": "purpose: Stands around an example.",
    "seed": "seed: 1",
    "start": "start: 2028-02-29T05:00",
    "duration": "duration: 2 h",
    "region": "region: munich",
    "fleets": "fleets: [{name: any, count: 20, models: {Leon: 1, Born: 1}}]",
}
"""What an example that shows one element leaves out."""


def whole(example: str) -> str:
    """Return the example as a file of its own."""
    given = set(re.findall(r"^(\w+):", example, re.MULTILINE))
    missing = [line for key, line in HEAD.items() if key not in given and not (key == "duration" and "stages" in given)]
    return "\n".join((*missing, example))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.partition(":")[0])
def test_each_example_is_right(example: str, tmp_path: Path) -> None:
    """What the page shows can be copied."""
    for name, text in (FILES | TRACKS).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert [str(error) for error in check(whole(example), str(tmp_path / "example.yaml"), vocabulary())] == []


def test_every_key_has_an_example() -> None:
    """The page shows each element of the language."""

    def keys(schema: dict[str, Any]) -> set[str]:
        found = set(schema.get("properties", ()))
        for child in [*schema.get("properties", {}).values(), schema.get("items")]:
            if isinstance(child, dict):
                found |= keys(child)
        return found

    shown = "\n".join(EXAMPLES)
    assert [key for key in sorted(keys(json_schema())) if not re.search(rf"\b{key}:", shown)] == []
