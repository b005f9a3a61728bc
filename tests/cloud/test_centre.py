"""The service centre: what it gives to which rule, and that what a rule notes, wants and answers comes out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import msgspec
import pytest

from fleet.cloud.centre import NAMED, REMEMBERED, ServiceCentre
from fleet.cloud.desk_io import Answer
from fleet.cloud.failures import KEPT_MOST
from fleet.cloud.registry import RULES
from fleet.cloud.rule import (
    AskCar,
    CentreOutput,
    CommandEnded,
    Done,
    Keep,
    Notes,
    Notify,
    Proof,
    RequestRefused,
    Rule,
    RuleOutput,
    SendReply,
    ServiceAsked,
)
from fleet.kernel.instants import MINUTE, SECOND, Instant
from fleet.wire.messages import DeskAnswer, Event, Reply, Request, ServiceRequest

VIN = "VSSZZZKMZPR000001"
OTHER = "VSSZZZKMZPR000002"
NOW = 1_772_000_000_000_000
TOPIC = "fleet/v1/desk/answer/t"


class Counting(Rule):
    """Counts what cars tell, notifies, asks and replies."""

    name: ClassVar[str] = "counting"
    events: ClassVar[frozenset[str]] = frozenset({"told", "woken"})
    requests: ClassVar[frozenset[str]] = frozenset({"count"})

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:
        self.notes[event.vin] = self.notes.get(event.vin, 0) + 1
        if event.name == "woken":
            self.notes["due"] = now + MINUTE
            return [AskCar("wake/1", event.vin, "refresh", {})]
        return [Notify(event.vin, "operator", "counted", {"count": self.notes[event.vin]})]

    def request(self, request: Request, now: Instant) -> Sequence[RuleOutput]:
        reply = Reply(id=request.id, name=request.name, data={"count": self.notes.get(request.vin, 0)})
        return [SendReply(request.vin, reply, 30 * SECOND)]

    def asked(self, request: ServiceRequest, now: Instant) -> Done | RequestRefused:
        if request.action != "clear":
            return RequestRefused("unsupported", "it can be cleared")
        assert request.vin is not None
        count = self.notes.pop(request.vin, 0)
        return Done([Notify(request.vin, "operator", "cleared", {})], {"count": count})

    def command_ended(self, ended: CommandEnded, now: Instant) -> Sequence[RuleOutput]:
        return [Notify(ended.vin, "operator", ended.id, {"state": ended.state})]

    def deadline(self) -> Instant | None:
        due: Instant | None = self.notes.get("due")
        return due

    def wake(self, now: Instant) -> Sequence[RuleOutput]:
        del self.notes["due"]
        return [Notify(VIN, "operator", "woken", {})]


class Listening(Rule):
    """Wants one event that another rule wants, too."""

    name: ClassVar[str] = "listening"
    events: ClassVar[frozenset[str]] = frozenset({"told"})

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:
        return [Notify(event.vin, "operator", "heard", {})]


def centre(state: dict[str, Any] | None = None) -> ServiceCentre:
    return ServiceCentre((Counting, Listening), state)


def event(name: str = "told", seq: int = 1) -> Event:
    return Event(vin=VIN, boot=1, seq=seq, captured_at=NOW, name=name)


def request(name: str = "count") -> Request:
    return Request(vin=VIN, boot=1, seq=1, captured_at=NOW, id="r1", name=name)


def asked(request_id: str = "a1", action: str = "clear", **more: Any) -> ServiceAsked:
    fields: dict[str, Any] = {"service": "counting", "vin": VIN} | more
    return ServiceAsked(ServiceRequest(id=request_id, action=action, **fields), TOPIC)


def stored(outputs: Sequence[CentreOutput]) -> dict[str, dict[str, Any]]:
    """Return what a store would hold of the notes."""
    state: dict[str, dict[str, Any]] = {}
    for output in outputs:
        if isinstance(output, Keep):
            if output.value is None:
                del state[output.module][output.key]
            else:
                state.setdefault(output.module, {})[output.key] = msgspec.json.decode(output.value)
    return state


def answer(outputs: Sequence[CentreOutput]) -> tuple[str, str | None, dict[str, Any] | None]:
    """Return state, reason and data of the one answer."""
    (found,) = [output for output in outputs if isinstance(output, Answer)]
    assert found.topic == TOPIC
    assert found.answer.final
    return found.answer.state, found.answer.reason, found.answer.data


def test_all_rules_that_want_an_event_get_it_and_its_notes_are_stored_first() -> None:
    outputs = centre().receive(event(), NOW)
    assert outputs == [
        Keep("counting", VIN, "1"),
        Notify(VIN, "operator", "counted", {"count": 1}, NOW),
        Notify(VIN, "operator", "heard", {}, NOW),
    ]


def test_what_nobody_wants_is_not_wanted() -> None:
    held = centre()
    assert not held.wants(event("trip"))
    assert held.wants(event("woken"))
    assert held.wants(request("anything"))
    assert held.receive(event("trip"), NOW) == []


def test_a_rule_goes_on_from_its_notes() -> None:
    """What was stored of one centre is all that another one needs."""
    first = centre()
    state = stored(first.receive(event(), NOW))
    again = centre(state)
    assert Notify(VIN, "operator", "counted", {"count": 2}, NOW) in again.receive(event(seq=2), NOW)


class Listing(Rule):
    """Answers with the cars that it was given, and takes none named `no`."""

    name: ClassVar[str] = "listing"

    def asked(self, request: ServiceRequest, now: Instant) -> Done | RequestRefused:
        return RequestRefused("malformed", "no") if request.action == "no" else Done(data={"cars": request.data.get("cars")})


STRANGERS = tuple(f"VSSZZZKMZPR9000{number:02}" for number in range(25))


def listed(cars: Any, unknown: Sequence[str], action: str = "list", vin: str | None = None) -> DeskAnswer:
    request = ServiceRequest(id="a1", service="listing", action=action, vin=vin, data={"cars": cars})
    *_, last = ServiceCentre((Listing,)).receive(ServiceAsked(request, TOPIC, tuple(unknown)), NOW)
    assert isinstance(last, Answer)
    return last.answer


@pytest.mark.parametrize("cars", [[VIN, STRANGERS[0]], f"{VIN},{STRANGERS[0]}"], ids=["list", "text"])
def test_a_list_goes_on_without_the_cars_that_nobody_knows(cars: Any) -> None:
    """Whoever asked is told which they are, and what to do."""
    answer = listed(cars, STRANGERS[:1])
    assert answer.state == "succeeded"
    assert answer.data == {"cars": [VIN], "unknown": [STRANGERS[0]]}
    assert (answer.detail or "").startswith(f"left out: {STRANGERS[0]}: ")
    assert "fleet cars" in (answer.detail or "")


def test_of_many_unknown_cars_some_are_named() -> None:
    answer = listed([VIN, *STRANGERS], STRANGERS)
    assert answer.data == {"cars": [VIN], "unknown": [*STRANGERS[:NAMED]]}
    assert f"{STRANGERS[NAMED - 1]} and 5 more: " in (answer.detail or "")


def test_without_a_known_car_nothing_is_done() -> None:
    """Nor for the others where the one that it is about is unknown; what is wrong otherwise is told as that."""
    for answer in (listed(STRANGERS[:2], STRANGERS[:2]), listed([VIN], STRANGERS[:1], vin=STRANGERS[0])):
        assert (answer.state, answer.reason) == ("rejected", "unknown_vin")
        assert STRANGERS[0] in (answer.detail or "")
    assert listed([VIN, STRANGERS[0]], STRANGERS[:1], action="no").reason == "malformed"
    assert listed([VIN, "no-vin"], ()).data == {"cars": [VIN, "no-vin"]}


def test_a_request_is_replied_and_one_that_nobody_knows_too() -> None:
    (known,) = centre().receive(request(), NOW)
    assert known == SendReply(VIN, Reply(id="r1", name="count", data={"count": 0}), 30 * SECOND)
    (unknown,) = centre().receive(request("weather"), NOW)
    assert isinstance(unknown, SendReply)
    assert (unknown.reply.id, unknown.reply.error) == ("r1", "unsupported")


def test_a_command_bears_its_rules_name_and_its_end_comes_back_under_the_rules_own_id() -> None:
    held = centre()
    (wanted,) = [output for output in held.receive(event("woken"), NOW) if isinstance(output, AskCar)]
    assert wanted.id == "centre-counting-wake/1"
    outputs = held.receive(CommandEnded(wanted.id, VIN, "succeeded", None), NOW)
    assert outputs == [Notify(VIN, "operator", "wake/1", {"state": "succeeded"}, NOW)]
    assert held.receive(CommandEnded("centre-gone-1", VIN, "succeeded", None), NOW) == []


def test_deadlines_are_those_of_the_rules() -> None:
    held = centre()
    assert held.deadline() is None
    held.receive(event("woken"), NOW)
    assert held.deadline() == NOW + MINUTE
    assert held.wake(NOW) == []
    assert held.wake(NOW + MINUTE) == [Keep("counting", "due", None), Notify(VIN, "operator", "woken", {}, NOW + MINUTE)]
    assert held.deadline() is None


# --- what tools ask


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (asked(service="weather"), "unsupported"),
        (asked(action="dance"), "unsupported"),
        (asked(vin="no VIN"), "invalid_vin"),
        (asked("x" * 101), "malformed"),
        (asked(""), "malformed"),
        (asked(service="listening"), "unsupported"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_changes_nothing(request_: ServiceAsked, reason: str) -> None:
    outputs = centre().receive(request_, NOW)
    assert answer(outputs)[:2] == ("rejected", reason)
    assert not [output for output in outputs if isinstance(output, Notify)]
    assert {output.module for output in outputs if isinstance(output, Keep)} <= {"centre"}


def test_what_is_asked_again_is_answered_again_and_done_once_also_after_a_restart() -> None:
    held = centre()
    told = held.receive(event(), NOW)
    first = held.receive(asked(), NOW)
    assert answer(first) == ("succeeded", None, {"count": 1})
    for machine in (held, centre(stored([*told, *first]))):
        again = machine.receive(asked(), NOW + SECOND)
        assert len(again) == 1
        assert answer(again) == ("succeeded", None, {"count": 1})


def by(asked: ServiceAsked, person: str | None = None, session: str | None = None, **more: Any) -> ServiceAsked:
    """Return it as asked by somebody, in a session or as a trusted tool names the person."""
    request = msgspec.structs.replace(asked.request, **more)
    proofs = {} if session is None else {"session": Proof(person is not None, person, digest=f"sha256:{session * 64}")}
    return replace(asked, request=request, person=person, proofs=proofs)


@pytest.mark.parametrize(
    "other",
    [
        by(asked(), "p2", "b"),
        by(asked(), None, "0"),
        by(asked(), "p1", "a", action="count"),
        by(asked(), "p1", "a", service="listening"),
        by(asked(), "p1", "a", vin=OTHER),
        by(asked(), "p1"),
        by(asked(), "p2", user="bea@example.com"),
        by(asked(), None, user="nobody@example.com"),
        asked(),
    ],
)
def test_what_was_answered_is_told_to_nobody_who_asks_something_else_under_its_id(other: ServiceAsked) -> None:
    held = centre()
    told = held.receive(event(), NOW)
    first = held.receive(by(asked(), "p1", "a"), NOW)
    for machine in (held, centre(stored([*told, *first]))):
        assert answer(machine.receive(other, NOW)) == ("rejected", "malformed", None)
        assert answer(machine.receive(by(asked(), None, "a"), NOW)) == ("succeeded", None, {"count": 1}), "after its end"


def test_a_name_that_a_tool_gives_is_told_what_was_answered_to_it_alone_and_an_app_nothing_of_a_tool() -> None:
    held = centre()
    first = held.receive(by(asked(), "p1", user="anna@example.com"), NOW)
    assert "anna" not in str(stored(first)), "the name is not kept"
    assert answer(held.receive(by(asked(), None, user="anna@example.com"), NOW))[0] == "succeeded"
    assert answer(held.receive(by(asked(), "p2", user="bea@example.com"), NOW))[1] == "malformed"
    held.receive(asked("a2"), NOW)
    assert answer(held.receive(by(asked("a2"), "p2", "b"), NOW))[1] == "malformed"
    assert answer(held.receive(asked("a2"), NOW))[0] == "succeeded"


def test_what_a_tool_asks_for_a_primary_user_is_answered_again_also_when_there_is_none_any_more() -> None:
    held = centre()
    held.receive(by(asked(), "p1"), NOW)
    assert answer(held.receive(asked(), NOW))[0] == "succeeded"
    assert answer(held.receive(asked(vin=OTHER), NOW))[1] == "malformed"


def test_answers_are_remembered_up_to_a_bound() -> None:
    """Memory and store hold as many as the bound says, the newest ones."""
    held = centre()
    outputs: list[CentreOutput] = []
    for number in range(REMEMBERED + 5):
        outputs += held.receive(asked(f"a{number}"), NOW)
    assert len(stored(outputs)["centre"]) == REMEMBERED + 1
    assert len(held.receive(asked(f"a{REMEMBERED + 4}"), NOW)) == 1
    assert len(held.receive(asked("a0"), NOW)) > 1


# --- notes, and the rules there are


def test_notes_tell_what_changed_once() -> None:
    notes = Notes({"kept": 1, "gone": [2]})
    notes["new"] = {"a": None}
    del notes["gone"]
    assert notes.take_changes() == [("new", '{"a":null}'), ("gone", None)]
    assert notes.take_changes() == []
    assert dict(notes) == {"kept": 1, "new": {"a": None}}


def test_rules_have_names_of_their_own_that_can_be_part_of_an_id() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name != "centre" for name in names)


def test_a_list_of_cars_that_holds_anything_is_judged_by_its_rule() -> None:
    """What cannot be looked up among VINs is no VIN, and the rule says so; it does not fail."""
    request = ServiceRequest(id="a", service="campaign", action="plan", data={"cars": [[1], {"a": 1}, VIN]})
    asked = ServiceAsked(request, TOPIC, (VIN,))
    (answer,) = [output for output in ServiceCentre(RULES).receive(asked, 1) if isinstance(output, Answer)]
    assert (answer.answer.state, answer.answer.reason) == ("rejected", "malformed")


# --- what fails


class Failing(Rule):
    """Notes something and then raises, so many times."""

    name: ClassVar[str] = "failing"
    events: ClassVar[frozenset[str]] = frozenset({"told"})
    requests: ClassVar[frozenset[str]] = frozenset({"echo"})
    times: ClassVar[int] = 0

    def __init__(self, notes: Notes) -> None:
        super().__init__(notes)
        self.seen = notes.get("seen", 0)

    def _take(self) -> None:
        self.seen += 1
        self.notes["seen"] = self.seen
        if Failing.times > 0:
            Failing.times -= 1
            raise ValueError

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:
        self._take()
        return [Notify(event.vin, "user", "taken", {"seen": self.seen})]

    def request(self, request: Request, now: Instant) -> Sequence[RuleOutput]:
        self._take()
        return [SendReply(request.vin, Reply(id=request.id, name=request.name), MINUTE)]


class Unwritable(Rule):
    """Wants what cannot be written, and notes it."""

    name: ClassVar[str] = "unwritable"
    events: ClassVar[frozenset[str]] = frozenset({"notice", "note", "command"})

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:
        bad: dict[Any, Any] = {None: 1}
        if event.name == "note":
            self.notes["bad"] = bad
        if event.name == "command":
            return [AskCar("1", event.vin, "lock", bad)]
        return [Notify(event.vin, "user", "x", bad if event.name == "notice" else {})]


def told(name: str = "told", seq: int = 1) -> Event:
    return Event(vin=VIN, boot=1, seq=seq, captured_at=NOW, name=name)


def kinds_of(outputs: Sequence[CentreOutput]) -> list[str]:
    return [output.kind if isinstance(output, Notify) else type(output).__name__ for output in outputs]


def test_a_rule_that_raised_is_as_before_and_gets_the_event_again() -> None:
    """Its notes and what it holds are undone; the other rules have had theirs; in the end it has happened once."""
    Failing.times = 2
    centre = ServiceCentre((Failing, Counting))
    outputs = centre.receive(told(), NOW)
    assert "rule_failed" in kinds_of(outputs)
    assert "taken" not in kinds_of(outputs)
    assert {output.module for output in outputs if isinstance(output, Keep)} == {"failures", "counting"}
    first = centre.deadline()
    assert first == NOW + MINUTE
    assert kinds_of(centre.wake(first)) == ["Keep"]  # fails once more, and that is told once only
    second = centre.deadline()
    assert second == first + 2 * MINUTE
    outputs = centre.wake(second)
    (notice,) = [output for output in outputs if isinstance(output, Notify)]
    assert (notice.kind, notice.data) == ("taken", {"seen": 1})
    assert centre.deadline() is None


def test_what_waits_for_another_try_outlives_a_restart() -> None:
    Failing.times = 1
    kept: dict[str, dict[str, Any]] = {}
    for output in ServiceCentre((Failing,)).receive(told(), NOW):
        if isinstance(output, Keep) and output.value is not None:
            kept.setdefault(output.module, {})[output.key] = msgspec.json.decode(output.value)
    again = ServiceCentre((Failing,), kept)
    assert "taken" in kinds_of(again.wake(NOW + MINUTE))
    gone = ServiceCentre((), kept)
    assert kinds_of(gone.wake(NOW + MINUTE)) == ["Keep"]  # a version without the rule lets go of it


def test_what_fails_each_time_is_given_up_and_told() -> None:
    Failing.times = 100
    centre = ServiceCentre((Failing,))
    outputs = list(centre.receive(told(), NOW))
    while (due := centre.deadline()) is not None:
        outputs += centre.wake(due)
    assert kinds_of(outputs).count("rule_failed") == 1
    assert kinds_of(outputs)[-1] == "rule_gave_up"
    assert due is None
    Failing.times = 0


def test_what_waits_is_bounded() -> None:
    Failing.times = KEPT_MOST + 5
    centre = ServiceCentre((Failing,))
    outputs = [output for seq in range(1, KEPT_MOST + 6) for output in centre.receive(told(seq=seq), NOW)]
    assert kinds_of(outputs).count("rule_gave_up") == 5


def test_a_request_at_which_a_rule_fails_is_answered_and_the_operator_told() -> None:
    Failing.times = 1
    request = Request(vin=VIN, boot=1, seq=1, captured_at=NOW, id="r", name="echo")
    notice, reply = ServiceCentre((Failing,)).receive(request, NOW)
    assert isinstance(notice, Notify)
    assert isinstance(reply, SendReply)
    assert (notice.kind, reply.reply.error) == ("rule_failed", "internal")


@pytest.mark.parametrize("name", ["notice", "note", "command"])
def test_what_cannot_be_written_is_no_output(name: str) -> None:
    """It fails where it is decided, and gets into no commit."""
    outputs = ServiceCentre((Unwritable,)).receive(told(name), NOW)
    assert "rule_failed" in kinds_of(outputs)
    assert "Notify" not in kinds_of(outputs)
    assert {output.module for output in outputs if isinstance(output, Keep)} == {"failures"}


def test_an_emergency_at_which_a_rule_fails_goes_to_its_centre_at_once() -> None:
    class Broken(Failing):
        name: ClassVar[str] = "broken"
        events: ClassVar[frozenset[str]] = frozenset({"ecall"})

    Failing.times = 1
    call = msgspec.structs.replace(told("ecall"), data={"id": "c"})
    centre = ServiceCentre((Broken,))
    notice, failed = centre.receive(call, NOW)
    assert isinstance(notice, Notify)
    assert (notice.to, notice.kind, notice.data) == ("emergency_centre", "ecall", {"id": "c", "country": None})
    assert isinstance(failed, Notify)
    assert failed.kind == "rule_failed"
    assert centre.deadline() is None
