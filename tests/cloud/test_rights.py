"""The one question: who may do what with a car, now."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fleet.cloud.car_settings import ReportedSettings
from fleet.cloud.rights import (
    ALLOWABLE,
    ANYBODY,
    EVERYBODY,
    PURPOSES,
    CarRights,
    Doing,
    Terms,
    UserRights,
    command_doing,
    of_oneself,
    refusal,
    request_doing,
    unlicensed,
)
from fleet.kernel.instants import DAY
from fleet.wire.commands import COMMANDS
from fleet.wire.requests import requests

NOW = 1_772_424_000_000_000
ALWAYS = {package: Terms(((NOW - DAY, NOW + DAY),)) for package in ("safety", "remote", "online")}
USERS = {
    "p1": UserRights("primary", identified=True),
    "p2": UserRights("additional", identified=True),
    "p3": UserRights("guest", identified=True),
    "p4": UserRights("additional", allowed=("lock",), identified=True),
}
CAR = CarRights(users=USERS, terms=ALWAYS, generation="G4")
G3 = replace(CAR, generation="G3")


def why(who: str | None, name: str, car: CarRights | None = CAR, now: int = NOW, reported: Any = None) -> str | None:
    refused = refusal(car, reported, who, command_doing(name), now)
    return None if refused is None else refused[0]


def online(who: str | None, name: str, car: CarRights = CAR) -> str | None:
    refused = refusal(car, None, who, request_doing(name), NOW)
    return None if refused is None else refused[0]


def those(who: str, car: CarRights) -> set[str]:
    return {name for name, command in COMMANDS.items() if command.entry.may != ("back_end",) and why(who, name, car) is None}


# --- roles ------------------------------------------------------------------------------------------------------------

OF_ADDITIONAL = {"honk", "refresh", "route_import"}
COMFORT = {"heater", "ventilation", "ventilation_timers", "climatisation"}
CHARGING = {"charging", "charging_settings", "charging_locations", "departure_timers"}
OF_PRIMARY = {"lock", "unlock", "area_alert", "speed_alert", "reset", "system_update"}


def test_each_role_may_what_the_table_says() -> None:
    """G4: remote commands are the primary user's and whom it allows; G3's secondary user has most of remote access by itself."""
    assert those("p1", CAR) == those("p1", G3) == OF_ADDITIONAL | COMFORT | CHARGING | OF_PRIMARY
    assert those("p2", CAR) == OF_ADDITIONAL
    assert those("p2", G3) == OF_ADDITIONAL | COMFORT | CHARGING
    assert those("p3", CAR) == those("p3", G3) == set()
    assert [why(who, "honk") for who in ("p9", None, ANYBODY)] == ["insufficient_rights"] * 3


def test_what_the_primary_user_allows_is_all_that_an_additional_user_may() -> None:
    assert those("p4", CAR) == those("p4", G3) == {"lock"}
    none = replace(CAR, users={"p4": UserRights("additional", allowed=())})
    assert those("p4", none) == set()
    everything = replace(CAR, users={"p4": UserRights("additional", allowed=tuple(COMMANDS), identified=True)})
    assert those("p4", everything) == ALLOWABLE
    assert OF_ADDITIONAL | COMFORT | CHARGING | OF_PRIMARY - {"reset", "system_update"} == ALLOWABLE
    guest = replace(CAR, users={"p3": UserRights("guest", allowed=("honk",))})
    assert those("p3", guest) == set(), "nobody allows a guest anything"


def test_lock_and_unlock_want_a_user_whom_a_dealer_has_identified() -> None:
    unknown = replace(CAR, users={"p1": UserRights("primary"), "p4": UserRights("additional", allowed=("unlock",))})
    assert [why("p1", name, unknown) for name in ("lock", "unlock", "heater")] == ["user_not_verified", "user_not_verified", None]
    assert why("p4", "unlock", unknown) == "user_not_verified"


def test_an_additional_user_deletes_oneself_and_nobody_else() -> None:
    def judged(who: str, user: str | None) -> str | None:
        doing = of_oneself(command_doing("reset"), who, {} if user is None else {"user": user})
        refused = refusal(CAR, None, who, doing, NOW)
        return None if refused is None else refused[0]

    assert [judged("p2", user) for user in ("p2", "p1", "p4", None)] == [None, *["insufficient_rights"] * 3]
    assert [judged("p3", user) for user in ("p3", None)] == ["insufficient_rights"] * 2
    assert [judged("p1", user) for user in ("p2", "p1", None)] == [None] * 3


def test_commands_of_the_back_end_are_nobodys() -> None:
    """Whatever the car is: not its own primary user's either, and nothing allows them."""
    own = Doing("enrol_user", frozenset({"back_end"}))
    car = replace(CAR, users=USERS | {"p4": UserRights("additional", allowed=("enrol_user",))})
    for who in ("p1", "p2", "p3", "p4", None):
        assert (refusal(car, None, who, own, NOW) or ("",))[0] == "insufficient_rights"
    assert (refusal(None, None, "primary", own, NOW) or ("",))[0] == "insufficient_rights"


def test_online_services_by_role() -> None:
    """Guests have all but internet radio, personalisation and the store; whoever sits in the car is a guest."""
    closed = {"internet_radio", "personalisation", "store_purchase"}
    for name in requests():
        for who in ("p3", ANYBODY):
            assert (online(who, name) is None) == (name not in closed), name
        assert online("p1", name) is None
        assert (online("p2", name) is None) == (name != "store_purchase")
        assert online("p9", name) == "insufficient_rights"
        assert online(ANYBODY, name, replace(CAR, users={})) == "insufficient_rights", "without enrolment nothing works"


# --- licences ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        (Terms(), "licence_missing"),
        (Terms(((NOW - DAY, NOW),)), "licence_expired"),
        (Terms(((NOW - DAY, NOW + 1),)), None),
        (Terms(((NOW + 1, NOW + DAY),)), "licence_inactive"),
        (Terms((), inactive=True), "licence_inactive"),
        (Terms(((NOW - DAY, NOW),), inactive=True), "licence_inactive"),
        (Terms(((NOW - DAY, NOW), (NOW, NOW + DAY))), None),
    ],
)
def test_a_licence_holds_from_its_first_microsecond_to_the_last_but_not_at_its_end(terms: Terms, reason: str | None) -> None:
    refused = unlicensed(CarRights(terms={"remote": terms}), "remote", NOW)
    assert (None if refused is None else refused[0]) == reason
    assert why("p1", "honk", replace(CAR, terms={"remote": terms})) == reason
    assert online("p1", "traffic", replace(CAR, terms={"online": terms})) == reason


def test_what_the_law_requires_needs_no_licence_and_holds_in_every_mode() -> None:
    silent = replace(CAR, terms={}, mode="offline")
    assert why("p1", "honk", silent) == "licence_missing"
    assert why("p1", "reset", silent, reported=ReportedSettings(mode="offline")) is None


# --- privacy ----------------------------------------------------------------------------------------------------------

SWITCHED = [
    ("offline", (), "refresh", "privacy_offline"),
    ("maximum_privacy", (), "honk", "privacy_offline"),
    ("online", (), "honk", "privacy_location"),
    ("online", (), "refresh", None),
    ("online_with_location", ("honk",), "honk", "service_deactivated"),
    ("online_with_location", ("honk",), "refresh", None),
]


@pytest.mark.parametrize(("mode", "off", "name", "reason"), SWITCHED)
def test_what_is_switched_off_in_the_app_or_in_the_car_is_refused_alike(
    mode: str, off: tuple[str, ...], name: str, reason: str | None
) -> None:
    app = msgspec.convert(msgspec.to_builtins(CAR) | {"mode": mode, "services_off": off}, CarRights)
    car = msgspec.convert({"mode": mode, "services_off": off}, ReportedSettings)
    assert why("p1", name, app) == reason
    assert why("p1", name, CAR, reported=car) == reason
    assert why("primary", name, None, reported=car) == reason, "a car without people asks its own switch alone"


def test_the_switch_in_the_car_is_told_of_first() -> None:
    app = replace(CAR, mode="online")
    assert refusal(app, ReportedSettings(mode="offline"), "p1", command_doing("honk"), NOW) == (
        "privacy_offline", "the car's privacy mode is offline",
    )  # fmt: skip


def test_a_car_in_which_nobody_is_at_home_takes_what_brings_somebody() -> None:
    reported = ReportedSettings(paired=False)
    assert why("p1", "honk", reported=reported) == why("primary", "honk", None, reported=reported) == "not_paired"
    assert why("p9", "honk", reported=reported) == "insufficient_rights", "whoever is no user learns nothing of the car"
    assert refusal(CAR, reported, "p1", command_doing("honk")._replace(enrols=True), NOW) is None


# --- consents ---------------------------------------------------------------------------------------------------------


def test_a_consent_that_was_taken_back() -> None:
    refused = replace(CAR, users={"p1": UserRights("primary", refused=("location",)), "p2": UserRights("additional")})
    assert [why("p1", name, refused) for name in ("honk", "area_alert", "refresh")] == ["consent_missing"] * 2 + [None]
    assert why("p2", "honk", refused) is None, "a consent is a person's own"
    assert [online("p1", name, refused) for name in ("traffic", "store_purchase")] == ["consent_missing", None]
    assert online(ANYBODY, "traffic", refused) == "consent_missing", "whom nobody knows sits in the primary user's car"


def test_the_catalogue_asks_for_purposes_that_there_are() -> None:
    wanted = {command.entry.consent for command in COMMANDS.values()} | {each.entry.consent for each in requests().values()}
    wanted -= {None}
    assert wanted == set(PURPOSES) - {"service_partner"}, "the last is what the partner is told, see the actions"


# --- the order of reasons ---------------------------------------------------------------------------------------------


def test_who_comes_before_what_and_that_before_where() -> None:
    """So nobody learns of licences or switches of a car that is not for him."""
    car = CarRights(users={"p1": UserRights("primary", refused=("location",)), "p3": UserRights("guest")}, mode="offline")
    wants = command_doing("honk")._replace(identity=True)
    reasons: list[str] = []
    for _ in range(5):
        refused = refusal(car, None, "p3" if not reasons else "p1", wants, NOW)
        assert refused is not None
        reasons.append(refused[0])
        match refused[0]:
            case "user_not_verified":
                car = replace(car, users={"p1": replace(car.users["p1"], identified=True)})
            case "consent_missing":
                car = replace(car, users={"p1": replace(car.users["p1"], refused=())})
            case "licence_missing":
                car = replace(car, terms=ALWAYS)
    assert reasons == ["insufficient_rights", "user_not_verified", "consent_missing", "licence_missing", "privacy_offline"]


def test_a_car_without_rights_is_a_verified_primary_users() -> None:
    assert all(why("primary", name, None) is None for name in COMMANDS if set(COMMANDS[name].entry.may) & set(EVERYBODY))


def test_of_a_car_without_people_its_licences_count() -> None:
    """A plain test car whose licence ends tonight: its nameless primary user is refused for that alone."""
    car = CarRights(terms={"remote": Terms(((NOW - DAY, NOW),))}, people=False)
    assert [why("primary", name, car) for name in ("honk", "lock", "reset")] == ["licence_expired", "licence_expired", None]
    assert why("primary", "honk", car, NOW - 1) is None
    assert why("primary", "honk", car, NOW - 1, ReportedSettings(mode="offline")) == "privacy_offline"
    app = CarRights(terms=None, people=False, services_off=("honk",))
    assert [why("primary", name, app) for name in ("honk", "lock")] == ["service_deactivated", None]
    assert online(ANYBODY, "traffic", car) is None, "nobody has set a licence for that"
    assert online(ANYBODY, "traffic", msgspec.structs.replace(car, terms={"online": Terms()})) == "licence_missing"


def test_a_car_of_whom_nobody_is_primary() -> None:
    assert CarRights().primary is None
    assert CAR.primary == "p1"
