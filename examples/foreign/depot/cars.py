"""What Depot knows of its cars, from their messages alone; no network here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

FINAL = (200, 409, 410, 500)
"""The codes of a receipt that end an order."""


@dataclass
class Car:
    """A rental car, as far as it has said."""

    here: bool = False
    miles: float | None = None
    place: tuple[float, float] | None = None
    locked: bool | None = None
    boot_open: bool = False
    cabin: str = "OFF"
    trips: list[float] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)


class Cars:
    """All cars, and the orders that they were given."""

    def __init__(self) -> None:
        self.by_vin: dict[str, Car] = {}
        self.receipts: dict[str, list[tuple[int, str | None]]] = {}
        self._seen: set[tuple[str, int, int]] = set()

    def __getitem__(self, vin: str) -> Car:
        """Return a car. Raises KeyError when nothing was heard of it."""
        return self.by_vin[vin]

    def outcome(self, order: str) -> tuple[int, str | None]:
        """Return the code that ended an order, and why. Raises KeyError while it is under way."""
        for code, because in self.receipts.get(order, ()):
            if code in FINAL:
                return code, because
        raise KeyError(order)

    def take(self, topic: str, payload: bytes) -> tuple[int, int] | None:
        """Take a message; one that came before changes nothing. Return the numbers to acknowledge, None for none."""
        _, _, vin, kind, *rest = topic.split("/")
        car = self.by_vin.setdefault(vin, Car())
        if kind == "here":
            car.here = payload == b"1"
            return None
        said = json.loads(payload)
        run, number = said["run"], said["nr"]
        if (vin, run, number) not in self._seen:
            self._seen.add((vin, run, number))
            self._note(car, kind, rest, said)
        return run, number

    def _note(self, car: Car, kind: str, rest: list[str], said: dict[str, Any]) -> None:
        if kind == "report":
            _update(car, said)
        elif kind == "trip":
            car.trips.append(said["miles"])
        elif kind == "alarm":
            car.alarms.append(rest[0])
        elif kind == "receipt":
            self.receipts.setdefault(said["order"], []).append((said["code"], said.get("because")))


def _update(car: Car, report: dict[str, Any]) -> None:
    """Take over what a report says; what it does not say stays."""
    car.miles = report.get("miles", car.miles)
    car.cabin = report.get("cabin", car.cabin)
    if "at" in report:
        car.place = (report["at"]["lat"], report["at"]["lon"])
    if "doors" in report:
        car.locked = report["doors"]["driver"] == "LOCKED"
        car.boot_open = report["doors"]["boot_open"]
