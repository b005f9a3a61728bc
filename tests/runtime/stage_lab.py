"""A small fleet whose load, timeline and stages are played by a test's clock, as the simulator does by its own."""

from __future__ import annotations

from fleet.kernel.instants import Instant
from fleet.runtime.action_executor import ActionExecutor
from fleet.runtime.assembly import vocabulary
from fleet.runtime.car_selector import CarSelector
from fleet.runtime.figures import live_figures
from fleet.runtime.phases import StageMarks, make_actors
from fleet.scenario.loader import parse
from fleet.scenario.schema import Scenario
from fleet.transport.link import BackOff, LinkOwner, LinkSettings
from fleet.vehicle.car import Car
from fleet.wire.frame import Frame
from fleet.wire.messages import CommandRequest, DeskAnswer, DeskRequest, EnrolCar, FromCar, ServiceRequest, SetSpin
from tests.runtime.pure_lab import DIALECT, HandLink, HandLinks, ShardLab, users_of

HEAD = """\
scenario: small
purpose: Cars that stand in the open.
seed: {seed}
start: 2026-03-02T05:00Z
clock: x60
region: munich
fleets:
{fleets}
"""
FLEETS = """\
  - {name: leons, count: 6, models: {Leon: 1}, energies: {Leon: {petrol: 1}}, profile: parked}
  - {name: borns, count: 4, models: {Born: 1}, profile: parked}
"""
ZONE = "Europe/Berlin"


def staged(body: str, fleets: str = FLEETS, seed: int = 7) -> Scenario:
    """Read a scenario of an hour, unless its body has stages."""
    head = HEAD.format(fleets=fleets, seed=seed) + ("" if "stages:" in body else "duration: 1 h\n")
    return parse(head + body, "small.yaml", vocabulary())


class TakingLink(HandLink):
    """Its broker takes every message at once."""

    def publish(self, frame: Frame, token: int) -> None:
        super().publish(frame, token)
        self.owner.link_acknowledged(token, None)


class TakingLinks(HandLinks):
    def __call__(self, settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> TakingLink:
        link = self.made[settings.client_id] = TakingLink(settings, owner)
        return link


class AnsweringLink(HandLink):
    """Behind it is a desk that takes up all that is asked."""

    def publish(self, frame: Frame, token: int) -> None:
        super().publish(frame, token)
        request = DIALECT.read_desk_request(frame)
        if isinstance(request, EnrolCar | SetSpin | CommandRequest):
            is_command = isinstance(request, CommandRequest)
            answer = DeskAnswer(id=request.id, state="queued" if is_command else "succeeded", final=not is_command)
            self.deliver(DIALECT.desk_answer(answer, topic="its own"))


class AnsweringLinks(HandLinks):
    def __call__(self, settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> AnsweringLink:
        link = self.made[settings.client_id] = AnsweringLink(settings, owner)
        return link


class StageLab:
    """Cars, users and actors; `pass_for` lets scenario time pass, each deadline at its own instant."""

    def __init__(self, made: Scenario) -> None:
        self.scenario = made
        self.shard_lab = ShardLab(made, links=TakingLinks())
        self.clock = self.shard_lab.clock
        self.user_links = AnsweringLinks()
        self.users = users_of(self.shard_lab, [], self.user_links)
        self.broker_heard: list[str] = []
        self.network_heard: list[tuple[int, str, bool]] = []
        shard = self.shard_lab.shard
        self.cars: list[Car] = [held.car for held in shard.cars.values()]
        self.actors = make_actors(
            made,
            start=self.start,
            zone=ZONE,
            selector=CarSelector(made, shard.cars.values()),
            executor=ActionExecutor(
                users=self.users,
                broker=self.broker_heard.append,
                network=lambda step, begins: self.network_heard.append((self.clock.now() - self.start, step, begins)),
            ),
            figures=lambda: live_figures(self.cars, self.users.whole, self.clock.now()),
        )
        self.marks = StageMarks(made, self.start, lambda: {"account": shard.account()})
        shard.connect()
        self.shard_lab.links.all_up()
        self.users.open()
        self.user_link.come_up()
        for actor in (*self.actors, self.marks):
            shard.add(actor)

    @property
    def start(self) -> Instant:
        return self.clock.start

    @property
    def user_link(self) -> HandLink:
        (link,) = self.user_links.made.values()
        return link

    def fleet(self, name: str) -> list[Car]:
        return [car for car in self.cars if car.settings.fleet == name]

    def pass_for(self, duration: int) -> None:
        """Move from deadline to deadline."""
        until = self.clock.now() + duration
        timers = self.shard_lab.shard._timers
        while (at := timers.next_deadline()) is not None and at <= until:
            self.shard_lab.pass_until(max(at, self.clock.now()))
        self.shard_lab.pass_until(until)

    def messages(self, car: Car) -> list[FromCar]:
        link = self.shard_lab.links.made.get(car.vin)
        return [DIALECT.read_from_car(frame) for frame, token in link.published if token] if link else []

    def asked(self) -> list[CommandRequest]:
        """What the users have asked of the desk."""
        return [request for request in self._requests() if isinstance(request, CommandRequest)]

    def services(self) -> list[ServiceRequest]:
        """What services of the back end were asked for."""
        return [request for request in self._requests() if isinstance(request, ServiceRequest)]

    def enrolled(self) -> set[str]:
        """Which cars the users have made known to the desk."""
        return {request.vin for request in self._requests() if isinstance(request, EnrolCar)}

    def _requests(self) -> list[DeskRequest]:
        return [DIALECT.read_desk_request(frame) for frame, _ in self.user_link.published]
