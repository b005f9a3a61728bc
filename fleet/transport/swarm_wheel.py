"""One timer for the keep-alive of all links of a factory.

A member is visited every 0.7 keep-alive: it pings, and at the visit after that it has heard something or its peer is
gone. So a ping goes out in time whatever else is sent, a half-open connection is known within 1.5 keep-alive, and
nothing of this is on the path of a message. Between pings it may want more visits, to see whether acknowledgements come.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

TICK_S: Final = 0.1
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
        self._handle: asyncio.Handle | None = None
        self._handle_tick = 0

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
            if not self._slots and self._handle is not None:
                self._handle.cancel()
                self._handle = None

    def _now(self) -> int:
        return int(asyncio.get_running_loop().time() / TICK_S)

    def _put(self, member: Member, tick: int) -> None:
        member.wheel_slot = tick
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = {member}
            self._arm(tick)
        else:
            slot.add(member)

    def _arm(self, tick: int) -> None:
        if self._handle is not None:
            if self._handle_tick <= tick:
                return
            self._handle.cancel()
        self._handle_tick = tick
        self._handle = asyncio.get_running_loop().call_at(tick * TICK_S, self._turn)

    def _turn(self) -> None:
        self._handle = None
        # A timer may come a hair early; the slot it was set for is due in any case.
        now = max(self._now(), self._handle_tick)
        for tick in sorted(tick for tick in self._slots if tick <= now):
            for member in self._slots.pop(tick):
                if member.wheel_slot != tick:  # removed by what one before it did
                    continue
                # From now, not from when it was due: after a stall nobody is visited twice without a word read between.
                self._put(member, now + member.wheel_period)
                member.beat(late=now - tick > max(1, member.wheel_period // 4))
        if self._slots:
            self._arm(min(self._slots))
