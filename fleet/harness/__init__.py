"""Tests of connected-car back ends with real cars and a real broker, or both in virtual time; time is the test's.

`virtual_world` and `live_world` are async context managers; with pytest the fixtures of `fleet.harness.plugin` make them.
Names are imported when they are used, so that a pytest run without cars pays nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

_WHERE: Final = {
    "ExpectationFailed": "errors",
    "ForgottenAwait": "errors",
    "InvariantBroken": "errors",
    "HarnessBroker": "broker",
    "HarnessCar": "car",
    "World": "world",
    "live_world": "world",
    "virtual_world": "world",
    **dict.fromkeys(("anything", "between", "ge", "gt", "le", "lt", "near", "one_of", "unlike"), "matching"),
}
__all__ = [*_WHERE]  # noqa: PLE0604  they are names


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
