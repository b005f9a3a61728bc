"""Whether a car's online requests are answered where role, licence and switches of its users permit, and refused only elsewhere.

Source: roles, licences and privacy of the domain description. Of a car that nobody has enrolled or registered nothing is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fleet.checks.check import CheckedRule, Handlers
from fleet.checks.command_rule import AnswersJudged, Verdict
from fleet.checks.people import PRIMARY, Data, KnownPeople
from fleet.checks.people_rights import licensed
from fleet.checks.privacy import OPEN, SILENT
from fleet.kernel.instants import Instant
from fleet.observe.journal import Begin, Input, Output

CENTRE: Final = "centre"
LOCATES: Final = frozenset(
    {"traffic", "route_calculation", "petrol_places", "charging_places", "parking_places", "map_update", "voice_query"}
)
"""Requests that tell where the car is."""
ONLINE: Final = LOCATES | {"personalisation", "internet_radio"}
"""Requests that need a licence for online services."""
NOT_FOR_GUESTS: Final = frozenset({"personalisation", "internet_radio", "store_purchase"})
FOR_THE_PRIMARY: Final = frozenset({"store_purchase"})
JUDGED: Final = ONLINE | FOR_THE_PRIMARY
REMEMBERED: Final = 4_000


class PeopleRequests(AnswersJudged):
    """Judged by who is named in a request: an account of the car's, the primary user, or anybody else, who is a guest."""

    name = "people's requests"
    rule = "online requests are answered where role, licence and switches permit, and refused for them only where they do not"
    looks_at = "requests of cars that were enrolled or registered"
    remembers = True
    ROLE: Final = CheckedRule("role", "only for users whose role permits it", frozenset({"insufficient_rights"}))
    LICENCE: Final = CheckedRule(
        "licence",
        "only while a licence for online services is active",
        frozenset({"licence_missing", "licence_inactive", "licence_expired"}),
    )
    SERVICE: Final = CheckedRule("service", "only while it is not switched off in the app", frozenset({"service_deactivated"}))
    PLACE: Final = CheckedRule(
        "place", "what tells where the car is only while the mode in the app allows that", frozenset({"privacy_location"})
    )
    rules = (ROLE, LICENCE, SERVICE, PLACE)

    def __init__(self, begin: Begin, people: KnownPeople) -> None:
        super().__init__(begin)
        self._people = people
        self._asked: dict[tuple[str, str], tuple[Data, Instant]] = {}

    def handlers(self) -> Handlers:
        return {("in", "Request"): self._given, ("out", "SendReply"): self._replied}

    def _given(self, record: Input, _line: int) -> None:
        request = record.data
        if record.m != CENTRE or request["name"] not in JUDGED or self._people.managed(request["vin"]) is None:
            return
        self._asked[request["vin"], request["id"]] = (request, record.now or record.t)
        if len(self._asked) > REMEMBERED:
            del self._asked[next(iter(self._asked))]

    def _replied(self, record: Output, line: int) -> None:
        vin, reply = record.data["vin"], record.data["reply"]
        known = self._asked.pop((vin, reply["id"]), None)
        car = self._people.managed(vin)
        if known is None or car is None:
            return
        self.looked_at += 1
        error = reply.get("error")
        answer = {
            "command_id": reply["id"], "vin": vin, "name": reply["name"],
            "state": "accepted" if error is None else "rejected", "reason": error,
        }  # fmt: skip
        for verdict in self._judge(car, *known):
            self.compare(verdict, answer, line)

    def _judge(self, car: Data, request: Data, now: Instant) -> Iterator[Verdict]:
        name, role = request["name"], _role(car, request.get("data", {}).get("user", PRIMARY))
        permits = role == PRIMARY or (name not in FOR_THE_PRIMARY and (role != "guest" or name not in NOT_FOR_GUESTS))
        is_at_home = self._people.primary(car["vin"]) is not None
        yield Verdict(
            self.ROLE, permits and is_at_home, f"who asks is {role}, and the car has {'a' if is_at_home else 'no'} primary user"
        )
        if name in ONLINE:
            yield Verdict(self.LICENCE, *licensed(car, "online", now))
        switched = self._people.switches(car["vin"])
        yield Verdict(self.SERVICE, name not in switched.off, f"in the app off are: {', '.join(sorted(switched.off)) or 'none'}")
        if name in LOCATES and switched.mode not in SILENT:
            yield Verdict(self.PLACE, switched.mode == OPEN, f"the mode in the app is {switched.mode}")


def _role(car: Data, named: Any) -> str:
    """Return the role of somebody whom a car names: nobody whom it knows is a guest."""
    users = car.get("users", {})
    if named == PRIMARY:
        return PRIMARY
    user = users.get(named) if isinstance(named, str) else None
    return "guest" if user is None else str(user["role"])
