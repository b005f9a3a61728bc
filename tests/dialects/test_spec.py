"""The language of mapping files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from fleet.dialects.spec import Field, Mapping, full, read_mapping
from fleet.errors import UsageError
from fleet.kernel.instants import MINUTE, SECOND

ACME = Path(__file__).with_name("acme.yaml")


def plain(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def as_written(raw: Any) -> Any:
    """Return plain data with keys as they are written, as files are read."""
    if isinstance(raw, dict):
        return {str(key).lower() if isinstance(key, bool) else str(key): as_written(value) for key, value in raw.items()}
    return [as_written(each) for each in raw] if isinstance(raw, list) else raw


def mapping_of(text: str) -> Mapping:
    return read_mapping(as_written(plain(text)))


def test_a_complete_mapping_is_read() -> None:
    acme = mapping_of(ACME.read_text())
    assert (acme.mapping, acme.intervals.driving, acme.intervals.charging) == ("acme", 10 * SECOND, 5 * MINUTE)
    assert acme.status[0].fields["vehicle.vin"] == "vin"
    assert acme.status[0].fields["locks.driver"] == Field(
        path="doors.front_left.locked", values={"true": "LOCKED", "false": "UNLOCKED"}
    )
    assert [entry.command for entry in acme.commands] == ["lock", "unlock", "climatisation"]


def test_a_path_alone_is_a_field() -> None:
    assert full("mileage_km") == Field(path="mileage_km")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{mapping: a}", "purpose"),
        ("{mapping: a, purpose: b, colour: red}", "colour"),
        ("{mapping: a, purpose: b, payload: xml}", "xml"),
        ("{mapping: a, purpose: b, intervals: {driving: 10}}", "has no unit"),
        ("{mapping: a, purpose: b, status: [{topic: x, qos: 2}]}", "qos"),
        ("{mapping: a, purpose: b, status: [{topic: x, fields: {a: {form: vin}}}]}", "form"),
    ],
)
def test_another_shape_is_an_error_that_says_where(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        mapping_of(text)
