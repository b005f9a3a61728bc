"""The one question: who may do what with a car, now."""

from __future__ import annotations

import msgspec
import pytest

from fleet.cloud.rights import CarRights, Doing, Terms, UserRights, command_doing, refusal, request_doing, unlicensed
from fleet.kernel.instants import DAY

NOW = 1_772_424_000_000_000
ALWAYS = {package: Terms(((NOW - DAY, NOW + DAY),)) for package in ("safety", "remote", "online")}
USERS = {
    "p1": UserRights("primary", identified=True),
    "p2": UserRights("additional"),
    "p3": UserRights("guest"),
    "p4": UserRights("additional", allowed=("lock",), identified=True),
}
CAR = CarRights(users=USERS, terms=ALWAYS)


def why(who: str | None, name: str, car: CarRights = CAR, now: int = NOW) -> str | None:
    refused = refusal(car, who, command_doing(name), now)
    return None if refused is None else refused[0]


@pytest.mark.parametrize(
    ("who", "name", "reason"),
    [
        ("p1", "lock", None),
        ("p1", "honk", None),
        ("p2", "honk", None),
        ("p2", "lock", "insufficient_rights"),
        ("p3", "honk", "insufficient_rights"),
        ("p4", "lock", None),
        ("p4", "heater", "insufficient_rights"),
        ("p9", "honk", "insufficient_rights"),
        (None, "honk", "insufficient_rights"),
    ],
)
def test_roles_and_what_the_primary_user_allows(who: str | None, name: str, reason: str | None) -> None:
    assert why(who, name) == reason


def test_lock_and_unlock_want_a_user_whom_a_dealer_has_identified() -> None:
    unknown = msgspec.structs.replace(CAR, users={"p1": UserRights("primary")})
    assert [why("p1", name, unknown) for name in ("lock", "unlock", "heater")] == ["user_not_verified", "user_not_verified", None]


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


def test_what_the_law_requires_needs_no_licence_and_holds_in_every_mode() -> None:
    silent = msgspec.structs.replace(CAR, terms={}, mode="offline")
    assert why("p1", "honk", silent) == "licence_missing"
    assert why("p1", "reset", silent) is None


@pytest.mark.parametrize(
    ("mode", "off", "name", "reason"),
    [
        ("offline", (), "lock", "privacy_offline"),
        ("maximum_privacy", (), "honk", "privacy_offline"),
        ("online", (), "honk", "privacy_location"),
        ("online", (), "lock", None),
        ("online_with_location", ("honk",), "honk", "service_deactivated"),
        ("online_with_location", ("honk",), "lock", None),
    ],
)
def test_what_is_switched_off_in_the_app(mode: str, off: tuple[str, ...], name: str, reason: str | None) -> None:
    switched = msgspec.convert(msgspec.to_builtins(CAR) | {"mode": mode, "services_off": off}, CarRights)
    assert why("p1", name, switched) == reason


def test_a_consent_that_was_taken_back() -> None:
    wants = Doing("improving", frozenset({"primary"}), consent="research")
    refused = msgspec.structs.replace(CAR, users={"p1": UserRights("primary", refused=("research",))})
    assert refusal(CAR, "p1", wants, NOW) is None
    assert (refusal(refused, "p1", wants, NOW) or ("", ""))[0] == "consent_missing"


def test_online_services_are_for_everybody_but_for_those_that_say_otherwise() -> None:
    assert refusal(CAR, "p3", request_doing("traffic"), NOW) is None
    assert (refusal(CAR, "p3", request_doing("internet_radio"), NOW) or ("", ""))[0] == "insufficient_rights"


def test_a_car_of_whom_nobody_is_primary() -> None:
    assert CarRights().primary is None
    assert CAR.primary == "p1"
