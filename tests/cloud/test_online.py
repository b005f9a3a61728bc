"""Online services: each answers with its fields, and refuses for each of its reasons; what is asked twice is done once."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from fleet.cloud.calendar import months_later
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.desk_io import Answer
from fleet.cloud.online import OnlineRule, role_of
from fleet.cloud.places import CarPark, ChargingStation, PetrolStation, distance_km, duration_min, is_open, load_world
from fleet.cloud.rule import CentreOutput, Keep, Notify, SendReply, ServiceAsked
from fleet.kernel.instants import HOUR, MINUTE, SECOND, Instant, from_datetime
from fleet.vehicle.geo import geodesic_m
from fleet.vehicle.regions import load_regions
from fleet.vehicle.town_region import TownRegion
from fleet.wire.messages import Event, Reply, Request, ServiceRequest
from fleet.wire.requests import requests

VIN = "VSSZZZKMZPR000001"
OTHER = "VSSZZZKMZPR000002"
MORNING = from_datetime(datetime(2026, 3, 3, 7, 30, tzinfo=UTC))
"""A Tuesday, 8:30 in Munich."""
NIGHT = from_datetime(datetime(2026, 3, 3, 1, 30, tzinfo=UTC))
MUNICH: dict[str, Any] = {"latitude": 48.137, "longitude": 11.575}
AUGSBURG: dict[str, Any] = {"to_latitude": 48.371, "to_longitude": 10.898}
OCEAN: dict[str, Any] = {"latitude": 0.0, "longitude": -30.0}


class Desk:
    """A centre with the online services, its store, and a car that asks."""

    def __init__(self) -> None:
        self.now = MORNING
        self.state: dict[str, dict[str, Any]] = {}
        self.centre = ServiceCentre((OnlineRule,))
        self.notices: list[Notify] = []
        self._asked = 0

    def restart(self) -> None:
        self.centre = ServiceCentre((OnlineRule,), msgspec.json.decode(msgspec.json.encode(self.state)))

    def ask(self, name: str, vin: str = VIN, **data: Any) -> Reply:
        """Return the one reply to a request."""
        (reply,) = self.replies(name, data, vin)
        return reply

    def replies(self, name: str, data: dict[str, Any], vin: str = VIN, expires_at: Instant | None = None) -> list[Reply]:
        self._asked += 1
        request = Request(
            vin=vin, boot=1, seq=self._asked, captured_at=self.now, id=f"r{self._asked}", name=name, data=data,
            expires_at=expires_at,
        )  # fmt: skip
        sent = [output for output in self._taken(self.centre.receive(request, self.now)) if isinstance(output, SendReply)]
        assert all((each.vin, each.reply.id, each.reply.name) == (vin, request.id, name) for each in sent)
        assert all((each.reply.error is None) == bool(each.reply.data) for each in sent), "data or an error, never both"
        return [each.reply for each in sent]

    def happens(self, name: str, **data: Any) -> None:
        self._asked += 1
        event = Event(vin=VIN, boot=1, seq=self._asked, captured_at=self.now, name=name, data=data)
        self._taken(self.centre.receive(event, self.now))

    def service(self, action: str, vin: str | None = VIN, user: str | None = None, **data: Any) -> Any:
        """Return the answer to a tool."""
        self._asked += 1
        request = ServiceRequest(id=f"a{self._asked}", service="online", action=action, vin=vin, user=user, data=data)
        outputs = self._taken(self.centre.receive(ServiceAsked(request, "t"), self.now))
        (answer,) = [output.answer for output in outputs if isinstance(output, Answer)]
        return answer

    def _taken(self, outputs: list[CentreOutput]) -> list[CentreOutput]:
        for output in outputs:
            if isinstance(output, Notify):
                self.notices.append(output)
            if isinstance(output, Keep) and output.value is None:
                del self.state[output.module][output.key]
            elif isinstance(output, Keep):
                assert output.value is not None
                self.state.setdefault(output.module, {})[output.key] = msgspec.json.decode(output.value)
        return outputs


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- answers have the fields of the catalogue


ANSWERED: dict[str, dict[str, Any]] = {
    "traffic": MUNICH,
    "route_calculation": MUNICH | AUGSBURG,
    "petrol_places": MUNICH | {"fuel": "diesel"},
    "charging_places": MUNICH | {"plug": "ccs"},
    "parking_places": MUNICH,
    "map_update": MUNICH,
    "voice_query": MUNICH | {"text": "Where can I park?"},
    "personalisation": {"action": "save", "settings": [{"name": "seat", "value": "7"}]},
    "internet_radio": {"station": "jazz", "phone": True},
    "store_purchase": {"product": "navi_1_year"},
    "plug_and_charge": {"station": "Voltalpin"},
}


def test_every_service_of_the_catalogue_is_answered() -> None:
    """But for those of users as such, which need accounts."""
    assert OnlineRule.requests == ANSWERED.keys() == requests().keys() - {"enrolment", "log_in"}


@pytest.mark.parametrize("name", ANSWERED)
def test_an_answer_has_the_fields_that_the_catalogue_tells(desk: Desk, name: str) -> None:
    desk.service("install_certificate", contract="C1")
    reply = desk.ask(name, **ANSWERED[name])
    assert reply.error is None
    assert set(reply.data) == set(requests()[name].entry.answer)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(reply), type=Reply) == reply


# --- and errors its reasons


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("traffic", OCEAN, "no_map_data"),
    ("route_calculation", OCEAN | AUGSBURG, "no_map_data"),
    ("route_calculation", MUNICH | {"to_latitude": 0.0, "to_longitude": -30.0}, "no_map_data"),
    ("route_calculation", MUNICH | {"to_latitude": 48.137, "to_longitude": 11.575}, "already_there"),
    ("petrol_places", OCEAN | {"fuel": "petrol"}, "no_map_data"),
    ("petrol_places", {"latitude": 55.0, "longitude": 19.0, "fuel": "petrol"}, "not_found"),
    ("charging_places", OCEAN | {"plug": "ccs"}, "no_map_data"),
    ("charging_places", MUNICH | {"plug": "ccs", "power_kw": 400}, "not_found"),
    ("parking_places", OCEAN, "no_map_data"),
    ("parking_places", {"latitude": 47.0, "longitude": 15.0}, "not_found"),
    ("map_update", OCEAN, "no_map_data"),
    ("map_update", MUNICH | {"to_latitude": 0.0, "to_longitude": -30.0}, "no_map_data"),
    ("voice_query", MUNICH | {"text": "sing me a song"}, "not_understood"),
    ("voice_query", MUNICH | {"text": "find petrol", "plug": "ccs"}, "not_understood"),
    ("voice_query", OCEAN | {"text": "parking please"}, "no_map_data"),
    ("voice_query", {"latitude": 47.0, "longitude": 15.0, "text": "parking"}, "not_found"),
    ("personalisation", {}, "no_profile"),
    ("personalisation", {"user": "guest"}, "insufficient_rights"),
    ("internet_radio", {"station": "jazz"}, "no_data_plan"),
    ("internet_radio", {"station": "polka", "phone": True}, "not_found"),
    ("internet_radio", {"station": "jazz", "phone": True, "user": "guest-2"}, "insufficient_rights"),
    ("store_purchase", {"product": "a_boat"}, "not_found"),
    ("store_purchase", {"product": "tidal_1_year"}, "subscription_missing"),
    ("store_purchase", {"product": "navi_1_year", "user": "anna"}, "insufficient_rights"),
    ("store_purchase", {"product": "navi_1_year", "user": "guest"}, "insufficient_rights"),
    ("plug_and_charge", {"station": "Voltalpin"}, "certificate_missing"),
]


@pytest.mark.parametrize(("name", "data", "error"), REFUSED)
def test_each_reason(desk: Desk, name: str, data: dict[str, Any], error: str) -> None:
    """An error has no data, and changes nothing that is kept."""
    assert desk.ask(name, **data).error == error
    assert desk.state == {}
    assert error in requests()[name].entry.errors


OF_THE_CAR = {"not_plugged_in"}
"""Reasons that the car finds itself, before it asks."""
OF_PEOPLE = {"not_equipped", "sim_not_owned", "account_incomplete"}
"""Reasons of cars whose people have accounts: `people/test_commerce.py`."""


def test_every_error_of_the_catalogue_has_its_case() -> None:
    """Those of state (up_to_date, not_enrolled, sanctioned) are in the tests below."""
    told = {(name, error) for name, _, error in REFUSED} | {
        ("map_update", "up_to_date"),
        ("store_purchase", "not_enrolled"),
        ("store_purchase", "sanctioned"),
    }
    kinds = {name: kind for name, kind in requests().items() if name in OnlineRule.requests}
    known = {(name, error) for name, kind in kinds.items() for error in kind.entry.errors if error not in OF_THE_CAR | OF_PEOPLE}
    assert told == known


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("traffic", {}, "malformed"),
    ("traffic", MUNICH | {"colour": "red"}, "malformed"),
    ("traffic", MUNICH | {"radius_km": "far"}, "malformed"),
    ("traffic", MUNICH | {"radius_km": 0.5}, "argument_out_of_range"),
    ("traffic", MUNICH | {"radius_km": 201}, "argument_out_of_range"),
    ("traffic", {"latitude": 91, "longitude": 0}, "argument_out_of_range"),
    ("traffic", {"latitude": float("nan"), "longitude": 0}, "argument_out_of_range"),
    ("route_calculation", MUNICH, "malformed"),
    ("petrol_places", MUNICH | {"fuel": "hydrogen"}, "malformed"),
    ("charging_places", MUNICH | {"plug": "ccs", "power_kw": 401}, "argument_out_of_range"),
    ("parking_places", MUNICH | {"radius_km": 51}, "argument_out_of_range"),
    ("voice_query", MUNICH | {"text": "x" * 201}, "argument_out_of_range"),
    ("personalisation", {"action": "forget"}, "malformed"),
    ("personalisation", {"action": "save", "settings": [{"name": "shoe_size", "value": "43"}]}, "malformed"),
    ("personalisation", {"action": "save", "settings": [{"name": "seat", "value": "x" * 201}]}, "argument_out_of_range"),
    ("personalisation", {"action": "save", "settings": [{"name": "seat", "value": "1"}] * 31}, "argument_out_of_range"),
    ("personalisation", {"user": "x" * 41}, "argument_out_of_range"),
    ("store_purchase", {}, "malformed"),
    ("plug_and_charge", {"station": 7}, "malformed"),
    ("weather", {}, "unsupported"),
]


@pytest.mark.parametrize(("name", "data", "error"), BAD)
def test_bad_input_has_its_reason_and_changes_nothing(desk: Desk, name: str, data: dict[str, Any], error: str) -> None:
    """The back end does not trust a car to have looked."""
    assert desk.ask(name, **data).error == error
    assert desk.state == {}


def test_a_request_that_nobody_waits_for_is_not_answered_and_not_done(desk: Desk) -> None:
    """A purchase is not made after its buyer was told that nothing came back."""
    assert desk.replies("store_purchase", {"product": "navi_1_year"}, expires_at=desk.now) == []
    assert desk.state == {}
    assert len(desk.replies("store_purchase", {"product": "navi_1_year"}, expires_at=desk.now + 1)) == 1


# --- the world


@pytest.mark.parametrize(("fuel", "price"), [("petrol", "petrol"), ("diesel", "diesel")])
def test_petrol_stations_tell_the_price_of_the_fuel_the_car_needs(desk: Desk, fuel: str, price: str) -> None:
    """The nearest first, at most five, with the hours of the place's own time zone."""
    found = desk.ask("petrol_places", **MUNICH, fuel=fuel).data["places"]
    assert 0 < len(found) <= 5
    assert [each["distance_km"] for each in found] == sorted(each["distance_km"] for each in found)
    stations = {station.name: station for station in load_world().regions["munich"].petrol}
    for each in found:
        assert each["price_eur_l"] == getattr(stations[each["name"]], price)
        assert each["open"] == is_open(each["hours"], 8 * 60 + 30)


def test_what_is_closed_can_be_left_out(desk: Desk) -> None:
    desk.now = NIGHT
    everything = desk.ask("petrol_places", **MUNICH, fuel="petrol", radius_km=100).data["places"]
    opened = desk.ask("petrol_places", **MUNICH, fuel="petrol", radius_km=100, open_now=True).data["places"]
    assert not all(each["open"] for each in everything)
    assert all(each["open"] for each in opened)


def test_charging_stations_fit_plug_and_power_and_tell_what_is_free(desk: Desk) -> None:
    for hour in range(24):
        desk.now = MORNING + hour * HOUR
        found = desk.ask("charging_places", **MUNICH, plug="ccs", power_kw=100, free_now=True).data["places"]
        assert all("ccs" in each["plugs"] and each["power_kw"] >= 100 and 0 < each["free"] <= each["points"] for each in found)
    free = {
        (each["name"], each["free"])
        for hour in range(24)
        for each in desk_at(MORNING + hour * HOUR).ask("charging_places", **MUNICH, plug="type2").data["places"]
    }
    assert len(free) > len({name for name, _ in free}), "it changes with the hour"


def desk_at(now: Instant) -> Desk:
    desk = Desk()
    desk.now = now
    return desk


def test_parking_tells_spaces_hours_price_and_distance(desk: Desk) -> None:
    (first, *_) = desk.ask("parking_places", **MUNICH).data["places"]
    assert {"spaces", "free", "hours", "open", "price_eur_h", "distance_km"} <= first.keys()
    desk.now = NIGHT
    found = desk.ask("parking_places", **MUNICH, radius_km=50, free_now=True).data["places"]
    assert all(each["open"] and each["free"] for each in found)


def test_traffic_is_of_the_hour_and_the_day_around_or_on_the_way(desk: Desk) -> None:
    """Hours are local: a queue from 7 to 9 is there at 8:30 on a Tuesday and not on a Sunday, nor at night."""
    tuesday = desk.ask("traffic", **MUNICH, radius_km=200).data["incidents"]
    sunday = desk_at(MORNING + 5 * 24 * HOUR).ask("traffic", **MUNICH, radius_km=200).data["incidents"]
    night = desk_at(NIGHT).ask("traffic", **MUNICH, radius_km=200).data["incidents"]
    assert {each["kind"] for each in tuesday} > {each["kind"] for each in sunday}
    assert all(each["kind"] == "roadworks" for each in night)
    near = desk.ask("traffic", **MUNICH, radius_km=1).data["incidents"]
    assert len(near) < len(tuesday)
    incident = tuesday[0]
    to: dict[str, Any] = {"to_latitude": incident["latitude"], "to_longitude": incident["longitude"]}
    assert incident["road"] in [each["road"] for each in desk.ask("traffic", **MUNICH, **to).data["incidents"]]


def test_a_way_has_length_duration_and_points_from_here_to_there(desk: Desk) -> None:
    way = desk.ask("route_calculation", **MUNICH, **AUGSBURG).data
    straight_km = geodesic_m(48.137, 11.575, 48.371, 10.898) / 1000
    assert way["distance_km"] == pytest.approx(1.3 * straight_km, rel=0.01)
    assert way["duration_min"] == pytest.approx(duration_min(way["distance_km"]) + way["delay_min"], abs=1)
    assert abs(way["arrives_at"] - desk.now - way["duration_min"] * MINUTE) <= MINUTE
    points = way["geometry"]
    assert (points[0], points[-1]) == ([48.137, 11.575], [48.371, 10.898])
    length_km = sum(distance_km(tuple(one), tuple(other)) for one, other in pairwise(points))
    assert straight_km < length_km < 1.3 * straight_km
    assert way["delay_min"] == sum(each["delay_min"] for each in way["incidents"])


def test_a_longer_way_takes_longer_and_its_mean_speed_rises() -> None:
    minutes = [duration_min(length) for length in (1, 5, 20, 100)]
    assert minutes == pytest.approx([2, 10, 25, 73])


def test_maps_are_fetched_once_a_month_for_each_area(desk: Desk) -> None:
    """Also after a restart; a destination elsewhere brings that area, too; the next month brings them anew."""
    first = desk.ask("map_update", **MUNICH)
    assert first.data == {"version": "2026.03", "areas": ["munich"], "size_mb": 450}
    desk.restart()
    assert desk.ask("map_update", **MUNICH).error == "up_to_date"
    there: dict[str, Any] = {"to_latitude": 40.417, "to_longitude": -3.703}
    assert desk.ask("map_update", **MUNICH, **there).data["areas"] == ["madrid"]
    assert desk.ask("map_update", vin=OTHER, **MUNICH).error is None
    desk.now = from_datetime(datetime(2026, 4, 1, tzinfo=UTC))
    assert desk.ask("map_update", **MUNICH, **there).data["areas"] == ["munich", "madrid"]


@pytest.mark.parametrize(
    ("text", "facts", "intent"),
    [
        ("Find me a petrol station!", {"fuel": "petrol"}, "petrol_places"),
        ("Wo kann ich laden?", {"plug": "ccs"}, "charging_places"),
        ("¿Hay atasco?", {}, "traffic"),
        ("PARKING", {}, "parking_places"),
    ],
)
def test_what_is_said_is_answered_as_the_service_it_names(desk: Desk, text: str, facts: dict[str, Any], intent: str) -> None:
    data = desk.ask("voice_query", text=text, **MUNICH, **facts).data
    assert data["intent"] == intent
    assert data["result"] == desk.ask(intent, **MUNICH, **facts).data
    assert str(len(next(iter(data["result"].values())))) in data["spoken"]


# --- users


SETTINGS = [{"name": "mirror_left", "value": "4/2"}, {"name": "home_address", "value": "Sendlinger Str. 1"}]


def test_settings_come_back_at_log_in_and_confidential_ones_to_the_identified_user_alone(desk: Desk) -> None:
    desk.ask("personalisation", action="save", settings=SETTINGS)
    desk.ask("personalisation", action="save", settings=[{"name": "seat", "value": "7"}])
    desk.restart()
    shown = desk.ask("personalisation").data
    assert shown == {"settings": [{"name": "mirror_left", "value": "4/2"}, {"name": "seat", "value": "7"}], "hidden": 1}
    identified = desk.ask("personalisation", identified=True).data
    assert {each["name"] for each in identified["settings"]} == {"mirror_left", "seat", "home_address"}
    assert identified["hidden"] == 0
    assert desk.ask("personalisation", user="anna").error == "no_profile"
    assert desk.ask("personalisation", vin=OTHER).error == "no_profile"


def test_a_reset_forgets_the_users_and_keeps_what_was_bought(desk: Desk) -> None:
    desk.service("install_certificate", contract="C1")
    desk.ask("personalisation", action="save", settings=SETTINGS)
    desk.ask("store_purchase", product="radio_1_year")
    desk.happens("car_reset", by="car")
    assert desk.ask("personalisation").error == "no_profile"
    assert desk.ask("plug_and_charge", station="V").error == "certificate_missing"
    assert desk.ask("store_purchase", product="radio_1_year").error == "not_enrolled"
    assert "home_address" not in str(desk.state)
    desk.happens("car_paired")
    assert desk.ask("store_purchase", product="radio_1_year").data["purchase"] == 2


def test_a_reset_that_cannot_be_read_becomes_a_notice_and_forgets_nobody(desk: Desk) -> None:
    desk.ask("personalisation", action="save", settings=SETTINGS)
    desk.happens("car_reset", by="app", user=5)
    assert [(notice.to, notice.kind, notice.data["at"]) for notice in desk.notices] == [
        ("operator", "unreadable_event", "car_reset")
    ]
    assert desk.ask("personalisation").error is None


def test_deleting_one_user_forgets_that_one(desk: Desk) -> None:
    for user in ("primary", "anna"):
        desk.ask("personalisation", action="save", user=user, settings=SETTINGS)
    desk.happens("car_reset", by="app", user="anna")
    assert desk.ask("personalisation", user="anna").error == "no_profile"
    assert desk.ask("personalisation").error is None
    assert desk.ask("store_purchase", product="radio_1_year").error is None


def test_a_purchase_is_active_at_once_and_a_renewal_goes_on_from_there(desk: Desk) -> None:
    """The price of the list, a record, and word to the primary user."""
    first = desk.ask("store_purchase", product="navi_1_year").data
    second = desk.ask("store_purchase", product="navi_2_years").data
    assert (first["price_eur"], second["price_eur"]) == (135, 225)
    assert first["active_until"] == from_datetime(datetime(2027, 3, 3, 7, 30, tzinfo=UTC))
    assert second["active_until"] == from_datetime(datetime(2029, 3, 3, 7, 30, tzinfo=UTC))
    shown = desk.service("show").data
    assert [each["product"] for each in shown["purchases"]] == ["navi_1_year", "navi_2_years"]
    assert shown["active"] == {"navi": second["active_until"]}
    assert [(notice.to, notice.kind, notice.data["price_eur"]) for notice in desk.notices] == [
        ("primary_user", "purchased", 135),
        ("primary_user", "purchased", 225),
    ]


def test_nothing_is_sold_to_somebody_on_the_sanctions_list(desk: Desk) -> None:
    desk.service("set_holder", name="viktor blackwood")
    assert desk.ask("store_purchase", product="navi_1_year").error == "sanctioned"
    assert "purchases" not in desk.service("show").data
    desk.service("set_holder", name="Anna Weiss")
    assert desk.ask("store_purchase", product="navi_1_year").error is None


def test_radio_goes_over_the_data_plan_as_long_as_it_is_active(desk: Desk) -> None:
    desk.ask("store_purchase", product="data_plan_1_month")
    assert desk.ask("internet_radio", station="jazz", phone=True).data["over"] == "data_plan"
    desk.now = months_later(desk.now, 1) - 1
    assert desk.ask("internet_radio", station="jazz", user="anna").data["over"] == "data_plan"
    desk.now += 1
    assert desk.ask("internet_radio", station="jazz").error == "no_data_plan"
    assert desk.ask("internet_radio", station="JAZZ", phone=True).data["over"] == "phone"


def test_the_primary_user_alone_installs_the_certificate_and_then_all_charge_with_it(desk: Desk) -> None:
    assert desk.service("install_certificate", user="anna", contract="C1").reason == "insufficient_rights"
    assert desk.ask("plug_and_charge", station="V").error == "certificate_missing"
    assert desk.service("install_certificate", user="primary", contract="C1").state == "succeeded"
    assert desk.ask("plug_and_charge", station="V", user="guest").data == {"contract": "C1", "station": "V"}
    assert desk.service("remove_certificate", user="guest").reason == "insufficient_rights"
    desk.service("remove_certificate")
    assert desk.ask("plug_and_charge", station="V").error == "certificate_missing"


@pytest.mark.parametrize(
    ("action", "vin", "data", "reason"),
    [
        ("show", None, {}, "malformed"),
        ("dance", VIN, {}, "unsupported"),
        ("set_holder", VIN, {}, "malformed"),
        ("set_holder", VIN, {"name": 7}, "malformed"),
        ("install_certificate", VIN, {"contract": "C", "more": 1}, "malformed"),
    ],
)
def test_what_a_tool_asks_wrongly_is_refused(desk: Desk, action: str, vin: str | None, data: dict[str, Any], reason: str) -> None:
    answer = desk.service(action, vin, **data)
    assert (answer.state, answer.reason) == ("rejected", reason)
    assert not desk.state.keys() - {"centre"}


# --- figures and data


@pytest.mark.parametrize(
    ("hours", "minute", "opened"),
    [
        ("06:00-22:00", 359, False), ("06:00-22:00", 360, True), ("06:00-22:00", 1319, True), ("06:00-22:00", 1320, False),
        ("00:00-24:00", 0, True), ("00:00-24:00", 1439, True), ("18:00-02:00", 119, True), ("18:00-02:00", 120, False),
        ("18:00-02:00", 1080, True),
    ],
)  # fmt: skip
def test_hours(hours: str, minute: int, opened: bool) -> None:
    assert is_open(hours, minute) is opened


@pytest.mark.parametrize(
    ("user", "role"), [("primary", "primary"), ("guest", "guest"), ("guest-1", "guest"), ("guesty", "additional")]
)
def test_roles_follow_from_names(user: str, role: str) -> None:
    assert role_of(user) == role


def test_the_data_fits_the_regions_that_drivers_live_in() -> None:
    """Places are within 30 km of a town or the middle, names are unique, hours can be read, and maps are those of the cars."""
    names: list[str] = []
    assert load_world().regions.keys() == load_regions().keys()
    for name, region in load_world().regions.items():
        home = load_regions()[name]
        towns = [(town.latitude, town.longitude) for town in home.towns] if isinstance(home, TownRegion) else [home.centre]
        assert msgspec.to_builtins(region.maps) == msgspec.to_builtins(home.maps)
        assert (region.timezone, region.country) == (home.timezone, home.country)
        spots: list[PetrolStation | ChargingStation | CarPark] = [*region.petrol, *region.charging, *region.parking]
        names += [spot.name for spot in spots]
        assert min(len(region.petrol), len(region.charging), len(region.parking), len(region.incidents)) >= 4
        for spot in spots:
            assert min(distance_km((spot.latitude, spot.longitude), town) for town in towns) < 30
        for hours in [*(each.hours for each in region.petrol), *(each.hours for each in region.parking)]:
            assert is_open(hours, 12 * 60)
        assert all(0 <= each.from_h < each.to_h <= 24 and set(each.days) <= set(range(7)) for each in region.incidents)
        assert load_world().regions_at(home.centre)[0] == name
    assert len(set(names)) == len(names)


def test_distances_are_near_to_the_geodesic() -> None:
    for there in ((48.371, 10.898), (40.417, -3.703), (48.137, 11.576)):
        exact = geodesic_m(48.137, 11.575, *there) / 1000
        assert distance_km((48.137, 11.575), there) == pytest.approx(exact, rel=0.006)


def test_a_reply_lives_as_long_as_somebody_waits(desk: Desk) -> None:
    request = Request(
        vin=VIN, boot=1, seq=1, captured_at=desk.now, id="r", name="traffic", data=MUNICH, expires_at=desk.now + 30 * SECOND
    )
    (sent,) = desk.centre.receive(request, desk.now + 10 * SECOND)
    assert isinstance(sent, SendReply)
    assert sent.lifetime == 20 * SECOND
