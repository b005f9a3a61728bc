"""Days of cars for a look at a dialect."""

from __future__ import annotations

import pytest

from fleet.errors import UnknownName
from fleet.runtime.dialect_days import live_through, rule_book, sample_day
from fleet.wire.services import load_services


def test_an_ordinary_day_has_all_that_a_day_has() -> None:
    """Drives, commands of which one is refused, a hole in the network, a fault: with the account and the checks in order."""
    day = live_through(sample_day(dialect="json"), journal=True)
    (vin,) = day.cars
    kinds = {each.frame.topic.removeprefix(f"fleet/v1/{vin}/") for each in day.carried}
    assert kinds >= {"status", "presence", "event/trip", "event/fault", "command/honk", "response/honk"}
    assert {each.from_car for each in day.carried} == {True, False}
    assert [each.at for each in day.carried] == sorted(each.at for each in day.carried)
    assert day.breaches == []
    assert day.report["created"] == day.report["stored"] > 20
    assert day.report["commands"]["rejected"]["spin_wrong"] == 1


def test_the_car_is_the_one_that_was_asked_for() -> None:
    (facts,) = live_through(sample_day(model="Born", seed=3)).cars.values()
    assert (facts.model, facts.fleet, facts.name) == ("Born", "sample", f"Born {facts.vin[-6:]}")
    with pytest.raises(UnknownName, match="Bron"):
        sample_day(model="Bron")


def test_the_rule_book_has_every_command() -> None:
    named = {step.command for step in rule_book().steps()} | {load.command for load in rule_book().load}
    assert named >= set(load_services().commands)
    assert rule_book().clock.is_virtual
