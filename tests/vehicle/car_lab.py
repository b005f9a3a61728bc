"""One car in the hands of a test: puts inputs in, lets time pass, and plays the link, good or bad."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import MINUTE, SECOND, Instant, from_datetime
from fleet.kernel.machine import Machine
from fleet.runtime.car_codec import recorded_car
from fleet.runtime.recording import Write
from fleet.vehicle.car import Car
from fleet.vehicle.catalogue import Equipment, draw_equipment, load_catalogue, make_vin
from fleet.vehicle.driver import Driver, Profile
from fleet.vehicle.driver import draw_driver as draw_any_driver
from fleet.vehicle.outbox import HELLO, UNTIL_HELLO
from fleet.vehicle.region import Place
from fleet.vehicle.regions import region
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import (
    Acknowledged,
    Announce,
    CarInput,
    CarOutput,
    Connect,
    Disconnect,
    DriveTo,
    Drop,
    LinkUp,
    PowerOn,
    Received,
    SwitchOff,
    Transmit,
)
from fleet.wire.messages import CarMessage, Command, Event, Header, Response, Status

START = from_datetime(datetime(2026, 3, 2, 5, 0, tzinfo=UTC))
"""A Monday, 6 h in Munich."""
NOON_IN_JULY = from_datetime(datetime(2026, 7, 15, 12, 0, tzinfo=UTC))
OK = ("succeeded", None)
OUT_OF_RANGE = ("rejected", "argument_out_of_range")
"""Outcomes of a command: state and reason."""
SEED = 2026
BOOT = 7
HOME = Place(48.137, 11.575, "München", "home")
WORK = Place(48.237, 11.675, "Garching", "work")
GARAGE = Place(48.157, 11.605, "München", "errand", garage=True)
NEAR_USER: dict[str, Any] = {"latitude": HOME.latitude, "longitude": HOME.longitude}
"""A user who stands beside a car at home."""
SHOP = Place(48.165, 11.560, "München", "errand")


def equipment(model: str = "Leon", energy: str | None = "petrol", number: int = 0, **overrides: object) -> Equipment:
    """Draw a car's equipment; the number tells cars apart."""
    draws = Draws(stream_key(SEED, model, str(number)), "equipment")
    return draw_equipment(load_catalogue(), draws, model=model, energy=energy, overrides=overrides)


def driver(profile: Profile = "parked", *, home: Place = HOME, work: Place = WORK, number: int = 0) -> Driver:
    """Return a driver with places that the test knows."""
    return Driver(stream_key(SEED, "driver", str(number)), region("munich"), home=home, work=work, profile=profile)


def drawn_driver(number: int, profile: str | None = None) -> Driver:
    return draw_any_driver(stream_key(SEED, "driver", str(number)), region("munich"), profile)


@cache
def heater_car() -> Equipment:
    return equipment("Leon", "petrol", parking_heater=True)


class CarLab:
    """A car and its link: `connected` follows the car's wish, `acknowledging` answers each message at once."""

    def __init__(
        self,
        car_equipment: Equipment | None = None,
        car_driver: Driver | None = None,
        *,
        start: Instant = START,
        number: int = 0,
        power: bool = True,
        connecting: bool = True,
        acknowledging: bool = True,
        settings: CarSettings | None = None,
        tune: Callable[[Car], None] | None = None,
        record: Write | None = None,
    ) -> None:
        """Build and start the car; `tune` may set its levels before it starts, `record` takes its journal."""
        fitted = car_equipment or equipment()
        self.now = start
        self.connecting = connecting
        self.acknowledging = acknowledging
        self.outputs: list[tuple[Instant, CarOutput]] = []
        self.sent: list[CarMessage] = []
        self.wanted = False
        self.car = Car(
            vin=make_vin(fitted, number),
            key=stream_key(SEED, "car", str(number)),
            equipment=fitted,
            driver=car_driver or driver(),
            boot=BOOT,
            now=start,
            settings=settings or CarSettings(hole_share=0.0),
        )
        self.machine: Machine[CarInput, CarOutput] = self.car if record is None else recorded_car(self.car, record)
        self._commands = 0
        if tune is not None:
            tune(self.car)
        if power:
            self.put(PowerOn())

    # --- time and inputs

    def put(self, message: CarInput, at: Instant | None = None) -> list[CarOutput]:
        """Let time pass until `at` (now when None), hand the car an input, and return all that comes of it."""
        if at is not None:
            self.run_until(at)
        before = len(self.outputs)
        self._perform(self.machine.receive(message, self.now))
        return [output for _, output in self.outputs[before:]]

    def run_until(self, instant: Instant) -> None:
        """Wake the car whenever it wants to be, up to and including `instant`."""
        assert instant >= self.now, "time does not run back"
        while (at := self.car.deadline()) is not None and at <= instant:
            self.now = max(self.now, at)
            self._perform(self.machine.wake(self.now))
        self.now = instant

    def run_for(self, duration: int) -> None:
        self.run_until(self.now + duration)

    def drive(self, place: Place = SHOP, stay: int = 5 * MINUTE) -> None:
        """Drive there, and stay until the driver has walked away."""
        self.put(DriveTo(place))
        self.arrive()
        self.run_for(stay)

    def arrive(self) -> None:
        """Let time pass until the engine is off."""
        while self.car.engine_is_on:
            at = self.car.deadline()
            assert at is not None
            self.run_until(at)

    def stop(self) -> None:
        self.put(SwitchOff())

    # --- the link

    def _perform(self, outputs: Iterable[CarOutput]) -> None:
        for output in outputs:
            self.outputs.append((self.now, output))
            match output:
                case Connect():
                    self.wanted = True
                    if self.connecting:
                        self.link_up()
                case Drop() | Disconnect():
                    self.wanted = False
                case Transmit(message):
                    if not output.again:
                        self.sent.append(message)
                    if self.acknowledging:
                        self._perform(self.machine.receive(Acknowledged(message.seq), self.now))
                case Announce():
                    pass

    def link_up(self) -> list[CarOutput]:
        """Connect; the broker acknowledges the presence of a car that waits for that."""
        outputs = self.put(LinkUp(session_present=True))
        return [*outputs, *self.put(Acknowledged(HELLO))] if self.car.outbox.held & UNTIL_HELLO else outputs

    # --- commands

    def command(self, name: str, *, ttl: int = 10 * MINUTE, command_id: str | None = None, **parameters: Any) -> str:
        """Hand the car a command that was issued now; return its id."""
        self._commands += 1
        command_id = command_id or f"c{self._commands}"
        self.put(
            Received(
                Command(
                    id=command_id,
                    vin=self.car.vin,
                    name=name,
                    issued_at=self.now,
                    expires_at=self.now + ttl,
                    parameters=parameters,
                )
            )
        )
        return command_id

    def wake(self) -> None:
        """Have the car awake, by a refresh."""
        self.command("refresh", command_id=f"wake-{self.now}-{self._commands}")
        self.run_for(70 * SECOND)
        assert self.car.is_awake(self.now)

    def outcome(self, name: str, *, wait: int = 80 * SECOND, **parameters: Any) -> tuple[str, str | None]:
        """Send a command, give it time, and return its terminal (state, reason)."""
        command_id = self.command(name, **parameters)
        self.run_for(wait)
        last = self.responses(command_id)[-1]
        return last.state, last.reason

    # --- what came out

    def responses(self, command_id: str | None = None) -> list[Response]:
        found = [message for message in self.sent if isinstance(message, Response)]
        return [each for each in found if command_id is None or each.command_id == command_id]

    def states(self, command_id: str) -> list[str]:
        return [each.state for each in self.responses(command_id)]

    def events(self, name: str | None = None) -> list[Event]:
        found = [message for message in self.sent if isinstance(message, Event)]
        return [each for each in found if name is None or each.name == name]

    def statuses(self, trigger: str | None = None) -> list[Status]:
        found = [message for message in self.sent if isinstance(message, Status)]
        return [each for each in found if trigger is None or each.trigger == trigger]

    def wire(self) -> bytes:
        """Return all messages sent, as the bytes they have on the wire."""
        return b"".join(msgspec.msgpack.encode(message) for message in self.sent)

    def headers(self) -> list[Header]:
        return list(self.sent)


def account_holds(car: Car) -> bool:
    t = car.outbox
    return t.created == t.acknowledged + t.refused + t.dropped + t.in_outbox
