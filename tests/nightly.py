"""How much a test draws: little in every run, much more in `make test-nightly`."""

from __future__ import annotations

import os
from typing import Final

NIGHTLY: Final = os.environ.get("FLEET_NIGHTLY", "") not in {"", "0"}
"""Whether this is the long run of `make test-nightly`."""


def draws(ordinary: int, nightly: int) -> int:
    """Return how many examples a test draws in this run; the test is marked `random`."""
    return nightly if NIGHTLY else ordinary
