"""Takes the messages of cars and tools, has them stored in batches, and acknowledges them only then.

Nothing that arrives can stop it: a message that is not understood goes to quarantine with its reason. When a decision or a
commit fails, all that is not committed is undone as a restart would undo it: desk and centre begin anew from the store, and the
messages are taken again, each committed alone; the one that fails again goes to quarantine as `internal`. The broker's Receive
Maximum bounds how much can be collected while a batch is being committed.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, Literal

import structlog

from fleet.backend.batching import BATCH_MESSAGES, Pending
from fleet.backend.centre_driver import CentreDriver
from fleet.backend.context import BackendContext
from fleet.backend.desk_driver import DeskDriver
from fleet.backend.echo import Echo
from fleet.backend.needles import Needle
from fleet.backend.publisher import Publisher
from fleet.backend.reading import UNANSWERED, FrameReader
from fleet.backend.store import Arrival, Committed, Loaded
from fleet.backend.wiping import Wiper
from fleet.cloud.car_settings import EVENTS as SETTINGS_EVENTS
from fleet.cloud.desk_io import INTERNAL, Answer, CarAnswered, CarSeen, CarSwitched, PresenceChanged
from fleet.cloud.rule import Notify
from fleet.errors import ConnectionLost, LinkError, PublishRefused, StoreFull, StoreGone, StoreLocked, Undecodable, error_place
from fleet.kernel.instants import format_instant
from fleet.observe.histogram import Histogram
from fleet.transport.link import ConnectionEnds, Delivery, Link, LinkOwner
from fleet.wire.frame import Frame
from fleet.wire.intake import storable
from fleet.wire.messages import (
    AnnounceClock,
    DeskAnswer,
    DeskRequest,
    Event,
    FromCar,
    Presence,
    Request,
    Response,
    ServiceRequest,
    Status,
)

RECEIVE_MAXIMUM: Final = 4 * BATCH_MESSAGES
"""At least two batches: one being committed, one collecting. The rest keeps the broker from waiting for us."""
UNACKNOWLEDGED_LIMIT: Final = 2 * RECEIVE_MAXIMUM
UNACKNOWLEDGED_BYTES: Final = 32 << 20
UNREADABLE_CALLS: Final = 100
"""Emergency calls of one car that are passed on although they cannot be read, since the back end began."""
UNREADABLE_CALLERS: Final = 1_000
CALLS_LEFT_OUT: Final = "unreadable emergency calls were not passed on: there had been too many"
UNSAFE_DROPPED: Final = "messages at QoS 0 were dropped: they came faster than they could be stored"
LOOP_ROWS_MAX: Final = RECEIVE_MAXIMUM
"""Rows that are committed on the event loop: some 15 ms for a batch, 50 ms for all the broker sends without an acknowledgement.
In the writer thread the same commit takes twice as long and more CPU, as both threads wait for the interpreter's lock in
turn; it is there for floods that nothing holds back."""
ECHO_TOKEN: Final = -1
"""Of the message to ourselves; nobody waits for its outcome."""
ECHO_EXPIRY_S: Final = 60
_COPY_BACK_S: Final = 0.5
"""How often the store's log is copied back while it grows."""
_RETRY_FIRST_S: Final = 0.25
_RETRY_LAST_S: Final = 5.0
_AHEAD_NAMED: Final = 100
"""Cars whose clock is off and that are named."""
_UNDONE: Final = "the back end failed at this request; it was undone"

_log = structlog.get_logger(__name__)


class Consumer:
    """A `LinkOwner`: from link to store and back. `run` must be running for anything to be stored."""

    def __init__(
        self,
        context: BackendContext,
        desk: DeskDriver,
        centre: CentreDriver,
        loaded: Loaded,
        connect: Callable[[LinkOwner], Link],
        *,
        announce_stored: bool = False,
        echo_topic: str = "",
    ) -> None:
        """Take the parts that decide, and `connect`, which makes the link; `announce_stored` tells cars their stored numbers.

        `committed` is called after each commit. `echo_topic` is one that is subscribed and that we may write, for `watch`.
        """
        self._context = context
        self._store = context.store
        self._dialect = dialect = context.dialect
        self._clock = context.clock
        self._wall_us = context.wall_us
        self._desk = desk
        self._centre = centre
        self._link = link = connect(self)
        self.publisher = Publisher(context, link, desk, centre)
        self._announce_stored = announce_stored
        self._desk_topic = dialect.topics.desk_request()
        self._echo_topic = echo_topic
        self._known = set(loaded.vins)
        self._presence_boot = loaded.presence_boots
        self._forgotten = context.forgotten
        self._frames = FrameReader(dialect)
        self._read = self._frames.read
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fleet-store")
        self._copier = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fleet-copy")
        self._copying: asyncio.Future[None] | None = None
        self._copied_s = 0.0
        self._arriving: deque[Delivery] | None = None
        self._abandon = asyncio.Event()
        self._committing = False
        self._wiper = Wiper(context, self.publisher.send, self._copier, self._writer)
        if self._forgotten:  # the back end before this one may have been killed before the log was empty
            self._wiper.begin((), ())
        self._echo = Echo()
        self._handled: set[tuple[str, int, int]] = set()
        self.stored = 0
        self.duplicates = 0
        self.erased = 0
        self.unsafe_dropped = 0
        self.calls_left_out = 0
        self._unreadable_calls: Counter[str] = Counter()
        self.arrived = 0
        self.arrived_safely = 0
        self.stalls = 0
        self.quarantined: Counter[str] = Counter()
        self._named: set[str] = set()
        self._latest_plausible = 0
        self._ahead: set[str] = set()
        self.publish_to_stored = Histogram()
        self.commit_us = Histogram()
        self.batch_messages = Histogram()
        self.round_trip = Histogram()
        self.round_trip_waking = Histogram()
        self.refusal: LinkError | None = None
        self.ends = ConnectionEnds()

    @property
    def cars(self) -> int:
        """How many cars are known."""
        return len(self._known)

    @property
    def beyond(self) -> dict[str, int]:
        """How much there was beyond each bound, in words."""
        unsafe = {UNSAFE_DROPPED: self.unsafe_dropped} if self.unsafe_dropped else {}
        calls = {CALLS_LEFT_OUT: self.calls_left_out} if self.calls_left_out else {}
        return {**self._store.beyond, **unsafe, **calls}

    @property
    def is_idle(self) -> bool:
        """True while nothing waits for a commit."""
        pending = self._context.pending
        busy = pending.batch.presences or self._context.in_doubt or self._arriving
        return pending.empty and not busy and self._wiper.is_idle

    # --- LinkOwner

    def link_up(self, session_present: bool) -> None:
        """Publish everything that waited."""
        self.refusal = None
        _log.info("connected to the broker", session_present=session_present)
        self.publisher.link_up()

    def link_down(self, error: LinkError | None) -> None:
        """Note why; the link is trying again. What is collected is stored, but acknowledged in vain: it comes again."""
        is_new = str(error) != str(self.refusal)  # an outage is many attempts that fail alike
        self.refusal = error
        self.ends.note(error)
        if error is not None and is_new and not self._context.is_stopping:
            self._context.warn(f"the connection to the broker is gone: {error}. {error.hint}".rstrip())

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        """Pass on the outcome of a publish."""
        if token != ECHO_TOKEN:
            self.publisher.acknowledged(token, error)

    def link_received(self, delivery: Delivery) -> None:
        """Decode into the batch, or into its quarantine."""
        if self._context.is_stopping:
            return  # not acknowledged, so the broker keeps it for the next back end
        self.arrived += 1
        waiting = self._arriving
        if delivery.frame.qos:
            self.arrived_safely += 1
        elif not self._has_room_for(delivery):
            self.unsafe_dropped += 1
            self._context.warn_of(UNSAFE_DROPPED, self.unsafe_dropped)
            return
        if waiting is None:
            self._receive(delivery)
            self._context.changed()
        else:
            waiting.append(delivery)

    def _has_room_for(self, delivery: Delivery) -> bool:
        """Tell whether a delivery at QoS 0 is taken: nothing holds its sender back, so there is no other bound on memory."""
        pending = self._context.pending
        held = pending.size if self._arriving is None else len(self._arriving)
        pending.unsafe_bytes += len(delivery.frame.payload)
        return held < UNACKNOWLEDGED_LIMIT and pending.unsafe_bytes <= UNACKNOWLEDGED_BYTES

    # --- decoding

    def _receive(self, delivery: Delivery) -> None:
        """Take a delivery into the batch: what it says, what desk and centre make of it, or why not."""
        frame = delivery.frame
        context = self._context
        pending = context.pending
        if frame.qos:
            pending.deliveries.append(delivery)
        received_at = self._wall_us()
        try:
            message, arrival = self._read(frame, received_at)
        except Undecodable as error:
            if frame.topic == self._echo_topic:
                self._echo.came_back()
            else:
                self._quarantine(frame, error, received_at)
        except Exception as error:  # noqa: BLE001 (one message must not stop all the others)
            _log.error("a message could not be read", topic=frame.topic[:120], error=error_place(error))
            self._quarantine(frame, _internal(error), received_at)
        else:
            if not frame.qos:
                pending.unsafe.append(delivery)
            if context.in_doubt:
                return  # it is taken again with the others
            try:
                if arrival is not None:
                    self._decide(message, arrival)
                elif message is not None:
                    self._decide_unnumbered(message, frame)
            except Exception as error:  # noqa: BLE001 (it is undone, told, and tried again)
                context.doubt(f"what came on {frame.topic[:120]!r}", error)

    def _look_at_clock(self, arrival: Arrival) -> None:
        """Warn of a car whose clock is ahead of ours, once; what it says is taken all the same."""
        self._latest_plausible = latest = self._clock.latest_plausible()
        vin = arrival.vin
        if arrival.captured_at > latest and vin not in self._ahead and len(self._ahead) < _AHEAD_NAMED:
            self._ahead.add(vin)
            said, now = format_instant(arrival.captured_at), format_instant(self._clock.now())
            self._context.warn(f"a clock is off: {vin} measured at {said}, and it is {now}")

    def _decide(self, message: FromCar, arrival: Arrival) -> None:
        """Give desk and centre what a car numbers."""
        vin = arrival.vin
        if self._forgotten:
            plausible = self._clock.latest_plausible()
            if self._forgotten.refuses(message, is_known=vin in self._known, plausible=plausible):
                self._leave_forgotten(message, arrival)
                return
        if vin not in self._known:
            self._hear_of(vin)
        if arrival.captured_at > self._latest_plausible:
            self._look_at_clock(arrival)
        self._context.pending.batch.arrivals.append(arrival)
        if type(message) is Status:  # nearly all there is under load
            return
        if type(message) is Response:
            self._desk.feed(CarAnswered(message))
        elif type(message) is Event or type(message) is Request:
            self._serve(message)

    def _leave_forgotten(self, message: FromCar, arrival: Arrival) -> None:
        """Count a message of a car that was erased, and keep nothing of it; an answer tells the desk that the car has obeyed."""
        mark = self._forgotten.mark(arrival.vin)
        is_known = arrival.vin in self._known
        self._context.pending.batch.forgotten.append((arrival, is_known or mark is None or not mark.whole))
        if type(message) is Response:
            self._desk.feed(CarAnswered(message))

    def _decide_unnumbered(self, message: Presence | DeskRequest, frame: Frame) -> None:
        """Give the desk a car's presence, and desk or centre a tool's request."""
        if type(message) is Presence:
            vin = message.vin
            if self._forgotten and vin not in self._known and (mark := self._forgotten.mark(vin)) is not None and mark.whole:
                return
            if vin not in self._known:
                self._hear_of(vin)
            self._context.pending.batch.presences.append(message)
            if message.boot >= self._presence_boot.get(vin, 0):
                self._presence_boot[vin] = message.boot
                self._desk.feed(PresenceChanged(vin, message.connection, message.reason))
            return
        self._context.pending.urgent = True
        topic = frame.response_topic or ""
        if type(message) is ServiceRequest:
            self._centre.ask(message, topic)
            return
        self._desk.ask(message, topic, comes_again=not frame.qos)
        if type(message) is AnnounceClock:
            self._centre.clock_changed()
            self._latest_plausible = 0

    def _hear_of(self, vin: str) -> None:
        self._known.add(vin)
        self._desk.feed(CarSeen(vin))

    def forget_car(self, vin: str) -> None:
        """Know a car no more, before the batch that erases it is committed: what comes meanwhile is of an erased car."""
        self._known.discard(vin)
        self._presence_boot.pop(vin, None)

    def _serve(self, message: Event | Request) -> None:
        """Give desk and service centre what is new. What comes of it is committed with the message: both once, or neither."""
        switch = message if isinstance(message, Event) and message.name in SETTINGS_EVENTS else None
        wanted = self._centre.wants(message)
        if switch is None and not wanted:
            return
        pending = self._context.pending
        if message.seq:  # but for a call whose number cannot be read
            number = (message.vin, message.boot, message.seq)
            if number in self._handled or self._store.is_stored(*number):
                return
            self._handled.add(number)
            pending.handled.append(number)
        pending.urgent |= type(message) is Request
        if switch is not None:
            self._desk.feed(CarSwitched(switch))
        if wanted:
            self._centre.feed(message)

    def _tell_asker(self, frame: Frame, state: Literal["rejected", "failed"], reason: str, detail: str) -> None:
        """Answer a request by its correlation data, whatever else is wrong with it."""
        if frame.response_topic and frame.correlation is not None:
            self._context.answer(frame.response_topic, self._answer_of(frame.correlation, state, reason, detail))

    def _answer_of(self, correlation: bytes, state: Literal["rejected", "failed"], reason: str, detail: str) -> DeskAnswer:
        asked = storable(correlation[:100].decode(errors="replace"))
        return DeskAnswer(id=asked, state=state, reason=reason, detail=detail, final=True, at=self._clock.now())

    def _quarantine(self, frame: Frame, error: Undecodable, received_at: int) -> None:
        """Keep a frame that is not understood, and answer whoever asked; an emergency call is passed on all the same."""
        self._hold(frame, error, received_at)
        if frame.topic == self._desk_topic and error.reason not in UNANSWERED:
            self._tell_asker(frame, "rejected", "malformed", error.reason)
        if (call := self._dialect.emergency_of(frame, self._clock.now())) is not None and self._passes_on(call.vin):
            self._context.attempt("an emergency call", self._serve, call)

    def _passes_on(self, vin: str) -> bool:
        """Tell whether one more unreadable call of a car is passed on: who floods with them shall not fill the disk."""
        calls = self._unreadable_calls
        if calls[vin] < UNREADABLE_CALLS and (vin in calls or len(calls) < UNREADABLE_CALLERS):
            calls[vin] += 1
            return True
        self.calls_left_out += 1
        self._context.warn_of(CALLS_LEFT_OUT, self.calls_left_out)
        return False

    def _hold(self, frame: Frame, error: Undecodable, received_at: int) -> None:
        self._context.pending.batch.quarantined.append(self._frames.held(frame, error, received_at))
        if error.reason not in self._named:
            self._named.add(error.reason)
            self._context.warn(f"first message in quarantine for {error.reason!r}: {error.detail[:120]}")

    # --- committing

    async def run(self) -> None:
        """Commit batch after batch until `finish`; raises StoreError when the store fails for good."""
        context = self._context
        while True:
            await context.wait_until_due()
            await self._wiper.go_on(to_the_end=context.is_stopping)
            if self.is_idle:
                if context.is_stopping:
                    return
                continue
            self._committing = True
            if not await (self._take_again(Pending()) if context.in_doubt else self._commit_batch()):
                return
            self._committing = False
            if self._store.has_log:
                await self._keep_the_log_short()
            if context.is_stopping:
                context.due.set()

    async def _commit_batch(self) -> bool:
        """Commit what was collected, and let it have its effect; what fails is taken again. False once `abandon` was called."""
        pending = self._context.take_batch()
        try:
            needles = self._needles_of(pending) if pending.batch.erased else []
            committed = await self._commit(pending)
        except StoreGone:
            raise
        except Exception as error:  # noqa: BLE001 (if it is the store's fault, the next commit raises it again)
            self._context.doubt("a commit", error)
            return await self._take_again(pending)
        if committed is None:
            return False
        if pending.batch.erased:
            self._begin_to_wipe(pending, needles)
        return self._finish(pending, committed)

    def _needles_of(self, pending: Pending) -> list[Needle]:
        """Return what is to be found no more once the batch is stored."""
        return [needle for erased in pending.batch.erased for needle in self._store.needles_of(erased)]

    def _begin_to_wipe(self, pending: Pending, needles: Sequence[Needle]) -> None:
        """Look for traces of what was erased, and answer whoever asked for it after that."""
        asked = {each.request for each in pending.batch.erased}
        held = [action for action in pending.actions if isinstance(action, Answer) and action.answer.id in asked]
        pending.actions = [action for action in pending.actions if action not in held]
        self._wiper.begin(needles, held)

    async def _take_again(self, undone: Pending) -> bool:
        """Undo this batch and the one being collected, and commit their messages one by one. False once `abandon` was called.

        Raises what keeps even a message in quarantine from being stored: then it is the store's fault.
        """
        batches = (undone, self._context.pending)
        waiting = self._arriving = deque(delivery for each in batches for delivery in (*each.deliveries, *each.unsafe))
        try:
            self._undo()
            while waiting:
                if not await self._take_alone(waiting.popleft()):
                    return False
        finally:
            self._arriving = None
        return True

    async def _take_alone(self, delivery: Delivery) -> bool:
        """Commit one delivery with what comes of it, or else the delivery in quarantine. False once `abandon` was called."""
        where = f"what came on {delivery.frame.topic[:120]!r}"
        context = self._context
        for step in (self._receive, self._give_up, self._let_go):
            if context.in_doubt:
                self._undo()
            context.attempt(where, step, delivery)
            if context.in_doubt:
                continue
            pending = context.take_batch()
            try:
                needles = self._needles_of(pending) if pending.batch.erased else []
                committed = await self._commit(pending)
            except StoreGone:
                raise
            except Exception as error:  # noqa: BLE001 (if it is the store's fault, the last step fails, too)
                context.doubt(f"the commit of {where}", error)
            else:
                if committed is None:
                    return False
                if pending.batch.erased:
                    self._begin_to_wipe(pending, needles)
                return self._finish(pending, committed)
        assert context.cause is not None, "a step fails with an error"
        raise context.cause

    def _undo(self) -> None:
        """Begin anew from the store, as after a restart."""
        context = self._context
        context.take_batch()
        self._handled.clear()
        context.in_doubt = False
        self._store.forget()
        loaded = self._store.load()
        self._known = set(loaded.vins)
        self._presence_boot = loaded.presence_boots
        self._clock.begin_anew(loaded.meta)
        self._desk.begin_anew(loaded)
        self._centre.begin_anew(loaded)

    def _give_up(self, delivery: Delivery) -> None:
        """Have a message in quarantine that cannot be taken, and answer whoever asked; an emergency goes on all the same."""
        frame, now = delivery.frame, self._clock.now()
        if frame.qos:
            self._context.pending.deliveries.append(delivery)
        self._hold(frame, _internal(self._context.cause), self._wall_us())
        if frame.topic == self._desk_topic:
            self._tell_asker(frame, "failed", INTERNAL, _UNDONE)
        elif (call := self._dialect.emergency_of(frame, now)) is not None:
            notice = Notify(call.vin, "emergency_centre", call.name, {**call.data, "country": None}, now)
            self._context.pending.write(notice, self._wall_us())

    def _let_go(self, delivery: Delivery) -> None:
        """Have a message in quarantine of which not even the number can be kept."""
        frame, pending = delivery.frame, self._context.pending
        if frame.qos:
            pending.deliveries.append(delivery)
        pending.batch.quarantined.append(self._frames.held(frame, _internal(self._context.cause), self._wall_us(), bare=True))
        if frame.topic == self._desk_topic and frame.response_topic and frame.correlation is not None:
            answer = self._answer_of(frame.correlation, "failed", INTERNAL, _UNDONE)
            pending.after_commit(Answer(frame.response_topic, answer))
        if self._dialect.emergency_of(frame, self._clock.now()) is not None:
            self._context.warn(f"an emergency call could not be passed on: {frame.topic[:120]!r}")

    async def _keep_the_log_short(self) -> None:
        """Have the store's log copied back beside the commits, and when that is done let it begin anew between two."""
        loop = asyncio.get_running_loop()
        if self._copying is None:
            if loop.time() - self._copied_s >= _COPY_BACK_S:
                self._copying = loop.run_in_executor(self._copier, self._store.copy_back)
        elif self._copying.done():
            self._copying.result()
            self._copying = None
            await loop.run_in_executor(self._writer, self._store.restart_log)
            self._copied_s = loop.time()

    async def _commit(self, pending: Pending) -> Committed | None:
        """Commit, however long the disk stays full; None once `abandon` was called. Nothing is acknowledged meanwhile."""
        loop = asyncio.get_running_loop()
        wait_s = _RETRY_FIRST_S
        while True:
            begun = self._wall_us()
            try:
                if pending.batch.size <= LOOP_ROWS_MAX:
                    committed = self._store.commit(pending.batch, begun)
                else:
                    committed = await loop.run_in_executor(self._writer, self._store.commit, pending.batch, begun)
            except (StoreFull, StoreLocked) as error:
                self._context.warn(f"{error}; trying again, and taking no more from the broker meanwhile")
                try:
                    await asyncio.wait_for(self._abandon.wait(), wait_s)
                except TimeoutError:
                    wait_s = min(2 * wait_s, _RETRY_LAST_S)
                    continue
                return None
            if wait_s > _RETRY_FIRST_S:
                self._context.warn("there is room again; storing goes on")
            self.commit_us.record(self._wall_us() - begun)
            return committed

    def _finish(self, pending: Pending, committed: Committed) -> bool:
        """Acknowledge in the order of arrival, then do what had to wait for the commit. True: it can go on."""
        link, publisher = self._link, self.publisher
        for held in pending.batch.quarantined:
            self.quarantined[held.reason] += 1
        for _, held in committed.refused:
            self.quarantined[held.reason] += 1
        for what, count in self._store.beyond.items():
            self._context.warn_of(what, count)
        try:
            self._context.recorder.committed(pending.batch, committed)
        except Exception as error:  # noqa: BLE001 (what is stored is acknowledged, whoever else wants to know of it)
            self._context.warn(f"a commit could not be told on: {error_place(error)}")
        for delivery in pending.deliveries:
            link.acknowledge(delivery)
        for action in pending.actions:
            publisher.send(action)
        for call in pending.stored:
            call()
        self._handled.difference_update(pending.handled)  # from now on the store knows them
        if self._announce_stored:
            publisher.send_stored(committed.marks)
        done_at = self._wall_us()
        record = self.publish_to_stored.record
        for arrival in committed.fresh:
            due = arrival.due_wall_us
            if due is not None:
                record(done_at - due)
        for due, awake in pending.round_trips:
            (self.round_trip if awake else self.round_trip_waking).record(done_at - due)
        self.stored += len(committed.fresh)
        self.duplicates += committed.duplicates
        if committed.erased:
            self.erased += sum(count for count, _ in committed.erased.values())
        if pending.batch.arrivals:
            self.batch_messages.record(len(pending.batch.arrivals))
        return True

    async def watch(self, echo: Echo) -> None:
        """Look whether what the broker has for us still comes, and connect again when it does not."""
        self._echo = echo
        link, loop = self._link, asyncio.get_running_loop()
        while True:
            await asyncio.sleep(echo.after_s / 5)
            was_hopeless = echo.is_hopeless
            ready = link.is_up and not self._committing and not self._context.pending.deliveries
            match echo.look(loop.time(), self.arrived_safely, ready=ready):
                case "send":
                    with suppress(ConnectionLost):
                        link.publish(Frame(topic=self._echo_topic, payload=b"echo", expiry_s=ECHO_EXPIRY_S), ECHO_TOKEN)
                case "stalled":
                    self.stalls += 1
                    self._context.warn("the broker sends nothing any more, not even what we sent to ourselves; connecting again")
                    link.drop()
                    link.open()
            if echo.is_hopeless and not was_hopeless:
                self._context.warn(f"the broker does not return what we send to {self._echo_topic}: may this user read it there?")

    async def wait_for_quiet(self, quiet_s: float, *, limit_s: float) -> None:
        """Wait until nothing has arrived for `quiet_s`, but no longer than `limit_s`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + limit_s
        seen = -1
        while quiet_s > 0 and seen != self.arrived and loop.time() < until:
            seen = self.arrived
            await asyncio.sleep(min(quiet_s, max(0.0, until - loop.time())))

    def finish(self) -> None:
        """Take nothing more, and let `run` end with the batch that holds what has arrived."""
        self._context.is_stopping = True
        self._context.due.set()

    def abandon(self) -> None:
        """Make `run` end although a batch cannot be committed; the broker keeps what is in it."""
        self._context.is_stopping = True
        self._abandon.set()
        self._context.due.set()

    def close(self) -> None:
        """Let go of the threads."""
        self._copier.shutdown(wait=True)
        self._writer.shutdown(wait=True)


def _internal(error: Exception | None) -> Undecodable:
    return Undecodable(INTERNAL, "it could not be handled" if error is None else error_place(error))
