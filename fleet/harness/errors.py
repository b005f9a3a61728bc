"""Errors of a test with cars: an expectation that failed, with the car's story, and mistakes in the test itself."""

from __future__ import annotations

from fleet.errors import FleetError, UsageError


class ExpectationFailed(FleetError, AssertionError):
    """Something that was expected did not happen, or something happened that was not; tells what the car did last."""


class ForgottenAwait(UsageError):
    """A step of a test was called and not awaited: it has done nothing."""


class InvariantBroken(FleetError, AssertionError):
    """A rule that must hold in every run does not: the journal of this test breaks it."""
