"""The facts about people that a journal shows: as they were stored last."""

from __future__ import annotations

import json
from typing import Any

from fleet.checks.people import NO_SWITCHES, KnownPeople
from fleet.observe.journal import Input, Output

VIN = "VSSZZZKMZPR000001"


def keep(people: KnownPeople, key: str, value: dict[str, Any] | None, module: str = "people") -> None:
    note = {"module": module, "key": key, "value": None if value is None else json.dumps(value)}
    people.handlers()["out", "Keep"](Output(1, "centre", "out", "Keep", None, note), 1)


def test_the_newest_record_counts_and_one_that_was_removed_is_gone() -> None:
    people = KnownPeople()
    keep(people, f"car/{VIN}", {"vin": VIN, "managed": True, "users": {"p1": {"role": "primary"}}})
    assert people.primary(VIN) == "p1"
    keep(people, f"car/{VIN}", {"vin": VIN, "managed": True, "users": {"p2": {"role": "guest"}}, "mode": "online"})
    assert people.primary(VIN) is None
    assert people.switches(VIN).mode == "online"
    keep(people, f"car/{VIN}", None)
    assert people.managed(VIN) is None
    assert people.switches(VIN) == NO_SWITCHES


def test_notes_of_other_rules_and_cars_that_are_not_managed_say_nothing() -> None:
    people = KnownPeople()
    keep(people, f"car/{VIN}", {"vin": VIN, "managed": True}, module="partner")
    assert people.managed(VIN) is None
    keep(people, f"car/{VIN}", {"vin": VIN, "mode": "offline"})
    assert people.switches(VIN) == NO_SWITCHES


def test_a_beginning_takes_the_place_of_all_before() -> None:
    people = KnownPeople()
    keep(people, "account/p1", {"id": "p1"})
    state = {"people": {"account/p2": {"id": "p2"}, "counts": {"account": 2}}}
    people.handlers()["in", "CentreStart"](Input(1, "centre", "in", "CentreStart", None, None, {"state": state}), 1)
    assert list(people.of("account")) == ["p2"]
