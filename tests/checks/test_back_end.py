"""What desk and centre do with what they are told, by journals written by hand: who is told, who is asked, what is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.kernel.instants import MINUTE
from tests.checks.lab import START, VIN, Paper, broken

PLAN = {"campaign": "spring", "version": "2", "size_mb": 100, "cars_per_min": 60, "waves": [0.5, 1.0]}
OTHER = "VSSZZZKLZTR000001"


def asked(paper: Paper, service: str, action: str, *, vin: str | None = VIN, **data: Any) -> None:
    request = {"type": "service", "id": "1", "service": service, "action": action, "vin": vin, "data": data}
    paper.write("centre", "in", "ServiceAsked", {"request": request, "answer_topic": "", "unknown": []})


def faulty(paper: Paper) -> None:
    paper.write("centre", "in", "Event", {"vin": VIN, "boot": 7, "seq": 1, "captured_at": START, "name": "fault", "data": {}})


def told(paper: Paper, to: str, kind: str, **data: Any) -> None:
    paper.write("centre", "out", "Notify", {"vin": VIN, "to": to, "kind": kind, "data": data, "at": paper.now})


def partner_told(paper: Paper, *, partner: str = "North", contact: str = "phone") -> None:
    told(paper, "service_partner", "fault", partner=partner, contact_by=contact, happened_at=START)


@pytest.mark.parametrize(("changed", "wanted"), [
    (partner_told, True),
    (lambda paper: partner_told(paper, partner="South"), False),
    (lambda paper: partner_told(paper, contact="email"), False),
    (lambda paper: None, False),
])  # fmt: skip
def test_the_chosen_partner_is_told(tmp_path: Path, changed: Any, wanted: bool) -> None:
    """A fault goes to the partner that was chosen, with the contact that was chosen, and to no other."""
    paper = Paper()
    asked(paper, "partner", "choose", partner="North", contact="phone")
    faulty(paper)
    changed(paper)
    asked(paper, "partner", "show")
    assert broken(paper.judge(tmp_path)) == (set() if wanted else {"partners"})


@pytest.mark.parametrize("action", [None, ("automatic", {"on": False}), ("close", {"partner": "North"})])
def test_nobody_else_is_told(tmp_path: Path, action: tuple[str, dict[str, Any]] | None) -> None:
    """Without a choice, with automatic scheduling off, or when the partner has closed, a fault is told to nobody."""
    paper = Paper()
    if action is not None:
        asked(paper, "partner", "choose", partner="North")
        asked(paper, "partner", action[0], vin=None if action[0] == "close" else VIN, **action[1])
        if action[0] == "close":
            told(paper, "primary_user", "partner_closed", partner="North")
    faulty(paper)
    assert broken(paper.judge(tmp_path)) == set()
    partner_told(paper)
    assert broken(paper.judge(tmp_path)) == {"partners"}


def test_who_had_chosen_it_is_told_that_it_has_closed(tmp_path: Path) -> None:
    """A partner that closes is told to its users."""
    paper = Paper()
    asked(paper, "partner", "choose", partner="North")
    asked(paper, "partner", "close", vin=None, partner="North")
    asked(paper, "partner", "show")
    assert broken(paper.judge(tmp_path)) == {"partners"}


def ask_car(paper: Paper, vin: str = VIN, **changed: Any) -> None:
    parameters = {"campaign": "spring", "version": "2", "size_mb": 100} | changed
    paper.write("centre", "out", "AskCar", {"id": "c", "vin": vin, "name": "system_update", "parameters": parameters})


def consents(paper: Paper) -> None:
    asked(paper, "campaign", "consent", campaign="spring")


def wave(paper: Paper) -> None:
    told(paper, "operator", "campaign_wave", campaign="spring")


@pytest.mark.parametrize(("steps", "wanted"), [
    ([wave, ask_car], True),
    ([ask_car], False),  # before the first wave
    ([wave, ask_car, lambda paper: ask_car(paper, OTHER)], False),  # which is of the second wave
    ([wave, ask_car, wave, lambda paper: ask_car(paper, OTHER)], True),
    ([wave, lambda paper: ask_car(paper, "VSSZZZKLZTR000002")], False),  # which is not in the list
    ([wave, lambda paper: ask_car(paper, version="3")], False),
    ([wave, lambda paper: ask_car(paper, consent=True)], False),
    ([wave, consents, lambda paper: ask_car(paper, consent=True)], True),
    ([wave, lambda paper: asked(paper, "campaign", "pause", vin=None, campaign="spring"), ask_car], False),
])  # fmt: skip
def test_cars_are_asked_wave_by_wave(tmp_path: Path, steps: list[Any], wanted: bool) -> None:
    """Its own cars, its own version, in their wave, with the consent there is, and none while it is paused."""
    paper = Paper()
    asked(paper, "campaign", "start", vin=None, **PLAN, cars=[VIN, OTHER])
    for step in steps:
        step(paper)
    assert broken(paper.judge(tmp_path)) == (set() if wanted else {"campaigns"})


COMMAND: dict[str, Any] = {"id": "1", "vin": VIN, "name": "refresh", "user": "p1", "state": None}
"""As the desk opens it, of somebody with an account."""


def sends(paper: Paper, name: str = "honk") -> None:
    command = {"id": "1", "vin": VIN, "name": name, "issued_at": paper.now, "expires_at": paper.now + MINUTE, "parameters": {}}
    paper.desk("out", "SendCommand", command=command, expiry_s=60)


def switches(paper: Paper, **data: Any) -> None:
    event = {"vin": VIN, "boot": 7, "seq": 1, "captured_at": START, "name": "privacy_changed", "data": data}
    paper.desk("in", "CarSwitched", event=event)


def gives_up(paper: Paper, state: str) -> None:
    data = {"command_id": "1", "state": state, "reason": None, "detail": None, "at": paper.now + 1, "by": "desk", "awake": None}
    paper.desk("out", "Transition", **data)


def appears(paper: Paper, connection: str, reason: str | None = None) -> None:
    paper.desk("in", "PresenceChanged", vin=VIN, connection=connection, reason=reason)


@pytest.mark.parametrize(("mode", "off", "name", "wanted"), [
    ("online_with_location", [], "honk", True),
    ("online", [], "honk", False),
    ("online", [], "refresh", True),
    ("offline", [], "refresh", False),
    ("offline", [], "reset", True),
    ("online_with_location", ["refresh"], "refresh", False),
])  # fmt: skip
def test_nothing_is_sent_that_the_car_would_refuse(tmp_path: Path, mode: str, off: list[str], name: str, wanted: bool) -> None:
    """What a car has said of its switches counts for the desk."""
    paper = Paper()
    switches(paper, mode=mode, services_off=off)
    sends(paper, name)
    assert ("desk" in broken(paper.judge(tmp_path))) is not wanted


@pytest.mark.parametrize(("before", "meanwhile", "after_min", "state", "wanted"), [
    ("online", None, 2, "unknown", True),
    ("online", None, 2, "expired", False),
    ("offline", None, 2, "expired", True),
    ("offline", None, 2, "unknown", False),
    ("offline", "online", 2, "unknown", True),
    ("online", None, 0.5, "unknown", False),
])  # fmt: skip
def test_how_a_command_is_given_up(
    tmp_path: Path, before: str, meanwhile: str | None, after_min: float, state: str, wanted: bool
) -> None:
    """After its time to live, as unknown when the car was connected, else as expired."""
    paper = Paper()
    appears(paper, before)
    sends(paper, "refresh")
    if meanwhile is not None:
        appears(paper, meanwhile)
    paper.pass_time(after_min)
    gives_up(paper, state)
    assert ("desk" in broken(paper.judge(tmp_path))) is not wanted


@pytest.mark.parametrize(("users", "state", "wanted"), [
    ({"p2": {"role": "primary"}}, "unknown", True),
    ({}, "unknown", True),
    ({"p2": {"role": "primary"}}, "expired", False),
    ({"p1": {"role": "primary"}}, "unknown", False),
    (None, "unknown", False),
])  # fmt: skip
def test_a_command_is_given_up_at_once_when_whoever_asked_is_no_user_any_more(
    tmp_path: Path, users: Any, state: str, wanted: bool
) -> None:
    paper = Paper()
    appears(paper, "offline")
    paper.desk("out", "CommandOpened", record=COMMAND | dict.fromkeys(("asked_at", "expires_at", "changed_at"), paper.now))
    sends(paper, "refresh")
    if users is not None:
        paper.desk("in", "RightsChanged", vin=VIN, rights={"users": users})
    gives_up(paper, state)
    assert ("desk" in broken(paper.judge(tmp_path))) is not wanted


def test_a_car_in_deep_sleep_is_left_alone(tmp_path: Path) -> None:
    """Nothing is sent to it."""
    paper = Paper()
    appears(paper, "offline", "deep_sleep")
    sends(paper)
    assert "desk" in broken(paper.judge(tmp_path))


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_answered_late_is_kept(tmp_path: Path, kept: bool) -> None:
    """The answer to a command that was given up."""
    paper = Paper()
    appears(paper, "online")
    sends(paper, "refresh")
    paper.pass_time(2)
    gives_up(paper, "unknown")
    paper.desk("in", "CarAnswered", response={"command_id": "1", "vin": VIN, "boot": 7, "state": "succeeded"})
    if kept:
        paper.desk("out", "LateResult", command_id="1", vin=VIN, state="succeeded", reason=None, at=paper.now)
    paper.desk("in", "CarAnswered", response={"command_id": "2", "vin": VIN, "boot": 7, "state": "accepted"})
    assert ("desk" in broken(paper.judge(tmp_path))) is not kept


def replied(paper: Paper, name: str, asked: dict[str, Any], answer: dict[str, Any]) -> None:
    request_id = f"r{paper.now}"
    paper.write("centre", "in", "Request", {"vin": VIN, "id": request_id, "name": name, "data": asked})
    reply = {"id": request_id, "name": name, "data": answer, "error": None}
    paper.write("centre", "out", "SendReply", {"vin": VIN, "reply": reply})
    paper.pass_time(1)


@pytest.mark.parametrize(("price", "days", "holds"), [(135, 365, True), (67.5, 365, False), (135, 730, False), (135, 30, False)])
def test_what_is_bought_has_its_price_and_its_time(tmp_path: Path, price: float, days: int, holds: bool) -> None:
    paper = Paper()
    until = paper.now + days * 24 * 3_600_000_000
    replied(
        paper, "store_purchase", {"product": "navi_1_year"}, {"product": "navi_1_year", "price_eur": price, "active_until": until}
    )
    assert ("purchases" in broken(paper.judge(tmp_path))) is not holds


@pytest.mark.parametrize(
    ("begins", "days", "holds"), [(0, 365, True), (10, 365, True), (10, 400, False), (11, 365, False), (0, 30, False)]
)
def test_what_the_people_of_a_car_buy_begins_where_their_licence_ends(
    tmp_path: Path, begins: int, days: int, holds: bool
) -> None:  # fmt: skip
    """The first licence ends in ten days, or ended yesterday."""
    paper = Paper()
    day = 24 * 3_600_000_000
    asked = paper.now + 2_000_000  # two lines on
    first = asked + (10 if begins else -1) * day
    until = asked + (begins + days) * day
    licences = [
        {"id": "g3_navi-1", "product": "g3_navi", "begins": first - 365 * day, "ends": first},
        {"id": "g3_navi-2", "product": "g3_navi", "begins": asked + begins * day, "ends": until},
    ]
    car = json.dumps({"vin": VIN, "managed": True, "licences": licences})
    paper.write("centre", "out", "Keep", {"module": "people", "key": f"car/{VIN}", "value": car})
    told = {"product": "navi_1_year", "price_eur": 135, "active_until": until}
    replied(paper, "store_purchase", {"product": "navi_1_year"}, told)
    assert ("purchases" in broken(paper.judge(tmp_path))) is not holds


@pytest.mark.parametrize(("value", "identified", "holds"), [("7", False, True), ("8", False, False), (None, False, False)])
def test_settings_come_back(tmp_path: Path, value: str | None, identified: bool, holds: bool) -> None:
    paper = Paper()
    seat = [{"name": "seat", "value": "7"}, {"name": "contacts", "value": "1"}]
    replied(paper, "personalisation", {"action": "save", "settings": seat}, {"settings": [], "hidden": 0})
    shown = [] if value is None else [{"name": "seat", "value": value}]
    replied(paper, "personalisation", {"action": "log_in", "identified": identified}, {"settings": shown, "hidden": 1})
    assert ("purchases" in broken(paper.judge(tmp_path))) is not holds


@pytest.mark.parametrize(("passed_on", "holds"), [({"mileage_km": 7.0, "warnings": ["oil"]}, True), ({"mileage_km": 7.0}, False)])
def test_what_a_breakdown_call_tells_is_passed_on(tmp_path: Path, passed_on: dict[str, Any], holds: bool) -> None:
    paper = Paper()
    paper.event("breakdown_call", id="b1", mileage_km=7.0, warnings=["oil"])
    told(paper, "breakdown_centre", "breakdown_call", id="b1", **passed_on)
    assert ("breakdown calls" in broken(paper.judge(tmp_path))) is not holds
