"""Checks of what people do on the screen of a car: each action has the words that it needs, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fleet.scenario.actions import Action
from fleet.scenario.problems import Problem
from fleet.vehicle.services.reserve import LEAST, MOST

NAMING: Final = frozenset({"enrol_in_car", "log_in", "delete_user"})
"""Actions that are about a user, by the id of the account."""
TYPING: Final = frozenset({"enrol_in_car", "log_in"})
"""Actions for which the S-PIN is typed."""
_WORDS: Final = {"key": "use_key", "code": "enter_code", "consents": "enrol_in_car", "save": "log_in"}
"""Words of one action each."""


def check_screen(action: Action, what: str) -> Iterator[Problem]:
    """Check the words of what is done on the screen; `what` names the action."""
    for key, of in _WORDS.items():
        if action.do != of and getattr(action, key) is not None:
            yield Problem((key,), f"{what} takes no {key!r}", is_key=True)
    if action.do == "use_key" and action.key is None:
        yield Problem((), "use_key lacks 'key': which one", hint="Such as 'key: first'.")
    if action.do == "enter_code" and (action.code or action.person or action.by) is None:
        yield Problem((), "enter_code lacks 'code': what is typed", hint="Such as 'code: \"12345678\"'.")
    if action.do in NAMING and action.user is None and action.person is None and action.by is None and action.whom is None:
        yield Problem((), f"{action.do} lacks 'user': the id of an account", hint="Such as 'user: p1'.")
    if action.do in TYPING and action.spin is not None and action.spin.new + action.spin.token > 0:
        yield Problem(("spin",), "on a screen the S-PIN is right, wrong or none: nothing else can be typed there")
    if action.do == "set_battery_protection" and action.level is not None and not LEAST <= action.level <= MOST:
        yield Problem(("level",), f"{action.level} is out of range: a reserve of {LEAST:.0%} to {MOST:.0%} is expected")
