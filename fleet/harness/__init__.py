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
    from fleet.harness.dialects import check_dialect
    from fleet.harness.errors import ExpectationFailed, ForgottenAwait, InvariantBroken
    from fleet.harness.faults import Faults
    from fleet.harness.matching import anything, between, ge, gt, le, lt, near, one_of, unlike
    from fleet.harness.world import World, live_world, virtual_world
    from fleet.transport.faults import make_fault
    from fleet.transport.proxy import FaultProxy

__all__ = [
    "ExpectationFailed", "FaultProxy", "Faults", "ForeignBroker", "ForgottenAwait", "HarnessBackend", "HarnessBroker",
    "HarnessCar", "HarnessClock", "InvariantBroken", "World", "anything", "between", "check_dialect", "ge", "gt",
    "le", "live_world", "lt", "make_fault", "near", "one_of", "unlike", "virtual_world",
]  # fmt: skip

_WHERE: Final = {
    **dict.fromkeys(("ExpectationFailed", "ForgottenAwait", "InvariantBroken"), "harness.errors"),
    **dict.fromkeys(("HarnessBroker", "ForeignBroker"), "harness.broker"),
    "FaultProxy": "transport.proxy",
    "check_dialect": "harness.dialects",
    "Faults": "harness.faults",
    "HarnessBackend": "harness.backend",
    "HarnessCar": "harness.car",
    "HarnessClock": "harness.clock",
    "make_fault": "transport.faults",
    **dict.fromkeys(("World", "live_world", "virtual_world"), "harness.world"),
    **dict.fromkeys(("anything", "between", "ge", "gt", "le", "lt", "near", "one_of", "unlike"), "harness.matching"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"fleet.{_WHERE[name]}"), name)
