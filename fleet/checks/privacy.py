"""Whether cars keep to their own switches: no position, nothing at all, no commands; and what a silence makes unknown.

Source: the privacy switch, the reset and the services of the domain description. What is said here to leave a car in every mode
is what the law requires, and the word of the switch itself.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fleet.checks.cars import Cars
from fleet.checks.check import WHOLE_CAR, Check, Handlers, is_first, is_wiped, overtakes
from fleet.kernel.instants import Instant
from fleet.observe.journal import Begin, Input, Output
from fleet.observe.story import CAR
from fleet.vehicle.catalogue import Equipment

OPEN: Final = "online_with_location"
SILENT: Final = frozenset({"offline", "maximum_privacy"})
DEGREES: Final = frozenset({"latitude", "longitude"})
DISTANCES: Final = frozenset({"too_far"})
"""Reasons whose detail says how far the car is from somebody whose place is known."""
LOCATES: Final = frozenset({"honk"})
"""Commands that tell the user where the car is by being obeyed."""
WORKSHOP: Final = "everything, in workshop mode,"
KEPT: Final = 64


class Modes:
    """The mode of each car's switch, by what was set at the start and since. A third-generation car has none called `online`."""

    def __init__(self, equipment: Mapping[str, Equipment], begun: Mapping[str, str]) -> None:
        """Take the equipment, and what the switches were set to at the start, by VIN as far as it is known."""
        self._equipment = equipment
        self._mode = {CAR + vin: mode for vin, mode in begun.items()}

    def of(self, machine: str) -> str:
        return self._mode.get(machine, OPEN)

    def open(self, machine: str) -> None:
        """Take a reset, which leaves the switch as it came."""
        self._mode.pop(machine, None)

    def set(self, record: Input) -> bool:
        """Take what somebody sets; False when the switch of the car has no such position."""
        equipment, mode = self._equipment.get(record.m.removeprefix(CAR)), record.data["mode"]
        if mode == "online" and equipment is not None and equipment.generation == "G3":
            return False
        self._mode[record.m] = mode
        return True


class Silences:
    """When cars fell silent, and when they spoke again: what follows from their messages before it holds no more after it.

    Nor does it when a status was dropped: what had changed by then was told in no other. A switch that is turned to where it is,
    and a pairing of a car that was never reset, end nothing.
    """

    def __init__(self, checks: Sequence[Check], cars: Cars, modes: Modes) -> None:
        """Take whom to tell, and the modes at the start."""
        self._checks = [check for check in checks if not check.remembers]
        self._cars = cars
        self._modes = modes
        self._reset: set[str] = set()
        self._turned: dict[str, list[Instant]] = {}

    def handlers(self) -> Handlers:
        """Return what takes which records; they come before those of the checks."""
        return {
            ("in", "SetPrivacy"): self._switched,
            ("in", "ResetCar"): self._resets,
            ("in", "Received", "Command"): self._gets,
            ("in", "PairCar"): self._paired,
            ("out", "Transmit"): self._sends,
        }

    def _resets(self, record: Input, _line: int) -> None:
        self._reset.add(record.m)
        self._turns(record)

    def _gets(self, record: Input, _line: int) -> None:
        if record.data["message"]["name"] == "reset":
            self._reset.add(record.m)  # it may be obeyed at any time from now on

    def _switched(self, record: Input, _line: int) -> None:
        before = self._modes.of(record.m)
        if self._modes.set(record) and (self._modes.of(record.m) != before or record.m in self._reset):
            self._turns(record)

    def _paired(self, record: Input, _line: int) -> None:
        if record.m in self._reset:
            self._turns(record)

    def _turns(self, record: Input) -> None:
        self._note(record.m, max(record.t, self._cars.of(record.m).now))

    def _note(self, machine: str, at: Instant) -> None:
        insort(self._turned.setdefault(machine, []), at)

    def _sends(self, record: Output, _line: int) -> None:
        if not is_first(record):
            return
        message = record.data["message"]
        at = message["captured_at"]
        if not self._cars.of(record.m).follows(message):
            self._forget(record.m)
        if record.of == "Event" and is_wiped(message):
            self._note(record.m, at)  # by a command, or by what somebody did in the car
        turned = self._turned.get(record.m)
        if turned is None or overtakes(record) or at < turned[0]:
            return
        self._turned[record.m] = [instant for instant in turned if instant > at]
        if not self._turned[record.m]:
            del self._turned[record.m]
        self._forget(record.m)

    def _forget(self, machine: str) -> None:
        self._cars.of(machine).forget()
        for check in self._checks:
            check.forget(machine)


class SwitchCheck(Check):
    """What the checks of a car's switches have in common: the mode that holds, and that a reset leaves the switch as it came."""

    remembers = True

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment], begun: Mapping[str, str]) -> None:
        """Take what is known of the cars, their equipment, and their modes at the start."""
        super().__init__(begin)
        self._cars = cars
        self._modes = Modes(equipment, begun)
        self._set_at: dict[str, Instant] = {}

    def handlers(self) -> Handlers:
        return {
            ("in", "SetPrivacy"): self._set_mode,
            ("in", "ResetCar"): self._reset,
            ("out", "Transmit"): self._sent,
        }

    def wiped(self, machine: str, at: Instant, *, told: bool) -> None:
        """The car was reset: its switches are as they came. If `told`, it was before or after an input of the same instant."""

    def mode_set(self, machine: str, at: Instant) -> None:
        """Somebody has turned the switch."""

    def sent(self, record: Output, line: int) -> None:
        """Judge a message of a car."""
        raise NotImplementedError

    def _set_mode(self, record: Input, _line: int) -> None:
        if self._modes.set(record):
            self._set_at[record.m] = record.t
            self.mode_set(record.m, record.t)

    def _reset(self, record: Input, _line: int) -> None:
        self._wipe(record.m, record.data, record.t, told=False)

    def _sent(self, record: Output, line: int) -> None:
        self.sent(record, line)
        message = record.data["message"]
        if record.of == "Response" and (message["name"], message["state"]) == ("reset", "succeeded") and is_first(record):
            car = self._cars.of(record.m)
            if not car.repeats(message):
                parameters = car.commands.get(message["command_id"], {}).get("parameters", {})
                self._wipe(record.m, parameters, message["captured_at"], told=True)

    def _wipe(self, machine: str, parameters: Mapping[str, Any], at: Instant, *, told: bool) -> None:
        """Take a reset. One that is `told` by the car may be long ago; what was set since then holds."""
        if parameters.get("user") in WHOLE_CAR:
            if at >= self._set_at.get(machine, 0):
                self._modes.open(machine)
            self.wiped(machine, at, told=told)


class PositionKept(SwitchCheck):
    """No position leaves a car whose privacy forbids it, but with an emergency call; what was sent before may be repeated.

    Degrees anywhere in a message are a position, and so is a distance from somebody whose place is known.
    """

    name = "position kept"
    rule = "no position leaves a car whose privacy forbids it"
    looks_at = "messages of such cars"

    def sent(self, record: Output, line: int) -> None:
        mode = self._modes.of(record.m)
        if mode == OPEN or not is_first(record):
            return
        self.looked_at += 1
        message = record.data["message"]
        if record.of == "Event" and message["name"] == "ecall":
            return
        told = sorted(DEGREES & set(_keys(message)))
        if message.get("reason") in DISTANCES and message.get("detail"):
            told.append("a distance")
        if told:
            self.breach(line, record.m, f"the mode is {mode}, but {record.of} {message['seq']} tells {', '.join(told)}")


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


class SilenceKept(SwitchCheck):
    """A car whose mode is offline or maximum privacy, or that was reset and not paired since, sends what the law requires.

    Not even a repetition of anything else. It tells its presence.
    """

    name = "silence kept"
    rule = "a silent car sends nothing but what the law requires"
    looks_at = "messages of silent cars"

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment], begun: Mapping[str, str]) -> None:
        super().__init__(begin, cars, equipment, begun)
        self._unpaired: set[str] = set()
        self._paired_at: dict[str, Instant] = {}

    def handlers(self) -> Handlers:
        return {**super().handlers(), ("in", "PairCar"): self._paired}

    def wiped(self, machine: str, at: Instant, *, told: bool) -> None:
        if not told or at > self._paired_at.get(machine, 0):
            self._unpaired.add(machine)

    def _paired(self, record: Input, _line: int) -> None:
        self._unpaired.discard(record.m)
        self._paired_at[record.m] = record.t

    def sent(self, record: Output, line: int) -> None:
        machine, mode = record.m, self._modes.of(record.m)
        if mode in SILENT or machine in self._unpaired:
            self.looked_at += 1
            if not overtakes(record):
                why = "it was reset" if machine in self._unpaired else f"the mode is {mode}"
                self.breach(line, machine, f"{why}, but {record.of} {record.data['message']['seq']} leaves the car")


class SwitchRule(SwitchCheck):
    """A car obeys no command that is switched off in it: by its own switch, in workshop mode, or since it tells where it is.

    What ends workshop mode in a silent car, nobody is told.
    """

    name = "switch rule"
    rule = "no command is obeyed that is switched off in the car"
    looks_at = "commands that were accepted by cars with switches"
    remembers = False

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment], begun: Mapping[str, str]) -> None:
        super().__init__(begin, cars, equipment, begun)
        self._since: dict[str, dict[str, list[tuple[Instant, bool]]]] = {}

    def handlers(self) -> Handlers:
        return {**super().handlers(), ("in", "SetService"): self._set_service, ("in", "SetWorkshop"): self._set_workshop}

    def forget(self, machine: str) -> None:
        self._since.get(machine, {}).pop(WORKSHOP, None)

    def wiped(self, machine: str, at: Instant, *, told: bool) -> None:  # noqa: ARG002 (what has the same instant is not judged)
        for what in self._since.get(machine, {}):
            if what != WORKSHOP:
                self._switch(machine, what, at, off=False)

    def mode_set(self, machine: str, at: Instant) -> None:
        for name in LOCATES:
            self._switch(machine, f"the place that {name} tells", at, off=self._modes.of(machine) != OPEN)

    def _switch(self, machine: str, what: str, at: Instant, *, off: bool) -> None:
        changes = self._since.setdefault(machine, {}).setdefault(what, [])
        changes.append((at, off))
        changes.sort(key=lambda change: change[0])  # a reset may be told late
        del changes[:-KEPT]

    def _set_service(self, record: Input, _line: int) -> None:
        self._switch(record.m, record.data["name"], record.t, off=not record.data["on"])

    def _set_workshop(self, record: Input, _line: int) -> None:
        self._switch(record.m, WORKSHOP, record.t, off=record.data["on"])

    def sent(self, record: Output, line: int) -> None:
        message = record.data["message"]
        if record.m not in self._since or not is_first(record):
            return
        if record.of == "Event" and message["name"] == "workshop_mode" and not message["data"]["on"]:
            self._switch(record.m, WORKSHOP, message["captured_at"], off=False)
        elif record.of == "Response" and message["state"] == "accepted" and message["name"] != "reset":
            self._obeyed(record.m, message, line)

    def _obeyed(self, machine: str, answer: dict[str, Any], line: int) -> None:
        name = answer["name"]
        car = self._cars.of(machine)
        command = car.commands.get(answer["command_id"], {})
        if car.repeats(answer) or command.get("parameters", {}).get("action") == "stop":
            return  # what runs can be stopped, whatever is switched off
        for what in (name, f"the place that {name} tells", WORKSHOP):
            changes = self._since[machine].get(what)
            if changes is not None:
                self.looked_at += 1
                if _was_off(changes, answer["captured_at"]):
                    subject = f"command {answer['command_id']} of {answer['vin']}"
                    self.breach(line, machine, f"{name} is accepted, but {what} is switched off", subject=subject)


def _was_off(changes: Sequence[tuple[Instant, bool]], at: Instant) -> bool:
    """Tell whether it was off at an instant for certain: what changed in the same microsecond may have changed later."""
    before = [off for since, off in changes if since < at]
    return bool(before) and before[-1] and not any(since == at for since, _ in changes)
