"""What a scenario expects of its report: `lost == 0`, `commands.succeeded / commands.total >= 90 %`.

An expectation is checked against the known paths when the file is read, so that a misspelt one cannot pass
by being absent. Knows the names in a report, not who writes it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import msgspec

from fleet.errors import nearest_hint
from fleet.scenario.scalars import Misread, Readable, shown

COUNTS: Final = (
    "cars", "connected", "created", "published", "acknowledged", "stored", "in_outbox", "dropped", "quarantined",
    "refused", "lost", "duplicates", "statuses_engine_off", "statuses_asked",
    "commands.total", "commands.succeeded", "commands.rejected", "commands.failed", "commands.expired", "commands.unknown",
)  # fmt: skip
"""Counts of a report; one that a report leaves out is 0, and one that is a table is the sum of it."""

COUNTS_BY_REASON: Final = ("commands.rejected.", "commands.failed.")
"""Followed by a reason: a count that is absent while the reason never came."""

MEASURES: Final = (
    *(
        f"latency_ms.{kind}.{figure}"
        for kind in ("publish_to_ack", "publish_to_stored", "command_round_trip")
        for figure in ("p50", "p90", "p99", "p999", "max")
    ),
    "generator.cpu_percent",
    "generator.cpu_percent_peak",
    "generator.loop_lag_ms_p99",
    "generator.loop_lag_ms_max",
    "generator.behind_ms_p99",
    "generator.late_sends",
    "generator.late_percent",
    "generator.memory_mb_peak",
)
"""Figures that exist only when something was measured: absent is not 0."""

_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_PATH: Final = r"[A-Za-z_][\w.]*"
_SHAPE: Final = re.compile(rf"({_PATH})(?:\s*/\s*({_PATH}))?\s*(==|!=|<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)\s*(%|[A-Za-z]+)?")
_PATHS: Final = (*COUNTS, *MEASURES)


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An expectation held against a report. `value` is None when there is none, and `note` then says why."""

    text: str
    value: float | None
    passed: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Expectation(Readable):
    """`path [/ divisor] comparison bound`; times are milliseconds, shares parts of 1."""

    expected: ClassVar[str] = "an expectation such as 'lost == 0' or 'commands.succeeded / commands.total >= 90 %'"

    text: str
    path: str
    divisor: str | None
    comparison: str
    bound: float

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read the text of an expectation; raises Misread, with the nearest path for an unknown one."""
        match = _SHAPE.fullmatch(raw.strip()) if isinstance(raw, str) else None
        if match is None:
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}")
        path, divisor, comparison, number, unit = match.groups()
        for named in (path, divisor):
            if named is not None:
                _check_path(named)
        bound = float(number) * _scale(unit, path, divisor)
        return cls(text=str(raw).strip(), path=path, divisor=divisor, comparison=comparison, bound=bound)

    def reasons(self) -> list[str]:
        """Return the reasons it names, such as `too_far`."""
        paths = [path for path in (self.path, self.divisor) if path is not None]
        return [path.removeprefix(prefix) for path in paths for prefix in COUNTS_BY_REASON if path.startswith(prefix)]

    def evaluate(self, report: Mapping[str, Any]) -> Outcome:
        """Hold the expectation against a report as the contract has it; what was not measured does not pass."""
        value = _value(report, self.path)
        if value is None:
            return Outcome(text=self.text, value=None, passed=False, note=f"{self.path}: nothing was measured")
        if self.divisor is not None:
            divisor = _value(report, self.divisor)
            if not divisor:
                why = "nothing was measured" if divisor is None else "it is 0, and nothing divides by it"
                return Outcome(text=self.text, value=None, passed=False, note=f"{self.divisor}: {why}")
            value = value / divisor
        return Outcome(text=self.text, value=value, passed=_OPERATORS[self.comparison](value, self.bound))

    def __str__(self) -> str:
        return self.text


def _check_path(path: str) -> None:
    if path in _PATHS:
        return
    if any(path.startswith(prefix) and re.fullmatch("[a-z_]+", path.removeprefix(prefix)) for prefix in COUNTS_BY_REASON):
        return
    raise Misread(f"the report has no {path!r}", hint=nearest_hint(path, (*_PATHS, *(f"{p}REASON" for p in COUNTS_BY_REASON))))


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
