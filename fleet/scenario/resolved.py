"""A resolved scenario as plain data: imports, parameters and overrides are applied, and values have their final types.

A journal and another process take a scenario so, without the file and the words that it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Final

import msgspec

from fleet.scenario.schema import Scenario

LATER: Final = (
    "people", "person", "by", "in_session", "whom", "wrong", "way", "wrong_first", "key", "code", "consents", "save",
)  # fmt: skip
"""Keys that are left out where they are not used, so that journals of scenarios without them are what they were."""


def to_plain(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario as plain data, which JSON can hold."""
    plain: dict[str, Any] = msgspec.to_builtins(scenario, enc_hook=_number)
    for part in (plain, *plain["fleets"]):
        if part["dialect"] is None:
            del part["dialect"]  # journals of our own dialect name none
    for part in (plain, *_actions(plain), *(action for stage in plain["stages"] for action in _actions(stage))):
        for key in LATER:
            if key in part and part[key] is None:
                del part[key]
    return plain


def _actions(phase: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*phase["load"], *phase["timeline"]]


def from_plain(plain: Mapping[str, Any] | None) -> Scenario:
    """Return the scenario of `to_plain`. Raises msgspec.ValidationError."""
    return msgspec.convert(plain, Scenario, dec_hook=_typed)


def encode(scenario: Scenario) -> bytes:
    """Return the scenario as one line of JSON, without its line end."""
    return _ENCODER.encode(scenario)


def decode(line: bytes) -> Scenario:
    """Return the scenario of `encode`. Raises msgspec.DecodeError."""
    return msgspec.json.decode(line, type=Scenario, dec_hook=_typed)


def _number(value: object) -> object:
    """Write the numbers with a unit of scenarios as bare ones; JSON knows no infinity."""
    if isinstance(value, float):
        return "inf" if value == inf else float(value)
    if isinstance(value, int):
        return int(value)
    raise NotImplementedError(type(value).__name__)


def _typed(kind: type, plain: Any) -> Any:
    return kind(plain)


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_number)
