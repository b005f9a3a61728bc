"""One timer for the keep-alive of all links of a factory.

A member is visited every 0.7 keep-alive: it pings, and at the visit after that it has heard something or its peer is
gone. So a ping goes out in time whatever else is sent, a half-open connection is known within 1.5 keep-alive, and
nothing of this is on the path of a message. Between pings it may want more visits, to see whether acknowledgements come.
"""

from __future__ import annotations

from typing import Final, Protocol

from fleet.kernel.instants import MILLISECOND, SECOND, Instant
from fleet.transport.loop_time import loop_now, loop_timer

TICK_S: Final = 0.1
_TICK: Final = round(TICK_S * SECOND)
PING_AFTER: Final = 0.7
"""Of the keep-alive."""
NOWHERE: Final = -1
"""The slot of a member that is not on the wheel."""
_GOLDEN: Final = 0.618033988749895


class Member(Protocol):
    """A connection, as far as keep-alive is concerned."""

    wheel_slot: int
    wheel_period: int

    def beat(self, *, late: bool) -> None:
        """Judge whether the peer lives (not when `late`: what it said may still be unread), and ping when it is time to."""
        ...

    def __hash__(self) -> int: ...


class KeepAliveWheel:
    """Slots of members by the tick at which they are visited; the timer waits for the first slot that is not empty."""

    def __init__(self) -> None:
        self._slots: dict[int, set[Member]] = {}
        self._phase = 0.0
        self._timer = loop_timer(self._deadline, self._turn, keeps_early=True)

    def add(self, member: Member, every_s: float) -> None:
        """Visit the member from now on. First visits are spread, or all that connected at once would ping at once."""
        member.wheel_period = max(1, round(every_s / TICK_S))
        self._phase = (self._phase + _GOLDEN) % 1.0
        self._put(member, self._now() + 1 + int(self._phase * member.wheel_period))

    def remove(self, member: Member) -> None:
        """Visit the member no more."""
        tick, member.wheel_slot = member.wheel_slot, NOWHERE
        slot = self._slots.get(tick)
        if slot is None:
            return
        slot.discard(member)
        if not slot:
            del self._slots[tick]
            if not self._slots:
                self._timer.cancel()

    def _now(self) -> int:
        return loop_now() // _TICK

    def _deadline(self) -> Instant | None:
        return min(self._slots) * _TICK if self._slots else None

    def _put(self, member: Member, tick: int) -> None:
        member.wheel_slot = tick
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = {member}
            self._timer.rearm()
        else:
            slot.add(member)

    def _turn(self) -> None:
        now = (loop_now() + MILLISECOND) // _TICK  # a timer may come a hair early
        for tick in sorted(tick for tick in self._slots if tick <= now):
            for member in self._slots.pop(tick):
                if member.wheel_slot != tick:  # removed by what one before it did
                    continue
                # From now, not from when it was due: after a stall nobody is visited twice without a word read between.
                self._put(member, now + member.wheel_period)
                member.beat(late=now - tick > max(1, member.wheel_period // 4))
        self._timer.rearm()
