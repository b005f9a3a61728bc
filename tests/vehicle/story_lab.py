"""One car with a journal, a broker that does as it is told, and a back end: whatever is done to them, what must hold holds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

import msgspec

from fleet.checks.verification import Verification, verify
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.registry import RULES
from fleet.cloud.rule import CentreOutput, SendReply
from fleet.cloud.sequence import SeenSequence
from fleet.kernel.instants import HOUR, SECOND, Instant
from fleet.observe.journal import Begin, Down, Dropped, JournalWriter, Opened, Published, StoredBatch, Up
from fleet.runtime.centre_codec import CentreCodec
from fleet.runtime.journalling import STORE
from fleet.runtime.recording import Recorded
from fleet.vehicle.catalogue import Equipment, make_vin
from fleet.vehicle.driver import Driver
from fleet.vehicle.outbox import HELLO, UNTIL_HELLO, is_priority
from fleet.vehicle.services import privacy
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import (
    Acknowledged,
    Announce,
    CarOutput,
    Connect,
    Disconnect,
    Drop,
    LinkDown,
    LinkUp,
    PairCar,
    PressButton,
    Received,
    RepeatUnstored,
    SetCoverage,
    SetNetwork,
    SetPrivacy,
    StayPut,
    SwitchOff,
    Transmit,
)
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.messages import (
    TERMINAL_STATES,
    CarMessage,
    Command,
    Event,
    FromCar,
    Reply,
    Request,
    Response,
    ToCar,
    WrittenStatus,
)
from fleet.wire.messages import Stored as Mark
from fleet.wire.privacy import OPEN, mode_of
from tests.vehicle.car_lab import BOOT, SEED, CarLab

DIALECT = FleetDialect()
PLACES = ("latitude", "longitude", "position")
LIFE = ("accepted", "in_progress")
AT_REST = 40
"""Entries of an agenda after days in which nothing happens: planning the day, timers, and what a car still waits for."""
AT_ONCE = 250
"""Entries of an agenda of a car that is left alone: four zones may lie on a long drive like beads."""


class StoryLab(CarLab):
    """A car whose every message the test follows to its end. `answering`: the broker takes messages at once."""

    def __init__(
        self,
        folder: Path,
        fitted: Equipment,
        car_driver: Driver,
        *,
        start: Instant,
        settings: CarSettings,
    ) -> None:
        begin = Begin(
            start,
            "run",
            "begin",
            version="0",
            parts=("simulator", "backend"),
            seed=SEED,
            start=start,
            boot=BOOT,
            clock="virtual",
            until_stored=settings.until_stored,
        )
        self.journal = JournalWriter(folder / "journal.jsonl", begin)
        self.answering = True
        self.broker_works = True
        self.under_way: CarMessage | None = None
        self.first: dict[int, CarMessage] = {}
        self.seen = SeenSequence()
        self.stored = self.duplicates = self.inputs = 0
        self.replies: list[Reply] = []
        self.to_come: list[ToCar] = []
        self.asked: list[str] = []
        self.odometer_m = 0.0
        self._open = self._free = (True, True)
        self._mode = mode_of(settings.privacy, fitted.generation) or OPEN
        self._link = f"link/{make_vin(fitted, 0)}"
        self.centre = ServiceCentre(RULES, {})
        self.recorded_centre = Recorded(self.centre, CentreCodec(), self.journal.write)
        super().__init__(
            fitted,
            car_driver,
            start=start,
            power=False,
            settings=settings,
            record=self.journal.write,
        )

    # --- the link

    def _perform(self, outputs: Iterable[CarOutput]) -> None:
        """Carry out what the car wants, and what it wants of that, until it wants no more."""
        queue = list(outputs)
        before, self._open = self._open, (privacy.may_locate(self.car), not self.car.outbox.muted)
        self._free = (before[0] or self._open[0], before[1] or self._open[1])
        self.inputs += 1
        for output in queue:
            self.outputs.append((self.now, output))
            match output:
                case Connect():
                    self.wanted = True
                    self.journal.write(Opened(self.now, self._link, "open"))
                    if self.broker_works:
                        queue += self._comes_up()
                case Drop() | Disconnect():
                    self.wanted, self.under_way = False, None
                    self.journal.write(Dropped(self.now, self._link, "drop"))
                case Announce(presence):
                    self._publish(presence)
                case Transmit(message):
                    self._take(output)
                    self._publish(message)
                    self.under_way = message
                    if self.answering and self.car.outbox.is_connected:
                        queue += self._answered(arrives=True)
        if self.to_come and self.car.outbox.is_connected:
            self._perform(self.machine.receive(Received(self.to_come.pop(0)), self.now))

    def _publish(self, message: FromCar | WrittenStatus) -> None:
        frame = DIALECT.from_car(message)
        size, check = len(frame.payload), crc32(frame.payload)
        self.journal.write(
            Published(self.now, self._link, "publish", frame.topic, size, check, message.seq, frame.qos, frame.retain)
        )

    def _comes_up(self) -> list[CarOutput]:
        self.journal.write(Up(self.now, self._link, "up"))
        outputs = list(self.machine.receive(LinkUp(session_present=True), self.now))
        if self.car.outbox.held & UNTIL_HELLO:
            outputs += self.machine.receive(Acknowledged(HELLO), self.now)
        return outputs

    def _take(self, output: Transmit) -> None:
        assert self.wanted
        assert self.under_way is None, "one message under way at a time"
        message = output.message
        if output.again:
            assert self.first[message.seq] == message, "a repetition says the same"
            return
        assert not self.sent or message.seq > self.sent[-1].seq, "numbers follow the order of sending"
        self.sent.append(message)
        self.first[message.seq] = message
        may_locate, may_speak = self._free
        if not may_locate and not (isinstance(message, Event) and message.name == "ecall"):
            told = msgspec.json.encode(message).decode()
            assert not any(f'"{name}":' in told for name in PLACES), f"it says where the car is: {told}"
        assert may_speak or is_priority(message), "a silent car says what the law requires"

    def _answered(self, *, arrives: bool, refused: bool = False) -> list[CarOutput]:
        message, self.under_way = self.under_way, None
        if message is None:
            return []
        refused = refused and message.seq not in self.seen  # who has taken a message takes its repetition
        if arrives and not refused:
            self._store(message)
        return list(self.machine.receive(Acknowledged(message.seq, refused=refused), self.now))

    def _store(self, message: CarMessage) -> None:
        kind = type(message).__name__.lower()
        new = self.seen.add(message.seq)
        if new and isinstance(message, Event | Request) and self.centre.wants(message):
            self._passed_on(self.recorded_centre.receive(message, self.now))
        self.journal.write(
            StoredBatch(self.now, STORE, "stored" if new else "duplicate", ((message.vin, message.boot, message.seq, kind),))
        )
        self.stored += new
        self.duplicates += not new

    def _passed_on(self, outputs: Iterable[CentreOutput]) -> None:
        self.replies += [output.reply for output in outputs if isinstance(output, SendReply)]

    def answer(self, *, arrives: bool = True, refused: bool = False) -> None:
        """The broker takes or refuses what is under way; what it takes may still be lost there."""
        self._perform(self._answered(arrives=arrives, refused=refused))

    def lose_answer(self) -> None:
        """The connection breaks when the back end has the message already, and the car does not know."""
        if self.under_way is not None:
            self._store(self.under_way)
        self.break_link()

    def break_link(self) -> None:
        if self.wanted and self.car.outbox.is_connected:
            self.under_way = None
            self.journal.write(Down(self.now, self._link, "down"))
            self.put(LinkDown())

    def come_back(self) -> None:
        """The broker works, and the car comes back to it if it wants."""
        self.broker_works = True
        if self.wanted and not self.car.outbox.is_connected:
            self._perform(self._comes_up())

    def deliver(self, message: ToCar) -> None:
        """Hand the car a message; the broker keeps it for one that is away."""
        self.to_come.append(message)
        self._perform(())

    def mark(self) -> None:
        """The back end says what it has stored."""
        if self.seen.high:
            self.deliver(Mark(boot=BOOT, through=self.seen.through, high=self.seen.high, gaps=tuple(self.seen.gaps)))

    def repeat(self) -> None:
        """No mark has come for long."""
        if self.car.settings.until_stored and self.under_way is None and self.car.outbox.is_connected:
            self.put(RepeatUnstored())

    def reply(self) -> None:
        """The oldest reply reaches the car, or waits at the broker for it."""
        if self.replies:
            self.deliver(self.replies.pop(0))

    def ask(self, command: Command) -> None:
        self.asked.append(command.id)
        self.deliver(command)

    # --- what must hold

    def hold(self) -> None:
        """Whatever was done: numbers, commands, levels, privacy and memory are as they must be."""
        car, t = self.car, self.car.outbox
        at = car.deadline()
        assert at is None or at >= self.now, "nothing is due in the past"
        done = t.stored if t.until_stored else t.acknowledged
        assert t.created == done + t.refused + t.dropped + t.in_outbox, (
            f"{t.created} created: {done} done, {t.refused} refused, {t.dropped} dropped, {t.in_outbox} in the outbox"
        )
        highest = self.sent[-1].seq if self.sent else 0
        assert highest - len(self.sent) <= t.dropped, "only what was dropped leaves a gap"
        levels, fitted = car.levels(self.now), car.equipment
        assert -1e-9 <= levels.fuel_l <= fitted.tank_l + 1e-9
        assert -1e-9 <= levels.charge_kwh <= fitted.usable_kwh + 1e-9
        assert -1e-9 <= levels.adblue_l <= fitted.adblue_l + 1e-9
        assert levels.odometer_m >= self.odometer_m, "the odometer runs forward"
        self.odometer_m = levels.odometer_m
        assert 0.0 <= car.low_voltage.percent(self.now) <= 100.0
        assert len(car.agenda) <= AT_ONCE + 4 * self.inputs, "the agenda does not grow by itself"

    def lives(self) -> dict[str, list[str]]:
        """Return the states that each command has told, what was told twice left out."""
        found: dict[str, list[str]] = {}
        for message in self.sent:
            if isinstance(message, Response):
                states = found.setdefault(message.command_id, [])
                if message.state not in states[-1:]:
                    states.append(message.state)
        return found

    # --- the end

    def calm_down(self) -> None:
        """Bring all to its end: people go home, the network works, and nothing is left but what the car keeps for itself."""
        for world in (StayPut(), SwitchOff(), SetNetwork(works=True), SetCoverage(covered=True)):
            self.put(world)
        if self.car.low_voltage.in_deep_sleep:
            self.put(PressButton("sos"))  # which wakes a car from any sleep
        self.answering = True
        self.come_back()
        self.answer()
        self.run_for(2 * HOUR)
        self.put(PairCar())  # only now: a reset may have waited at the broker
        self.put(SetPrivacy("online_with_location"))
        self.run_for(HOUR)
        while self.replies:
            self.reply()
        self.mark()
        while self.car.outbox.unstored and self.car.outbox.is_connected:  # a car waits before it sends more than it may keep
            self.mark()
            self.repeat()  # what the broker took and lost
        self.run_for(10 * SECOND)
        self.hold()

    def close(self) -> None:
        """Close the journal with its account."""
        t = self.car.outbox
        account = {
            name: getattr(t, name)
            for name in ("created", "published", "acknowledged", "repeated", "refused", "dropped", "in_outbox")
        }
        account |= {"stored": self.stored, "duplicates": self.duplicates, "quarantined": 0}
        self.journal.close(self.now, account)

    def judge(self) -> Verification:
        """Close the journal, and put all checks to it."""
        self.close()
        vin = self.car.vin
        return verify(self.journal.path, {vin: self.car.equipment}, {vin: self._mode})


def is_life(states: list[str]) -> bool:
    """Tell whether a command may go through these states: some of the way, and one end at most."""
    *way, last = states
    return way == list(LIFE[: len(way)]) and (last in TERMINAL_STATES or last == LIFE[len(way)])
