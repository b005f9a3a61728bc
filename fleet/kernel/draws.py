"""Chance without a generator: a draw is a hash of (seed, names, n), so one more draw or car shifts no other.

A `Draws` is a position in one named stream. It is cheap to make (one blake2b for the names, or one mix for a
number) and is thrown away after use; what a machine keeps is only its key, one integer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from typing import Final, TypeVar

T = TypeVar("T")

_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF
_GOLDEN: Final = 0x9E37_79B9_7F4A_7C15
_TO_UNIT: Final = 1.0 / (1 << 53)


def stream_key(seed: int, *names: str) -> int:
    """Return the 64-bit key of the stream `seed/name/name…`. Slow (1 µs): once per car, not per draw."""
    text = "/".join((str(seed), *names))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


@cache
def _purpose_key(purpose: str) -> int:
    return stream_key(0, purpose)


def _mix(z: int) -> int:
    """The finaliser of splitmix64: spreads every input bit over all output bits."""
    z = ((z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
    return z ^ (z >> 31)


class Draws:
    """A stream of draws for one purpose of one key; the n-th draw depends on nothing but (key, purpose, index, n)."""

    __slots__ = ("_base", "_n")

    def __init__(self, key: int, purpose: str, index: int = 0) -> None:
        """Open the stream of `purpose` under `key`; `index` tells days, trips or messages apart."""
        self._base = _mix(key ^ _purpose_key(purpose) ^ ((index * 0xD1B5_4A32_D192_ED03) & _MASK))
        self._n = 0

    def bits(self) -> int:
        """Return the next 64 uniform bits."""
        self._n = n = self._n + 1
        z = (self._base + n * _GOLDEN) & _MASK  # and then `_mix`, without the call: a message takes ten draws
        z = ((z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
        return z ^ (z >> 31)

    def unit(self) -> float:
        """Return a float in [0, 1)."""
        return (self.bits() >> 11) * _TO_UNIT

    def uniform(self, low: float, high: float) -> float:
        """Return a float in [low, high)."""
        return low + (high - low) * self.unit()

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high], both ends included."""
        return low + self.bits() % (high - low + 1)

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.unit() < probability

    def exponential(self, mean: float) -> float:
        """Return a draw from the exponential distribution."""
        return -mean * math.log(1.0 - self.unit())

    def normal(self, mean: float, deviation: float) -> float:
        """Return a draw from the normal distribution (Box-Muller, one of the pair)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.unit()))
        return mean + deviation * radius * math.cos(2.0 * math.pi * self.unit())

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
