"""The shape of a service beside its commands: the events of the car that it hears, and how it forgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fleet.kernel.instants import Instant

Hear = Callable[[Any, Instant], None]
"""Takes an event, by (car, now)."""


def _anything(_state: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """The events that a service hears; those that come without a word here say it by their names.

    Five are questions. `forbids_start` names the reason why the engine does not start, `locked_until` tells until when nobody
    can start it, `strands` whether the car cannot be left as usual; `forbids_event` and `forbids_detail` are the gate of what
    leaves the car. `forget` wipes what people have left in the car, at a reset.
    """

    state: type | str | None = None
    """The class of the state that it keeps, or the attribute of the car that holds it, such as `trips.record`."""
    is_personal: Callable[[Any], bool] = _anything
    """Tells of its state whether it has anything that people have left; what survives a reset has nothing."""
    forget: Hear | None = None
    made: Hear | None = None
    powered_on: Hear | None = None
    day_began: Hear | None = None
    """Midnight by the driver's clock, or the car's computer has just started."""
    forbids_start: Callable[[Any, Instant], str | None] | None = None
    locked_until: Callable[[Any], Instant | None] | None = None
    strands: Callable[[Any], bool] | None = None
    forbids_event: Callable[[Any, str], bool] | None = None
    """The event of this name may not leave the car."""
    forbids_detail: Callable[[Any, str | None], bool] | None = None
    """The detail of an answer with this reason may not leave the car."""
    driver_gets_in: Hear | None = None
    engine_starts: Hear | None = None
    """Levels are not settled yet, and what runs on them has to end."""
    engine_started: Hear | None = None
    """The engine runs, and the event is sent."""
    drive_planned: Callable[[Any, Any, Instant], None] | None = None
    """Path and speeds of the drive are known, so its events can go into the agenda: (car, journey, now)."""
    engine_stops: Hear | None = None
    """The car stands with its engine off, and no event is sent yet."""
    trip_ended: Callable[[Any, Any, Any, Any, Instant], None] | None = None
    """A drive is over: (car, journey, levels before, levels after, now)."""
    engine_stopped: Hear | None = None
    """Trip and status are sent."""
    driver_left: Hear | None = None
    """Openings and plug are as they stay."""
    driver_plugs_in: Hear | None = None
    refilled: Hear | None = None
    fuel_changed: Hear | None = None
    """Fuel or charge was taken out of the car."""
    charge_changed: Hear | None = None
    """The plug is in or out, or charging has begun or ended."""
    low_voltage_fell: Hear | None = None
    """The 12 V battery is low, and the event is sent."""
    network_found: Hear | None = None
    network_lost: Hear | None = None
    replied: Callable[[Any, Any, Instant], None] | None = None
    """The back end answers something that this car has sent: (car, reply, now)."""
