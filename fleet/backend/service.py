"""Assembles the back end from store, consumer, desk and link, and runs it. Reads no clock and no configuration file."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import structlog

from fleet import __version__
from fleet.backend.announced_clock import AnnouncedClock
from fleet.backend.centre_driver import CentreDriver
from fleet.backend.config import BackendConfig
from fleet.backend.consumer import Consumer
from fleet.backend.context import BackendContext
from fleet.backend.desk_driver import DeskDriver
from fleet.backend.forgotten import ForgottenCars
from fleet.backend.mail.deliverer import MailDeliverer
from fleet.backend.passwords import PasswordVault
from fleet.backend.proving import Prover
from fleet.backend.spin import SpinVault
from fleet.backend.store import Loaded
from fleet.errors import LinkError
from fleet.kernel.instants import Instant
from fleet.observe.histogram import Histogram
from fleet.transport.link import BackOff, Link, LinkOwner, LinkSettings

_SPIN_WAIT_S: Final = 5.0
_MAIL_WAIT_S: Final = 5.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the back end is doing, since it was started. Durations are wall µs in the histograms.

    `stalls` are connections on which nothing came any more. `commands_ended` counts by state and reason ("" without one). Round
    trips go from the user's due time to the publishing of the car's first answer, apart for cars that had to be woken.
    """

    connected: bool
    cars: int
    arrived: int
    stored: int
    duplicates: int
    quarantined: dict[str, int]
    erased: int
    """Messages of cars that were erased: not stored."""
    unsafe_dropped: int
    beyond: dict[str, int]
    answers_dropped: int
    publishes_refused: int
    refusals: dict[str, int]
    """Publishes that the broker refused, by reason and kind of topic."""
    stalls: int
    commands_open: int
    commands_ended: dict[str, dict[str, int]]
    publish_to_stored: Histogram
    round_trip: Histogram
    round_trip_waking: Histogram
    commit_us: Histogram
    batch_messages: Histogram
    warnings: tuple[str, ...]
    mails: dict[str, int]
    """Mails and pushes that came to an end, by their state."""
    ends: dict[str, int]
    """Connections to the broker that ended, see `fleet.transport.link.ConnectionEnds`."""

    def to_dict(self) -> dict[str, Any]:
        """Write for JSON; `Histogram.from_dict` reads the histograms back."""
        plain: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            plain[name] = value.to_dict() if isinstance(value, Histogram) else value
        return plain


def _echo_topic(config: BackendConfig) -> str:
    """Return the topic on which a back end hears itself: that of answers to its own client id, which it may read and write.

    Without one, "": nobody wants an echo, or the id cannot be part of a topic.
    """
    if config.echo is None or any(sign in config.client_id for sign in "/+#"):
        return ""
    return config.dialect.topics.desk_answer(config.client_id)


class Backend:
    """One back end. `async with Backend(config):`, or `start` and `stop`, or `run` until it is stopped or fails."""

    def __init__(self, config: BackendConfig) -> None:
        """Open the store; raises StoreError and its kin at once, before anything is connected."""
        self._config = config
        self._echo_topic = _echo_topic(config)
        self._store = config.open_store(config.store, created_by=f"fleet {__version__}")
        try:
            self._assemble(self._store.load())
        except BaseException:
            self._store.close()
            raise
        self._running: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def _assemble(self, loaded: Loaded) -> None:
        """Make the parts, each from those before it."""
        config = self._config
        spins, passwords = SpinVault(config.pepper, config.spin_cost), PasswordVault(config.pepper, config.password_cost)
        self.clock = AnnouncedClock(config.make_clock, config.wall_us, loaded.meta, is_known=config.clock_is_known)
        self.context = context = BackendContext(
            self._store,
            config.dialect,
            self.clock,
            config.wall_us,
            recorder=config.recorder,
            batch_wait_s=config.batch_wait_s,
            forgotten=ForgottenCars(config.pepper),
        )
        self.desk = DeskDriver(context, loaded, spins)
        self.mails = MailDeliverer(context, loaded, config.ways, config.patience)
        self._centre = CentreDriver(
            context,
            self.desk,
            self.mails,
            Prover(context, passwords, spins, self.desk.check_spin),
            loaded,
            fresh=config.fresh,
            cars_secret=config.cars_secret,
            rules=config.rules,
        )
        self.consumer = Consumer(
            context,
            self.desk,
            self._centre,
            loaded,
            self._connect,
            announce_stored=config.announce_stored,
            echo_topic=self._echo_topic,
        )
        context.car_erased.append(self.consumer.forget_car)

    def _connect(self, owner: LinkOwner) -> Link:
        config = self._config
        settings = LinkSettings(
            client_id=config.client_id,
            username=config.username,
            password=config.password,
            keep_alive_s=config.keep_alive_s,
            clean_start=False,
            session_expiry_s=config.session_expiry_s,
            receive_maximum=config.receive_maximum,
            subscriptions=(
                *config.dialect.topics.backend_subscriptions(),
                *(((self._echo_topic, 1),) if self._echo_topic else ()),
            ),
        )
        self._link = config.links(settings, owner, BackOff(config.draw, cap_s=config.longest_back_off_s))
        return self._link

    @property
    def connected(self) -> bool:
        """True while the broker is connected and all subscriptions are in force."""
        return self._link.is_up

    @property
    def scenario_time(self) -> Instant | None:
        """The scenario time, None before anybody has announced it."""
        return self.clock.known_now()

    @property
    def store(self) -> Path:
        """Where it stores."""
        return self._store.path

    @property
    def first_id(self) -> int:
        """The id in the store of the first message that this back end stores."""
        return self._store.first_id

    @property
    def last_error(self) -> LinkError | None:
        """Why there is no connection, when there is none."""
        return self.consumer.refusal

    @property
    def is_idle(self) -> bool:
        """True while nothing is collected, checked or published: all that has arrived has had its effect."""
        return (
            self.consumer.is_idle
            and self.mails.is_idle
            and not (self.desk.is_checking or self._centre.is_proving or self.consumer.publisher.in_flight)
        )

    def flush(self) -> None:
        """Have all that is stored where readers find it."""
        self._store.save()

    def look_at_store(self) -> None:
        """Raise StoreGone when its file is not at its path any more; looked at with each commit, too."""
        self._store.look()

    def look_at_clock(self) -> None:
        """Do what is due: the scenario time was moved by hand, which no timer can know."""
        self.desk.look_at_clock()
        self._centre.look_at_clock()

    def deadline(self) -> Instant | None:
        """Return the scenario time at which something is due, None while nothing is: for whoever moves the time by hand."""
        return min((due for part in (self.desk, self._centre) if (due := part.deadline()) is not None), default=None)

    async def start(self) -> None:
        """Begin connecting and storing; returns at once."""
        self.desk.start()
        self._centre.start()
        self._running = asyncio.create_task(self.consumer.run(), name="backend-consumer")
        if self._echo_topic and self._config.echo is not None:
            self._watching = asyncio.create_task(self.consumer.watch(self._config.echo()), name="backend-echo")
        self._link.open()

    async def run(self) -> None:
        """Start (unless started) and stay until `stop` is called; raises StoreError when the store fails for good."""
        if self._running is None:
            await self.start()
        assert self._running is not None
        await asyncio.shield(self._running)

    async def stop(self, *, quiet_s: float = 0.0, limit_s: float = 10.0, end_session: bool = False) -> None:
        """Store and acknowledge what has arrived, disconnect, close the store. Safe to call twice.

        Waits until nothing has arrived for `quiet_s`, but no longer than `limit_s`: with a full disk the rest stays
        with the broker. The broker keeps the session unless `end_session`. Raises what made the store fail.
        """
        running, self._running = self._running, None
        if self._watching is not None:
            self._watching.cancel()
        if running is None:
            self._store.close()
            return
        try:
            await self.consumer.wait_for_quiet(quiet_s, limit_s=limit_s)
            await self._centre.wait_for_proofs(min(limit_s, _SPIN_WAIT_S))
            await self.desk.wait_for_spins(min(limit_s, _SPIN_WAIT_S))
            await self.mails.stop(min(limit_s, _MAIL_WAIT_S))
            self.consumer.finish()
            done, _ = await asyncio.wait({running}, timeout=limit_s)
            if not done:
                self.consumer.abandon()
        finally:
            await self._link.close(end_session=end_session)
            self.consumer.abandon()
            try:
                await running
                self._store.look()
            finally:
                self.desk.close()
                self._centre.close()
                self.consumer.close()
                self._store.close()
                _log.info("the back end has stopped", stored=self.consumer.stored)

    async def __aenter__(self) -> Backend:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    def snapshot(self) -> Snapshot:
        """Return the counters as they are now; the histograms are live, not copies."""
        consumer, desk, publisher = self.consumer, self.desk, self.consumer.publisher
        return Snapshot(
            connected=self.connected,
            cars=consumer.cars,
            arrived=consumer.arrived,
            stored=consumer.stored,
            duplicates=consumer.duplicates,
            quarantined=dict(consumer.quarantined),
            erased=consumer.erased,
            unsafe_dropped=consumer.unsafe_dropped,
            beyond=consumer.beyond,
            answers_dropped=publisher.dropped,
            publishes_refused=publisher.refusals.total(),
            refusals=dict(publisher.refusals),
            stalls=consumer.stalls,
            commands_open=desk.desk.open_count,
            commands_ended={state: dict(reasons) for state, reasons in desk.ended.items()},
            publish_to_stored=consumer.publish_to_stored,
            round_trip=consumer.round_trip,
            round_trip_waking=consumer.round_trip_waking,
            commit_us=consumer.commit_us,
            batch_messages=consumer.batch_messages,
            warnings=tuple(self.context.warnings),
            mails=dict(self.mails.counts),
            ends=asdict(consumer.ends),
        )
