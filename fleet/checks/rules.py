"""The rules of remote commands, judged a second time from what cars were given and did.

Source: the table of remote commands of the domain description. This is another implementation than that of the vehicle, on
purpose: it knows a car only by its messages. The words of each rule stand in its class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from fleet.checks.cars import Cars, KnownCar
from fleet.checks.check import CheckedRule, Handlers, is_first, is_priority
from fleet.checks.command_rule import ENGINE_OFF, Answer, CommandRule, Parameters, Verdict, engine_off
from fleet.checks.geodesy import LatLon, vincenty_m
from fleet.kernel.instants import SECOND
from fleet.observe.journal import Begin, End, Output
from fleet.vehicle.catalogue import Equipment
from fleet.wire.messages import TERMINAL_STATES

HONK_M: Final = 500.0005
"""500 m to the millimetre: up to here a distance is rounded to 500.000 m."""
EXACT_M: Final = 0.0002
"""How far two ways to measure 500 m may differ."""
HONK_S: Final = 10
MINUTES: Final = {10, 20, 30, 40, 50, 60}
HEATER_L_PER_HOUR: Final = 0.4
"""An upper bound of the fuel that a parked car burns: 0.2 l in half an hour of heating."""
EXACT_L: Final = 1e-9
PENDING: Final = 16
SWITCHED_OFF: Final = {"privacy_offline", "not_paired", "service_deactivated", "workshop_mode"}
"""Reasons that somebody has given in the car itself."""
NO_PLACE: Final = "no position of the car is known"


class _Pending(NamedTuple):
    """A honk that was decided before a status said where the car stands."""

    answer: Answer
    user: LatLon


class HonkRule(CommandRule):
    """Honk and flash: the user within 500 m of the car (500 m itself is inside), for 10 s, parked and the ignition off.

    Where the car stands, a status of the same standstill says; if that comes later, the distance is judged then. Of a car that
    has not moved yet it is known from the start.
    """

    name = "honk rule"
    rule = "honk and flash only within 500 m of the car, engine off, for 10 s"
    looks_at = "answers"
    DISTANCE: Final = CheckedRule(
        "within 500 m", "only for a user within 500.000 m of the car's last fix", frozenset({"too_far"})
    )
    ARGUMENTS: Final = CheckedRule("arguments", "only at a place on the globe, for 10 s", frozenset({"argument_out_of_range"}))
    LASTS: Final = CheckedRule("lasts 10 s", "what was accepted succeeds after 10 s")
    rules = (ENGINE_OFF, DISTANCE, ARGUMENTS, LASTS)
    asks = True
    commands = frozenset({"honk"})

    def __init__(self, begin: Begin, cars: Cars) -> None:
        super().__init__(begin, cars)
        self._since: dict[str, tuple[str, int]] = {}
        self._pending: dict[str, list[_Pending]] = {}

    def handlers(self) -> Handlers:
        return {
            **super().handlers(),
            ("out", "Transmit", "Status"): self._stands,
            ("out", "Transmit", "Event"): self._moves,
        }

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterator[Verdict]:
        """Judge a honk and flash: engine, distance and arguments, and how long it lasted."""
        yield engine_off(car)
        machine, user = f"car/{answer['vin']}", (parameters["latitude"], parameters["longitude"])
        if answer["state"] == "succeeded":
            command_id, since = self._since.get(machine, ("", 0))
            if command_id == answer["command_id"]:
                lasted = answer["captured_at"] - since
                yield Verdict(self.LASTS, lasted == HONK_S * SECOND, f"lasted {lasted / SECOND} s, expected {HONK_S} s")
            return
        duration_s = parameters.get("duration_s", HONK_S)
        possible = _is_place(user) and duration_s == HONK_S
        yield Verdict(self.ARGUMENTS, possible, f"is asked for {duration_s} s at {user}")
        if answer["state"] == "accepted":
            self._since[machine] = (answer["command_id"], answer["captured_at"])
        if possible and (answer["state"] == "accepted" or answer.get("reason") == "too_far"):
            if car.position is not None:
                yield self._distance(car.position, user)
            elif not self._waits(machine, _Pending(answer, user)):
                yield Verdict(self.DISTANCE, None, NO_PLACE)

    def _distance(self, place: LatLon, user: LatLon) -> Verdict:
        away_m = vincenty_m(place, user)
        if abs(away_m - HONK_M) < EXACT_M:
            return Verdict(self.DISTANCE, None, "the distance is too close to 500 m to say")
        return Verdict(self.DISTANCE, away_m < HONK_M, f"the user is {away_m:.3f} m away")

    def _waits(self, machine: str, pending: _Pending) -> bool:
        """Keep what can be judged once a status tells where the car stands; False when there is no room, or the car is driven."""
        waiting = self._pending.setdefault(machine, [])
        if self._cars.of(machine).engine_on or len(waiting) >= PENDING:
            return False
        waiting.append(pending)
        return True

    def _stands(self, record: Output, line: int) -> None:
        position = record.data["message"].get("position")
        if position is None or record.m not in self._pending or self._cars.of(record.m).engine_on:
            return
        for answer, user in self._pending.pop(record.m):
            self.compare(self._distance((position["latitude"], position["longitude"]), user), answer, line)

    def _moves(self, record: Output, line: int) -> None:
        if record.data["message"]["name"] == "engine_on":
            self._give_up(record.m, line)

    def _give_up(self, machine: str, line: int) -> None:
        """The car has not reported where it stood."""
        for answer, _ in self._pending.pop(machine, ()):
            self.compare(Verdict(self.DISTANCE, None, NO_PLACE), answer, line)

    def forget(self, machine: str) -> None:
        self._give_up(machine, 0)
        super().forget(machine)

    def finish(self, end: End | None, line: int) -> None:  # noqa: ARG002 (the end says nothing of a place)
        for machine in list(self._pending):
            self._give_up(machine, line)


def _is_place(user: tuple[Any, Any]) -> bool:
    """Tell whether these are degrees; what JSON has no number for is null in a journal."""
    return all(isinstance(degrees, int | float) and abs(degrees) <= most for degrees, most in zip(user, (90, 180), strict=True))


class LockRule(CommandRule):
    """Lock and unlock: parked, never while driving; all closed before a lock succeeds. The S-PIN is `SpinRule`'s."""

    name = "lock rule"
    rule = "lock and unlock only with the engine off, lock only with all doors closed"
    looks_at = "answers"
    CLOSED: Final = CheckedRule("doors closed", "lock only with all doors, bonnet and boot closed", frozenset({"door_open"}))
    rules = (ENGINE_OFF, CLOSED)
    commands = frozenset({"lock", "unlock"})

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterator[Verdict]:  # noqa: ARG002 (they have none)
        yield engine_off(car)
        car.settle_doors(answer)
        if answer["name"] == "unlock":
            if answer.get("reason") == "door_open":
                yield Verdict(self.CLOSED, permits=True, why="an unlock needs no closed door")
        elif car.open_doors is None:
            yield Verdict(self.CLOSED, None, "the doors are not known")
        else:
            names = ", ".join(sorted(car.open_doors))
            yield Verdict(self.CLOSED, not names, f"open: {names}" if names else "all is closed")


def equipped(rule: CheckedRule, *, has: bool | None, what: str) -> Verdict:
    """Judge a command that needs equipment; None is a car of which that is not known."""
    if has is None:
        return Verdict(rule, None, "the equipment of the car is not known")
    return Verdict(rule, has, f"the car has {'' if has else 'no '}{what}")


class HeaterRule(CommandRule):
    """Auxiliary heater: parked, engine off, equipped, 10 to 60 min in steps of 10, fuel above the reserve.

    Of the tank the last status tells the most there can be. Ventilation instead of heating is for cars that choose it.
    """

    name = "heater rule"
    rule = "the heater starts only in an equipped car, engine off, for 10 to 60 min in steps of 10, with fuel above the reserve"
    looks_at = "answers"
    EQUIPPED: Final = CheckedRule("equipped", "only in a car with a parking heater", frozenset({"not_equipped"}))
    TIME: Final = CheckedRule("minutes", "for 10 to 60 min in steps of 10", frozenset({"argument_out_of_range"}))
    FUEL: Final = CheckedRule("fuel", "a start only with fuel above the reserve", frozenset({"fuel_low"}))
    rules = (ENGINE_OFF, EQUIPPED, TIME, FUEL)
    asks = True
    commands = frozenset({"heater"})

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterator[Verdict]:
        """Judge a command to the parking heater: equipment, minutes, fuel, engine."""
        fitted = self._equipment.get(answer["vin"])
        yield equipped(self.EQUIPPED, has=None if fitted is None else fitted.parking_heater, what="parking heater")
        minutes = parameters.get("minutes", 30)
        yield Verdict(self.TIME, minutes in MINUTES, f"asks for {minutes} min")
        if parameters.get("action", "start") == "start":
            yield self._fuel(car, fitted, answer)
            yield engine_off(car)

    def _fuel(self, car: KnownCar, fitted: Equipment | None, answer: Answer) -> Verdict:
        if fitted is None:
            return Verdict(self.FUEL, None, "the equipment of the car is not known")
        known = car.fuel.within(answer["captured_at"], fitted.tank_l, per_hour=HEATER_L_PER_HOUR)
        if known is None:
            return Verdict(self.FUEL, None, "no fuel of the car is known")
        (least_l, most_l), reserve_l = known, fitted.reserve_l
        if most_l <= reserve_l + EXACT_L:
            return Verdict(self.FUEL, permits=False, why=f"it has at most {most_l:.1f} l; the reserve is {reserve_l:g} l")
        if least_l > reserve_l:
            return Verdict(self.FUEL, permits=True, why=f"it has at least {least_l:.1f} l; the reserve is {reserve_l:g} l")
        return Verdict(self.FUEL, None, "the fuel is too close to the reserve to say")


class RefreshRule(CommandRule):
    """Refresh: any time, also with the engine running; the status it asked for is the car's next message."""

    name = "refresh rule"
    rule = "a refresh that arrives in time is never refused, and the status is the next message"
    looks_at = "answers"
    ANY_TIME: Final = CheckedRule("any time", "a refresh that arrives in time is refused by a switch in the car alone")
    NEXT: Final = CheckedRule("status next", "the status that it asked for is the next message")
    rules = (ANY_TIME, NEXT)
    commands = frozenset({"refresh"})

    def __init__(self, begin: Begin, cars: Cars) -> None:
        super().__init__(begin, cars)
        self._due: dict[str, tuple[int, str]] = {}

    def handlers(self) -> Handlers:
        return {("out", "Transmit"): self._next, **super().handlers()}

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterator[Verdict]:  # noqa: ARG002 (any time, without any)
        if answer["state"] == "succeeded":
            self._due[f"car/{answer['vin']}"] = (answer["seq"] + 1, answer["command_id"])
            return
        refused = answer["state"] == "rejected" and answer.get("reason") not in {"busy", "malformed", *SWITCHED_OFF}
        yield Verdict(self.ANY_TIME, not refused, f"a refresh may be asked for at any time; the reason is {answer.get('reason')}")

    def _next(self, record: Output, line: int) -> None:
        seq, command_id = self._due.get(record.m, (0, ""))
        message = record.data["message"]
        if not seq or not is_first(record):
            return
        if is_priority(record):
            self._due[record.m] = (seq + 1, command_id)
            return
        del self._due[record.m]
        if message["seq"] != seq:
            self.undecided("status next", "judged", "a message was left out")
            return
        self.judged("status next")
        if (record.of, message.get("trigger")) != ("Status", "refresh"):
            told = f"expected the status of the refresh as message {seq}, but it is {record.of}"
            self.breach(line, record.m, told, subject=f"command {command_id} of {message['vin']}")


class BusyRule(CommandRule):
    """One command of a kind at a time in a car, lock and unlock being one kind; a stop is never busy, but others wait for it.

    What was on its way when a car fell silent may have ended untold: until one of its kind is accepted or ends, nobody knows.
    """

    name = "busy rule"
    rule = "a car runs one command of a kind at a time; a stop is never busy"
    looks_at = "answers"
    ONE: Final = CheckedRule("one of a kind", "only while no other command of its kind is under way", frozenset({"busy"}))
    STOP: Final = CheckedRule("stop", "a stop is never refused as busy")
    rules = (ONE, STOP)
    commands = frozenset({"honk", "lock", "unlock", "heater", "ventilation", "climatisation"})

    def __init__(self, begin: Begin, cars: Cars) -> None:
        super().__init__(begin, cars)
        self._running: dict[tuple[str, str], str] = {}
        self._stopping: dict[tuple[str, str], set[str]] = {}
        self._unknown: dict[str, set[str]] = {}

    def forget(self, machine: str) -> None:
        super().forget(machine)
        self._unknown[machine.removeprefix("car/")] = set()

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterator[Verdict]:  # noqa: ARG002 (whatever it is)
        """Judge any command: one of a kind at a time, and a stop at any time."""
        key = (answer["vin"], "lock" if answer["name"] == "unlock" else answer["name"])
        if parameters.get("action") == "stop":
            yield from self._stop(key, answer)
            return
        other = self._running.get(key)
        if answer["state"] != "succeeded":
            yield self._one(key, answer)
        if answer["state"] in {"accepted", "succeeded", "failed"} and answer["vin"] in self._unknown:
            self._unknown[answer["vin"]].add(key[1])
        if answer["state"] == "accepted":
            self._running[key] = answer["command_id"]
        elif answer["state"] in TERMINAL_STATES and other == answer["command_id"]:
            del self._running[key]

    def _one(self, key: tuple[str, str], answer: Answer) -> Verdict:
        under_way = {self._running.get(key), *self._stopping.get(key, ())} - {None, answer["command_id"]}
        told = self._unknown.get(answer["vin"])
        if not under_way and told is not None and key[1] not in told:
            return Verdict(self.ONE, None, "the car was silent, and may have had one under way")
        return Verdict(self.ONE, not under_way, f"{min(map(str, under_way), default='none')} of the same kind is under way")

    def _stop(self, key: tuple[str, str], answer: Answer) -> Iterator[Verdict]:
        stopping = self._stopping.setdefault(key, set())
        if answer["state"] == "accepted":
            stopping.add(answer["command_id"])
        elif answer["state"] in TERMINAL_STATES:
            stopping.discard(answer["command_id"])
        if answer["state"] == "accepted" or answer.get("reason") == "busy":
            yield Verdict(self.STOP, answer["state"] == "accepted", "a stop is never busy")
