"""Doors, bonnet, boot, windows, lights and locks, as somebody left them."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from fleet.vehicle.leaving import Leaving
from fleet.wire.messages import Door, Doors, Lights, Windows

OPENINGS: Final = ("front_left", "front_right", "rear_left", "rear_right", "bonnet", "boot")

_NONE: Final[frozenset[str]] = frozenset()
"""One for all cars: each empty set of their own would take 200 bytes."""
_SHUT_LOCKED: Final = Door(open=False, locked=True)
_SHUT_UNLOCKED: Final = Door(open=False, locked=False)
_OPEN_UNLOCKED: Final = Door(open=True, locked=False)
_ALL_LOCKED: Final = Doors(**dict.fromkeys(OPENINGS, _SHUT_LOCKED))
_ALL_UNLOCKED: Final = Doors(**dict.fromkeys(OPENINGS, _SHUT_UNLOCKED))
_WINDOWS_SHUT: Final = Windows(front_left=False, front_right=False, rear_left=False, rear_right=False)
_WINDOWS_AND_SUNROOF_SHUT: Final = replace(_WINDOWS_SHUT, sunroof=False)
_LIGHTS_ON, _LIGHTS_OFF = Lights(parking_lights_on=True), Lights(parking_lights_on=False)


class Body:
    """The openings, whether it is locked, and whether the parking lights are on.

    The central lock acts on all openings together; an open one is not locked, whatever the others are.
    """

    __slots__ = ("has_sunroof", "lights_on", "locked", "open_doors", "open_windows")

    def __init__(self, *, has_sunroof: bool) -> None:
        self.has_sunroof = has_sunroof
        self.locked = True
        self.lights_on = False
        self.open_doors = _NONE
        self.open_windows = _NONE

    def set_opening(self, name: str, *, opened: bool) -> None:
        """Open or close one of OPENINGS. Opening from outside needs an unlocked car, so it unlocks."""
        if name not in OPENINGS:
            raise ValueError(f"{name!r} is no door: {', '.join(OPENINGS)}")
        if opened:
            self.locked = False
            self.open_doors |= {name}
        else:
            self.open_doors -= {name}

    def get_in(self) -> None:
        """Somebody unlocks, gets in, and finds and closes what stood open."""
        self.locked = False
        self.lights_on = False
        self.open_doors = _NONE
        self.open_windows = _NONE

    def leave(self, habits: Leaving) -> None:
        """Somebody walks away and locks, or forgets something. A boot left open stays unlocked, as the car cannot lock it."""
        self.open_windows = frozenset((habits.open_window,)) if habits.open_window else _NONE
        self.open_doors = frozenset(("boot",)) if habits.boot_left_open else _NONE
        self.lights_on = habits.lights_left_on
        self.locked = habits.locks

    def doors(self) -> Doors:
        if not self.open_doors:
            return _ALL_LOCKED if self.locked else _ALL_UNLOCKED
        shut = _SHUT_LOCKED if self.locked else _SHUT_UNLOCKED
        return Doors(**{name: _OPEN_UNLOCKED if name in self.open_doors else shut for name in OPENINGS})

    def windows(self) -> Windows:
        is_open = self.open_windows
        if not is_open:
            return _WINDOWS_AND_SUNROOF_SHUT if self.has_sunroof else _WINDOWS_SHUT
        return Windows(
            front_left="front_left" in is_open,
            front_right="front_right" in is_open,
            rear_left="rear_left" in is_open,
            rear_right="rear_right" in is_open,
            sunroof="sunroof" in is_open if self.has_sunroof else None,
        )

    def lights(self) -> Lights:
        return _LIGHTS_ON if self.lights_on else _LIGHTS_OFF
