"""What scenarios have people do on a car's screen; an S-PIN that is typed there is in no journal and no message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.kernel.draws import Draws
from fleet.runtime.screen import another, on_screen, spin_of
from fleet.scenario.actions import TimelineStep
from fleet.scenario.drawn import SpinMix
from fleet.scenario.scalars import Share
from fleet.vehicle import signals
from fleet.wire.messages import Request
from fleet.wire.sealing import SIMULATED_CARS_SECRET, key_of, unseal
from tests.checks.lab import broken, judged, read_records, run_day
from tests.vehicle.car_lab import CarLab

DRAWS = Draws(1, "test")


def done(lab: CarLab, do: Any, **words: Any) -> signals.PeopleInput | signals.SetBatteryProtection:
    return on_screen(TimelineStep(do=do, **words), do, lab.car, DRAWS)


@pytest.mark.parametrize(
    ("do", "words", "what"),
    [
        ("show_qr", {}, signals.ShowQr()),
        ("use_key", {"key": "second"}, signals.UseKey("second")),
        ("enter_code", {"code": "12345678"}, signals.EnterCode("12345678")),
        ("log_out", {}, signals.LogOut()),
        ("delete_user", {"user": "p2"}, signals.DeleteUser("p2")),
        ("log_in", {"user": "p1", "spin": SpinMix.parse("none")}, signals.LogIn("p1")),
        ("enrol_in_car", {"user": "p1", "spin": SpinMix.parse("none"), "consents": ("privacy",)},
         signals.EnrolInCar("p1", None, ("privacy",))),
        ("set_battery_protection", {"switch": "on"}, signals.SetBatteryProtection(True, 0.2)),
        ("set_battery_protection", {"switch": "on", "level": Share(0.3)}, signals.SetBatteryProtection(True, 0.3)),
        ("set_battery_protection", {"switch": "off"}, signals.SetBatteryProtection(False, 0.2)),
    ],
)  # fmt: skip
def test_each_action_is_an_input(do: Any, words: dict[str, Any], what: signals.PeopleInput) -> None:
    assert done(CarLab(), do, **words) == what


@pytest.mark.parametrize(("kind", "right"), [("right", True), ("wrong", False)])
def test_the_back_end_opens_what_was_typed(kind: str, *, right: bool) -> None:
    lab = CarLab()
    lab.put(done(lab, "log_in", user="p1", spin=SpinMix.parse(kind)))
    (request,) = [message for message in lab.sent if isinstance(message, Request)]
    key = key_of(SIMULATED_CARS_SECRET, lab.car.vin)
    typed = unseal(key, lab.car.vin, request.id, request.data["sealed_spin"])
    assert (typed == spin_of(lab.car)) == right
    assert right or typed == another(spin_of(lab.car))


def test_a_spin_that_is_typed_is_in_no_journal() -> None:
    lines: list[Any] = []
    lab = CarLab(record=lines.append)
    spin = spin_of(lab.car)
    for do in ("log_in", "enrol_in_car"):
        lab.put(done(lab, do, user="p1", save=True if do == "log_in" else None))
    assert lines
    written = repr(lines)
    assert "LogIn" in written
    assert f"'{spin}'" not in written
    assert f'"{spin}"' not in written


FAMILY = """\
scenario: in-the-car
purpose: A family at the screen of its car.
seed: 11
start: 2026-03-02T07:00Z
duration: 1 h
clock: virtual
region: munich
fleets:
  - {name: leons, count: 1, models: {Leon: 1}, energies: {Leon: {petrol: 1}}, profile: parked,
     coverage: {garages: 0 %, holes: 0 %}, equipment: {media: navi_system}}
people:
  persons:
    - {name: anna, role: primary, cars: {index: 0}}
    - {name: bert, role: additional, cars: {index: 0}}
    - {name: cleo, role: guest, cars: {index: 0}}
timeline:
  - {at: 2 min, do: log_in, person: anna, save: true, title: a typed S-PIN, expect: {event: user_logged_in, within: 10 s}}
  - {at: 3 min, do: ask, request: personalisation, title: "the settings of whoever is logged in are kept",
     data: {action: save, settings: [{name: seat, value: "7"}, {name: home_address, value: at home}]},
     expect: {event: request_answered, within: 10 s}}
  - {at: 5 min, do: log_in, person: bert, spin: wrong, title: a wrong S-PIN,
     expect: {event: request_failed, data: {request: log_in, reason: spin_wrong}, within: 10 s}}
  - {at: 6 min, do: log_in, person: bert, title: an additional user, expect: {event: user_logged_in, within: 10 s}}
  - {at: 7 min, do: delete_user, whom: anna, title: who deletes nobody else, expect: {no_event: car_reset, within: 10 s}}
  - {at: 8 min, do: log_in, person: anna, spin: none, title: a saved S-PIN, expect: {event: user_logged_in, within: 10 s}}
  - {at: 10 min, do: log_in, person: cleo, title: a guest, expect: {event: user_logged_in, within: 10 s}}
  - {at: 11 min, do: ask, request: internet_radio, data: {station: Isarwelle, phone: true}, title: who hears no radio,
     expect: {event: request_failed, data: {reason: insufficient_rights}, within: 10 s}}
  - {at: 12 min, do: delete_user, whom: cleo, title: and cannot leave, expect: {no_event: car_reset, within: 10 s}}
  - {at: 13 min, do: log_in, person: anna, spin: none, title: the primary user, expect: {event: user_logged_in, within: 10 s}}
  - {at: 14 min, do: delete_user, whom: cleo, title: who deletes anybody, expect: {event: car_reset, within: 10 s}}
  - {at: 15 min, do: log_in, person: cleo, title: then one is no user,
     expect: {event: request_failed, data: {request: log_in, reason: insufficient_rights}, within: 10 s}}
"""


def test_a_family_at_the_screen_of_its_car(tmp_path: Path) -> None:
    """Log-ins, settings and deletions, from the screen through the broker to the back end and back."""
    journal = run_day(tmp_path, FAMILY)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [line["text"] for line in report["expectations"] if not line["passed"]] == []
    assert len(report["expectations"]) == 12
    assert broken(judged(journal)) == set()
    given = [
        line
        for line in read_records(journal)
        if line.get("type") == "SendReply" and line["data"]["reply"]["name"] == "personalisation"
    ]
    kept = [line["data"]["reply"]["data"] for line in given if line["data"]["reply"].get("data", {}).get("settings")]
    seat = {"name": "seat", "value": "7"}
    assert kept == [{"settings": [seat], "hidden": 1}] * 2, "a saved S-PIN shows nothing confidential"


SOLD = """\
scenario: sold
purpose: Cars that have never heard of their owners are taken over.
seed: 5
start: 2026-03-02T07:00Z
duration: 1 h
clock: virtual
region: munich
fleets:
  - {name: leons, count: 3, models: {Leon: 1}, energies: {Leon: {petrol: 1}}, profile: parked,
     coverage: {garages: 0 %, holes: 0 %}, equipment: {media: media_system, build_week: 202310}}
people: {drawn: [{buyers: 100 %}]}
timeline:
  - {at: 1 min, command: speed_alert, parameters: {limit_kmh: 30}, by: primary, title: an alert of the owner,
     expect: {outcome: succeeded}}
  - {at: 10 min, do: enrol, way: two_keys, by: buyer, title: a buyer, expect: {event: user_enrolled, within: 10 min}}
  - {at: 20 min, do: drive, to: 10 km, title: which the buyer has not, expect: {no_event: speed_alert, within: 20 min}}
"""


def test_who_takes_a_car_over_has_nothing_of_the_owner_before(tmp_path: Path) -> None:
    """Enrolled long ago and never logged in, the owner is known to the back end alone."""
    journal = run_day(tmp_path, SOLD)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [line["text"] for line in report["expectations"] if not line["passed"]] == []
    assert broken(judged(journal)) == set()
    assert report["verdict"] == "passed"
