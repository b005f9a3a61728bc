"""Privacy in the app: the switch in the car wins, both are kept, and what a consent is for stops without it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cloud.car_settings import ReportedSettings
from fleet.cloud.desk_io import Answer, RightsChanged
from fleet.cloud.people.privacy import KEPT_SPANS, KEPT_SWITCHES, Privacy, opened, switchable, with_mode
from fleet.cloud.people.records import CarPeople, CarUser
from fleet.cloud.rights import PURPOSES, Private
from fleet.cloud.rule import AskCar, Mail, ServiceAsked
from fleet.kernel.instants import DAY, HOUR, MINUTE
from fleet.wire.messages import DeskAnswer, Event, ServiceRequest
from tests.cloud.people.enrolling import ANNA, BORN, EnrolLab
from tests.cloud.people.lab import OTHER, START, TOPIC, VIN, PeopleLab


class Lab(PeopleLab):
    """A car of the fourth generation with three users: p1, p2 and p3. `reported` is what the car has said of its switch."""

    def __init__(self, generation: str = "G4", *, managed: bool = True) -> None:
        super().__init__()
        self.owner = self.person()
        self.second = self.person("bo@example.com")
        self.guest = self.person("cy@example.com")
        users = {
            self.owner: CarUser(role="primary", since=START),
            self.second: CarUser(role="additional", since=START),
            self.guest: CarUser(role="guest", since=START),
        }
        car = CarPeople(vin=VIN, managed=managed, generation=generation, users=users if managed else {})
        self.people.put_car(car)
        self.done("account", "consent", person=self.owner, what="terms", version="2", given=True)  # the rule tells the rights
        self.reported: ReportedSettings | None = None

    def privacy(self, action: str, person: str | None = None, vin: str | None = VIN, **data: Any) -> DeskAnswer:
        self._asked += 1
        request = ServiceRequest(id=f"p{self._asked}", service="privacy", action=action, vin=vin, data=data, user=person)
        self.give(ServiceAsked(request, TOPIC, (), person, reported=self.reported))
        (answer,) = self.those(Answer)
        return answer.answer

    def in_car(self, mode: str, *services_off: str, captured_at: int | None = None) -> None:
        """Turn the switch in the car; the back end hears of it now."""
        self._seq += 1
        data = {"mode": mode, "services_off": list(services_off)}
        at = self.now if captured_at is None else captured_at
        event = Event(vin=VIN, boot=1, seq=self._seq, captured_at=at, name="privacy_changed", data=data)
        self.reported = ReportedSettings(boot=1, seq=self._seq, mode=mode, services_off=services_off)  # type: ignore[arg-type]
        self.give(event)

    @property
    def mode(self) -> str:
        return self.people.car(VIN).mode

    def switches(self) -> list[tuple[str, str, str, str]]:
        shown = (self.privacy("history", self.owner).data or {})["switches"]
        return [(each["what"], each["value"], each["by"], each["who"]) for each in shown]


# --- the mode


def test_a_mode_of_the_app_goes_to_the_desk_and_stands_in_the_history_with_time_and_author() -> None:
    lab = Lab()
    lab.wait(MINUTE)
    answer = lab.privacy("set", lab.owner, mode="online")
    assert answer.data is not None
    assert (answer.data["mode"], answer.data["in_app"], answer.data["in_car"]) == ("online", "online", "online_with_location")
    rights = lab.rights()
    assert rights is not None
    assert (rights.mode, rights.private) == ("online", (Private(START + MINUTE, None, "online"),))
    (turn,) = lab.people.car(VIN).switches
    assert (turn.at, turn.by, turn.who) == (START + MINUTE, "app", lab.owner)
    lab.wait(MINUTE)
    lab.privacy("set", lab.second, mode="online_with_location")
    rights = lab.rights()
    assert rights is not None
    assert (rights.mode, rights.private) == ("online_with_location", (Private(START + MINUTE, START + 2 * MINUTE, "online"),))
    assert lab.switches() == [
        ("mode", "online", "app", lab.owner),
        ("mode", "online_with_location", "app", lab.second),
    ]


def test_what_is_set_already_is_no_turn() -> None:
    lab = Lab()
    lab.privacy("set", lab.owner, mode="offline")
    lab.privacy("set", lab.owner, mode="offline")
    assert not lab.those(RightsChanged)
    assert len(lab.people.car(VIN).switches) == 1


@pytest.mark.parametrize(
    ("generation", "asked", "mode"),
    [
        ("G3", "offline", "maximum_privacy"),
        ("G3", "maximum_privacy", "maximum_privacy"),
        ("G3", "online", None),
        ("G4", "maximum_privacy", "offline"),
        ("G4", "online", "online"),
        ("", "maximum_privacy", "maximum_privacy"),
    ],
)
def test_a_car_has_the_modes_of_its_generation(generation: str, asked: str, mode: str | None) -> None:
    lab = Lab(generation)
    answer = lab.privacy("set", lab.owner, mode=asked)
    assert answer.reason == ("argument_out_of_range" if mode is None else None)
    assert lab.mode == (mode or "online_with_location")


def test_all_users_may_turn_the_mode_and_the_primary_user_alone_services_and_looks_at_the_history() -> None:
    """Private mode is for everybody in the car; the rest is the contract's."""
    lab = Lab()
    stranger = lab.person("di@example.com")
    may = {"set": (None, None, None), "show": (None, None, None), "service": (None, *["insufficient_rights"] * 2)}
    for action, reasons in {**may, "history": may["service"]}.items():
        words: Any = {"set": {"mode": "online"}, "service": {"name": "honk", "on": False}}.get(action, {})
        who = (lab.owner, lab.second, lab.guest)
        assert tuple(lab.privacy(action, person, **words).reason for person in who) == reasons, action
        assert lab.privacy(action, stranger, **words).reason == "insufficient_rights"


# --- the switch in the car wins


def test_the_app_does_not_open_what_the_car_keeps_shut() -> None:
    lab = Lab()
    lab.in_car("offline", "honk")
    for mode in ("online", "online_with_location"):
        assert lab.privacy("set", lab.owner, mode=mode).reason == "switched_in_car"
    assert lab.privacy("service", lab.owner, name="honk", on=True).reason == "switched_in_car"
    shown = lab.privacy("show", lab.owner).data
    assert shown is not None
    assert (shown["mode"], shown["services_off"], shown["off_in_car"]) == ("offline", ["honk"], ["honk"])
    assert lab.privacy("set", lab.owner, mode="offline").state == "succeeded", "the app may want the same"


def test_a_turn_of_the_switch_in_the_car_ends_what_the_app_wanted_of_the_same() -> None:
    lab = Lab()
    lab.privacy("set", lab.owner, mode="offline")
    lab.privacy("service", lab.owner, name="honk", on=False)
    lab.privacy("service", lab.owner, name="refresh", on=False)
    lab.wait(HOUR)
    lab.in_car("online", "honk")
    assert (lab.mode, lab.people.car(VIN).services_off) == ("online_with_location", ("honk", "refresh"))
    lab.in_car("online")
    assert lab.people.car(VIN).services_off == ("refresh",), "switched on in the car"
    rights = lab.rights()
    assert rights is not None
    assert rights.private == (Private(START, START + HOUR, "offline"),)
    assert lab.switches()[-3:] == [
        ("mode", "online", "car", "car"), ("honk", "off", "car", "car"), ("honk", "on", "car", "car"),
    ]  # fmt: skip


def test_what_the_car_says_again_is_no_turn() -> None:
    """It tells its switch at each start; the app's stays."""
    lab = Lab()
    lab.in_car("online_with_location")
    lab.privacy("set", lab.owner, mode="offline")
    lab.in_car("online_with_location")
    assert lab.mode == "offline"


def test_a_turn_in_the_car_that_is_heard_of_late_ends_nothing_that_came_after_it() -> None:
    lab = Lab()
    lab.wait(HOUR)
    lab.privacy("set", lab.owner, mode="offline")
    lab.privacy("service", lab.owner, name="honk", on=False)
    lab.in_car("online", "honk", captured_at=START + MINUTE)
    lab.in_car("online", captured_at=START + 2 * MINUTE)
    assert (lab.mode, lab.people.car(VIN).services_off) == ("offline", ("honk",))
    assert [what for what, _, by, _ in lab.switches() if by == "car"] == ["mode", "honk", "honk"]
    assert [turn.at for turn in lab.people.car(VIN).switches] == [START + MINUTE] * 2 + [START + 2 * MINUTE] + [START + HOUR] * 2


def test_an_older_message_of_the_car_than_the_last_says_nothing() -> None:
    lab = Lab()
    lab.in_car("online")
    event = Event(vin=VIN, boot=1, seq=0, captured_at=START, name="privacy_changed", data={"mode": "offline"})
    lab.give(event)
    assert len(lab.switches()) == 1


def test_factory_settings_end_what_the_app_wanted_before() -> None:
    lab = Lab()
    lab.privacy("set", lab.owner, mode="offline")
    lab.privacy("service", lab.owner, name="honk", on=False)
    lab.wait(HOUR)
    lab.event("car_reset", user=lab.guest)
    assert lab.mode == "offline", "one user alone was deleted"
    lab.event("car_reset")
    car = lab.people.car(VIN)
    assert (car.mode, car.services_off, car.private) == ("online_with_location", (), (Private(START, START + HOUR, "offline"),))


def test_a_car_of_which_nothing_is_kept_is_left_alone() -> None:
    lab = Lab()
    event = Event(vin=OTHER, boot=1, seq=1, captured_at=START, name="privacy_changed", data={"mode": "offline"})
    assert not lab.centre.wants(event)
    assert lab.give(event) == []
    assert OTHER not in lab.people.cars


# --- services


def test_services_are_those_of_the_app_and_no_others() -> None:
    lab = Lab()
    assert {"honk", "traffic", "partner"} <= set(switchable())
    assert not {"reset", "enrol_user", "show_notice", "enrolment"} & set(switchable())
    assert lab.privacy("service", lab.owner, name="reset", on=False).reason == "unsupported"
    assert lab.privacy("service", lab.owner, name="dance", on=False).reason == "unsupported"


@pytest.mark.parametrize(
    ("name", "command"),
    [("area_alert", ("area_alert", {"zones": []})), ("speed_alert", ("speed_alert", {"action": "stop"})), ("honk", None)],
)
def test_a_service_that_goes_on_in_the_car_is_ended_there(name: str, command: tuple[str, Any] | None) -> None:
    lab = Lab()
    lab.privacy("service", lab.owner, name=name, on=False)
    assert [(asked.name, asked.parameters) for asked in lab.those(AskCar)] == ([] if command is None else [command])
    lab.privacy("service", lab.owner, name=name, on=True)
    assert not lab.those(AskCar)


# --- consents


def test_a_consent_taken_back_is_mailed_and_ends_what_it_was_for_in_the_persons_own_cars() -> None:
    lab = Lab()
    users = {lab.second: CarUser(role="primary", since=START), lab.owner: CarUser(role="guest", since=START)}
    lab.people.put_car(CarPeople(vin=OTHER, managed=True, users=users))
    answer = lab.privacy("consent", lab.owner, vin=None, purpose="location", given=False)
    assert answer.data == {"consents": {"location": False, "profile": True, "service_partner": False}}
    (mail,) = lab.those(Mail)
    assert (mail.kind, mail.data, mail.account) == ("consent_withdrawn", {"what": "location"}, lab.owner)
    assert [(asked.vin, asked.name) for asked in lab.those(AskCar)] == [(VIN, "area_alert"), (VIN, "speed_alert")]
    rights = lab.rights()
    assert rights is not None
    assert rights.users[lab.owner].refused == ("location", "service_partner")
    again = lab.privacy("consent", lab.owner, vin=None, purpose="location", given=False)
    assert again.state == "succeeded"
    assert not lab.those(Mail), "told once"


def test_a_purpose_that_is_taken_back_as_a_text_of_the_account_ends_the_same() -> None:
    lab = Lab()
    lab.done("account", "consent", person=lab.owner, what="location", version="1", given=False)
    assert [mail.data for mail in lab.those(Mail)] == [{"what": "location"}]
    assert [(asked.vin, asked.name) for asked in lab.those(AskCar)] == [(VIN, "area_alert"), (VIN, "speed_alert")]
    lab.done("account", "consent", person=lab.owner, what="location", version="1", given=False)
    assert not lab.those(Mail), "told once"


def test_a_purpose_of_its_own_wants_a_word_of_its_own() -> None:
    lab = Lab()
    before, after = (
        lab.privacy("consent", lab.owner, vin=None, purpose="service_partner", given=given).data for given in (False, True)
    )
    assert not lab.those(Mail)
    assert [shown and shown["consents"]["service_partner"] for shown in (before, after)] == [False, True]
    assert lab.privacy("consent", lab.owner, vin=None, purpose="fun", given=True).reason == "argument_out_of_range"
    assert lab.privacy("consent", None, vin=None, purpose="location", given=True).reason == "insufficient_rights"
    assert set(PURPOSES) == {"location", "profile", "service_partner"}


# --- cars without people


def test_of_a_car_without_people_the_app_is_its_nameless_primary_users() -> None:
    lab = Lab(managed=False)
    assert lab.privacy("set", mode="offline").state == "succeeded"
    rights = lab.rights()
    assert rights is not None
    assert (rights.people, rights.mode, rights.terms) == (False, "offline", None)
    assert [turn.who for turn in lab.people.car(VIN).switches] == ["primary"]


def test_whoever_names_nobody_asks_as_the_primary_user() -> None:
    lab = Lab()
    lab.privacy("set", None, mode="online")
    assert [turn.who for turn in lab.people.car(VIN).switches] == [lab.owner]


# --- what is kept


def test_a_new_owner_sees_no_turn_of_before_and_finds_all_open() -> None:
    lab = Lab()
    lab.privacy("set", lab.owner, mode="offline")
    lab.wait(DAY)
    car = opened(lab.people.car(VIN), lab.now)
    lab.people.put_car(replace(car, users={lab.second: CarUser(role="primary", since=lab.now)}))
    lab.done("account", "consent", person=lab.second, what="terms", version="2", given=True)
    shown = lab.privacy("history", lab.second).data
    assert shown == {"switches": []}
    assert lab.mode == "online_with_location"


def test_history_and_private_times_have_a_bound() -> None:
    lab = Lab()
    for number in range(KEPT_SWITCHES + 1):
        lab.now += MINUTE
        lab.privacy("set", lab.owner, mode=("offline", "online_with_location")[number % 2])
    car = lab.people.car(VIN)
    assert (len(car.switches), len(car.private)) == (KEPT_SWITCHES, KEPT_SPANS)
    assert car.private[0].begins == START + MINUTE, "the oldest hides all that those before it hid"


def test_two_old_private_times_become_the_stricter_one() -> None:
    car = CarPeople(vin=VIN)
    for number in range(2 * (KEPT_SPANS + 1)):
        mode = "online_with_location" if number % 2 else "offline" if number == 0 else "online"
        car = with_mode(car, mode, START + number * MINUTE)  # type: ignore[arg-type]
    assert car.private[0] == Private(START, START + 3 * MINUTE, "offline")


def test_a_time_of_no_length_hides_nothing_and_is_not_kept() -> None:
    car = with_mode(with_mode(CarPeople(vin=VIN), "offline", START), "online_with_location", START)
    assert car.private == ()


def test_a_clock_set_back_does_not_uncover_what_comes_while_a_mode_lasts() -> None:
    lab = Lab()
    part = Privacy(lab.people)
    assert not part.has_pending_times()
    lab.privacy("set", lab.owner, mode="online")
    assert part.has_pending_times()
    lab.set_clock(-DAY)
    assert lab.people.car(VIN).private == (Private(START - DAY, None, "online"),)
    rights = lab.rights()
    assert rights is not None
    assert rights.private == (Private(START - DAY, None, "online"),), "the desk is told at once"
    lab.set_clock(2 * DAY)
    assert lab.people.car(VIN).private[0].begins == START - DAY, "and one set forward uncovers nothing that was hidden"


def test_all_is_there_after_a_restart() -> None:
    lab = Lab()
    lab.privacy("set", lab.owner, mode="online")
    lab.in_car("online_with_location", "honk")
    again = lab.again()
    assert again.people.car(VIN) == lab.people.car(VIN)


def test_a_switch_that_was_turned_before_anybody_had_the_car_wins_with_its_next_turn_all_the_same() -> None:
    lab = EnrolLab()
    lab.event("privacy_changed", BORN, mode="online", services_off=[])
    lab.wait(MINUTE)
    lab.enrols(ANNA)
    lab.done("privacy", "set", BORN, person=ANNA, mode="offline")
    lab.wait(MINUTE)
    lab.event("privacy_changed", BORN, mode="online_with_location", services_off=[])
    assert lab.car(BORN).mode == "online_with_location"
    turns = [(turn.by, turn.value, turn.at) for turn in lab.car(BORN).switches]
    assert turns == [("app", "offline", START + MINUTE), ("car", "online_with_location", START + 2 * MINUTE)]


def test_of_a_car_that_nobody_has_asked_about_nothing_is_kept_and_of_another_once() -> None:
    lab = EnrolLab()
    lab.event("privacy_changed", BORN, mode="offline", services_off=[])
    lab.done("enrol", "begin", BORN, person=ANNA, way="qr")
    assert lab.car(BORN).reported == lab.in_desk[BORN]
    lab.done("enrol", "cancel", BORN, person=ANNA)
    assert BORN not in lab.people.cars
