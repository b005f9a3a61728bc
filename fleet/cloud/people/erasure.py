"""Export and erasure: who somebody is and which cars they may see, and that all of a car or of a person is forgotten.

The rule says what goes, and drops what stands in its own notes; the store, the desk, the other rules and the broker follow. A
car whose people are gone is told to forget them, too: it is asked again until it has. Kept is what the law keeps: of an invoice
its number, amount and date, and the record of the erasure, in which digests stand for whoever it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

import msgspec
from msgspec.structs import replace

from fleet.cloud.desk_io import ForgetSpin
from fleet.cloud.people import at_home
from fleet.cloud.people.mails import mail_to
from fleet.cloud.people.part import Action, Asking, Part, Refused, Words
from fleet.cloud.people.people import People
from fleet.cloud.people.records import Account, CarDigest, CarPeople, Erasure
from fleet.cloud.rule import AskCar, CommandEnded, Done, Erase, ErasedCar, Mail, RuleOutput
from fleet.kernel.instants import MINUTE, Duration, Instant
from fleet.kernel.timers import TimerHeap
from fleet.wire.commands import LONGEST_TIME_TO_LIVE

SERVICE: Final = "erasure"
SUBJECT: Final = "subject/"
"""Before a VIN or an account in the names of proofs: its digest, by which it is known again."""
AGAIN_AFTER: Final[Duration] = 10 * MINUTE
"""When a car is asked again to forget its people that could not just then, such as one that is driven (ours)."""
TRIES: Final = 60
"""How often all cars of an erasure are asked; those that are away let a week pass with each (ours)."""
Scope = Literal["car", "data", "person"]


class Nothing(Words, frozen=True, kw_only=True):
    """No words."""


class EraseWords(Words, frozen=True, kw_only=True):
    """What is to be erased: by itself the car that is named, or else the whole person."""

    scope: Scope | None = None


class Erasures(Part):
    """Exports and erasures, and the cars that are still to forget their people."""

    service: ClassVar[str] = SERVICE

    def __init__(self, people: People) -> None:
        super().__init__(people)
        self._again: TimerHeap[str] = TimerHeap()
        for kept in people.erasures.values():
            self._again.set(kept.id, kept.again)

    def _keep(self, erasure: Erasure) -> None:
        self.people.erasures.put(erasure.id, erasure)
        self._again.set(erasure.id, erasure.again)

    def actions(self) -> Mapping[str, Action]:
        return {"export": self._export, "erase": self._erase, "records": self._records}

    # --- export

    def _export(self, asking: Asking) -> Done:
        """Tell who it is, and which cars the person may see from when on; the data themselves stand in the store."""
        asking.words(Nothing)
        account = self.people.accounts[asking.person]
        cars = [self.people.cars[vin] for vin in sorted(self.people.cars_of(account.id))]
        seen = {
            car.vin: {"role": car.users[account.id].role, "since": car.users[account.id].since, "mode": car.mode} for car in cars
        }
        return Done(data={"account": account.id, "cars": seen})

    def _records(self, asking: Asking) -> Done:
        """Tell of each erasure, as it is kept."""
        asking.words(Nothing)
        told = [
            {
                "id": kept.id, "scope": kept.scope, "at": kept.at, "subject": kept.subject, "counts": kept.counts,
                "waiting": len(kept.waiting) + len(kept.unasked),
            }
            for kept in self.people.erasures.values()
        ]  # fmt: skip
        return Done(data={"erasures": told})

    # --- erase

    def _erase(self, asking: Asking) -> Done:
        """Have all of a car, of the data, or of the person forgotten."""
        vin = asking.asked.request.vin
        scope: Scope = asking.words(EraseWords).scope or ("person" if vin is None else "car")
        account = self._asker(asking, scope)
        if scope == "person":
            is_named = asking.asked.request.user not in {None, "primary"} or "session" in asking.asked.proofs
            if account is None or not is_named:
                raise Refused("malformed", "scope=person is about a person: name the account")
            return self._erase_person(asking, account)
        vins = self._own(account, vin)
        if not vins:
            raise Refused("not_found", "the person has no car of their own")
        whole = scope == "car"
        cars = [ErasedCar(each, whole, asking.now, _digest(asking, each)) for each in vins]
        counts = {"cars": len(cars)}
        if whole:
            for each in vins:
                self._forget_car(each, counts)
        mails = [] if account is None else [mail_to(account, "erased", scope=scope)]
        return self._done(asking, scope, _digest(asking, vins[0] if account is None else account.id), cars, counts, mails=mails)

    def _asker(self, asking: Asking, scope: Scope) -> Account | None:
        """Return the person whose data it is; None for a car without people. Raises Refused for anybody else's."""
        asked, vin = asking.asked, asking.asked.request.vin
        if vin is None:
            return self.people.accounts[asking.person]
        car = self.people.cars.get(vin)
        primary = None if car is None else car.primary
        if asked.person is None and (asked.request.user not in {None, "primary"} or "session" in asked.proofs):
            raise Refused("insufficient_rights", "nobody of that name has an account, or the session is over; log in")
        if scope != "person" and asked.person not in {None, primary}:
            raise Refused("insufficient_rights", "a car's data are those of its primary user")
        return self.people.accounts.get(asked.person or primary)

    def _own(self, account: Account | None, vin: str | None) -> list[str]:
        """Return the cars it is about: the one that is named, or all of which the person is the primary user."""
        if vin is not None:
            return [vin]
        assert account is not None, "without a car it is about a person"
        return [each for each in sorted(self.people.cars_of(account.id)) if self.people.cars[each].primary == account.id]

    def _erase_person(self, asking: Asking, account: Account) -> Done:
        """Forget a person: the cars of their own, their part in those of others, and all that is theirs."""
        people, now = self.people, asking.now
        own = self._own(account, None)
        former = former_cars(people, account, now)
        cars = [ErasedCar(vin, True, now, _digest(asking, vin)) for vin in own]
        cars += [ErasedCar(vin, False, until, _digest(asking, vin)) for vin, until in former.items()]
        counts = {"cars": len(own), "former_cars": len(former)}
        outputs: list[RuleOutput] = []
        for vin in own:
            self._forget_car(vin, counts)
        for vin in sorted(people.cars_of(account.id)):
            outputs += [each for each in at_home.remove(people, people.cars[vin], account.id) if not isinstance(each, Mail)]
        for vin in sorted(people.enrolling_of(account.id)):
            car = people.cars[vin]
            left = {each: begun for each, begun in car.enrolments.items() if each != account.id}
            people.put_car(replace(car, enrolments=left))
        counts["sessions"] = len(people.sessions.of(account.id))
        for session in people.sessions.of(account.id):
            people.sessions.drop(session)
        for link in [key for key, link in people.links.items() if link.account == account.id]:
            people.links.drop(link)
        for tries in [key for key in people.tries if account.id in key.split("/") or account.email in key]:
            people.tries.drop(tries)
        self._forget_purchases(account.id, counts)
        people.drop_account(account.id)
        words = tuple(word for word in (account.email, account.user_name, account.mobile) if word)
        outputs.append(ForgetSpin(account.id))
        return self._done(
            asking, "person", _digest(asking, account.id), cars, counts, account=account.id, words=words, outputs=outputs
        )

    def _forget_car(self, vin: str, counts: dict[str, int]) -> None:
        """Drop all that is kept of a car: its users, licences and switches. What somebody bought for it stays that person's."""
        people = self.people
        car = people.cars.get(vin) or CarPeople(vin=vin)
        people.drop_car(vin)
        for tries in [key for key in people.tries if vin in key]:
            people.tries.drop(tries)
        for user in people.accounts.values():
            if any(consent.vin == vin for consent in user.consents):
                kept = tuple(consent for consent in user.consents if consent.vin != vin)
                people.put_account(replace(user, consents=kept))
        counts["licences"] = counts.get("licences", 0) + len(car.licences)
        for key, bought in list(people.purchases.items()):
            if bought.vin == vin:
                people.purchases.put(key, replace(bought, vin="", licence=""))

    def _forget_purchases(self, account: str, counts: dict[str, int]) -> None:
        """Drop what a person bought; of the invoices and credit notes number, amount and date stay."""
        bought = [key for key, bought in self.people.purchases.items() if bought.account == account]
        for key in bought:
            self.people.purchases.drop(key)
        counts["purchases"] = len(bought)
        for number, invoice in list(self.people.invoices.items()):
            if invoice.account == account:
                self.people.invoices.put(number, replace(invoice, account="", purchase="", words=""))
                counts["invoices_kept"] = counts.get("invoices_kept", 0) + 1

    def _done(
        self, asking: Asking, scope: Scope, subject: str, cars: Sequence[ErasedCar], counts: dict[str, int], *,
        account: str = "", words: tuple[str, ...] = (), outputs: Sequence[RuleOutput] = (), mails: Sequence[Mail] = (),
    ) -> Done:  # fmt: skip
        """Keep the record, and have everybody else forget; the cars themselves last."""
        erasure_id = f"e{self.people.next_number('erasure')}"
        kept = Erasure(
            id=erasure_id, scope=scope, subject=subject, at=asking.now, counts=counts,
            cars=tuple(CarDigest(digest=car.digest, whole=car.whole, until=car.until) for car in cars),
            unasked=tuple(car.vin for car in cars if car.whole),
        )  # fmt: skip
        erase = Erase(erasure_id, asking.now, tuple(cars), account, words, request=asking.asked.request.id)
        told = {"id": erasure_id, "scope": scope, "counts": counts, "waiting": len(kept.unasked)}
        return Done([*outputs, erase, *mails, *self._ask_cars(kept)], told)

    # --- the cars

    def _ask_cars(self, erasure: Erasure) -> list[RuleOutput]:
        """Have the cars that were not asked, or could not obey, forget their people."""
        asked = {f"{SERVICE}-{erasure.id}-{self.people.next_number('erasure_reset')}": vin for vin in erasure.unasked}
        kept = replace(erasure, unasked=(), waiting=erasure.waiting | asked, again=None, tries=erasure.tries + 1)
        self._keep(kept)
        return [AskCar(command, vin, "reset", {}, LONGEST_TIME_TO_LIVE) for command, vin in asked.items()]

    def command_ended(self, ended: CommandEnded, now: Instant) -> Sequence[RuleOutput]:
        """Forget the command itself; a car that could not obey is asked again."""
        erasure = self.people.erasures.get(ended.id.split("-")[1])
        if erasure is None or ended.id not in erasure.waiting:
            return ()
        waiting = {command: vin for command, vin in erasure.waiting.items() if command != ended.id}
        if ended.state == "succeeded" or ended.reason == "not_paired" or erasure.tries >= TRIES:
            erasure = replace(erasure, waiting=waiting)
        else:
            erasure = replace(erasure, waiting=waiting, unasked=(*erasure.unasked, ended.vin), again=now + AGAIN_AFTER)
        self._keep(erasure)
        is_over = ended.vin not in erasure.unasked and ended.vin not in self.people.cars
        return [Erase(erasure.id, now, words=(ended.vin,) if is_over else (), commands=(ended.id,))]

    def deadline(self) -> Instant | None:
        return self._again.next_deadline()

    def wake(self, now: Instant) -> Sequence[RuleOutput]:
        due = [kept for _, kept in self._again.pop_due(now, limit=len(self._again))]
        return [output for kept in due for output in self._ask_cars(self.people.erasures[kept])]

    def has_pending_times(self) -> bool:
        return bool(self.people.erasures)

    def clock_moved(self, shift: Duration) -> None:
        for kept in list(self.people.erasures.values()):
            if kept.again is not None:
                self._keep(replace(kept, again=kept.again + shift))

    def set_back(self, now: Instant) -> None:
        """Have what cars measure from now on taken; what they had measured before, by the clock of then, still is not."""
        for kept in list(self.people.erasures.values()):
            if any(car.until > now for car in kept.cars):
                cars = tuple(
                    replace(car, until=min(car.until, now), ahead_until=max(car.ahead_until, car.until)) for car in kept.cars
                )
                self._keep(replace(kept, cars=cars))


def asked_to_forget(notes: Mapping[str, Any]) -> list[str]:
    """Return the VINs of the cars that still have to forget their people, from the notes of the rule."""
    kept = [msgspec.convert(note, Erasure) for key, note in notes.items() if key.startswith("erasure/")]
    return sorted({vin for erasure in kept for vin in (*erasure.waiting.values(), *erasure.unasked)})


def former_cars(people: People, account: Account, now: Instant) -> dict[str, Instant]:
    """Return the cars that were the person's own once, each with when the person's time in it was over at the latest.

    That is when somebody else made it their own, who has it still or has given it back; now where nobody has. By the contracts of
    the accounts it is known who had a car; who was an additional user or a guest once is not followed (ours).
    """
    had = {consent.vin: consent.at for consent in account.consents if consent.vin and consent.given}
    ends = {}
    for vin in sorted(had):
        car = people.car(vin)
        if car.primary != account.id:
            ends[vin] = now if car.primary is None else car.users[car.primary].since - 1
    for other in people.accounts.values() if ends else ():
        for consent in other.consents if other.id != account.id else ():
            if consent.vin in ends and consent.given and consent.at > had[consent.vin]:
                ends[consent.vin] = min(ends[consent.vin], consent.at - 1)
    return ends


def subjects_of(people: People, vin: str | None, person: str | None) -> list[str]:
    """Return the VINs and the account of which an erasure may want the digest."""
    account = None if person is None else people.accounts.get(person)
    cars = set() if account is None else {*people.cars_of(account.id), *(consent.vin for consent in account.consents)}
    primary = None if vin is None or vin not in people.cars else people.cars[vin].primary
    return sorted({*cars, vin or "", person or "", primary or ""} - {""})


def _digest(asking: Asking, subject: str) -> str:
    return asking.proof(SUBJECT + subject).digest
