"""Finds out whether messages of the broker still come, by a message to ourselves. Pure; time is an argument.

Where our acknowledgements get lost on the way, a broker with as many unacknowledged messages as it allows sends no more, on
a connection that is well in all other respects, and MQTT repeats nothing within one. Silence alone may be a quiet night.
"""

from __future__ import annotations

from typing import Final, Literal

AFTER_S: Final = 15.0
"""How long nothing comes before an echo is sent."""
WAIT_S: Final = 10.0
"""How long it may take."""
UNPROVEN_MAX: Final = 3
"""Connections that are given up for an echo before any has ever come back: perhaps this broker returns none.

Or acknowledgements are lost from the beginning: it goes on, each time after a silence twice as long, up to `LONGEST_S`.
"""
LONGEST_S: Final = 600.0


class Echo:
    """Judges a silence of the broker. Times are seconds of any clock."""

    def __init__(self, after_s: float = AFTER_S, wait_s: float = WAIT_S) -> None:
        """Take how long silence lasts before it is asked about, and how long the answer may take."""
        self.after_s = after_s
        self._wait_s = wait_s
        self._patience_s = after_s
        self._heard = 0
        self._quiet_since_s = 0.0
        self._sent_at_s: float | None = None
        self._proven = False
        self._in_vain = 0

    @property
    def is_hopeless(self) -> bool:
        """Tell whether this broker seems to return no echo at all, so that a missing one means little."""
        return self._in_vain >= UNPROVEN_MAX

    def look(self, now_s: float, heard: int, *, ready: bool) -> Literal["send", "stalled"] | None:
        """Say what is to be done: send an echo, or connect again as the last one has not come.

        `heard` counts what has come at QoS 1. `ready` is False while there is no connection, or the broker waits for us.
        """
        if not ready or heard != self._heard:
            self._heard = heard
            self._quiet_since_s = now_s
            self._sent_at_s = None
        elif self._sent_at_s is None:
            if now_s - self._quiet_since_s >= self._patience_s:
                self._sent_at_s = now_s
                return "send"
        elif now_s - self._sent_at_s >= self._wait_s:
            self._quiet_since_s = now_s
            self._sent_at_s = None
            self._in_vain += not self._proven
            if self.is_hopeless:
                self._patience_s = max(self.after_s, min(2 * self._patience_s, LONGEST_S))
            return "stalled"
        return None

    def came_back(self) -> None:
        """Note that this broker returns what we send to ourselves."""
        self._proven = True
        self._in_vain = 0
        self._patience_s = self.after_s
