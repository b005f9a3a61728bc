"""The desk and the people of a car: it asks the one question when a command comes, and again before it is sent."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cloud.car_settings import ReportedSettings
from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import (
    Answer,
    BackEndAsked,
    CarSwitched,
    CommandAsked,
    CommandOpened,
    CommandRecord,
    DeskStart,
    KeepSpin,
    LateResult,
    Restored,
    RightsChanged,
    SendCommand,
    SpinSettingAsked,
    Transition,
)
from fleet.cloud.rights import CarRights, Terms, UserRights
from fleet.kernel.instants import DAY, MINUTE
from fleet.wire.messages import CommandRequest, DeskAnswer, Event, SetSpin
from tests.cloud.desk_lab import START, TOPIC, VIN, WHERE, DeskLab, fake_hash, outcome

ALWAYS = {package: Terms(((START - DAY, START + DAY),)) for package in ("safety", "remote", "online")}
USERS = {
    "p1": UserRights("primary", identified=True),
    "p2": UserRights("additional", allowed=("lock",), identified=True),
    "p3": UserRights("guest"),
}
CAR = CarRights(users=USERS, terms=ALWAYS, generation="G4")


class PeopleDesk(DeskLab):
    """A desk that knows the people of a car; the S-PIN of each is 1234."""

    def __init__(self, rights: CarRights | None = CAR, *, manual: bool = False) -> None:
        super().__init__(desk=Desk(rights={} if rights is None else {VIN: rights}))
        for account in ("p1", "p2"):
            self.give(SpinSettingAsked(SetSpin(id=f"s-{account}", vin="", spin="1234", user=account), TOPIC))
        self.manual = manual

    def has(self, rights: CarRights | None) -> None:
        self.give(RightsChanged(VIN, rights))

    def by(
        self,
        person: str | None,
        request_id: str,
        name: str = "honk",
        *,
        in_session: bool = False,
        ended: bool = False,
        **more: Any,
    ) -> DeskAnswer | None:
        parameters = more.pop("parameters", WHERE if name == "honk" else {})
        request = CommandRequest(id=request_id, vin=VIN, name=name, parameters=parameters, user=more.pop("user", person), **more)
        self.give(CommandAsked(request, TOPIC, None, person, in_session, ended))
        return self.last(request_id)

    def record(self, request_id: str) -> CommandRecord:
        return next(output.record for output in self.of(CommandOpened) if output.record.id == request_id)


REFUSALS = [
    ("insufficient_rights", "p3", "honk", {}),
    ("insufficient_rights", "p2", "honk", {}),
    ("user_not_verified", "p1", "lock", {"users": {"p1": UserRights("primary")}}),
    ("consent_missing", "p1", "honk", {"users": {"p1": UserRights("primary", refused=("location",))}}),
    ("licence_missing", "p1", "honk", {"terms": {}}),
    ("licence_inactive", "p1", "honk", {"terms": {"remote": Terms((), inactive=True)}}),
    ("licence_expired", "p1", "honk", {"terms": {"remote": Terms(((START - DAY, START),))}}),
    ("service_deactivated", "p1", "honk", {"services_off": ("honk",)}),
    ("privacy_location", "p1", "honk", {"mode": "online"}),
    ("privacy_offline", "p1", "honk", {"mode": "offline"}),
]


@pytest.mark.parametrize(("reason", "who", "name", "changed"), REFUSALS)
def test_each_reason_is_given_and_nothing_is_sent(reason: str, who: str, name: str, changed: dict[str, Any]) -> None:
    lab = PeopleDesk(replace(CAR, **changed))
    assert outcome(lab.by(who, "a", name, spin="1234" if name == "lock" else None)) == ("rejected", reason)
    assert not lab.of(SendCommand)
    assert lab.record("a").user == who


def test_what_is_asked_as_the_primary_user_is_kept_under_the_account() -> None:
    lab = PeopleDesk()
    assert outcome(lab.by(None, "a", user="primary")) == ("queued", None)
    assert outcome(lab.by(None, "b", user=None)) == ("queued", None)
    assert [lab.record(each).user for each in "ab"] == ["p1", "p1"]


def test_a_name_that_is_nobodys_is_refused_and_not_kept() -> None:
    """It may be the e-mail of somebody who has never been here."""
    lab = PeopleDesk()
    assert outcome(lab.by(None, "a", user="anna@example.com")) == ("rejected", "insufficient_rights")
    assert lab.record("a").user == "nobody"


def test_a_session_that_is_over_is_nobodys_whoever_else_is_named() -> None:
    lab = PeopleDesk()
    assert outcome(lab.by(None, "a", user="primary", ended=True)) == ("rejected", "insufficient_rights")
    assert lab.record("a").user == "nobody"
    bare = PeopleDesk(None)
    assert outcome(bare.by(None, "a", user="primary", ended=True)) == ("rejected", "insufficient_rights")


def test_somebody_with_an_account_is_no_user_of_a_car_without_people() -> None:
    assert outcome(PeopleDesk(None).by("p1", "a")) == ("rejected", "insufficient_rights")


def test_a_car_without_people_whose_licence_is_over_is_still_its_primary_users() -> None:
    lab = PeopleDesk(CarRights(terms={"remote": Terms(((START - DAY, START + DAY),))}, people=False))
    lab.set_spin("4321")
    assert outcome(lab.by(None, "a", "lock", user=None, spin="4321")) == ("queued", None)
    assert lab.record("a").user == "primary"
    assert outcome(lab.by(None, "b", "honk", user="anna")) == ("rejected", "insufficient_rights")
    lab.now += DAY
    assert outcome(lab.by(None, "c", "honk", user=None)) == ("rejected", "licence_expired")


# --- S-PIN


@pytest.mark.parametrize(
    ("name", "parameters", "in_session", "state"),
    [
        ("climatisation", {"action": "start"}, True, "queued"),
        ("climatisation", {"action": "start"}, False, "rejected"),
        ("climatisation", {"action": "stop"}, False, "rejected"),
        ("heater", {"action": "stop"}, True, "queued"),
        ("heater", {"action": "stop"}, False, "rejected"),
        ("heater", {"action": "start"}, True, "rejected"),
        ("lock", {}, True, "rejected"),
        ("ventilation", {"action": "start"}, True, "rejected"),
    ],
)
def test_a_session_counts_as_s_pin_for_climatisation_and_to_stop_the_heater(
    name: str, parameters: dict[str, Any], in_session: bool, state: str
) -> None:
    answer = PeopleDesk().by("p1", "a", name, in_session=in_session, parameters=parameters)
    assert outcome(answer) == (state, "spin_required" if state == "rejected" else None)


def test_the_s_pin_of_an_account_is_tried_three_times_over_all_its_cars() -> None:
    lab = PeopleDesk()
    for number in range(3):
        assert outcome(lab.by("p1", f"a{number}", "lock", spin="0000"))[1] == "spin_wrong"
    assert outcome(lab.by("p1", "b", "lock", spin="1234")) == ("rejected", "spin_locked")
    assert outcome(lab.by("p2", "c", "lock", spin="1234")) == ("queued", None), "that of another user is another one"


# --- rights that are lost while a command is under way

LOST = [
    ("insufficient_rights", replace(CAR, users={"p9": UserRights("primary", identified=True)})),
    ("insufficient_rights", None),
    ("insufficient_rights", CarRights(terms=ALWAYS, people=False)),
    ("user_not_verified", replace(CAR, users={"p1": UserRights("primary")})),
    ("licence_missing", replace(CAR, terms={})),
    ("privacy_offline", replace(CAR, mode="offline")),
]


@pytest.mark.parametrize(("reason", "rights"), LOST)
def test_rights_that_are_lost_while_the_s_pin_is_checked_are_lost_for_the_command(reason: str, rights: CarRights | None) -> None:
    """A take-over, an erasure, a licence, a switch: what counts is when it would be sent."""
    lab = PeopleDesk(manual=True)
    lab.by("p1", "a", "lock", spin="1234")
    lab.has(rights)
    lab.work_off()
    answer = lab.last("a")
    assert outcome(answer) == ("rejected", reason)
    assert answer is not None
    assert answer.token is None
    assert not lab.of(SendCommand)
    assert lab.states("a") == ["rejected"]


NEXT = replace(CAR, users={"p9": UserRights("primary"), "p3": USERS["p3"]})
"""After a take-over; one of those before is a user of the next owner, too."""


def test_who_is_no_user_any_more_has_no_command_open() -> None:
    """Where it was sent nobody knows whether the car obeys; what comes of it is kept, and not told."""
    lab = PeopleDesk()
    for state in ("queued", "sent", "accepted"):
        lab.by("p1", state, "refresh")
        if state != "queued":
            lab.published(state)
    lab.car("accepted", "accepted")
    lab.has(NEXT)
    assert [outcome(lab.last(each)) for each in ("queued", "sent", "accepted")] == [("unknown", None)] * 3
    told = len(lab.of(Answer))
    lab.published("queued")
    for each in ("queued", "sent", "accepted"):
        lab.car(each, "succeeded")
    assert len(lab.of(Answer)) == told
    assert [(late.command_id, late.state) for late in lab.of(LateResult)] == [
        ("queued", "succeeded"), ("sent", "succeeded"), ("accepted", "succeeded"),
    ]  # fmt: skip
    assert lab.desk.open_count == 0


def test_commands_of_who_stays_a_user_and_of_the_back_end_go_on() -> None:
    lab = PeopleDesk(replace(CAR, users={**USERS, "p3": UserRights("additional")}))
    lab.by("p3", "mine", "refresh")
    lab.give(BackEndAsked(CommandRequest(id="own", vin=VIN, name="enrol_user", parameters={"user": "p9"})))
    lab.has(NEXT)
    assert outcome(lab.last("mine")) == ("queued", None)
    assert lab.states("own") == ["queued"]


def test_a_reset_is_answered_although_its_user_goes_by_it() -> None:
    lab = PeopleDesk()
    lab.by("p1", "a", "reset")
    lab.has(replace(CAR, users={}))
    lab.car("a", "succeeded")
    assert outcome(lab.last("a")) == ("succeeded", None)


def test_a_licence_that_ends_while_the_s_pin_is_checked() -> None:
    lab = PeopleDesk(manual=True)
    lab.by("p1", "a", "lock", spin="1234")
    lab.now = START + DAY
    lab.work_off()
    assert outcome(lab.last("a")) == ("rejected", "licence_expired")


def test_a_switch_in_the_car_while_the_s_pin_is_checked() -> None:
    lab = PeopleDesk(manual=True)
    lab.by("p1", "a", "lock", spin="1234")
    data = {"mode": "offline", "services_off": []}
    lab.give(CarSwitched(Event(vin=VIN, boot=1, seq=2, captured_at=START, name="privacy_changed", data=data)))
    lab.work_off()
    assert outcome(lab.last("a")) == ("rejected", "privacy_offline")


def test_somebody_who_enrols_a_car_without_people_takes_what_was_being_asked_for_it() -> None:
    lab = PeopleDesk(None)
    lab.set_spin("1234")
    lab.manual = True
    lab.by(None, "a", "lock", spin="1234", user=None)
    lab.has(CAR)
    lab.work_off()
    assert outcome(lab.last("a")) == ("rejected", "insufficient_rights")


def test_what_was_asked_before_a_restart_is_judged_again_before_it_is_sent_again() -> None:
    lab = PeopleDesk()
    lab.by("p1", "a")
    opened = lab.record("a")
    lab.desk = Desk(rights={VIN: replace(CAR, users={"p9": UserRights("primary")})})
    lab.outputs.clear()
    lab.give(Restored([replace(opened, state="queued")]))
    assert [(change.state, change.reason) for change in lab.of(Transition)] == [("rejected", "insufficient_rights")]
    assert not lab.of(SendCommand)


# --- the back end itself


def test_the_back_end_is_asked_for_no_rights_but_heeds_the_switches() -> None:
    lab = PeopleDesk(replace(CAR, users={}, terms={}))
    lab.give(BackEndAsked(CommandRequest(id="a", vin=VIN, name="unlock")))
    assert lab.states("a") == ["queued"]
    assert lab.record("a").user == "back_end"
    lab.has(replace(CAR, mode="offline"))
    lab.give(BackEndAsked(CommandRequest(id="b", vin=VIN, name="unlock")))
    assert [(change.state, change.reason) for change in lab.of(Transition)[-1:]] == [("rejected", "privacy_offline")]


def test_the_switch_in_the_car_counts_beside_that_in_the_app() -> None:
    reported = {VIN: ReportedSettings(boot=1, seq=1, services_off=("honk",))}
    lab = DeskLab(desk=Desk(rights={VIN: CAR}, settings=reported))
    lab.give(CommandAsked(CommandRequest(id="a", vin=VIN, name="honk", parameters=WHERE), TOPIC, None, "p1"))
    assert outcome(lab.last("a")) == ("rejected", "service_deactivated")
    lab.wake(MINUTE)


def test_a_car_that_was_forgotten_is_still_asked_to_forget_its_people_after_a_restart() -> None:
    """A user may not: nothing is known of it."""
    start = DeskStart(factor=1.0, users=[], known_vins=[], presence=[], forgotten=[VIN])
    desk = Desk.begin(start)
    reset = CommandRequest(id="centre-people-erasure-1", vin=VIN, name="reset")
    assert any(isinstance(output, SendCommand) for output in desk.receive(BackEndAsked(reset), START))
    asked = CommandAsked(CommandRequest(id="two", vin=VIN, name="refresh"), "t")
    (change,) = [output for output in desk.receive(asked, START) if isinstance(output, Transition)]
    assert change.reason == "unknown_vin"


def keeps(lab: PeopleDesk, spin: str) -> None:
    """Set another S-PIN of the primary user, as the app does: its driver has hashed it."""
    lab.give(KeepSpin("p1", fake_hash(spin).text))


def test_a_token_of_the_s_pin_before_is_worth_nothing() -> None:
    lab = PeopleDesk()
    answer = lab.by("p1", "a", "lock", spin="1234")
    assert answer is not None
    assert outcome(lab.by("p1", "b", "lock", token=answer.token)) == ("queued", None)
    keeps(lab, "4711")
    assert outcome(lab.by("p1", "c", "lock", token=answer.token)) == ("rejected", "spin_required")
    assert outcome(lab.by("p1", "d", "lock", spin="1234")) == ("rejected", "spin_wrong")
    assert outcome(lab.by("p1", "e", "lock", spin="4711")) == ("queued", None)


def test_an_s_pin_that_is_being_checked_while_another_is_set_has_to_be_asked_for_again() -> None:
    """It was right when it was typed, and is not any more."""
    lab = PeopleDesk(manual=True)
    lab.by("p1", "a", "lock", spin="1234")
    keeps(lab, "4711")
    lab.work_off()
    assert outcome(lab.last("a")) == ("rejected", "busy")
    assert not lab.of(SendCommand)
