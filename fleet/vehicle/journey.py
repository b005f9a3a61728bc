"""One drive: where the car is, how fast, and how far at any instant between engine on and engine off."""

from __future__ import annotations

from typing import Final

from fleet.kernel.instants import Instant
from fleet.vehicle.geo import Path
from fleet.vehicle.kinematics import SpeedProfile
from fleet.vehicle.region import Place
from fleet.vehicle.track import TrackProfile

DRIVE: Final = "drive"
"""Key of the timers that end with the drive."""


class Journey:
    """A drive along a path by a speed profile: engine on at `started_at`, moving from `move_at` to `arrive_at`.

    `place` is where it ends; `station` tells that it ends there to refuel or charge. A drive that somebody
    breaks off (`cut`) ends where the car is then, which is no `place`.
    """

    __slots__ = ("arrive_at", "length_m", "move_at", "path", "place", "profile", "purpose", "started_at", "station")

    def __init__(
        self,
        *,
        path: Path,
        profile: SpeedProfile | TrackProfile,
        started_at: Instant,
        move_at: Instant,
        place: Place,
        purpose: str,
        station: bool,
    ) -> None:
        """Take the plan of the drive; nothing of it changes later but where it ends when it is cut short."""
        self.path = path
        self.profile = profile
        self.started_at = started_at
        self.move_at = move_at
        self.arrive_at = move_at + profile.duration_us
        self.length_m = path.length_m
        self.place: Place | None = place
        self.purpose = purpose
        self.station = station

    def distance_at(self, now: Instant) -> float:
        """Return the metres driven at `now`; exactly the path's length from the arrival on."""
        if now >= self.arrive_at:
            return self.length_m
        return self.profile.distance_at(max(0, now - self.move_at))

    def reached_at(self, distance_m: float) -> Instant:
        """Return when that distance has been driven."""
        return self.move_at + self.profile.elapsed_at(distance_m)

    def position_at(self, now: Instant) -> tuple[float, float]:
        """Return the true (latitude, longitude) in degrees at `now`."""
        return self.path.position_at(self.distance_at(now))

    def cut(self, now: Instant) -> None:
        """End the drive where the car is at `now`."""
        if now >= self.arrive_at:
            return
        self.length_m = self.distance_at(now)
        self.arrive_at = max(now, self.move_at)
        self.place = None
        self.station = False
