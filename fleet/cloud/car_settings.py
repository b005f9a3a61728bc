"""The switches of a car as it reports them: privacy mode, services that are off, whether it has any user.

The desk need not send a command that the car would refuse. It goes by the last report; the answer of the car itself is final.

A message may come late, overtaken by others of its car. So each thing is known with the number of the message that said it,
and a newer report on one switch does not make an older report on another one old. In any order the same is known in the end.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from fleet.wire.messages import Event
from fleet.wire.privacy import OPEN, PrivacyMode

MODULE: Final = "car_settings"
"""Under which the store keeps them, by VIN."""
EVENTS: Final = frozenset({"privacy_changed", "car_reset", "car_paired"})
PRIMARY: Final = "primary"
NOT_PAIRED: Final = ("not_paired", "the car was reset, and nobody has enrolled it since")


Number = tuple[int, int]
"""Boot and sequence number of a message: of two messages of a car the higher one was sent later."""
NEVER: Final[Number] = (0, 0)


class ReportedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The switches of a car as it last reported them. `boot` and `seq` number the message about `mode` and `services_off`.

    `paired` holds since the message `since`; `pairing` is the newest pairing that was heard of.
    """

    boot: int = 0
    seq: int = 0
    mode: PrivacyMode = OPEN
    services_off: tuple[str, ...] = ()
    paired: bool = True
    since: Number = NEVER
    pairing: Number = NEVER


class ReportedReset(msgspec.Struct, frozen=True):
    """A car has forgotten all its users, or one: the rights that they were given before are gone."""

    user: str | None = None


class _Changed(msgspec.Struct):
    mode: PrivacyMode
    services_off: tuple[str, ...] = ()


def after(held: ReportedSettings | None, event: Event) -> ReportedSettings | None:
    """Return what holds after an event; None when that is nothing new, or the event cannot be read."""
    before = held or ReportedSettings()
    told = _told(before, event)
    return None if told == before else told


def _told(held: ReportedSettings, event: Event) -> ReportedSettings:
    number = (event.boot, event.seq)
    privacy = {"boot": event.boot, "seq": event.seq} if number > (held.boot, held.seq) else None
    match event.name:
        case "privacy_changed" if privacy is not None:
            try:
                changed = msgspec.convert(event.data, _Changed)
            except msgspec.ValidationError:
                return held
            return replace(held, **privacy, mode=changed.mode, services_off=changed.services_off)
        case "car_reset" if (reset := reset_of(event)) is not None and reset.user is None:
            if privacy is not None:
                held = replace(held, **privacy, mode=OPEN, services_off=())
            return replace(held, paired=False, since=number) if number > held.since else held
        case "car_paired":
            if number > held.since:
                held = replace(held, paired=True, since=number)
            return replace(held, pairing=max(number, held.pairing))
        case _:
            return held


def reset_of(event: Event) -> ReportedReset | None:
    """Return the users that a car has forgotten, None for another event or one that cannot be read."""
    if event.name != "car_reset":
        return None
    try:
        return read_reset(event)
    except msgspec.ValidationError:
        return None


def read_reset(event: Event) -> ReportedReset:
    """Read a `car_reset`; without its primary user a car has no users. Raises ValidationError."""
    reset = msgspec.convert(event.data, ReportedReset)
    return ReportedReset() if reset.user == PRIMARY else reset
