"""Values that a scenario leaves to chance: from a list or a range, distances, which S-PIN users give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self, get_args

from fleet.errors import nearest_hint
from fleet.kernel.draws import Draws
from fleet.scenario.scalars import Distance, Duration, Misread, Readable, Share, is_number, shown
from fleet.wire.privacy import PrivacyMode

_SPINS: Final = ("right", "wrong", "none", "new", "token")

Plain = str | int | float | bool
Items = list[Any]
"""A list of tables, written out: the value of a parameter that is one."""


@dataclass(frozen=True, slots=True)
class Values(Readable):
    """Where the values of a command's parameter come from: one of `choices`, or evenly between two numbers.

    A list of tables, and an empty list, is itself the value. In a table `at` is a destination, whose position takes its place.
    """

    expected: ClassVar[str] = "a value, a list to choose from, a range {from: …, to: …}, or a list of tables"

    choices: tuple[Plain | Items, ...] = ()
    low: float | None = None
    high: float | None = None

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `flash`, `[10, 30, 60]`, `{from: 5, to: 15}` or `[{name: home, at: home}]`."""
        if isinstance(raw, list):
            if all(isinstance(item, dict) for item in raw):
                return cls(choices=(raw,))
            for index, item in enumerate(raw):
                _plain(item, index)
            return cls(choices=tuple(raw))
        if isinstance(raw, dict):
            low, high = ends(raw)
            for key, end in (("from", low), ("to", high)):
                if not is_number(end):
                    raise Misread(f"a number is expected, not {shown(end)}", key)
            if low > high:
                raise Misread(f"the range ends at {shown(high)}, below its start {shown(low)}", "to")
            return cls(low=low, high=high)
        return cls(choices=(_plain(raw),))

    def samples(self) -> tuple[Plain | Items, ...]:
        """Return the values that stand for all: every choice, or both ends of the range."""
        return self.choices if self.low is None or self.high is None else (self.low, self.high)

    def draw(self, draws: Draws) -> Plain | Items:
        """Draw one; whole ends give whole numbers, both ends included."""
        if self.low is None or self.high is None:
            return draws.choice(self.choices)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return draws.integer(self.low, self.high)
        return draws.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Given(Readable):
    """Plain data by name, as it is: nothing in it is drawn."""

    expected: ClassVar[str] = "names with values, such as {partner: north}"

    values: dict[str, Any]

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `{partner: north, waves: [0.1, 1.0]}`."""
        if not isinstance(raw, dict):
            raise Misread(f"{cls.expected} are expected, not {shown(raw)}")
        return cls(values=raw)


@dataclass(frozen=True, slots=True)
class Distances(Readable):
    """A distance in metres, or evenly between two."""

    expected: ClassVar[str] = "a distance such as '400 m', or a range {from: 0 m, to: 900 m}"

    low_m: Distance
    high_m: Distance

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `400 m` or `{from: 0 m, to: 900 m}`."""
        if not isinstance(raw, dict):
            exact = Distance.parse(raw)
            return cls(low_m=exact, high_m=exact)
        found = []
        for key, end in zip(("from", "to"), ends(raw), strict=True):
            try:
                found.append(Distance.parse(end))
            except Misread as error:
                raise Misread(str(error), key, hint=error.hint) from None
        if found[0] > found[1]:
            raise Misread(f"the range ends at {found[1]}, below its start {found[0]}", "to")
        return cls(low_m=found[0], high_m=found[1])

    def draw_m(self, draws: Draws) -> float:
        """Draw a distance in metres."""
        return draws.uniform(self.low_m, self.high_m)


@dataclass(frozen=True, slots=True)
class Durations(Readable):
    """A length of time, or evenly between two."""

    expected: ClassVar[str] = "a duration such as '90 days', or a range {from: 0 days, to: 300 days}"

    low: Duration
    high: Duration

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `90 days` or `{from: 0 days, to: 300 days}`."""
        if not isinstance(raw, dict):
            exact = Duration.parse(raw)
            return cls(low=exact, high=exact)
        found = []
        for key, end in zip(("from", "to"), ends(raw), strict=True):
            try:
                found.append(Duration.parse(end))
            except Misread as error:
                raise Misread(str(error), key, hint=error.hint) from None
        if found[0] > found[1]:
            raise Misread(f"the range ends at {found[1]}, below its start {found[0]}", "to")
        return cls(low=found[0], high=found[1])

    def draw(self, draws: Draws) -> int:
        """Draw one, in µs."""
        return round(draws.uniform(self.low, self.high))


@dataclass(frozen=True, slots=True)
class SpinMix(Readable):
    """Shares of users, together the whole: they give the right S-PIN, a wrong one or none, set a `new` one and give it, or give
    the token of the last right one.
    """

    expected: ClassVar[str] = "right, wrong, none, new or token, or shares such as {right: 95 %, wrong: 5 %}"

    right: float = 1.0
    wrong: float = 0.0
    none: float = 0.0
    new: float = 0.0
    token: float = 0.0

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `right` or `{right: 95 %, wrong: 3 %, none: 2 %}`."""
        if isinstance(raw, dict):
            shares = dict.fromkeys(_SPINS, 0.0)
            for key, value in raw.items():
                if key not in shares:
                    raise Misread(f"unknown key {shown(key)}: {cls.expected} is expected", key)
                try:
                    shares[key] = float(Share.parse(value))
                except Misread as error:
                    raise Misread(str(error), key, hint=error.hint) from None
            if abs(sum(shares.values()) - 1) > 1e-9:
                raise Misread(f"the shares add up to {sum(shares.values()) * 100:g} %: 100 % is expected")
            return cls(**shares)
        if raw not in _SPINS:
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        return cls(**{"right": 0.0, str(raw): 1.0})

    def draw(self, draws: Draws) -> str:
        """Draw `right`, `wrong`, `none`, `new` or `token`."""
        return _SPINS[draws.weighted((self.right, self.wrong, self.none, self.new, self.token))]


@dataclass(frozen=True, slots=True)
class PrivacyMix(Readable):
    """Settings of the privacy switches of a fleet's cars: shares of the modes, together the whole."""

    expected: ClassVar[str] = f"one of {', '.join(get_args(PrivacyMode))}, or shares of them"

    shares: dict[PrivacyMode, float]

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `offline` or `{online_with_location: 80 %, offline: 20 %}`."""
        shares: dict[PrivacyMode, float] = {}
        for key, value in (raw if isinstance(raw, dict) else {str(raw): "100 %"}).items():
            mode = next((mode for mode in get_args(PrivacyMode) if mode == key), None)
            at = (key,) if isinstance(raw, dict) else ()
            if mode is None:
                hint = nearest_hint(str(key), get_args(PrivacyMode))
                raise Misread(f"{cls.expected} is expected, not {shown(key)}", *at, hint=hint)
            try:
                shares[mode] = float(Share.parse(value))
            except Misread as error:
                raise Misread(str(error), *at, hint=error.hint) from None
        if abs(sum(shares.values()) - 1) > 1e-9:
            raise Misread(f"the shares add up to {sum(shares.values()) * 100:g} %: 100 % is expected")
        return cls(shares=shares)

    def draw(self, draws: Draws) -> PrivacyMode:
        """Draw one."""
        modes = list(self.shares)
        return modes[draws.weighted(tuple(self.shares.values()))]


def _plain(raw: object, *at: int) -> Plain:
    if not isinstance(raw, str | int | float | bool):
        raise Misread(f"{Values.expected} is expected, not {shown(raw)}", *at)
    return raw


def ends(raw: dict[Any, Any]) -> tuple[Any, Any]:
    """Return both ends of a range {from: …, to: …}; raises Misread for another key or a missing one."""
    for key in raw:
        if key not in ("from", "to"):
            raise Misread(f"unknown key {shown(key)}: a range has 'from' and 'to'", key)
    for key in ("from", "to"):
        if key not in raw:
            raise Misread(f"the range lacks {key!r}")
    return raw["from"], raw["to"]
