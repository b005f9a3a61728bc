"""Whether licences end as people were told, money adds up, and mails go to whom they concern.

Source: licences, commerce and mails of the domain description. What was agreed is what the back end has stored; dates are counted
anew, by the calendar of UTC, so that one in a market's own zone may lie by a clock's width beside.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from fleet.checks.check import Check, Handlers
from fleet.checks.people import PEOPLE, Data, KnownPeople
from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND, Duration, Instant, format_instant
from fleet.observe.journal import Begin, End, Input, Output

CENTRE: Final = "centre"
STAGES: Final = ("month", "15_days", "48_hours", "end")
REMINDED: Final = frozenset(
    {"g3_radio", "g3_navi", "connect", "connect_plus", "travel_assist", "charging_map", "online_maintenance"}
)
"""Products whose end is told; a data plan and apps simply stop (ours)."""
BESIDE: Final[dict[str, Duration]] = {"month": 26 * HOUR, "15_days": 2 * HOUR, "48_hours": 0, "end": 0}
"""How far the time in a market's zone can lie beside that of UTC: where the clocks change, and where a month begins."""
AFTERWARDS: Final = frozenset(
    {
        "taken_over", "user_removed", "licence_withdrawn", "licence_renewed", "refund", "invoice", "purchase_cancelled", "erased",
        "spin_locked",
    }
)  # fmt: skip
"""Mails about a car to somebody who is no user of it any more, or buys for one that nobody has: it is over, or paid."""
REMEMBERED: Final = 4_000


class RemindersSent(Check):
    """Of each licence whose end is told: four reminders, each once and when it is due, to the primary user at that time.

    None after it was renewed or withdrawn, and none where nobody is the primary user.
    """

    name = "reminders"
    rule = "an end of a licence is told a month, 15 days and 48 hours before and at the end, each once, to the primary user"
    looks_at = "reminders that were due, or sent"
    remembers = True

    def __init__(self, begin: Begin, people: KnownPeople) -> None:
        super().__init__(begin)
        self._people = people
        factor = (begin.clock or "").removeprefix("x")
        self._late: Duration = MINUTE + (int(10 * SECOND * float(factor)) if factor.replace(".", "").isdigit() else 0)
        self._due: list[tuple[Instant, str, str, Instant, str]] = []
        """When a reminder is overdue, and which: VIN, product, end, stage."""
        self._planned: set[tuple[str, str, Instant]] = set()
        self._told: dict[tuple[str, str, Instant], set[str]] = {}

    def handlers(self) -> Handlers:
        return {("out", "Keep"): self._kept, ("out", "Mail"): self._mailed}

    def _kept(self, record: Output, line: int) -> None:
        """Plan for what is new; what was planned for something else comes to nothing when its time comes."""
        self._overdue(record.t, line)
        note = record.data
        if note["module"] != PEOPLE or not note["key"].startswith("car/") or note["value"] is None:
            return
        car = msgspec.json.decode(note["value"])
        for licence in _last_of(car):
            key = (car["vin"], licence["product"], licence["ends"])
            if key in self._planned:
                continue
            self._planned.add(key)
            for stage in STAGES:
                due = due_at(licence["ends"], stage)
                if due - BESIDE[stage] > record.t:
                    heapq.heappush(self._due, (due + BESIDE[stage] + self._late, *key, stage))

    def _mailed(self, record: Output, line: int) -> None:
        self._overdue(record.t, line)
        mail = record.data
        if mail["kind"] != "licence_reminder":
            return
        self.looked_at += 1
        told, vin = mail["data"], mail["vin"]
        key, stage = (vin, told["product"], told["ends"]), told["when"]
        for wrong in self._wrong(mail, stage, record.t):
            self.breach(line, CENTRE, f"{stage} before the end of {told['product']}: {wrong}", subject=vin)
        if stage in self._told.setdefault(key, set()):
            self.breach(line, CENTRE, f"{stage} before the end of {told['product']} is told again", subject=vin)
        self._told[key].add(stage)

    def _wrong(self, mail: Data, stage: str, now: Instant) -> Iterator[str]:
        vin, told = mail["vin"], mail["data"]
        off = now - due_at(told["ends"], stage)
        if not -BESIDE[stage] <= off <= BESIDE[stage] + self._late:
            yield f"told {off / HOUR:.2f} h beside its time"
        if mail["account"] != self._people.primary(vin):
            yield f"told to {mail['account']}, who is not the primary user"
        car = self._people.of("car").get(vin, {})
        if not any(each["product"] == told["product"] and each["ends"] == told["ends"] for each in _last_of(car)):
            yield f"no licence ends at {format_instant(told['ends'])}"

    def _overdue(self, now: Instant, line: int) -> None:
        while self._due and self._due[0][0] < now:
            latest, vin, product, ends, stage = heapq.heappop(self._due)
            car = self._people.managed(vin)
            if car is None or not any((each["product"], each["ends"]) == (product, ends) for each in _last_of(car)):
                continue
            primary = self._people.primary(vin)
            if primary is None or car["users"][primary]["since"] > due_at(ends, stage) - BESIDE[stage]:
                continue
            self.looked_at += 1
            if stage not in self._told.get((vin, product, ends), ()):
                self.breach(line, CENTRE, f"{stage} before {product} ends was not told by {format_instant(latest)}", subject=vin)

    def finish(self, end: End | None, line: int) -> None:
        if end is not None:
            self._overdue(end.t, line)


def _last_of(car: Data) -> list[Data]:
    """Return the licences whose ends are told: of each product the one that ends last."""
    last: dict[str, Data] = {}
    for each in car.get("licences", ()):
        if each.get("state", "active") == "active" and each["product"] in REMINDED:
            before = last.get(each["product"])
            last[each["product"]] = each if before is None or each["ends"] >= before["ends"] else before
    return list(last.values())


def due_at(ends: Instant, stage: str) -> Instant:
    """Return when a stage is due, by the calendar of UTC."""
    match stage:
        case "month":
            then = datetime.fromtimestamp(ends // SECOND, UTC)
            year, month = (then.year - 1, 12) if then.month == 1 else (then.year, then.month - 1)
            first_after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
            last = (first_after - datetime(year, month, 1, tzinfo=UTC)).days
            before = then.replace(year=year, month=month, day=min(then.day, last))
            return int(before.timestamp()) * SECOND + ends % SECOND
        case "15_days":
            return ends - 15 * DAY
        case "48_hours":
            return ends - 48 * HOUR
        case _:
            return ends


class MoneyAddsUp(Check):
    """What was sold, without what was refunded, is the sum of all invoices and credit notes; their numbers have no gaps."""

    name = "money"
    rule = (
        "sold minus refunded is the sum of the invoices and credit notes, whose numbers have no gaps; nothing cancelled is paid"
    )
    looks_at = "purchases, invoices and credit notes"
    remembers = True

    def __init__(self, begin: Begin, people: KnownPeople) -> None:
        super().__init__(begin)
        self._people = people
        self._sold = self._refunded = self._invoiced = 0
        self._open = False
        """True while something was written since the two sides were compared."""

    def handlers(self) -> Handlers:
        return {
            ("out", "Keep"): self._kept,
            ("in", "CentreStart"): self._starts,
            ("out", "Answer"): self._compare,
            ("out", "SendReply"): self._compare,
        }

    def _starts(self, record: Input, _line: int) -> None:
        """Begin with what the store holds: that it adds up was judged when it came."""
        notes = record.data["state"].get(PEOPLE, {})
        bought = [each for key, each in notes.items() if key.startswith("purchase/") and not each.get("cancelled")]
        self._sold = sum(each["price_cents"] for each in bought)
        self._refunded = sum(each["price_cents"] for each in bought if each.get("refunded") is not None)
        self._invoiced = self._sold - self._refunded

    def _kept(self, record: Output, line: int) -> None:
        note = record.data
        kind, _, name = note["key"].partition("/")
        if note["module"] != PEOPLE or kind not in {"purchase", "invoice"} or note["value"] is None:
            return  # what is erased is not taken back
        now: dict[str, Any] = msgspec.json.decode(note["value"])
        before = self._people.of(kind).get(name)
        self._open = True
        if kind == "purchase":
            self._purchase(name, now, before, line)
        elif before is None:
            self._invoice(name, now, line)
        elif (before["cents"], before["at"]) != (now["cents"], now["at"]):
            self.breach(line, CENTRE, f"invoice {name} is changed from {before['cents']} to {now['cents']} cents", subject=name)

    def _purchase(self, name: str, now: Data, before: Data | None, line: int) -> None:
        if now.get("cancelled"):
            if now.get("licence") or now.get("invoice"):
                self.breach(line, CENTRE, f"purchase {name} is cancelled, and has a licence or an invoice", subject=name)
            return
        if before is None:
            self.looked_at += 1
            self._sold += now["price_cents"]
        if now.get("refunded") is not None and (before is None or before.get("refunded") is None):
            self._refunded += now["price_cents"]

    def _invoice(self, name: str, now: Data, line: int) -> None:
        self.looked_at += 1
        self._invoiced += now["cents"]
        highest = max((int(number) for number in self._people.of("invoice")), default=0)
        if int(name) != highest + 1:
            self.breach(line, CENTRE, f"invoice {name} follows {highest}", subject=name)

    def _compare(self, _record: Output, line: int) -> None:
        if not self._open:
            return
        self._open = False
        left = self._sold - self._refunded
        if left != self._invoiced:
            self.breach(line, CENTRE, f"sold minus refunded is {left} cents, the invoices are {self._invoiced}")
            self._invoiced = left  # told once

    def finish(self, end: End | None, line: int) -> None:
        if end is not None and self._open and self._sold - self._refunded != self._invoiced:
            self.breach(
                line, CENTRE, f"sold minus refunded is {self._sold - self._refunded} cents, the invoices {self._invoiced}"
            )


class MailsFit(Check):
    """Nobody gets a mail about a car that is not theirs, but of what is over; and none comes twice of one thing."""

    name = "mails"
    rule = "a mail about a car goes to a user of it, but for what is over or paid, and each once"
    looks_at = "mails about cars"
    remembers = True

    def __init__(self, begin: Begin, people: KnownPeople) -> None:
        super().__init__(begin)
        self._people = people
        self._sent: dict[tuple[Any, ...], None] = {}

    def handlers(self) -> Handlers:
        return {("out", "Mail"): self._mailed}

    def _mailed(self, record: Output, line: int) -> None:
        mail = record.data
        vin, account, kind = mail["vin"], mail["account"], mail["kind"]
        if not vin:
            return
        self.looked_at += 1
        users = self._people.of("car").get(vin, {}).get("users", {})
        if account not in users and kind not in AFTERWARDS:
            self.breach(line, CENTRE, f"{kind} goes to {account}, who is no user of the car", subject=vin)
        key = (vin, account, kind, mail["channel"], msgspec.json.encode(mail["data"], order="sorted"), record.t)
        if key in self._sent:
            self.breach(line, CENTRE, f"{kind} goes to {account} twice", subject=vin)
        self._sent[key] = None
        if len(self._sent) > REMEMBERED:
            del self._sent[next(iter(self._sent))]
