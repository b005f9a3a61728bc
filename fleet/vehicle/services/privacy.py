"""The privacy switch in the car, and single services that are switched off: what may leave the car, and what it obeys.

In a silent car (privacy mode offline, maximum privacy, or reset and not paired again) statuses, events and requests are not
made, so they have no number and the account knows nothing of them. What waited when it fell silent waits on, and is sent
when it may speak again; what was sent is not repeated until then. Commands that still arrive are refused.

Where no position may leave the car, what waits and was never sent loses it: a status its place, an answer the distance it
tells, and what says nothing else is dropped, and counted so. What was sent before has left the car: its repetition has the
same bytes. In no mode does any of this hold for what is marked `legal` in the catalogue; nor for what is marked `enrols`, in a
car that is silent for want of a user alone.
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec.structs import replace

from fleet.kernel.instants import Instant
from fleet.vehicle import ports
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.kept import find, keep, obtain
from fleet.vehicle.outbox import Outbox
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Refusal
from fleet.vehicle.settings import CarSettings
from fleet.wire.commands import COMMANDS, CommandType
from fleet.wire.messages import CarMessage, Event, Request, Response, Status
from fleet.wire.privacy import OPEN, SILENT_MODES, PrivacyMode, mode_of
from fleet.wire.services import load_services

PLACE_DATA: Final = frozenset({"position", "latitude", "longitude"})
"""Names under which an event that is sent without a position, too, has one."""
TELLS_DISTANCE: Final = frozenset({"too_far"})
"""Reasons whose detail says how far the car is from somebody whose place is known."""
_EVENTS: Final = load_services().events
_REQUESTS: Final = load_services().requests


class Privacy:
    """The settings of a car that does not have them all as they came."""

    __slots__ = ("mode", "paired", "services_off")

    def __init__(self, *, paired: bool = True) -> None:
        self.mode: PrivacyMode = OPEN
        self.services_off: frozenset[str] = frozenset()
        self.paired = paired


class Ports(ports.Sender, ports.Connected, ports.Keeper, Protocol):
    """The privacy of a car, and the modem that it mutes."""

    equipment: Equipment
    outbox: Outbox
    settings: CarSettings

    def unmute(self) -> None:
        """Send what had to be held back."""


# --- what may leave the car


def mode_in(car: Ports) -> PrivacyMode:
    privacy = find(car, Privacy)
    return OPEN if privacy is None else privacy.mode


def _is_private(car: Ports) -> bool:
    """Tell whether the switch, and not the want of a user alone, has the car silent."""
    return mode_in(car) in SILENT_MODES


def may_locate(car: Ports) -> bool:
    """Tell whether a position may leave the car."""
    return mode_in(car) == OPEN


def forbids_detail(car: Ports, reason: str | None) -> bool:
    """Tell whether the detail of an answer stays in the car: a command that comes again is answered as before, but for that."""
    return reason in TELLS_DISTANCE and not may_locate(car)


def forbids_event(car: Ports, name: str) -> bool:
    """Tell whether this event may not leave the car now."""
    if find(car, Privacy) is None:
        return False
    entry = _EVENTS.get(name)
    if entry is not None and (entry.legal or (entry.enrols and not _is_private(car))):
        return False
    return car.outbox.muted or (entry is not None and entry.tells_position and not may_locate(car))


def request_refusal(car: Ports, name: str) -> str | None:
    """Return why an online service may not be asked now, None when it may."""
    privacy = find(car, Privacy)
    if privacy is None:
        return None
    if car.outbox.muted and (_is_private(car) or not _REQUESTS[name].enrols):
        return "privacy_offline"
    if name in privacy.services_off:
        return "service_deactivated"
    return "privacy_location" if _REQUESTS[name].tells_position and not may_locate(car) else None


def _without_enrolment(message: CarMessage) -> CarMessage | None:
    """Return a message as it is; None for one of an enrolment, which ends where nothing may leave the car."""
    match message:
        case Event(name=name) if name in _EVENTS and _EVENTS[name].enrols:
            return None
        case Request(name=name) if name in _REQUESTS and _REQUESTS[name].enrols:
            return None
        case _:
            return message


def without_position(message: CarMessage) -> CarMessage | None:
    """Return the message without what tells where the car is, None when nothing is left of it."""
    match message:
        case Status(position=position) if position is not None:
            return replace(message, position=None)
        case Event(name=name, data=data) if name in _EVENTS and not _EVENTS[name].legal:
            if _EVENTS[name].tells_position:
                return None
            return replace(message, data={key: value for key, value in data.items() if key not in PLACE_DATA})
        case Request(name=name) if name in _REQUESTS and _REQUESTS[name].tells_position:
            return None
        case Response(reason=reason) if reason in TELLS_DISTANCE:
            return replace(message, detail=None)
        case _:
            return message


# --- what the car obeys


def silence(car: Ports, name: str) -> Refusal | None:
    """Judge a command before all else: a silent car obeys what the law requires, and says nothing of itself."""
    entry = COMMANDS[name].entry if name in COMMANDS else None
    enrols = entry is not None and entry.enrols
    if not car.outbox.muted or (entry is not None and entry.legal) or (enrols and not _is_private(car)):
        return None
    if not enrols and not is_paired(car):
        return Refusal("not_paired", "the car was reset, and nobody has enrolled it since")
    return Refusal("privacy_offline", f"the car's privacy mode is {mode_in(car)}")


def refusal(car: Ports, command: CommandType) -> Refusal | None:
    """Judge whether the service is switched off, or gives away where the car is and must not."""
    privacy = find(car, Privacy)
    if privacy is None or command.entry.enrols:
        return None
    if command.name in privacy.services_off:
        return Refusal("service_deactivated", f"{command.name} is switched off in the car")
    if command.entry.tells_position and not may_locate(car):
        return Refusal("privacy_location", f"the car's privacy mode is {mode_in(car)}")
    return None


# --- what people switch


def begin(car: Ports, _now: Instant) -> None:
    """Start with a mode, before the car is switched on; a mode that its generation has not is left."""
    mode = mode_of(car.settings.privacy, car.equipment.generation)
    if mode is not None and mode != OPEN:
        obtain(car, Privacy).mode = mode
        car.outbox.muted = mode in SILENT_MODES
    if not car.settings.at_home:
        obtain(car, Privacy).paired = False
        car.outbox.muted = True


def announce(car: Ports, now: Instant) -> None:
    """Tell the back end what holds, so that it need not send what would be refused."""
    privacy = find(car, Privacy)
    if privacy is not None:
        car.send_event("privacy_changed", now, {"mode": privacy.mode, "services_off": sorted(privacy.services_off)})


def set_mode(car: Ports, asked: PrivacyMode, now: Instant) -> None:
    """Turn the switch; nothing happens where it stands there already, or has no such position."""
    mode = mode_of(asked, car.equipment.generation)
    if mode is None or mode == mode_in(car):
        return
    obtain(car, Privacy).mode = mode
    if mode != OPEN:
        car.outbox.redact_unsent(without_position)
    if mode in SILENT_MODES:
        car.outbox.redact_unsent(_without_enrolment)
    announce(car, now)
    hear(car)


def set_service(car: Ports, name: str, now: Instant, *, on: bool) -> None:
    """Switch a single service on or off."""
    privacy = find(car, Privacy)
    off = frozenset() if privacy is None else privacy.services_off
    changed = off - {name} if on else off | {name}
    if changed != off:
        obtain(car, Privacy).services_off = changed
        announce(car, now)


def is_paired(car: Ports) -> bool:
    """Tell whether somebody is at home in the car."""
    privacy = find(car, Privacy)
    return privacy is None or privacy.paired


def unpair(car: Ports) -> None:
    """Have all settings as they came, and nobody at home: the car falls silent."""
    keep(car, Privacy(paired=False))
    hear(car)


def come_home(car: Ports, now: Instant) -> None:
    """Have a primary user again, and tell it; does nothing in a car that has one."""
    if not is_paired(car):
        obtain(car, Privacy).paired = True
        car.send_event("car_paired", now)
        hear(car)


def hear(car: Ports) -> None:
    """Fall silent or speak again, as the settings say."""
    privacy = obtain(car, Privacy)
    silent = privacy.mode in SILENT_MODES or not privacy.paired
    if silent:
        car.outbox.muted = True
    elif car.outbox.muted:
        car.unmute()


def _is_personal(privacy: Privacy) -> bool:
    return (privacy.mode, privacy.services_off) != (OPEN, frozenset())


LISTENER: Final = Listener(
    state=Privacy,
    is_personal=_is_personal,
    made=begin,
    powered_on=announce,
    forbids_event=forbids_event,
    forbids_detail=forbids_detail,
)
