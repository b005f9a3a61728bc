"""Whether cars keep to their own switches: no position, nothing at all, no commands; and what a silence makes unknown.

Source: the privacy switch, the reset and the services of the domain description. What is said here to leave a car in every mode
is what the law requires, and the event of the switch itself.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fleet.checks.cars import Cars
from fleet.checks.check import WHOLE_CAR, Check, CheckedRule, Handlers, is_first, is_paired, is_priority, is_wiped
from fleet.checks.command_rule import AnswersJudged, Verdict
from fleet.kernel.instants import Instant
from fleet.observe.journal import Begin, Input, Output
from fleet.observe.story import CAR
from fleet.vehicle.catalogue import Equipment

OPEN: Final = "online_with_location"
SILENT: Final = frozenset({"offline", "maximum_privacy"})
DEGREES: Final = frozenset({"latitude", "longitude"})
DISTANCES: Final = frozenset({"too_far"})
"""Reasons whose detail says how far the car is from somebody whose place is known."""
LOCATES: Final = frozenset({"honk", "area_alert", "speed_alert"})
"""Commands that tell the user where the car is by being obeyed, or later."""
LEGAL: Final = frozenset({"reset"})
"""Commands that are obeyed whatever is switched off."""
ENROLS: Final = "enrol_user"
"""The command that a car obeys in which nobody is at home, and whatever service is off: it brings somebody."""
KEPT: Final = 64


class Modes:
    """The mode of each car's switch, by what was set at the start and since. A third-generation car has none called `online`."""

    def __init__(self, equipment: Mapping[str, Equipment], begun: Mapping[str, str]) -> None:
        """Take the equipment, and what the switches were set to at the start, by VIN as far as it is known."""
        self._equipment = equipment
        self._mode = {CAR + vin: mode for vin, mode in begun.items()}

    def of(self, machine: str) -> str:
        return self._mode.get(machine, OPEN)

    def begun(self) -> Iterator[tuple[str, str]]:
        """Yield each car with the mode that its switch begins with; one that its generation has not is left."""
        for machine, mode in self._mode.items():
            yield machine, mode if self._has(machine, mode) else OPEN

    def _has(self, machine: str, mode: str) -> bool:
        fitted = self._equipment.get(machine.removeprefix(CAR))
        return mode != "online" or fitted is None or fitted.generation != "G3"

    def open(self, machine: str) -> None:
        """Take a reset, which leaves the switch as it came."""
        self._mode.pop(machine, None)

    def set(self, record: Input) -> bool:
        """Take what somebody sets; False when the switch of the car has no such position."""
        if not self._has(record.m, record.data["mode"]):
            return False
        self._mode[record.m] = record.data["mode"]
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
            ("in", "DeleteUser"): self._may_reset,
            ("in", "Received", "Command"): self._gets,
            ("in", "PairCar"): self._paired,
            ("out", "Transmit"): self._sends,
        }

    def _resets(self, record: Input, _line: int) -> None:
        self._reset.add(record.m)
        self._turns(record)

    def _may_reset(self, record: Input, _line: int) -> None:
        self._reset.add(record.m)  # if whoever it is may, and it is the primary user

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
        elif is_paired(record) and record.m in self._reset:
            self._note(record.m, at)
        turned = self._turned.get(record.m)
        if turned is None or is_priority(record) or at < turned[0]:
            return
        # What has the very instant of a switch was captured before it or after it: the first message after both ends it.
        self._turned[record.m] = [instant for instant in turned if instant >= at]
        if not self._turned[record.m]:
            del self._turned[record.m]
        self._forget(record.m)

    def _forget(self, machine: str) -> None:
        self._cars.of(machine).forget()
        for check in self._checks:
            check.forget(machine)


class SwitchCheck(Check):
    """The base of checks of a car's switches: it knows the mode that holds; a reset leaves the switch as the car came."""

    remembers = True

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment], begun: Mapping[str, str]) -> None:
        """Take what is known of the cars, their equipment, and their modes at the start."""
        super().__init__(begin)
        self._cars = cars
        self._modes = Modes(equipment, begun)
        self._set_at: dict[str, Instant] = {}
        self._deleting: set[str] = set()

    def handlers(self) -> Handlers:
        return {
            ("in", "SetPrivacy"): self._set_mode,
            ("in", "ResetCar"): self._reset,
            ("in", "DeleteUser"): self._deletes,
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

    def _says_reset(self, record: Output) -> bool:
        """Tell whether a car says that it was reset, where nobody can know it from what was done to the car."""
        message = record.data["message"]
        if not (record.of == "Event" and is_wiped(message) and is_first(record)):
            return False
        return record.m in self._deleting or message.get("data", {}).get("by") == "enrolment"

    def _deletes(self, record: Input, _line: int) -> None:
        self._deleting.add(record.m)

    def _sent(self, record: Output, line: int) -> None:
        message = record.data["message"]
        if self._says_reset(record):
            self._wipe(record.m, message["data"], message["captured_at"], told=False)
        self.sent(record, line)
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
        else:
            self._deleting.add(machine)  # all of the car, if the car says so: the user was its primary one


class PositionKept(SwitchCheck):
    """No position leaves a car whose privacy forbids it, but with an emergency call; what was sent before may be repeated.

    Degrees anywhere in a message are a position, and so is a distance from somebody whose place is known.
    """

    name = "position kept"
    rule = "no position leaves a car whose privacy forbids it"
    looks_at = "messages of such cars"

    def sent(self, record: Output, line: int) -> None:
        """Look through a message, the first time that it is sent, for what tells where the car is."""
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
        if is_paired(record) and is_first(record):
            self._paired_at[machine] = record.data["message"]["captured_at"]
            self._unpaired.discard(machine)
        if mode in SILENT or machine in self._unpaired:
            self.looked_at += 1
            if not is_priority(record):
                why = "it was reset" if machine in self._unpaired else f"the mode is {mode}"
                self.breach(line, machine, f"{why}, but {record.of} {record.data['message']['seq']} leaves the car")


class SwitchRule(SwitchCheck, AnswersJudged):
    """A car obeys no command that is switched off in it: by its own switch, in workshop mode, or since it tells where it is.

    Nor does a silent car obey anything but what the law requires. What runs can be stopped, whatever is switched off; not in a
    silent car. What ends workshop mode in a silent car, nobody is told.
    """

    name = "switch rule"
    rule = "no command is obeyed that is switched off in the car, and none refused as that which is not"
    looks_at = "answers"
    remembers = False
    SERVICE: Final = CheckedRule(
        "service", "only while its service is not switched off in the car", frozenset({"service_deactivated"})
    )
    PLACE: Final = CheckedRule(
        "place", "what tells where the car is only while its mode allows that", frozenset({"privacy_location"})
    )
    WORKSHOP: Final = CheckedRule("workshop", "only while the car is not in workshop mode", frozenset({"workshop_mode"}))
    MODE: Final = CheckedRule(
        "mode", "only while the car's mode is neither offline nor maximum privacy", frozenset({"privacy_offline"})
    )
    PAIRED: Final = CheckedRule("paired", "only while somebody is enrolled in the car since its reset", frozenset({"not_paired"}))
    rules = (SERVICE, PLACE, WORKSHOP, MODE, PAIRED)

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment], begun: Mapping[str, str] | None) -> None:
        super().__init__(begin, cars, equipment, begun or {})
        self._begun_known = begun is not None
        self._since: dict[str, dict[str, list[tuple[Instant, bool | None]]]] = {}
        for machine, mode in self._modes.begun():
            if mode != OPEN:
                self._switch(machine, self.PLACE.name, 0, off=True)
                self._switch(machine, self.MODE.name, 0, off=mode in SILENT)

    def handlers(self) -> Handlers:
        return {
            **super().handlers(),
            ("in", "SetService"): self._set_service,
            ("in", "SetWorkshop"): self._set_workshop,
            ("in", "PairCar"): self._paired,
        }

    def forget(self, machine: str) -> None:
        """A drive may have ended workshop mode, and its word been dropped, also before an answer that comes late."""
        changes = self._since.get(machine, {})
        if self.WORKSHOP.name in changes:
            changes[self.WORKSHOP.name] = [(at, None if off else off) for at, off in changes[self.WORKSHOP.name]]

    def wiped(self, machine: str, at: Instant, *, told: bool) -> None:
        for what in list(self._since.get(machine, ())):
            if what not in {self.WORKSHOP.name, self.PAIRED.name}:
                self._put_switch(machine, what, at, off=False, told=told)
        self._put_switch(machine, self.PAIRED.name, at, off=True, told=told)

    def _put_switch(self, machine: str, what: str, at: Instant, *, off: bool, told: bool) -> None:
        """Take the position that a car is in by its own word; its order among other changes of the same instant stays unknown."""
        unsure = told and self._changed_at(machine, what, at)
        self._switch(machine, what, at, off=None if unsure else off)

    def mode_set(self, machine: str, at: Instant) -> None:
        mode = self._modes.of(machine)
        self._switch(machine, self.PLACE.name, at, off=mode != OPEN)
        self._switch(machine, self.MODE.name, at, off=mode in SILENT)

    def _switch(self, machine: str, what: str, at: Instant, *, off: bool | None) -> None:
        changes = self._since.setdefault(machine, {}).setdefault(what, [])
        changes.append((at, off))
        changes.sort(key=lambda change: change[0])  # a reset may be told late
        del changes[:-KEPT]

    def _set_service(self, record: Input, _line: int) -> None:
        self._switch(record.m, f"service {record.data['name']}", record.t, off=not record.data["on"])

    def _set_workshop(self, record: Input, _line: int) -> None:
        self._switch(record.m, self.WORKSHOP.name, record.t, off=record.data["on"])

    def _paired(self, record: Input, _line: int) -> None:
        self._switch(record.m, self.PAIRED.name, record.t, off=False)

    def _workshop_ends(self, machine: str, at: Instant) -> None:
        """Take what a car tells, perhaps long after; what somebody did in that very instant is known, and in its order."""
        if not self._changed_at(machine, self.WORKSHOP.name, at):
            self._switch(machine, self.WORKSHOP.name, at, off=False)

    def _changed_at(self, machine: str, what: str, at: Instant) -> bool:
        return any(since == at for since, _ in self._since.get(machine, {}).get(what, ()))

    def sent(self, record: Output, line: int) -> None:
        message = record.data["message"]
        if not is_first(record):
            return
        if record.of == "Event" and message["name"] == "workshop_mode" and not message["data"]["on"]:
            self._workshop_ends(record.m, message["captured_at"])
        elif is_paired(record):
            self._put_switch(record.m, self.PAIRED.name, message["captured_at"], off=False, told=True)
        elif record.of == "Response" and message["state"] in {"accepted", "rejected"} and message["name"] not in LEGAL:
            car = self._cars.of(record.m)
            command = car.commands.get(message["command_id"])
            if command is not None and not car.repeats(message):
                self.looked_at += 1
                if record.m not in self._since and self._begun_known and message["state"] == "accepted":
                    self._nothing_is_off(message["name"], command.get("parameters", {}))
                    return
                for verdict in self._judge(record.m, message, command.get("parameters", {})):
                    self.compare(verdict, message, line)

    def _nothing_is_off(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Count a command of a car of whose switches nobody has touched any, which nearly all are."""
        stops = name == ENROLS or parameters.get("action") == "stop"
        for rule in (self.MODE, self.PAIRED) if stops else (self.MODE, self.PAIRED, self.SERVICE, self.WORKSHOP):
            self.judged(rule.name, "allowed")
        if name in LOCATES and not stops:
            self.judged(self.PLACE.name, "allowed")

    def _judge(self, machine: str, answer: dict[str, Any], parameters: Mapping[str, Any]) -> Iterator[Verdict]:
        name, at = answer["name"], answer["captured_at"]
        yield self._verdict(self.MODE, machine, self.MODE.name, at)
        if name == ENROLS and parameters.get("role", "primary") == "primary":
            yield Verdict(self.PAIRED, permits=True, why="it brings somebody home")
        else:
            yield self._verdict(self.PAIRED, machine, self.PAIRED.name, at)
        if name == ENROLS or parameters.get("action") == "stop":
            return
        yield self._verdict(self.SERVICE, machine, f"service {name}", at)
        yield self._verdict(self.WORKSHOP, machine, self.WORKSHOP.name, at)
        if name in LOCATES or answer.get("reason") in self.PLACE.reasons:
            yield self._verdict(self.PLACE, machine, self.PLACE.name, at)

    def _verdict(self, rule: CheckedRule, machine: str, what: str, at: Instant) -> Verdict:
        sure = self._begun_known or rule not in {self.MODE, self.PLACE}
        off = _off_at(self._since.get(machine, {}).get(what, ()), at, begun=False if sure else None)
        if off is None:
            return Verdict(rule, None, "how it is switched at this instant is not known")
        return Verdict(rule, not off, f"{what} is switched {'off' if off else 'on'}")


def _off_at(changes: Sequence[tuple[Instant, bool | None]], at: Instant, *, begun: bool | None) -> bool | None:
    """Tell whether it was off at an instant, None when that is not certain: what changed in it may have changed later."""
    if any(since == at for since, _ in changes):
        return None
    before = [off for since, off in changes if since < at]
    if before:
        return before[-1]
    return None if len(changes) >= KEPT else begun
