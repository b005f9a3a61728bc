"""The state of each car by its messages so far: engine, doors, place, and the commands that it got.

Messages leave a car in the order in which it made them, often long after: so what holds for a message follows from
those with lower numbers, and not from what stands before it in the journal. Only what people do to the doors is an
input; it is put in its place by time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fleet.checks.check import Handlers, is_first
from fleet.checks.reserves import Reserves
from fleet.kernel.instants import HOUR, Instant
from fleet.observe.journal import Input, Output, Wake
from fleet.observe.story import CAR
from fleet.wire.messages import TERMINAL_STATES

COMMANDS_KEPT: Final = 128
OPENINGS_KEPT: Final = 64
DRAINS_KEPT: Final = 64
ROUNDED_PERCENT: Final = 0.05
"""A status tells tenths of a percent."""
LOW_PERCENT: Final = 50.0
"""Below this the 12 V battery is low, of which a car tells."""

LatLon = tuple[float, float]


class Beginning(NamedTuple):
    """The state of a car at the start, before its first message; a part that it lacks is None."""

    at: Instant
    position: LatLon
    fuel_percent: float | None
    charge_percent: float | None
    low_voltage_percent: float
    plugged_in: bool


Beginnings = Callable[[str], Beginning | None]
"""Tells how a car begins, by its VIN; None where that is not known."""


def unknown(_vin: str) -> None:
    """Know of no car how it begins."""


class Level:
    """The content of a tank or battery that nobody fills: by the last status, less the consumption since."""

    __slots__ = ("_drains", "_told_at", "driven", "percent")

    def __init__(self) -> None:
        self.percent: float | None = None
        self._told_at: Instant = 0
        self.driven = False
        self._drains: list[tuple[Instant, float]] = []

    def tell(self, percent: float, at: Instant, *, driving: bool) -> None:
        """Take the percentage of a status."""
        self.percent, self._told_at, self.driven = percent, at, driving
        self._drains = [drain for drain in self._drains if drain[0] >= at]

    def drive(self) -> None:
        """The engine was started: how much that takes nobody knows."""
        self.driven = True

    def drain(self, percent: float, at: Instant) -> None:
        """Somebody has drawn it down to this."""
        self._drains.append((at, percent))
        if len(self._drains) > DRAINS_KEPT:
            self._drains.clear()
            self.percent = None

    def within(self, at: Instant, full: float, *, per_hour: float, drains: bool = True) -> tuple[float, float] | None:
        """Return the least and the most that it holds at an instant, None when no message says.

        `full` is what it holds at most, `per_hour` what a parked car takes at most. `drains` tells whether it is what is drawn
        down in this car; what that did in the same microsecond may come before or after.
        """
        if self.percent is None:
            return None
        least, most = self.percent - ROUNDED_PERCENT, self.percent + ROUNDED_PERCENT
        for drained_at, percent in self._drains if drains else ():
            if drained_at <= at:
                least = min(least, percent)
            if self._told_at < drained_at < at:
                most = min(most, percent)
        taken = per_hour * (at - self._told_at) / HOUR
        return 0.0 if self.driven else least / 100 * full - taken, most / 100 * full


class KnownCar:
    """One car, as far as it is known. None is not known."""

    __slots__ = (
        "_openings", "_received_at", "_told", "charge", "commands", "engine_on", "fresh", "fuel", "locked",
        "low_voltage_low", "low_voltage_percent", "now", "open_doors", "plugged_in", "position", "seq",
    )  # fmt: skip

    def __init__(self) -> None:
        self.now: Instant = 0
        self.seq = 0
        self.engine_on: bool | None = False
        self.open_doors: frozenset[str] | None = frozenset()
        self.locked: bool | None = None
        self.fresh = True
        """Whether all that it has not reported is still as it was at the start."""
        self.position: LatLon | None = None
        self.plugged_in: bool | None = None
        self.low_voltage_percent: float | None = None
        self.low_voltage_low = False
        self.fuel = Level()
        self.charge = Level()
        self.commands: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._received_at: dict[str, Instant] = {}
        self._told: dict[str, str] = {}
        self._openings: deque[tuple[Instant, str, bool]] = deque()

    def forget(self) -> None:
        """The car was silent: it is as nobody knows."""
        self.engine_on = self.open_doors = self.locked = self.position = self.plugged_in = self.low_voltage_percent = None
        self.fuel.percent = self.charge.percent = None
        self.low_voltage_low = self.fresh = False

    def begin(self, beginning: Beginning) -> None:
        """Take how the car has begun, where it has not reported yet."""
        for level, percent in ((self.fuel, beginning.fuel_percent), (self.charge, beginning.charge_percent)):
            if level.percent is None and percent is not None:
                level.tell(percent, beginning.at, driving=False)
        if self.position is None:
            self.position = beginning.position
        if self.low_voltage_percent is None:
            self.low_voltage_percent = beginning.low_voltage_percent
        if self.plugged_in is None:
            self.plugged_in = beginning.plugged_in

    def follows(self, message: dict[str, Any]) -> bool:
        """Tell whether no message was left out before this one."""
        seq: int = message["seq"]
        return seq == self.seq + 1

    def get(self, command: dict[str, Any]) -> None:
        """Take a command that arrived."""
        self.commands[command["id"]] = command
        self._received_at.setdefault(command["id"], self.now)
        if len(self.commands) > COMMANDS_KEPT:
            forgotten, _ = self.commands.popitem(last=False)
            self._told.pop(forgotten, None)
            self._received_at.pop(forgotten, None)

    def received_at(self, command_id: str) -> Instant | None:
        """Return when a command arrived for the first time, None when it is not known."""
        return self._received_at.get(command_id)

    def recall(self, done: dict[str, Any]) -> None:
        """Take a command that was executed before the car's computer was started: what had no end then has failed."""
        self._told[done["id"]] = done["state"] if done["state"] in TERMINAL_STATES else "failed"

    def tell(self, answer: dict[str, Any]) -> None:
        """Take an answer to a command that is known."""
        if answer["command_id"] in self.commands:
            self._told[answer["command_id"]] = answer["state"]

    def repeats(self, answer: dict[str, Any]) -> bool:
        """Tell whether an answer says again what was said last: the command has come again, and nothing was done for it."""
        state: str = answer["state"]
        return self._told.get(answer["command_id"]) == state

    def move_opening(self, name: str, *, opened: bool) -> None:
        """Note that somebody opened or closed something now."""
        self._openings.append((self.now, name, opened))
        if len(self._openings) > OPENINGS_KEPT:
            self._openings.popleft()
            self.open_doors = self.locked = None

    def settle_doors(self, message: dict[str, Any]) -> None:
        """Let what was done to the doors before this message have happened. What was done in the same microsecond may be
        before or after it, and leaves them unknown. So does a message that was dropped before this one."""
        at = message["captured_at"]
        if not self.follows(message):
            self.open_doors = self.locked = None
        while self._openings and self._openings[0][0] < at:
            _, name, opened = self._openings.popleft()
            if self.open_doors is not None:
                self.open_doors = self.open_doors | {name} if opened else self.open_doors - {name}
            if opened and self.locked is not None:
                self.locked = False
        if self.moved_at(at):
            self.open_doors = self.locked = None

    def moved_at(self, at: Instant) -> bool:
        """Tell whether a door was moved in this very microsecond, the doors of the time before being settled."""
        return bool(self._openings) and self._openings[0][0] == at

    def get_in(self, message: dict[str, Any]) -> None:
        """Somebody has started the engine: all is closed and unlocked, but for what was moved in the same microsecond."""
        self.settle_doors(message)
        if not self.moved_at(message["captured_at"]):
            self.open_doors, self.locked = frozenset(), False


class Cars:
    """All cars of a journal. Its handlers come after those of the checks: what they see is the time before a message."""

    def __init__(self, beginnings: Beginnings = unknown) -> None:
        """Take how the cars begin, as far as it is known."""
        self._cars: dict[str, KnownCar] = {}
        self._beginnings = beginnings
        self.reserves = Reserves()

    def of(self, machine: str) -> KnownCar:
        """Return the car that is this machine."""
        car = self._cars.get(machine)
        if car is None:
            car = self._cars[machine] = KnownCar()
        return car

    def asked(self, machine: str) -> KnownCar:
        """Return a car of which more is wanted than it has said: what is as it was at the start is known, too."""
        car = self.of(machine)
        if car.fresh:
            car.fresh = False
            beginning = self._beginnings(machine.removeprefix(CAR))
            if beginning is not None:
                car.begin(beginning)
        return car

    def handlers(self) -> Handlers:
        """Return what takes which records."""
        return {
            ("in",): self._lives,
            ("wake",): self._lives,
            ("in", "Recall"): self._recalls,
            ("in", "Received", "Command"): self._gets,
            ("in", "SetOpening"): self._moved,
            ("in", "DrainTo"): self._drained,
            ("in", "SetPlug"): self._plugged,
            ("out", "Transmit"): self._sends,
            **self.reserves.handlers(),
        }

    def _lives(self, record: Input | Wake, _line: int) -> None:
        if record.m.startswith(CAR):
            car = self.of(record.m)
            car.now = max(car.now, record.t)

    def _recalls(self, record: Input, _line: int) -> None:
        for done in record.data["executed"]:
            self.of(record.m).recall(done)

    def _gets(self, record: Input, _line: int) -> None:
        self.of(record.m).get(record.data["message"])

    def _moved(self, record: Input, _line: int) -> None:
        self.of(record.m).move_opening(record.data["name"], opened=record.data["opened"])

    def _plugged(self, record: Input, _line: int) -> None:
        car = self.asked(record.m)
        if car.plugged_in is not record.data["plugged_in"]:
            car.plugged_in = None  # until a status tells

    def _drained(self, record: Input, _line: int) -> None:
        car, percent = self.of(record.m), record.data["share"] * 100
        car.fuel.drain(percent, record.t)
        car.charge.drain(percent, record.t)

    def _sends(self, record: Output, _line: int) -> None:
        if not is_first(record):
            return
        car, message = self.of(record.m), record.data["message"]
        if not car.follows(message):
            car.open_doors = car.locked = None  # the status that told of them may have been dropped
        match record.of:
            case "Status":
                self._status(car, message)
            case "Event":
                self._event(car, message)
            case "Response":
                self._answer(car, message)
            case _:
                pass
        car.seq = message["seq"]

    def _status(self, car: KnownCar, message: dict[str, Any]) -> None:
        doors = message.get("doors")
        if doors is not None:
            car.settle_doors(message)
            if not car.moved_at(message["captured_at"]):
                car.open_doors = frozenset(name for name, door in doors.items() if door["open"])
                shut = [door["locked"] for door in doors.values() if not door["open"]]
                car.locked = shut[0] if shut else None
        position = message.get("position")
        if position is not None:
            car.position = (position["latitude"], position["longitude"])
        if "low_voltage" in message:
            percent = car.low_voltage_percent = message["low_voltage"]["charge_percent"]
            car.low_voltage_low = car.low_voltage_low and percent <= LOW_PERCENT + ROUNDED_PERCENT
        if "charging" in message:
            car.plugged_in = message["charging"]["plugged_in"]
        energy = message.get("energy")
        if energy is not None:
            for level, name in ((car.fuel, "fuel_level_percent"), (car.charge, "charge_percent")):
                if energy.get(name) is not None:
                    level.tell(energy[name], message["captured_at"], driving=car.engine_on is not False)

    def _answer(self, car: KnownCar, answer: dict[str, Any]) -> None:
        if answer["state"] == "succeeded" and answer["name"] in {"lock", "unlock"} and not car.repeats(answer):
            car.settle_doors(answer)
            car.locked = answer["name"] == "lock"
        car.tell(answer)

    def _event(self, car: KnownCar, message: dict[str, Any]) -> None:
        match message["name"]:
            case "engine_on":
                car.get_in(message)
                car.engine_on, car.plugged_in, car.fresh = True, False, False
                car.position, car.low_voltage_percent, car.low_voltage_low = None, None, False
                car.fuel.drive()
                car.charge.drive()
            case "engine_off":
                car.engine_on = False
                car.position = None
            case "refuelled":
                car.fuel.percent = car.charge.percent = None
                car.fresh = False
            case "low_voltage_low":
                car.low_voltage_percent, car.low_voltage_low = message["data"]["charge_percent"], True
            case _:
                pass
