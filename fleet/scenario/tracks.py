"""Tracks of real drives: where a car was when. Rows that fit none around them are named and left out, good ones are used."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median, median_low
from typing import Final, NamedTuple

from fleet.errors import UsageError
from fleet.kernel.instants import DAY, SECOND, Instant, format_duration
from fleet.scenario.track_files import Row, read_track_file
from fleet.vehicle.track import SHORTEST_M, STANDS_FOR, TrackTrip, trips_of

FASTEST_MS: Final = 100.0
"""Metres a second; a row that would need more is a jump of the receiver."""
FEWEST: Final = 2
_LONGEST_GAP: Final = 366 * DAY
"""Between two rows; what is longer is a clock that was set, and no pause."""
_GAP_FACTOR: Final = 10
"""A silence of STANDS_FOR that is so many times as long as rows usually lie apart: the recording stopped (ours)."""
_CHAINS: Final = 8
_LOOK_BACK: Final = 64
"""How many chains of rows are followed at once, and how far back one may fork: 64 bad rows in a row cost no good one."""
_METRES_PER_DEGREE: Final = 111_195.0
_DEGREES: Final = re.compile(r"([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*°?\s*([NSEW])?", re.IGNORECASE)


class Fix(NamedTuple):
    """Where the car was, in WGS 84 degrees, and when."""

    latitude: float
    longitude: float
    at: Instant


class _Read(NamedTuple):
    """A row whose position and time are good by themselves."""

    row: Row
    fix: Fix


@dataclass(frozen=True, slots=True)
class Track:
    """The good rows of a file in the order of their times.

    `broken` names the others, as file:row: why. A recording began anew at each index of `breaks`; `unrecorded` names the
    stretches before those that the car must have driven. `read_as` says what the file was taken for.
    """

    fixes: tuple[Fix, ...]
    broken: tuple[str, ...]
    breaks: frozenset[int]
    unrecorded: tuple[str, ...]
    read_as: str

    def trips(self, begin: Instant) -> list[TrackTrip]:
        """Return the drives in it, its first row being at `begin`."""
        return trips_of(self.fixes, begin, self.breaks)


def read_track(path: Path) -> Track:
    """Read a file; raises UsageError when it cannot be read, is no track, has too few good rows or no drive in it."""
    found = read_track_file(path)
    read: list[_Read] = []
    broken: list[tuple[int, str]] = []
    for row, at in zip(found.rows, found.times.instants, strict=True):
        fix = _fix(row, at)
        if isinstance(fix, str):
            broken.append((row.number, fix))
        else:
            read.append(_Read(row, fix))
    read = _as_driven(read)
    kept = _longest_chain([each.fix for each in read])
    broken = sorted([*broken, *_misfits(read, kept)])
    lines = tuple(f"{path}:{number}: {why}" for number, why in broken)
    good = [read[index] for index in kept]
    if len(good) < FEWEST:
        first = f"; the first is {lines[0]}" if lines else ""
        raise UsageError(
            f"{path} has {len(good)} good rows: at least {FEWEST} are expected",
            hint=f"Read as {found.read_as}. {len(lines)} are broken{first}",
        )
    breaks = _breaks(good)
    track = Track(tuple(each.fix for each in good), lines, breaks, tuple(_unrecorded(path, good, breaks)), found.read_as)
    if not track.trips(0):
        raise UsageError(f"{path} has no drive in it: the car never goes {SHORTEST_M:g} m", hint="Is it the right file?")
    return track


def _fix(row: Row, at: Instant | str) -> Fix | str:
    """Return position and time of a row, or the first thing that is wrong with it."""
    try:
        latitude, longitude = _degrees(row.latitude, "latitude", 90), _degrees(row.longitude, "longitude", 180)
    except ValueError as error:
        return str(error)
    return at if isinstance(at, str) else Fix(latitude, longitude, at)


def _degrees(text: str, name: str, limit: int) -> float:
    found = _DEGREES.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no {name}")
    value = float(found[1])
    if not abs(value) <= limit:
        raise ValueError(f"{text[:40]} is no {name}: {-limit} to {limit} degrees are expected")
    return -value if found[2] and found[2] in "SsWw" else value


def _as_driven(read: Sequence[_Read]) -> list[_Read]:
    """Return the rows in the order of the drive: recordings by their times, and those written newest first turned round."""
    recordings = [list(rows) for _, rows in groupby(read, key=lambda each: each.row.segment)]
    for rows in recordings:
        steps = [after.fix.at - before.fix.at for before, after in pairwise(rows)]
        if sum(step < 0 for step in steps) > sum(step > 0 for step in steps):
            rows.reverse()
    recordings.sort(key=lambda rows: median_low(each.fix.at for each in rows))
    return [each for rows in recordings for each in rows]


# --- rows that fit each other -----------------------------------------------------------------------------------------


def _misfit(before: Fix, fix: Fix, other: str) -> str | None:
    """Return why `fix` cannot come after the one before it, in words about the `other` of the two; None when it can."""
    seconds = (fix.at - before.at) / SECOND
    if seconds <= 0:
        return f"its time is not {'after' if other == 'before' else 'before'} that of the row {other} it"
    if fix.at - before.at > _LONGEST_GAP:
        return f"it is {(fix.at - before.at) // DAY} days {'after' if other == 'before' else 'before'} the row {other} it"
    north_m = (fix.latitude - before.latitude) * _METRES_PER_DEGREE
    east_m = (fix.longitude - before.longitude) * _METRES_PER_DEGREE * math.cos(math.radians(fix.latitude))
    speed = math.hypot(north_m, east_m) / seconds
    return f"it is {speed * 3.6:.0f} km/h away from the row {other} it" if speed > FASTEST_MS else None


def _longest_chain(fixes: Sequence[Fix]) -> list[int]:
    """Return the indices of the longest sequence in which each fix can follow the one before it.

    So one bad row, first, last or between, costs nobody else its place. Follows the chains that are longest so far and those
    that grew last.
    """
    length: list[int] = []
    previous: list[int | None] = []
    tips: list[int] = []
    for index, fix in enumerate(fixes):
        best: int | None = None
        for tip in tips:
            at: int | None = tip
            for _ in range(_LOOK_BACK):
                if at is None or (best is not None and length[at] <= length[best]):
                    break
                if _misfit(fixes[at], fix, "before") is None:
                    best = at
                    break
                at = previous[at]
        length.append(1 if best is None else length[best] + 1)
        previous.append(best)
        tips = [tip for tip in tips if tip != best]
        if len(tips) >= 2 * _CHAINS:
            longest = sorted(tips, key=lambda tip: length[tip])[-_CHAINS:]
            tips = [tip for tip in tips if tip in longest or tip in tips[-_CHAINS + 1 :]]
        tips.append(index)
    chain: list[int] = []
    at = max(range(len(fixes)), key=lambda index: length[index], default=None)
    while at is not None:
        chain.append(at)
        at = previous[at]
    return chain[::-1]


def _misfits(read: Sequence[_Read], kept: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Yield number and fault of each row that is not kept, by the kept ones around it."""
    before: Fix | None = None
    after = iter(kept)
    following = next(after, None)
    for index, each in enumerate(read):
        if index == following:
            before, following = each.fix, next(after, None)
            continue
        why = _misfit(before, each.fix, "before") if before is not None else None
        if why is None and following is not None:
            why = _misfit(each.fix, read[following].fix, "after")
        yield each.row.number, why or "it does not fit the rows around it"


# --- recordings that stopped --------------------------------------------------------------------------------------------


def _breaks(good: Sequence[_Read]) -> frozenset[int]:
    """Return where a recording began anew: in a new segment, or after a silence that is long for this track."""
    gaps = [after.fix.at - before.fix.at for before, after in pairwise(good)]
    silence = max(STANDS_FOR, _GAP_FACTOR * median(gaps))
    return frozenset(
        index
        for index, ((before, after), gap) in enumerate(zip(pairwise(good), gaps, strict=True), 1)
        if gap >= STANDS_FOR and (before.row.segment != after.row.segment or gap >= silence)
    )


def _unrecorded(path: Path, good: Sequence[_Read], breaks: frozenset[int]) -> Iterator[str]:
    for index in sorted(breaks):
        before, after = good[index - 1], good[index]
        trip = trips_of([before.fix, after.fix], 0, frozenset({1}))
        if trip:
            yield (
                f"{path}:{after.row.number}: {format_duration(after.fix.at - before.fix.at)} after the row before it, and"
                f" {trip[0].path.length_m / 1000:.1f} km away: the car stands, and then drives straight there"
            )
