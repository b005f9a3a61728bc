"""Notices that a publish has waited too long for its outcome, by looking now and then: nothing of it is on a message's path.

MQTT repeats nothing within a connection, so what waits for a PUBACK that was lost would wait for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

LOOKS: Final = 3
"""How often to look within the time-out: one too long under way is then found before another third of it has passed."""


class Overdue:
    """Remembers the oldest publish under way, and since when it has been seen to be that."""

    __slots__ = ("_oldest", "_since_s", "timeout_s")

    def __init__(self, timeout_s: float) -> None:
        """Take the longest wait for an outcome."""
        self.timeout_s = timeout_s
        self._oldest: object | None = None
        self._since_s = 0.0

    def look(self, under_way: Mapping[int, Any] | None, now_s: float) -> str | None:
        """Return what is wrong, if something is. `under_way` are the publishes in the order they were sent, each an object."""
        oldest = next(iter(under_way.values())) if under_way else None
        if oldest is not self._oldest:
            self._oldest, self._since_s = oldest, now_s
        elif oldest is not None and now_s - self._since_s >= self.timeout_s:
            return unacknowledged(self.timeout_s)
        return None


def unacknowledged(timeout_s: float) -> str:
    """Put in words why a connection is given up."""
    return f"the broker acknowledged no PUBLISH for {timeout_s:g} s while one was under way"
