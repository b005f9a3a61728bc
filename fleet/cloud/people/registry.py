"""The parts of the rules about people: one line for each chapter."""

from __future__ import annotations

from typing import Final

from fleet.cloud.people.accounts import Accounts
from fleet.cloud.people.part import Part

PARTS: Final[tuple[type[Part], ...]] = (Accounts,)
"""In the order in which they are given an event that several of them want, and woken."""
