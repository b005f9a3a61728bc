"""The memory of a back end that reads a mapped dialect, bounded: parts of messages, last known values, open commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

from fleet.wire.messages import TERMINAL_STATES, Command, Header
from fleet.wire.numbering import Part

OPEN_CARS: Final = 1 << 14
"""Cars of whose messages some parts are there; the messages of the first one are given up."""
OPEN_MESSAGES: Final = 32
"""Of one car, which sends one at a time: the rest was cut off, or is retained; the oldest is given up."""
KNOWN_CARS: Final = 1 << 16
OPEN_COMMANDS: Final = 100
ENDED_COMMANDS: Final = 32
"""Of one car."""

ValueT = TypeVar("ValueT")


class Bounded(Generic[ValueT]):
    """A mapping with so many entries at most: the one that was made first goes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[Any, ValueT] = {}

    def get(self, key: Any) -> ValueT | None:
        """Return what is held, None for nothing."""
        return self._held.get(key)

    def put(self, key: Any, value: ValueT) -> ValueT:
        """Hold a value."""
        if key not in self._held and len(self._held) >= self._most:
            del self._held[next(iter(self._held))]
        self._held[key] = value
        return value

    def pop(self, key: Any) -> None:
        """Forget a value."""
        self._held.pop(key, None)

    def __len__(self) -> int:
        return len(self._held)


class Parts:
    """Messages that came in several frames, until the last of them is there."""

    def __init__(self, most: int = OPEN_MESSAGES) -> None:
        """Take how many messages of one car are kept, so that none takes the place of others."""
        self._most = most
        self._cars: Bounded[Bounded[tuple[set[int], dict[str, Any]]]] = Bounded(OPEN_CARS)

    def add(self, part: Part, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the values of the whole message with its last part, None before."""
        if part.parts == 1:
            return dict(values)
        vin, key = part.header.vin, (part.header.boot, part.header.seq)
        of_car = self._cars.get(vin)
        if of_car is None:
            of_car = self._cars.put(vin, Bounded(self._most))
        seen, found = of_car.get(key) or of_car.put(key, (set(), {}))
        seen.add(part.part)
        found.update(values)
        if len(seen) < part.parts:
            return None
        of_car.pop(key)
        if len(of_car) == 0:
            self._cars.pop(vin)
        return found


class LastKnown:
    """The last known values of cars, for those of whom only changes come."""

    def __init__(self, most: int = KNOWN_CARS) -> None:
        self._cars: Bounded[dict[str, Any]] = Bounded(most)

    def completed(self, vin: str, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values with all that is known of the groups that they belong to."""
        known = self._cars.get(vin)
        if known is None:
            known = self._cars.put(vin, {})
        known.update(values)
        groups = {path.partition(".")[0] for path in values} | {"state", "trigger"}
        return {path: value for path, value in known.items() if path.partition(".")[0] in groups}


class OpenCommands:
    """The commands of our own desk that have no end yet: answers without an id are theirs. An end may come again."""

    def __init__(self, most: int = KNOWN_CARS) -> None:
        self._cars: Bounded[dict[str, str]] = Bounded(most)
        self._ended: Bounded[dict[str, str]] = Bounded(most)

    def sent(self, command: Command) -> None:
        """Note a command."""
        of_car = self._cars.get(command.vin)
        if of_car is None:
            of_car = self._cars.put(command.vin, {})
        if len(of_car) >= OPEN_COMMANDS:
            del of_car[next(iter(of_car))]
        of_car[command.id] = command.name

    def find(self, vin: str, *, correlation: str | None, command_id: Any, name: Any) -> tuple[str, str] | None:
        """Return id and name of the command that an answer is for: by what it echoes, its own id, or the oldest of its name.

        Id and name are as they came, and may be anything.
        """
        of_car = self._cars.get(vin) or {}
        for found in (correlation, command_id):
            if isinstance(found, str) and (known := of_car.get(found) or (self._ended.get(vin) or {}).get(found)) is not None:
                return found, known
        if command_id is not None:
            return None
        return next(((found, each) for found, each in of_car.items() if name is None or name == each), None)

    def ended(self, vin: str, command_id: str, state: str) -> None:
        """Note that a command has come to its end: it is open no more."""
        of_car = self._cars.get(vin)
        if of_car is None or state not in TERMINAL_STATES or command_id not in of_car:
            return
        ended = self._ended.get(vin)
        if ended is None:
            ended = self._ended.put(vin, {})
        if len(ended) >= ENDED_COMMANDS:
            del ended[next(iter(ended))]
        ended[command_id] = of_car.pop(command_id)


class Numbers:
    """Numbers for the messages of a system that has none: counted as they come, from the first one's time on."""

    def __init__(self, most: int = KNOWN_CARS) -> None:
        self._cars: Bounded[list[int]] = Bounded(most)

    def next(self, vin: str, captured_at: int) -> Header:
        """Return the header of a car's next message."""
        of_car = self._cars.get(vin) or self._cars.put(vin, [captured_at, 0])
        of_car[1] += 1
        return Header(vin=vin, boot=of_car[0], seq=of_car[1], captured_at=captured_at)
