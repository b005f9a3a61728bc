"""Takes what cars and tools send, has it stored in batches, and acknowledges it only then.

Nothing that arrives can stop it: what is not understood goes to quarantine with its reason. The broker's Receive Maximum
bounds how much can be collected while a batch is being committed.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from fleet.backend.batching import BATCH_MESSAGES, BATCH_WAIT_S, Pending
from fleet.backend.centre_driver import CentreDriver
from fleet.backend.desk_driver import DeskDriver
from fleet.backend.echo import Echo
from fleet.backend.publisher import Publisher
from fleet.backend.store import QUARANTINE_KEEPS, Arrival, Batch, Committed, Quarantined, Store
from fleet.cloud.car_settings import EVENTS as SETTINGS_EVENTS
from fleet.cloud.desk_io import CarAnswered, CarSeen, CarSwitched, PresenceChanged
from fleet.cloud.twin import origin_of
from fleet.errors import ConnectionLost, LinkError, PublishRefused, StoreFull, Undecodable
from fleet.observe.histogram import Histogram
from fleet.transport.link import Delivery, Link
from fleet.wire.dialect import MESSAGEPACK, FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.intake import check_boot, is_storable, storable
from fleet.wire.messages import CarMessage, DeskAnswer, Event, Presence, Request, Response, Status
from fleet.wire.vin import is_vin

RECEIVE_MAXIMUM: Final = 4 * BATCH_MESSAGES
"""At least two batches: one being committed, one collecting. The rest keeps the broker from waiting for us."""
UNACKNOWLEDGED_LIMIT: Final = 2 * RECEIVE_MAXIMUM
_KINDS: Final[dict[type[CarMessage], str]] = {Event: "event", Response: "response", Request: "request"}
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
        dialect: FleetDialect,
        *,
        wall_us: Callable[[], int],
        known_vins: list[str],
        presence_boots: dict[str, int],
        announce_stored: bool = False,
        batch_wait_s: float = BATCH_WAIT_S,
        committed: Callable[[Batch, Committed], None] | None = None,
        echo_topic: str = "",
    ) -> None:
        """Take the store and the dialect; `announce_stored` tells cars what is stored, for delivery until stored.

        What nobody waits for is stored at the latest after `batch_wait_s`; `committed` is told what was.
        `echo_topic` is one that is subscribed and that we may write, for `watch`.
        """
        self._batch_wait_s = batch_wait_s
        self._committed = committed
        self._store = store
        self._dialect = dialect
        self._wall_us = wall_us
        self._announce_stored = announce_stored
        self._desk_topic = dialect.topics.desk_request()
        self._answer_head = dialect.topics.desk_answer("")
        self._echo_topic = echo_topic
        self._known = set(known_vins)
        self._presence_boot = presence_boots
        self._encode = msgspec.msgpack.Encoder().encode
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fleet-store")
        self._copier = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fleet-copy")
        self._copying: asyncio.Future[None] | None = None
        self._copied_s = 0.0
        self._collecting = Pending()
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
        self.arrived = 0
        self.arrived_safely = 0
        self.stalls = 0
        self.quarantined: Counter[str] = Counter()
        self.publish_to_stored = Histogram()
        self.commit_us = Histogram()
        self.batch_messages = Histogram()
        self.round_trip = Histogram()
        self.round_trip_waking = Histogram()
        self.warnings: deque[str] = deque(maxlen=_WARNINGS)
        self.refusal: LinkError | None = None

    def attach(self, link: Link, driver: DeskDriver, centre: CentreDriver, publisher: Publisher) -> None:
        """Take the parts that know this one; before `run`, and in the event loop of that."""
        self._loop = asyncio.get_running_loop()
        self._link, self._driver, self._centre, self._publisher = link, driver, centre, publisher

    @property
    def cars(self) -> int:
        """How many cars are known."""
        return len(self._known)

    def collecting(self) -> Pending:
        """Return the batch that is being collected."""
        return self._collecting

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
        if error is not None and is_new and not self._stopping:
            self.warn(f"the connection to the broker is gone: {error}")

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        """Pass on the outcome of a publish."""
        if token != ECHO_TOKEN:
            self._publisher.acknowledged(token, error)

    def link_received(self, delivery: Delivery) -> None:
        """Decode into the batch, or into its quarantine."""
        if self._stopping:
            return  # not acknowledged, so the broker keeps it for the next back end
        frame = delivery.frame
        pending = self._collecting
        self.arrived += 1
        if frame.qos:
            self.arrived_safely += 1
            pending.deliveries.append(delivery)
        elif len(pending.batch.arrivals) >= UNACKNOWLEDGED_LIMIT:
            # Nothing holds the sender of QoS 0 back, so this is the only bound on memory there can be.
            self.unsafe_dropped += 1
            return
        received_at = self._wall_us()
        try:
            self._take(frame, received_at)
        except Undecodable as error:
            if frame.topic == self._echo_topic:
                self._echo.came_back()
            else:
                self._quarantine(frame, error, received_at)
        except Exception as error:  # noqa: BLE001 (one message must not stop all the others)
            _log.error("a message could not be handled", topic=frame.topic[:120], error=type(error).__name__)
            self._quarantine(frame, Undecodable("internal", type(error).__name__), received_at)
        self.changed()

    # --- decoding

    def _take(self, frame: Frame, received_at: int) -> None:
        if frame.topic == self._desk_topic:
            self._take_request(frame)
            return
        if not frame.payload and self._dialect.topics.parse(frame.topic).channel == "presence":
            return  # how a retained presence is removed from the broker
        message = self._dialect.read_from_car(frame)
        check_boot(message.boot, received_at)
        vin = message.vin
        if vin not in self._known:
            self._known.add(vin)
            self._driver.feed(CarSeen(vin))
        if type(message) is Presence:
            self._collecting.batch.presences.append(message)
            if message.boot >= self._presence_boot.get(vin, 0):
                self._presence_boot[vin] = message.boot
                self._driver.feed(PresenceChanged(vin, message.connection, message.reason))
            return
        if message.seq < 1:
            raise Undecodable("range", "messages are numbered from 1")
        if type(message) is Status:
            kind, name, trigger, origin = "status", None, message.trigger, origin_of(message)
        else:
            kind, name, trigger, origin = _KINDS[type(message)], message.name, None, None
        payload = frame.payload if frame.content_type == MESSAGEPACK else self._encode(message)
        self._collecting.batch.arrivals.append(
            Arrival(
                vin, message.boot, message.seq, kind, name, trigger, message.captured_at, message.due_wall_us,
                message.sent_wall_us, received_at, frame.content_type, payload, origin,
            )
        )  # fmt: skip
        if type(message) is Response:
            self._driver.feed(CarAnswered(message))
        elif type(message) is Event or type(message) is Request:
            self._serve(message)

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

    def _take_request(self, frame: Frame) -> None:
        """Give the desk what a tool asks. Answers go under the tools' own topic only, never to a car's."""
        topic = frame.response_topic or ""
        wildcards = "+" in topic or "#" in topic
        if topic and not (topic.startswith(self._answer_head) and len(topic) <= 200 and is_storable(topic) and not wildcards):
            raise Undecodable("answer_topic", f"answers go to topics under {self._answer_head!r} only")
        if frame.retain:
            raise Undecodable("retained", "a retained request would be asked again at every connect")
        driver = self._driver
        self._collecting.urgent = True
        try:
            request = self._dialect.read_desk_request(frame)
        except Undecodable as error:
            if topic and frame.correlation is not None:
                asked = storable(frame.correlation[:100].decode(errors="replace"))
                answer = DeskAnswer(
                    id=asked, state="rejected", reason="malformed", detail=error.reason, final=True, at=driver.now()
                )
                driver.answer(topic, answer)
            raise
        driver.ask(request, topic, comes_again=not frame.qos)

    def _quarantine(self, frame: Frame, error: Undecodable, received_at: int) -> None:
        secret = frame.topic == self._desk_topic
        vin = boot = seq = None
        # Whoever may write on one car's topic must not number another car's messages.
        if not secret and (header := self._dialect.header_of(frame)) is not None:
            vin = header.vin if is_vin(header.vin) else None
            if frame.topic.startswith(f"{self._dialect.topics.prefix}/{header.vin}/"):
                boot, seq = header.boot, header.seq
        self._collecting.batch.quarantined.append(
            Quarantined(
                received_at=received_at,
                topic=storable(frame.topic[:200]),
                reason=error.reason,
                detail=storable(error.detail[:500]),
                size=len(frame.payload),
                payload=None if secret else frame.payload[:QUARANTINE_KEEPS],
                vin=vin,
                boot=boot,
                seq=seq,
            )
        )
        self.quarantined[error.reason] += 1
        if (call := self._dialect.emergency_of(frame, self._driver.now())) is not None:
            self._serve(call)
        if self.quarantined[error.reason] == 1:
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
            pending = self._collecting
            if pending.empty and not pending.batch.presences:
                if self._stopping:
                    return
                continue
            self._collecting = Pending()
            self._committing = True
            committed = await self._commit(pending)
            if committed is None:
                return
            self._finish(pending, committed)
            self._committing = False
            if self._store.has_log:
                await self._keep_the_log_short()
            if self._stopping:
                self._due.set()

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
            except StoreFull as error:
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

    def _finish(self, pending: Pending, committed: Committed) -> None:
        """Acknowledge in the order of arrival, then do what had to wait for the commit."""
        link, publisher = self._link, self._publisher
        if self._committed is not None:
            self._committed(pending.batch, committed)
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
