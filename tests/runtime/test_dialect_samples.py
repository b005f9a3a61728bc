"""Samples for the conformance kit: every kind of message is among them."""

from __future__ import annotations

from typing import get_args

import pytest

from fleet.runtime.dialect_samples import label_of, samples_of_rule_book
from fleet.wire.messages import STATUS_GROUPS, Command, Event, Presence, Request, Response, Status, Trigger
from fleet.wire.services import load_services

pytestmark = pytest.mark.xdist_group("kit")


def test_every_kind_of_message_is_there() -> None:
    services, messages = load_services(), [each.message for each in samples_of_rule_book()]
    assert {each.name for each in messages if isinstance(each, Event)} == set(services.events)
    assert {each.name for each in messages if isinstance(each, Request)} == set(services.requests)
    assert {each.name for each in messages if isinstance(each, Command)} == set(services.commands)
    statuses = [each for each in messages if isinstance(each, Status)]
    assert {each.trigger for each in statuses} == set(get_args(Trigger))
    assert {name for name in STATUS_GROUPS if any(getattr(each, name) is not None for each in statuses)} == set(STATUS_GROUPS)
    assert {each.connection for each in messages if isinstance(each, Presence)} == {"online", "offline"}
    assert len({each.reason for each in messages if isinstance(each, Response)}) > 20


def test_each_belongs_to_its_car_and_follows_the_last() -> None:
    samples = samples_of_rule_book()
    assert all(getattr(each.message, "vin", each.car.vin) == each.car.vin for each in samples)
    assert [each.at for each in samples] == sorted(each.at for each in samples)


def test_a_label_tells_kinds_apart() -> None:
    labels = {label_of(each.message) for each in samples_of_rule_book()}
    assert {
        "status (engine_off)",
        "event ecall",
        "response lock: rejected (door_open)",
        "command lock",
        "reply traffic",
    } <= labels
