"""Ports of a car: what its services use of it, each as small as it is used. Structural, so a car names none of them.

A service declares in its own `Ports` those of the services it calls, the ones it takes beside them, and the physical parts
(powertrain, body, equipment) by their classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from fleet.kernel.draws import Draws
from fleet.kernel.instants import Instant
from fleet.wire.messages import CarMessage, Position, Trigger

Act = Callable[[Any, Any, Instant], None]
"""Does what was planned, by (car, data, instant)."""


class Sender(Protocol):
    """Sends messages of the car, as far as its privacy allows."""

    vin: str

    def send(self, message: CarMessage) -> None:
        """Hand a numbered message to the modem."""

    def send_priority(self, message: CarMessage) -> None:
        """Hand a numbered message to the modem that goes before all that waits."""

    def send_event(self, name: str, now: Instant, data: Mapping[str, Any] | None = None) -> None:
        """Send an event."""

    def send_status(self, trigger: Trigger, now: Instant, groups: tuple[str, ...] | None = None) -> None:
        """Send the status, whole or some groups."""


class Timers(Protocol):
    """The agenda: entries by instant, cancelled or replaced by key."""

    def call(self, at: Instant, function: Act, data: Any = None, *, key: object = None) -> None:
        """Have `function(car, data, at)` called, beside all other entries."""

    def replace(self, key: object, at: Instant, function: Act, data: Any = None) -> None:
        """Have `function(car, data, at)` called in place of all entries under `key`."""

    def cancel(self, key: object) -> None:
        """Take back all entries under `key`."""

    def planned_at(self, key: object) -> Instant | None:
        """Return the instant of an entry under `key`; None without any."""


class Timed(Protocol):
    """Plans for itself."""

    @property
    def agenda(self) -> Timers:
        """The timers of the car."""


class Chance(Protocol):
    """Draws by chance."""

    key: int

    def draws(self, purpose: str, index: int = 0) -> Draws:
        """Open one of the car's streams of draws."""


class Engine(Protocol):
    """Knows whether the engine is on."""

    engine_is_on: bool


class Located(Protocol):
    """Knows where it is: the last fix, and where it really is."""

    fix: Position

    def position(self, now: Instant) -> Position:
        """Return the last fix; the receiver measures anew while the engine is on."""

    def true_position(self, now: Instant) -> tuple[float, float]:
        """Return (latitude, longitude) in degrees."""

    def receive_fix(self, true: tuple[float, float], now: Instant, parked_at: Instant | None) -> Position:
        """Return the measurement of the receiver at a place at an instant."""


class LowVoltageLoad(Protocol):
    """The 12 V battery as a consumer sees it."""

    in_deep_sleep: bool
    """The modem has switched itself off for want of charge."""

    def percent(self, now: Instant) -> float:
        """Return the charge in percent."""

    def load(self, comfort_a: float, now: Instant) -> None:
        """Feed heater or ventilation with this current."""

    def plug(self, now: Instant, *, plugged_in: bool) -> None:
        """Be charged by the plug, or not."""

    def stay_awake(self, now: Instant, until: Instant) -> None:
        """Keep the car awake until `until`, or longer if it already is."""


class Powered(Protocol):
    """Has a 12 V battery, sleeps and wakes."""

    @property
    def low_voltage(self) -> LowVoltageLoad:
        """The 12 V battery."""

    def stay_awake(self, now: Instant) -> None:
        """Stay awake for a while."""

    def leave_deep_sleep(self, now: Instant) -> None:
        """Switch the modem on again."""


class Modem(Protocol):
    """The modem as a service sees it: coverage, connection, numbers."""

    boot: int
    is_connected: bool
    muted: bool

    @property
    def has_coverage(self) -> bool:
        """Whether there is a network here."""

    def next_seq(self) -> int:
        """Number the next message; every number is used."""


class Connected(Protocol):
    """Has a modem."""

    @property
    def outbox(self) -> Modem:
        """The modem."""


class Commands(Protocol):
    """The commands of a car."""

    wake_ups: int
    """How often they have woken the car since its last drive."""


class Commanded(Protocol):
    """Executes commands."""

    @property
    def remote(self) -> Commands:
        """The commands of the car."""


class Keeper(Protocol):
    """Keeps the state of services, by its class; None as long as there is none."""

    kept: dict[type[Any], Any] | None
