"""When the n-th request of a load is meant to be made: rates, ramps, Poisson processes and bursts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.kernel.draws import Draws
from fleet.kernel.instants import HOUR, MINUTE, SECOND
from fleet.scenario.arrivals import Burst, Ramp, Shape
from fleet.scenario.scalars import Misread, Rate

START = 1_000 * HOUR
SPANS = [(START, START + MINUTE), (START + HOUR, START + HOUR + MINUTE)]
"""Two minutes of activity with a pause between them."""


def arrivals(shape: Shape, spans: list[tuple[int, int]] = SPANS, cars: int = 10, seed: int = 1) -> list[int]:
    return list(shape.arrivals(spans, cars, Draws(seed, "when")))


def shape(**written: object) -> Shape:
    kinds = {"rate": Rate, "ramp": Ramp, "poisson": Rate, "burst": Burst}
    return Shape(**{name: kinds[name].parse(raw) for name, raw in written.items()})  # type: ignore[attr-defined]


def test_a_rate_comes_in_even_steps_and_pauses_between_the_spans() -> None:
    """Two minutes at 2 per s are 240, half a second apart, none in the pause."""
    found = arrivals(shape(rate="2 per s"))
    assert len(found) == 240
    assert [later - at for at, later in pairwise(found[:120])] == [SECOND // 2] * 119
    assert (found[0], found[119], found[120]) == (START, START + MINUTE - SECOND // 2, START + HOUR)


def test_per_car_means_each_car() -> None:
    """10 cars at 6 per min each are 1 per s."""
    assert arrivals(shape(rate="6 per min per car")) == arrivals(shape(rate="1 per s"))
    assert len(arrivals(shape(burst="3 per car"))) == 30


@pytest.mark.parametrize(("ends", "first_half"), [(("0 per s", "10 per s"), 0.25), (("10 per s", "0 per s"), 0.75)])
def test_a_ramp_grows_or_falls_evenly(ends: tuple[str, str], first_half: float) -> None:
    """A quarter of a ramp from 0 comes in its first half; the sum is that of the mean rate."""
    spans = [(START, START + 100 * SECOND)]
    found = arrivals(shape(ramp={"from": ends[0], "to": ends[1]}), spans)
    assert len(found) == 500
    assert found == sorted(found)
    assert sum(at < START + 50 * SECOND for at in found) / 500 == pytest.approx(first_half, abs=0.01)


def test_a_poisson_process_has_its_mean_and_spread_and_is_the_seeds() -> None:
    """The counts of many seeds scatter by the square root of their mean; the gaps are exponential."""
    counts = [len(arrivals(shape(poisson="1 per s"), seed=seed)) for seed in range(200)]
    mean = sum(counts) / len(counts)
    assert mean == pytest.approx(120, abs=3)
    assert sum((count - mean) ** 2 for count in counts) / len(counts) == pytest.approx(120, abs=40)
    assert arrivals(shape(poisson="1 per s"), seed=5) == arrivals(shape(poisson="1 per s"), seed=5)
    gaps = [later - at for at, later in pairwise(arrivals(shape(poisson="100 per s"), [(START, START + MINUTE)]))]
    assert sum(gap > SECOND / 100 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.02)


def test_a_burst_comes_once_at_the_beginning() -> None:
    """At once, or evenly within its time; what the end of the load cuts off does not come in the next span."""
    assert arrivals(shape(burst=5)) == [START] * 5
    assert arrivals(shape(burst={"count": 5, "within": "10 s"})) == [START + n * 2 * SECOND for n in range(5)]
    assert len(arrivals(shape(burst={"count": 10, "within": "2 min"}))) == 5


def test_no_time_no_load() -> None:
    """A load that is never active asks nothing."""
    for one in (
        shape(rate="9 per s"),
        shape(ramp={"from": "0 per s", "to": "1 per s"}),
        shape(poisson="1 per s"),
        shape(burst=3),
    ):
        assert arrivals(one, []) == []


@given(
    st.floats(0, 50), st.floats(0.1, 50),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=5),
)  # fmt: skip
def test_all_lie_in_their_spans_in_order_and_as_many_as_expected(first: float, last: float, gaps: list[tuple[int, int]]) -> None:
    """Whatever the ramp and the pauses: in order, active, and the right number."""
    spans, at = [], START
    for pause, length in gaps:
        spans.append((at + pause * SECOND, at + (pause + length) * SECOND))
        at = spans[-1][1]
    made = Shape(ramp=Ramp(first=Rate(first, SECOND), last=Rate(last, SECOND)))
    found = arrivals(made, spans)
    assert found == sorted(found)
    assert all(any(begin <= at < end for begin, end in spans) for at in found)
    assert len(found) == pytest.approx(made.expected(sum(length for _, length in gaps), 1), abs=1.01)


@pytest.mark.parametrize(
    ("kind", "raw", "message"),
    [
        (Ramp, "5 per s", "a ramp such as {from: 0 per s, to: 50 per s} is expected, not '5 per s'"),
        (Ramp, {"from": "0 per s", "to": "0 per s"}, "the ramp stays at 0: at least one end above 0 is expected"),
        (Ramp, {"from": "0 per s"}, "the range lacks 'to'"),
        (
            Ramp,
            {"from": 5, "to": "5 per s"},
            "a rate such as '120 per hour', '2 per s' or '3 per day per car' is expected, not 5",
        ),
        (Burst, 0, "0 is out of range: a whole number from 1 to 100000000 is expected"),
        (Burst, "some", f"{Burst.expected} is expected, not 'some'"),
        (Burst, {"within": "5 s"}, "the burst lacks 'count'"),
        (Burst, {"count": 5, "for": "5 s"}, "unknown key 'for': a burst has 'count' and 'within'"),
        (Burst, {"count": 5, "within": 10}, "10 has no unit: a duration such as '10 min' or '1 h 30 min' is expected"),
    ],
)
def test_what_cannot_be_read_says_what_was_expected(kind: type[Ramp | Burst], raw: object, message: str) -> None:
    """Each refusal names the value and what such a value looks like."""
    with pytest.raises(Misread) as caught:
        kind.parse(raw)
    assert str(caught.value) == message
