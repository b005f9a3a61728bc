"""A car in the hands of its users: what is typed there, and what the back end says to it."""

from __future__ import annotations

from typing import Any

from fleet.kernel.instants import DAY
from fleet.vehicle.services import online
from fleet.vehicle.signals import EnrolInCar, LogIn, Received
from fleet.wire.messages import Event, Reply, Request
from fleet.wire.sealing import SIMULATED_CARS_SECRET, key_of, seal, unseal
from tests.vehicle.car_lab import CarLab

SPIN = "4711"


class PeopleLab(CarLab):
    """A car that a test enrols, and logs in at."""

    # --- what is typed

    def sealed(self, spin: str = SPIN) -> str:
        """Return the S-PIN as the screen seals it for the next request."""
        return seal(key_of(SIMULATED_CARS_SECRET, self.car.vin), self.car.vin, online.next_id(self.car), spin)

    def opened(self, request: Request) -> str:
        """Return the S-PIN that a request holds, as the back end opens it."""
        key = key_of(SIMULATED_CARS_SECRET, self.car.vin)
        return unseal(key, self.car.vin, request.id, request.data["sealed_spin"])

    def log_in(self, user: str, role: str = "primary", *, spin: str | None = SPIN, save: bool = False) -> None:
        """Log in, and have the back end agree."""
        self.put(LogIn(user, None if spin is None else self.sealed(spin), save))
        self.reply("log_in", user=user, role=role)

    def enrol_in_car(self, user: str, **words: Any) -> None:
        self.put(EnrolInCar(user, self.sealed(), **words))

    # --- what the back end says

    def enrol(self, user: str, role: str = "primary") -> str:
        return self.command("enrol_user", ttl=7 * DAY, user=user, role=role)

    def reply(self, name: str, *, error: str | None = None, **data: Any) -> None:
        """Answer the last request of this name."""
        request = self.asked(name)[-1]
        self.put(Received(Reply(id=request.id, name=name, data=data, error=error)))

    # --- what the car says

    def asked(self, name: str) -> list[Request]:
        return [message for message in self.sent if isinstance(message, Request) and message.name == name]

    def told(self, name: str) -> list[dict[str, Any]]:
        return [message.data for message in self.sent if isinstance(message, Event) and message.name == name]

    def failures(self) -> list[tuple[str, str]]:
        """Return the requests that failed, with their reasons."""
        return [(data["request"], data["reason"]) for data in self.told("request_failed")]
