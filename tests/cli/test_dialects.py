"""`fleet dialects` and `fleet dialect …`: what is listed, what is wrong with a file, the frames of a day."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.lab import call
from tests.dialects.test_spec import ACME

SHIPPED = {"fleet", "json", "vss", "homeassistant"}


def test_all_dialects_are_listed() -> None:
    listed = call("dialects")
    assert listed.code == 0
    found = {each["name"]: each for each in json.loads(call("dialects", "--json").out)}
    assert set(found) >= SHIPPED
    for name, each in found.items():
        assert name in listed.text
        assert each["summary"], f"{name} says nothing of itself"
        assert each["origin"] in {"ours", "shipped"}


def test_a_right_file_is_ok() -> None:
    assert call("dialect", "check", str(ACME)).out == f"{ACME}: ok\n"


def test_a_wrong_file_shows_all_its_errors(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    text = ACME.read_text(encoding="utf-8").replace("mileage_km, unit: mi", "milage_km, unit: mi").replace("unit: f}", "unit: g}")
    file.write_text(text, encoding="utf-8")
    done = call("dialect", "check", str(file))
    assert done.code == 2
    assert "odometer_mi.from: unknown field 'milage_km' Did you mean 'mileage_km'?" in done.text
    assert "target_c.unit: unknown unit 'g' for 'target_c' Known: c, f, k." in done.text
    plain = json.loads(call("dialect", "check", str(file), "--json").out)
    assert plain["ok"] is False
    assert [(each["line"], each["column"]) for each in plain["errors"]] == [(18, 27), (80, 46)]


def test_whoever_runs_a_wrong_file_learns_of_the_first_error(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(ACME.read_text(encoding="utf-8").replace("mileage_km", "milage_km"), encoding="utf-8")
    done = call("dialect", "try", str(file))
    assert done.code == 2
    assert f"{file}:18:27: status[0].fields.odometer_mi.from: unknown field 'milage_km'" in done.text


def test_a_day_is_shown_frame_by_frame() -> None:
    done = call("dialect", "try", str(ACME))
    assert done.code == 0
    assert "→ acme/sample/" in done.text
    assert "← acme/sample/" in done.text
    assert '"reason": "engine_off"' in done.text
    assert "messages in" in done.text


def test_the_same_seed_is_the_same_day() -> None:
    once, again, other = (call("dialect", "try", "json", "--json", "--seed", seed).out for seed in ("7", "7", "8"))
    assert once == again != other
    frames = [json.loads(line) for line in once.splitlines()]
    assert {frame["from_car"] for frame in frames} == {True, False}
    assert any(frame["topic"].endswith("/status") and frame["payload"]["trigger"] == "engine_off" for frame in frames)


def test_a_day_of_another_model() -> None:
    born = call("dialect", "try", "json", "--json", "--model", "Born").out
    assert "fuel_level_percent" not in born
    assert "Did you mean 'Born'" in call("dialect", "try", "json", "--model", "Bron").text


@pytest.mark.parametrize("verb", ["show", "try", "test"])
def test_a_name_that_is_unknown(verb: str) -> None:
    done = call("dialect", verb, "jsno")
    assert done.code == 2
    assert "unknown dialect 'jsno' Did you mean 'json'?" in done.text


@pytest.mark.xdist_group("kit")
def test_an_example_of_each_message_is_shown() -> None:
    done = call("dialect", "show", str(ACME))
    assert done.code == 0
    for part in ("acme/+/+/state", "acme/+/+/command/+", "left out: requests", "for: honk", "status (engine_off)", "event ecall"):
        assert part in done.text
    plain = json.loads(call("dialect", "show", str(ACME), "--json").out)
    messages = {each["message"]: each for each in plain["messages"]}
    assert messages["event trip"]["frames"][0]["payload"]["details"]["distance_km"] > 0
    assert messages["command lock"]["to_car"] is True
    assert messages["request traffic"]["frames"] == []
    assert "honk" in plain["unsaid_commands"]


@pytest.mark.xdist_group("kit")
def test_the_kit_ends_with_its_verdict(tmp_path: Path) -> None:
    assert call("dialect", "test", str(ACME)).code == 0
    file = tmp_path / "lossy.yaml"
    text = ACME.read_text(encoding="utf-8")
    file.write_text(text.replace("fields: {request: command_id, code: {constant: 202}}", "fields: {code: {constant: 202}}"))
    plain = json.loads(call("dialect", "test", str(file), "--json").out)
    assert plain["holds"] is True  # an answer without an id is the oldest command's
    assert {check["name"] for check in plain["checks"]} == {"messages", "topics", "commands", "account"}
