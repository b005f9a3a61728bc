"""The conformance kit in a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import MappingError, UsageError
from fleet.harness import ExpectationFailed, check_dialect
from tests.dialects.test_spec import ACME
from tests.runtime.test_dialect_kit import DeclaresTrips, LosesTrips

pytestmark = pytest.mark.xdist_group("kit")


def test_what_conforms_is_reported() -> None:
    for dialect in (str(ACME), DeclaresTrips):
        report = check_dialect(dialect)
        assert report.holds
        assert {check.name for check in report.checks} == {"messages", "topics", "commands", "account"}


async def test_what_does_not_fails_with_all_that_is_wrong() -> None:
    """In a coroutine, too: the kit's cars have an event loop of their own."""
    with pytest.raises(ExpectationFailed, match="event trip is not sent, and not declared in leaves_out"):
        check_dialect(LosesTrips)


def test_what_cannot_be_opened_is_a_usage_error(tmp_path: Path) -> None:
    class Inner(DeclaresTrips):
        """A class that nobody can import."""

    with pytest.raises(UsageError, match="no class at the top of its module"):
        check_dialect(Inner)
    (tmp_path / "m.yaml").write_text("mapping: m\n", encoding="utf-8")
    with pytest.raises(MappingError, match=r"m\.yaml:1:1"):
        check_dialect(str(tmp_path / "m.yaml"))
