"""A mapping as a whole: no topic is used twice, and what is lost is declared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialects.small import RIGHT, errors_of, only_error


@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        ("base: cars/{vin}", "base: cars/{vni}", "3:7: base: there is no placeholder {vni} here | Did you mean 'vin'?"),
        ('"{base}/state"', '"{base}/{stat}"', "5:12: status[0].topic: there is no placeholder {stat} here | Known: base"),
        ('"{base}/state"', "cars/state", "5:12: status[0].topic: 'cars/state' is not the car's own: all cars have the same to"),
        ('"{base}/state"', '"{base}/#"', "5:12: status[0].topic: '{base}/#' is no topic: '+', '#' and control characters"),
        ('"{base}/state"', '"{base}/link"', "14:12: presence[0].topic: '{base}/link' may be the topic of status[0], too"),
        ('"{base}/link"', '"{base}/event/x"', "14:12: presence[0].topic: '{base}/event/x' may be the topic of events[0], too"),
        ('"{base}/done"', '"{base}/do/done"', "19:12: commands[0].topic: '{base}/do/{action}' may be the topic of responses"),
        ("leaves_out: [requests, ", "leaves_out: [", "1:1: requests: the mapping loses the request traffic"),
        ("status.energy, ", "", "4:1: status: the mapping loses the status' group energy | Map it, or declare"),
        ("{base}/state", "{base}/state\"\n    triggers: [left]\n    content_type: \"", "4:1: status: the mapping loses the"),
        ("done\"", "done\"\n    states: [succeeded]", "22:1: responses: the mapping loses the answer accepted, in_progress, rej"),
        ("status.energy", "status.enrgy, status.energy", "25:24: leaves_out[1]: 'status.enrgy' is nothing that a car sends"),
        ("[requests", "[requests, events.trip", "25:24: leaves_out[1]: events.trip is mapped, too | Leave it out here, or"),
    ],
)  # fmt: skip
def test_nobody_else_has_the_topic_and_nothing_is_lost(right: str, wrong: str, error: str, tmp_path: Path) -> None:
    assert only_error(right, wrong, tmp_path).startswith(error)


def test_entries_share_the_messages_of_a_list_among_them(tmp_path: Path) -> None:
    """The same topic is right where no message is for both."""
    two = '  - topic: "{base}/done"\n    commands: [lock]\n    fields: {id: command_id}\nleaves_out'
    shared = RIGHT.replace("leaves_out", two)
    assert any("may be the topic of responses[0], too" in error for error in errors_of(shared, tmp_path))
    apart = shared.replace("fields: {id: command_id, state", "commands: [climatisation]\n    fields: {id: command_id, state")
    assert errors_of(apart, tmp_path) == []


def test_a_topic_for_each_field_takes_those_of_its_fields_alone(tmp_path: Path) -> None:
    """Another entry may have one beside them, but not one of them."""
    each = RIGHT.replace('{base}/state"', '{base}/{field}"\n    frames: field')
    assert errors_of(each, tmp_path) == []
    (taken,) = errors_of(each.replace("{base}/link", "{base}/km"), tmp_path)
    assert "'{base}/km' may be the topic of status[0], too" in taken
