"""Whether the desk sends what a person may do with a car, and refuses only what that person may not.

Source: roles, licences and who may send which command of the domain description. A car that nobody has enrolled or registered
belongs to a verified primary user with everything active, of whom nothing is to be judged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from fleet.checks.check import CheckedRule
from fleet.checks.command_rule import DeskRule, Verdict
from fleet.checks.people import BACK_END, PRIMARY, Data, KnownPeople
from fleet.kernel.instants import Instant
from fleet.observe.journal import Begin

FOR_ALL_BUT_GUESTS: Final = frozenset({"honk", "refresh", "route_import"})
"""What an additional user may do unless the primary user has said what."""
IN_G3: Final = FOR_ALL_BUT_GUESTS | {
    "heater", "ventilation", "ventilation_timers", "climatisation",
    "charging", "charging_settings", "charging_locations", "departure_timers",
}  # fmt: skip
"""The same of the third generation's secondary user."""
FOR_THE_PRIMARY: Final = frozenset({"reset", "system_update"})
"""What the primary user cannot allow to others: users, and what the car is."""
OF_THE_BACK_END: Final = frozenset({"enrol_user", "show_notice"})
"""What the back end alone wants of a car: nobody's right."""
IDENTIFIED: Final = frozenset({"lock", "unlock"})
LICENSED: Final = {"route_import": "online", "system_update": "safety"}
"""The package of a command; that of all others is remote access."""
LEGAL: Final = frozenset({"reset"})
"""Needs no licence."""


class PeopleRights(DeskRule):
    """Judged where a command is sent or refused as soon as it is asked for; one that waits for its S-PIN was judged before."""

    name = "people's rights"
    rule = (
        "the desk sends what the role, a dealer's identification and a licence permit, and refuses for them only what they do not"
    )
    looks_at = "commands for cars that were enrolled or registered"
    remembers = True
    late = True
    ROLE: Final = CheckedRule(
        "role", "only for users of the car whose role, or the primary user, permits it", frozenset({"insufficient_rights"})
    )
    IDENTITY: Final = CheckedRule(
        "identity", "lock and unlock only for a user whom a dealer has identified", frozenset({"user_not_verified"})
    )
    LICENCE: Final = CheckedRule(
        "licence",
        "only while a licence for it is active; what the law requires always",
        frozenset({"licence_missing", "licence_inactive", "licence_expired"}),
    )
    rules = (ROLE, IDENTITY, LICENCE)

    def __init__(self, begin: Begin, people: KnownPeople) -> None:
        super().__init__(begin)
        self._people = people

    def judge(self, command: Mapping[str, Any], asked: Mapping[str, Any], now: Instant) -> Iterator[Verdict]:
        vin, name, who = command["vin"], command["name"], command["user"]
        car = self._people.managed(vin)
        if car is None or who == BACK_END:
            return
        if asked.get("session_ended"):
            yield Verdict(self.ROLE, permits=False, why="the session is over")
            return
        user = car.get("users", {}).get(who)
        if user is None:
            yield Verdict(self.ROLE, permits=False, why=f"{who} is no user of {vin}")
            return
        by_role = IN_G3 if car.get("generation") == "G3" else FOR_ALL_BUT_GUESTS
        allowed = by_role if user.get("allowed") is None else user["allowed"]
        oneself = name == "reset" and (asked["request"].get("parameters") or {}).get("user") == who
        yield Verdict(
            self.ROLE,
            _permits(user["role"], name, allowed, oneself=oneself),
            f"{who} is {user['role']}, and may {', '.join(sorted(allowed)) or '–'}",
        )
        if name in IDENTIFIED:
            known = self._people.of("account").get(who, {}).get("identified") is not None
            yield Verdict(self.IDENTITY, known, f"{who} is {'' if known else 'not '}identified")
        if name in LEGAL:
            yield Verdict(self.LICENCE, permits=True, why=f"{name} needs no licence")
        else:
            package = LICENSED.get(name, "remote")
            yield Verdict(self.LICENCE, *licensed(car, package, now))


def _permits(role: str, name: str, allowed: Collection[str], *, oneself: bool) -> bool:
    if role == PRIMARY:
        return name not in OF_THE_BACK_END
    return role == "additional" and (oneself or (name not in FOR_THE_PRIMARY and name in allowed))


def licensed(car: Data, package: str, now: Instant) -> tuple[bool, str]:
    """Tell whether one of the licences of a car opens a package now, and the fact that decides."""
    opening = [licence for licence in car.get("licences", ()) if package in licence["packages"]]
    active = [each for each in opening if each.get("state", "active") == "active" and each["begins"] <= now < each["ends"]]
    if active:
        return True, f"{active[0]['product']} is active until {active[0]['ends']}"
    return False, f"of {len(opening)} licences for {package} none is active at {now}"
