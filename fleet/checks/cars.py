"""What the messages of each car say of it so far: the engine, the doors, where it stands, which commands it got.

Messages leave a car in the order in which it made them, often long after: so what holds for a message follows from
those with lower numbers, and not from what stands before it in the journal. Only what people do to the doors is an
input; it is put in its place by time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any, Final

from fleet.checks.check import Handlers, is_first
from fleet.kernel.instants import Instant
from fleet.observe.journal import Input, Output, Wake
from fleet.observe.story import CAR

COMMANDS_KEPT: Final = 128
OPENINGS_KEPT: Final = 64


class KnownCar:
    """One car, as far as it is known. None is not known."""

    __slots__ = (
        "_openings", "_told", "commands", "engine_on", "fuel_percent", "locked", "now", "open_doors", "position", "seq",
    )  # fmt: skip

    def __init__(self) -> None:
        self.now: Instant = 0
        self.seq = 0
        self.engine_on: bool | None = False
        self.open_doors: frozenset[str] | None = frozenset()
        self.locked: bool | None = None
        self.position: tuple[float, float] | None = None
        self.fuel_percent: float | None = None
        self.commands: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._told: dict[str, str] = {}
        self._openings: deque[tuple[Instant, str, bool]] = deque()

    def forget(self) -> None:
        """The car was silent: it is as nobody knows."""
        self.engine_on = self.open_doors = self.locked = self.position = self.fuel_percent = None

    def follows(self, message: dict[str, Any]) -> bool:
        """Tell whether no message was left out before this one."""
        seq: int = message["seq"]
        return seq == self.seq + 1

    def get(self, command: dict[str, Any]) -> None:
        """Take a command that arrived."""
        self.commands[command["id"]] = command
        if len(self.commands) > COMMANDS_KEPT:
            forgotten, _ = self.commands.popitem(last=False)
            self._told.pop(forgotten, None)

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

    def __init__(self) -> None:
        self._cars: dict[str, KnownCar] = {}

    def of(self, machine: str) -> KnownCar:
        """Return the car that is this machine."""
        car = self._cars.get(machine)
        if car is None:
            car = self._cars[machine] = KnownCar()
        return car

    def handlers(self) -> Handlers:
        """Return what takes which records."""
        return {
            ("in",): self._lives,
            ("wake",): self._lives,
            ("in", "Received", "Command"): self._gets,
            ("in", "SetOpening"): self._moved,
            ("out", "Transmit"): self._sends,
        }

    def _lives(self, record: Input | Wake, _line: int) -> None:
        if record.m.startswith(CAR):
            car = self.of(record.m)
            car.now = max(car.now, record.t)

    def _gets(self, record: Input, _line: int) -> None:
        self.of(record.m).get(record.data["message"])

    def _moved(self, record: Input, _line: int) -> None:
        self.of(record.m).move_opening(record.data["name"], opened=record.data["opened"])

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
        car.fuel_percent = message.get("energy", {}).get("fuel_level_percent", car.fuel_percent)

    def _answer(self, car: KnownCar, answer: dict[str, Any]) -> None:
        if answer["state"] == "succeeded" and answer["name"] in {"lock", "unlock"} and not car.repeats(answer):
            car.settle_doors(answer)
            car.locked = answer["name"] == "lock"
        car.tell(answer)

    def _event(self, car: KnownCar, message: dict[str, Any]) -> None:
        match message["name"]:
            case "engine_on":
                car.get_in(message)
                car.engine_on, car.position = True, None
            case "engine_off":
                car.engine_on = False
                car.position = None
            case "refuelled":
                car.fuel_percent = None
            case _:
                pass
