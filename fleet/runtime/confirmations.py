"""Counts the confirmations of a back end under test: each message on a topic of its own says that one of a car is stored."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from fleet.cloud.sequence import SeenSequence
from fleet.errors import LinkError, PublishRefused, Undecodable, UsageError
from fleet.observe.histogram import Histogram
from fleet.transport.link import BackOff, Delivery, Link, LinkFactory, LinkSettings
from fleet.wire.numbering import Part, read_number

CONNECT_S: Final = 10.0
QUIET_S: Final = 1.0
"""At the end: how long nothing has come when the last confirmation is taken to be there."""
LATE_S: Final = 10.0
_EVERY_S: Final = 0.05
_WHOLE: Final = 0
"""Stands for a whole message of several parts, which are counted from 1."""


def checked_filter(topic: str) -> str:
    """Return a topic filter; raises UsageError for what no broker takes as one."""
    levels = topic.split("/")
    wild = any(("+" in level or "#" in level) and len(level) > 1 for level in levels) or "#" in levels[:-1]
    if not topic or not topic.isprintable() or wild or len(topic) > 1_000:
        raise UsageError(
            f"--confirm-topic {topic[:100]!r} is no topic filter",
            hint="Such as 'acme/+/ack': + stands for a whole level, # for all that follow, at the end.",
        )
    return topic


class Confirmations:
    """Counts the messages on a topic filter; owner of its link.

    A confirmation that bears the `fleet-number` of the message that it confirms is counted once, and tells how long that took.
    A message of several frames is stored with the first that is confirmed.
    """

    def __init__(
        self, links: LinkFactory, topic: str, *, username: str, password: str | None, wall_us: Callable[[], int]
    ) -> None:
        """Take how to connect, as which user, and the filter; nothing is connected before `start`."""
        self.topic = topic
        self.count = 0
        self.numbered = 0
        self.distinct = 0
        self.repeated = 0
        self.latency = Histogram()
        self._wall_us = wall_us
        self._seen: dict[tuple[str, int, int], SeenSequence] = {}
        self._refusal: LinkError | None = None
        self._up = asyncio.Event()
        settings = LinkSettings(
            client_id=f"confirm-{secrets.token_hex(4)}", username=username, password=password, clean_start=True,
            session_expiry_s=3600, receive_maximum=4_000, subscriptions=((topic, 1),),
        )  # fmt: skip
        self._link: Link = links(settings, self, BackOff(lambda: 0.5, first_s=0.2, cap_s=2.0))

    async def start(self) -> None:
        """Connect and subscribe. Raises LinkError, why that cannot be."""
        self._link.open()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), CONNECT_S)
        if not self._link.is_up:
            await self._link.close(end_session=True)
            raise self._refusal or UsageError("the broker does not answer", hint="Is it running?")

    async def stop(self) -> None:
        """Take what is still to come, as long as something does, and disconnect."""
        loop = asyncio.get_running_loop()
        ends, quiet_since, count = loop.time() + LATE_S, loop.time(), self.count
        while self._link.is_up and loop.time() < ends and loop.time() - quiet_since < QUIET_S:
            await asyncio.sleep(_EVERY_S)
            if self.count != count:
                quiet_since, count = loop.time(), self.count
        await self._link.close(end_session=True)

    def to_plain(self) -> dict[str, Any]:
        """Return what was counted: `stored` is how many messages, `duplicates` how many confirmations came once more."""
        stored = self.distinct + self.count - self.numbered
        return {
            "topic": self.topic,
            "stored": stored,
            "duplicates": self.repeated,
            "numbered": self.numbered,
            "publish_to_stored": self.latency.to_dict(),
        }

    # --- the link's calls

    def link_up(self, session_present: bool) -> None:  # noqa: ARG002
        self._refusal = None
        self._up.set()

    def link_down(self, error: LinkError | None) -> None:
        """Keep why; the link tries again, and the broker keeps what comes meanwhile."""
        self._refusal = error
        if error is not None and not self._link.is_up and not self.count:
            self._up.set()

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        """It publishes nothing."""

    def link_received(self, delivery: Delivery) -> None:
        """Count a message, each number once, and how late it is; a presence is in no account."""
        self._link.acknowledge(delivery)
        number = None
        with suppress(Undecodable):
            number = read_number(delivery.frame)
        if number is not None and not number.header.seq:
            return
        self.count += 1
        if number is None:
            return
        self.numbered += 1
        header = number.header
        if not self._is_first(number, number.part):
            self.repeated += 1
        elif number.parts == 1 or self._is_first(number, _WHOLE):
            self.distinct += 1
            if header.due_wall_us is not None:
                self.latency.record(max(0, self._wall_us() - header.due_wall_us))

    def _is_first(self, number: Part, part: int) -> bool:
        """Tell whether a part of a message is confirmed for the first time."""
        header = number.header
        return self._seen.setdefault((header.vin, header.boot, part), SeenSequence()).add(header.seq)
