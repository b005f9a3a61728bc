"""The inputs and outputs of a car: one frozen type for each input and output."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from fleet.kernel.instants import Instant
from fleet.vehicle.driver import Purpose
from fleet.vehicle.hazards import FaultName
from fleet.vehicle.region import Place
from fleet.wire.messages import CarMessage, CommandState, Presence, ToCar
from fleet.wire.parameters import Day
from fleet.wire.privacy import PrivacyMode


class _Signal(msgspec.Struct, frozen=True, gc=False):
    """A struct is made in a tenth of the time of a frozen dataclass: there are several to each message."""


# --- inputs ---------------------------------------------------------------------------------------------------


class PowerOn(_Signal, frozen=True):
    """The car's computer starts: the car begins to live, and connects where there is coverage."""


class Executed(_Signal, frozen=True):
    """A command, and the last answer to it, given at `at` in scenario time; without its details, which may tell a place."""

    id: str
    name: str
    expires_at: Instant
    at: Instant
    state: CommandState
    reason: str | None = None
    awake: bool = True


class Recall(_Signal, frozen=True):
    """The last answer to each command that the car executed before its computer was started; comes before it is started."""

    executed: tuple[Executed, ...]


class PowerOff(_Signal, frozen=True):
    """The simulation of this car ends: it says that it goes, and disconnects."""


class LinkUp(_Signal, frozen=True):
    """The connection to the broker stands and all subscriptions are in force."""

    session_present: bool


class LinkDown(_Signal, frozen=True):
    """The connection is gone; what was under way may have arrived."""


class Acknowledged(_Signal, frozen=True):
    """The broker took the message with this sequence number, or (`refused`) definitely did not."""

    seq: int
    refused: bool = False


class LeftOut(_Signal, frozen=True):
    """The message with this sequence number is not sent: the dialect has no place for it, or the cloud knows all of it."""

    seq: int


class RepeatUnstored(_Signal, frozen=True):
    """The back end has not said for long that what the broker took is stored: send it again."""


class Received(_Signal, frozen=True, omit_defaults=True):
    """The cloud sent something.

    `before`: the broker may have delivered it to an earlier run of the car's computer, of which this one knows nothing.
    """

    message: ToCar
    before: bool = False


class AskStatus(_Signal, frozen=True):
    """A load stage wants a status now; the car's state does not change by it."""


class SetCoverage(_Signal, frozen=True):
    """The mobile network comes or goes, as in an underground car park."""

    covered: bool


class SetNetwork(_Signal, frozen=True):
    """The mobile network fails for all cars, wherever they are, or works again; apart from the coverage of the place."""

    works: bool


class SwitchOn(_Signal, frozen=True):
    """Somebody starts the engine and stays where the car is."""


class SwitchOff(_Signal, frozen=True):
    """Somebody ends the drive here and switches the engine off."""


class DriveTo(_Signal, frozen=True):
    """Somebody starts the engine and drives to a place."""

    place: Place
    purpose: Purpose = "errand"


class StayPut(_Signal, frozen=True):
    """The driver starts no further trip; a drive under way is ended as planned."""


OpeningName = Literal["front_left", "front_right", "rear_left", "rear_right", "bonnet", "boot"]


class SetOpening(_Signal, frozen=True):
    """Somebody opens or closes a door, the bonnet or the boot lid."""

    name: OpeningName
    opened: bool


class SetPlug(_Signal, frozen=True):
    """Somebody plugs a parked car in, or takes the plug out."""

    plugged_in: bool


class SetChargePoint(_Signal, frozen=True):
    """The charge point that the car is plugged into fails, or gives power again."""

    works: bool


class DrainTo(_Signal, frozen=True):
    """Fuel, or the charge of an electric car, is drawn down to this share (0 to 1) of what it holds at most; never up."""

    share: float


class HeaterTimer(_Signal, frozen=True, forbid_unknown_fields=True):
    """A departure at `at` (HH:MM by the car's own clock) on days of the week or one date."""

    at: str
    days: tuple[Day, ...] = ()
    date: str | None = None
    enabled: bool = True


class SetHeater(_Signal, frozen=True, forbid_unknown_fields=True):
    """Somebody sets the parking heater's run time and departure times in the car; what its menu has not changes nothing."""

    minutes: int = 30
    timers: tuple[HeaterTimer, ...] = ()


class DrainAdBlue(_Signal, frozen=True):
    """AdBlue is drawn down to this share (0 to 1) of its tank; never up, and not while the engine runs."""

    share: float


class DrainLowVoltage(_Signal, frozen=True):
    """The 12 V battery is drawn down to this share (0 to 1) of what it can hold; never up, and not while it is charged."""

    share: float


class SetFault(_Signal, frozen=True):
    """Something fails now, by its name in the table of hazards."""

    name: FaultName


class Crash(_Signal, frozen=True):
    """The car crashes hard enough for this sensor; nothing happens while its engine is off."""

    sensor: Literal["airbag", "belt_tensioner"] = "airbag"


class Repair(_Signal, frozen=True):
    """A workshop has mended what a crash left and what has failed, and done the services that were due."""


ButtonName = Literal["sos", "breakdown", "info"]


class PressButton(_Signal, frozen=True):
    """Somebody in the car calls for help, for the breakdown service, or for information."""

    name: ButtonName


class SetPrivacy(_Signal, frozen=True):
    """Somebody sets the car's privacy switch; a mode that its generation has not changes nothing."""

    mode: PrivacyMode


class SetService(_Signal, frozen=True):
    """Somebody switches a single service off in the car, or on again."""

    name: str
    on: bool


class SetBatteryProtection(_Signal, frozen=True):
    """Somebody has the traction battery protected, with this share (0 to 1) of its usable charge as the reserve, or not."""

    on: bool
    reserve: float = 0.2


class SetWorkshop(_Signal, frozen=True):
    """Somebody switches workshop mode on or off."""

    on: bool


class ResetCar(_Signal, frozen=True):
    """Somebody deletes a user in the car, or (None) resets all of it."""

    user: str | None = None


class PairCar(_Signal, frozen=True):
    """Somebody enrols in the car as its primary user, after a reset."""


class ShowQr(_Signal, frozen=True):
    """Somebody in a car of the fourth generation has it show a QR code, to enrol with."""


class UseKey(_Signal, frozen=True):
    """Somebody who enrols unlocks the car with one of its two keys."""

    key: Literal["first", "second"]


class EnterCode(_Signal, frozen=True):
    """Somebody types the pairing code into the car."""

    code: str


class EnrolInCar(_Signal, frozen=True):
    """Somebody goes through the assistant on the screen, and accepts these texts.

    `sealed_spin` is the S-PIN as `fleet.wire.sealing` seals it for the car's next request.
    """

    user: str
    sealed_spin: str | None = None
    consents: tuple[Literal["privacy", "terms", "contract"], ...] = ("privacy", "terms", "contract")


class LogIn(_Signal, frozen=True):
    """Somebody logs in on the screen, with the S-PIN (sealed for the car's next request) or the saved one; `save` keeps it."""

    user: str
    sealed_spin: str | None = None
    save: bool = False


class LogOut(_Signal, frozen=True):
    """Whoever is logged in on the screen logs out."""


class DeleteUser(_Signal, frozen=True):
    """Whoever is logged in on the screen deletes a user there; nothing happens without the right."""

    user: str


class AskOnline(_Signal, frozen=True):
    """Somebody in the car asks an online service; what the car knows itself need not be among the words."""

    name: str
    data: dict[str, Any] = {}


class FollowRoute(_Signal, frozen=True):
    """The driver drives the route that was downloaded last; nothing without one, or while another drive is under way."""


class ClearRoutes(_Signal, frozen=True):
    """The driver empties the list of routes in the navi system."""


class SetUpdateConsent(_Signal, frozen=True):
    """The driver agrees in the car to updates over the air, or takes that back."""

    given: bool


class FailUpdate(_Signal, frozen=True):
    """The next installation of an update fails."""


ControlInput = (
    DrainAdBlue
    | DrainLowVoltage
    | SetFault
    | SetHeater
    | Crash
    | Repair
    | PressButton
    | SetPrivacy
    | SetService
    | SetWorkshop
    | ResetCar
    | PairCar
    | AskOnline
)
"""Actions of people at the car's own controls, and what happens to it."""
ScreenInput = FollowRoute | ClearRoutes | SetUpdateConsent | FailUpdate | SetBatteryProtection
"""Actions at the car's screen: with routes and updates that were sent to the car, and what is set there."""
PeopleInput = ShowQr | UseKey | EnterCode | EnrolInCar | LogIn | LogOut | DeleteUser
"""Actions of a car's users as such: enrolment, log-in, and who is at home."""
WorldInput = (
    SetCoverage
    | SetNetwork
    | SwitchOn
    | SwitchOff
    | DriveTo
    | SetOpening
    | StayPut
    | DrainTo
    | SetPlug
    | SetChargePoint
    | ControlInput
    | ScreenInput
    | PeopleInput
)
"""The inputs by which people and the world act on a car."""
CarInput = (
    Recall | PowerOn | PowerOff | LinkUp | LinkDown | Acknowledged | LeftOut | RepeatUnstored | Received | AskStatus | WorldInput
)

# --- outputs --------------------------------------------------------------------------------------------------


class Connect(_Signal, frozen=True):
    """Connect, and stay connected."""


class Drop(_Signal, frozen=True):
    """Coverage is lost: the connection breaks without a word."""


class Disconnect(_Signal, frozen=True):
    """Publish `last` and disconnect in order; the will is not sent."""

    last: Presence


class Announce(_Signal, frozen=True):
    """Publish the retained presence."""

    presence: Presence


class Transmit(_Signal, frozen=True):
    """Publish `message`; its outcome comes back as Acknowledged, or LinkDown.

    `due_at` is when it should have gone out: when it was captured, or when coverage came back if that was later.
    `again` marks a repetition of a message whose first outcome is unknown.
    """

    message: CarMessage
    due_at: Instant
    again: bool = False


class Remember(_Signal, frozen=True):
    """Keep this beyond the life of the car's computer, before anything is sent that comes after it."""

    done: Executed


CarOutput = Connect | Drop | Disconnect | Announce | Transmit | Remember
