"""A log-linear histogram of durations: cheap to record, exact to merge. Knows nothing of what is measured.

Every power of two is cut into 128 equal buckets, so a value read back is off by less than half a bucket (0.4 %).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

_BITS: Final = 7
_SUB: Final = 1 << _BITS
_ALL_BITS: Final = _BITS + 1
"""The bits of a value that the number of its bucket keeps: the first one, and those that tell buckets of one size apart."""
_NONE: Final = 1 << 63
"""The least value while there is none."""
PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


class Histogram:
    """Counts of non-negative integers, by convention microseconds. Only buckets that hold something take memory."""

    __slots__ = ("_counts", "_least", "maximum", "total")

    def __init__(self) -> None:
        self._counts: defaultdict[int, int] = defaultdict(int)
        self._least = _NONE
        self.total = 0
        self.maximum = 0

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return sum(self._counts.values())

    @property
    def minimum(self) -> int:
        """The least one, 0 while there is none."""
        return self._least if self._counts else 0

    def record(self, value_us: int) -> None:
        """Count one value; a negative one, as clocks that disagree give it, counts as 0."""
        if value_us < _SUB:
            index = value_us = max(value_us, 0)
        else:
            shift = value_us.bit_length() - _ALL_BITS
            index = (shift << _BITS) + (value_us >> shift)
        self._counts[index] += 1
        if value_us < self._least:  # noqa: PLR1730 (a third of the cost of min())
            self._least = value_us
        self.total += value_us
        if value_us > self.maximum:  # noqa: PLR1730
            self.maximum = value_us

    def merge(self, other: Histogram) -> None:
        """Add the counts of `other`, as if its values had been recorded here."""
        for index, count in other._counts.items():
            self._counts[index] += count
        self._least = min(self._least, other._least)
        self.total += other.total
        self.maximum = max(self.maximum, other.maximum)

    def since(self, earlier: Histogram) -> Histogram:
        """Return what was recorded after `earlier`, an older copy of this one; its ends are exact to a bucket."""
        later = Histogram()
        for index, count in self._counts.items():
            if (left := count - earlier._counts.get(index, 0)) > 0:
                later._counts[index] = left
        later.total = self.total - earlier.total
        if later._counts:
            later._least = max(self.minimum, int(_middle(min(later._counts))))
            later.maximum = min(self.maximum, math.ceil(_middle(max(later._counts))))
        return later

    def percentile(self, share: float) -> float:
        """Return the value that `share` (0 to 1) of the recorded ones do not exceed; NaN while empty."""
        count = self.count
        if count == 0:
            return math.nan
        rank = max(1, math.ceil(share * count))
        seen = 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            if seen >= rank:
                return min(max(_middle(index), self.minimum), self.maximum)
        return self.maximum

    @property
    def mean(self) -> float:
        """The exact mean of what was recorded; NaN while empty."""
        return self.total / self.count if self._counts else math.nan

    def summary_ms(self) -> dict[str, float]:
        """Return p50, p90, p99, p999 and max in milliseconds; empty while nothing was recorded."""
        if not self._counts:
            return {}
        figures = {name: round(self.percentile(share) / 1000, 3) for name, share in PERCENTILES.items()}
        figures["max"] = round(self.maximum / 1000, 3)
        return figures

    def to_dict(self) -> dict[str, Any]:
        """Write as plain numbers and names, fit for JSON."""
        return {
            "count": self.count,
            "total": self.total,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "buckets": {str(index): count for index, count in sorted(self._counts.items())},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Histogram:
        """Read what `to_dict` wrote."""
        histogram = cls()
        histogram.total = int(data["total"])
        histogram.maximum = int(data["maximum"])
        histogram._counts.update((int(index), int(count)) for index, count in data["buckets"].items())
        if histogram._counts:
            histogram._least = int(data["minimum"])
        return histogram


def _middle(index: int) -> float:
    """Return the middle of a bucket; below `_SUB` every value has its own."""
    if index < _SUB:
        return float(index)
    shift = (index >> _BITS) - 1
    first = (index - (shift << _BITS)) << shift
    return first + ((1 << shift) - 1) / 2
