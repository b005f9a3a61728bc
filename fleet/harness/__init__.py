"""Tests of connected-car back ends with real cars and a real broker, or both in virtual time; time is the test's.

`virtual_world` and `live_world` are async context managers; with pytest the fixtures of `fleet.harness.plugin` make them.
Names are imported when they are used, so that a pytest run without cars pays nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fleet.harness.backend import HarnessBackend
    from fleet.harness.broker import ForeignBroker, HarnessBroker
    from fleet.harness.car import HarnessCar
    from fleet.harness.clock import HarnessClock
    from fleet.harness.errors import ExpectationFailed, ForgottenAwait, InvariantBroken
    from fleet.harness.faults import Faults
    from fleet.harness.matching import anything, between, ge, gt, le, lt, near, one_of, unlike
    from fleet.harness.world import World, live_world, virtual_world

__all__ = [
    "ExpectationFailed", "Faults", "ForeignBroker", "ForgottenAwait", "HarnessBackend", "HarnessBroker", "HarnessCar",
    "HarnessClock", "InvariantBroken", "World", "anything", "between", "ge", "gt", "le", "live_world", "lt", "near", "one_of",
    "unlike", "virtual_world",
]  # fmt: skip

_WHERE: Final = {
    **dict.fromkeys(("ExpectationFailed", "ForgottenAwait", "InvariantBroken"), "errors"),
    **dict.fromkeys(("HarnessBroker", "ForeignBroker"), "broker"),
    "Faults": "faults",
    "HarnessBackend": "backend",
    "HarnessCar": "car",
    "HarnessClock": "clock",
    **dict.fromkeys(("World", "live_world", "virtual_world"), "world"),
    **dict.fromkeys(("anything", "between", "ge", "gt", "le", "lt", "near", "one_of", "unlike"), "matching"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
