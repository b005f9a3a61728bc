"""One process of cars: builds its share of the fleet, connects it, lets the scenario's time run, and tells what happened."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, Literal

import msgspec

from fleet import __version__
from fleet.errors import ConnectRefused, LinkError, SubscribeRefused, Unreachable
from fleet.kernel.draws import stream_key
from fleet.kernel.instants import DAY, SECOND, Duration, format_instant
from fleet.kernel.schedule import Schedule
from fleet.observe.journal import JournalWriter
from fleet.runtime.action_executor import ActionExecutor
from fleet.runtime.assembly import build_cars, people_of, vocabulary
from fleet.runtime.car_codec import status_writer_of
from fleet.runtime.car_selector import CarSelector
from fleet.runtime.clocks import ScaledClock, VirtualClock, wall_us
from fleet.runtime.executed import CommandMemory
from fleet.runtime.figures import live_figures
from fleet.runtime.health import GeneratorHealth
from fleet.runtime.lines import LineJudge
from fleet.runtime.link_plan import LinkPlan
from fleet.runtime.naming import named
from fleet.runtime.outcomes import by_state
from fleet.runtime.people.mailboxes import Mailboxes
from fleet.runtime.people.seeding import seeds_of
from fleet.runtime.phases import StageMarks, make_actors, stage_results
from fleet.runtime.recorded_link import recorded_links
from fleet.runtime.scheduled import schedule_commands
from fleet.runtime.shard import Shard, wait_until
from fleet.runtime.users import Users
from fleet.scenario.schema import Scenario
from fleet.transport.link import LinkFactory
from fleet.wire.dialect import Dialect
from fleet.wire.messages import AnnounceClock, Event

SESSION_EXPIRY: Final = 7 * DAY
WILL_DELAY: Final = 60 * SECOND
SHORTEST_S: Final = 5
CONNECT_PATIENCE_S: Final = 30.0
HOPELESS_S: Final = 3.0
"""After so long one attempt of each car that nobody answers is enough; sooner each has a second one."""
PROGRESS_EVERY_S: Final = 0.5
WAITS_EVERY_S: Final = 1.0
VIRTUAL_LOOKS: Final = 50
"""How often a virtual run reports its progress."""
BOOT_SHIFT: Final = 16
"""A virtual boot is 48 bits of the seed; a live one is the wall time of the start."""
LAST_OUTCOMES_S: Final = 45.0
"""How long the scenario's time goes on at its end for commands that have no outcome yet, in wall seconds."""
LAST_OUTCOMES_VIRTUAL_S: Final = 86_400.0
"""The same in virtual time, where an hour more costs nothing: longer than all times to live but that of routes."""
CARS_PER_CONNECT_SECOND: Final = 400
"""The first back-off window is cars divided by this, in seconds: what a broker takes without queueing."""

Progress = dict[str, Any]


def broker_seconds(duration: Duration, factor: float) -> int:
    """Return a scenario duration as the broker must keep it: real seconds, rounded up, at least 5 and never 0."""
    return max(ceil(duration / SECOND / factor), SHORTEST_S)


def new_boot(scenario: Scenario, schedule: Schedule | None) -> int:
    """Return what tells this run of the cars' computers from all others; on a schedule it comes from the seed."""
    return wall_us() if schedule is None else stream_key(scenario.seed, "boot") >> BOOT_SHIFT


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """The parts of one simulator process. `tools` None means there is no desk: no commands are sent."""

    scenario: Scenario
    cars: LinkFactory
    tools: LinkFactory | None
    password_for: Callable[[str], str | None]
    dialect: Dialect
    index: int = 0
    count: int = 1
    end_session: bool = True
    clear_presence: bool = False
    until_stored: bool = False
    schedule: Schedule | None = None
    """Live on the time of a schedule instead of the machine's: then nothing of the machine gets in."""
    boot: int | None = None
    """None: a new one, see `new_boot`."""
    memory: CommandMemory | None = None
    """Executed commands, which outlive this process; its opener closes it. None: nothing outlives it."""
    mailboxes: Mailboxes | None = None
    """Mails of the scenario's people; None where nobody can read them."""
    journal: JournalWriter | None = None
    """Where to write down what cars and links do; who made it closes it."""


class Simulation:
    """Lives once: `run` returns the result, whether the scenario came to its end or was stopped."""

    def __init__(self, config: SimulationConfig, emit: Callable[[Progress], None]) -> None:
        """Build the cars; `emit` is given a progress report twice a second."""
        self._config = config
        self._emit = emit
        self._stop = asyncio.Event()
        self._nothing_awaited = asyncio.Event()
        """Set with each last outcome, and with the stop: a reason to look whether outcomes are still to come."""
        scenario = config.scenario
        self._zone = vocabulary().zone_of(scenario)
        self._start = vocabulary().start_of(scenario)
        self.boot = new_boot(scenario, config.schedule) if config.boot is None else config.boot
        if config.schedule is None:
            self.clock = ScaledClock(self._start, factor=float(scenario.clock), held=True)
        else:
            self.clock = VirtualClock(config.schedule, self._start, held=True)
        self._progress_every_s = PROGRESS_EVERY_S if config.schedule is None else scenario.duration / SECOND / VIRTUAL_LOOKS
        cars = build_cars(
            scenario,
            start=self._start,
            boot=self.boot,
            index=config.index,
            count=config.count,
            until_stored=config.until_stored,
            remembers=config.memory is not None,
            write_status=status_writer_of(config.dialect, recorded=config.journal is not None),
        )
        self._cast = people_of(scenario, index=config.index, count=config.count)
        self._lines = (
            LineJudge(scenario, now=self.clock.now) if any(step.expect is not None for step in scenario.steps()) else None
        )
        self.shard = Shard(
            clock=self.clock,
            cars=cars,
            links=config.cars,
            dialect=config.dialect,
            plan=self._link_plan(),
            hears=self._hears(),
            memory=config.memory,
            record=None if config.journal is None else config.journal.write,
        )
        self.users: Users | None = None
        self._selector = CarSelector(scenario, self.shard.cars.values(), index=config.index, count=config.count)
        self._stages = StageMarks(scenario, self._start, self._marked)
        self._health = GeneratorHealth()
        self._began_wall_us = 0
        self._began_s = 0.0
        self._most_connected = 0
        self._phase: Literal["connecting", "living", "ending"] = "connecting"

    def _hears(self) -> Callable[[Event], None] | None:
        """Return who listens to the cars' events: lines and people."""
        lines = None if self._lines is None else self._lines.heard
        if self._cast is None:
            return lines

        def heard(event: Event) -> None:
            if lines is not None:
                lines(event)
            if self.users is not None and self.users.people is not None:
                self.users.people.heard(event)

        return heard

    def _link_plan(self) -> LinkPlan:
        config, factor, again = self._config, self.clock.factor, self._config.scenario.reconnect
        return LinkPlan(
            password_for=config.password_for,
            session_expiry_s=broker_seconds(SESSION_EXPIRY, factor),
            will_delay_s=broker_seconds(WILL_DELAY, factor),
            first_back_off_s=again.first / SECOND if again.first else max(1.0, config.scenario.cars / CARS_PER_CONNECT_SECOND),
            longest_back_off_s=again.longest / SECOND,
            jitter=again.jitter,
            end_session=config.end_session,
            clear_presence=config.clear_presence,
            until_stored=config.until_stored,
            stamped=config.schedule is None,
        )

    def stop(self) -> None:
        """End early; `run` returns what happened so far."""
        self._stop.set()
        self._nothing_awaited.set()

    async def run(self) -> Progress:
        """Connect, let the scenario's time run to its end, disconnect. Raises LinkError when no car can connect at all."""
        progress = asyncio.create_task(self._report_progress(), name="progress")
        waits = None if self._config.schedule else asyncio.create_task(self._report_waits(), name="waits")
        try:
            await self._connect()
            await self._live()
        finally:
            progress.cancel()
            self._phase = "ending"
            self._health.stop()
            self.clock.end()
            if self.users is not None:
                await self.users.close()
            await self.shard.stop()
            if waits is not None:
                waits.cancel()
        return self.result()

    async def _connect(self) -> None:
        shard = self.shard
        self._began_s = asyncio.get_running_loop().time()
        shard.connect()

        def settled() -> bool:
            return not shard.waiting_to_connect or self._hopeless() is not None or self._stop.is_set()

        await wait_until(settled, CONNECT_PATIENCE_S)
        error = self._hopeless()
        if error is not None:
            raise error
        if self._config.tools is not None:
            await self._connect_users(self._config.tools)

    def _hopeless(self) -> LinkError | None:
        """Return why nobody can connect, once that is clear: a refusal for all, or no broker."""
        error = self.shard.first_error
        nobody = self.shard.counts.connects == 0
        if nobody and isinstance(error, ConnectRefused | SubscribeRefused):
            return error
        if not nobody or not isinstance(error, Unreachable):
            return None
        tried = self.shard.counts.losses - len(self.shard.cars)
        patient = asyncio.get_running_loop().time() - self._began_s >= HOPELESS_S
        return error if tried > 0 or (tried == 0 and patient) else None

    async def _connect_users(self, links: LinkFactory) -> None:
        config, journal = self._config, self._config.journal
        share = len(self.shard.cars) / config.scenario.cars
        scheduled = schedule_commands(config.scenario, self._start, self._zone, share=share)
        self.clock.begin()
        self.users = Users(
            scenario=config.scenario,
            start=self._start,
            scheduled=scheduled,
            shard=self.shard,
            links=links if journal is None else recorded_links(links, journal.write, self.clock.now, config.dialect.topics),
            dialect=config.dialect,
            key=stream_key(config.scenario.seed, "users", str(config.index)),
            client_id=f"users-{config.index}-{self.boot}",
            password=config.password_for("tool"),
            announce=AnnounceClock(
                id=f"clock-{self.boot}", start=self._start, epoch_wall_us=self.clock.epoch_wall_us, factor=self.clock.factor
            ),
            cast=self._cast,
            mailboxes=config.mailboxes,
        )
        if self.users.people is not None and self._cast is not None:
            self.users.people.be_known(seeds_of(self._cast, seed=config.scenario.seed, start=self._start))
        self.users.on_all_answered = self._nothing_awaited.set
        self.users.open()

    async def _live(self) -> None:
        if self._stop.is_set():
            return
        if self.users is None:
            self.clock.begin()
        else:
            self.shard.add(self.users)
            if self.users.people is not None:
                self.shard.add(self.users.people)
        self._phase = "living"
        self._began_wall_us = self.clock.epoch_wall_us
        self._play()
        if self._config.schedule is None:
            self._health.start()
        self.shard.run()
        ends_wall_us = self.clock.wall_us_at(self._start + self._config.scenario.duration)
        try:
            async with asyncio.timeout((ends_wall_us - self.clock.wall_us()) / 1e6):
                await self._stop.wait()
        except TimeoutError:
            self._health.stop()  # what follows is waiting, and would flatter all means
            self.shard.stay_put()
            if self._config.schedule is None:
                await wait_until(lambda: not self._awaits_outcomes, LAST_OUTCOMES_S)
            else:
                await self._wait_for_outcomes(self._config.schedule)

    @property
    def _awaits_outcomes(self) -> bool:
        return self.users is not None and self.users.waiting > 0 and not self._stop.is_set()

    async def _wait_for_outcomes(self, schedule: Schedule) -> None:
        """Wait till the whole second after the last outcome: an hour of looking each second would cost as much as the cars."""
        since = schedule.now
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_OUTCOMES_VIRTUAL_S):
                while self._awaits_outcomes:
                    self._nothing_awaited.clear()
                    await self._nothing_awaited.wait()
                    await asyncio.sleep((since - schedule.now) % SECOND / SECOND)

    def _tell_broker(self, action: str) -> None:
        """Ask whoever runs the private broker to do something to it; of several simulators one does."""
        if self._config.index == 0:
            self._emit({"type": "broker", "do": action})

    def _tell_network(self, step: str, begins: bool) -> None:
        """Ask whoever runs the network to begin or end what a step does to it; of several simulators one does."""
        if self._config.index == 0:
            self._emit({"type": "network", "step": step, "begins": begins})

    def _play(self) -> None:
        """Put load, timeline and stages onto the heap."""
        executor = ActionExecutor(users=self.users, broker=self._tell_broker, network=self._tell_network, lines=self._lines)
        actors = make_actors(
            self._config.scenario,
            start=self._start,
            zone=self._zone,
            selector=self._selector,
            executor=executor,
            figures=self._figures,
        )
        for actor in (*actors, self._stages):
            self.shard.add(actor)

    # --- reports

    def _figures(self) -> dict[str, float]:
        cars = (held.car for held in self.shard.cars.values())
        return live_figures(cars, self.users.whole if self.users else None, self.clock.now())

    def _marked(self) -> Progress:
        """Return what a stage's figures are the difference of."""
        return {"account": self.shard.account(), "publish_to_ack": self.shard.counts.publish_to_ack.to_dict()}

    async def _report_progress(self) -> None:
        while True:
            await asyncio.sleep(self._progress_every_s)
            self._emit(self.progress())
            if self._config.journal is not None:
                self._config.journal.flush()  # what the process may not live to write

    async def _report_waits(self) -> None:
        """Tell each second what is waited for, and once that it is no more."""
        waited = False
        while True:
            await asyncio.sleep(WAITS_EVERY_S)
            what, detail = self._waits_for()
            if what or waited:
                self._emit({"type": "waits", "what": what, "detail": detail})
            waited = bool(what)

    def _waits_for(self) -> tuple[str, str]:
        """Return what is waited for and which, in words; nothing while scenario time passes as it should."""
        shard, users = self.shard, self.users
        if self._phase == "ending":
            sending = [held.car.vin for held in shard.sending()]
            return ("the broker's last word to cars", named(sending)) if sending else ("cars to say good-bye", "")
        unconnected = [held.car.vin for held in shard.unconnected()]
        if unconnected and (self._phase == "connecting" or len(unconnected) == len(shard.cars)):
            return "cars to connect", named(unconnected)
        if users is not None and users.error is not None:
            return "the users' connection to the desk", str(users.error)
        if users is not None and users.waiting and self.clock.now() >= self._start + self._config.scenario.duration:
            return "the outcome of commands", named(users.waits_for(), users.waiting)
        return "", ""

    def progress(self) -> Progress:
        """Return what a live view shows."""
        states, connections = self.shard.states()
        self._most_connected = max(self._most_connected, connections["online"] + connections["reachable"])
        warnings = {**self.shard.counts.link_errors, **{f"refused: {k}": v for k, v in self.shard.counts.refusals.items()}}
        return {
            "type": "progress",
            "scenario_time": format_instant(self.clock.now()),
            "elapsed_us": self.clock.now() - self._start,
            "elapsed_share": min(1.0, (self.clock.now() - self._start) / self._config.scenario.duration),
            "states": dict(states),
            "connections": dict(connections),
            "account": self.shard.account(),
            "commands": dict(self.users.outcomes) if self.users else {},
            "commands_waiting": self.users.waiting if self.users else 0,
            "publish_to_ack_ms": self.shard.counts.publish_to_ack.summary_ms(),
            "round_trip_ms": self.users.round_trip.summary_ms() if self.users else {},
            "behind_ms": round(self.shard.counts.lag.percentile(0.99) / 1000, 1) if self.shard.counts.lag.count else 0.0,
            "warnings": warnings,
            **({"so_far": self._so_far()} if self._config.schedule is None else {}),
        }

    def _so_far(self) -> Progress:
        """Return what a report needs of a process that may not live to give its result."""
        return {
            "boot": self.boot,
            "connected": self._most_connected,
            "wall_s": round(max(0, self.clock.wall_us() - self._began_wall_us) / 1e6, 3) if self._began_wall_us else 0.0,
            "behind": self.shard.counts.lag.to_dict(),
            "late_sends": self.shard.counts.late,
            "health": self._health.figures(),
        }

    def result(self) -> Progress:
        """Return what a report needs; histograms travel whole, so that those of several processes can be merged."""
        counts = self.shard.counts
        lived = bool(self._began_wall_us)
        wall_s = (self.clock.wall_us() - self._began_wall_us) / 1e6 if lived else 0.0
        users = self.users
        return {
            "type": "result",
            "version": __version__,
            "boot": self.boot,
            "until_stored": self._config.until_stored,
            "cars": len(self.shard.cars),
            "connected": max(self._most_connected, min(counts.connects, len(self.shard.cars))),
            "stopped_early": self._stop.is_set(),
            "began_wall_us": self._began_wall_us,
            "wall_s": round(wall_s, 3),
            "account": self.shard.account(),
            "outboxes": self.shard.outboxes(),
            "publish_to_ack": counts.publish_to_ack.to_dict(),
            "round_trip": users.round_trip.to_dict() if users else None,
            "round_trip_waking": users.round_trip_waking.to_dict() if users else None,
            "behind": counts.lag.to_dict(),
            "late_sends": counts.late,
            "health": self._health.figures(),
            "connects": counts.connects,
            "link_errors": dict(counts.link_errors),
            "ends": msgspec.to_builtins(counts.ends),
            "refusals": dict(counts.refusals),
            "left_out_by": dict(counts.left_out),
            "stored_by_marks": sum(held.car.outbox.stored for held in self.shard.cars.values()),
            "presences": msgspec.to_builtins(counts.presences),
            "unreadable": dict(counts.unreadable),
            "stages": self._stage_results(),
            "lines": [] if self._lines is None else self._lines.results(asked=users is not None),
            "outages": [msgspec.to_builtins(outage) for outage in counts.outages],
            "commands": users.whole.counts() if users else {},
            "services": by_state(users.services) if users else {},
            "enrolments": by_state(users.people.enrolments) if users and users.people else {},
            "commands_asked": users.asked if users else 0,
            "commands_waiting": users.waiting if users else 0,
            "commands_not_remembered": self._config.memory.failed if self._config.memory else 0,
        }

    def _stage_results(self) -> list[Progress]:
        """Return each stage that began, with what the cars did in it and what became of the commands asked in it."""
        if not self._stages.is_over and self._began_wall_us:
            self._stages.mark()
        return stage_results(self._stages.marks, self.users.stages if self.users else {})
