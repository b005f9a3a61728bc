"""The JSON Schema of scenario files."""

from __future__ import annotations

import json
from typing import Any

from fleet.scenario.json_schema import json_schema
from fleet.scenario.scalars import (
    Share,
)


def test_the_json_schema_describes_every_key() -> None:
    """The schema for editors is plain JSON, and forbids what the loader forbids."""
    schema: dict[str, Any] = json.loads(json.dumps(json_schema()))
    assert schema["required"] == ["scenario", "purpose", "seed", "start", "region", "fleets"]
    assert schema["anyOf"] == [{"required": ["duration"]}, {"required": ["stages"]}]
    assert schema["additionalProperties"] is False
    fleet = schema["properties"]["fleets"]["items"]
    assert fleet["properties"]["coverage"]["properties"]["garages"]["description"] == Share.expected
    weight = fleet["properties"]["models"]["additionalProperties"]
    assert weight == {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\$\{\w+\}$"}]}
    assert "lose_coverage" in schema["properties"]["timeline"]["items"]["properties"]["do"]["anyOf"][0]["enum"]
    assert schema["properties"]["duration"]["type"] == "string"
