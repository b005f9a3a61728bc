"""Which sequence numbers of one boot have been seen: a high-water mark and the gaps below it. Pure bookkeeping."""

from __future__ import annotations

from bisect import bisect_right

Gap = tuple[int, int]
"""First and last missing number, both included."""


class SeenSequence:
    """A set of the integers from 1, compact as long as they come nearly in order."""

    __slots__ = ("gaps", "high")

    def __init__(self, high: int = 0, gaps: list[Gap] | None = None) -> None:
        """Start with everything up to `high` seen but for `gaps` (ascending, not touching)."""
        self.high = high
        self.gaps: list[Gap] = [] if gaps is None else gaps

    def add(self, number: int) -> bool:
        """Note `number` (from 1) as seen; return False when it already was."""
        if number == self.high + 1:
            self.high = number
            return True
        if number > self.high:
            self.gaps.append((self.high + 1, number - 1))
            self.high = number
            return True
        # The last gap that begins at or before `number`; no gap ends at infinity, so the pair sorts after its like.
        index = bisect_right(self.gaps, (number, self.high)) - 1
        if index < 0 or self.gaps[index][1] < number:
            return False
        first, last = self.gaps[index]
        self.gaps[index : index + 1] = [gap for gap in ((first, number - 1), (number + 1, last)) if gap[0] <= gap[1]]
        return True

    def __contains__(self, number: int) -> bool:
        """Tell whether `number` has been seen."""
        if number > self.high:
            return False
        index = bisect_right(self.gaps, (number, self.high)) - 1
        return index < 0 or self.gaps[index][1] < number

    @property
    def missing(self) -> int:
        """How many numbers below the high-water mark have not been seen."""
        return sum([last - first + 1 for first, last in self.gaps]) if self.gaps else 0

    @property
    def through(self) -> int:
        """The number up to which everything has been seen."""
        return self.gaps[0][0] - 1 if self.gaps else self.high
