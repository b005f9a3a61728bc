"""A link that shows its frames to somebody on their way, both ways; otherwise it is as the one within."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fleet.transport.link import BackOff, Delivery, Link, LinkFactory, LinkOwner, LinkSettings
from fleet.wire.frame import Frame

Look = Callable[[str, Frame, bool], None]
"""Takes the client id, a frame, and whether the client sends it."""


def tapped_links(links: LinkFactory, look: Look) -> LinkFactory:
    """Return what makes the same links, and shows what they carry."""
    return partial(TappedLink, links=links, look=look)


class TappedLink:
    """Stands between a link and its owner."""

    __slots__ = ("_client_id", "_link", "_look", "_owner", "link_acknowledged", "link_down", "link_up")

    def __init__(self, settings: LinkSettings, owner: LinkOwner, back_off: BackOff, *, links: LinkFactory, look: Look) -> None:
        """Make the link within."""
        self._client_id = settings.client_id
        self._look = look
        self._owner = owner
        self.link_up = owner.link_up
        self.link_down = owner.link_down
        self.link_acknowledged = owner.link_acknowledged
        self._link: Link = links(settings, self, back_off)

    # --- what the owner calls

    @property
    def is_up(self) -> bool:
        return self._link.is_up

    def open(self) -> None:
        self._link.open()

    def publish(self, frame: Frame, token: int) -> None:
        self._link.publish(frame, token)
        self._look(self._client_id, frame, True)

    def acknowledge(self, delivery: Delivery) -> None:
        self._link.acknowledge(delivery)

    def drop(self) -> None:
        self._link.drop()

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:
        if last is not None:
            self._look(self._client_id, last, True)
        await self._link.close(end_session=end_session, last=last)

    # --- what the link calls

    def link_received(self, delivery: Delivery) -> None:
        self._look(self._client_id, delivery.frame, False)
        self._owner.link_received(delivery)
