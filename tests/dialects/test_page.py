"""docs/dialects.md is true: each mapping on it is right, cars send what it shows, and no key goes without an example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.dialects.mapping_files import check_mapping_file, json_schema
from fleet.dialects.opening import SHIPPED, open_named
from fleet.runtime.dialect_days import live_through, sample_day
from fleet.wire.dialect import CarFacts
from fleet.wire.messages import Position, Status

PAGE = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text(encoding="utf-8")
MAPPINGS = re.findall(r"```yaml\n(.*?)```\n\n```\n(.*?)```", PAGE, re.DOTALL)
(PYTHON,) = re.findall(r"```python\n(import json.*?)```", PAGE, re.DOTALL)
HEAD = {
    "mapping": "mapping: page",
    "purpose": "purpose: Stands around an example.",
    "base": "base: acme/{vin}",
    "leaves_out": "leaves_out: [status, triggers, events, requests, responses, presence]",
}
"""What an example that shows one thing leaves out."""
EXPLAINED_IN_WORDS = {
    "shared",
    "nested",
    "missing",
    "time_to_live",
    "will",
    "data",
    "error",
    "otherwise",
    "as_text",
    "charging",
    "driving",
}


def whole(example: str) -> str:
    """Return the example as a file of its own."""
    given = set(re.findall(r"^(\w+):", example, re.MULTILINE))
    return "\n".join((*(line for key, line in HEAD.items() if key not in given), example))


def read(payload: str) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload


@pytest.mark.parametrize(("example", "frames"), MAPPINGS, ids=lambda text: text.partition("\n")[0][:40])
def test_cars_send_what_is_shown(example: str, frames: str, tmp_path: Path) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(whole(example), encoding="utf-8")
    assert [str(error) for error in check_mapping_file(file)] == []
    day = live_through(sample_day(dialect=str(file)))
    sent = [("→" if each.from_car else "←", each.frame.topic, read(each.frame.payload.decode())) for each in day.carried]
    for line in frames.splitlines():
        arrow, topic, payload = re.fullmatch(r"([→←]) (\S+)  (.*)", line).groups()  # type: ignore[union-attr]
        assert (arrow, topic, read(payload)) in sent, "\n".join(str(each) for each in sent if each[1] == topic)


def test_every_example_has_frames() -> None:
    assert len(MAPPINGS) == PAGE.count("```yaml\n") > 8


def keys_of(schema: dict[str, Any]) -> Iterator[str]:
    """Yield all keys that a mapping file can have."""
    for key, inner in schema.get("properties", {}).items():
        yield key
        yield from keys_of(inner)
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            yield from keys_of(schema[part])
    for inner in schema.get("anyOf", ()):
        yield from keys_of(inner)


def test_no_key_goes_without_an_example() -> None:
    """Or at least a word on the page, for what changes little."""
    shown = set(re.findall(r"([a-z_]+):", "\n".join(example for example, _ in MAPPINGS)))
    assert set(keys_of(json_schema())) - shown <= EXPLAINED_IN_WORDS
    assert {word for word in EXPLAINED_IN_WORDS if word not in PAGE} == set()


def test_all_that_is_shipped_is_in_the_table() -> None:
    assert {name for name in SHIPPED if f"`{name}`" not in PAGE} == set()


def test_the_class_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands: it is opened by its name, and a car says where it is."""
    (tmp_path / "beacon.py").write_text(PYTHON, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    dialect = open_named("beacon:BeaconDialect")
    vin = "VSSZZZK1ZRP000001"
    place = Position(latitude=48.1, longitude=11.5, accuracy_m=3, fixed_at=0)
    status = Status(vin=vin, boot=1, seq=1, captured_at=0, trigger="left", state="parked", position=place)
    end = dialect.car_end(CarFacts(vin=vin, client_id=vin), lambda: status)
    assert end is not None
    (frame,) = end.write(status, 0)
    assert (frame.topic, frame.payload) == (f"beacons/{vin}", b"[48.1, 11.5]")
