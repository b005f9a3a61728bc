"""The simulated broker beside Mosquitto: the same random story through real links and simulated ones, the same deliveries.

Known differences, which the stories leave out because the specification is right or leaves it open:

- A will is sent when its session ends, if that comes before its delay is over: by its expiry, or by a clean start (MQTT 5,
  3.1.3.2.2). Mosquitto 2.0.11 sends it after the delay or never.
- A second client with the id of one that is connected: the will of the first is sent if it has no delay, or if its session
  ends with that (MQTT 5, 3.1.4-3 and the note below it). Mosquitto 2.0.11 sends no will then.
- A client that resumes its session with a smaller Receive Maximum: Mosquitto 2.0.11 repeats more at once than it takes.
- Retained messages of different topics, for one new subscription, come in any order. They are compared sorted, and who
  subscribes to several of them takes enough at once to get all in one step.
- A message that expires while it is under way, or at the head of a queue whose window is full: Mosquitto 2.0.11 then sends
  more than the client takes at once, or nothing before the next event. Here only what waits for a car that is away, and
  takes all of it at once, expires.
- Expiry: Mosquitto counts whole seconds of the clock, so it may keep a message a second longer and tell another second.
  Times are far apart here, and the seconds left are not compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, assert_never

import pytest

from fleet.errors import LinkError
from fleet.kernel.draws import Draws, stream_key
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.mosquitto import PrivateMosquitto
from fleet.transport.link import BackOff, Delivery, Link, LinkSettings, Will
from fleet.transport.swarm_link import swarm_links
from fleet.wire.frame import Frame
from tests.lab import TOPICS, VINS, Lab, LiveBroker
from tests.recording_owner import RecordingOwner
from tests.transport.simulated_lab import SimulatedWorld, VirtualLoop

pytestmark = pytest.mark.live

STEPS: Final = 120
CARS: Final = VINS[-3:]
TOOLS: Final = ("backend", "tool")
CLIENTS: Final = (*CARS, *TOOLS)
WIDE: Final = {CARS[0], *TOOLS}
"""Those who take a hundred messages at once: the car for which messages expire, and who reads what is retained."""
WAIT_S: Final = 3
"""Longer than the short expiries by what Mosquitto may be late."""


class Connect(NamedTuple):
    """A new link for the client; one that is connected is taken over."""

    client: str
    clean_start: bool
    session_expiry_s: int
    receive_maximum: int
    acknowledges: bool
    will_delay_s: int | None
    filters: tuple[tuple[str, int], ...]


class Drop(NamedTuple):
    client: str


class Close(NamedTuple):
    client: str
    end_session: bool
    last: bool


class Publish(NamedTuple):
    client: str
    frame: Frame


class Acknowledge(NamedTuple):
    """Acknowledge all that was received on this connection and not yet acknowledged."""

    client: str


class Wait(NamedTuple):
    """Let the short expiries pass."""


Operation = Connect | Drop | Close | Publish | Acknowledge | Wait


def story(seed: int) -> Iterator[Operation]:
    """Make up what happens."""
    draws = Draws(stream_key(seed), "story")
    windows = {client: 100 if client in WIDE else draws.choice((1, 2, 5)) for client in CLIENTS}
    connected: dict[str, Connect] = {}
    pending: set[str] = set()  # those who were lost and whose will waits
    for step in range(STEPS):
        client = draws.choice(CLIENTS)
        before = connected.get(client)
        if before is None and (draws.chance(0.7) or not connected):
            after = _connect(client, windows[client], draws)
            connected[client] = after._replace(clean_start=after.clean_start and client not in pending)
            pending.discard(client)
            yield connected[client]
        elif before is None or draws.chance(0.7):
            yield Publish(client if before else draws.choice(sorted(connected)), _frame(step, draws))
        elif draws.chance(0.4):
            yield Acknowledge(client)
        elif draws.chance(0.4) and not (before.will_delay_s == 0 or before.session_expiry_s == 0):
            after = _connect(client, windows[client], draws)
            connected[client] = after._replace(clean_start=after.clean_start and before.will_delay_s is None)
            yield connected[client]
        else:
            del connected[client]
            if draws.chance(0.6):
                pending |= {client} if before.will_delay_s else set()
                yield Drop(client)
            else:
                yield Close(client, draws.chance(0.3), draws.chance(0.5))
        if step == STEPS // 2:
            yield from _expiring(connected, pending, windows, draws)


def _expiring(connected: dict[str, Connect], pending: set[str], windows: dict[str, int], draws: Draws) -> Iterator[Operation]:
    """Let messages wait for a car that is away, some of them too long."""
    car, sender = CARS[0], "backend"
    before = connected.pop(car, None)
    if before is not None:
        pending |= {car} if before.will_delay_s else set()
        yield Drop(car)
    if sender not in connected:
        connected[sender] = _connect(sender, windows[sender], draws)._replace(clean_start=False)
        pending.discard(sender)
        yield connected[sender]
    for number, expiry_s in enumerate((1, None, 1, 1000)):
        topic = TOPICS.command(car, f"c{number}")
        yield Publish(sender, Frame(topic=topic, payload=b"c%d" % number, expiry_s=expiry_s))
    yield Wait()


def _connect(client: str, window: int, draws: Draws) -> Connect:
    qos = draws.integer(0, 1) if draws.chance(0.3) else 1
    head = f"fleet/v1/{draws.choice((client, *CARS))}"
    choices = ["#", "fleet/#", "+/+/+/presence", f"{head}/command/+", f"{head}/#", f"{head}/status", f"{head}/stored"]
    filters = {draws.choice(choices) for _ in range(draws.integer(1, 3))}
    if client in CARS and draws.chance(0.7):
        filters |= {topic_filter for topic_filter, _ in TOPICS.car_subscriptions(client)}
    elif draws.chance(0.7):
        filters |= {topic_filter for topic_filter, _ in TOPICS.backend_subscriptions()}
    session_expiry_s = draws.choice((0, 1, 3600, 3600, 3600))
    return Connect(
        client,
        clean_start=draws.chance(0.15),
        session_expiry_s=session_expiry_s,
        receive_maximum=window,
        acknowledges=draws.chance(0.4),
        will_delay_s=draws.choice((None, 0, 1000 if session_expiry_s > 1 else 0)),
        filters=tuple((topic_filter, qos) for topic_filter in sorted(filters)),
    )


def _frame(step: int, draws: Draws) -> Frame:
    car = draws.choice(CARS)
    name = draws.choice(
        ("status", "presence", "event/trip", "command/honk", "command/honk", "reply/x", "stored", "response/honk")
    )
    retain = draws.chance(0.3) and name not in {"reply/x", "stored"}  # a car reads one topic that is retained
    return Frame(
        topic=f"fleet/v1/{car}/{name}",
        payload=b"" if retain and draws.chance(0.3) else b"%d" % step,
        qos=1 if draws.chance(0.8) else 0,
        retain=retain,
        expiry_s=draws.choice((None, 1000)),
    )


class Told(NamedTuple):
    """The packets for a client in one step, as far as they are to be compared."""

    deliveries: list[tuple[str, bytes, int, bool, bool]]
    refused: list[int]
    ups: list[bool]
    downs: list[str]


@dataclass(slots=True)
class Client:
    """One client of the story, and what it had been told before this step."""

    link: Link
    owner: RecordingOwner
    seen: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    acknowledged: int = 0
    connected: bool = True

    def news(self) -> Told:
        owner, seen = self.owner, self.seen
        deliveries = [_told(delivery) for delivery in owner.deliveries[seen[0] :]]
        refused = [error.code for _, error in owner.outcomes[seen[1] :] if error is not None and error.topic != "barrier"]
        told = Told(
            _sorted_retained(deliveries), refused, owner.ups[seen[2] :], [_kind(error) for error in owner.downs[seen[3] :]]
        )
        self.seen = [len(owner.deliveries), len(owner.outcomes), len(owner.ups), len(owner.downs)]
        return told


def _told(delivery: Delivery) -> tuple[str, bytes, int, bool, bool]:
    frame = delivery.frame
    return frame.topic, frame.payload, frame.qos, frame.retain, frame.duplicate


def _sorted_retained(deliveries: list[tuple[str, bytes, int, bool, bool]]) -> list[tuple[str, bytes, int, bool, bool]]:
    retained = iter(sorted(delivery for delivery in deliveries if delivery[3]))
    return [next(retained) if delivery[3] else delivery for delivery in deliveries]


def _kind(error: LinkError | None) -> str:
    return type(error).__name__


class Stage:
    """Plays a story on one broker."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._clients: dict[str, Client] = {}
        self._left: list[tuple[str, Client]] = []
        self._token = 1000

    async def play(self, operations: list[Operation]) -> list[dict[str, Told]]:
        """Return what each client was told in each step."""
        self._control = Client(*await self._lab.user_up("tool", "control"))
        record = []
        for operation in operations:
            await self._perform(operation)
            for client in [self._control] * 2 + [client for client in self._clients.values() if client.connected]:
                await self._barrier(client)
            told = {name: client.news() for name, client in self._clients.items()}
            told |= {f"{name}, left": client.news() for name, client in self._left}
            self._left = []
            record.append(told)
        return record

    async def _barrier(self, client: Client) -> None:
        """Go to the broker and back: what it had sent to this client before has arrived."""
        self._token += 1
        client.link.publish(Frame(topic="barrier", payload=b""), self._token)
        await client.owner.wait_for_outcome(self._token)

    async def _perform(self, operation: Operation) -> None:
        match operation:
            case Connect():
                await self._connect(operation)
            case Drop(name):
                client = self._clients[name]
                client.link.drop()
                await client.owner.wait_for_down()
                client.connected = False
            case Close(name, end_session, last):
                client = self._clients[name]
                topic = TOPICS.presence(name if name in CARS else CARS[0])
                await client.link.close(
                    end_session=end_session, last=Frame(topic=topic, payload=b"bye", retain=True) if last else None
                )
                client.connected = False
            case Publish(name, frame):
                client = self._clients[name]
                self._token += 1
                client.link.publish(frame, self._token)
                await client.owner.wait_for_outcome(self._token)
            case Acknowledge(name):
                client = self._clients[name]
                while client.acknowledged < len(client.owner.deliveries):
                    client.link.acknowledge(client.owner.deliveries[client.acknowledged])
                    client.acknowledged += 1
                    await self._barrier(client)
            case Wait():
                await self._lab.hourglass(WAIT_S)
            case _:
                assert_never(operation)

    async def _connect(self, operation: Connect) -> None:
        name = operation.client
        before = self._clients.get(name)
        lab = self._lab
        owner = RecordingOwner(acknowledges=operation.acknowledges)
        delay_s = operation.will_delay_s
        will = None
        if delay_s is not None:
            will = Will(Frame(topic=TOPICS.presence(name if name in CARS else CARS[0]), payload=b"lost"), delay_s)
        mosquitto = lab.broker.mosquitto
        endpoint = mosquitto.cars if name in CARS else mosquitto.tools
        settings = LinkSettings(
            client_id=name,
            username=name,
            password=lab.broker.secret.password_for(name),
            clean_start=operation.clean_start,
            session_expiry_s=operation.session_expiry_s,
            receive_maximum=operation.receive_maximum,
            will=will,
            subscriptions=operation.filters,
        )
        # One that is taken over shall not come back by itself.
        owner.link = link = lab.make_links(endpoint)(settings, owner, BackOff(lambda: 0.999, first_s=1000, cap_s=1000))
        lab.links.append(link)
        link.open()
        await owner.wait_for_up()
        if before is not None:
            if before.connected:
                await before.owner.wait_for_down()
                before.link.drop()
            self._left.append((name, before))
        self._clients[name] = Client(link, owner)


async def on_mosquitto(operations: list[Operation]) -> list[dict[str, Told]]:
    secret = FleetSecret.new()
    async with PrivateMosquitto(secret=secret, vins=(*VINS[:4], *CARS)) as broker:
        lab = Lab(LiveBroker(broker, secret), swarm_links)
        try:
            return await Stage(lab).play(operations)
        finally:
            await lab.close()


async def simulated(operations: list[Operation]) -> list[dict[str, Told]]:
    lab = SimulatedWorld.new().lab()
    try:
        return await Stage(lab).play(operations)
    finally:
        await lab.close()


@pytest.mark.parametrize("seed", range(8))
def test_same_story_same_deliveries(seed: int) -> None:
    """Deliveries, refusals and ends of each client are the same, step by step."""
    operations = list(story(seed))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        here = runner.run(simulated(operations))
    there = asyncio.run(on_mosquitto(operations))
    assert sum(len(told.deliveries) for step in there for told in step.values()) > 20
    for number, operation in enumerate(operations):
        assert here[number] == there[number], f"step {number} of story {seed}: {operation}"
