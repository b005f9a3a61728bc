"""Purchases and settings that cars keep with the back end: prices, the time of a licence, settings that come back.

Source: requests from the car to the back end, and the prices of renewals, of the domain description.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from fleet.checks.check import Check, Handlers, is_wiped
from fleet.checks.people import KnownPeople
from fleet.kernel.instants import DAY, HOUR, SECOND, Instant, format_instant
from fleet.observe.journal import Begin, Input, Output

CENTRE: Final = "centre"
PRODUCTS: Final = {
    "radio_1_year": (50, 12, "g3_radio"), "radio_2_years": (85, 24, "g3_radio"),
    "navi_1_year": (135, 12, "g3_navi"), "navi_2_years": (225, 24, "g3_navi"),
    "connect_1_year": (65, 12, "connect"), "connect_2_years": (110, 24, "connect"),
    "connect_plus_1_year": (95, 12, "connect_plus"), "connect_plus_2_years": (160, 24, "connect_plus"),
    "travel_assist_1_year": (49, 12, "travel_assist"), "charging_map_1_year": (29, 12, "charging_map"),
    "online_maintenance_1_year": (19, 12, "online_maintenance"),
    "apple_music_1_year": (0, 12, "apple_music"), "tidal_1_year": (0, 12, "tidal"),
    "data_plan_1_month": (15, 1, "data_plan"),
}  # fmt: skip
"""Price in €, months, and what the licence is for; all but those of radio and navi are ours."""
CONFIDENTIAL: Final = frozenset({"home_address", "contacts", "last_destinations"})
REMEMBERED: Final = 4_000

Data = dict[str, Any]


class PurchasesKept(Check):
    """A licence costs its price in the offer, and is active for its months, from the end of one that is active already.

    Settings that a user has saved come back when this user logs in, but for confidential ones when nobody is identified.
    """

    name = "purchases"
    rule = "what is bought has its price and its months, after what is active already; settings that were saved come back"
    looks_at = "purchases, and users who log in"
    remembers = True

    def __init__(self, begin: Begin, people: KnownPeople) -> None:
        super().__init__(begin)
        self._people = people
        self._asked: dict[tuple[str, str], tuple[Data, Instant]] = {}
        self._active: dict[tuple[str, str], Instant] = {}
        self._saved: dict[tuple[str, str], dict[str, str]] = {}

    def handlers(self) -> Handlers:
        return {
            ("in", "Request"): self._given,
            ("in", "Event"): self._event,
            ("out", "SendReply"): self._replied,
        }

    def _event(self, record: Input, _line: int) -> None:
        event = record.data
        if record.m != CENTRE or event.get("name") != "car_reset":
            return
        user = None if is_wiped(event) else event.get("data", {}).get("user")
        for key in [key for key in self._saved if key[0] == event["vin"] and user in {None, key[1]}]:
            del self._saved[key]

    def _given(self, record: Input, _line: int) -> None:
        request = record.data
        if len(self._asked) >= REMEMBERED:
            del self._asked[next(iter(self._asked))]
        if request["name"] in {"store_purchase", "personalisation"}:
            self._asked[request["vin"], request["id"]] = (request, record.now or record.t)

    def _replied(self, record: Output, line: int) -> None:
        vin, reply = record.data["vin"], record.data["reply"]
        known = self._asked.pop((vin, reply["id"]), None)
        if known is None or reply.get("error") is not None:
            return
        self.looked_at += 1
        request, now = known
        asked, told = request.get("data", {}), reply.get("data", {})
        judge = self._bought(vin, told, now) if reply["name"] == "store_purchase" else self._personal(vin, asked, told)
        for each in judge:
            self.breach(line, CENTRE, f"{reply['name']} {reply['id']}: {each}", subject=vin)

    def _bought(self, vin: str, told: Data, now: Instant) -> Iterator[str]:
        product = told["product"]
        price, months, kind = PRODUCTS.get(product, (None, 0, ""))
        if price is None:
            yield f"{product} is bought, which is not offered"
            return
        licence = product.split("_1_")[0].split("_2_")[0]
        if told["price_eur"] != price:
            yield f"{product} costs {told['price_eur']} €, expected {price}"
        car = self._people.managed(vin)
        if car is not None:
            yield from _of_licence(car, kind, told["active_until"], months, now)
            return
        begins = max(now, self._active.get((vin, licence), 0))
        self._active[vin, licence] = told["active_until"]
        expected = _months_later(begins, months)
        if abs(told["active_until"] - expected) > SECOND:
            days = (told["active_until"] - begins) / DAY
            yield f"{product} is active for {days:.1f} days, expected {(expected - begins) / DAY:.1f}"

    def _personal(self, vin: str, asked: Data, told: Data) -> Iterator[str]:
        key = (vin, asked.get("user", "primary"))
        if asked.get("action") == "save":
            self._saved.setdefault(key, {}).update({each["name"]: each["value"] for each in asked.get("settings", ())})
            return
        shown = {each["name"]: each["value"] for each in told.get("settings", ())}
        for name, value in self._saved.get(key, {}).items():
            hidden = name in CONFIDENTIAL and not asked.get("identified", False)
            if not hidden and shown.get(name) != value:
                yield f"{name} was saved as {value}, and comes back as {shown.get(name)}"


def _of_licence(car: Data, product: str, until: Instant, months: int, now: Instant) -> Iterator[str]:
    """Judge what the people of a car have bought by the licences that are kept of it; the clocks of its market may change."""
    active = [each for each in car.get("licences", ()) if each["product"] == product and each.get("state", "active") == "active"]
    bought = [each for each in active if each["ends"] == until]
    if not bought:
        yield f"{product} is active until {format_instant(until)}, and no licence is"
        return
    begins = bought[-1]["begins"]
    before = max((each["ends"] for each in active if each["ends"] < until), default=0)
    if begins != max(now, before):
        yield f"{product} begins on {format_instant(begins)}, expected {format_instant(max(now, before))}"
    if abs(until - _months_later(begins, months)) > HOUR:
        yield f"{product} is active for {(until - begins) / DAY:.1f} days, expected {months} months"


def _months_later(at: Instant, months: int) -> Instant:
    """Return the same time of day so many months later, on the last day of a shorter month."""
    then = datetime.fromtimestamp(at // SECOND, UTC)
    years, month = divmod(then.month - 1 + months, 12)
    first = then.replace(year=then.year + years, month=month + 1, day=1)
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    day = min(then.day, (after - first).days)
    return int(first.replace(day=day).timestamp()) * SECOND + at % SECOND
