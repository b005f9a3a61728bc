"""The sequence numbers of one boot that have been seen: a high-water mark and the gaps below it. Pure bookkeeping."""

from __future__ import annotations

from bisect import bisect_right

Gap = tuple[int, int]
"""First and last missing number, both included."""


class SeenSequence:
    """A set of the integers from 1, compact as long as they come nearly in order.

    With a bound on the gaps the lowest one is given up when there are more: `given_up` numbers, none above `floor`, are taken
    for seen although they never came.
    """

    __slots__ = ("floor", "gaps", "gaps_most", "given_up", "high", "missing")

    def __init__(
        self, high: int = 0, gaps: list[Gap] | None = None, *, given_up: int = 0, floor: int = 0, gaps_most: int | None = None
    ) -> None:
        """Start with everything up to `high` seen but for `gaps` (ascending, not touching), and what was given up."""
        self.high = high
        self.gaps: list[Gap] = [] if gaps is None else gaps
        self.gaps_most = gaps_most
        self.given_up = given_up
        self.floor = floor
        self.missing = given_up + sum([last - first + 1 for first, last in self.gaps])
        """How many numbers below the high-water mark have not been seen, those given up among them."""

    def add(self, number: int) -> bool:
        """Note `number` (from 1) as seen; return False when it already was, or was given up."""
        if number == self.high + 1:
            self.high = number
            return True
        if number > self.high:
            self._leave_out(self.high + 1, number - 1)
            self.high = number
            return True
        # The last gap that begins at or before `number`; no gap ends at infinity, so the pair sorts after its like.
        index = bisect_right(self.gaps, (number, self.high)) - 1
        if index < 0 or self.gaps[index][1] < number:
            return False
        first, last = self.gaps[index]
        self.gaps[index : index + 1] = [gap for gap in ((first, number - 1), (number + 1, last)) if gap[0] <= gap[1]]
        self.missing -= 1
        self._keep_bound()
        return True

    def _leave_out(self, first: int, last: int) -> None:
        self.gaps.append((first, last))
        self.missing += last - first + 1
        self._keep_bound()

    def _keep_bound(self) -> None:
        if self.gaps_most is not None and len(self.gaps) > self.gaps_most:
            first, last = self.gaps.pop(0)
            self.given_up += last - first + 1
            self.floor = last

    def __contains__(self, number: int) -> bool:
        """Tell whether `number` has been seen, or was given up."""
        if number > self.high:
            return False
        index = bisect_right(self.gaps, (number, self.high)) - 1
        return index < 0 or self.gaps[index][1] < number

    @property
    def through(self) -> int:
        """The number up to which everything has been seen, or was given up."""
        return self.gaps[0][0] - 1 if self.gaps else self.high
