"""Puts another function in the place of one by which a service hears what happens to a car."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.vehicle.services import hooks


def hear_instead(patch: pytest.MonkeyPatch, event: str, heard: Any, instead: Any) -> None:
    """Have `instead` called at an event in the place of `heard`; a word is wrong when `heard` does not hear it."""
    assert heard in hooks.HEARD[event], event
    patch.setitem(hooks.HEARD, event, tuple(instead if hear is heard else hear for hear in hooks.HEARD[event]))
