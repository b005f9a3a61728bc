"""Takes what cars and tools send, has it stored in batches, and acknowledges it only then.

Nothing that arrives can stop it: what is not understood goes to quarantine with its reason. When a decision or a commit fails,
all that is not committed is undone as a restart would undo it: desk and centre begin anew from the store, and the messages are
taken again, each committed alone; the one that fails again goes to quarantine as `internal`. The broker's Receive Maximum bounds
how much can be collected while a batch is being committed.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import structlog

from fleet.backend.batching import BATCH_MESSAGES, BATCH_WAIT_S, Pending
from fleet.backend.centre_driver import CentreDriver
from fleet.backend.desk_driver import DeskDriver
from fleet.backend.echo import Echo
from fleet.backend.publisher import Publisher
from fleet.backend.reading import UNANSWERED, FrameReader
from fleet.backend.store import Arrival, Batch, Committed, Store
from fleet.cloud.car_settings import EVENTS as SETTINGS_EVENTS
from fleet.cloud.desk_io import INTERNAL, Answer, CarAnswered, CarSeen, CarSwitched, PresenceChanged
from fleet.cloud.rule import Notify
from fleet.errors import ConnectionLost, LinkError, PublishRefused, StoreFull, StoreGone, StoreLocked, Undecodable
from fleet.kernel.instants import format_instant
from fleet.observe.histogram import Histogram
from fleet.transport.link import ConnectionEnds, Delivery, Link
from fleet.wire.dialect import Dialect
from fleet.wire.frame import Frame
from fleet.wire.intake import storable
from fleet.wire.messages import DeskAnswer, DeskRequest, Event, FromCar, Presence, Request, Response, Status

RECEIVE_MAXIMUM: Final = 4 * BATCH_MESSAGES
"""At least two batches: one being committed, one collecting. The rest keeps the broker from waiting for us."""
UNACKNOWLEDGED_LIMIT: Final = 2 * RECEIVE_MAXIMUM
UNACKNOWLEDGED_BYTES: Final = 32 << 20
UNREADABLE_CALLS: Final = 100
"""Emergency calls of one car that are passed on although they cannot be read, since the back end began."""
UNREADABLE_CALLERS: Final = 1_000
CALLS_LEFT_OUT: Final = "unreadable emergency calls were not passed on: there had been too many"
UNSAFE_DROPPED: Final = "messages at QoS 0 were dropped: they came faster than they could be stored"
AT_ONCE: Final = RECEIVE_MAXIMUM
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
_WARNINGS: Final = 20
_AHEAD_NAMED: Final = 100
"""Cars whose clock is off and that are named."""
_UNDONE: Final = "the back end failed at this request; it was undone"

_log = structlog.get_logger(__name__)


class Consumer:
    """A `LinkOwner`: from link to store and back. `run` must be running for anything to be stored."""

    # Set by `attach`, before the link is opened.
    _loop: asyncio.AbstractEventLoop
    _link: Link
    _driver: DeskDriver
    _centre: CentreDriver
    _publisher: Publisher

    def __init__(
        self,
        store: Store,
        dialect: Dialect,
        *,
        wall_us: Callable[[], int],
        known_vins: list[str],
        presence_boots: dict[str, int],
        announce_stored: bool = False,
        begin_anew: Callable[[], None],
        batch_wait_s: float = BATCH_WAIT_S,
        committed: Callable[[Batch, Committed], None] | None = None,
        echo_topic: str = "",
    ) -> None:
        """Take the store and the dialect; `announce_stored` tells cars what is stored, for delivery until stored.

        `begin_anew` has desk and centre begin from the store, and calls `know`. What nobody waits for is stored at the
        latest after `batch_wait_s`; `committed` is told what was.
        `echo_topic` is one that is subscribed and that we may write, for `watch`.
        """
        self._begin_anew = begin_anew
        self._batch_wait_s = batch_wait_s
        self._committed = committed
        self._store = store
        self._dialect = dialect
        self._wall_us = wall_us
        self._announce_stored = announce_stored
        self._desk_topic = dialect.topics.desk_request()
        self._echo_topic = echo_topic
        self._known = set(known_vins)
        self._presence_boot = presence_boots
        self._frames = FrameReader(dialect)
        self._read = self._frames.read
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fleet-store")
        self._copier = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fleet-copy")
        self._copying: asyncio.Future[None] | None = None
        self._copied_s = 0.0
        self._collecting = Pending()
        self._in_doubt = False
        self._cause: Exception | None = None
        self._arriving: deque[Delivery] | None = None
        self._due = asyncio.Event()
        self._abandon = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._committing = False
        self._echo = Echo()
        self._handled: set[tuple[str, int, int]] = set()
        self.stored = 0
        self.duplicates = 0
        self.unsafe_dropped = 0
        self.calls_left_out = 0
        self._unreadable_calls: Counter[str] = Counter()
        self._told: dict[str, int] = {}
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
        self.warnings: deque[str] = deque(maxlen=_WARNINGS)
        self.refusal: LinkError | None = None
        self.ends = ConnectionEnds()

    def attach(self, link: Link, driver: DeskDriver, centre: CentreDriver, publisher: Publisher) -> None:
        """Take the parts that know this one; before `run`, and in the event loop of that."""
        self._loop = asyncio.get_running_loop()
        self._link, self._driver, self._centre, self._publisher = link, driver, centre, publisher

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

    def collecting(self) -> Pending:
        """Return the batch that is being collected."""
        return self._collecting

    @property
    def is_idle(self) -> bool:
        """True while nothing waits for a commit."""
        pending = self._collecting
        return pending.empty and not (pending.batch.presences or self._in_doubt or self._arriving)

    def know(self, vins: list[str], presence_boots: dict[str, int]) -> None:
        """Take this for what the desk knows of cars: it has begun anew."""
        self._known = set(vins)
        self._presence_boot = presence_boots

    # --- LinkOwner

    def link_up(self, session_present: bool) -> None:
        """Publish what waited."""
        self.refusal = None
        _log.info("connected to the broker", session_present=session_present)
        self._publisher.link_up()

    def link_down(self, error: LinkError | None) -> None:
        """Note why; the link is trying again. What is collected is stored, but acknowledged in vain: it comes again."""
        is_new = str(error) != str(self.refusal)  # an outage is many attempts that fail alike
        self.refusal = error
        self.ends.note(error)
        if error is not None and is_new and not self._stopping:
            self.warn(f"the connection to the broker is gone: {error}. {error.hint}".rstrip())

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        """Pass on the outcome of a publish."""
        if token != ECHO_TOKEN:
            self._publisher.acknowledged(token, error)

    def link_received(self, delivery: Delivery) -> None:
        """Decode into the batch, or into its quarantine."""
        if self._stopping:
            return  # not acknowledged, so the broker keeps it for the next back end
        self.arrived += 1
        waiting = self._arriving
        if delivery.frame.qos:
            self.arrived_safely += 1
        elif not self._has_room_for(delivery):
            self.unsafe_dropped += 1
            self._warn_of(UNSAFE_DROPPED, self.unsafe_dropped)
            return
        if waiting is None:
            self._receive(delivery)
            self.changed()
        else:
            waiting.append(delivery)

    def _has_room_for(self, delivery: Delivery) -> bool:
        """Tell whether a delivery at QoS 0 is taken: nothing holds its sender back, so there is no other bound on memory."""
        pending = self._collecting
        held = pending.size if self._arriving is None else len(self._arriving)
        pending.unsafe_bytes += len(delivery.frame.payload)
        return held < UNACKNOWLEDGED_LIMIT and pending.unsafe_bytes <= UNACKNOWLEDGED_BYTES

    def _warn_of(self, what: str, count: int) -> None:
        """Warn of what happens again and again: at the first time, and at ten times as many."""
        told = self._told.get(what, 0)
        if count >= 10 * told and count > told:
            self._told[what] = count
            self.warn(f"{count} {what}")

    # --- decoding

    def _receive(self, delivery: Delivery) -> None:
        """Take a delivery into the batch: what it says, what desk and centre make of it, or why not."""
        frame = delivery.frame
        pending = self._collecting
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
            _log.error("a message could not be read", topic=frame.topic[:120], error=_words(error))
            self._quarantine(frame, _internal(error), received_at)
        else:
            if not frame.qos:
                pending.unsafe.append(delivery)
            if self._in_doubt:
                return  # it is taken again with the others
            try:
                if arrival is not None:
                    self._decide(message, arrival)
                elif message is not None:
                    self._decide_unnumbered(message, frame)
            except Exception as error:  # noqa: BLE001 (it is undone, told, and tried again)
                self._doubt(f"what came on {frame.topic[:120]!r}", error)

    def attempt(self, what: str, step: Callable[..., None], *arguments: Any) -> None:
        """Have desk or centre decide; what fails is undone with all that is not committed, and not tried before that is done."""
        if self._in_doubt:
            return
        try:
            step(*arguments)
        except Exception as error:  # noqa: BLE001 (it is undone, told, and tried again)
            self._doubt(what, error)

    def _doubt(self, what: str, error: Exception) -> None:
        self._in_doubt = True
        self._cause = error
        self._due.set()
        self.warn(f"{what} failed: {_words(error)}; what is not committed is undone, and taken again message by message")

    def _look_at_clock(self, arrival: Arrival) -> None:
        """Warn of a car whose clock is ahead of ours, once; what it says is taken all the same."""
        self._latest_plausible = latest = self._driver.latest_plausible()
        vin = arrival.vin
        if arrival.captured_at > latest and vin not in self._ahead and len(self._ahead) < _AHEAD_NAMED:
            self._ahead.add(vin)
            said, now = format_instant(arrival.captured_at), format_instant(self._driver.now())
            self.warn(f"a clock is off: {vin} measured at {said}, and it is {now}")

    def _decide(self, message: FromCar, arrival: Arrival) -> None:
        """Give desk and centre what a car numbers."""
        vin = arrival.vin
        if vin not in self._known:
            self._hear_of(vin)
        if arrival.captured_at > self._latest_plausible:
            self._look_at_clock(arrival)
        self._collecting.batch.arrivals.append(arrival)
        if type(message) is Status:  # nearly all there is under load
            return
        if type(message) is Response:
            self._driver.feed(CarAnswered(message))
        elif type(message) is Event or type(message) is Request:
            self._serve(message)

    def _decide_unnumbered(self, message: Presence | DeskRequest, frame: Frame) -> None:
        """Give the desk what a car says of its connection, and what a tool asks."""
        if type(message) is Presence:
            vin = message.vin
            if vin not in self._known:
                self._hear_of(vin)
            self._collecting.batch.presences.append(message)
            if message.boot >= self._presence_boot.get(vin, 0):
                self._presence_boot[vin] = message.boot
                self._driver.feed(PresenceChanged(vin, message.connection, message.reason))
            return
        self._collecting.urgent = True
        self._driver.ask(message, frame.response_topic or "", comes_again=not frame.qos)
        self._latest_plausible = 0  # it may have been a clock

    def _hear_of(self, vin: str) -> None:
        self._known.add(vin)
        self._driver.feed(CarSeen(vin))

    def _serve(self, message: Event | Request) -> None:
        """Give desk and service centre what is new. What comes of it is committed with the message: both once, or neither."""
        switch = message if isinstance(message, Event) and message.name in SETTINGS_EVENTS else None
        wanted = self._centre.wants(message)
        if switch is None and not wanted:
            return
        pending = self._collecting
        if message.seq:  # but for a call whose number cannot be read
            number = (message.vin, message.boot, message.seq)
            if number in self._handled or self._store.is_stored(*number):
                return
            self._handled.add(number)
            pending.handled.append(number)
        pending.urgent |= type(message) is Request
        if switch is not None:
            self._driver.feed(CarSwitched(switch))
        if wanted:
            self._centre.feed(message)

    def _tell_asker(self, frame: Frame, state: Literal["rejected", "failed"], reason: str, detail: str) -> None:
        """Answer a request by its correlation data, whatever else is wrong with it."""
        if frame.response_topic and frame.correlation is not None:
            self._driver.answer(frame.response_topic, self._answer_of(frame.correlation, state, reason, detail))

    def _answer_of(self, correlation: bytes, state: Literal["rejected", "failed"], reason: str, detail: str) -> DeskAnswer:
        asked = storable(correlation[:100].decode(errors="replace"))
        return DeskAnswer(id=asked, state=state, reason=reason, detail=detail, final=True, at=self._driver.now())

    def _quarantine(self, frame: Frame, error: Undecodable, received_at: int) -> None:
        """Keep what is not understood with its reason, and tell who asked; an emergency call is passed on all the same."""
        self._hold(frame, error, received_at)
        if frame.topic == self._desk_topic and error.reason not in UNANSWERED:
            self._tell_asker(frame, "rejected", "malformed", error.reason)
        if (call := self._dialect.emergency_of(frame, self._driver.now())) is not None and self._passes_on(call.vin):
            self.attempt("an emergency call", self._serve, call)

    def _passes_on(self, vin: str) -> bool:
        """Tell whether one more unreadable call of a car is passed on: who floods with them shall not fill the disk."""
        calls = self._unreadable_calls
        if calls[vin] < UNREADABLE_CALLS and (vin in calls or len(calls) < UNREADABLE_CALLERS):
            calls[vin] += 1
            return True
        self.calls_left_out += 1
        self._warn_of(CALLS_LEFT_OUT, self.calls_left_out)
        return False

    def _hold(self, frame: Frame, error: Undecodable, received_at: int) -> None:
        self._collecting.batch.quarantined.append(self._frames.held(frame, error, received_at))
        if error.reason not in self._named:
            self._named.add(error.reason)
            self.warn(f"first message in quarantine for {error.reason!r}: {error.detail[:120]}")

    # --- committing

    def changed(self) -> None:
        """See whether the batch is due: by size, by its oldest, or because somebody waits for an answer."""
        pending = self._collecting
        if pending.urgent or self._stopping or len(pending.deliveries) >= BATCH_MESSAGES:
            self._due.set()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._batch_wait_s, self._due.set)

    async def run(self) -> None:
        """Commit batch after batch until `finish`; raises StoreError when the store fails for good."""
        while True:
            await self._due.wait()
            self._due.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self.is_idle:
                if self._stopping:
                    return
                continue
            self._committing = True
            if not await (self._take_again(Pending()) if self._in_doubt else self._commit_batch()):
                return
            self._committing = False
            if self._store.has_log:
                await self._keep_the_log_short()
            if self._stopping:
                self._due.set()

    async def _commit_batch(self) -> bool:
        """Commit what was collected, and let it have its effect; what fails is taken again. False when told to give up."""
        pending = self._collecting
        self._collecting = Pending()
        try:
            committed = await self._commit(pending)
        except StoreGone:
            raise
        except Exception as error:  # noqa: BLE001 (if it is the store's fault, the next commit raises it again)
            self._doubt("a commit", error)
            return await self._take_again(pending)
        return committed is not None and self._finish(pending, committed)

    async def _take_again(self, undone: Pending) -> bool:
        """Undo this batch and the one being collected, and commit their messages one by one. False when told to give up.

        Raises what keeps even a message in quarantine from being stored: then it is the store's fault.
        """
        batches = (undone, self._collecting)
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
        """Commit one delivery with what comes of it, or else the delivery in quarantine. False when told to give up."""
        where = f"what came on {delivery.frame.topic[:120]!r}"
        for step in (self._receive, self._give_up, self._let_go):
            if self._in_doubt:
                self._undo()
            self.attempt(where, step, delivery)
            if self._in_doubt:
                continue
            pending, self._collecting = self._collecting, Pending()
            try:
                committed = await self._commit(pending)
            except StoreGone:
                raise
            except Exception as error:  # noqa: BLE001 (if it is the store's fault, the last step fails, too)
                self._doubt(f"the commit of {where}", error)
            else:
                return committed is not None and self._finish(pending, committed)
        assert self._cause is not None, "a step fails with an error"
        raise self._cause

    def _undo(self) -> None:
        """Begin anew from the store, as after a restart."""
        self._collecting = Pending()
        self._handled.clear()
        self._in_doubt = False
        self._store.forget()
        self._begin_anew()

    def _give_up(self, delivery: Delivery) -> None:
        """Have a message in quarantine that cannot be taken, and tell whoever asked; an emergency goes on all the same."""
        frame, now = delivery.frame, self._driver.now()
        if frame.qos:
            self._collecting.deliveries.append(delivery)
        self._hold(frame, _internal(self._cause), self._wall_us())
        if frame.topic == self._desk_topic:
            self._tell_asker(frame, "failed", INTERNAL, _UNDONE)
        elif (call := self._dialect.emergency_of(frame, now)) is not None:
            notice = Notify(call.vin, "emergency_centre", call.name, {**call.data, "country": None}, now)
            self._collecting.write(notice, self._wall_us())

    def _let_go(self, delivery: Delivery) -> None:
        """Have a message in quarantine of which not even the number can be kept."""
        frame, pending = delivery.frame, self._collecting
        if frame.qos:
            pending.deliveries.append(delivery)
        pending.batch.quarantined.append(self._frames.held(frame, _internal(self._cause), self._wall_us(), bare=True))
        if frame.topic == self._desk_topic and frame.response_topic and frame.correlation is not None:
            answer = self._answer_of(frame.correlation, "failed", INTERNAL, _UNDONE)
            pending.after_commit(Answer(frame.response_topic, answer))
        if self._dialect.emergency_of(frame, self._driver.now()) is not None:
            self.warn(f"an emergency call could not be passed on: {frame.topic[:120]!r}")

    async def _keep_the_log_short(self) -> None:
        """Have the store's log copied back beside the commits, and when that is done let it begin anew between two."""
        loop = self._loop
        if self._copying is None:
            if loop.time() - self._copied_s >= _COPY_BACK_S:
                self._copying = loop.run_in_executor(self._copier, self._store.copy_back)
        elif self._copying.done():
            self._copying.result()
            self._copying = None
            await loop.run_in_executor(self._writer, self._store.restart_log)
            self._copied_s = loop.time()

    async def _commit(self, pending: Pending) -> Committed | None:
        """Commit, however long the disk stays full; None when told to give up. Nothing is acknowledged meanwhile."""
        wait_s = _RETRY_FIRST_S
        while True:
            begun = self._wall_us()
            try:
                if pending.batch.size <= AT_ONCE:
                    committed = self._store.commit(pending.batch, begun)
                else:
                    committed = await self._loop.run_in_executor(self._writer, self._store.commit, pending.batch, begun)
            except (StoreFull, StoreLocked) as error:
                self.warn(f"{error}; trying again, and taking no more from the broker meanwhile")
                try:
                    await asyncio.wait_for(self._abandon.wait(), wait_s)
                except TimeoutError:
                    wait_s = min(2 * wait_s, _RETRY_LAST_S)
                    continue
                return None
            if wait_s > _RETRY_FIRST_S:
                self.warn("there is room again; storing goes on")
            self.commit_us.record(self._wall_us() - begun)
            return committed

    def _finish(self, pending: Pending, committed: Committed) -> bool:
        """Acknowledge in the order of arrival, then do what had to wait for the commit. True: it can go on."""
        link, publisher = self._link, self._publisher
        for held in pending.batch.quarantined:
            self.quarantined[held.reason] += 1
        for _, held in committed.refused:
            self.quarantined[held.reason] += 1
        for what, count in self._store.beyond.items():
            self._warn_of(what, count)
        if self._committed is not None:
            try:
                self._committed(pending.batch, committed)
            except Exception as error:  # noqa: BLE001 (what is stored is acknowledged, whoever else wants to know of it)
                self.warn(f"a commit could not be told on: {_words(error)}")
        for delivery in pending.deliveries:
            link.acknowledge(delivery)
        for action in pending.actions:
            publisher.send(action)
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
        if pending.batch.arrivals:
            self.batch_messages.record(len(pending.batch.arrivals))
        return True

    async def watch(self, echo: Echo) -> None:
        """Look whether what the broker has for us still comes, and connect again when it does not."""
        self._echo = echo
        link = self._link
        while True:
            await asyncio.sleep(echo.after_s / 5)
            was_hopeless = echo.is_hopeless
            ready = link.is_up and not self._committing and not self._collecting.deliveries
            match echo.look(self._loop.time(), self.arrived_safely, ready=ready):
                case "send":
                    with suppress(ConnectionLost):
                        link.publish(Frame(topic=self._echo_topic, payload=b"echo", expiry_s=ECHO_EXPIRY_S), ECHO_TOKEN)
                case "stalled":
                    self.stalls += 1
                    self.warn("the broker sends nothing any more, not even what we sent to ourselves; connecting again")
                    link.drop()
                    link.open()
            if echo.is_hopeless and not was_hopeless:
                self.warn(f"the broker does not return what we send to {self._echo_topic}: may this user read it there?")

    async def wait_for_quiet(self, quiet_s: float, *, limit_s: float) -> None:
        """Wait until nothing has arrived for `quiet_s`, but no longer than `limit_s`."""
        loop = self._loop
        until = loop.time() + limit_s
        seen = -1
        while quiet_s > 0 and seen != self.arrived and loop.time() < until:
            seen = self.arrived
            await asyncio.sleep(min(quiet_s, max(0.0, until - loop.time())))

    def finish(self) -> None:
        """Take nothing more, and let `run` end with the batch that holds what has arrived."""
        self._stopping = True
        self._due.set()

    def abandon(self) -> None:
        """Make `run` end although a batch cannot be committed; the broker keeps what is in it."""
        self._stopping = True
        self._abandon.set()
        self._due.set()

    def close(self) -> None:
        """Let go of the threads."""
        self._copier.shutdown(wait=True)
        self._writer.shutdown(wait=True)

    def warn(self, text: str) -> None:
        """Log a warning and keep it for the progress view."""
        _log.warning(text)
        self.warnings.append(text)


def _internal(error: Exception | None) -> Undecodable:
    return Undecodable(INTERNAL, "it could not be handled" if error is None else _words(error))


def _words(error: Exception) -> str:
    """Say where it came from; never its text, in which there may be an S-PIN."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" in {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"{type(error).__name__}{place}"
