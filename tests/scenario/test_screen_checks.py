"""What people do on a car's screen: the words of each action, and no others."""

from __future__ import annotations

import pytest

from fleet.runtime.assembly import vocabulary
from fleet.scenario.loader import check
from tests.scenario.test_people import HEAD


def told(step: str) -> list[str]:
    text = HEAD.partition("timeline:")[0] + f"timeline:\n  - {{at: 1 min, {step}}}\n"
    return [str(error) for error in check(text, "", vocabulary())]


@pytest.mark.parametrize(
    "step",
    [
        "do: show_qr", "do: use_key, key: second", 'do: enter_code, code: "12345678"', "do: log_out",
        "do: log_in, user: p1", "do: log_in, user: p1, spin: none, save: true",
        "do: log_in, user: p1, spin: {right: 50 %, wrong: 50 %}",
        "do: enrol_in_car, user: p1, consents: [privacy]", "do: delete_user, user: p2", "do: set_battery_protection, switch: off",
        "do: set_battery_protection, switch: on, level: 50 %",
    ],
)  # fmt: skip
def test_what_may_be_written(step: str) -> None:
    assert told(step) == []


@pytest.mark.parametrize(
    ("step", "wrong"),
    [
        ("do: use_key", "use_key lacks 'key'"),
        ("do: use_key, key: third", "'third' is not one of first, second"),
        ("do: enter_code", "enter_code lacks 'code'"),
        ("do: log_in", "log_in lacks 'user'"),
        ("do: delete_user", "delete_user lacks 'user'"),
        ("do: log_in, user: p1, spin: token", "nothing else can be typed there"),
        ("do: log_in, user: p1, key: first", "log_in takes no 'key'"),
        ("do: log_out, user: p1", "log_out takes no 'user'"),
        ("do: log_out, save: true", "log_out takes no 'save'"),
        ("do: show_qr, spin: right", "show_qr takes no 'spin'"),
        ("do: show_qr, consents: [privacy]", "show_qr takes no 'consents'"),
        ("command: refresh, code: abc", "a command takes no 'code'"),
        ("do: set_battery_protection", "set_battery_protection lacks 'switch'"),
        ("do: set_battery_protection, switch: on, level: 10 %", "a reserve of 20% to 50% is expected"),
    ],
)
def test_what_is_wrong(step: str, wrong: str) -> None:
    (error,) = told(step)
    assert wrong in error
