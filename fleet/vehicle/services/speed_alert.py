"""Speed alert: tells once when the car is driven faster than a limit, computed from the speeds of each drive beforehand.

One overspeeding is one alert: the next one needs the car to have slowed down to well below the limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from fleet.kernel.instants import SECOND, Duration, Instant
from fleet.vehicle import ports
from fleet.vehicle.journey import Journey
from fleet.vehicle.kept import drop, find, keep
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Service
from fleet.wire.parameters import SpeedAlert

if TYPE_CHECKING:
    from fleet.vehicle.kinematics import SpeedPiece

LASTS: Final = 3 * SECOND
"""Faster than the limit for less long, at the end of overtaking perhaps, is no alert (ours)."""
AGAIN_BELOW_KMH: Final = 5.0
"""After an alert the car has to slow down by so much below the limit before there is another one (ours)."""


EXCEEDED: Final = "speed alert"
"""Key of the timers of a drive's alerts."""


class Limit(NamedTuple):
    """The speed that is watched."""

    kmh: float


def alerts(pieces: Iterable[SpeedPiece], limit_kmh: float, from_us: Duration = 0) -> list[Duration]:
    """Return when, from `from_us` on, the car has been faster than the limit for `LASTS`; in µs since it began to move."""
    found: list[Duration] = []
    faster_since_us: float | None = None
    armed = True
    for piece in pieces:
        if piece.end_us <= from_us:
            continue
        stretch = _faster(piece.cut(from_us), limit_kmh)
        armed = armed or piece.begin_kmh < limit_kmh - AGAIN_BELOW_KMH
        if stretch is None:
            faster_since_us = None
        else:
            begin_us, end_us = stretch
            faster_since_us = begin_us if faster_since_us is None else faster_since_us
            if armed and end_us - faster_since_us >= LASTS:
                found.append(round(faster_since_us) + LASTS)
                armed = False
            if end_us < piece.end_us:
                faster_since_us = None
        armed = armed or piece.end_kmh < limit_kmh - AGAIN_BELOW_KMH
    return found


def _faster(piece: SpeedPiece, limit_kmh: float) -> tuple[float, float] | None:
    """Return between which times of a piece the speed is above the limit."""
    begins, ends = piece.begin_kmh > limit_kmh, piece.end_kmh > limit_kmh
    if begins == ends:
        return (piece.begin_us, piece.end_us) if begins else None
    share = (limit_kmh - piece.begin_kmh) / (piece.end_kmh - piece.begin_kmh)
    crossed_us = piece.begin_us + share * (piece.end_us - piece.begin_us)
    return (piece.begin_us, crossed_us) if begins else (crossed_us, piece.end_us)


class Ports(ports.Located, ports.Sender, ports.Timed, ports.Keeper, Protocol):
    """A car that knows the speeds ahead of it."""

    journey: Journey | None


# --- the command


def _carry_out(car: Ports, parameters: SpeedAlert, now: Instant) -> None:
    """Watch this limit instead of the one before, or none."""
    if parameters.action == "start":
        keep(car, Limit(parameters.limit_kmh))
    else:
        drop(car, Limit)
    if car.journey is not None:
        plan(car, car.journey, now)


SPEED_ALERT: Final = Service(_carry_out, takes=None)


# --- driving


def plan(car: Ports, journey: Journey, now: Instant) -> None:
    """Put the alerts of a drive, as far as it is still ahead, into the agenda."""
    car.agenda.cancel(EXCEEDED)
    limit = find(car, Limit)
    if limit is None:
        return
    for elapsed_us in alerts(journey.profile.pieces(), limit.kmh, max(0, now - journey.move_at)):
        car.agenda.call(journey.move_at + elapsed_us, _exceeded, key=EXCEEDED)


def end_drive(car: Ports, _now: Instant) -> None:
    """Expect none of the alerts that were still ahead."""
    car.agenda.cancel(EXCEEDED)


def forget(car: Ports, _now: Instant) -> None:
    """Forget the limit."""
    drop(car, Limit)
    car.agenda.cancel(EXCEEDED)


def _exceeded(car: Ports, _data: None, now: Instant) -> None:
    """Send the alert."""
    limit, journey = find(car, Limit), car.journey
    assert limit is not None
    assert journey is not None
    fix = car.position(now)
    car.send_event(
        "speed_alert",
        now,
        {
            "limit_kmh": limit.kmh,
            "speed_kmh": round(journey.profile.speed_at(now - journey.move_at), 1),
            "latitude": fix.latitude,
            "longitude": fix.longitude,
            "accuracy_m": fix.accuracy_m,
        },
    )


LISTENER: Final = Listener(state=Limit, drive_planned=plan, engine_stopped=end_drive, forget=forget)
