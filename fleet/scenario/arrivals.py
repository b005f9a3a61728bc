"""Open-loop load: when the n-th request is meant to be made, by a rate, a ramp, a Poisson process or a burst.

The instants follow from the draws of one stream and from nothing that happens; whoever is late is late against them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from fleet.kernel.draws import Draws
from fleet.kernel.instants import SECOND, Instant
from fleet.scenario.drawn import ends
from fleet.scenario.scalars import Duration, Misread, Rate, Readable, shown

MOST: Final = 100_000_000
"""Requests of one burst."""

AT_ONCE: Final = Duration(0)

Spans = Sequence[tuple[Instant, Instant]]
"""[begin, end) of the times in which a load is active, one after the other."""


@dataclass(frozen=True, slots=True)
class Ramp(Readable):
    """A rate that grows or falls evenly from the beginning of the load to its end."""

    expected: ClassVar[str] = "a ramp such as {from: 0 per s, to: 50 per s}"

    first: Rate
    last: Rate

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `{from: 0 per s, to: 50 per s}`; one end may be 0."""
        if not isinstance(raw, dict):
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        rates = []
        for key, end in zip(("from", "to"), ends(raw), strict=True):
            try:
                rates.append(Rate.parse_or_zero(end))
            except Misread as error:
                raise Misread(str(error), key, hint=error.hint) from None
        if not rates[0].count and not rates[1].count:
            raise Misread("the ramp stays at 0: at least one end above 0 is expected")
        return cls(first=rates[0], last=rates[1])

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


@dataclass(frozen=True, slots=True)
class Burst(Readable):
    """So many, for the whole fleet or for each car, at once or evenly within a time."""

    expected: ClassVar[str] = "a burst such as 500, '2 per car' or {count: 500, within: 10 s}"

    count: int
    per_car: bool = False
    within: Duration = AT_ONCE

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `500`, `2 per car` or `{count: 500, within: 10 s}`."""
        if not isinstance(raw, dict):
            count, per_car = cls._count(raw)
            return cls(count=count, per_car=per_car)
        for key in raw:
            if key not in ("count", "within"):
                raise Misread(f"unknown key {shown(key)}: a burst has 'count' and 'within'", key)
        if "count" not in raw:
            raise Misread("the burst lacks 'count'")
        try:
            count, per_car = cls._count(raw["count"])
        except Misread as error:
            raise Misread(str(error), "count") from None
        try:
            within = Duration.parse(raw["within"]) if "within" in raw else AT_ONCE
        except Misread as error:
            raise Misread(str(error), "within", hint=error.hint) from None
        return cls(count=count, per_car=per_car, within=within)

    @classmethod
    def _count(cls, raw: object) -> tuple[int, bool]:
        per_car = isinstance(raw, str) and raw.endswith(" per car")
        if isinstance(raw, str) and per_car and raw.removesuffix(" per car").strip().isdecimal():
            raw = int(raw.removesuffix(" per car"))
        if not isinstance(raw, int) or isinstance(raw, bool):
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        if not 0 < raw <= MOST:
            raise Misread(f"{raw} is out of range: a whole number from 1 to {MOST} is expected")
        return raw, per_car

    def of(self, cars: int) -> int:
        """Return how many there are with so many cars."""
        return self.count * (cars if self.per_car else 1)

    def __str__(self) -> str:
        count = f"{self.count} per car" if self.per_car else str(self.count)
        return f"{count} within {self.within}" if self.within else f"{count} at once"


@dataclass(frozen=True, slots=True)
class Shape:
    """How many come when: one of the four is given. `rate` is even, `poisson` is random with that mean."""

    rate: Rate | None = None
    ramp: Ramp | None = None
    poisson: Rate | None = None
    burst: Burst | None = None

    def arrivals(self, spans: Spans, cars: int, draws: Draws) -> Iterator[Instant]:
        """Yield the intended instants, in their order, for a load that asks `cars` cars; see `Spans`."""
        active_s = sum(end - begin for begin, end in spans) / SECOND
        if not spans:
            return iter(())
        if self.burst is not None:
            return _burst(self.burst.of(cars), self.burst.within, spans)
        if self.rate is not None:
            elapsed = _ramp(self.rate.per_second(cars), self.rate.per_second(cars), active_s)
        elif self.ramp is not None:
            elapsed = _ramp(self.ramp.first.per_second(cars), self.ramp.last.per_second(cars), active_s)
        else:
            assert self.poisson is not None
            elapsed = _poisson(self.poisson.per_second(cars), active_s, draws)
        return _within(spans, elapsed)

    def expected(self, active_s: float, cars: int) -> float:
        """Return how many come in that time, for a random load on average."""
        if self.burst is not None:
            return self.burst.of(cars) if active_s else 0
        if self.ramp is not None:
            return (self.ramp.first.per_second(cars) + self.ramp.last.per_second(cars)) / 2 * active_s
        rate = self.rate or self.poisson
        return rate.per_second(cars) * active_s if rate is not None else 0.0


def _ramp(first: float, last: float, active_s: float) -> Iterator[float]:
    """Yield the seconds after which a rate that changes evenly from `first` to `last` has brought 0, 1, 2 … requests.

    So many have come after t seconds: first·t + slope·t²/2.
    """
    slope = (last - first) / active_s
    for n in range(math.ceil((first + last) / 2 * active_s - 1e-9)):
        root = math.sqrt(max(0.0, first * first + 2.0 * slope * n))
        yield 2.0 * n / (first + root) if n else 0.0


def _poisson(rate: float, active_s: float, draws: Draws) -> Iterator[float]:
    elapsed = draws.exponential(1.0 / rate)
    while elapsed < active_s:
        yield elapsed
        elapsed += draws.exponential(1.0 / rate)


def _burst(count: int, within: Duration, spans: Spans) -> Iterator[Instant]:
    """Yield the instants of a burst, which comes once: at the beginning of the first span, and cut off by its end."""
    begin, end = spans[0]
    for n in range(count):
        at = begin + within * n // count
        if at >= end:
            return
        yield at


def _within(spans: Spans, elapsed: Iterator[float]) -> Iterator[Instant]:
    """Turn seconds of active time, in their order, into instants."""
    left = iter(spans)
    begin, end = next(left)
    passed_us = 0
    for seconds in elapsed:
        us = int(seconds * SECOND)
        while us - passed_us >= end - begin:
            passed_us += end - begin
            following = next(left, None)
            if following is None:
                return
            begin, end = following
        yield begin + us - passed_us
