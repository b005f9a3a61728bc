"""Cars, users and their links in the hand of a test: time passes and the broker answers only when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any

import msgspec

from fleet.errors import ConnectionLost, LinkError, PublishRefused
from fleet.kernel.draws import stream_key
from fleet.kernel.instants import MINUTE, Cancellable, Instant
from fleet.runtime.assembly import build_cars, vocabulary
from fleet.runtime.car_codec import status_writer_of
from fleet.runtime.link_plan import LinkPlan
from fleet.runtime.recording import Write
from fleet.runtime.scheduled import ScheduledCommand
from fleet.runtime.shard import Shard
from fleet.runtime.users import Users
from fleet.scenario.loader import parse
from fleet.scenario.schema import Scenario
from fleet.transport.link import BackOff, Delivery, LinkOwner, LinkSettings
from fleet.vehicle.car import Car
from fleet.vehicle.outbox import HELLO
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import AnnounceClock, Command, FromCar

DIALECT = FleetDialect()
NO_RIGHT = 0x87
SCENARIO = """\
scenario: small
purpose: Cars that stand in the open.
seed: 7
start: 2026-03-02T05:00Z
duration: 2 h
clock: x60
region: munich
fleets:
{fleets}
{commands}
"""
PARKED = "  - {name: parked, count: 3, models: {Leon: 1}, profile: parked}\n"


def scenario(fleets: str = PARKED, commands: str = "", **changes: Any) -> Scenario:
    """Read a small scenario with these fleets and commands (YAML list items)."""
    text = SCENARIO.format(fleets=fleets, commands=f"commands:\n{commands}" if commands else "")
    return msgspec.structs.replace(parse(text, "small.yaml", vocabulary()), **changes)


def cars_of(made: Scenario, **more: Any) -> list[Car]:
    return build_cars(made, start=vocabulary().start_of(made), boot=7, **more)


class Never:
    """A call that does not come."""

    def cancel(self) -> None: ...


class HandClock:
    """Scenario time that moves when the test says so; a wall microsecond is `factor` of them."""

    def __init__(self, start: Instant, factor: float = 60.0) -> None:
        self.start = start
        self.factor = factor
        self._now = start

    def now(self) -> Instant:
        return self._now

    def wall_us(self) -> int:
        return self.wall_us_at(self._now)

    def at_wall_us(self, wall_us: int) -> Instant:
        return self._now if wall_us == self.wall_us() else self.start + int(wall_us * self.factor)

    def wall_us_at(self, instant: Instant) -> int:
        return int((instant - self.start) / self.factor)

    def call_at(
        self, instant: Instant, callback: Callable[[], object], not_before_s: float = 0.0, not_after_s: float = inf
    ) -> Cancellable:
        """Call back in the running loop; in a test without one, time moves by hand, and whoever wants to be called is not."""
        wait_s = (self.wall_us_at(instant) - self.wall_us()) / 1e6
        with contextlib.suppress(RuntimeError):
            return asyncio.get_running_loop().call_later(min(max(not_before_s, wait_s), not_after_s), callback)
        return Never()

    def move_to(self, instant: Instant) -> None:
        self._now = instant


class HandLink:
    """A `Link` that only notes what it is asked for; the test plays the broker."""

    def __init__(self, settings: LinkSettings, owner: LinkOwner) -> None:
        self.settings = settings
        self.owner = owner
        self.opened = 0
        self.dropped = 0
        self.closed: list[tuple[bool, Frame | None]] = []
        self.published: list[tuple[Frame, int]] = []
        self.acknowledged: list[Delivery] = []
        self._up = False

    @property
    def is_up(self) -> bool:
        return self._up

    def open(self) -> None:
        self.opened += 1

    def publish(self, frame: Frame, token: int) -> None:
        if not self._up:
            raise ConnectionLost("not connected")
        self.published.append((frame, token))

    def acknowledge(self, delivery: Delivery) -> None:
        self.acknowledged.append(delivery)

    def drop(self) -> None:
        self.dropped += 1
        self._up = False

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:
        self.closed.append((end_session, last))
        self._up = False

    # --- the broker's side

    def come_up(self) -> None:
        self._up = True
        self.owner.link_up(True)
        if any(token == HELLO for _, token in self.published):
            self.take(HELLO)

    def go_down(self, error: LinkError | None = None) -> None:
        self._up = False
        self.owner.link_down(error or ConnectionLost("pulled"))

    def take(self, token: int) -> None:
        self.owner.link_acknowledged(token, None)

    def refuse(self, token: int) -> None:
        self.owner.link_acknowledged(token, PublishRefused(self.settings.client_id, "a/topic", NO_RIGHT, "Not authorized"))

    def deliver(self, frame: Frame) -> Delivery:
        delivery = Delivery(frame, len(self.acknowledged) + 1, 1)
        self.owner.link_received(delivery)
        return delivery


class HandLinks:
    """A `LinkFactory` of hand-driven links, by client id."""

    def __init__(self) -> None:
        self.made: dict[str, HandLink] = {}

    def __call__(self, settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> HandLink:
        link = self.made[settings.client_id] = HandLink(settings, owner)
        return link

    def all_up(self) -> None:
        for link in list(self.made.values()):
            link.come_up()


class ShardLab:
    """A shard with its clock and links. `pass_until` lets time pass as the event loop would; `write` takes its journal."""

    def __init__(
        self, made: Scenario | None = None, links: HandLinks | None = None, write: Write | None = None, **plan: Any
    ) -> None:
        self.scenario = made or scenario()
        self.links = links or HandLinks()
        self.clock = HandClock(vocabulary().start_of(self.scenario), float(self.scenario.clock))
        self.shard = Shard(
            clock=self.clock,
            cars=cars_of(
                self.scenario,
                until_stored=plan.get("until_stored", False),
                write_status=status_writer_of(DIALECT, recorded=write is not None),
            ),
            links=self.links,
            dialect=DIALECT,
            plan=LinkPlan(password_for=lambda user: f"password of {user}", **plan),
            record=write,
        )
        self.vins = list(self.shard.cars)

    @property
    def vin(self) -> str:
        return self.vins[0]

    @property
    def link(self) -> HandLink:
        """The first car's link."""
        return self.links.made[self.vin]

    def live(self) -> None:
        """Connect all cars and let their time run."""
        self.shard.connect()
        self.links.all_up()
        self.shard.run()

    def pass_until(self, instant: Instant) -> None:
        self.clock.move_to(instant)
        self.shard._run_due()

    def pass_for(self, duration: int) -> None:
        self.pass_until(self.clock.now() + duration)

    def refresh(self, command_id: str = "c1") -> None:
        """Command the first car to tell its status; it wakes, answers and reports when time passes."""
        now = self.clock.now()
        self.link.deliver(
            DIALECT.to_car(
                self.vin,
                Command(id=command_id, vin=self.vin, name="refresh", issued_at=now, expires_at=now + 30 * MINUTE),
            )
        )

    def messages(self) -> list[tuple[FromCar, int]]:
        """What the first car has published, with the tokens; presence is left out."""
        return [(DIALECT.read_from_car(frame), token) for frame, token in self.link.published if token]


def users_of(
    lab: ShardLab,
    scheduled: Sequence[ScheduledCommand] | Iterable[ScheduledCommand],
    links: HandLinks,
    client_id: str = "users-0-1",
) -> Users:
    return Users(
        scenario=lab.scenario,
        start=lab.clock.start,
        scheduled=list(scheduled),
        shard=lab.shard,
        links=links,
        dialect=DIALECT,
        key=stream_key(lab.scenario.seed, "users", "0"),
        client_id=client_id,
        password="tool's",
        announce=AnnounceClock(id="clock", start=lab.clock.start, epoch_wall_us=0, factor=lab.clock.factor),
    )
