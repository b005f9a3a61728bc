"""The tracks that a scenario's fleets follow: what was found in each file, and what its cars will drive in the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from fleet.kernel.instants import Instant, to_datetime
from fleet.scenario.schema import Fleet, Scenario, Vocabulary
from fleet.scenario.tracks import Track, read_track
from fleet.vehicle.track import TrackTrip

_FEW_LEFT_OUT: Final = 0.1
"""Of a track's rows; of more the drive may not be what was driven."""


@dataclass(frozen=True, slots=True)
class FollowedTrack:
    """A file, and its drives at the times at which the cars of a fleet drive them; `ends` is the end of the run."""

    file: str
    fleet: str
    track: Track
    trips: tuple[TrackTrip, ...]
    ends: Instant

    def line(self, zone: str) -> str:
        """Return what will be driven, in words; the times are local."""
        km = sum(trip.path.length_m for trip in self.trips) / 1000
        first, last = self.trips[0].departure, self.trips[-1].departure + self.trips[-1].profile.duration_us
        drives = "1 drive" if len(self.trips) == 1 else f"{len(self.trips)} drives"
        driven = f"{drives}, {km:.1f} km, from {_local(first, zone)} to {_local(last, zone)}"
        rows = f"{len(self.track.fixes)} good rows, {len(self.track.broken)} left out"
        return f"track {Path(self.file).name} of {self.fleet}: {driven}; {rows} (read as {self.track.read_as})"

    def findings(self) -> Iterator[str]:
        """Yield what a user should know: many rows left out, ways that nobody recorded, drives that the run is too short for."""
        left_out = len(self.track.broken)
        if left_out > _FEW_LEFT_OUT * (rows := left_out + len(self.track.fixes)):
            yield f"{self.file}: {left_out} of its {rows} rows are left out; the first is {self.track.broken[0]}"
        yield from self.track.unrecorded
        late = sum(trip.departure >= self.ends for trip in self.trips)
        if late == len(self.trips):
            yield f"{self.file}: none of its drives begins in the run; the cars of {self.fleet} that follow it stay parked"
        elif late:
            yield f"{self.file}: {late} of its {len(self.trips)} drives begin after the end of the run"


def followed_tracks(scenario: Scenario, vocabulary: Vocabulary) -> list[FollowedTrack]:
    """Read the tracks of all fleets. Raises UsageError for a file that is none."""
    ends = vocabulary.start_of(scenario) + scenario.duration
    found = []
    for fleet in scenario.fleets:
        for file in fleet.tracks.files if fleet.tracks is not None else ():
            track = read_track(Path(file))
            trips = tuple(track.trips(tracks_begin(scenario, fleet, vocabulary)))
            found.append(FollowedTrack(file, fleet.name, track, trips, ends))
    return found


def tracks_begin(scenario: Scenario, fleet: Fleet, vocabulary: Vocabulary) -> Instant:
    """Return when the first row of a fleet's tracks is."""
    assert fleet.tracks is not None, "it follows tracks"
    start, at = vocabulary.start_of(scenario), fleet.tracks.at
    begin = start if at is None else at.within(start, scenario.duration, vocabulary.zone_of(scenario))
    assert begin is not None, "checked when the scenario was read"
    return begin


def track_findings(tracks: Iterable[FollowedTrack]) -> list[str]:
    """Return what is to be known of tracks beside the rows that are left out, each once."""
    return list(dict.fromkeys(text for each in tracks for text in each.findings()))


def rows_left_out(tracks: Iterable[FollowedTrack]) -> list[str]:
    """Return which rows are not used, as file:row: why, each once."""
    return list(dict.fromkeys(row for each in tracks for row in each.track.broken))


def _local(at: Instant, zone: str) -> str:
    return to_datetime(at).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")
