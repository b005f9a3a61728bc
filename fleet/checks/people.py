"""What the back end has stored of people and their cars, as its journal shows it: the facts by which checks judge.

Facts alone: who is a user of which car since when, which licences it has, what is switched off. What follows from them, each
check says anew.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from fleet.checks.check import Handlers
from fleet.checks.privacy import OPEN
from fleet.kernel.instants import Instant
from fleet.observe.journal import Input, Output

PEOPLE: Final = "people"
"""The rule of the service centre whose notes these are."""
BACK_END: Final = "back_end"
"""Stands for the user of a command that the back end wants itself."""
PRIMARY: Final = "primary"

Data = dict[str, Any]


class Switches(NamedTuple):
    """What the users of a car have switched in the app."""

    mode: str = OPEN
    off: frozenset[str] = frozenset()


NO_SWITCHES: Final = Switches()


class KnownPeople:
    """The records of people by their kind and key, each as it was stored last."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Data]] = {}

    def handlers(self) -> Handlers:
        """Return what takes which records."""
        return {("in", "CentreStart"): self._starts, ("out", "Keep"): self._kept}

    def _starts(self, record: Input, _line: int) -> None:
        self.records = {}
        for key, value in record.data["state"].get(PEOPLE, {}).items():
            self._take(key, value)

    def _kept(self, record: Output, _line: int) -> None:
        note = record.data
        if note["module"] == PEOPLE:
            self._take(note["key"], None if note["value"] is None else msgspec.json.decode(note["value"]))

    def _take(self, key: str, value: Data | None) -> None:
        kind, _, name = key.partition("/")
        if value is None:
            self.records.get(kind, {}).pop(name, None)
        else:
            self.records.setdefault(kind, {})[name] = value

    def of(self, kind: str) -> dict[str, Data]:
        """Return the records of one kind by their keys."""
        return self.records.get(kind, {})

    def managed(self, vin: str) -> Data | None:
        """Return what is known of a car that somebody has enrolled or registered; None of another one."""
        car = self.of("car").get(vin)
        return car if car is not None and car.get("managed") else None

    def switches(self, vin: str) -> Switches:
        """Return what the users of a car have switched in the app."""
        car = self.managed(vin)
        if car is None:
            return NO_SWITCHES
        return Switches(car.get("mode", OPEN), frozenset(car.get("services_off", ())))

    def counts(self, vin: str) -> bool:
        """Tell whether something is known of a car by which people are refused: users, licences, switches of the app."""
        car = self.of("car").get(vin, {})
        return any(car.get(name) for name in ("managed", "licences", "mode", "services_off"))

    def consents(self, account: str | None, purpose: str) -> bool:
        """Tell whether somebody has given a consent, and not taken it back."""
        given = [
            each["given"] for each in self.of("account").get(account or "", {}).get("consents", ()) if each["what"] == purpose
        ]
        return bool(given and given[-1])

    def licensed(self, vin: str, package: str, now: Instant) -> bool:
        """Tell whether a licence of a car opens a package now."""
        return any(
            package in each["packages"] and each.get("state", "active") == "active" and each["begins"] <= now < each["ends"]
            for each in self.of("car").get(vin, {}).get("licences", ())
        )

    def primary(self, vin: str) -> str | None:
        """Return the account of the primary user of a car, None where there is none."""
        users = (self.managed(vin) or {}).get("users", {})
        return next((account for account, user in users.items() if user["role"] == PRIMARY), None)
