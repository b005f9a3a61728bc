"""Drives the cars of one process: one timer heap, one link a car, and no task, timer or tick for each of them.

Carries inputs to the cars and performs what they want done; decides nothing about cars itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import structlog
from msgspec.structs import replace

from fleet.errors import ConnectionLost, LinkError, PublishRefused, Undecodable
from fleet.kernel.deadline_timer import DeadlineTimer
from fleet.kernel.draws import Draws
from fleet.kernel.instants import Clock, Instant
from fleet.kernel.machine import Machine
from fleet.kernel.timers import TimerHeap
from fleet.runtime.car_codec import recorded_car
from fleet.runtime.car_ends import EndOnLink, end_of
from fleet.runtime.link_plan import LinkPlan
from fleet.runtime.recorded_link import recorded_links
from fleet.runtime.recording import Write
from fleet.runtime.shard_counts import Counts, Outage, account_of
from fleet.runtime.shard_ports import Actor, Arrives, Memory
from fleet.transport.link import BackOff, Delivery, Link, LinkFactory, LinkSettings, Will
from fleet.vehicle.car import Car
from fleet.vehicle.outbox import HELLO, UNTIL_HELLO
from fleet.vehicle.signals import (
    Acknowledged,
    Announce,
    CarInput,
    CarOutput,
    Connect,
    Disconnect,
    Drop,
    Executed,
    LinkDown,
    LinkUp,
    PowerOff,
    PowerOn,
    Recall,
    Received,
    Remember,
    RepeatUnstored,
    StayPut,
    Transmit,
)
from fleet.wire.dialect import Dialect
from fleet.wire.frame import Frame
from fleet.wire.messages import Event, FromCar, Presence, Stored, ToCar, WrittenStatus

DEADLINES_PER_TURN: Final = 400
"""Cars woken before the loop may serve its sockets again; more starves them, and the other way round."""
EARLY_S: Final = 0.001
"""The shortest wait when the timer came before the deadline: uvloop rounds to milliseconds, and would come again at once."""
PRESENCE_TOKEN: Final = 0
LATE_US: Final = 100_000
"""A deadline met later than this, in wall time, counts as late."""
DRAIN_S: Final = 10.0
LAST_MARKS_S: Final = 2.0
"""At the end: how long the back end may take to say what it has stored before the rest is sent again."""
UNSTORED_LOOK_S: Final = 2.0
REPEAT_UNSTORED_S: Final = 15.0
"""Wall seconds after which what the broker took and nobody stored is sent again: longer than a back end's restart."""

log = structlog.get_logger()


class CarOnLink:
    """One car and its connection; the owner of the link."""

    __slots__ = (
        "_end", "_link", "_machine", "_oldest_unstored", "_resumes", "_scheduled", "_shard", "_unstored_since_us", "car",
    )  # fmt: skip

    def __init__(self, shard: Shard, car: Car) -> None:
        self.car = car
        self._machine = shard.machine_of(car)
        self._shard = shard
        self._end = end_of(car, shard.dialect, shard.clock, shard.counts.left_out)
        self._link: Link | None = None
        self._resumes: bool | None = None  # a session that was there before this process; None before the first connection
        self._unstored_since_us = 0
        self._oldest_unstored = 0
        self._scheduled: Instant | None = None

    # --- timer heap

    def deadline(self) -> Instant | None:
        """Return it to the heap, which holds it from now on."""
        self._scheduled = self._next_deadline()
        return self._scheduled

    def _next_deadline(self) -> Instant | None:
        deadline = self.car.deadline()
        return deadline if self._end is None else self._end.sooner(deadline)

    def wake(self, at: Instant) -> None:
        if self._end is not None:
            woken = self._end.wake(at)
            self._publish_unnumbered(woken.frames)
            for command in woken.messages:
                self._perform(self._machine.receive(Received(command), at), at)
            deadline = self.car.deadline()
            if deadline is None or deadline > at:
                return
        self._perform(self._machine.wake(at), at)

    def put(self, message: CarInput, at: Instant | None = None) -> None:
        """Hand the car an input, now or as of the instant at which it was due."""
        now = self._shard.clock.now() if at is None else at
        outputs = self._machine.receive(message, now)
        if outputs:
            self._perform(outputs, now)
        deadline = self.car.deadline() if self._end is None else self._next_deadline()  # as below: a call more would cost 1 %
        if deadline != self._scheduled:
            self._scheduled = deadline
            self._shard.reschedule(self)

    def _reschedule(self) -> None:
        deadline = self._next_deadline()
        if deadline != self._scheduled:
            self._scheduled = deadline
            self._shard.reschedule(self)

    # --- the car's outputs

    def _perform(self, outputs: Sequence[CarOutput], now: Instant) -> None:
        for output in outputs:
            match output:
                case Transmit():
                    self._transmit(output)
                case Announce(presence):
                    self._announce(presence, now)
                case Remember(done):
                    self._shard.remember(self.car.vin, done)
                case Connect():
                    self._link = self._link or self._shard.make_link(self, now)
                    self._link.open()
                case Drop():
                    if self._link is not None:
                        self._link.drop()
                case Disconnect(last):
                    if self._link is not None:
                        self._shard.close_link(self._link, *self._last_frames(last, now))
                        self._link = None

    def _transmit(self, output: Transmit) -> None:
        """Send the message; a repeated one has the wall times, and so the bytes, of the first time."""
        message, shard = output.message, self._shard
        entry = self.car.outbox.entry(message.seq)
        if entry.sent_wall_us is None:
            clock = shard.clock
            entry.due_wall_us, entry.sent_wall_us = clock.wall_us_at(output.due_at), clock.wall_us()
        if shard.plan.stamped:
            message = replace(message, due_wall_us=entry.due_wall_us, sent_wall_us=entry.sent_wall_us)
        if self._end is None:
            self._publish(shard.dialect.from_car(message), message.seq)
        else:
            assert not isinstance(message, WrittenStatus), "only a dialect without ends writes ahead"
            self._transmit_by_end(self._end, message, shard.clock.now(), again=output.again)

    def _transmit_by_end(self, end: EndOnLink, message: FromCar, now: Instant, *, again: bool) -> None:
        """Publish the frames of a message, or tell the car that it has none."""
        frames = end.frames_of(message, now, again=again)
        for frame in frames:
            self._publish(frame, message.seq)
        if frames or len(end.waiting) > 1:
            return  # the loop below, further up the stack, goes on: one by one, however many wait in the outbox
        while end.waiting:
            self._perform(self._machine.receive(end.waiting[0], now), now)
            end.waiting.popleft()

    def _announce(self, presence: Presence, now: Instant) -> None:
        if self._end is None:
            self._publish(self._shard.dialect.from_car(presence), PRESENCE_TOKEN)
        else:
            self._publish_unnumbered(self._end.announcement(presence, now))

    def _last_frames(self, last: Presence, now: Instant) -> tuple[Sequence[Frame], Sequence[Frame]]:
        """Return what is said at the end, and what makes the broker forget what it retains."""
        if self._end is not None:
            return self._end.farewell(last, now), self._end.clear()
        frame = self._shard.dialect.from_car(last)
        return (frame,), (Frame(topic=frame.topic, payload=b"", retain=True),)

    def _publish_unnumbered(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self._publish(frame, PRESENCE_TOKEN)

    def _publish(self, frame: Frame, token: int) -> None:
        if self._link is None:
            return
        try:
            self._link.publish(frame, token)
        except ConnectionLost:
            return  # link_down is on its way, and the car repeats what has no outcome
        self._shard.counts.presences.published += token == PRESENCE_TOKEN

    # --- how it connects

    def will(self, now: Instant) -> Frame | None:
        """Return the frame with which the broker tells that the car is lost."""
        presence = self.car.will(now)
        return self._shard.dialect.from_car(presence) if self._end is None else self._end.will(presence)

    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """Return the filters of the car."""
        return self._shard.dialect.topics.car_subscriptions(self.car.vin) if self._end is None else self._end.subscriptions

    # --- the link's calls

    def link_up(self, session_present: bool) -> None:
        self._resumes = session_present if self._resumes is None else False
        self._shard.link_came_up()
        self.put(LinkUp(session_present))
        if self._end is not None:
            self._greeted()  # another dialect may have no word for it

    def _greeted(self) -> None:
        """Have a car go on that waits for the broker's word on its presence."""
        if self.car.outbox.held & UNTIL_HELLO:
            self.put(Acknowledged(HELLO, refused=False))

    def link_down(self, error: LinkError | None) -> None:
        """Tell the car, count what broke, and see whether it was the last connection."""
        was_up = self.car.outbox.is_connected
        if error is not None:
            self._shard.link_failed(self.car.vin, error)
        self.put(LinkDown())
        if was_up:
            self._shard.link_broke()

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        """Tell the car the outcome, and measure the first acknowledgement of each message."""
        if error is not None:
            self._shard.publish_refused(error)
        if token == PRESENCE_TOKEN:
            presences = self._shard.counts.presences
            presences.acknowledged += error is None
            presences.refused += error is not None
            self._greeted()
            return
        shard, outbox = self._shard, self.car.outbox
        if self._end is not None:
            is_last, error = self._end.outcome(error)
            if not is_last:
                return
        now_us = shard.clock.wall_us()
        entry = outbox.awaiting(token)
        if entry is not None and error is None and entry.due_wall_us is not None:
            shard.counts.publish_to_ack.record(now_us - entry.due_wall_us)
        self.put(Acknowledged(token, error is not None), shard.clock.at_wall_us(now_us))
        if outbox.until_stored and not self._unstored_since_us and outbox.unstored:
            self._unstored_since_us = now_us
            shard.waits_for_store(self)

    def _look_at_oldest_unstored(self) -> None:
        """Note since when the oldest message waits to be stored.

        A mark that leaves it where it was changes nothing: while others get through, it may be lost.
        """
        oldest = self.car.outbox.oldest_unstored
        if not oldest:
            self._oldest_unstored = self._unstored_since_us = 0
            self._shard.has_all_stored(self)
        elif oldest != self._oldest_unstored:
            self._oldest_unstored = oldest
            self._unstored_since_us = self._shard.clock.wall_us()

    def repeat_when_overdue(self, now_us: int) -> None:
        """Send again what the broker took and nobody has stored for long, at most once in that time."""
        if self._unstored_since_us and now_us - self._unstored_since_us > REPEAT_UNSTORED_S * 1e6:
            self._unstored_since_us = now_us
            self.put(RepeatUnstored())

    def _came_before(self, delivery: Delivery) -> bool:
        """Tell whether the process before this one may have taken it, and nobody remembers what that has done."""
        return delivery.frame.duplicate and self._resumes is True and not self._shard.remembers

    def link_received(self, delivery: Delivery) -> None:
        try:
            if self._end is None:
                self._take(self._shard.dialect.read_to_car(delivery.frame), delivery)
            else:
                self._hear(self._end, delivery)
        except Undecodable as error:
            self._shard.message_refused(self.car.vin, delivery.frame, error)
            if self._end is not None:
                self._reschedule()  # it may have an answer for its sender
        if self._link is not None:
            self._link.acknowledge(delivery)

    def _take(self, message: ToCar, delivery: Delivery) -> None:
        self._shard.took(self.car.vin, delivery.frame, message)
        self.put(Received(message, before=self._came_before(delivery)))
        if isinstance(message, Stored):
            self._look_at_oldest_unstored()

    def _hear(self, end: EndOnLink, delivery: Delivery) -> None:
        heard = end.read(delivery.frame, self._shard.clock.now())
        self._publish_unnumbered(heard.frames)
        for message in heard.messages:
            self._take(message, delivery)
        if not heard.messages:
            self._reschedule()


class HeardCar(CarOnLink):
    """A car on its link whose events somebody listens to, each as it first leaves the car's outbox."""

    __slots__ = ()

    def _perform(self, outputs: Sequence[CarOutput], now: Instant) -> None:
        super()._perform(outputs, now)
        for output in outputs:
            if isinstance(output, Transmit) and isinstance(output.message, Event) and not output.again:
                self._shard.hears(output.message)


def _no_jitter() -> float:
    """Wait the whole window: then cars that lost their connection together come back together."""
    return 1.0


async def wait_until(condition: Callable[[], bool], timeout_s: float, *, every_s: float = 0.01) -> bool:
    """Look at `condition` again and again until it holds; False when it does not in time."""
    ends = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        if asyncio.get_running_loop().time() >= ends:
            return False
        await asyncio.sleep(every_s)
    return True


class Shard:
    """Some of a scenario's cars, alive in real or scaled time."""

    def __init__(
        self,
        *,
        clock: Clock,
        cars: Iterable[Car],
        links: LinkFactory,
        dialect: Dialect,
        plan: LinkPlan,
        hears: Callable[[Event], None] | None = None,
        memory: Memory | None = None,
        record: Write | None = None,
        arrives: Arrives | None = None,
    ) -> None:
        """Take the cars, and what makes their links; nothing happens before `connect`.

        `hears` listens to the cars' events, `arrives` to what comes to them; `memory` outlives this process; `record` takes the
        part of a journal that is about the cars and their links.
        """
        self.clock = clock
        self.dialect = dialect
        self.counts = Counts()
        self._record = record
        self.hears = hears or (lambda _event: None)
        self._arrives = arrives
        on_link = CarOnLink if hears is None else HeardCar
        self.cars = {car.vin: on_link(self, car) for car in cars}
        self.first_error: LinkError | None = None
        self._links = links if record is None else recorded_links(links, record, clock.now, dialect.topics)
        self._memory = memory
        self.plan = plan
        self._timers: TimerHeap[Actor] = TimerHeap()
        self._timer = DeadlineTimer(clock.call_at, self._timers.next_deadline, self._run_due, keeps_early=True)
        self._look_handle: asyncio.TimerHandle | None = None
        self._unstored: dict[CarOnLink, None] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._running = False

    def machine_of(self, car: Car) -> Machine[CarInput, CarOutput]:
        """Return the car as it is driven: with a journal, where one is kept."""
        return car if self._record is None else recorded_car(car, self._record)

    # --- life

    def connect(self) -> None:
        """Switch all cars on: they connect where there is coverage. Their time does not run yet."""
        for vin, car in self.cars.items():
            if self._memory is not None and (executed := self._memory.recall(vin)):
                car.put(Recall(executed))
            car.put(PowerOn())

    @property
    def remembers(self) -> bool:
        """Whether something outlives this process of what its cars have executed."""
        return self._memory is not None

    def remember(self, vin: str, done: Executed) -> None:
        """Write down what a car does with a command, where something outlives this process."""
        if self._memory is not None:
            self._memory.remember(vin, done, self.clock.wall_us_at(done.expires_at))

    def run(self) -> None:
        """Let time run: from now on the heap wakes the cars."""
        self._running = True
        self._timer.rearm()

    # --- delivery until stored

    def waits_for_store(self, car: CarOnLink) -> None:
        """Look now and then whether what the broker took from this car gets stored."""
        self._unstored[car] = None
        if self._look_handle is None:
            self._look_handle = asyncio.get_running_loop().call_later(UNSTORED_LOOK_S, self._look_at_unstored)

    def has_all_stored(self, car: CarOnLink) -> None:
        """Look no more."""
        self._unstored.pop(car, None)

    def _look_at_unstored(self) -> None:
        now_us = self.clock.wall_us()
        for car in list(self._unstored):
            car.repeat_when_overdue(now_us)
        again = asyncio.get_running_loop().call_later(UNSTORED_LOOK_S, self._look_at_unstored) if self._unstored else None
        self._look_handle = again

    @property
    def waiting_to_connect(self) -> int:
        """How many cars want a connection and have none."""
        return sum(1 for _ in self.unconnected())

    def unconnected(self) -> Iterator[CarOnLink]:
        """Yield the cars that want a connection and have none."""
        return (held for held in self.cars.values() if held.car.outbox.wants_connection and not held.car.outbox.is_connected)

    def stay_put(self) -> None:
        """Let no driver start a further trip: what is still to come are the ends of drives and commands."""
        for car in self.cars.values():
            car.put(StayPut())

    async def stop(self) -> None:
        """Let no more time pass for the cars, give what is under way a bounded while, and disconnect all."""
        self._running = False
        self._timer.cancel()
        if not await self._drained():
            log.warning("messages without their last word at the end", cars=sum(1 for _ in self.sending()))
        if self._look_handle is not None:
            self._look_handle.cancel()
        for car in self.cars.values():
            car.put(PowerOff())
        while self._closing:
            await asyncio.wait(self._closing)

    async def _drained(self) -> bool:
        """Wait until all has its last word, bounded. What nobody has stored by then is repeated once, without waiting longer."""

        def done() -> bool:
            return not any(self.sending())

        if self.plan.until_stored and not await wait_until(done, LAST_MARKS_S):
            for car in list(self._unstored):
                car.put(RepeatUnstored())
        return await wait_until(done, DRAIN_S)

    def sending(self) -> Iterator[CarOnLink]:
        """Yield the cars that wait for the broker's, or the store's, word on what they have sent."""
        return (car for car in self.cars.values() if car.car.outbox.is_connected and car.car.outbox.is_sending)

    # --- time

    def add(self, actor: Actor) -> None:
        """Let the timer heap wake another actor, such as the users."""
        self.reschedule(actor)

    def add_car(self, car: Car) -> CarOnLink:
        """Take another car; it is not switched on yet."""
        held = self.cars[car.vin] = CarOnLink(self, car)
        return held

    def next_deadline(self) -> Instant | None:
        """Return when an actor next wants to be woken; for who moves the time by hand, instead of `run`."""
        return self._timers.next_deadline()

    def wake_due(self, now: Instant) -> None:
        """Wake whoever is due, once each."""
        for at, actor in self._timers.pop_due(now, DEADLINES_PER_TURN):
            actor.wake(at)
            self._timers.set(actor, actor.deadline())

    def reschedule(self, actor: Actor) -> None:
        """Note the actor's next deadline, and look at the clock earlier if it is the first one now."""
        if self._timers.set(actor, actor.deadline()) and self._running:
            self._timer.rearm()

    def _run_due(self) -> None:
        clock, timers, counts = self.clock, self._timers, self.counts
        wall_us = clock.wall_us()
        not_before_s = EARLY_S
        try:
            for at, actor in timers.pop_due(clock.at_wall_us(wall_us), DEADLINES_PER_TURN):
                not_before_s = 0.0
                behind_us = wall_us - clock.wall_us_at(at)
                counts.lag.record(behind_us)
                counts.late += behind_us > LATE_US
                actor.wake(at)
                timers.set(actor, actor.deadline())
        finally:
            if self._running:
                self._timer.rearm(not_before_s)  # a defect in one car must not stop the time of all the others

    # --- links

    def make_link(self, owner: CarOnLink, now: Instant) -> Link:
        """Make the link of a car: its VIN is client id and user name, and its will tells when it is lost."""
        vin = owner.car.vin
        settings = LinkSettings(
            client_id=vin,
            username=vin,
            password=self.plan.password_for(vin),
            keep_alive_s=self.plan.keep_alive_s,
            acknowledge_timeout_s=self.plan.acknowledge_timeout_s,
            session_expiry_s=self.plan.session_expiry_s,
            will=None if (will := owner.will(now)) is None else Will(will, self.plan.will_delay_s),
            subscriptions=owner.subscriptions(),
        )
        draws = Draws(owner.car.key, "back-off")
        draw = draws.unit if self.plan.jitter else _no_jitter
        back_off = BackOff(draw, first_s=self.plan.first_back_off_s, cap_s=self.plan.longest_back_off_s)
        return self._links(settings, owner, back_off)

    def close_link(self, link: Link, said: Sequence[Frame], cleared: Sequence[Frame]) -> None:
        """Publish what is `said` at the end, and close in the background; `stop` waits for it."""
        # Those who listen hear of it first; then the broker forgets what it would send to those who come later.
        frames = (*said, *cleared) if self.plan.clear_presence else tuple(said)
        if link.is_up:
            for frame in frames[:-1]:
                link.publish(frame, PRESENCE_TOKEN)
                self.counts.presences.published += 1
        last = frames[-1] if frames else None
        task = asyncio.create_task(link.close(end_session=self.plan.end_session, last=last), name="close link")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def link_came_up(self) -> None:
        """Count it; an outage ends with the first car that is back."""
        self.counts.connects += 1
        if self.counts.outages and self.counts.outages[-1].to_wall_us is None:
            self.counts.outages[-1].to_wall_us = self.clock.wall_us()

    def link_broke(self) -> None:
        """Note an outage when the last connection is gone and cars want one."""
        if self._running and not any(held.car.outbox.is_connected for held in self.cars.values()):
            self.counts.outages.append(Outage(self.clock.wall_us(), self.clock.now()))

    def link_failed(self, vin: str, error: LinkError) -> None:
        """Count it; the link goes on trying."""
        name = type(error).__name__
        self.counts.losses += 1
        if not self.counts.link_errors[name]:
            log.warning("car has no connection", vin=vin, error=str(error), hint=error.hint)
        self.counts.link_errors[name] += 1
        self.counts.ends.note(error)
        self.first_error = self.first_error or error

    def took(self, vin: str, frame: Frame, message: ToCar) -> None:
        """Tell whoever listens which message a car has got."""
        if self._arrives is not None:
            self._arrives(vin, frame, message)

    def message_refused(self, vin: str, frame: Frame, error: Undecodable) -> None:
        """Count a message that a car cannot read, and tell the first of each reason."""
        if self._arrives is not None:
            self._arrives(vin, frame, error)
        if not self.counts.unreadable[error.reason]:
            log.warning("car refused a message", vin=vin, topic=frame.topic, reason=error.reason)
        self.counts.unreadable[error.reason] += 1

    def publish_refused(self, error: PublishRefused) -> None:
        """Count it, and tell it once for each reason and kind of topic."""
        refusal = f"{error.name}: {self.dialect.topics.kind_of(error.topic)}"
        if not self.counts.refusals[refusal]:
            log.warning("publish refused", error=str(error), hint=error.hint)
        self.counts.refusals[refusal] += 1

    # --- account and states

    def account(self) -> dict[str, int]:
        """Return the cars' part of the account, summed up."""
        return account_of(held.car.outbox for held in self.cars.values())

    def outboxes(self) -> dict[str, dict[str, object]]:
        """Return boot and sequence numbers of what cars still hold, by VIN, for those that hold any."""
        return {
            vin: {"boot": held.car.outbox.boot, "seqs": held.car.outbox.open_seqs}
            for vin, held in self.cars.items()
            if held.car.outbox.in_outbox
        }

    def states(self) -> tuple[Counter[str], Counter[str]]:
        """Count the cars by vehicle state and by connection, now."""
        now = self.clock.now()
        cars = [held.car for held in self.cars.values()]
        return Counter([car.state(now) for car in cars]), Counter([car.connection(now) for car in cars])
