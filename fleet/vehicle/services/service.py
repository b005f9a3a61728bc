"""The shape of a service: what is special about a command, beside what the catalogue says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from fleet.kernel.instants import MILLISECOND, Duration, Instant

ACTUATION: Final[Duration] = 800 * MILLISECOND
"""How long an actuator takes until its success is known (ours)."""


class Refusal(NamedTuple):
    """Why a command is rejected: the reason for machines, the detail for people."""

    reason: str
    detail: str


Judge = Callable[[Any, Any, Instant], Refusal | None]
"""Judges (car, parameters, now): None, or why not."""


def _no_rule(_car: object, _parameters: Any, _now: Instant) -> Refusal | None:
    return None


def _at_once(_parameters: Any) -> Duration:
    return ACTUATION


@dataclass(frozen=True, slots=True)
class Service:
    """The execution of one type of parameters.

    `carry_out` does it. `refusal` holds what the catalogue cannot say, and is asked last. `takes` is the time between
    `in_progress` and the end, None for what is done at once. What may have changed meanwhile is judged again by all
    the rules, unless `changed` says what counts.
    """

    carry_out: Callable[[Any, Any, Instant], None]
    refusal: Judge = _no_rule
    takes: Callable[[Any], Duration] | None = _at_once
    changed: Judge | None = None
