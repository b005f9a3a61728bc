"""Entries of a mapping: their keys, and commands with their parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialects.small import RIGHT, errors_of, only_error


@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        ("mapping: small", "mapping: small\ncolour: red", "2:1: unknown key 'colour' | Known: account, base, "),
        ("payload: text", "payload: txt", "15:14: presence[0].payload: 'txt' is not one of json, msgpack, cbor, text | Did you"),
        ("x: vin", "x: [mileage_km]", "8:10: status[0].fields.x: a text or a mapping (key: value) is expected, not a"),
        ("x: vin", "x: {form: vin}", "8:11: status[0].fields.x: unknown key 'form' | Did you mean 'from'?"),
        ("fields: {id:", "qos: 2\n    fields: {id:", "24:10: responses[0].qos: 2 is not one of 0, 1"),
        ("mapping: small", "mapping: not small", "1:10: mapping: 'not small' is no name"),
        ("command: climatisation", "command: climate", "18:14: commands[0].command: unknown command 'climate' | Did you mean"),
        ("target_c: payload", "target: payload", "21:18: commands[0].parameters.target: unknown parameter of climatisation '"),
        ("topic.action", "topic.acton", "20:12: commands[0].when.topic.acton: the topic has no level {acton} | Did you mean"),
        ("payload.celsius", "paylod.celsius", "21:28: commands[0].parameters.target_c: 'paylod.celsius' is nothing that a"),
        ("payload.celsius", "payload.celsius, action: {constant: begin}", "21:64: commands[0].parameters.action.constant: 'beg"),
        ("done\"", "done/{acton}\"", "23:12: responses[0].topic: there is no placeholder {acton} here | Did you mean 'action'?"),
    ],
)  # fmt: skip
def test_each_slip_has_its_place(right: str, wrong: str, error: str, tmp_path: Path) -> None:
    assert only_error(right, wrong, tmp_path).startswith(error)


def test_what_a_command_cannot_do_without_is_asked_for(tmp_path: Path) -> None:
    wrong = RIGHT.replace("climatisation", "honk").replace("target_c: payload.celsius", "latitude: payload.latitude")
    (error,) = errors_of(wrong, tmp_path)
    assert error == (
        "18:14: commands[0].command: honk needs longitude, which 'parameters' do not have | `fleet catalogue honk` tells more."
    )


def test_a_topic_that_all_cars_have_is_declared(tmp_path: Path) -> None:
    assert errors_of(RIGHT.replace('"{base}/state"', "cars/state\n    shared: true"), tmp_path) == []


def test_a_level_that_an_answer_names_is_no_slip(tmp_path: Path) -> None:
    """However near it is to a placeholder of the car."""
    named = RIGHT.replace("{base}/do/{action}", "{base}/do/{action}/{nam}")
    assert any("{nam} is a level that may be anything, and nothing reads it" in error for error in errors_of(named, tmp_path))
    assert errors_of(named.replace("{base}/done", "{base}/done/{nam}"), tmp_path) == []
