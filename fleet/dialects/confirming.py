"""The messages of a car that its system has not confirmed yet, and what a confirmation says of them in our words."""

from __future__ import annotations

from typing import Final

from fleet.wire.messages import Stored

MOST_GAPS: Final = 100
"""Ranges of unconfirmed numbers that one `Stored` names."""
MOST_OPEN: Final = 20_000
"""Unconfirmed numbers that are remembered: twice an outbox."""

MOST_BOOTS: Final = 4
"""Runs of the car's computer of which numbers are remembered."""


class Unconfirmed:
    """Numbers that were sent and not confirmed, by the run of the car's computer."""

    __slots__ = ("_by_boot", "_highest", "_is_cumulative")

    def __init__(self, *, cumulative: bool) -> None:
        """Take whether a number confirms those before it."""
        self._is_cumulative = cumulative
        self._by_boot: dict[int, dict[int, None]] = {}
        self._highest: dict[int, int] = {}

    def sent(self, boot: int, seq: int) -> None:
        """Note a message that was sent."""
        if self._is_cumulative:
            self._highest[boot] = max(seq, self._highest.get(boot, 0))
            if len(self._highest) > MOST_BOOTS:
                del self._highest[min(self._highest)]
        else:
            numbers = self._by_boot.setdefault(boot, {})
            numbers[seq] = None
            if len(numbers) > MOST_OPEN:
                del numbers[next(iter(numbers))]
            if len(self._by_boot) > MOST_BOOTS:
                oldest = min(self._by_boot)
                del self._by_boot[oldest]
                self._highest.pop(oldest, None)

    def confirmed(self, number: int, boot: int | None) -> tuple[Stored, ...]:
        """Return what a confirmation says; nothing for a message that was never sent. `boot` None is the newest."""
        known = self._highest if self._is_cumulative else self._by_boot
        if boot is None:
            boot = max(known, default=0)
        if boot not in known:
            return ()
        if self._is_cumulative:
            through = min(number, self._highest[boot])
            return (Stored(boot=boot, through=through),) if through > 0 else ()
        numbers = self._by_boot[boot]
        if number not in numbers:
            return ()
        del numbers[number]
        self._highest[boot] = high = max(number, self._highest.get(boot, 0))
        return (_stored(boot, high, sorted(each for each in numbers if each < high)),)


def _stored(boot: int, high: int, missing: list[int]) -> Stored:
    """Return what covers all numbers up to the highest but the missing ones."""
    if not missing:
        return Stored(boot=boot, through=high)
    gaps: list[tuple[int, int]] = []
    for number in reversed(missing):
        if gaps and (gaps[-1][0] == number + 1 or len(gaps) == MOST_GAPS):
            gaps[-1] = (number, gaps[-1][1])  # too many: what lies between was confirmed by itself before
        else:
            gaps.append((number, number))
    return Stored(boot=boot, through=missing[0] - 1, high=high, gaps=tuple(reversed(gaps)))
