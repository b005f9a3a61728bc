"""Takes away what a broken run left with a broker: the cars' sessions, with all that waits in them, and their retained presence.

A client's session can be ended only by that client, so each car comes once more, with a clean start, and goes for good.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from fleet.errors import ConnectionLost, ConnectRefused, FleetError, LinkError, PublishRefused, Unreachable
from fleet.kernel.draws import Draws, stream_key
from fleet.runtime.access import Access
from fleet.transport.link import BackOff, Delivery, Link, LinkFactory, LinkSettings
from fleet.wire.dialect import Dialect
from fleet.wire.frame import Frame
from fleet.wire.vin import is_vin

VISITS_MAX: Final = 500
"""Visits under way at a time."""
PATIENCE_S: Final = 30.0
"""How long one visit may take, other tries after a lost connection included."""
QUIET_S: Final = 0.5
"""After so long without another retained message the broker has sent all it has."""
_RETAINED: Final = 1


@dataclass(frozen=True)
class Visitor:
    """A client whose session is to end: its id, user name and password, and the topics it may have left a message on."""

    client_id: str
    username: str
    password: str | None = field(repr=False)
    retained_on: tuple[str, ...] = ()


@dataclass
class Cleaned:
    """The result of cleaning: whose session is gone, and why the others' may not be."""

    done: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    first_error: FleetError | None = None


class _Visit:
    """One client's last connection; the owner of its link."""

    def __init__(self, visitor: Visitor, links: LinkFactory) -> None:
        self._retained_on = visitor.retained_on
        self._over: asyncio.Future[FleetError | None] = asyncio.get_running_loop().create_future()
        self._last_error: LinkError | None = None
        self._unanswered = 0
        settings = LinkSettings(
            client_id=visitor.client_id,
            username=visitor.username,
            password=visitor.password,
            clean_start=True,
            session_expiry_s=0,
        )
        self._link: Link = links(settings, self, BackOff(Draws(stream_key(0, visitor.client_id), "back-off").unit))

    async def made(self) -> FleetError | None:
        """Come and go; return what was in the way, None when all is gone."""
        self._link.open()
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._over
        except TimeoutError:
            return self._last_error or ConnectionLost("the broker did not answer in time")
        finally:
            await self._link.close(end_session=True)

    def _end(self, error: FleetError | None) -> None:
        if not self._over.done():
            self._over.set_result(error)

    def link_up(self, session_present: bool) -> None:  # noqa: ARG002  a clean start has none
        self._unanswered = len(self._retained_on)
        for topic in self._retained_on:
            self._link.publish(Frame(topic=topic, payload=b"", retain=True), _RETAINED)
        if not self._retained_on:
            self._end(None)

    def link_down(self, error: LinkError | None) -> None:
        self._last_error = error or self._last_error
        if isinstance(error, ConnectRefused | Unreachable):
            self._end(error)

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:  # noqa: ARG002  all have the same
        self._unanswered -= 1
        if error is not None or not self._unanswered:
            self._end(error)

    def link_received(self, delivery: Delivery) -> None:
        """A clean session has no subscription."""


async def clean(links: LinkFactory, visitors: Iterable[Visitor]) -> Cleaned:
    """Let each client come once more and go for good.

    Ends early when the broker cannot be reached, or refuses the first ones: then nobody's session is gone.
    """
    cleaned = Cleaned()
    waiting = iter(visitors)

    async def work() -> None:
        for visitor in waiting:
            error = await _Visit(visitor, links).made()
            if error is None:
                cleaned.done += 1
            else:
                cleaned.failed[type(error).__name__] += 1
                cleaned.first_error = cleaned.first_error or error
                if not cleaned.done:
                    return  # all the others would meet the same

    async with asyncio.TaskGroup() as workers:
        for _ in range(VISITS_MAX):
            workers.create_task(work())
    return cleaned


class _Listener:
    """Hears which messages of cars a broker retains; the owner of a tool's link."""

    def __init__(self, access: Access, dialect: Dialect) -> None:
        self.topics: dict[str, list[str]] = {}
        self.error: FleetError | None = None
        self.changed = asyncio.Event()
        settings = LinkSettings(
            client_id=f"clean-{os.getpid()}",
            username="tool",
            password=access.password_for("tool"),
            clean_start=True,
            session_expiry_s=0,
            subscriptions=tuple((each, 0) for each in _retained_filters(dialect)),
        )
        self.link: Link = access.tool_links()(settings, self, BackOff(lambda: 0.5))

    def link_up(self, session_present: bool) -> None:  # noqa: ARG002  a clean start has none
        self.error = None
        self.changed.set()

    def link_down(self, error: LinkError | None) -> None:
        self.error = error
        self.changed.set()

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        """Listeners publish nothing."""

    def link_received(self, delivery: Delivery) -> None:
        """Note a retained message by its car."""
        frame = delivery.frame
        vin = next(filter(is_vin, frame.topic.split("/")), None)
        if vin is not None and frame.retain and frame.payload:
            self.topics.setdefault(vin, []).append(frame.topic)
        self.changed.set()


def _retained_filters(dialect: Dialect) -> tuple[str, ...]:
    """Return the filters under which cars may have left messages: in our own dialect their presence alone is retained."""
    of_others = () if dialect.access is None else dialect.access.car_writes  # other fleets may speak ours
    return tuple(dict.fromkeys((dialect.topics.presence_of_all(), *(each.replace("%u", "+") for each in of_others))))


async def left_behind(access: Access) -> dict[str, tuple[str, ...]]:
    """Return the topics on which a broker retains messages of cars, by VIN. Raises LinkError when it cannot be asked."""
    listener = _Listener(access, access.dialect())
    listener.link.open()
    try:
        await asyncio.wait_for(listener.changed.wait(), PATIENCE_S)
        while listener.error is None and listener.changed.is_set():
            listener.changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(listener.changed.wait(), QUIET_S)
    except TimeoutError:
        raise ConnectionLost("the broker did not answer in time") from None
    finally:
        await listener.link.close(end_session=True)
    if listener.error is not None:
        raise listener.error
    return {vin: tuple(topics) for vin, topics in listener.topics.items()}


async def left_by(access: Access, vins: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the topics on which these cars may have left messages. Raises LinkError if a broker that must be asked cannot."""
    dialect = access.dialect()
    if dialect.access is None:
        return {vin: (dialect.topics.presence(vin),) for vin in vins}
    found = await left_behind(access)
    return {vin: found.get(vin, ()) for vin in vins}


def cars_of(access: Access, left: Mapping[str, tuple[str, ...]]) -> Iterable[Visitor]:
    """Return the visits of cars, as they connect, by VIN and the topics on which they left messages."""
    return (Visitor(vin, vin, access.password_for(vin), topics) for vin, topics in left.items())
