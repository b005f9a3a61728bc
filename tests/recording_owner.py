"""An owner of a link that remembers everything it was told and lets a test wait for it without sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fleet.errors import LinkError, PublishRefused
from fleet.transport.link import Delivery, Link

WITHIN_S = 8.0


class RecordingOwner:
    """Remembers all calls in `calls` (their names in order) and by kind; acknowledges deliveries unless told not to."""

    def __init__(self, *, acknowledges: bool = True) -> None:
        self.link: Link | None = None
        self.react: Callable[[str], None] = lambda call: None
        self.acknowledges = acknowledges
        self.calls: list[str] = []
        self.ups: list[bool] = []
        self.downs: list[LinkError | None] = []
        self.outcomes: list[tuple[int, PublishRefused | None]] = []
        self.deliveries: list[Delivery] = []
        self._changed = asyncio.Event()

    def link_up(self, session_present: bool) -> None:
        self.ups.append(session_present)
        self._note("up")

    def link_down(self, error: LinkError | None) -> None:
        self.downs.append(error)
        self._note("down")

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        self.outcomes.append((token, error))
        self._note("acknowledged")

    def link_received(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._note("received")
        if self.acknowledges and self.link is not None:
            self.link.acknowledge(delivery)

    @property
    def payloads(self) -> list[bytes]:
        return [delivery.frame.payload for delivery in self.deliveries]

    async def wait_for(self, what: str, condition: Callable[[], bool], within_s: float = WITHIN_S) -> None:
        """Return as soon as the condition holds; fail with all that happened when it does not in time."""
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"no {what} within {within_s} s; calls {self.calls[-20:]}, downs {self.downs[-5:]}, payloads {self.payloads[-5:]}"
            ) from None

    async def wait_for_up(self, count: int = 1) -> bool:
        """Return the session-present flag of the `count`-th link_up."""
        await self.wait_for(f"link_up {count}", lambda: len(self.ups) >= count)
        return self.ups[count - 1]

    async def wait_for_down(self, count: int = 1) -> LinkError | None:
        """Return the error of the `count`-th link_down."""
        await self.wait_for(f"link_down {count}", lambda: len(self.downs) >= count)
        return self.downs[count - 1]

    async def wait_for_outcome(self, token: int) -> PublishRefused | None:
        """Return the outcome of a publish."""
        await self.wait_for(f"outcome of {token}", lambda: any(found == token for found, _ in self.outcomes))
        return dict(self.outcomes)[token]

    async def wait_for_deliveries(self, count: int) -> list[Delivery]:
        """Return the first `count` deliveries."""
        await self.wait_for(f"{count} deliveries", lambda: len(self.deliveries) >= count)
        return self.deliveries[:count]

    async def wait_for_payload(self, payload: bytes) -> Delivery:
        """Return the first delivery of that payload."""
        await self.wait_for(f"delivery of {payload!r}", lambda: payload in self.payloads)
        return self.deliveries[self.payloads.index(payload)]

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self._changed.set()
        self.react(call)
