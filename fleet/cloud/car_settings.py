"""What a car has said of its own switches: privacy mode, services that are off, whether anybody is at home in it.

The desk need not send what the car would refuse. It goes by what it has heard: what the car says itself is final.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fleet.wire.commands import COMMANDS
from fleet.wire.messages import Event
from fleet.wire.privacy import OPEN, SILENT_MODES, PrivacyMode

MODULE: Final = "car_settings"
"""Under which the store keeps them, by VIN."""
EVENTS: Final = frozenset({"privacy_changed", "car_reset", "car_paired"})
PRIMARY: Final = "primary"


class CarSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What held in a car when it sent the message of this number."""

    boot: int
    seq: int
    mode: PrivacyMode = OPEN
    services_off: tuple[str, ...] = ()
    paired: bool = True


class _Changed(msgspec.Struct):
    mode: PrivacyMode
    services_off: tuple[str, ...] = ()


class _Reset(msgspec.Struct):
    user: str | None = None


def after(held: CarSettings | None, event: Event) -> CarSettings | None:
    """Return what holds after an event; None when it is not newer than what is known, or cannot be read."""
    if held is not None and (event.boot, event.seq) <= (held.boot, held.seq):
        return None
    told = msgspec.structs.replace(held or CarSettings(boot=0, seq=0), boot=event.boot, seq=event.seq)
    try:
        match event.name:
            case "privacy_changed":
                changed = msgspec.convert(event.data, _Changed)
                return msgspec.structs.replace(told, mode=changed.mode, services_off=changed.services_off)
            case "car_reset":
                return told if deleted_user(event) is not None else CarSettings(boot=event.boot, seq=event.seq, paired=False)
            case "car_paired":
                return msgspec.structs.replace(told, paired=True)
            case _:
                return None
    except msgspec.ValidationError:
        return None


def deleted_user(event: Event) -> str | None:
    """Return whom alone a reset deletes, None when it is the whole car. Raises msgspec.ValidationError."""
    user = msgspec.convert(event.data, _Reset).user
    return None if user == PRIMARY else user


def refusal(settings: CarSettings | None, name: str) -> tuple[str, str] | None:
    """Judge a command by what the car has said: None, or the reason (and words for people) why it would be sent in vain."""
    if settings is None:
        return None
    if not settings.paired:
        return ("not_paired", "the car was reset, and nobody has enrolled it since")
    entry = COMMANDS[name].entry
    if entry.legal:
        return None
    if settings.mode in SILENT_MODES:
        return ("privacy_offline", f"the car's privacy mode is {settings.mode}")
    if name in settings.services_off:
        return ("service_deactivated", f"{name} is switched off in the car")
    if entry.tells_position and settings.mode != OPEN:
        return ("privacy_location", f"the car's privacy mode is {settings.mode}")
    return None
