"""Draws: the same for ever, uniform, and independent of how many others are made."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.kernel.draws import Draws, stream_key

SEED = 1
PINNED = [
    13035259207344024319,
    13983531761709665396,
    16192935207953668786,
    15252206627747534739,
]
PINNED_FIGURES = [0.788503777841, 2, -1.306785630355]


def test_a_seed_means_the_same_for_ever() -> None:
    """Pinned: whoever changes these values changes every recorded run."""
    key = stream_key(2026, "VSSZZZKMZPR000001")
    assert [key, Draws(key, "gps", 7).bits(), Draws(key, "gps", 8).bits(), Draws(key, "wake").bits()] == PINNED
    draws = Draws(42, "figures")
    assert [round(draws.unit(), 12), draws.integer(1, 6), round(draws.normal(0, 1), 12)] == PINNED_FIGURES


@given(st.integers(0, 2**64 - 1), st.integers(-(2**60), 2**60))
def test_draws_are_those_of_splitmix64(key: int, index: int) -> None:
    """However many are made at once: the generator of the original, begun at the stream's own state."""
    draws = Draws(key, "original", index)
    state = mixed(key ^ stream_key(0, "original") ^ index * 0xD1B54A32D192ED03 % 2**64)
    expected = [mixed((state + n * 0x9E3779B97F4A7C15) % 2**64) for n in range(1, 13)]
    assert [draws.bits() for _ in expected] == expected
    again = Draws(key, "original", index)
    assert [again.unit() for _ in expected] == [(value >> 11) / 2**53 for value in expected]
    pairs = Draws(key, "original", index), Draws(key, "original", index)
    assert [pairs[0].uniform(-3.0, 8.5) for _ in expected] == [-3.0 + 11.5 * pairs[1].unit() for _ in expected]


def mixed(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_one_more_draw_shifts_no_other_stream() -> None:
    """Draws of one purpose, index or key do not move those of another."""
    plain = [Draws(1, "b", n).bits() for n in range(10)]
    for n in range(10):
        Draws(1, "a", n).bits()
        other = Draws(1, "b", n)
        assert other.bits() == plain[n]
        other.bits()
    assert len({Draws(key, purpose, n).bits() for key in range(20) for purpose in "abc" for n in range(20)}) == 1200


def test_units_are_uniform() -> None:
    """Within one stream, over its index and over keys: ten bins, each within 5 % of its share; mean and correlation too."""
    one = Draws(SEED, "uniform")
    for values in (
        [one.unit() for _ in range(20_000)],
        [Draws(SEED, "uniform", n).unit() for n in range(20_000)],
        [Draws(n, "uniform").unit() for n in range(20_000)],
    ):
        assert all(0 <= value < 1 for value in values)
        bins = Counter(int(value * 10) for value in values)
        assert all(bins[n] == pytest.approx(2000, rel=0.08) for n in range(10)), f"seed {SEED}"
        lag = sum((a - 0.5) * (b - 0.5) for a, b in pairwise(values)) / len(values)
        assert abs(lag) < 0.003, f"seed {SEED}"


@given(st.integers(0, 2**64 - 1), st.integers(-5, 5), st.integers(0, 9))
def test_limits_hold(key: int, low: int, span: int) -> None:
    """Integers include both ends, choices are of the items, weights of 0 are never drawn."""
    draws = Draws(key, "limits")
    assert low <= draws.integer(low, low + span) <= low + span
    assert draws.choice("abc") in "abc"
    assert draws.weighted([0, 1, 0]) == 1
    assert draws.exponential(2.0) >= 0
    assert draws.chance(1.0)
    assert not draws.chance(0.0)


def test_distributions_have_their_moments() -> None:
    """Mean and deviation of normal and exponential draws, within 3 %."""
    draws = Draws(SEED, "moments")
    normal = [draws.normal(10, 2) for _ in range(20_000)]
    mean = sum(normal) / len(normal)
    assert mean == pytest.approx(10, rel=0.01), f"seed {SEED}"
    assert (sum((x - mean) ** 2 for x in normal) / len(normal)) ** 0.5 == pytest.approx(2, rel=0.03), f"seed {SEED}"
    assert sum(draws.exponential(3) for _ in range(20_000)) / 20_000 == pytest.approx(3, rel=0.03), f"seed {SEED}"
