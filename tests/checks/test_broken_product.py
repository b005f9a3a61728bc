"""A product that breaks a rule is caught by its own journal: the checks do not believe what the cars and the desk decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.cloud.spin_guard import SpinGuard
from fleet.vehicle import driver_actions, powertrain, rules
from fleet.vehicle.outbox import Outbox
from fleet.vehicle.services import climatisation, comfort, hooks, horn, ventilation
from fleet.vehicle.services.registry import SERVICES
from fleet.wire.parameters import Lock
from tests.checks.lab import DAY, broken, judged, run_day

Defect = Callable[[pytest.MonkeyPatch], None]
ASKED_MORE = (
    DAY.replace("seed: 20", "seed: 22")
    .replace("{name: lock, count: 28", "{name: lock, count: 60")
    .replace("{name: honk, count: 18", "{name: honk, count: 40")
)
"""A day with commands for cars that are driven, and with doors open."""


def honks_at_a_kilometre(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(horn, "HONK_WITHIN_M", 1_000.0)


def honks_at_fifty_metres(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(horn, "HONK_WITHIN_M", 50.0)


def locks_with_open_doors(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(SERVICES, Lock, replace(SERVICES[Lock], refusal=lambda *_: None))


def acts_while_driving(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "_state", lambda *_: None)


def believes_any_spin(patch: pytest.MonkeyPatch) -> None:
    verified = SpinGuard.verified
    patch.setattr(SpinGuard, "verified", lambda self, job, _right, token, now: verified(self, job, True, token, now))


def heats_on_under_the_engine(patch: pytest.MonkeyPatch) -> None:
    end = comfort.end
    patch.setattr(comfort, "end", lambda car, reason, now: None if reason == "engine_start" else end(car, reason, now))


def heats_for_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(powertrain, "HEATER_L_PER_HOUR", 1e-9)


def climatises_for_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(powertrain.Draw, "taken_kwh", lambda *_: 0.0)
    patch.setattr(comfort, "_used", lambda *_: {"energy_kwh": 1.0})


def climatises_on_empty(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(climatisation, "LEAST_CHARGE", 0.0)
    patch.setattr(climatisation, "HEATS_KW", 60.0)


def ventilates_without_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(comfort, "_over", lambda *_: None)


def ventilates_in_spite_of_a_weak_battery(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ventilation, "BLOWER_A", 60.0)
    patch.setattr(rules, "LOW_PERCENT", 0.0)
    patch.setattr(hooks, "low_voltage_fell", lambda *_: None)


def forgets_to_tell_who_left(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(driver_actions, "LEFT_GROUPS", ("windows", "lights"))


def leaves_numbers_out(patch: pytest.MonkeyPatch) -> None:
    def next_seq(self: Outbox) -> int:
        self.created += 2 if self.created == 4 else 1
        return self.created

    patch.setattr(Outbox, "next_seq", next_seq)


DEFECTS: list[tuple[Defect, set[str]]] = [
    (honks_at_a_kilometre, {"honk rule"}),
    (honks_at_fifty_metres, {"honk rule"}),
    (locks_with_open_doors, {"lock rule"}),
    (acts_while_driving, {"honk rule", "lock rule", "heater rule", "ventilation rule"}),
    (believes_any_spin, {"S-PIN rule"}),
    (heats_on_under_the_engine, {"comfort"}),
    (heats_for_nothing, {"comfort energy"}),
    (climatises_for_nothing, {"comfort energy"}),
    (climatises_on_empty, {"climatisation rule"}),
    (ventilates_without_end, {"comfort"}),
    (ventilates_in_spite_of_a_weak_battery, {"12 V rule", "comfort"}),
    (forgets_to_tell_who_left, {"doors"}),
    (leaves_numbers_out, {"numbering", "account"}),
]


@pytest.mark.parametrize(("defect", "checks"), DEFECTS, ids=[defect.__name__ for defect, _ in DEFECTS])
def test_a_defect_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defect: Defect, checks: set[str]) -> None:
    """Whoever decides wrongly writes it into the journal."""
    defect(monkeypatch)
    assert checks <= broken(judged(run_day(tmp_path, ASKED_MORE)))
