"""The speeds of a drive: pieces of constant acceleration in closed form, drawn from the length of the road alone."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import itemgetter
from typing import Final, NamedTuple

from fleet.kernel.draws import Draws
from fleet.kernel.instants import SECOND, Duration
from fleet.vehicle.geo import DETOUR_MOST

_KMH: Final = 1.0 / 3.6


class SpeedPiece(NamedTuple):
    """A time, in µs since the car began to move, over which its speed changes evenly, or not at all."""

    begin_us: float
    end_us: float
    begin_kmh: float
    end_kmh: float

    def cut(self, from_us: float) -> SpeedPiece:
        """Return what is left of it from `from_us` on."""
        if from_us <= self.begin_us:
            return self
        share = (from_us - self.begin_us) / (self.end_us - self.begin_us)
        return self._replace(begin_us=from_us, begin_kmh=self.begin_kmh + share * (self.end_kmh - self.begin_kmh))


_Block = tuple[float, float, float]
"""Length in m, speed aimed at in m/s, seconds of waiting at its end; 0 drives through."""
_Piece = tuple[float, float, float, float]
"""When it begins in s, metres driven until then, speed there in m/s, acceleration in m/s²."""
_start_s: Final = itemgetter(0)
_start_m: Final = itemgetter(1)


class SpeedProfile:
    """How a path is driven: pieces of constant acceleration, stops included. Closed form; elapsed times in µs."""

    __slots__ = ("_pieces", "duration_us", "length_m")

    def __init__(self, blocks: list[_Block], length_m: float) -> None:
        """Take blocks in their order: in each the car accelerates, cruises, brakes and waits, as far as there is need.

        `length_m` is the blocks' length together, free of what adding them up rounds away.
        """
        self._pieces: Final[list[_Piece]] = []
        add = self._pieces.append
        elapsed = travelled = first = 0.0
        for (length, aim, wait), last in zip(blocks, _end_speeds(blocks), strict=True):
            reach = 2.0 * length * _PULL * _BRAKE
            if first or last:  # in town it goes from stop to stop
                reach = reach + _BRAKE * first * first + _PULL * last * last
            reachable = math.sqrt(reach / _PULL_AND_BRAKE)
            top = aim if aim < reachable else reachable  # noqa: FURB136 (a call of min costs as much as the half of all this)
            if top < first or top < last:  # by what rounding takes
                top = max(first, last)
            square = top * top
            pull_m = (square - first * first) / _TWICE_PULL
            brake_m = (square - last * last) / _TWICE_BRAKE
            cruise_m = length - pull_m - brake_m
            if top > first:
                add((elapsed, travelled, first, _PULL))
                elapsed += (top - first) / _PULL
            if cruise_m > 0.0:
                add((elapsed, travelled + pull_m, top, 0.0))
                elapsed += cruise_m / top
            if top > last:
                add((elapsed, travelled + length - brake_m, top, -_BRAKE))
                elapsed += (top - last) / _BRAKE
            travelled += length
            first = last
            if wait:
                add((elapsed, travelled, 0.0, 0.0))
                elapsed += wait
        self.length_m: Final = length_m
        self.duration_us: Final[Duration] = math.ceil(elapsed * SECOND)

    def distance_at(self, elapsed_us: Duration) -> float:
        """Return the metres driven; never falls, and is exactly `length_m` at `duration_us` and after it."""
        if elapsed_us <= 0:
            return 0.0
        if elapsed_us >= self.duration_us:
            return self.length_m
        seconds = elapsed_us / SECOND
        pieces = self._pieces
        following = bisect_right(pieces, seconds, key=_start_s)
        start_s, start_m, speed, acceleration = pieces[following - 1]
        within = seconds - start_s
        distance = start_m + (speed + 0.5 * acceleration * within) * within
        # Rounding must not let a piece overrun the start of the next.
        limit = pieces[following][1] if following < len(pieces) else self.length_m
        return min(distance, limit)

    def speed_at(self, elapsed_us: Duration) -> float:
        """Return the speed in km/h; 0 before the start and after the end."""
        if elapsed_us < 0 or elapsed_us >= self.duration_us:
            return 0.0
        seconds = elapsed_us / SECOND
        start_s, _, speed, acceleration = self._pieces[bisect_right(self._pieces, seconds, key=_start_s) - 1]
        return max(0.0, speed + acceleration * (seconds - start_s)) / _KMH

    def pieces(self) -> Iterator[SpeedPiece]:
        """Yield the speeds from the start to the end: what a limit takes its deadlines from."""
        ends_us = [*(start_s * SECOND for start_s, _, _, _ in self._pieces[1:]), float(self.duration_us)]
        for (start_s, _, speed, acceleration), end_us in zip(self._pieces, ends_us, strict=True):
            begin_us = start_s * SECOND
            end_speed = max(0.0, speed + acceleration * (end_us - begin_us) / SECOND)
            yield SpeedPiece(begin_us, end_us, speed / _KMH, end_speed / _KMH)

    def elapsed_at(self, distance_m: float) -> Duration:
        """Return when `distance_m` is first reached: what a zone on the way takes as its deadline."""
        if distance_m <= 0.0:
            return 0
        if distance_m >= self.length_m:
            return self.duration_us
        start_s, start_m, speed, acceleration = self._pieces[bisect_left(self._pieces, distance_m, key=_start_m) - 1]
        rest = distance_m - start_m
        root = math.sqrt(max(0.0, speed * speed + 2.0 * acceleration * rest))
        return min(math.ceil((start_s + 2.0 * rest / (speed + root)) * SECOND), self.duration_us)


_PULL: Final = 1.4
_BRAKE: Final = 1.8
"""Acceleration and deceleration in m/s² (ours): brisk everyday driving."""
_TWICE_PULL: Final = 2.0 * _PULL
_TWICE_BRAKE: Final = 2.0 * _BRAKE
_PULL_AND_BRAKE: Final = _PULL + _BRAKE
_STOP_SPACING_M: Final = 650.0
_MOST_STOPS: Final = 7
"""Stops in one of the two town sections; on longer ones they lie farther apart and take longer."""
_WAIT_MEAN_S: Final = 47.0
"""A stop stands for all waiting on its stretch: lights, junctions, queues, the search for a parking space."""
_TOWN_KMH: Final = (27.0, 47.0)
_ROAD_KMH: Final = (58.0, 88.0)
_MOTORWAY_KMH: Final = (90.0, 126.0)
_SLOW_KMH: Final = (50.0, 80.0)
_SLOW_SHARE: Final = 0.06
_TOWN_SPEEDS: Final = [(_TOWN_KMH[0] + n / 1023 * (_TOWN_KMH[1] - _TOWN_KMH[0])) * _KMH for n in range(1024)]
_WAITS: Final = [0.2 + n / 1023 * 1.6 for n in range(1024)]
_SHIFTS: Final = [n / 1023 * 0.6 - 0.3 for n in range(1024)]
"""The draw of ten bits in town: the speed aimed at in m/s, the wait by its mean, the place of the stop by their distance."""
_TWO_STRETCHES_M: Final = 20_000.0
"""A motorway section from this length on has a second stretch, at its own speed; only the first can be slow."""


def _end_speeds(blocks: list[_Block]) -> list[float]:
    """Return the speed at the end of each block: 0 at stops, else what both neighbours allow and physics reaches."""
    last = len(blocks) - 1
    ends = []
    speed = 0.0
    for index, (length, aim, wait) in enumerate(blocks):
        stops = wait or index == last
        speed = 0.0 if stops else min(aim, blocks[index + 1][1], math.sqrt(speed * speed + _TWICE_PULL * length))
        ends.append(speed)
    for index in range(last, 0, -1):
        if ends[index - 1]:
            ends[index - 1] = min(ends[index - 1], math.sqrt(ends[index] ** 2 + _TWICE_BRAKE * blocks[index][0]))
    return ends


def speed_plan(draws: Draws, path_length_m: float) -> SpeedProfile:
    """Return how a road of that length is driven: town with stops at both ends, country road, motorway between them.

    Drives in town average about 22 km/h, 35 km about 43, 150 km about 79 (ours, so that a day's driving comes to the
    45 minutes of MiD 2017). Raises ValueError for a length that is not positive.
    """
    if path_length_m <= 0.0:
        raise ValueError(f"a drive of {path_length_m} m has no speed")
    town_m, road_m, motorway_m = _sections(path_length_m)
    blocks: list[_Block] = []
    if road_m <= 0.0:
        _add_town(draws, blocks, town_m)
    else:
        share = draws.uniform(0.35, 0.65)
        _add_town(draws, blocks, town_m * share)
        blocks.append((road_m * 0.5, draws.uniform(*_ROAD_KMH) * _KMH, 0.0))
        if motorway_m > 0.0:
            _add_motorway(draws, blocks, motorway_m)
        blocks.append((road_m * 0.5, draws.uniform(*_ROAD_KMH) * _KMH, 0.0))
        _add_town(draws, blocks, town_m * (1.0 - share))
    # The wait at the end of the last block is none: the engine is switched off there.
    last_m, aim, _ = blocks.pop()
    blocks.append((last_m, aim, 0.0))
    return SpeedProfile(blocks, path_length_m)


def _sections(length_m: float) -> tuple[float, float, float]:
    """Return how many metres of a drive are town, country road and motorway."""
    if length_m <= 4_000.0:
        return length_m, 0.0, 0.0
    town_m = min(4_000.0 + 0.5 * (length_m - 4_000.0), 11_000.0)
    road_m = length_m - town_m
    if road_m <= 14_000.0:
        return town_m, road_m, 0.0
    return town_m, 12_000.0, road_m - 12_000.0


def _add_town(draws: Draws, blocks: list[_Block], length_m: float) -> None:
    """Add blocks from one stop to the next."""
    count = max(1, min(round(length_m / _STOP_SPACING_M), _MOST_STOPS))
    even_m = length_m / count
    mean_s = _WAIT_MEAN_S * max(1.0, even_m / _STOP_SPACING_M)
    before = 0.0
    for index in range(1, count + 1):
        bits = draws.bits() & 0x3FFF_FFFF  # small, so that taking it to pieces costs less
        after = _SHIFTS[bits & 1023] if index < count else 0.0
        blocks.append((even_m * (1.0 + after - before), _TOWN_SPEEDS[bits >> 10 & 1023], mean_s * _WAITS[bits >> 20]))
        before = after


def _add_motorway(draws: Draws, blocks: list[_Block], length_m: float) -> None:
    """Add one or two stretches of motorway, the first of them now and then in slow traffic."""
    count = 1 if length_m < _TWO_STRETCHES_M else 2
    speed = draws.uniform(*_SLOW_KMH) if draws.chance(_SLOW_SHARE) else draws.uniform(*_MOTORWAY_KMH)
    first_m = length_m if count == 1 else min(length_m * draws.uniform(0.2, 0.5), 40_000.0)
    blocks.append((first_m, speed * _KMH, 0.0))
    if count == 2:
        blocks.append((length_m - first_m, draws.uniform(*_MOTORWAY_KMH) * _KMH, 0.0))


_LONGEST_STOP_S: Final = 1.8 * _WAIT_MEAN_S + 15.0
_TOWN_AT_LEAST: Final = _TOWN_KMH[0] * _KMH
_ROAD_AT_LEAST: Final = _ROAD_KMH[0] * _KMH
_SLOW_AT_LEAST: Final = _SLOW_KMH[0] * _KMH
_MOTORWAY_AT_LEAST: Final = _MOTORWAY_KMH[0] * _KMH


def longest_drive(straight_m: float) -> Duration:
    """Return a time within which any drive over that straight line is over, however the draws fall.

    The longest road at the lowest speeds and with the longest waits of `speed_plan`.
    """
    town_m, road_m, motorway_m = _sections(straight_m * DETOUR_MOST)
    stops = 2.0 + town_m / _STOP_SPACING_M
    slow_m = min(motorway_m, 40_000.0)
    seconds = (
        stops * _LONGEST_STOP_S
        + town_m / _TOWN_AT_LEAST
        + road_m / _ROAD_AT_LEAST
        + slow_m / _SLOW_AT_LEAST
        + (motorway_m - slow_m) / _MOTORWAY_AT_LEAST
        + 60.0
    )
    return math.ceil(seconds) * SECOND
