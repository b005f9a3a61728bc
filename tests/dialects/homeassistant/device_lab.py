"""A car as a device of Home Assistant, in the hands of a test: no broker, no Home Assistant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from fleet.dialects.homeassistant.dialect import HomeAssistantDialect, per_component
from fleet.vehicle.car import Car
from fleet.wire.commands import COMMANDS
from fleet.wire.dialect import CarEnd, CarFacts
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import Command, Response, Status
from tests.vehicle.car_lab import CarLab, equipment


class DeviceLab(CarLab):
    """A car with its end, and with the other end that reads what it wrote."""

    def __init__(self, model: str = "Leon", energy: str = "petrol", *, per_entity: bool = False, **overrides: object) -> None:
        super().__init__(equipment(model, energy, 0, **overrides))
        own = FleetDialect()
        self.dialect = per_component(own) if per_entity else HomeAssistantDialect(own)
        car = self.car
        facts = CarFacts(vin=car.vin, client_id=car.vin, model=model, name=f"{model} {car.vin[-6:]}", commands=known_to(car))
        end = self.dialect.car_end(facts, lambda: car.snapshot(self.now))
        assert end is not None
        self.end: CarEnd = end
        self.head = f"fleet/v1/{car.vin}"

    def connect(self) -> list[Frame]:
        return list(self.end.connected(self.now))

    def status(self) -> Status:
        status: Status = replace(self.car.snapshot(self.now), seq=1)
        return status

    def ask(self, name: str, payload: str, *, retain: bool = False) -> Command:
        heard = self.end.read(Frame(topic=f"{self.head}/set/{name}", payload=payload.encode(), retain=retain), self.now)
        (command,) = heard.messages
        assert isinstance(command, Command)
        return command

    def response(self, name: str, state: str, reason: str | None = None) -> Response:
        raw = {"command_id": "c", "name": name, "state": state, "awake": True, "reason": reason}
        return msgspec.convert({"vin": self.car.vin, "boot": 7, "seq": 2, "captured_at": self.now} | raw, Response)


def known_to(car: Car) -> frozenset[str]:
    return frozenset(
        name for name, each in COMMANDS.items() if all(getattr(car.equipment, part) for part in each.entry.equipment)
    )


def payloads(frames: Iterable[Frame]) -> dict[str, Any]:
    """Return the payload of each topic, without what all topics of a car begin with."""
    return {frame.topic.partition("/status/")[2] or frame.topic: msgspec.json.decode(frame.payload) for frame in frames}


def device_of(lab: DeviceLab) -> dict[str, Any]:
    found: dict[str, Any] = payloads(lab.connect())[f"homeassistant/device/{lab.car.vin}/config"]
    return found
