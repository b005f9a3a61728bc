"""What goes into a car and what comes out: one frozen type for each input and output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fleet.kernel.instants import Instant
from fleet.vehicle.driver import Purpose
from fleet.vehicle.region import Place
from fleet.wire.messages import CarMessage, Presence, ToCar

# --- inputs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PowerOn:
    """The car's computer starts: the car begins to live, and connects where there is coverage."""


@dataclass(frozen=True, slots=True)
class PowerOff:
    """The simulation of this car ends: it says that it goes, and disconnects."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The connection to the broker stands and all subscriptions are in force."""

    session_present: bool


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The connection is gone; what was under way may have arrived."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker took the message with this sequence number, or (`refused`) definitely did not."""

    seq: int
    refused: bool = False


@dataclass(frozen=True, slots=True)
class RepeatUnstored:
    """The back end has not said for long that what the broker took is stored: send it again."""


@dataclass(frozen=True, slots=True)
class Received:
    """The cloud sent something."""

    message: ToCar


@dataclass(frozen=True, slots=True)
class AskStatus:
    """A load stage wants a status now; the car's state does not change by it."""


@dataclass(frozen=True, slots=True)
class SetCoverage:
    """The mobile network comes or goes, as in an underground car park."""

    covered: bool


@dataclass(frozen=True, slots=True)
class SwitchOn:
    """Somebody starts the engine and stays where the car is."""


@dataclass(frozen=True, slots=True)
class SwitchOff:
    """Somebody ends the drive here and switches the engine off."""


@dataclass(frozen=True, slots=True)
class DriveTo:
    """Somebody starts the engine and drives to a place."""

    place: Place
    purpose: Purpose = "errand"


@dataclass(frozen=True, slots=True)
class StayPut:
    """The driver starts no further trip; a drive under way is ended as planned."""


OpeningName = Literal["front_left", "front_right", "rear_left", "rear_right", "bonnet", "boot"]


@dataclass(frozen=True, slots=True)
class SetOpening:
    """Somebody opens or closes a door, the bonnet or the boot lid."""

    name: OpeningName
    opened: bool


@dataclass(frozen=True, slots=True)
class DrainTo:
    """Fuel, or the charge of an electric car, is drawn down to this share (0 to 1) of what it holds at most; never up."""

    share: float


WorldInput = SetCoverage | SwitchOn | SwitchOff | DriveTo | SetOpening | StayPut | DrainTo
"""What people and the world do to a car."""
CarInput = PowerOn | PowerOff | LinkUp | LinkDown | Acknowledged | RepeatUnstored | Received | AskStatus | WorldInput

# --- outputs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connect:
    """Connect, and stay connected."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Coverage is lost: the connection breaks without a word."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Publish `last` and disconnect in order; the will is not sent."""

    last: Presence


@dataclass(frozen=True, slots=True)
class Announce:
    """Publish the retained presence."""

    presence: Presence


@dataclass(frozen=True, slots=True)
class Transmit:
    """Publish `message`; its outcome comes back as Acknowledged, or LinkDown.

    `due_at` is when it should have gone out: when it was captured, or when coverage came back if that was later.
    `again` marks a repetition of a message whose first outcome is unknown.
    """

    message: CarMessage
    due_at: Instant
    again: bool = False


CarOutput = Connect | Drop | Disconnect | Announce | Transmit
