"""Finds out, before a run starts its processes, whether a broker of the user's is there and lets the back end in."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from fleet.errors import ConnectRefused, LinkError, PublishRefused, Unreachable
from fleet.runtime.access import Access
from fleet.transport.dial import dial
from fleet.transport.link import BackOff, Delivery, LinkSettings

REACH_S: Final = 10.0
ANSWER_S: Final = 5.0
"""How long a broker may take for the CONNACK."""
_BUSY: Final = frozenset({0x88, 0x89, 0x97, 0x9F})
"""Refusals that pass: unavailable, busy, quota, too many connections a second."""


async def look_for(access: Access, user: str | None = None) -> None:
    """Raise Unreachable when nobody listens there, for that user; the processes themselves would go on trying."""
    broker = access.tools
    try:
        async with asyncio.timeout(REACH_S):
            (await dial(broker, user=user)).close()
    except TimeoutError:
        raise Unreachable(broker.host, broker.port, f"no answer within {REACH_S:g} s") from None


async def look_in(access: Access) -> None:
    """Connect once as a back end does, under a client id of its own; raise why that cannot be, as far as it will not pass."""
    caller = _Caller()
    settings = LinkSettings(
        client_id=f"backend-{secrets.token_hex(4)}",
        username="backend",
        password=access.password_for("backend"),
        clean_start=True,
        session_expiry_s=0,
        connect_timeout_s=ANSWER_S,
    )
    link = access.consumer_links()(settings, caller, BackOff(lambda: 1.0))
    link.open()
    try:
        error = await caller.answer
    finally:
        await link.close(end_session=True)
    if isinstance(error, Unreachable) or (isinstance(error, ConnectRefused) and error.code not in _BUSY):
        raise error


class _Caller:
    """The owner of a link that wants one answer: None when it came up, or why not."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[LinkError | None] = asyncio.get_running_loop().create_future()

    def _hear(self, error: LinkError | None) -> None:
        if not self.answer.done():
            self.answer.set_result(error)

    def link_up(self, session_present: bool) -> None:  # noqa: ARG002  a clean start has none
        self._hear(None)

    def link_down(self, error: LinkError | None) -> None:
        self._hear(error)

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        """It publishes nothing."""

    def link_received(self, delivery: Delivery) -> None:
        """It subscribes nothing."""
