"""Mapping files: each error with its line, column and the nearest right name, all of them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from fleet.dialects.mapping_files import check_mapping_file, json_schema, parse_mapping, read_mapping_file
from fleet.dialects.spec import Mapping, read_mapping
from fleet.errors import MappingError, UsageError
from tests.dialects.small import RIGHT, errors_of
from tests.dialects.test_spec import ACME, as_written


def test_a_right_one_is_read(tmp_path: Path) -> None:
    assert errors_of(RIGHT, tmp_path) == []
    small = parse_mapping(RIGHT, "m.yaml")
    assert (small.mapping, small.base, small.commands[0].command) == ("small", "cars/{vin}", "climatisation")


def test_a_file_says_what_its_plain_data_say() -> None:
    """Line by line, or at once without places: the mapping is the same."""
    plain: Any = YAML(typ="safe", pure=True).load(ACME.read_text(encoding="utf-8"))
    assert read_mapping_file(ACME) == read_mapping(as_written(plain))


def test_all_errors_come_at_once_and_the_first_one_says_how_many_more(tmp_path: Path) -> None:
    wrong = RIGHT.replace("vin\n      lock", "vni\n      lock").replace("climatisation", "climate").replace("{base}/done", "done")
    places = [error.partition(": ")[0] for error in errors_of(wrong, tmp_path)]
    assert places == ["8:10", "18:14", "23:12"]
    with pytest.raises(MappingError) as caught:
        parse_mapping(wrong, "m.yaml")
    assert str(caught.value).startswith("m.yaml:8:10: status[0].fields.x: unknown field 'vni'")
    assert caught.value.hint == "Did you mean 'vin'? And 2 more: fleet dialect check m.yaml"


@pytest.mark.parametrize("text", ["", "- a", "a: {", "\x00"])
def test_what_is_no_mapping_file_says_so(text: str, tmp_path: Path) -> None:
    assert len(errors_of(text, tmp_path)) == 1


def test_a_file_that_is_not_there_names_the_list(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file") as caught:
        check_mapping_file(tmp_path / "none.yaml")
    assert caught.value.hint == "`fleet dialects` lists those that are shipped."


def test_the_schema_has_all_keys() -> None:
    """It is made from the types, so that an editor knows what the checker knows."""
    schema = json_schema()
    assert set(schema["properties"]) == set(Mapping.__struct_encode_fields__)
    status = schema["properties"]["status"]["items"]["properties"]
    assert {"type": "string"} in status["fields"]["additionalProperties"]["anyOf"]
    assert status["qos"] == {"enum": [0, 1]}
