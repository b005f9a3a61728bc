"""The user of a car, and the commands that user sends through the desk of our back end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from geographiclib.geodesic import Geodesic

from fleet.errors import UsageError
from fleet.harness.sent import Sent
from fleet.harness.surroundings import Surroundings
from fleet.wire.commands import COMMANDS, command_type
from fleet.wire.messages import CommandRequest, EnrolCar, SetSpin

if TYPE_CHECKING:
    from fleet.harness.car import HarnessCar

RIGHT_SPIN: Final = "2580"
RIGHT: Final = "right"
"""Stands for the right S-PIN, whichever that is."""


class SentCommand(Sent):
    """A command on its way; `outcome` is its end."""

    def __init__(self, world: Surroundings, car: HarnessCar, request: CommandRequest) -> None:
        super().__init__(world, request.id, f"{request.name} of {car.vin}", car)
        self.name = request.name


class User:
    """Sends commands: `user.lock(car)`, `user.heater(car, minutes=30)`, every one of the catalogue by its name."""

    def __init__(self, world: Surroundings, name: str | None = None) -> None:
        """Be the primary user, or the one of that name."""
        self._world = world
        self._name = name
        self._enrolled: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., SentCommand]:
        if name.startswith("_"):
            raise AttributeError(name)
        command_type(name)  # raises with the nearest name
        return lambda car, **words: self.command(car, name, **words)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name, known in COMMANDS.items() if known.entry.is_of_users)]

    def command(
        self, car: HarnessCar, name: str, *, spin: str | None = RIGHT, from_m: float | None = None, ttl_s: float | None = None,
        **parameters: Any,
    ) -> SentCommand:  # fmt: skip
        """Send a command and return at once; it is on its way.

        `from_m` puts the user that many metres east of the car. The right S-PIN is given unless `spin` is another, or None.
        Raises UsageError for an unknown command or parameter, and without our back end, whose desk takes commands.
        """
        known = command_type(name)
        fields = known.entry.parameters
        if from_m is not None:
            if "latitude" not in fields:
                raise UsageError(f"{name} does not say where the user is", hint="Leave from_m out.")
            parameters |= _east_of(car, from_m)
        for key in parameters:
            if key not in fields:
                raise UsageError(f"{name} has no parameter {key!r}", hint=f"It has: {', '.join(fields) or 'none'}.")
        request = CommandRequest(
            id=self._world.new_id(name),
            vin=car.vin,
            name=name,
            parameters=parameters,
            ttl_s=ttl_s,
            **self._signed(car, spin, needs_spin=known.needs_spin),
        )
        self._world.ask(request)
        return SentCommand(self._world, car, request)

    def _signed(self, car: HarnessCar, spin: str | None, *, needs_spin: bool) -> dict[str, Any]:
        """Return who asks, as fields of a request, with the S-PIN where one is wanted."""
        self._enrol(car, with_spin=needs_spin)
        return {"user": self._name, "spin": (RIGHT_SPIN if spin == RIGHT else spin) if needs_spin else None}

    def _enrol(self, car: HarnessCar, *, with_spin: bool) -> None:
        if car.vin not in self._enrolled:
            self._enrolled.add(car.vin)
            self._world.ask(EnrolCar(id=self._world.new_id("enrol"), vin=car.vin))
        if with_spin and f"{car.vin} spin" not in self._enrolled:
            self._enrolled.add(f"{car.vin} spin")
            self._world.ask(SetSpin(id=self._world.new_id("spin"), vin=car.vin, spin=RIGHT_SPIN, user=self._name))


def _east_of(car: HarnessCar, metres: float) -> dict[str, float]:
    latitude, longitude = car.position
    there = Geodesic.WGS84.Direct(latitude, longitude, 90.0, metres)
    return {"latitude": there["lat2"], "longitude": there["lon2"]}
