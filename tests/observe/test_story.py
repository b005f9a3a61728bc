"""The story of a machine: its own records and its link's, up to a line, in one reading for many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.observe.journal import Begin, Input, JournalWriter, Output, Record, StoredBatch, Up
from fleet.observe.story import StoryWriter, fit, stories, story

VIN = "VSSZZZKLZTR000000"


def journal(folder: Path) -> Path:
    """Write a journal of a car that is asked five times, its link, and a store."""
    writer = JournalWriter(folder / "journal.jsonl", Begin(0, "run", "begin"))
    writer.write(Up(1, f"link/{VIN}", "up", session_present=False))
    writer.write(StoredBatch(2, "store", "stored", ()))
    for number in range(5):
        writer.write(Input(3 + number, f"car/{VIN}", "in", "AskStatus"))
    writer.close(9, {})
    return writer.path


def test_a_car_and_its_link_are_one_story(tmp_path: Path) -> None:
    """It ends at the line that was asked for, and another machine has no part in it."""
    told = story(journal(tmp_path), f"car/{VIN}", 5)
    assert [line.split(":")[0] for line in told] == ["2", "4", "5"]
    assert told == story(tmp_path / "journal.jsonl", f"link/{VIN}", 5)


def test_many_stories_are_read_at_once(tmp_path: Path) -> None:
    """Each has its own end, and no more than the last records before it."""
    first, second, none = stories(journal(tmp_path), [(f"car/{VIN}", 4), (f"car/{VIN}", 8), ("desk", 8)], records=2)
    assert [line.split(":")[0] for line in first] == ["2", "4"]
    assert [line.split(":")[0] for line in second] == ["7", "8"]
    assert none == []


DOOR = {"open": False, "locked": True}
DOORS = dict.fromkeys(("front_left", "front_right", "rear_left", "rear_right", "bonnet", "boot"), DOOR)
OPENED = {**DOORS, "boot": {"open": True, "locked": False}}
ENERGY = {"fuel_level_percent": 47.7, "fuel_range_km": 446.0}


def status(t: int, trigger: str, **groups: Any) -> Output:
    """Return that a car sends a status."""
    message = {"vin": VIN, "boot": 7, "seq": t, "captured_at": t, "trigger": trigger, "state": "parked", **groups}
    return Output(t, f"car/{VIN}", "out", "Transmit", "Status", {"message": message, "due_at": t, "again": False})


def told_of(*records: Record, full: bool = False) -> list[str]:
    """Write the records of a machine one after the other."""
    writer = StoryWriter(full=full)
    return [writer.line(record) for record in records]


def test_of_a_status_what_has_changed_comes_first() -> None:
    """What is as before is only named, and a group that did not come is not: that is what one looks for."""
    lines = told_of(
        status(1, "engine_off", energy=ENERGY, doors=DOORS),
        status(2, "command", energy=ENERGY, doors=OPENED),
        status(3, "charging", energy={**ENERGY, "fuel_range_km": 440.5}, mileage_km=12.5),
    )
    head = 'out       Transmit Status {"seq":'
    assert lines == [
        head + '1,"trigger":"engine_off","state":"parked","doors":{"*":{"open":false,"locked":true}},'
        '"energy":{"fuel_level_percent":47.7,"fuel_range_km":446.0}}',
        head + '2,"trigger":"command","state":"parked","doors":{"boot":{"open":true,"locked":false}}}; as before: energy',
        head + '3,"trigger":"charging","state":"parked","energy":{"fuel_range_km":440.5},"mileage_km":12.5}',
    ]


def test_a_group_for_which_there_is_no_room_is_named() -> None:
    """And none is cut in the middle."""
    texts = [{"id": str(number), "text": "x" * 90} for number in range(3)]
    (line,) = told_of(status(1, "health", doors=OPENED, health={"warnings": texts}, lights={"parking_lights_on": True}))
    assert '"doors":{"boot":{"open":true,"locked":false},"*":{"open":false,"locked":true}}' in line
    assert line.endswith('"lights":{"parking_lights_on":true}}; not shown: health')


def test_a_field_that_is_gone_is_told() -> None:
    lines = told_of(
        status(1, "heater", climate={"state": "heating", "target_c": 22.0}), status(2, "heater", climate={"state": "off"})
    )
    assert lines[1].endswith('"climate":{"state":"off","target_c":null}}')


def test_a_cars_own_messages_are_told_without_what_is_known() -> None:
    """Its VIN, its boot and the time of the line; a message that had to wait tells when it was captured."""
    message = {"vin": VIN, "boot": 7, "seq": 4, "captured_at": 9, "name": "engine_on"}
    given = {"message": message, "due_at": 9, "again": True}
    assert told_of(
        Output(9, f"car/{VIN}", "out", "Transmit", "Event", {**given, "again": False}),
        Output(12, f"car/{VIN}", "out", "Transmit", "Event", given),
        Output(12, "desk", "out", "Transmit", "Event", {"message": message}),
    ) == [
        'out       Transmit Event {"seq":4,"name":"engine_on"}',
        'out       Transmit Event {"seq":4,"name":"engine_on","again":true,"captured_at":9}',
        'out       Transmit Event {"message":' + msgspec.json.encode(message).decode() + "}",
    ]


def test_all_of_it_is_told_where_that_is_asked_for(tmp_path: Path) -> None:
    """As it stands in the journal."""
    writer = JournalWriter(tmp_path / "journal.jsonl", Begin(0, "run", "begin"))
    sent = [status(number, "refresh", doors=DOORS, energy=ENERGY) for number in (1, 2)]
    for each in sent:
        writer.write(each)
    writer.close(3, {})
    _, second = story(writer.path, VIN, 3, full=True)
    assert second.endswith(f"out       Transmit Status {msgspec.json.encode(sent[1].data).decode()}")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=30,
    ),
    st.integers(1, 80),
)
@example("\0" * 5, 10)
def test_what_is_left_out_is_marked(data: Any, room: int) -> None:
    """Either all is there, or no more than fits and a mark for the rest."""
    whole = msgspec.json.encode(data).decode()
    written = fit(data, room)
    assert written == whole if len(whole) <= room else len(written) <= room and "…" in written


def test_values_are_whole_or_marked() -> None:
    """Never half a number; a list or a text ends with the mark."""
    data = {"id": "a-1", "zones": [{"name": "home", "radius_m": 500}, {"name": "work", "radius_m": 1250}], "at": 1772424000000000}
    shown = [fit(data, room) for room in (200, 90, 70, 60, 40, 12, 3)]
    assert shown == [
        msgspec.json.encode(data).decode(),
        '{"id":"a-1","zones":[{"name":"home","radius_m":500},{"name":"work","radius_m":1250}],…}',
        '{"id":"a-1","zones":[{"name":"home","radius_m":500},…],…}',
        '{"id":"a-1","zones":[{"name":"home","radius_m":500},…],…}',
        '{"id":"a-1",…}',
        "…",
        "…",
    ]
