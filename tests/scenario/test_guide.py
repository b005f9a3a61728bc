"""The page about the language: each example on it is right, and no key goes without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML

from fleet.runtime.assembly import build_cars, vocabulary
from fleet.runtime.journalling import begin_of, scenario_of
from fleet.scenario.json_schema import json_schema
from fleet.scenario.loader import check, parse

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
KINDS: dict[str, Any] = {"object": dict, "array": list, "string": str, "number": int | float, "integer": int, "boolean": bool}
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


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.partition(":")[0])
def test_each_example_can_be_run_and_survives_its_journal(example: str, tmp_path: Path) -> None:
    """Cars can be built of it, and what a journal keeps of it is all of it."""
    for name, text in (FILES | TRACKS).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    scenario = parse(whole(example), str(tmp_path / "example.yaml"), vocabulary())
    start = vocabulary().start_of(scenario)
    assert len(build_cars(scenario, start=start, boot=1)) == scenario.cars
    begin = begin_of(scenario, parts=(), start=start, boot=1, until_stored=False)
    assert scenario_of(msgspec.json.decode(msgspec.json.encode(begin), type=type(begin))) == scenario


SHIPPED = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "scenarios").glob("*.yaml"))]


@pytest.mark.parametrize("text", [*map(whole, EXAMPLES), *SHIPPED], ids=lambda text: text.split()[1])
def test_the_schema_agrees_with_what_is_right(text: str) -> None:
    """Whatever the loader takes has the keys, lists and words of the JSON Schema; a key or word more it has not."""
    plain = YAML(typ="safe", pure=True).load(text)
    assert list(misfits(plain, json_schema(), "")) == []
    assert list(misfits({**plain, "sed": 1}, json_schema(), "")) == [".sed"]


def misfits(value: Any, schema: dict[str, Any], at: str) -> Iterator[str]:
    """Yield where a value is not what the schema says; as much of the standard as our schema uses."""
    if "anyOf" in schema and "properties" not in schema:
        found = [list(misfits(value, option, at)) for option in schema["anyOf"]]
        yield from min(found, key=len)
    elif "enum" in schema:
        yield from [] if value in schema["enum"] else [at]
    elif not any(
        isinstance(value, KINDS[kind]) for kind in ([schema["type"]] if isinstance(schema["type"], str) else schema["type"])
    ):
        yield at
    elif isinstance(value, str) and "pattern" in schema:
        yield from [] if re.search(schema["pattern"], value) else [at]
    elif isinstance(value, dict) and ("properties" in schema or "additionalProperties" in schema):
        yield from (f"{at}.{key} is missing" for key in schema.get("required", ()) if key not in value)
        for key, child in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            yield from misfits(child, inner, f"{at}.{key}") if inner else [f"{at}.{key}"]
    elif isinstance(value, list) and "items" in schema:
        for index, child in enumerate(value):
            yield from misfits(child, schema["items"], f"{at}[{index}]")


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
