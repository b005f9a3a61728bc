"""Enrolment and log-in in the car, in journals written by hand on either side of each rule; and what a broken car is told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.kernel.instants import MINUTE, SECOND
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.signals import CarInput, EnterCode, LogIn, ShowQr, UseKey
from fleet.wire.messages import Event, Request
from tests.checks.lab import CAR, START, VIN, Paper, broken, told
from tests.vehicle.car_lab import equipment
from tests.vehicle.services.people_lab import PeopleLab

CARS: dict[str, Equipment] = {
    "qr": equipment("Born", None),
    "assistant": equipment("Ateca", "petrol", media="navi_system"),
    "two_keys": equipment("Formentor", "petrol", media="media_system"),
    "code": equipment("Ateca", "petrol", media="media_system"),
}
SEALED = "c2VhbGVkIHdpdGggYSB0YWc="
CHECK = "enrolled in the car"


@pytest.fixture
def paper() -> Paper:
    return Paper()


def found(paper: Paper, folder: Path, way: str) -> set[str]:
    return broken(paper.judge(folder, equipment={VIN: CARS[way]}))


def show(paper: Paper, code: str, *, lasts: int = 5 * MINUTE) -> None:
    paper.event("qr_shown", code=code, until=paper.now + SECOND + lasts)


def ask(paper: Paper, name: str = "enrolment", **data: Any) -> None:
    at = paper.now + SECOND
    paper.send("Request", id=f"r{at}", name=name, data=data, expires_at=at + 60 * SECOND)


def asks_keys(paper: Paper) -> None:
    """Ask in the very instant in which the second key was presented."""
    paper.now -= SECOND
    ask(paper, way="two_keys")


@pytest.mark.parametrize("way", CARS)
def test_a_model_has_one_way(tmp_path: Path, way: str) -> None:
    for own in CARS:
        paper = Paper()
        match way:
            case "qr":
                show(paper, "A1")
            case "two_keys":
                paper.event("key_presented", key="first")
            case "code":
                ask(paper, way="code", code="12345678")
            case _:
                ask(paper, way="assistant", user="p1", sealed_spin=SEALED)
        assert (CHECK in found(paper, tmp_path, own)) == (own != way), own


@pytest.mark.parametrize(("lasts", "right"), [(0, True), (1, False), (-1, False)])
def test_a_qr_code_is_shown_for_five_minutes(paper: Paper, tmp_path: Path, lasts: int, *, right: bool) -> None:
    show(paper, "A1", lasts=5 * MINUTE + lasts)
    assert found(paper, tmp_path, "qr") == (set() if right else {CHECK})


def test_no_qr_code_is_shown_twice(paper: Paper, tmp_path: Path) -> None:
    show(paper, "A1")
    show(paper, "A2")
    assert found(paper, tmp_path, "qr") == set()
    show(paper, "A1")
    assert found(paper, tmp_path, "qr") == {CHECK}


@pytest.mark.parametrize(
    ("keys", "right"),
    [
        (["first", "second"], True), (["second"], False), (["second", "first"], False), (["first"], False),
        (["first", "first", "second"], True), (["first", "second", "second"], False),
    ],
)  # fmt: skip
def test_both_keys_in_their_order(paper: Paper, tmp_path: Path, keys: list[str], *, right: bool) -> None:
    for key in keys:
        paper.event("key_presented", key=key)
    asks_keys(paper)
    assert found(paper, tmp_path, "two_keys") == (set() if right else {CHECK})


@pytest.mark.parametrize(("minutes", "right"), [(9.9, True), (10.1, False)])
def test_the_second_key_within_ten_minutes(paper: Paper, tmp_path: Path, minutes: float, *, right: bool) -> None:
    paper.event("key_presented", key="first")
    paper.pass_time(minutes)
    paper.event("key_presented", key="second")
    asks_keys(paper)
    assert found(paper, tmp_path, "two_keys") == (set() if right else {CHECK})


def test_what_a_silent_car_was_done_nobody_knows(paper: Paper, tmp_path: Path) -> None:
    """It may have had its first key while it said nothing."""
    paper.write(CAR, "in", "SetPrivacy", {"mode": "maximum_privacy"})
    paper.event("privacy_changed", mode="maximum_privacy", services_off=[])
    paper.write(CAR, "in", "SetPrivacy", {"mode": "online_with_location"})
    paper.event("privacy_changed", mode="online_with_location", services_off=[])
    paper.event("engine_on")
    paper.event("key_presented", key="second")
    asks_keys(paper)
    assert CHECK not in found(paper, tmp_path, "two_keys")


@pytest.mark.parametrize(("code", "right"), [("12345678", True), ("1234567", False), ("123456789", False), ("1234567a", False)])
def test_a_pairing_code_has_eight_digits(paper: Paper, tmp_path: Path, code: str, *, right: bool) -> None:
    ask(paper, way="code", code=code)
    assert found(paper, tmp_path, "code") == (set() if right else {CHECK})


@pytest.mark.parametrize(
    ("data", "right"),
    [
        ({"sealed_spin": SEALED}, True), ({"saved": True}, True), ({}, False), ({"saved": False}, False),
        ({"sealed_spin": "4711"}, False), ({"sealed_spin": "NDcxMQ=="}, False),
    ],
)  # fmt: skip
def test_a_log_in_has_a_sealed_spin_or_a_saved_one(paper: Paper, tmp_path: Path, data: dict[str, Any], *, right: bool) -> None:
    ask(paper, "log_in", user="p1", **data)
    assert found(paper, tmp_path, "code") == (set() if right else {CHECK})


@pytest.mark.parametrize(
    ("step", "data", "right"), [("begin", {}, False), ("begin", {"sealed_spin": SEALED}, True), ("accept", {}, True)]
)
def test_the_assistant_begins_with_the_spin(
    paper: Paper, tmp_path: Path, step: str, data: dict[str, Any], *, right: bool
) -> None:
    ask(paper, way="assistant", step=step, user="p1", **data)
    assert found(paper, tmp_path, "assistant") == (set() if right else {CHECK})


# --- broken cars


def journal_of(way: str, *steps: CarInput) -> Paper:
    """Return what a car of ours tells and asks with these inputs, as a journal."""
    lab, paper = PeopleLab(CARS[way], start=START), Paper()
    for step in steps:
        lab.put(step)
    for message in lab.sent:
        paper.now = message.captured_at - SECOND
        if isinstance(message, Event):
            paper.event(message.name, **message.data)
        elif isinstance(message, Request):
            paper.send("Request", id=message.id, name=message.name, data=message.data, expires_at=message.expires_at)
    return paper


STEPS: dict[str, tuple[str, list[CarInput]]] = {
    "qr": ("qr", [ShowQr(), ShowQr()]),
    "keys": ("two_keys", [UseKey("second"), UseKey("first"), UseKey("second")]),
    "code": ("code", [EnterCode("12345678"), EnterCode("1234")]),
    "log_in": ("assistant", [LogIn("p1"), LogIn("p1", SEALED)]),
}


@pytest.mark.parametrize("steps", STEPS)
def test_a_car_of_ours_keeps_to_them(tmp_path: Path, steps: str) -> None:
    way, inputs = STEPS[steps]
    judged = journal_of(way, *inputs).judge(tmp_path, equipment={VIN: CARS[way]})
    assert told(judged, CHECK) == []


def test_broken_cars_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A QR code of ten minutes, one code for ever, a second key at any time, a way for all models."""
    monkeypatch.setattr("fleet.vehicle.services.enrolment.QR_LASTS", 10 * MINUTE)
    monkeypatch.setattr("fleet.vehicle.services.enrolment._draw_code", lambda _draws: "A1")
    judged = journal_of("qr", ShowQr(), ShowQr()).judge(tmp_path, equipment={VIN: CARS["qr"]})
    assert [words for words in told(judged, CHECK) if "10 min" in words]
    assert [words for words in told(judged, CHECK) if "shown before" in words]
    monkeypatch.setattr("fleet.vehicle.services.enrolment.way_of", lambda *_, **__: "qr")
    judged = journal_of("code", ShowQr()).judge(tmp_path, equipment={VIN: CARS["code"]})
    assert [words for words in told(judged, CHECK) if "whose way is code" in words]
    monkeypatch.setattr("fleet.vehicle.services.enrolment.way_of", lambda *_, **__: "two_keys")
    monkeypatch.setattr("fleet.vehicle.services.enrolment.SECOND_KEY_WITHIN", 60 * MINUTE)
    paper = Paper()
    paper.event("key_presented", key="first")
    paper.pass_time(30)
    paper.event("key_presented", key="second")
    asks_keys(paper)
    assert [words for words in told(paper.judge(tmp_path, equipment={VIN: CARS["two_keys"]}), CHECK) if "in their order" in words]
