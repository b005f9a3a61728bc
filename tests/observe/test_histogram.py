"""The histogram's figures are within one percent of the truth, and merging loses nothing."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.observe.histogram import Histogram

VALUES = st.lists(st.integers(0, 10**12), min_size=1, max_size=200)


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(VALUES, st.floats(0, 1))
def test_percentiles_are_within_one_percent(values: list[int], share: float) -> None:
    """A percentile is that of the sorted values, to 1 %."""
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    assert filled(values).percentile(share) == pytest.approx(exact, rel=0.01)


@given(VALUES, VALUES)
def test_merging_is_recording_together(left: list[int], right: list[int]) -> None:
    merged = filled(left)
    merged.merge(filled(right))
    assert merged.to_dict() == filled(left + right).to_dict()


@given(VALUES)
def test_survives_json(values: list[int]) -> None:
    histogram = filled(values)
    again = Histogram.from_dict(json.loads(json.dumps(histogram.to_dict())))
    assert again.to_dict() == histogram.to_dict()
    assert again.summary_ms() == histogram.summary_ms()


def test_empty_and_extremes() -> None:
    """Nothing recorded gives no figures; maximum and mean are exact; negative values count as 0."""
    empty = Histogram()
    assert math.isnan(empty.percentile(0.5))
    assert math.isnan(empty.mean)
    assert empty.summary_ms() == {}
    histogram = filled([-5, 1000, 2001])
    assert (histogram.minimum, histogram.maximum, histogram.count) == (0, 2001, 3)
    assert histogram.mean == pytest.approx(1000.33, abs=0.01)
    assert histogram.summary_ms()["max"] == 2.001
    empty.merge(histogram)
    assert empty.to_dict() == histogram.to_dict()
    histogram.merge(Histogram())
    assert empty.to_dict() == histogram.to_dict()
