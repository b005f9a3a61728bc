"""The simulated broker as tests of links see it: beside an event loop whose clock is the schedule, so that nobody waits.

Whenever the loop has nothing ready, time jumps to what comes next: a call of the schedule or a timer of the loop.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self, cast

from fleet.kernel.instants import SECOND, Instant
from fleet.kernel.schedule import Schedule
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.resources import resource_dir
from fleet.transport.client_packets import (
    ConnackPacket,
    ConnectionClosed,
    DisconnectPacket,
    PubackPacket,
    PublishPacket,
    SubackPacket,
    UnsubackPacket,
)
from fleet.transport.link import Endpoint, LinkFactory, LinkSettings
from fleet.transport.simulated_access import AccessControl
from fleet.transport.simulated_broker import SimulatedBroker
from fleet.transport.simulated_link import simulated_links
from fleet.transport.simulated_network import SimulatedNetwork
from fleet.transport.simulated_sessions import Peer
from fleet.wire.frame import Frame
from tests.lab import Lab, LiveBroker
from tests.transport.scripted_broker import Message, Script, ScriptedPeer

CARS = Endpoint("cars.simulated", 1883)
TOOLS = Endpoint("tools.simulated", 1884)


class _JumpingSelector(selectors.DefaultSelector):
    """Lets time jump instead of waiting."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self._schedule = schedule

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        schedule = self._schedule
        until = None if timeout is None else schedule.now + math.ceil(timeout * SECOND)
        at = schedule.next_instant()
        if at is not None and (until is None or at <= until):
            schedule.step()
        elif until is not None:
            schedule.run_until(until)
        else:
            raise AssertionError("the test waits, and nothing is to come")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self) -> None:
        self.schedule = Schedule()
        super().__init__(_JumpingSelector(self.schedule))

    def time(self) -> float:
        return self.schedule.now / SECOND


class VirtualPolicy(asyncio.DefaultEventLoopPolicy):
    """Makes such loops."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return VirtualLoop()


def schedule_of_the_test() -> Schedule:
    """Return the schedule that the running loop keeps its time by."""
    return cast("VirtualLoop", asyncio.get_running_loop()).schedule


def shipped_broker(admits: Callable[[str | None, str | None], bool] | None = None) -> SimulatedBroker:
    """Return a broker with the access control and the limits that are shipped."""
    access = AccessControl.parse((resource_dir("broker") / "acl").read_text(encoding="utf-8"))
    return SimulatedBroker(access=access, admits=admits)


class SimulatedProcess:
    """The simulated broker's process, as tests of links use `PrivateMosquitto`."""

    cars = CARS
    tools = TOOLS

    def __init__(self, secret: FleetSecret) -> None:
        def admits(user: str | None, password: str | None) -> bool:
            return user is not None and password == secret.password_for(user)

        self.network = SimulatedNetwork(shipped_broker(admits), schedule_of_the_test())

    async def start(self) -> None:
        self.network.start()

    async def stop(self) -> None:
        self.network.stop()

    def kill(self) -> None:
        self.network.kill()

    def pause(self) -> None:
        self.network.pause()

    def resume(self) -> None:
        self.network.resume()


@dataclass(slots=True)
class SimulatedScripted:
    """A scripted peer without a socket: the broker of a network of its own."""

    script: Script
    number: int
    published: list[Message] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    connects: int = 0
    subscribes: int = 0
    disconnects: int = 0
    ends: int = 0
    network: SimulatedNetwork = field(init=False)
    peers: list[Peer] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.network = SimulatedNetwork(_ScriptedEnd(self), schedule_of_the_test())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.network.kill()

    def endpoint(self) -> Endpoint:
        return Endpoint(f"scripted-{self.number}.simulated", 1883)

    async def wait_for(self, condition: Callable[[], bool], within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def deliver(self, *messages: Message) -> None:
        for topic, payload, packet_id in messages:
            self.peers[-1].receive(PublishPacket(Frame(topic=topic, payload=payload, qos=1 if packet_id else 0), packet_id))

    def acknowledge(self, packet_id: int) -> None:
        self.peers[-1].receive(PubackPacket(packet_id))

    def end(self, code: int) -> None:
        self.peers[-1].receive(DisconnectPacket(code))


class _ScriptedEnd:
    """The broker of a scripted network."""

    def __init__(self, told: SimulatedScripted) -> None:
        self._told = told

    def connect(self, peer: Peer, settings: LinkSettings, now: Instant, *, username_as_client_id: bool = False) -> None:
        told, script = self._told, self._told.script
        told.peers.append(peer)
        told.connects += 1
        told.changed.set()
        if script.hang_up_on_connect:
            peer.receive(ConnectionClosed())
        elif script.connack is not None:
            peer.receive(ConnackPacket(script.connack, script.session_present, receive_maximum=script.receive_maximum or 65_535))

    def subscribe(self, peer: Peer, filters: Sequence[tuple[str, int]], now: Instant) -> None:
        told = self._told
        told.subscribes += 1
        told.changed.set()
        told.deliver(*told.script.before_suback)
        if told.script.suback is not None:
            peer.receive(SubackPacket(told.script.suback))

    def unsubscribe(self, peer: Peer, filters: Sequence[str]) -> None:
        peer.receive(UnsubackPacket((0x11,) * len(filters)))

    def publish(self, peer: Peer, frame: Frame, packet_id: int, now: Instant) -> None:
        told = self._told
        told.published.append((frame.topic, frame.payload, packet_id))
        told.changed.set()
        if packet_id and told.script.puback is not None:
            peer.receive(PubackPacket(packet_id, told.script.puback))

    def acknowledge(self, peer: Peer, packet_id: int, now: Instant) -> None:
        self._told.acknowledged.append(packet_id)
        self._told.changed.set()

    def disconnect(self, peer: Peer, now: Instant, *, end_session: bool = False) -> None:
        self._told.disconnects += 1
        self.lost(peer, now)

    def lost(self, peer: Peer, now: Instant) -> None:
        self._told.ends += 1
        self._told.changed.set()

    def silent(self, peer: Peer, keep_alive_s: int, now: Instant) -> None: ...
    def heard(self, peer: Peer) -> None: ...
    def deadline(self) -> Instant | None: ...
    def wake(self, now: Instant) -> None: ...
    def start(self, now: Instant) -> None: ...
    def stop(self, now: Instant) -> None: ...
    def kill(self) -> None: ...


@dataclass(slots=True)
class SimulatedWorld:
    """All there is to connect to in one test."""

    process: SimulatedProcess
    secret: FleetSecret
    scripted: list[SimulatedScripted] = field(default_factory=list)

    @staticmethod
    def new() -> SimulatedWorld:
        secret = FleetSecret.new()
        return SimulatedWorld(SimulatedProcess(secret), secret)

    def links_to(self, endpoint: Endpoint) -> LinkFactory:
        """Return what makes links to the broker, to a scripted peer, or to where nobody listens."""
        if endpoint in {CARS, TOOLS}:
            return simulated_links(self.process.network, username_as_client_id=endpoint == CARS)
        for peer in self.scripted:
            if peer.endpoint() == endpoint:
                return simulated_links(peer.network)
        nobody = SimulatedNetwork(shipped_broker(), schedule_of_the_test(), endpoint=endpoint)
        nobody.stop()
        return simulated_links(nobody)

    def script(self, script: Script) -> ScriptedPeer:
        self.scripted.append(SimulatedScripted(script, len(self.scripted)))
        return self.scripted[-1]

    def lab(self) -> Lab:
        """Return what the conformance suite works with."""
        return Lab(LiveBroker(self.process, self.secret), self.links_to, self.script)
