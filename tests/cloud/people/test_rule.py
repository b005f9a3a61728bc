"""The rule about people gives each part what it is for, and tells the desk of each change of rights, before all else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from fleet.cloud.centre import ServiceCentre
from fleet.cloud.desk_io import Answer, RightsChanged
from fleet.cloud.partners import PartnerRule
from fleet.cloud.people.part import Action, Asking, Part, Refused, Words
from fleet.cloud.people.people import RULE, People
from fleet.cloud.people.records import Account, CarPeople, CarUser
from fleet.cloud.people.rule import PeopleRule
from fleet.cloud.rule import (
    CentreOutput,
    Done,
    Keep,
    Mail,
    Notes,
    Notify,
    Proof,
    RequestProven,
    RuleOutput,
    SendReply,
    ServiceAsked,
)
from fleet.kernel.instants import Instant
from fleet.wire.messages import Event, Reply, Request, ServiceRequest

VIN = "VSSZZZKMZPR000001"
NOW = 1_772_424_000_000_000


class _Name(Words, frozen=True, kw_only=True):
    name: str


class Garage(Part):
    """Gives a car a user."""

    service: ClassVar[str] = "garage"
    events: ClassVar[frozenset[str]] = frozenset({"engine_on"})
    requests: ClassVar[frozenset[str]] = frozenset({"opening"})

    def actions(self) -> Mapping[str, Action]:
        return {"join": self._join, "break": self._break, "refuse": self._refuse}

    def _join(self, asking: Asking) -> Done:
        name = asking.words(_Name).name
        users = {**self.people.car(asking.vin).users, name: CarUser(role="primary", since=asking.now)}
        self.people.put_car(CarPeople(vin=asking.vin, managed=True, users=users))
        return Done([Notify(asking.vin, "user", "joined", {})], {"users": len(users)}, secrets={"session": asking.fresh(0)})

    def _break(self, asking: Asking) -> Done:
        self._join(asking)
        raise ValueError

    def _refuse(self, asking: Asking) -> Done:
        raise Refused("not_today", f"{asking.person} may not")

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:
        return [Notify(event.vin, "user", "heard", {})]

    def request(self, request: Request, proofs: Mapping[str, Proof], now: Instant) -> Sequence[RuleOutput]:
        return [SendReply(request.vin, Reply(id=request.id, name=request.name, data={"right": proofs["spin"].right}), 1)]


class GarageRule(PeopleRule):
    parts: ClassVar[tuple[type[Part], ...]] = (Garage,)
    serves: ClassVar[frozenset[str]] = frozenset({"garage"})
    events: ClassVar[frozenset[str]] = Garage.events
    requests: ClassVar[frozenset[str]] = Garage.requests


def ask(centre: ServiceCentre, action: str, number: int = 0, person: str | None = None, **data: Any) -> list[CentreOutput]:
    request = ServiceRequest(id=f"{action}-{number}", service="garage", action=action, vin=VIN, data=data)
    return centre.receive(ServiceAsked(request, "t", (VIN,), person, {}, ("word",)), NOW)


def answer_of(outputs: list[CentreOutput]) -> Any:
    (answer,) = [output.answer for output in outputs if isinstance(output, Answer)]
    return answer


def test_a_change_is_kept_and_told_to_the_desk_before_what_follows_from_it() -> None:
    outputs = ask(ServiceCentre((GarageRule,)), "join", name="p1")
    kinds = [type(output) for output in outputs]
    assert kinds.index(Keep) < kinds.index(RightsChanged) < kinds.index(Notify) < kinds.index(Answer)
    (rights,) = [output for output in outputs if isinstance(output, RightsChanged)]
    assert rights.rights is not None
    assert rights.rights.primary == "p1"


def test_the_same_rights_are_told_once() -> None:
    centre = ServiceCentre((GarageRule,))
    ask(centre, "join", 1, name="p1")
    assert not any(isinstance(output, RightsChanged) for output in ask(centre, "join", 2, name="p1"))


def test_what_fails_is_undone_and_the_state_is_as_it_was() -> None:
    centre = ServiceCentre((GarageRule,))
    assert answer_of(ask(centre, "break", name="p1")).reason == "internal"
    rule = centre.find(GarageRule)
    assert rule is not None
    assert not rule.people.cars


def test_a_secret_is_told_once() -> None:
    centre = ServiceCentre((GarageRule,))
    first = ask(centre, "join", name="p1")
    assert answer_of(first).secrets == {"session": "word"}
    again = ask(centre, "join", name="p1")
    assert answer_of(again).secrets is None
    assert answer_of(again).data == {"users": 1}
    assert not any("word" in (output.value or "") for output in first if isinstance(output, Keep) and output.module != RULE)


def test_refusals_have_their_reasons() -> None:
    centre = ServiceCentre((GarageRule,))
    assert answer_of(ask(centre, "dance")).reason == "unsupported"
    assert answer_of(ask(centre, "join", 1, nom="p1")).reason == "malformed"
    assert answer_of(ask(centre, "refuse", 2)).reason == "insufficient_rights"
    assert answer_of(ask(centre, "refuse", 3, person="p1")).reason == "not_today"


def test_events_and_requests_go_to_the_part_that_wants_them() -> None:
    centre = ServiceCentre((GarageRule,))
    event = Event(vin=VIN, boot=1, seq=1, captured_at=NOW, name="engine_on")
    assert [output.kind for output in centre.receive(event, NOW) if isinstance(output, Notify)] == ["heard"]
    rule = centre.find(GarageRule)
    assert rule is not None
    asked = Request(vin=VIN, boot=1, seq=2, captured_at=NOW, id="q", name="opening")
    (reply,) = rule.proven(RequestProven(asked, {"spin": Proof(right=True)}), NOW)
    assert isinstance(reply, SendReply)
    assert reply.reply.data == {"right": True}


# --- notices of other rules


def closes_a_partner(
    users: dict[str, CarUser], *, push: bool = False, centre: type[PeopleRule] = PeopleRule
) -> list[CentreOutput]:
    """Have the partner close that was chosen for a car with these users, one of whom is p1, and for one without people."""
    notes = Notes()
    people = People(notes)
    people.put_account(Account(id="p1", email="anna@example.com", registered=NOW, language="de", push=push))
    people.put_car(CarPeople(vin=VIN, managed=True, users=users))
    chosen = {f"car/{VIN}": {"partner": "North", "by": "p1"}, "car/VSSZZZKMZPR000002": {"partner": "North"}}
    rules = ServiceCentre((PartnerRule, centre), {RULE: dict(notes), "partner": chosen})
    close = ServiceRequest(id="c", service="partner", action="close", data={"partner": "North"})
    return rules.receive(ServiceAsked(close, "t"), NOW)


def test_the_primary_user_has_a_mail_that_the_partner_has_closed() -> None:
    outputs = closes_a_partner({"p1": CarUser(role="primary", since=NOW)}, push=True)
    assert [output.vin for output in outputs if isinstance(output, Notify)] == [VIN, "VSSZZZKMZPR000002"]
    mails = [output for output in outputs if isinstance(output, Mail)]
    assert [(mail.channel, mail.account, mail.address, mail.language, mail.kind, mail.vin, mail.at) for mail in mails] == [
        ("mail", "p1", "anna@example.com", "de", "partner_closed", VIN, NOW),
        ("push", "p1", "", "de", "partner_closed", VIN, NOW),
    ]
    assert mails[0].data == {"vin": VIN, "partner": "North"}


def test_who_has_chosen_nothing_has_no_mail_that_a_partner_has_closed() -> None:
    for users in ({}, {"p2": CarUser(role="primary", since=NOW), "p1": CarUser(role="additional", since=NOW)}):
        assert not [output for output in closes_a_partner(users) if isinstance(output, Mail)]


class FailingRule(PeopleRule):
    def noticed(self, notice: Notify, now: Instant) -> Sequence[RuleOutput]:
        raise ValueError


def test_a_mail_that_fails_keeps_nobody_from_the_notice() -> None:
    outputs = closes_a_partner({"p1": CarUser(role="primary", since=NOW)}, centre=FailingRule)
    kinds = [output.kind for output in outputs if isinstance(output, Notify)]
    assert kinds == ["partner_closed", "partner_closed", "rule_failed", "rule_failed"]
    assert answer_of(outputs).data == {"cars": 2}
