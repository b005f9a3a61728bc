"""What cars tell and ask, and what is asked of services, is judged by the one question before a rule gets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cloud.actions import load_actions
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.desk_io import Answer
from fleet.cloud.entitlement import ACCOUNT, BECOMING_KNOWN, WITHOUT_SESSION, in_car
from fleet.cloud.people.people import RULE, People
from fleet.cloud.people.records import Account, CarPeople, CarUser, Consent, Licence
from fleet.cloud.registry import RULES
from fleet.cloud.rights import ANYBODY, PURPOSES, CarRights, UserRights
from fleet.cloud.rule import CentreInput, CentreOutput, Notes, Notify, Proof, SendReply, ServiceAsked
from fleet.kernel.instants import DAY, MINUTE
from fleet.wire.messages import DeskAnswer, Event, Request, ServiceRequest

VIN = "VSSZZZKMZPR000001"
OTHER = "VSSZZZKMZPR000002"
NOW = 1_772_424_000_000_000
PLACE = {"latitude": 48.14, "longitude": 11.58}
LICENCE = Licence(id="l1", product="g3_navi", packages=("safety", "remote", "online"), begins=NOW - DAY, ends=NOW + DAY)
CAR = CarPeople(
    vin=VIN,
    managed=True,
    users={
        "p1": CarUser(role="primary", since=NOW - DAY),
        "p2": CarUser(role="additional", since=NOW - DAY),
        "p3": CarUser(role="guest", since=NOW - DAY),
    },
    licences=(LICENCE,),
)
FAULT: dict[str, Any] = {"id": "check_engine", "text": "engine", "category": "engine", "priority": 1, "mileage_km": 9.5}
CHOSEN = {"partner": {f"car/{vin}": {"partner": "North", "by": "p1"} for vin in (VIN, OTHER)}}
BREAKDOWN: dict[str, Any] = {"id": "c1", "registered_in": "DE", "position": PLACE, "mileage_km": 9.5, "warnings": []}


class Lab:
    """A centre of all rules, and a car with people; OTHER has none."""

    def __init__(self, car: CarPeople = CAR, notes: Mapping[str, Any] | None = None, **given: bool) -> None:
        people = Notes()
        known = People(people)
        consents = tuple(Consent(what=what, version="1", given=yes, at=NOW - DAY) for what, yes in given.items())
        for number in (1, 2, 3):
            known.put_account(Account(id=f"p{number}", email=f"p{number}@example.com", registered=NOW - DAY, consents=consents))
        known.put_car(car)
        self.centre = ServiceCentre(RULES, {RULE: dict(people), **(notes or {})})
        self.number = 0
        self.now = NOW

    def give(self, message: CentreInput) -> list[CentreOutput]:
        return self.centre.receive(message, self.now)

    def event(self, name: str, vin: str = VIN, **data: Any) -> list[CentreOutput]:
        self.number += 1
        return self.give(Event(vin=vin, boot=1, seq=self.number, captured_at=NOW, name=name, data=data))

    def request(self, name: str, vin: str = VIN, **data: Any) -> str | None:
        """Return the error of the reply."""
        self.number += 1
        asked = Request(vin=vin, boot=1, seq=self.number, captured_at=NOW, id=f"q{self.number}", name=name, data=data)
        (reply,) = [output.reply for output in self.give(asked) if isinstance(output, SendReply)]
        return reply.error

    def ask(
        self, service: str, action: str, vin: str = VIN, *, person: str | None = None, proofs: dict[str, Proof] | None = None,
        user: str | None = None, **data: Any,
    ) -> DeskAnswer:  # fmt: skip
        self.number += 1
        request = ServiceRequest(id=f"r{self.number}", service=service, action=action, vin=vin, data=data, user=user or person)
        (answer,) = [o.answer for o in self.give(ServiceAsked(request, "t", (), person, proofs or {})) if isinstance(o, Answer)]
        return answer


def notices(outputs: list[CentreOutput]) -> list[str]:
    return [f"{output.to} {output.kind}" for output in outputs if isinstance(output, Notify)]


# --- requests of cars


REFUSED = [
    ("insufficient_rights", "internet_radio", {"station": "one", "user": "p3"}, {}, {}),
    ("insufficient_rights", "internet_radio", {"station": "one", "user": "guest"}, {}, {}),
    ("insufficient_rights", "personalisation", {"user": "p9"}, {}, {}),
    ("insufficient_rights", "store_purchase", {"product": "tidal_1_year", "user": "p2"}, {}, {}),
    ("insufficient_rights", "traffic", PLACE, {"users": {}}, {}),
    ("consent_missing", "traffic", PLACE, {}, {"location": False}),
    ("consent_missing", "personalisation", {}, {}, {"profile": False}),
    ("licence_missing", "traffic", PLACE, {"licences": ()}, {}),
    ("licence_inactive", "traffic", PLACE, {"licences": (replace(LICENCE, state="inactive"),)}, {}),
    ("licence_expired", "traffic", PLACE, {"licences": (replace(LICENCE, ends=NOW),)}, {}),
    ("service_deactivated", "traffic", PLACE, {"services_off": ("traffic",)}, {}),
    ("privacy_location", "traffic", PLACE, {"mode": "online"}, {}),
    ("privacy_offline", "traffic", PLACE, {"mode": "offline"}, {}),
]
"""All reasons but `user_not_verified`: no online service wants a user whom a dealer has identified."""


@pytest.mark.parametrize(("reason", "name", "data", "car", "consents"), REFUSED)
def test_each_reason_is_the_error_of_the_reply(
    reason: str, name: str, data: dict[str, Any], car: dict[str, Any], consents: dict[str, bool]
) -> None:
    assert Lab(replace(CAR, **car), None, **consents).request(name, **data) == reason
    assert Lab().request("traffic", OTHER, **PLACE) in {None, "no_map_data"}, "a car without people asks as before"


def test_the_primary_user_is_asked_for_by_account_or_by_role_and_the_rule_does_not_judge_names_again() -> None:
    lab = Lab()
    for user in ("primary", "p1", "p2"):
        assert lab.request("personalisation", action="save", user=user, settings=[]) is None
    assert lab.request("store_purchase", product="no_such_thing", user="p1") == "not_found"
    assert lab.request("internet_radio", OTHER, station="x", user="guest-1") == "insufficient_rights", (
        "names count without people"
    )


def test_a_refusal_lives_as_long_as_somebody_waits_for_it() -> None:
    lab = Lab(replace(CAR, licences=()))
    for late, count in ((-1, 1), (0, 0), (1, 0)):
        until = NOW + MINUTE
        lab.now = until + late
        asked = Request(
            vin=VIN, boot=1, seq=1, captured_at=NOW, id="q", name="traffic", data=dict(PLACE), expires_at=until
        )  # fmt: skip
        replies = [output for output in lab.give(asked) if isinstance(output, SendReply)]
        assert len(replies) == count
        assert all((reply.reply.error, reply.lifetime) == ("licence_missing", 1) for reply in replies)


def test_whom_a_car_means() -> None:
    rights = CarRights(users={"p1": UserRights("primary"), "p2": UserRights("guest")})
    assert [in_car(rights, name) for name in ("primary", "p1", "p2", "p9", None, 7)] == ["p1", "p1", "p2", *[ANYBODY] * 3]
    assert in_car(CarRights(), "primary") is None


def test_requests_by_which_somebody_becomes_known_are_not_judged() -> None:
    assert {"enrolment", "log_in"} == BECOMING_KNOWN
    lab = Lab(replace(CAR, users={}, licences=()))
    assert lab.request("enrolment") not in {"insufficient_rights", "licence_missing"}


# --- services that tools ask


@pytest.mark.parametrize(
    ("service", "action", "data", "may"),
    [
        ("partner", "choose", {"partner": "North"}, {"p1"}),
        ("partner", "automatic", {"on": False}, {"p1"}),
        ("partner", "show", {}, {"p1", "p2"}),
        ("online", "show", {}, {"p1"}),
        ("online", "set_holder", {"name": "Anna"}, {"p1"}),
        ("online", "install_certificate", {"contract": "C1"}, {"p1"}),
        ("online", "remove_certificate", {}, {"p1"}),
    ],
)
def test_who_may_ask_what_about_a_car(service: str, action: str, data: dict[str, Any], may: set[str]) -> None:
    lab = Lab(service_partner=True)
    for person in ("p1", "p2", "p3", "p9"):
        answer = lab.ask(service, action, person=person, **data)
        assert (answer.reason is None) == (person in may), (person, answer)
        assert answer.reason in {None, "insufficient_rights"}
    assert lab.ask(service, action, **data).state == "succeeded", "a tool that names nobody speaks for the primary user"
    assert lab.ask(service, action, user="primary", **data).state == "succeeded"
    assert lab.ask(service, action, user="nobody@example.com", **data).reason == "insufficient_rights"
    over = lab.ask(service, action, proofs={"session": Proof()}, **data)
    assert over.reason == "insufficient_rights", "a session that is over speaks for nobody"
    assert lab.ask(service, action, OTHER, **data).state == "succeeded"


EVERY = [(service, action) for service, entry in load_actions().items() for action in entry.actions]


@pytest.mark.parametrize("vin", [VIN, OTHER])
@pytest.mark.parametrize(("service", "action"), EVERY)
def test_a_session_that_does_not_hold_speaks_for_nobody(service: str, action: str, vin: str) -> None:
    """Whatever is asked, of a car with people or without: nothing is done, but for what proves by itself who asks."""
    lab = Lab()
    given = lab.give(
        ServiceAsked(
            ServiceRequest(id="r", service=service, action=action, vin=vin, data={}), "t", (), None, {"session": Proof()}
        )
    )
    (answer,) = [output.answer for output in given if isinstance(output, Answer)]
    assert answer.state != "succeeded" or (service, action) == ("account", "send_link")
    if service != ACCOUNT or action not in WITHOUT_SESSION:
        assert answer.reason == "insufficient_rights"


def test_a_driver_agrees_to_an_update_as_the_primary_user() -> None:
    lab = Lab()
    assert lab.ask("campaign", "consent", person="p2", campaign="spring").reason == "insufficient_rights"
    assert lab.ask("campaign", "consent", person="p1", campaign="spring").reason == "not_found"


def test_contracts_are_made_without_a_licence_and_in_every_privacy_mode() -> None:
    lab = Lab(replace(CAR, licences=(), mode="offline"), service_partner=True)
    assert lab.ask("partner", "choose", partner="North").state == "succeeded"


def test_every_purpose_and_role_of_an_action_is_known() -> None:
    for entry in load_actions().values():
        assert entry.consent is None or entry.consent in PURPOSES
        for action in entry.actions.values():
            assert action.consent is None or action.consent in PURPOSES
            assert action.car or not action.may, "only what is about a car can be judged"


# --- the service partner


def test_a_partner_is_chosen_and_told_only_with_consent() -> None:
    lab = Lab()
    assert lab.ask("partner", "choose", partner="North").reason == "consent_missing", "it wants a word of its own"
    given = Lab(service_partner=True)
    given.ask("partner", "choose", partner="North")
    assert notices(given.event("fault", **FAULT)) == ["service_partner fault"]


@pytest.mark.parametrize(
    "changed",
    [
        {"users": {"p2": CarUser(role="additional", since=NOW)}},
        {"licences": ()},
        {"mode": "offline"},
        {"services_off": ("partner",)},
    ],
)
def test_a_partner_is_not_told_without_primary_user_licence_or_against_a_switch(changed: dict[str, Any]) -> None:
    lab = Lab(replace(CAR, **changed), CHOSEN, service_partner=True)
    assert notices(lab.event("fault", **FAULT)) == []
    assert notices(lab.event("fault", OTHER, **FAULT)) == ["service_partner fault"], "other cars are served as before"


def test_a_consent_taken_back_stops_the_partner() -> None:
    for given, told in ((True, ["service_partner fault"]), (False, [])):
        lab = Lab(CAR, CHOSEN, service_partner=given)
        assert notices(lab.event("fault", **FAULT)) == told


# --- calls


def test_a_breakdown_call_wants_a_licence_and_the_driver_is_told_why_not() -> None:
    outputs = Lab(replace(CAR, licences=())).event("breakdown_call", **BREAKDOWN)
    assert notices(outputs) == []
    assert [o.reply.error for o in outputs if isinstance(o, SendReply)] == ["licence_missing"]
    info = Lab(replace(CAR, mode="offline")).event("info_call", id="c1", registered_in="DE")
    assert [o.reply.error for o in info if isinstance(o, SendReply)] == ["privacy_offline"]
    assert Lab(replace(CAR, licences=())).event("info_call") == [], "one that cannot be answered"


def test_an_emergency_call_goes_on_whatever_is_switched_off_or_over() -> None:
    lab = Lab(replace(CAR, licences=(), mode="offline", users={}))
    (told,) = [output for output in lab.event("ecall", id="c1", position=PLACE) if isinstance(output, Notify)]
    assert told.data["position"] == PLACE


def test_a_call_goes_on_without_the_position_that_may_not_be_told() -> None:
    for mode, place in (("online_with_location", PLACE), ("online", None)):
        outputs = Lab(replace(CAR, mode=mode)).event("breakdown_call", **BREAKDOWN)
        (told,) = [output for output in outputs if isinstance(output, Notify)]
        assert told.data.get("position") == place
