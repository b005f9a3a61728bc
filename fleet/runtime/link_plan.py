"""How the cars of a shard connect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LinkPlan:
    """How cars connect: durations in wall seconds, and where a car's password comes from."""

    password_for: Callable[[str], str | None]
    keep_alive_s: int = 60
    acknowledge_timeout_s: float = 30.0
    session_expiry_s: int = 3600
    will_delay_s: int = 10
    first_back_off_s: float = 1.0
    longest_back_off_s: float = 30.0
    jitter: bool = True
    end_session: bool = False
    clear_presence: bool = False
    until_stored: bool = False
    stamped: bool = True
    """Whether messages carry the wall times at which they were due and sent; virtual time knows none."""
