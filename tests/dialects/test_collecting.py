"""The memory of a back end that reads a mapped dialect: bounded, and complete."""

from __future__ import annotations

from fleet.dialects.collecting import ENDED_COMMANDS, LastKnown, Numbers, OpenCommands, Parts
from fleet.wire.messages import Command, Header
from fleet.wire.numbering import Part


def part(number: int, parts: int, seq: int = 1, vin: str = "V") -> Part:
    return Part(Header(vin=vin, boot=1, seq=seq, captured_at=5), number, parts)


def command(id_: str, name: str = "lock") -> Command:
    return Command(id=id_, vin="V", name=name, issued_at=0, expires_at=9)


def test_the_last_part_completes_a_message_in_any_order() -> None:
    parts = Parts()
    assert parts.add(part(2, 3), {"b": 2}) is None
    assert parts.add(part(2, 3), {"b": 2}) is None, "the same again is not another"
    assert parts.add(part(1, 3, seq=2), {"z": 1}) is None
    assert parts.add(part(1, 3), {"a": 1}) is None
    assert parts.add(part(3, 3), {"c": 3}) == {"a": 1, "b": 2, "c": 3}
    assert parts.add(part(1, 1), {"a": 1}) == {"a": 1}


def test_the_oldest_of_too_many_open_messages_is_given_up() -> None:
    parts = Parts(most=2)
    for seq in (1, 2, 3):
        parts.add(part(1, 2, seq=seq), {"a": seq})
    assert parts.add(part(2, 2, seq=1), {"b": 1}) is None
    assert parts.add(part(2, 2, seq=3), {"b": 3}) == {"a": 3, "b": 3}


def test_no_car_takes_the_place_of_anothers_messages() -> None:
    """However many it begins and never ends."""
    parts = Parts()
    parts.add(part(1, 2, vin="W"), {"a": 1})
    for seq in range(20_000):
        parts.add(part(1, 2, seq=seq), {"a": seq})
    assert parts.add(part(2, 2, vin="W"), {"b": 2}) == {"a": 1, "b": 2}
    assert parts.add(part(2, 2, seq=1), {"b": 2}) is None, "its own oldest are given up"


def test_changes_are_completed_within_their_groups() -> None:
    known = LastKnown()
    known.completed("V", {"doors.boot.open": False, "doors.boot.locked": True, "mileage_km": 1.0, "state": "parked"})
    assert known.completed("V", {"doors.boot.open": True}) == {
        "doors.boot.open": True, "doors.boot.locked": True, "state": "parked",
    }  # fmt: skip
    assert known.completed("W", {"mileage_km": 2.0}) == {"mileage_km": 2.0}


def test_the_command_of_an_answer() -> None:
    """By what it echoes, by its id, or the oldest that is open; a foreign id is nobody's."""
    commands = OpenCommands()
    for id_, name in (("a", "lock"), ("b", "honk"), ("c", "honk")):
        commands.sent(command(id_, name))
    assert commands.find("V", correlation="b", command_id="x", name=None) == ("b", "honk")
    assert commands.find("V", correlation=None, command_id="c", name=None) == ("c", "honk")
    assert commands.find("V", correlation=None, command_id="x", name="honk") is None
    assert commands.find("V", correlation=None, command_id=None, name="honk") == ("b", "honk")
    assert commands.find("V", correlation=None, command_id=None, name=None) == ("a", "lock")
    commands.ended("V", "a", "accepted")
    commands.ended("V", "b", "succeeded")
    assert commands.find("V", correlation=None, command_id=None, name="honk") == ("c", "honk")
    assert commands.find("V", correlation="b", command_id=None, name=None) == ("b", "honk")  # an end that comes again
    for number in range(ENDED_COMMANDS):
        commands.sent(command(f"n{number}"))
        commands.ended("V", f"n{number}", "succeeded")
    assert commands.find("V", correlation="b", command_id=None, name=None) == ("a", "lock")
    assert commands.find("W", correlation="b", command_id=None, name=None) is None


def test_numbers_where_a_system_has_none() -> None:
    numbers = Numbers()
    assert numbers.next("V", 70) == Header(vin="V", boot=70, seq=1, captured_at=70)
    assert numbers.next("V", 90) == Header(vin="V", boot=70, seq=2, captured_at=90)
