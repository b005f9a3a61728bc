"""The parts of the rules about people: one line for each chapter."""

from __future__ import annotations

from typing import Final

from fleet.cloud.people.accounts import Accounts
from fleet.cloud.people.commerce import Store
from fleet.cloud.people.enrolment import Enrolments
from fleet.cloud.people.erasure import Erasures
from fleet.cloud.people.licences import Licences
from fleet.cloud.people.part import Part
from fleet.cloud.people.privacy import Privacy
from fleet.cloud.people.seeding import Seeding
from fleet.cloud.people.users import Users

PARTS: Final[tuple[type[Part], ...]] = (
    Accounts,
    Enrolments,
    Users,
    Privacy,
    Licences,
    Store,
    Seeding,
    Erasures,
)
"""In the order in which they are given an event that several of them want, and woken."""
