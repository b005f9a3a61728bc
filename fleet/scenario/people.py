"""The element `people` of a scenario: who uses the cars, drawn for many of them or named one by one.

Without it each car has a verified primary user with everything active, as before. What is drawn has draws of its own, so no car's
day moves.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fleet.scenario.actions import Selection
from fleet.scenario.drawn import Durations, PrivacyMix
from fleet.scenario.element import Element
from fleet.scenario.persons import PersonRole
from fleet.scenario.scalars import Duration, Share

LANGUAGES: Final = ("en", "de", "es", "fr", "it", "cs", "sv")
"""Languages of accounts."""


class Household(Element, frozen=True, kw_only=True):
    """The people of the chosen cars, drawn for each car. `cars` without a choice are all that none before has taken.

    Of cars that nobody has `enrolled` the primary user is an owner, `registered` or without an account as yet. Families have an
    additional user and a guest; of the other cars shares have an `additional` user or a guest. Shares `unverified` are of primary
    and additional users. `licence_age` is the time since the registration of an enrolled car. `privacy` is the mode chosen in the
    app, None that of the car. `apps` is the share of primary users whose app is logged in.
    """

    cars: Selection = Selection()
    enrolled: Share = Share(1)
    registered: Share = Share(1)
    families: Share = Share(0)
    additional: Share = Share(0)
    guests: Share = Share(0)
    buyers: Share = Share(0)
    unverified: Share = Share(0)
    languages: dict[str, float] = msgspec.field(default_factory=lambda: {"en": 1.0})
    licence_age: Durations = Durations(Duration(0), Duration(0))
    privacy: PrivacyMix | None = None
    apps: Share = Share(0)


class NamedPerson(Element, frozen=True, kw_only=True):
    """Somebody whom steps call by a name, with a `role` on each of `cars`, or on none.

    `verified` by a dealer; `registered` false has no account as yet; with an `app` there is a session. `allowed` are the services
    that the primary user has allowed to an additional one, None what the role may. `country` None is that of the region.
    """

    name: str
    role: PersonRole | None = None
    cars: Selection | None = None
    language: str = "en"
    country: str | None = None
    verified: bool = True
    registered: bool = True
    app: bool = False
    allowed: tuple[str, ...] | None = None


class People(Element, frozen=True, kw_only=True):
    """All people of a scenario. Cars of neither list are as they would be without it."""

    drawn: tuple[Household, ...] = ()
    persons: tuple[NamedPerson, ...] = ()
