"""The service centre: what the back end makes of cars' events and requests, beside keeping them. Pure, as the desk is.

It gives each rule (see `rule.py`) what it is for, and undoes what fails, so that one rule or message stops no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar, assert_never

import msgspec

from fleet.cloud.desk_io import INTERNAL, Answer, ForgetSpin, KeepSpin, RightsChanged, UnlockSpin
from fleet.cloud.entitlement import event_refusal, in_person, request_refusal, service_refusal, session_refusal, without_place
from fleet.cloud.failures import Failures
from fleet.cloud.rights import CarRights
from fleet.cloud.rule import (
    AskCar,
    CentreInput,
    CentreOutput,
    ClockMoved,
    CommandEnded,
    Done,
    Erase,
    Keep,
    Mail,
    Notes,
    Notify,
    RequestProven,
    RequestRefused,
    Rule,
    RuleFailed,
    RuleOutput,
    SendReply,
    ServiceAsked,
    SessionUsed,
    SpinLocked,
    as_json,
)
from fleet.kernel.instants import MINUTE, Instant
from fleet.wire.messages import DeskAnswer, Event, Reply, Request, ServiceRequest
from fleet.wire.vin import fault_of, is_vin

REMEMBERED: Final = 1_000
"""Answers that are kept for requests of tools that come again."""
ASKED_BY_CENTRE: Final = "centre-"
"""Prefix of the ids of commands that a rule asked for; its name and its own id follow."""
LONGEST_ID: Final = 100
NAMED: Final = 20
"""Unknown cars that an answer names."""
UNANSWERABLE: Final = 5 * MINUTE
"""How long a reply lives to a request that nobody here can answer."""
_NEVER_HEARD_OF: Final = (
    "nobody is enrolled there, and no message of such a car has ever arrived; fleet cars lists those that are known"
)
_FAILED: Final = "the service failed at this; what it had begun was undone"
OWN: Final = "centre"
"""The name under which the centre keeps notes of its own: what it has answered."""
_COUNT: Final = "asked"
_ASKED: Final = "asked"
"""In what was answered, what was asked and by whom."""
_ANYBODY: Final[list[str | None]] = []
"""In its place, where nothing is left in the answer that is not for everybody."""


RuleT = TypeVar("RuleT", bound=Rule)


class ServiceCentre:
    """A `Machine` of `CentreInput` and `CentreOutput`."""

    def __init__(self, rules: Iterable[type[Rule]], state: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Make the rules, each with its notes of `state` (by rule, then by key) as the store has it."""
        held = state or {}
        self._kinds = {rule.name: rule for rule in rules}
        self._notes = {name: Notes(held.get(name)) for name in self._kinds}
        self._knowing = next((name for name, kind in self._kinds.items() if kind.knows_rights), None)
        self._rules = {name: self._made(name) for name in self._kinds}
        self._own = Notes(held.get(OWN))
        self._answered = {kept["id"]: kept for key, kept in self._own.items() if key != _COUNT}
        self._failures = Failures(Notes(held.get(Failures.name)))
        self._of_event: dict[str, list[str]] = {}
        self._of_request: dict[str, list[str]] = {}
        self._of_notice: dict[str, list[str]] = {}
        self._serving: dict[str, str] = {}
        for name, rule in self._kinds.items():
            self._serving.update(dict.fromkeys(rule.serves or {name}, name))
            for event in sorted(rule.events):
                self._of_event.setdefault(event, []).append(name)
            for request in sorted(rule.requests):
                self._of_request.setdefault(request, []).append(name)
            for notice in sorted(rule.notices):
                self._of_notice.setdefault(notice, []).append(name)

    def _made(self, name: str) -> Rule:
        """Make a rule from its notes."""
        rule = self._kinds[name](self._notes[name])
        if name != self._knowing:
            rule.rights_of = self.rights_of
        return rule

    def rights_of(self, vin: str) -> CarRights | None:
        """Return by what it is judged who does something with a car."""
        return None if self._knowing is None else self._rules[self._knowing].rights_of(vin)

    def wants(self, message: Event | Request) -> bool:
        """Tell whether a rule hears the message; others need not be given."""
        if isinstance(message, Request):
            return True
        return any(self._rules[name].hears(message) for name in self._of_event.get(message.name, ()))

    def find(self, kind: type[RuleT]) -> RuleT | None:
        """Return the rule of that kind as it is now, to look at; None when this centre has none."""
        found = self._rules.get(kind.name)
        return found if isinstance(found, kind) else None

    def has_answered(self, request_id: str) -> bool:
        """Tell whether a request was answered, and would be answered the same again."""
        return request_id in self._answered

    # --- Machine

    def receive(self, message: CentreInput, now: Instant) -> list[CentreOutput]:
        """Take one input and return what is to be stored and published, in that order."""
        match message:
            case Event():
                outputs: list[CentreOutput] = []
                for name in self._of_event.get(message.name, ()):
                    outputs += self._heard(name, message, now)
                return self._all(outputs, now)
            case Request():
                return self._all(self._requested(message, lambda rule: rule.request(message, now), now), now)
            case RequestProven(request):
                return self._all(self._requested(request, lambda rule: rule.proven(message, now), now), now)
            case ServiceAsked():
                return self._all(self._asked(message, now), now)
            case CommandEnded():
                return self._all(self._command_ended(message, now), now)
            case ClockMoved(shift):
                return self._all(self._each(lambda rule: rule.clock_moved(shift, now), "clock_moved", now), now)
            case SessionUsed(session):
                return self._all(self._each(lambda rule: rule.session_used(session, now), "session_used", now), now)
            case SpinLocked(account):
                return self._all(self._each(lambda rule: rule.spin_locked(account, now), "spin_locked", now), now)
            case _:
                assert_never(message)

    def has_pending_times(self) -> bool:
        """Tell whether a rule has to know that scenario time was set anew."""
        return any(rule.has_pending_times() for rule in self._rules.values())

    def deadline(self) -> Instant | None:
        """Return when the first rule wants to be woken, or what failed is to be tried again."""
        dues = [self._failures.next_try(), *(self._deadline_of(name) for name in self._rules)]
        return min((due for due in dues if due is not None), default=None)

    def wake(self, now: Instant) -> list[CentreOutput]:
        """Wake the rules whose time has come, and try again what has failed."""
        outputs: list[CentreOutput] = []
        for name in self._rules:
            due = self._deadline_of(name)
            if due is not None and due <= now:
                try:
                    outputs += self._decide(name, lambda rule: rule.wake(now), now)
                    self._failures.woke(name)
                except RuleFailed as failed:
                    outputs += self._failures.woke_in_vain(failed, now)
        for key, name, message in self._failures.due(now):
            if name in self._rules:
                outputs += self._try(name, message, now, key)
            else:
                self._failures.over(key)  # this version has no such rule
        return self._all(outputs, now)

    # --- inputs

    def _heard(self, name: str, event: Event, now: Instant) -> list[CentreOutput]:
        """Give a rule an event, as far as the people of the car let it be used."""
        if not self._rules[name].hears(event):
            return []
        rights = self.rights_of(event.vin)
        if rights is None or name == self._knowing:
            return self._try(name, event, now)
        why = event_refusal(rights, name, event, now)
        if why is None:
            return self._try(name, without_place(rights, event), now)
        return [_fit(name, output, now) for output in self._rules[name].refused(event, why[0])]

    def _requested(
        self, request: Request, step: Callable[[Rule], Sequence[RuleOutput]], now: Instant
    ) -> list[CentreOutput]:  # fmt: skip
        """Have the rule that takes a request of a car do its step, where the people of the car may ask that."""
        names = self._of_request.get(request.name, ())
        name = next((name for name in names if self._rules[name].takes(request)), None)
        if name is None:
            reply = Reply(id=request.id, name=request.name, error="unsupported")
            return [SendReply(request.vin, reply, UNANSWERABLE)]
        why = request_refusal(self.rights_of(request.vin), request, now)
        if why is not None:
            until = request.expires_at
            lifetime = UNANSWERABLE if until is None else until - now
            reply = Reply(id=request.id, name=request.name, error=why[0])
            return [SendReply(request.vin, reply, lifetime)] if lifetime > 0 else []
        try:
            return self._decide(name, step, now)
        except RuleFailed as failed:
            reply = Reply(id=request.id, name=request.name, error=INTERNAL)
            told = self._failures.told(failed, request.name, now, vin=request.vin)
            return [told, SendReply(request.vin, reply, UNANSWERABLE)]

    def _asked(self, message: ServiceAsked, now: Instant) -> list[CentreOutput]:
        request, topic = message.request, message.answer_topic
        if not 0 < len(request.id) <= LONGEST_ID:
            refusal = RequestRefused("malformed", f"an id has 1 to {LONGEST_ID} characters")
            return [_answer(topic, request.id[:LONGEST_ID], refusal, now)]
        earlier = self._answered.get(request.id)
        if earlier is not None:
            if not _is_again(message, earlier.get(_ASKED)):
                refusal = RequestRefused("malformed", "this id belongs to another request; each has an id of its own")
                return [_answer(topic, request.id, refusal, now)]
            again = {name: value for name, value in earlier.items() if name != _ASKED}
            return [Answer(topic, DeskAnswer(final=True, **again))]
        outputs: list[CentreOutput] = []
        done: Done | RequestRefused | None = self._unfit(request)
        if done is None:
            judged: list[Done | RequestRefused] = []

            def judge(rule: Rule) -> Sequence[RuleOutput]:
                judged.append(self._of_known(rule, message, now))
                as_json(_answer(topic, request.id, judged[0], now).answer)
                return judged[0].outputs

            try:
                outputs = self._decide(self._serving[request.service], judge, now)
            except RuleFailed as failed:
                answer = DeskAnswer(id=request.id, state="failed", reason=INTERNAL, detail=_FAILED, final=True, at=now)
                told = self._failures.told(failed, request.action[:LONGEST_ID], now, vin=request.vin or "")
                return [told, Answer(topic, answer)]
            done = judged[0]
        given = _answer(topic, request.id, done, now)
        self._remember(given.answer, message)  # without what is secret: that is told once
        return [*outputs, given]

    def _unfit(self, request: ServiceRequest) -> RequestRefused | None:
        if request.service not in self._serving:
            return RequestRefused(
                "unsupported", f"there is no service {request.service[:40]!r}; known: {', '.join(sorted(self._serving))}"
            )
        if request.vin is not None and (fault := fault_of(request.vin)) is not None:
            return RequestRefused("invalid_vin", f"{fault}; a VIN has 17 characters, A-Z and 0-9 without I, O and Q")
        return None

    def _of_known(self, rule: Rule, asked: ServiceAsked, now: Instant) -> Done | RequestRefused:
        """Have it done for the cars that are known, if whoever asks may, and tell which are not."""
        request, unknown = asked.request, asked.unknown
        rights = None if request.vin is None else self.rights_of(request.vin)
        if (why := session_refusal(asked) or service_refusal(rights, asked, now)) is not None:
            return RequestRefused(*why)
        asked = in_person(rights, asked)
        if not unknown or rule.any_car:
            return rule.asked_by(asked, now)
        known = [vin for vin in listed_cars(request) if vin not in unknown]
        told = f"{_named(unknown)}: {_NEVER_HEARD_OF}"
        if not known or request.vin in unknown:
            return RequestRefused("unknown_vin", told)
        of_known = msgspec.structs.replace(request, data={**request.data, "cars": known})
        done = rule.asked_by(replace(asked, request=of_known), now)
        if isinstance(done, RequestRefused):
            return done
        return replace(done, data={**(done.data or {}), "unknown": list(unknown[:NAMED])}, detail=f"left out: {told}")

    def _remember(self, answer: DeskAnswer, asked: ServiceAsked) -> None:
        """Keep what was answered, in place of what was answered long ago."""
        count = self._own.get(_COUNT, 0)
        key = f"{_COUNT}/{count % REMEMBERED}"
        if key in self._own:
            self._answered.pop(self._own[key]["id"], None)
        kept: dict[str, Any] = {
            "id": answer.id,
            "state": answer.state,
            "reason": answer.reason,
            "detail": answer.detail,
            "at": answer.at,
        }
        kept |= {} if answer.data is None else {"data": answer.data}
        asked_for = _asked_for(asked)
        if asked_for[-1] or asked.person is not None:  # most is asked by nobody in particular
            kept |= {_ASKED: asked_for}
        self._own[key] = self._answered[answer.id] = kept
        self._own[_COUNT] = count + 1

    def _command_ended(self, ended: CommandEnded, now: Instant) -> list[CentreOutput]:
        name, _, own_id = ended.id.removeprefix(ASKED_BY_CENTRE).partition("-")
        if name not in self._rules:
            return []  # it was asked for by a rule that this version has not
        return self._try(name, replace(ended, id=own_id), now)

    # --- rules

    def _each(self, step: Callable[[Rule], Sequence[RuleOutput]], what: str, now: Instant) -> list[CentreOutput]:
        """Have each rule do the same; one that fails at it keeps none of the others from it."""
        outputs: list[CentreOutput] = []
        for name in self._rules:
            try:
                outputs += self._decide(name, step, now)
            except RuleFailed as failed:
                outputs.append(self._failures.told(failed, what, now))
        return outputs

    def _try(self, name: str, message: Event | CommandEnded, now: Instant, key: str | None = None) -> list[CentreOutput]:
        """Give a rule what it must not miss; what fails is kept under a key, and tried again."""
        try:
            outputs = self._decide(name, lambda rule: _given(rule, message, now), now)
        except RuleFailed as failed:
            return list(self._failures.failed(failed, message, now, key))
        if key is not None:
            self._failures.over(key)
        return outputs

    def _decide(self, name: str, step: Callable[[Rule], Sequence[RuleOutput]], now: Instant) -> list[CentreOutput]:
        """Return what a rule notes and wants. Raises RuleFailed when it cannot be had whole; then it is undone."""
        notes = self._notes[name]
        try:
            wanted: list[CentreOutput] = [_fit(name, output, now) for output in step(self._rules[name])]
            kept = [Keep(name, key, value) for key, value in notes.take_changes()]
        except Exception as error:
            notes.undo()
            self._rules[name] = self._made(name)
            raise RuleFailed(name, error) from error
        return [*kept, *wanted]

    def _noticed(self, outputs: Sequence[CentreOutput], now: Instant) -> list[CentreOutput]:
        """Return what rules add to the notices of others."""
        added: list[CentreOutput] = []
        for notice in outputs:
            if not isinstance(notice, Notify):
                continue
            for name in self._of_notice.get(notice.kind, ()):
                try:
                    added += self._decide(name, partial(_added, notice, now), now)
                except RuleFailed as failed:
                    added.append(self._failures.told(failed, notice.kind, now, vin=notice.vin))
        return added

    def _deadline_of(self, name: str) -> Instant | None:
        """Return when a rule is to be woken; one that failed at that waits for a while."""
        paused_until = self._failures.paused_until(name)
        try:
            due = self._rules[name].deadline()
        except Exception:  # noqa: BLE001 (it is woken, and told when it fails at that, too)
            due = 0
        return due if due is None or paused_until is None else max(due, paused_until)

    def _all(self, outputs: Sequence[CentreOutput], now: Instant) -> list[CentreOutput]:
        """Return all notes, what is erased by then left out of them, and then the other outputs."""
        outputs = [*outputs, *self._noticed(outputs, now)]
        for erased in [output for output in outputs if isinstance(output, Erase)]:
            outputs = [*outputs, *self._forget(erased, now)]
        own: list[CentreOutput] = [Keep(OWN, key, value) for key, value in self._own.take_changes()]
        own += [Keep(Failures.name, key, value) for key, value in self._failures.notes.take_changes()]
        kept = [output for output in outputs if isinstance(output, Keep)]
        return [*kept, *own, *(output for output in outputs if not isinstance(output, Keep))]

    def _forget(self, erased: Erase, now: Instant) -> list[CentreOutput]:
        """Have all other rules drop what is erased, and drop what was answered about it, and what waits for another try."""

        def forget(rule: Rule) -> Sequence[RuleOutput]:
            rule.forget(erased)
            return ()

        outputs: list[CentreOutput] = []
        for name in self._kinds if erased.cars or erased.account else ():
            changed = self._decide(name, forget, now)
            if changed:  # what it holds follows from its notes: of a rule about all people that is much
                self._rules[name] = self._made(name)
            outputs += changed
        words = (*erased.telling, *((f'"{erased.account}"',) if erased.account else ()))
        for key, kept in list(self._own.items()):
            if key == _COUNT or not any(word in as_json(kept) for word in words):
                continue
            if kept["id"] == erased.request:
                self._own[key] = self._answered[kept["id"]] = kept | {_ASKED: _ANYBODY}
                continue
            if any(word in kept["id"] for word in words):
                del self._own[key]
                self._answered.pop(kept["id"], None)
                continue
            stripped = {name: value for name, value in kept.items() if name != "data"} | {"detail": None, _ASKED: _ANYBODY}
            self._own[key] = self._answered[kept["id"]] = stripped
        self._failures.forget(erased.vins)
        return outputs


def _added(notice: Notify, now: Instant, rule: Rule) -> Sequence[RuleOutput]:
    return rule.noticed(notice, now)


def _asked_for(asked: ServiceAsked) -> list[str | None]:
    """Return service, action and car, and who asks: "" for a trusted tool that names nobody.

    A session stands by its digest, a name that a trusted tool gives by a short one: neither says whose it is.
    """
    request, session = asked.request, asked.proofs.get("session")
    by = ""
    if session is not None:
        by = session.digest
    elif request.user is not None:
        by = hashlib.sha256(f"{request.id}\0{request.user}".encode()).hexdigest()[:16]
    return [request.service, request.action, request.vin, by]


def _is_again(asked: ServiceAsked, before: list[str | None] | None) -> bool:
    """Tell whether it is what was asked before under the same id; None was asked by nobody in particular."""
    asked_for = _asked_for(asked)
    return not asked_for[-1] if before is None else before in (asked_for, _ANYBODY)


def _given(rule: Rule, message: Event | CommandEnded, now: Instant) -> Sequence[RuleOutput]:
    return rule.event(message, now) if isinstance(message, Event) else rule.command_ended(message, now)


def _fit(name: str, output: RuleOutput, now: Instant) -> RuleOutput:
    """Return what a rule wants, its commands under ids that no other rule has. Raises TypeError for what cannot be written."""
    match output:
        case Notify():
            as_json(output.data)
            return replace(output, at=now)
        case AskCar():
            as_json(output.parameters)
            return replace(output, id=f"{ASKED_BY_CENTRE}{name}-{output.id}")
        case SendReply():
            as_json(output.reply.data)
            return output
        case Mail():
            as_json(output.data)
            return replace(output, at=now)
        case Erase():
            return replace(output, commands=tuple(f"{ASKED_BY_CENTRE}{name}-{each}" for each in output.commands))
        case RightsChanged() | KeepSpin() | UnlockSpin() | ForgetSpin():
            return output
        case _:
            raise TypeError(f"a {type(output).__name__} is nothing a rule may want")


def listed_cars(request: ServiceRequest) -> list[Any]:
    """Return what a request has in its list `cars`, which a command line may write as text."""
    listed = request.data.get("cars")
    return listed.split(",") if isinstance(listed, str) else listed if isinstance(listed, list) else []


def vins_of(request: ServiceRequest) -> list[str]:
    """Return the cars that a request is about, alone or in a list. What is no VIN is left to the rule."""
    return [vin for vin in (request.vin, *listed_cars(request)) if isinstance(vin, str) and is_vin(vin)]


def _named(vins: Sequence[str]) -> str:
    more = f" and {len(vins) - NAMED} more" if len(vins) > NAMED else ""
    return ", ".join(vins[:NAMED]) + more


def _answer(topic: str, request_id: str, done: Done | RequestRefused, now: Instant) -> Answer:
    if isinstance(done, RequestRefused):
        answer = DeskAnswer(id=request_id, state="rejected", reason=done.reason, detail=done.detail, final=True, at=now)
    else:
        data = None if done.data is None else dict(done.data)
        secrets = None if done.secrets is None else dict(done.secrets)
        answer = DeskAnswer(id=request_id, state="succeeded", detail=done.detail, final=True, at=now, data=data, secrets=secrets)
    return Answer(topic, answer)
