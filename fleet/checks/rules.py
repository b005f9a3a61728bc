"""The rules of remote commands, judged a second time from what cars and desk were given and did.

Source: the table of remote commands of the domain description. This is another implementation than that of the vehicle, on
purpose: it knows a car only by its messages. The words of each rule stand in its class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fleet.checks.cars import Cars, KnownCar
from fleet.checks.check import Check, Handlers, is_first, overtakes
from fleet.checks.geodesy import LatLon, vincenty_m
from fleet.kernel.instants import SECOND
from fleet.observe.journal import Begin, Input, Output
from fleet.vehicle.catalogue import Equipment
from fleet.wire.messages import TERMINAL_STATES

HONK_M: Final = 500.0
ROUNDED_M: Final = 0.001
HONK_S: Final = 10
MINUTES: Final = {10, 20, 30, 40, 50, 60}
ROUNDED_PERCENT: Final = 0.05
"""A status tells tenths of a percent."""
PENDING: Final = 16
SWITCHED_OFF: Final = {"privacy_offline", "not_paired", "service_deactivated", "workshop_mode"}
"""Reasons that somebody has given in the car itself."""
UNREAD: Final = {"malformed", "unsupported", "privacy_offline", "not_paired"}
"""Reasons for which a car has looked at nothing else."""

Answer = dict[str, Any]
Parameters = dict[str, Any]


class CommandRule(Check):
    """What the rules of some commands have in common: an answer is judged with the command and the car it belongs to."""

    commands: frozenset[str]

    def __init__(self, begin: Begin, cars: Cars) -> None:
        """Take what is known of the cars."""
        super().__init__(begin)
        self._cars = cars

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Response"): self._answered}

    def _answered(self, record: Output, line: int) -> None:
        answer = record.data["message"]
        if answer["name"] not in self.commands or not is_first(record):
            return
        car = self._cars.of(record.m)
        command = car.commands.get(answer["command_id"])
        if command is None or answer["state"] == "expired" or answer.get("reason") in UNREAD or _queue_full(answer):
            return
        if car.repeats(answer):
            return
        self.looked_at += 1
        subject = f"command {answer['command_id']} of {answer['vin']}"
        for told in self.judge(car, command.get("parameters", {}), answer):
            self.breach(line, record.m, told, subject=subject)

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> list[str]:
        """Return which rules an answer breaks."""
        raise NotImplementedError


def needs_engine_off(car: KnownCar, answer: Answer) -> list[str]:
    """Return what is wrong where a command that needs a parked car with its engine off runs, or is refused for the engine."""
    ran = answer["state"] in {"accepted", "succeeded"}
    if ran and car.engine_on:
        return [f"{answer['name']} is {answer['state']} while the engine is on"]
    if (
        answer["state"] in {"rejected", "failed"}
        and answer.get("reason") in {"not_parked", "engine_running"}
        and car.engine_on is False
    ):
        return [f"{answer['name']} is refused as {answer['reason']}, but the engine is off"]
    return []


class HonkRule(CommandRule):
    """Honk and flash: the user within 500 m of the car (500 m itself is inside), for 10 s, parked and the ignition off.

    Where the car stands, a status of the same standstill says; if that comes later, the distance is judged then.
    """

    name = "honk rule"
    rule = "honk and flash only within 500 m of the car, engine off, for 10 s"
    looks_at = "answers"
    commands = frozenset({"honk"})

    def __init__(self, begin: Begin, cars: Cars) -> None:
        super().__init__(begin, cars)
        self._since: dict[str, tuple[str, int]] = {}
        self._pending: dict[str, list[tuple[int, str, LatLon]]] = {}

    def handlers(self) -> Handlers:
        return {
            **super().handlers(),
            ("out", "Transmit", "Status"): self._stands,
            ("out", "Transmit", "Event"): self._moves,
        }

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> list[str]:
        found = needs_engine_off(car, answer)
        user = (parameters["latitude"], parameters["longitude"])
        duration_s = parameters.get("duration_s", HONK_S)
        possible = _is_place(user) and duration_s == HONK_S
        if answer["state"] == "accepted" and not possible:
            found.append(f"a honk for {duration_s} s at {user} is accepted")
        elif answer.get("reason") == "argument_out_of_range" and possible:
            found.append(f"a honk for {duration_s} s at {user} is refused as argument_out_of_range")
        if answer["state"] == "accepted" and possible:
            found += self._distance(car, user, answer)
        elif answer["state"] == "succeeded":
            found += self._duration(answer)
        elif answer.get("reason") == "too_far" and car.position is not None and not car.engine_on:
            away_m = vincenty_m(car.position, user)
            if away_m < HONK_M - ROUNDED_M:
                found.append(f"the user is {away_m:.3f} m away, but is refused as too_far")
        return found

    def _distance(self, car: KnownCar, user: LatLon, answer: Answer) -> list[str]:
        machine = f"car/{answer['vin']}"
        self._since[machine] = (answer["command_id"], answer["captured_at"])
        if car.position is not None:
            return _too_far(car.position, user)
        waiting = self._pending.setdefault(machine, [])
        if len(waiting) < PENDING:
            waiting.append((answer["seq"], answer["command_id"], user))
        return []

    def _duration(self, answer: Answer) -> list[str]:
        command_id, since = self._since.get(f"car/{answer['vin']}", ("", 0))
        lasted = answer["captured_at"] - since
        if command_id == answer["command_id"] and lasted != HONK_S * SECOND:
            return [f"honked for {lasted / SECOND} s, expected {HONK_S} s"]
        return []

    def _stands(self, record: Output, line: int) -> None:
        position = record.data["message"].get("position")
        if position is None or not self._pending.get(record.m) or self._cars.of(record.m).engine_on:
            return
        for _, command_id, user in self._pending.pop(record.m):
            for told in _too_far((position["latitude"], position["longitude"]), user):
                self.breach(line, record.m, told, subject=f"command {command_id} of {record.data['message']['vin']}")

    def _moves(self, record: Output, _line: int) -> None:
        if record.data["message"]["name"] == "engine_on":
            self._pending.pop(record.m, None)


def _is_place(user: tuple[Any, Any]) -> bool:
    """Tell whether these are degrees; what JSON has no number for is null in a journal."""
    return all(isinstance(degrees, int | float) and abs(degrees) <= most for degrees, most in zip(user, (90, 180), strict=True))


def _too_far(car: LatLon, user: LatLon) -> list[str]:
    away_m = vincenty_m(car, user)
    return [f"expected a user within {HONK_M:.0f} m, but it is {away_m:.3f} m away"] if away_m > HONK_M + ROUNDED_M else []


class LockRule(CommandRule):
    """Lock and unlock: parked, never while driving; all closed before a lock succeeds. The S-PIN is `SpinRule`'s."""

    name = "lock rule"
    rule = "lock and unlock only with the engine off, lock only with all doors closed"
    looks_at = "answers"
    commands = frozenset({"lock", "unlock"})

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> list[str]:  # noqa: ARG002 (they have none)
        found = needs_engine_off(car, answer)
        car.settle_doors(answer)
        if car.open_doors is None or answer["name"] == "unlock":
            return found
        if answer["state"] in {"accepted", "succeeded"} and car.open_doors:
            found.append(f"lock is {answer['state']}, but open: {', '.join(sorted(car.open_doors))}")
        if answer.get("reason") == "door_open" and not car.open_doors:
            found.append("lock is refused as door_open, but all is closed")
        return found


class HeaterRule(CommandRule):
    """Auxiliary heater: parked, engine off, equipped, 10 to 60 min in steps of 10, fuel above the reserve.

    Of the tank the last status tells the most there can be. Ventilation instead of heating is for cars that choose it.
    """

    name = "heater rule"
    rule = "the heater starts only in an equipped car, engine off, for 10 to 60 min in steps of 10, with fuel above the reserve"
    looks_at = "answers"
    commands = frozenset({"heater"})

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment]) -> None:
        """Take what is known of the cars, and their equipment by VIN as far as it is known."""
        super().__init__(begin, cars)
        self._equipment = equipment

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> list[str]:
        ran = answer["state"] in {"accepted", "succeeded"}
        equipment = self._equipment.get(answer["vin"])
        found = []
        if equipment is not None and ran and not equipment.parking_heater:
            found.append("runs in a car without a parking heater")
        if equipment is not None and answer.get("reason") == "not_equipped" and equipment.parking_heater:
            found.append("is refused as not_equipped, but the car has a parking heater")
        if parameters.get("action", "start") == "stop":
            return found
        minutes = parameters.get("minutes", 30)
        if ran and minutes not in MINUTES:
            found.append(f"runs for {minutes} min, expected 10 to 60 in steps of 10")
        if answer.get("reason") == "argument_out_of_range" and minutes in MINUTES:
            found.append(f"is refused as argument_out_of_range, but asks for {minutes} min")
        if equipment is not None and ran and car.fuel_percent is not None:
            most_l = (car.fuel_percent + ROUNDED_PERCENT) / 100 * equipment.tank_l
            if most_l < equipment.reserve_l:
                found.append(f"runs with at most {most_l:.1f} l of fuel; the reserve is {equipment.reserve_l:g} l")
        return found + needs_engine_off(car, answer)


class RefreshRule(CommandRule):
    """Refresh: any time, also with the engine running; the status it asked for is the car's next message."""

    name = "refresh rule"
    rule = "a refresh that arrives in time is never refused, and the status is the next message"
    looks_at = "answers"
    commands = frozenset({"refresh"})

    def __init__(self, begin: Begin, cars: Cars) -> None:
        super().__init__(begin, cars)
        self._due: dict[str, tuple[int, str]] = {}

    def handlers(self) -> Handlers:
        return {("out", "Transmit"): self._next, **super().handlers()}

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> list[str]:  # noqa: ARG002 (any time, without any)
        if answer["state"] == "succeeded":
            self._due[f"car/{answer['vin']}"] = (answer["seq"] + 1, answer["command_id"])
        refused = answer["state"] == "rejected" and answer.get("reason") not in {"busy", "malformed", *SWITCHED_OFF}
        return [f"a refresh is refused as {answer.get('reason')}"] if refused else []

    def _next(self, record: Output, line: int) -> None:
        seq, command_id = self._due.get(record.m, (0, ""))
        message = record.data["message"]
        if not seq or not is_first(record):
            return
        if overtakes(record):
            self._due[record.m] = (seq + 1, command_id)
            return
        del self._due[record.m]
        if message["seq"] == seq and (record.of, message.get("trigger")) != ("Status", "refresh"):
            told = f"expected the status of the refresh as message {seq}, but it is {record.of}"
            self.breach(line, record.m, told, subject=f"command {command_id} of {message['vin']}")


class BusyRule(CommandRule):
    """One command of a kind at a time in a car, lock and unlock being one kind; a stop is never busy, but others wait for it."""

    name = "busy rule"
    rule = "a car runs one command of a kind at a time; a stop is never busy"
    looks_at = "answers"
    remembers = True
    commands = frozenset({"honk", "lock", "unlock", "heater", "ventilation", "climatisation"})

    def __init__(self, begin: Begin, cars: Cars) -> None:
        super().__init__(begin, cars)
        self._running: dict[tuple[str, str], str] = {}
        self._stopping: dict[tuple[str, str], set[str]] = {}

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> list[str]:  # noqa: ARG002 (whatever it is)
        key = (answer["vin"], "lock" if answer["name"] == "unlock" else answer["name"])
        if parameters.get("action") == "stop":
            return self._stop(key, answer)
        other = self._running.get(key)
        if answer["state"] == "accepted":
            self._running[key] = answer["command_id"]
            another = other not in {None, answer["command_id"]}
            return [f"is accepted while {other} of the same kind runs"] if another else []
        if answer["state"] in TERMINAL_STATES and other == answer["command_id"]:
            del self._running[key]
        elif answer.get("reason") == "busy" and other is None and not self._stopping.get(key):
            return ["is refused as busy, but none of its kind runs"]
        return []

    def _stop(self, key: tuple[str, str], answer: Answer) -> list[str]:
        stopping = self._stopping.setdefault(key, set())
        if answer["state"] == "accepted":
            stopping.add(answer["command_id"])
        elif answer["state"] in TERMINAL_STATES:
            stopping.discard(answer["command_id"])
        return ["a stop is refused as busy"] if answer.get("reason") == "busy" else []


def _queue_full(answer: Answer) -> bool:
    """Tell whether too many commands wait, which is another kind of busy; a reset takes the words that say so away."""
    return answer.get("reason") == "busy" and "wait" in answer.get("detail", "wait")


class SpinRule(Check):
    """Locks and comfort are commanded only for an enrolled user, after a right S-PIN or with a token of one.

    A token is worth five minutes, and nothing once a new S-PIN is set or three wrong tries have locked it; then no S-PIN
    is right. What a restarted back end sends again was judged by the one before it.
    """

    name = "S-PIN rule"
    rule = "what needs an S-PIN is sent only for an enrolled user with a right one, or a token not older than 5 min"
    looks_at = "commands sent that need one"
    remembers = True
    needing: Final = frozenset({"lock", "unlock", "heater", "ventilation", "ventilation_timers", "climatisation"})
    TOKEN: Final = 300 * SECOND
    TRIES: Final = 3

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._enrolled: set[tuple[str, str]] = set()
        self._users: dict[str, tuple[str, str]] = {}
        self._jobs: dict[int, tuple[str, str]] = {}
        self._tokens: dict[tuple[str, str], dict[int, int]] = {}
        self._wrong: dict[tuple[str, str], int] = {}
        self._input: Input | None = None
        self._proven: tuple[str, str] | None = None

    def handlers(self) -> Handlers:
        return {
            ("in",): self._given,
            ("in", "DeskStart"): self._starts,
            ("in", "ClockChanged"): self._clock,
            ("in", "SpinVerified"): self._verified,
            ("in", "SpinHashed"): self._hashed,
            ("out", "StoreUser"): self._enrols,
            ("out", "RemoveUser"): self._removes,
            ("out", "VerifySpin"): self._job,
            ("out", "HashSpin"): self._job,
            ("out", "CommandOpened"): self._opened,
            ("out", "SendCommand"): self._sent,
            ("out", "Transition"): self._changed,
        }

    def _given(self, record: Input, _line: int) -> None:
        if record.m == "desk":
            self._input, self._proven = record, None

    def _starts(self, record: Input, _line: int) -> None:
        for user in record.data["users"]:
            self._enrolled.add((user["vin"], user["name"]))
            self._wrong[user["vin"], user["name"]] = user["wrong_tries"]

    def _clock(self, record: Input, _line: int) -> None:
        for tokens in self._tokens.values():
            for job in tokens:
                tokens[job] += record.data["shift"]

    def _enrols(self, record: Output, _line: int) -> None:
        self._enrolled.add((record.data["user"]["vin"], record.data["user"]["name"]))

    def _removes(self, record: Output, _line: int) -> None:
        user = (record.data["vin"], record.data["name"])
        self._enrolled.discard(user)
        self._tokens.pop(user, None)
        self._wrong.pop(user, None)

    def _job(self, record: Output, _line: int) -> None:
        self._jobs[record.data["job"]] = (record.data["vin"], record.data["user"])

    def _verified(self, record: Input, _line: int) -> None:
        user = self._jobs.pop(record.data["job"], None)
        if user is None:
            return
        if not record.data["right"]:
            self._wrong[user] = self._wrong.get(user, 0) + 1
        elif self._wrong.get(user, 0) < self.TRIES:
            self._wrong[user] = 0
            self._proven = user
            now = record.now or record.t
            valid = {job: until for job, until in self._tokens.get(user, {}).items() if until >= now}
            self._tokens[user] = {**valid, record.data["job"]: now + self.TOKEN}

    def _hashed(self, record: Input, _line: int) -> None:
        user = self._jobs.pop(record.data["job"], None)
        if user is not None:
            self._wrong[user] = 0
            self._tokens.pop(user, None)

    def _opened(self, record: Output, _line: int) -> None:
        opened = record.data["record"]
        self._users[opened["id"]] = (opened["vin"], opened["user"])

    def _changed(self, record: Output, _line: int) -> None:
        if record.data["state"] in TERMINAL_STATES:
            self._users.pop(record.data["command_id"], None)

    def _sent(self, record: Output, line: int) -> None:
        command = record.data["command"]
        given = self._input
        if command["name"] not in self.needing or given is None or given.type == "Restored":
            return
        self.looked_at += 1
        user = self._users.get(command["id"])
        told = "was never opened" if user is None else self._unproven(user, given)
        if told:
            subject = f"command {command['id']} of {command['vin']}"
            self.breach(line, f"car/{command['vin']}", f"{command['name']} is sent, but {told}", subject=subject)

    def _unproven(self, user: tuple[str, str], given: Input) -> str:
        """Return why the user has not proven to know the S-PIN, "" when that is done."""
        if user not in self._enrolled:
            return f"{user[1]} is not enrolled"
        if self._wrong.get(user, 0) >= self.TRIES:
            return "three wrong tries have locked the S-PIN"
        now = given.now or given.t
        if given.type == "SpinVerified":
            return "" if self._proven == user else "no right S-PIN was given for it"
        token = given.data.get("request", {}).get("token")
        valid = self._tokens.get(user, {}).get(token, 0) >= now
        return "" if valid else "neither an S-PIN nor a valid token was given for it"
