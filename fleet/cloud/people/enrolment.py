"""How a car gets its primary user, in four ways; each ends in the car, so that whoever enrols has it in hand.

- `qr` (G4): begun in the app, consents, and the code on the car's screen, which is good for five minutes and one use.
- `assistant` (G3 with navi): all of it on the car's screen, where the person logs in with the S-PIN.
- `two_keys` (Leon with a radio): begun in the app; then the car was unlocked with both keys, and asks.
- `code` (Ateca with a radio): begun in the app, which shows 8 digits; then they are typed into the car, within a year.

Whoever enrols on a car that has a primary user takes it over. Source: enrolment of the domain description.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hmac import compare_digest
from typing import Any, ClassVar, Final, Literal

import msgspec
from msgspec.structs import replace

from fleet.cloud.car_settings import Number
from fleet.cloud.people import at_home
from fleet.cloud.people.guessing import check_guesses, forget_guesses, wrong_guess
from fleet.cloud.people.models import check_told, check_way
from fleet.cloud.people.part import Action, Asking, Part, Refused, Words, replied
from fleet.cloud.people.primary import TEXTS, check_person, check_texts, make_primary, without_begun
from fleet.cloud.people.records import CarPeople, Enrolment, QrCode
from fleet.cloud.people.sign_in import count, count_of
from fleet.cloud.people.tokens import pairing_code_of
from fleet.cloud.rule import Done, Proof, RuleOutput
from fleet.kernel.instants import DAY, MINUTE, Duration, Instant
from fleet.wire.enrolment import Way
from fleet.wire.messages import Event, Request
from fleet.wire.requests import read_request

QR_LASTS: Final[Duration] = 5 * MINUTE
CODE_LASTS: Final[Duration] = 365 * DAY
BEGUN_LASTS: Final[Duration] = 30 * MINUTE
"""How long an enrolment by QR code or in the assistant may take (ours)."""
KEYS_LAST: Final[Duration] = 10 * MINUTE
"""How long both keys may take; meanwhile nobody else can begin with that car by its keys (ours).

Whoever begins again has no longer for it, and who has kept somebody else waiting leaves the car to others for as long afterwards.
"""
BEGUN_MOST: Final = 20
"""People who have begun to enrol the same car (ours): of more, who began first makes room."""
_STEPS: Final[dict[Way, Literal["consents", "keys", "code"]]] = {"qr": "consents", "two_keys": "keys", "code": "code"}
_LASTS: Final[dict[Way, Duration]] = {"qr": BEGUN_LASTS, "assistant": BEGUN_LASTS, "two_keys": KEYS_LAST, "code": CODE_LASTS}
_LONGEST_CODE: Final = 64
FRESH_CODE: Final = "fresh_code"
"""The name of the proof that says what is to be kept of the pairing code that the first fresh word makes."""


class Begin(Words, frozen=True, kw_only=True):
    """`code` is the QR code from which the VIN was read, if it was: it is used up with that."""

    way: Way
    code: str | None = None


class Consents(Words, frozen=True, kw_only=True):
    privacy: bool
    terms: bool
    contract: bool


class Scan(Words, frozen=True, kw_only=True):
    code: str


class Nothing(Words, frozen=True, kw_only=True):
    """No words."""


class QrShown(msgspec.Struct, frozen=True):
    """The part of the event `qr_shown` that counts; how long the code is good is not the car's affair."""

    code: str
    model: str | None = None
    navi: bool | None = None


class Enrolments(Part):
    """Enrolment begun in the app, and ended by what a car says."""

    service: ClassVar[str] = "enrol"
    events: ClassVar[frozenset[str]] = frozenset({"qr_shown"})
    requests: ClassVar[frozenset[str]] = frozenset({"enrolment"})

    def actions(self) -> Mapping[str, Action]:
        return {
            "begin": self._begin,
            "consents": self._consents,
            "scan": self._scan,
            "cancel": self._cancel,
            "remove": self._remove,
            "show": self._show,
        }

    # --- in the app

    def _begin(self, asking: Asking) -> Done:
        words, vin, account = asking.words(Begin), asking.vin, asking.person
        check_way(vin, words.way)
        if words.way == "assistant":
            raise Refused("wrong_way", "the assistant is in the car: log in on its screen with the S-PIN")
        car = _without_ended(self.people.car(vin), asking.now)
        asks = check_person(self.people, car, account, asking.now)
        if words.way != "qr":
            check_texts(asks)
        mine = car.enrolments.get(account)
        if mine is not None and mine.way == "code" == words.way:
            raise Refused("already_begun", f"the code for {vin} was told; take the car out of the garage to get another one")
        until = asking.now + _LASTS[words.way]
        if words.way == "two_keys":
            until = self._check_keys(car, account, asking.now)
        if words.code is not None:
            car = _with_qr_used(car, words.code, asking.now)
        code = pairing_code_of(asking.fresh(0)) if words.way == "code" else ""
        begun = Enrolment(
            account=account,
            way=words.way,
            step=_STEPS[words.way],
            began=asking.now,
            until=until,
            code=asking.proof(FRESH_CODE).digest if code else "",
        )
        self._forget_ended(account, asking.now)
        self.people.put_car(_with_begun(car, begun))
        told = _told(begun) | {"takes_over": car.primary is not None}
        return Done(data=told, secrets={"code": code} if code else None)

    def _check_keys(self, car: CarPeople, account: str, now: Instant) -> Instant:
        """Return until when somebody can use both keys of a car. Raises Refused where it is somebody else's turn."""
        holder = next((each for each in car.enrolments.values() if each.way == "two_keys"), None)
        if holder is not None and holder.account == account:
            return holder.until
        if holder is not None:
            kept_waiting = f"keys/{car.vin}/{holder.account}"
            if not count_of(self.people, kept_waiting, now):
                count(self.people, kept_waiting, now, holder.until + KEYS_LAST - now, 1)
        elif not count_of(self.people, f"keys/{car.vin}/{account}", now):
            return now + KEYS_LAST
        minutes = KEYS_LAST // MINUTE
        raise Refused("busy", f"somebody else is enrolling {car.vin}, or waits for it; try again in {minutes} minutes")

    def _forget_ended(self, account: str, now: Instant) -> None:
        """Keep nothing of what somebody has begun with other cars, and not ended in time."""
        for vin in sorted(self.people.enrolling_of(account)):
            car = self.people.cars[vin]
            if now >= car.enrolments[account].until:
                self._put(without_begun(car, account))

    def _put(self, car: CarPeople) -> None:
        """Keep what is known of a car, or nothing where that is nothing."""
        if replace(car, reported=None) == CarPeople(vin=car.vin):
            self.people.drop_car(car.vin)
        else:
            self.people.put_car(car)

    def _consents(self, asking: Asking) -> Done:
        words, car = asking.words(Consents), self.people.car(asking.vin)
        begun = self._begun(asking, car, "qr")
        refused = [text for text in TEXTS if not getattr(words, text)]
        if refused:
            raise Refused("consent_missing", f"nobody is enrolled without accepting {' and '.join(refused)}")
        begun = replace(begun, step="scan")
        self.people.put_car(replace(car, enrolments=car.enrolments | {begun.account: begun}))
        return Done(data=_told(begun))

    def _scan(self, asking: Asking) -> Done:
        words, car = asking.words(Scan), self.people.car(asking.vin)
        begun = self._begun(asking, car, "qr")
        if begun.step != "scan":
            raise Refused("consent_missing", "the texts come first: privacy, terms and contract")
        car = _with_qr_used(car, words.code, asking.now)
        assert car.qr is not None
        check_told(check_way(car.vin, "qr"), "qr", car.qr.model, car.qr.navi)
        outputs = make_primary(self.people, car, begun.account, car.qr.number, asking.now, accepted=TEXTS, navi=car.qr.navi)
        return Done(outputs, _told(begun) | {"step": "enrolled"}, "choose a service partner: fleet service partner choose")

    def _begun(self, asking: Asking, car: CarPeople, way: Way) -> Enrolment:
        begun = car.enrolments.get(asking.person)
        if begun is None or begun.way != way or asking.now >= begun.until:
            raise Refused("nothing_begun", f"nobody of that name is enrolling {car.vin} by {way} now; begin again")
        return begun

    def _cancel(self, asking: Asking) -> Done:
        asking.words(Nothing)
        car = self.people.car(asking.vin)
        if asking.person not in car.enrolments:
            raise Refused("nothing_begun", f"nobody of that name is enrolling {car.vin}")
        self._put(without_begun(car, asking.person))
        return Done()

    def _remove(self, asking: Asking) -> Done:
        """Take a car out of the garage: the primary user frees it, another one leaves it, and a code is worth nothing."""
        asking.words(Nothing)
        account, car = asking.person, self.people.car(asking.vin)
        if account not in car.users and account not in car.enrolments:
            raise Refused("insufficient_rights", f"{car.vin} is not in the garage of this person")
        car = without_begun(car, account)
        self._put(car)
        return Done([] if account not in car.users else at_home.remove(self.people, car, account))

    def _show(self, asking: Asking) -> Done:
        """Show the garage: the cars of a person, and those that are being enrolled."""
        asking.words(Nothing)
        people, account, now = self.people, asking.person, asking.now
        only = asking.asked.request.vin
        cars = [people.cars[vin] for vin in sorted(people.cars_of(account)) if only in {None, vin}]
        begun = [(vin, people.cars[vin].enrolments[account]) for vin in sorted(people.enrolling_of(account))]
        return Done(
            data={
                "cars": [{"vin": car.vin, "role": car.users[account].role, "since": car.users[account].since} for car in cars],
                "enrolments": [{"vin": vin, **_told(each)} for vin, each in begun if only in {None, vin} and now < each.until],
            }
        )

    # --- times

    def has_pending_times(self) -> bool:
        return any(car.enrolments or car.qr for car in self.people.cars.values())

    def clock_moved(self, shift: Duration) -> None:
        """Leave of what is under way, and of QR codes, what was left of them."""
        for car in list(self.people.cars.values()):
            if car.enrolments or car.qr:
                begun = {
                    account: replace(each, began=each.began + shift, until=each.until + shift)
                    for account, each in car.enrolments.items()
                }
                qr = None if car.qr is None else replace(car.qr, shown=car.qr.shown + shift)
                self.people.put_car(replace(car, enrolments=begun, qr=qr))

    # --- in the car

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:
        """Know the QR code on the screen of a car; a newer one takes its place."""
        try:
            told = msgspec.convert(event.data, QrShown)
        except msgspec.ValidationError:
            return ()  # no car of ours says that
        car, number = self.people.car(event.vin), (event.boot, event.seq)
        newest = car.reset if car.qr is None else max(car.reset, car.qr.number)
        if number > newest and 0 < len(told.code) <= _LONGEST_CODE:
            shown = QrCode(code=told.code, shown=min(event.captured_at, now), number=number, model=told.model, navi=told.navi)
            self.people.put_car(replace(car, qr=shown))
        return ()

    def request(self, request: Request, proofs: Mapping[str, Proof], now: Instant) -> Sequence[RuleOutput]:
        """Take what somebody does in a car to enrol; what nobody waits for any more is not done."""
        return replied(request, now, lambda: self._in_car(request, proofs, now))

    def _in_car(self, request: Request, proofs: Mapping[str, Proof], now: Instant) -> tuple[dict[str, Any], Sequence[RuleOutput]]:
        words: Any = read_request(request.name, request.data)
        check_told(check_way(request.vin, words.way), words.way, words.model, words.navi)
        car, number = self.people.car(request.vin), (request.boot, request.seq)
        if number < car.reset:
            raise Refused("nothing_begun", "the car was reset since")
        match words.way:
            case "assistant":
                return self._assistant(car, words, proofs, number, now)
            case "two_keys":
                account = _by_keys(car, now)
            case _:
                account = self._by_code(car, proofs, now)
        return _state("enrolled", account), make_primary(self.people, car, account, number, now, navi=words.navi)

    def _assistant(
        self, car: CarPeople, words: Any, proofs: Mapping[str, Proof], number: Number, now: Instant
    ) -> tuple[dict[str, Any], Sequence[RuleOutput]]:
        """Have somebody log in with the S-PIN, and then accept the texts."""
        named = self.people.named(words.user or "")
        account = "" if named is None else named.id
        if words.step == "begin":
            proof = proofs.get("spin")
            if proof is None or not proof.right or proof.account is None:
                raise Refused("spin_required" if proof is None else proof.refused or "spin_wrong", "the S-PIN was not proven")
            check_person(self.people, car, proof.account, now)
            begun = Enrolment(account=proof.account, way="assistant", step="consents", began=now, until=now + BEGUN_LASTS)
            self.people.put_car(replace(car, enrolments=car.enrolments | {proof.account: begun}))
            return _state("consents", proof.account), ()
        waiting = car.enrolments.get(account)
        if waiting is None or waiting.way != "assistant" or now >= waiting.until:
            raise Refused("nothing_begun", "log in on the screen first")
        if set(TEXTS) - set(words.consents):
            raise Refused("consent_missing", "nobody is enrolled without accepting all texts")
        return _state("enrolled", account), make_primary(self.people, car, account, number, now, accepted=TEXTS, navi=True)

    def _by_code(self, car: CarPeople, proofs: Mapping[str, Proof], now: Instant) -> str:
        """Return whose pairing code was typed into a car. Raises Refused; what is wrong counts."""
        check_guesses(self.people, car.vin, now)
        typed = proofs["code"].digest if "code" in proofs else ""
        found = [each for each in car.enrolments.values() if each.way == "code" and compare_digest(each.code, typed)]
        if not found:
            wrong_guess(self.people, car.vin, now)
            raise Refused("code_wrong", "the app shows another code for this car")
        if now >= found[0].until:
            raise Refused("code_expired", "take the car out of the garage and add it again: that gives another code")
        forget_guesses(self.people, car.vin)
        return found[0].account


def _told(begun: Enrolment) -> dict[str, Any]:
    return {"way": begun.way, "step": begun.step, "until": begun.until}


def _state(state: Literal["consents", "enrolled"], account: str) -> dict[str, Any]:
    return {"state": state, "user": account, "role": "primary"}


def _without_ended(car: CarPeople, now: Instant) -> CarPeople:
    """Return the car without what was begun and has taken too long."""
    return replace(car, enrolments={account: begun for account, begun in car.enrolments.items() if now < begun.until})


def _with_begun(car: CarPeople, begun: Enrolment) -> CarPeople:
    """Return the car with one more who enrols it, in place of what the same person has begun before."""
    others = sorted(without_begun(car, begun.account).enrolments.values(), key=lambda each: each.began)[1 - BEGUN_MOST :]
    return replace(car, enrolments={each.account: each for each in (*others, begun)})


def _with_qr_used(car: CarPeople, code: str, now: Instant) -> CarPeople:
    """Return the car with its QR code used up. Raises Refused for another code, one that was used, and one that is over."""
    shown = car.qr
    if shown is None or not compare_digest(shown.code.encode(), code.encode()):
        raise Refused("code_wrong", f"{car.vin} shows another QR code; have it show a new one")
    if shown.used:
        raise Refused("code_used", "a QR code is good for one use; have the car show another one")
    if now >= shown.shown + QR_LASTS:
        raise Refused("code_expired", "a QR code is good for 5 minutes; have the car show another one")
    return replace(car, qr=replace(shown, used=True))


def _by_keys(car: CarPeople, now: Instant) -> str:
    """Return who has begun to enrol a car by its keys. Raises Refused."""
    for begun in car.enrolments.values():
        if begun.way == "two_keys" and now < begun.until:
            return begun.account
    raise Refused("nothing_begun", "begin with the VIN in the app, then use the first and the second key within 10 minutes")
