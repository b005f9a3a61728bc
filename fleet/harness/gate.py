"""Holds cars back from a broker that comes up again until those who listen are there: else what they send is lost unseen."""

from __future__ import annotations

from collections import Counter

from fleet.errors import LinkError
from fleet.transport.link import BackOff, Delivery, Link, LinkFactory, LinkOwner, LinkSettings
from fleet.wire.frame import Frame


class Gate:
    """A factory of links that connect only while it is open."""

    def __init__(self, links: LinkFactory) -> None:
        """Take what makes the links; the gate is open."""
        self._links = links
        self._wanted: dict[GatedLink, None] = {}
        self.is_open = True
        self.losses: Counter[str] = Counter()
        """For each client, how often its connection was lost or did not come about."""
        self.activity = 0
        """Counts what cars do on the network: as long as it stands, nothing of theirs is under way that was not before."""

    def __call__(self, settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> Link:
        return GatedLink(self, self._links(settings, SeenOwner(self, settings.client_id, owner), back_off))

    def close(self) -> None:
        """Let nobody try to connect; for when all connections are gone."""
        self.is_open = False
        for link in self._wanted:
            link.inner.drop()

    def open(self) -> None:
        """Let all connect that want to; they are under way from now on."""
        self.is_open = True
        self.activity += 1
        for link in self._wanted:
            link.inner.open()

    def wants(self, link: GatedLink, *, to_connect: bool) -> None:
        """Note who would connect."""
        self.activity += 1
        if not to_connect:
            self._wanted.pop(link, None)
        elif link not in self._wanted:
            self._wanted[link] = None
        if to_connect and self.is_open:
            link.inner.open()


class SeenOwner:
    """The owner of a link, whose losses are counted."""

    __slots__ = ("_client_id", "_gate", "_owner", "link_acknowledged", "link_received", "link_up")

    def __init__(self, gate: Gate, client_id: str, owner: LinkOwner) -> None:
        self._gate = gate
        self._client_id = client_id
        self._owner = owner
        self.link_up = owner.link_up
        self.link_acknowledged = owner.link_acknowledged
        self.link_received = owner.link_received

    def link_down(self, error: LinkError | None) -> None:
        self._gate.losses[self._client_id] += error is not None
        self._owner.link_down(error)


class GatedLink:
    """A link behind a gate; otherwise as it is."""

    __slots__ = ("_gate", "inner")

    def __init__(self, gate: Gate, inner: Link) -> None:
        self._gate = gate
        self.inner = inner

    @property
    def is_up(self) -> bool:
        return self.inner.is_up

    def open(self) -> None:
        self._gate.wants(self, to_connect=True)

    def publish(self, frame: Frame, token: int) -> None:
        self._gate.activity += 1
        self.inner.publish(frame, token)

    def acknowledge(self, delivery: Delivery) -> None:
        self.inner.acknowledge(delivery)

    def drop(self) -> None:
        self._gate.wants(self, to_connect=False)
        self.inner.drop()

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:
        self._gate.wants(self, to_connect=False)
        await self.inner.close(end_session=end_session, last=last)
