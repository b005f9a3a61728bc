"""Parameters on the command line: KEY=VALUE by the catalogue, and the catalogue itself."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from fleet.cli.words import read_words
from fleet.cloud.actions import load_actions
from fleet.errors import UsageError
from fleet.wire.services import Parameter, load_services
from tests.cli.lab import call

PARAMETERS = {
    "minutes": Parameter(type="integer", unit="min", minimum=10, maximum=60, step=10),
    "target_c": Parameter(type="number", minimum=16, maximum=29.5),
    "action": Parameter(type="choice", choices=("start", "stop")),
    "windows": Parameter(type="flag"),
    "name": Parameter(type="text"),
    "zones": Parameter(type="list", items={"radius_m": Parameter(type="number")}),
}


def test_each_type_is_read() -> None:
    words = ["minutes=30", "target_c=21.5", "action=stop", "windows=yes", "name=a=b", 'zones=[{"radius_m": 5}]']
    assert read_words("it", words, PARAMETERS) == {
        "minutes": 30, "target_c": 21.5, "action": "stop", "windows": True, "name": "a=b", "zones": [{"radius_m": 5}],
    }  # fmt: skip


def test_no_number_is_too_large_to_be_sent() -> None:
    """Beyond what a message carries it becomes a fraction, which whoever acts on it refuses; a text of any length, too."""
    large = "9" * 30
    given = read_words("it", [f"minutes={large}", f'zones=[{{"radius_m": {large}}}]'], PARAMETERS)
    assert given == {"minutes": 1e30, "zones": [{"radius_m": 1e30}]}
    assert msgspec.msgpack.encode(given)


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("minutes", "'minutes' is no parameter", "minutes=10"),
        ("minuts=30", "unknown parameter of it 'minuts'", "'minutes'"),
        ("minutes=half", "a whole number is expected", "10 to 60 min in steps of 10"),
        ("target_c=warm", "a number is expected", ""),
        ("action=begin", "unknown value of action 'begin'", "start"),
        ("windows=maybe", "yes or no is expected", ""),
        ("zones={}", "a list in JSON of {radius_m} is expected", ""),
        ("zones=[", "a list in JSON of {radius_m} is expected", ""),
    ],
)
def test_what_is_wrong_is_told(word: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_words("it", [word], PARAMETERS)
    assert message in str(raised.value)
    assert hint in raised.value.hint


def test_nothing_is_given_twice_or_to_what_takes_nothing() -> None:
    with pytest.raises(UsageError, match="given twice"):
        read_words("it", ["minutes=10", "minutes=20"], PARAMETERS)
    with pytest.raises(UsageError, match="lock takes no parameters"):
        read_words("lock", ["minutes=10"], {})


def test_the_catalogue_is_shown() -> None:
    listed = call("catalogue").text
    for entries in (load_services().commands, load_services().events, load_services().requests):
        for name in entries:
            assert name in listed
    heater = call("catalogue", "heater").text
    assert "minutes (integer, 10 to 60 min in steps of 10, default 30)" in heater
    assert "equipment: parking_heater" in heater
    assert "S-PIN" in heater
    assert set(json.loads(call("catalogue", "--json").out)) == {"commands", "events", "requests"}
    assert "Did you mean 'heater'" in call("catalogue", "heeter").text


def test_what_the_back_end_can_be_asked_is_shown() -> None:
    """In the help a line and an example of each service, alone all actions, with a name all there is to know of one."""
    services = {name: entry for name, entry in load_actions().items() if entry.actions}
    told, listed = call("service", "--help").text, call("service").text
    for name, entry in services.items():
        assert f"{name}: {entry.summary}" in told
        assert f"fleet service {name} {next(iter(entry.actions))}" in told
        assert entry.summary in listed
        for action in entry.actions.values():
            assert action.summary in listed
    campaign = call("service", "campaign").text
    assert "size_mb (integer, 1 to 50000 MB, required): to be downloaded" in campaign
    assert "waves (list, 1 to 100 items, each 0 to 1, default [0.01, 0.1, 1.0])" in campaign
    assert set(json.loads(call("service", "--json").out)) == set(load_actions())
    assert "Did you mean 'campaign'" in call("service", "campain").text


def test_the_page_of_the_back_ends_services_is_up_to_date() -> None:
    """docs/backend-services.md is what `fleet service --markdown` writes."""
    page = Path(__file__).parents[2] / "docs" / "backend-services.md"
    assert page.read_text(encoding="utf-8") == call("service", "--markdown").out, (
        "fleet service --markdown > docs/backend-services.md"
    )


def test_the_page_of_services_is_up_to_date() -> None:
    """docs/services.md is what `fleet catalogue --markdown` writes."""
    page = Path(__file__).parents[2] / "docs" / "services.md"
    assert page.read_text(encoding="utf-8") == call("catalogue", "--markdown").out, (
        "fleet catalogue --markdown > docs/services.md"
    )
