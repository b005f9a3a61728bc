"""Expectations on the report of a scenario, on a stage's figures, or on the figures at every look while it runs.

`lost == 0`, `commands.succeeded / commands.total >= 90 %`, `always connected / cars >= 50 %`. An expectation is checked
against the known paths when the file is read, so that a misspelt one cannot pass by being absent. Knows the names in a
report, not who writes it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Self, get_args

import msgspec

from fleet.errors import nearest_hint
from fleet.scenario.conditions import FIGURES
from fleet.scenario.scalars import Misread, Readable, shown
from fleet.transport.faults import FAULTS

OF_PEOPLE: Final = ("services", "enrolments")
"""Counts of what people have done, in scenarios that have some."""
COUNTS: Final = (
    "cars", "connected", "created", "published", "acknowledged", "stored", "in_outbox", "dropped", "quarantined",
    "refused", "lost", "duplicates", "repeated", "statuses_engine_off", "statuses_asked",
    "rows_missing", "rows_twice", "stored_of_others", "erased",
    "commands.total", "commands.succeeded", "commands.rejected", "commands.failed", "commands.expired", "commands.unknown",
    "events", "notices", "replies", "replies_failed", "mails",
    *(f"{what}.{figure}" for what in OF_PEOPLE for figure in ("total", "succeeded", "rejected", "failed")),
    "people.accounts", "people.enrolled",
)  # fmt: skip
"""Counts of a report; one that a report leaves out is 0, and one that is a table is the sum of it."""

COUNTS_BY_REASON: Final = tuple(f"{what}.{state}." for what in ("commands", *OF_PEOPLE) for state in ("rejected", "failed"))
"""Followed by a reason: a count that is absent while the reason never came."""

COUNTS_BY_NAME: Final = ("events.", "notices.", "replies.", "replies_failed.", "mails.")
"""Followed by the name of an event, the kind of a notice or mail, the name of a car's request, or why one got an error."""

COUNTS_OF_FAULTS: Final = tuple(
    f"faults.{kind}.{what}" for kind in FAULTS for what in ("connections", "packets", "delayed", "bytes", "pieces", "too_large")
)
"""Counts of faults of the network, by kind."""

MEASURES: Final = (
    *(
        f"latency_ms.{kind}.{figure}"
        for kind in ("publish_to_ack", "publish_to_stored", "command_round_trip", "command_round_trip_waking")
        for figure in ("p50", "p90", "p99", "p999", "max")
    ),
    "generator.cpu_percent",
    "generator.cpu_percent_peak",
    "generator.cpu_percent_late",
    "generator.loop_lag_ms_p99",
    "generator.loop_lag_ms_max",
    "generator.behind_ms_p99",
    "generator.late_sends",
    "generator.late_percent",
    "generator.memory_mb_peak",
)
"""Figures that exist only when something was measured: absent is not 0."""

STAGE_COUNTS: Final = (
    "created", "published", "acknowledged", "refused", "dropped", "repeated",
    "commands.total", "commands.succeeded", "commands.rejected", "commands.failed", "commands.expired", "commands.unknown",
)  # fmt: skip
_STAGE_REASONS: Final = ("commands.rejected.", "commands.failed.")
STAGE_LATENCIES: Final = ("publish_to_ack", "command_round_trip", "command_round_trip_waking")
"""Figures of one stage: counts and latencies."""

LIVE: Final = (*FIGURES, "stored", "quarantined", "duplicates")
"""Figures that are known while the run goes on: of cars and users, and of the store."""

OF_BACKEND: Final = frozenset({
    "stored", "quarantined", "lost", "duplicates", "statuses_engine_off", "statuses_asked",
    "events", "notices", "replies", "replies_failed", "mails", "people.accounts", "people.enrolled",
})  # fmt: skip
OF_BACKEND_BY_NAME: Final = (*COUNTS_BY_NAME, "latency_ms.publish_to_stored.")
"""Figures that only a back end of ours knows."""
OF_CONFIRMATIONS: Final = frozenset({"stored", "lost", "duplicates"})
OF_CONFIRMATIONS_BY_NAME: Final = ("latency_ms.publish_to_stored.",)
"""Those of them that a back end's confirmations tell, too."""
OF_DESK: Final = ("commands.", "services.", "enrolments.", "latency_ms.command_round_trip")
"""Figures that need a desk that answers."""

Mode = Literal["always", "eventually"]
_MODES: Final[tuple[Mode, ...]] = get_args(Mode)
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_PATH: Final = r"[A-Za-z_][\w.]*"
_SHAPE: Final = re.compile(
    rf"(?:(always|eventually)\s+)?({_PATH})(?:\s*/\s*({_PATH}))?\s*(==|!=|<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)\s*(%|[A-Za-z]+)?"
)
_PATHS: Final = (*COUNTS, *COUNTS_OF_FAULTS, *MEASURES)


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An expectation held against a report. `value` is None when there is none, and `note` then says why."""

    text: str
    value: float | None
    passed: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Expectation(Readable):
    """`path [/ divisor] comparison bound`; times are milliseconds, shares parts of 1.

    `always` holds at every look while the run, or its stage, goes on, `eventually` at one of them at least.
    """

    expected: ClassVar[str] = "an expectation such as 'lost == 0' or 'commands.succeeded / commands.total >= 90 %'"

    text: str
    path: str
    divisor: str | None
    comparison: str
    bound: float
    mode: Mode | None = None

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read the text of an expectation; raises Misread, with the nearest path for an unknown one."""
        match = _SHAPE.fullmatch(raw.strip()) if isinstance(raw, str) else None
        if match is None:
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        word, path, divisor, comparison, number, unit = match.groups()
        for named in (path, divisor):
            if named is not None and word is not None and named not in LIVE:
                raise Misread(f"while the run goes on nobody knows {named!r}", hint=nearest_hint(named, LIVE))
            if named is not None and word is None:
                _check_path(named)
        bound = round(float(number) * _scale(unit, path, divisor), 12)  # 35 % is what 7 / 20 is, to the last digit
        mode = next((known for known in _MODES if known == word), None)
        return cls(text=str(raw).strip(), path=path, divisor=divisor, comparison=comparison, bound=bound, mode=mode)

    def is_seen_by(self, *, backend: bool, desk: bool, confirms: bool = False) -> bool:
        """Tell whether its figures are known without a back end of ours, or without a desk that answers.

        `confirms`: another back end tells what it has stored.
        """
        named = [path for path in (self.path, self.divisor) if path is not None]
        if not backend and any(_is_of_backend(path) and not (confirms and _is_confirmed(path)) for path in named):
            return False
        return desk or not any(path.startswith(OF_DESK) for path in named)

    def unknown_in_stage(self) -> str | None:
        """Return what it names that is not known of one stage, or None."""
        if self.mode is not None:
            return None
        for path in (self.path, self.divisor):
            kind = path.split(".")[1] if path is not None and path.startswith("latency_ms.") else None
            is_known = path is None or path in STAGE_COUNTS or kind in STAGE_LATENCIES or path.startswith(_STAGE_REASONS)
            if not is_known:
                return path
        return None

    def reasons(self) -> list[str]:
        """Return the reasons it names, such as `too_far`."""
        paths = [path for path in (self.path, self.divisor) if path is not None]
        return [path.removeprefix(prefix) for path in paths for prefix in COUNTS_BY_REASON if path.startswith(prefix)]

    def evaluate(self, report: Mapping[str, Any]) -> Outcome:
        """Hold the expectation against a report as the contract has it; what was not measured does not pass."""
        value, note = self._figure(report)
        return Outcome(text=self.text, value=value, passed=value is not None and self.holds(value), note=note)

    def _figure(self, report: Mapping[str, Any]) -> tuple[float | None, str]:
        """Return what is compared with the bound, or None and why there is none."""
        value = _value(report, self.path)
        if value is None:
            return None, f"{self.path}: nothing was measured"
        if self.divisor is None:
            return value, ""
        divisor = _value(report, self.divisor)
        if not divisor:
            return None, f"{self.divisor}: {'nothing was measured' if divisor is None else 'it is 0, and nothing divides by it'}"
        return value / divisor, ""

    def holds(self, value: float) -> bool:
        """Tell whether a value meets the bound."""
        return _OPERATORS[self.comparison](value, self.bound)

    def look(self, figures: Mapping[str, float]) -> float | None:
        """Return its figure at one look at a running scenario, or None while there is none."""
        whole = 1.0 if self.divisor is None else figures.get(self.divisor)
        return None if self.path not in figures or not whole else figures[self.path] / whole

    def __str__(self) -> str:
        return self.text


class ExpectationWatch:
    """An `always` or `eventually` over the looks at a running scenario; keeps the value that decides."""

    def __init__(self, expectation: Expectation) -> None:
        """Take an expectation that has a mode."""
        assert expectation.mode is not None
        self._expectation = expectation
        self._looks = 0
        self._value: float | None = None
        self._decided_at: str | None = None

    def look(self, figures: Mapping[str, float], at: str) -> None:
        """Take the figures at one instant; once it is decided there is nothing more to see."""
        value = self._expectation.look(figures)
        if value is None or self._decided_at is not None:
            return
        self._looks += 1
        if self._value is None or not self._is_nearer_to_the_bound(self._value, value):
            self._value = value
        if self._expectation.holds(value) is (self._expectation.mode == "eventually"):
            self._value, self._decided_at = value, at

    def _is_nearer_to_the_bound(self, kept: float, value: float) -> bool:
        """Tell whether the kept value says more: the one nearest to being decided."""
        return abs(kept - self._expectation.bound) <= abs(value - self._expectation.bound)

    def outcome(self) -> Outcome:
        """Return whether it held, with the value that decided it, or the one that came nearest to doing so."""
        expectation = self._expectation
        wants_one = expectation.mode == "eventually"
        if not self._looks:
            return Outcome(text=expectation.text, value=None, passed=False, note="there was no look at it")
        if self._decided_at is not None:
            note = f"{'first held' if wants_one else 'first failed'} at {self._decided_at}"
        else:
            note = f"{'never' if wants_one else 'always'} in {self._looks} looks; this came nearest"
        passed = (self._decided_at is not None) is wants_one
        return Outcome(text=expectation.text, value=self._value, passed=passed, note=note)


def _check_path(path: str) -> None:
    if path in _PATHS:
        return
    prefixes = (*COUNTS_BY_REASON, *COUNTS_BY_NAME)
    if any(path.startswith(prefix) and re.fullmatch("[a-z0-9_]+", path.removeprefix(prefix)) for prefix in prefixes):
        return
    known = (*_PATHS, *(f"{prefix}REASON" for prefix in COUNTS_BY_REASON), *(f"{prefix}NAME" for prefix in COUNTS_BY_NAME))
    raise Misread(f"the report has no {path!r}", hint=nearest_hint(path, known))


def _scale(unit: str | None, path: str, divisor: str | None) -> float:
    """Return what one of `unit` is in the unit of the path."""
    if unit is None:
        return 1.0
    if unit == "%" and (divisor is not None or path.endswith("_percent")):
        return 0.01 if divisor is not None else 1.0
    if unit in ("ms", "s") and divisor is None and "_ms" in path:
        return 1000.0 if unit == "s" else 1.0
    allowed = "'%' or no unit" if divisor is not None or path.endswith("_percent") else "'ms', 's' or no unit"
    if divisor is None and path in COUNTS:
        allowed = "no unit"
    raise Misread(f"{unit!r} is not a unit of {path if divisor is None else 'a ratio'}: {allowed} is expected")


def _value(report: Mapping[str, Any], path: str) -> float | None:
    """Return the figure at `path`: counts that are absent are 0, measures that are absent or null None."""
    found: Any = report
    for key in path.split("."):
        if isinstance(found, Mapping) and key in found and found[key] is None:
            return None  # told not to have been looked at
        found = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping):
        return sum(found.values())
    if found is None:
        return None if path in MEASURES else 0
    return found if isinstance(found, int | float) else None


def _is_of_backend(path: str) -> bool:
    return path in OF_BACKEND or path.startswith(OF_BACKEND_BY_NAME)


def _is_confirmed(path: str) -> bool:
    return path in OF_CONFIRMATIONS or path.startswith(OF_CONFIRMATIONS_BY_NAME)
