"""What live tests work with: a broker with its users, and links to it that are closed at the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from fleet.runtime.credentials import FleetSecret
from fleet.transport.link import BackOff, Endpoint, Link, LinkFactory, LinkSettings, Will
from fleet.wire.frame import Frame
from fleet.wire.topics import Topics
from tests.recording_owner import RecordingOwner
from tests.transport.scripted_broker import Script, ScriptedBroker, ScriptedPeer

VINS: Final = tuple(f"VSSZZZKMZTP{number:06d}" for number in range(300))
TOPICS: Final = Topics()
ANYONE: Final = LinkSettings(client_id="anyone", subscriptions=(("a/+", 1),))
"""For a peer that asks no user name."""

MakeLinks = Callable[[Endpoint], LinkFactory]
MakeScripted = Callable[[Script], ScriptedPeer]


class BrokerProcess(Protocol):
    """What `PrivateMosquitto` is to tests of links; a simulated broker is the same."""

    @property
    def cars(self) -> Endpoint: ...
    @property
    def tools(self) -> Endpoint: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


@dataclass(slots=True)
class LiveBroker:
    """A running broker, the secret of its users, and VINs nobody has used on it yet."""

    mosquitto: BrokerProcess
    secret: FleetSecret
    vins: itertools.count[int] = field(default_factory=itertools.count)

    def new_vin(self) -> str:
        return VINS[next(self.vins)]


def quick_back_off() -> BackOff:
    """Waits 25 to 100 ms."""
    return BackOff(lambda: 0.5, first_s=0.05, cap_s=0.2)


@dataclass(slots=True)
class Lab:
    """Makes links of one implementation to one broker, and closes them.

    `scripted` makes peers that such links can reach, and that say what no real broker can be made to say.
    """

    broker: LiveBroker
    make_links: MakeLinks
    scripted: MakeScripted = ScriptedBroker
    links: list[Link] = field(default_factory=list)

    def link(
        self, endpoint: Endpoint, settings: LinkSettings, *, acknowledges: bool = True, back_off: BackOff | None = None
    ) -> tuple[Link, RecordingOwner]:
        """Make a link that is not yet open."""
        owner = RecordingOwner(acknowledges=acknowledges)
        owner.link = link = self.make_links(endpoint)(settings, owner, back_off or quick_back_off())
        self.links.append(link)
        return link, owner

    def car(self, vin: str, *, acknowledges: bool = True, **changes: Any) -> tuple[Link, RecordingOwner]:
        """Make the link of a car that subscribes its own topics."""
        settings = {
            "client_id": vin,
            "username": vin,
            "password": self.broker.secret.password_for(vin),
            "subscriptions": TOPICS.car_subscriptions(vin),
            **changes,
        }
        return self.link(self.broker.mosquitto.cars, LinkSettings(**settings), acknowledges=acknowledges)

    def user(self, user: str, client_id: str, *, acknowledges: bool = True, **changes: Any) -> tuple[Link, RecordingOwner]:
        """Make the link of backend, desk or tool."""
        settings = {
            "client_id": client_id,
            "username": user,
            "password": self.broker.secret.password_for(user),
            "session_expiry_s": 0,
            "clean_start": True,
            **changes,
        }
        return self.link(self.broker.mosquitto.tools, LinkSettings(**settings), acknowledges=acknowledges)

    async def car_up(self, vin: str, **changes: Any) -> tuple[Link, RecordingOwner]:
        link, owner = self.car(vin, **changes)
        link.open()
        await owner.wait_for_up()
        return link, owner

    async def user_up(self, user: str, client_id: str, **changes: Any) -> tuple[Link, RecordingOwner]:
        link, owner = self.user(user, client_id, **changes)
        link.open()
        await owner.wait_for_up()
        return link, owner

    async def hourglass(self, seconds: int) -> None:
        """Return when the broker's own clock has moved on: it then sends the delayed will of a client that was cut off."""
        vin = self.broker.new_vin()
        frame = Frame(topic=TOPICS.presence(vin), payload=b"sand")
        _, watcher = await self.user_up("tool", f"hourglass-{vin}", subscriptions=((TOPICS.presence(vin), 1),))
        glass, _ = await self.car_up(vin, will=Will(frame, seconds), subscriptions=())
        glass.drop()
        await watcher.wait_for_payload(b"sand")

    async def close(self) -> None:
        for link in self.links:
            await link.close()
