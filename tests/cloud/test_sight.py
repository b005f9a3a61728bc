"""What a person may see of a car: nothing of before, no place that is private, and nothing at all without the right."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cloud.car_settings import ReportedSettings
from fleet.cloud.rights import CarRights, Private, Terms, UserRights
from fleet.cloud.sight import Sight, shown, shown_notice, shown_twin, visible
from fleet.cloud.twin import Twin, merge_status
from fleet.kernel.instants import DAY
from fleet.wire.messages import Status

VIN = "VSSZZZKMZPR000001"
NOW = 1_772_424_000_000_000
CAR = CarRights(
    users={
        "p1": UserRights("primary", since=NOW - 2 * DAY),
        "p2": UserRights("additional", since=NOW - DAY),
        "p3": UserRights("guest", since=NOW - DAY),
        "p4": UserRights("additional", allowed=("lock",), since=NOW - DAY),
    },
    terms={"remote": Terms(((NOW - DAY, NOW + DAY),))},
)
PLACE = {"latitude": 48.1, "longitude": 11.5, "accuracy_m": 5.0, "parked_at": 1}


def sees(who: str | None, car: CarRights | None = CAR, reported: ReportedSettings | None = None, now: int = NOW) -> Any:
    """Return the reason why not, or the sight."""
    found = visible(car, reported, who, now)
    return found if isinstance(found, Sight) else found[0]


# --- who sees anything


def test_whoever_may_have_the_car_tell_its_state_sees_it_since_becoming_a_user() -> None:
    assert (sees("p1").since, sees("p1").is_primary) == (NOW - 2 * DAY, True)
    assert (sees("p2").since, sees("p2").is_primary) == (NOW - DAY, False)
    assert [sees(who) for who in ("p3", "p4", "p9", None)] == ["insufficient_rights"] * 4


def test_a_licence_that_is_over_shows_nothing_any_more() -> None:
    assert sees("p1", now=NOW + DAY) == "licence_expired"
    assert sees("p1", replace(CAR, terms={})) == "licence_missing"


def test_a_status_that_is_switched_off_is_not_shown() -> None:
    assert sees("p1", replace(CAR, services_off=("refresh",))) == "service_deactivated"
    assert sees("p1", reported=ReportedSettings(services_off=("refresh",))) == "service_deactivated"


def test_of_a_car_without_people_its_nameless_primary_user_sees_all() -> None:
    for car in (None, CarRights(people=False, terms=None)):
        assert sees(None, car) == sees("primary", car) == Sight()
        assert sees("p9", car) == "insufficient_rights"


@pytest.mark.parametrize("mode", ["online", "offline", "maximum_privacy"])
def test_while_it_is_private_the_owner_alone_sees_the_places_of_before(mode: Any) -> None:
    for car, reported in ((replace(CAR, mode=mode), None), (CAR, ReportedSettings(mode=mode))):
        assert [sees(who, car, reported).places for who in ("p1", "p2")] == [True, False]
    assert [sees(who).places for who in ("p1", "p2")] == [True, True]


def test_without_consent_to_tell_places_none_is_shown() -> None:
    """Whoever took it back sees none; where the primary user did, nobody does."""
    for who, places in (("p1", [False, False]), ("p2", [True, False])):
        users = {**CAR.users, who: replace(CAR.users[who], refused=("location",))}
        assert [sees(each, replace(CAR, users=users)).places for each in ("p1", "p2")] == places


# --- what is shown of messages

SPAN = (Private(100, 200, "online"), Private(200, 300, "offline"), Private(400, None, "online"))
OWNER = Sight(since=10, private=SPAN)
OTHER_USER = Sight(since=10, places=False, is_primary=False)
STATUS = {"vin": VIN, "state": "parked", "position": PLACE, "driving": {"today": {}}, "doors": {}}


def keys(sight: Sight, at: int, kind: str = "status", name: str | None = None, content: Any = STATUS) -> set[str] | None:
    found = shown(sight, kind, name, at, content)
    return None if found is None else set(found)


def test_nothing_is_shown_of_before_a_person_became_a_user() -> None:
    assert [keys(OWNER, at) is None for at in (9, 10)] == [True, False]
    assert shown(OWNER, "event", "ecall", 9, {"data": {}}) is None, "whatever the law requires"


@pytest.mark.parametrize(
    ("at", "hidden"),
    [(99, set()), (100, {"position"}), (199, {"position"}), (200, None), (299, None), (300, set()), (400, {"position"})],
)
def test_what_came_while_the_app_kept_it_private_stays_hidden(at: int, hidden: set[str] | None) -> None:
    assert keys(OWNER, at) == (None if hidden is None else STATUS.keys() - hidden)


def test_of_two_modes_at_once_the_stricter_one_hides() -> None:
    sight = Sight(private=(Private(0, None, "online"), Private(5, 9, "offline")))
    assert [keys(sight, at) is None for at in (4, 5, 9)] == [False, True, False]


@pytest.mark.parametrize(
    ("kind", "name", "content", "private", "other"),
    [
        ("status", None, STATUS, STATUS.keys() - {"position"}, STATUS.keys() - {"position", "driving"}),
        ("event", "area_alert", {"data": {"zone": "a", **PLACE}}, None, None),
        ("event", "trip", {"data": {"distance_km": 3}}, {"data"}, None),
        ("event", "fault", {"data": {"id": "x"}}, {"data"}, {"data"}),
        ("event", "ecall", {"data": {"position": PLACE}}, {"data"}, None),
        ("request", "traffic", {"data": PLACE}, None, None),
        ("request", "internet_radio", {"data": {"station": "x"}}, {"data"}, {"data"}),
        ("response", None, {"reason": "too_far", "detail": "612 m"}, {"reason"}, {"reason"}),
        ("response", None, {"reason": "busy", "detail": "x"}, {"reason", "detail"}, {"reason", "detail"}),
    ],
)
def test_no_message_tells_where_the_car_was(kind: str, name: str | None, content: Any, private: Any, other: Any) -> None:
    """In a private time nobody is told; to others than the owner trips are private, too."""
    assert keys(OWNER, 150, kind, name, content) == private
    assert keys(OTHER_USER, 50, kind, name, content) == other
    assert keys(OWNER, 50, kind, name, content) == set(content)


def test_a_breakdown_call_is_shown_without_its_place() -> None:
    call = {"data": {"id": "c1", "position": PLACE, "latitude": 1.0}}
    assert shown(OWNER, "event", "breakdown_call", 150, call) == {"data": {"id": "c1"}}


# --- notices


def test_the_primary_user_sees_the_notices_to_the_users_of_the_car_and_nobody_elses() -> None:
    data = {"what": 1, **PLACE}
    assert shown_notice(OWNER, "primary_user", 50, data) == data
    assert shown_notice(OWNER, "user", 150, data) == {"what": 1, "accuracy_m": 5.0, "parked_at": 1}
    assert shown_notice(OWNER, "user", 250, data) is None
    assert shown_notice(OWNER, "user", 9, data) is None
    assert [shown_notice(OWNER, to, 50, data) for to in ("service_partner", "operator", "emergency_centre")] == [None] * 3
    assert shown_notice(OTHER_USER, "user", 50, data) is None


# --- the newest state


def status(seq: int, at: int, **more: Any) -> Status:
    return Status(vin=VIN, boot=1, seq=seq, captured_at=at, trigger="engine_off", state="parked", **more)


def test_each_group_of_the_newest_state_is_shown_by_when_it_was_measured() -> None:
    twin = Twin(vin=VIN, connection="online")
    merge_status(twin, status(1, 5, mileage_km=7.0))
    merge_status(twin, status(2, 150))
    seen = shown_twin(OWNER, twin)
    assert seen is not None
    assert (seen.state, seen.mileage_km, seen.connection, seen.captured_at) == ("parked", None, "online", 150)
    assert set(seen.stamps) == {"state"}


def test_a_state_all_of_which_is_hidden_is_none() -> None:
    twin = Twin(vin=VIN)
    merge_status(twin, status(1, 250))
    assert shown_twin(OWNER, twin) is None


def test_whether_a_silent_car_is_connected_is_not_shown() -> None:
    twin = Twin(vin=VIN, connection="online")
    merge_status(twin, status(1, 50))
    seen = shown_twin(Sight(private=(Private(60, None, "offline"),)), twin)
    assert seen is not None
    assert seen.connection is None
