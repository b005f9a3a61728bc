"""Mapping files: each error with its line, column and the nearest right name, all of them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from fleet.dialects.mapped import MappedDialect
from fleet.dialects.mapping_files import check_mapping_file, check_text, json_schema, parse_mapping, read_mapping_file
from fleet.dialects.spec import Mapping, read_mapping
from fleet.errors import MappingError, UsageError
from fleet.wire.fleet_dialect import FleetDialect
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


LINES = ACME.read_text(encoding="utf-8").splitlines(keepends=True)
JUNK = st.sampled_from(
    [
        "",
        "x",
        "[",
        "{a: 1}",
        "-1",
        "1e400",
        ".nan",
        "~",
        "\t",
        "'",
        "&a",
        "*a",
        "é",
        "{vin}",
        "{}",
        "true",
        "payload.a",
        "data",
        "9",
    ]
)


@given(data=st.data())
def test_whatever_is_planted_is_told_with_its_place(data: st.DataObject) -> None:
    """A planted word, a lost line or a doubled one: each error has a place in the file, or what is right can be compiled."""
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["word", "lose", "double"])):
            case "lose":
                lines[number] = "\n"
            case "double":
                lines[number] *= 2
            case _:
                words = lines[number].split(" ")
                words[data.draw(st.integers(0, len(words) - 1))] = data.draw(JUNK)
                lines[number] = " ".join(words)
    text = "".join(lines)
    errors = check_text(text, "m.yaml")
    assert all(1 <= error.line <= text.count("\n") + 2 and error.column >= 1 for error in errors)
    if not errors:
        assert MappedDialect(parse_mapping(text, "m.yaml"), FleetDialect()).access.car_writes
