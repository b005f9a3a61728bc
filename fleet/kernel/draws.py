"""Chance without a generator: a draw is a hash of (seed, names, n), so one more draw or car shifts no other.

A `Draws` is a position in one named stream. It is cheap to make (one blake2b for the names, or one mix for a
number) and is thrown away after use; what a machine keeps is only its key, one integer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from struct import Struct
from typing import Final, TypeVar

T = TypeVar("T")

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_GOLDEN: Final = 0x9E37_79B9_7F4A_7C15
_MIX_1: Final = 0xBF58_476D_1CE4_E5B9
_MIX_2: Final = 0x94D0_49BB_1331_11EB
"""Increment and factors of splitmix64."""
_TO_UNIT: Final = 1.0 / (1 << 53)

_AHEAD: Final = 5
"""Draws computed at once: five cost as much as two or three alone; most streams are read for three (a road) or five (a fix)."""
_ONES: Final = sum(1 << (128 * lane) for lane in range(_AHEAD))
_LOW_HALVES: Final = _ONES * _MASK
_STEPS: Final = sum((n * _GOLDEN & _MASK) << (128 * (_AHEAD - n)) for n in range(1, _AHEAD + 1))
"""Integers of lanes of 128 bits, room for a product: 1 in each, 64 bits set, the steps from the base to each draw."""
_unpack_low_halves: Final = Struct("<" + "Q8x" * _AHEAD).unpack


def stream_key(seed: int, *names: str) -> int:
    """Return the 64-bit key of the stream `seed/name/name…`. Slow (1 µs): once per car, not per draw."""
    text = "/".join((str(seed), *names))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


@cache
def _purpose_key(purpose: str) -> int:
    return stream_key(0, purpose)


class Draws:
    """A stream of draws for one purpose of one key; the n-th draw depends on nothing but (key, purpose, index, n)."""

    __slots__ = ("_ahead", "_base")

    def __init__(self, key: int, purpose: str, index: int = 0) -> None:
        """Open the stream of `purpose` under `key`; `index` tells days, trips or messages apart."""
        z = key ^ _purpose_key(purpose) ^ ((index * 0xD1B5_4A32_D192_ED03) & _MASK)
        z = ((z ^ (z >> 30)) * _MIX_1) & _MASK  # the finaliser of splitmix64: spreads every bit over all others
        z = ((z ^ (z >> 27)) * _MIX_2) & _MASK
        self._base = z ^ (z >> 31)
        self._ahead: list[int] = []

    def _draw_ahead(self) -> list[int]:
        """Make the next draws, the first of them last.

        This is splitmix64 in the lanes of one integer: what costs is an operation, not how many bits it has.
        """
        z = (self._base * _ONES + _STEPS) & _LOW_HALVES
        self._base = z & _MASK
        z = (((z ^ (z >> 30)) & _LOW_HALVES) * _MIX_1) & _LOW_HALVES
        z = (((z ^ (z >> 27)) & _LOW_HALVES) * _MIX_2) & _LOW_HALVES
        self._ahead = ahead = [*_unpack_low_halves((z ^ (z >> 31)).to_bytes(16 * _AHEAD, "little"))]
        return ahead

    def bits(self) -> int:
        """Return the next 64 uniform bits."""
        return (self._ahead or self._draw_ahead()).pop()

    def unit(self) -> float:
        """Return a float in [0, 1)."""
        return ((self._ahead or self._draw_ahead()).pop() >> 11) * _TO_UNIT

    def uniform(self, low: float, high: float) -> float:
        """Return a float in [low, high)."""
        return low + (high - low) * (((self._ahead or self._draw_ahead()).pop() >> 11) * _TO_UNIT)

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high], both ends included."""
        return low + self.bits() % (high - low + 1)

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return ((self._ahead or self._draw_ahead()).pop() >> 11) * _TO_UNIT < probability

    def exponential(self, mean: float) -> float:
        """Return a draw from the exponential distribution."""
        return -mean * math.log(1.0 - self.unit())

    def normal(self, mean: float, deviation: float) -> float:
        """Return a draw from the normal distribution (Box-Muller, one of the pair)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.unit()))
        return mean + deviation * radius * math.cos(math.tau * self.unit())

    def choice(self, items: Sequence[T]) -> T:
        """Return one of `items`, all equally likely."""
        return items[self.bits() % len(items)]

    def weighted(self, weights: Sequence[float]) -> int:
        """Return an index, each as likely as its weight."""
        point = self.unit() * sum(weights)
        for index, weight in enumerate(weights):
            point -= weight
            if point < 0:
                return index
        return len(weights) - 1
