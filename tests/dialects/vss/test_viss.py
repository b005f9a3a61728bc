"""A VISS server in a car: what it answers, and when it sends by itself."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.dialects.vss.filters import Bound, is_changed
from fleet.dialects.vss.viss import MOST_SUBSCRIPTIONS, NOT_AVAILABLE, VissServer
from fleet.kernel.instants import MINUTE, SECOND
from fleet.wire.messages import Energy, Response, Status
from tests.dialects.statuses import NOW, VIN, petrol_status, whole_status

LEVEL = "Vehicle.Powertrain.FuelSystem.RelativeLevel"
LOCK = "Vehicle.Cabin.Door.Row1.DriverSide.IsLocked"


class Lab:
    """A server beside a status that a test changes."""

    def __init__(self, status: Status | None = None, token: str | None = None) -> None:
        self.status = status or whole_status()
        self.server = VissServer(VIN, "leon", lambda: self.status, token=token)

    def ask(self, now: int = NOW, **request: Any) -> dict[str, Any]:
        """Return the one answer to a request."""
        (answer,) = self.server.request("client/1", request, now).answers
        assert answer.topic == "client/1"
        return answer.body

    def error(self, **request: Any) -> tuple[str, str]:
        error = self.ask(**request)["error"]
        assert error["description"]
        return error["number"], error["reason"]

    def subscribe(self, path: str, *filters: dict[str, Any], now: int = NOW) -> str:
        answer = self.ask(now, action="subscribe", path=path, filter=list(filters), requestId="1")
        name = answer["subscriptionId"]
        assert isinstance(name, str)
        return name

    def fuel(self, percent: float, now: int) -> list[dict[str, Any]]:
        """Set the fuel, and return the events that this causes."""
        self.status = replace(self.status, energy=Energy(fuel_level_percent=percent), captured_at=now)
        return [answer.body for answer in self.server.changed(now)]


@pytest.fixture
def lab() -> Lab:
    return Lab()


# --- get


def test_get_answers_with_value_and_times_as_strings(lab: Lab) -> None:
    """The response repeats action and requestId; the data point has the time of measuring, the response that of answering."""
    later = NOW + 1_500_000
    assert lab.ask(later, action="get", path=LEVEL, requestId="8756") == {
        "action": "get",
        "requestId": "8756",
        "data": {"path": LEVEL, "dp": {"value": "61", "ts": "2026-03-02T12:00:00Z"}},
        "ts": "2026-03-02T12:00:01.500000Z",
    }


def test_paths_may_be_written_with_slashes_and_truth_values_are_words(lab: Lab) -> None:
    """As some clients write them, and as the specification has all values: strings."""
    data = lab.ask(action="get", path=LOCK.replace(".", "/"))["data"]
    assert data == {"path": LOCK, "dp": {"value": "true", "ts": "2026-03-02T12:00:00Z"}}


def test_a_position_has_the_time_of_its_fix(lab: Lab) -> None:
    """Not that of the status, which may be much later."""
    assert lab.ask(action="get", path="Vehicle.CurrentLocation.Latitude")["data"]["dp"]["ts"] == "2026-03-02T11:58:29.999999Z"


def test_wildcards_and_branches_of_a_paths_filter(lab: Lab) -> None:
    """A star is one level, a branch means all below it, and nothing comes twice."""
    paths = {"variant": "paths", "parameter": ["*.*.IsOpen", "Row1.DriverSide", "Row1.DriverSide.IsOpen"]}
    found = [each["path"] for each in lab.ask(action="get", path="Vehicle.Cabin.Door", filter=paths)["data"]]
    assert len(found) == len(set(found)) == 6
    assert "Vehicle.Cabin.Door.Row1.DriverSide.Window.IsOpen" in found


def test_a_signal_that_is_not_there_at_the_moment() -> None:
    """Alone it is an error; among others its value says so in line."""
    lab = Lab(replace(whole_status(), position=None))
    assert lab.error(action="get", path="Vehicle.CurrentLocation.Latitude") == ("404", "unavailable_data")
    paths = {"variant": "paths", "parameter": ["CurrentLocation.Latitude", "TraveledDistance"]}
    data = lab.ask(action="get", path="Vehicle", filter=paths)["data"]
    assert [each["dp"]["value"] for each in data] == ["12345678", NOT_AVAILABLE]


def test_a_car_has_the_tree_of_its_equipment() -> None:
    """A battery is unknown to a car that burns petrol, however it is asked for."""
    lab = Lab(petrol_status())
    assert lab.error(action="get", path="Vehicle.Powertrain.TractionBattery.Range") == ("404", "unavailable_data")
    paths = {"variant": "paths", "parameter": "Powertrain"}
    data = lab.ask(action="get", path="Vehicle", filter=paths)["data"]
    assert data
    assert not [each for each in data if "TractionBattery" in each["path"]]


def test_metadata_are_those_of_the_tree(lab: Lab) -> None:
    """As deep as wanted; 0 is without limit."""
    shallow = lab.ask(action="get", path="Vehicle.Service", filter={"variant": "metadata", "parameter": "1"})
    assert shallow["metadata"] == {
        "Service": {"type": "branch", "children": ["DistanceToService", "TimeToService", "IsServiceDue"]}
    }
    whole = lab.ask(action="get", path="Vehicle.Service", filter={"variant": "metadata", "parameter": "0"})
    leaf = whole["metadata"]["Service"]["children"]["TimeToService"]
    assert leaf == {"type": "sensor", "datatype": "int32", "unit": "s"}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({}, ("400", "bad_request")),
        ({"action": "fly", "path": LEVEL}, ("400", "bad_request")),
        ({"action": "get"}, ("400", "bad_request")),
        ({"action": "get", "path": 7}, ("400", "bad_request")),
        ({"action": "get", "path": "Vehicle.Cabin"}, ("400", "invalid_data")),
        ({"action": "get", "path": "Vehicle.Cabin.Kitchen"}, ("404", "unavailable_data")),
        ({"action": "get", "path": LEVEL, "filter": "all"}, ("400", "bad_request")),
        ({"action": "get", "path": LEVEL, "filter": {"variant": "change", "parameter": {}}}, ("400", "bad_request")),
        ({"action": "get", "path": LEVEL, "filter": {"variant": "history", "parameter": "P1D"}}, ("404", "unavailable_data")),
        ({"action": "get", "path": "Vehicle", "filter": {"variant": "paths", "parameter": []}}, ("400", "bad_request")),
        ({"action": "get", "path": "Vehicle", "filter": {"variant": "paths", "parameter": ["No"]}}, ("404", "unavailable_data")),
        ({"action": "set", "path": LEVEL, "value": "3"}, ("400", "invalid_data")),
        ({"action": "set", "path": LOCK}, ("400", "bad_request")),
        ({"action": "set", "path": LOCK, "value": "shut"}, ("400", "invalid_data")),
        ({"action": "set", "path": "Vehicle.Cabin", "value": "1"}, ("400", "invalid_data")),
        ({"action": "set", "path": "Vehicle.No", "value": "1"}, ("404", "unavailable_data")),
        ({"action": "set", "path": "Vehicle.Body.Hood.IsOpen", "value": "true"}, ("403", "forbidden_request")),
        ({"action": "subscribe", "path": LEVEL}, ("400", "bad_request")),
        ({"action": "subscribe", "path": LEVEL, "filter": {"variant": "paths", "parameter": "x"}}, ("400", "bad_request")),
        ({"action": "subscribe", "path": LEVEL, "filter": {"variant": "curvelog", "parameter": {}}}, ("404", "unavailable_data")),
        (
            {"action": "subscribe", "path": LEVEL, "filter": {"variant": "timebased", "parameter": {"period": "5"}}},
            ("400", "invalid_data"),
        ),
        (
            {"action": "subscribe", "path": LEVEL, "filter": {"variant": "timebased", "parameter": {"period": "soon"}}},
            ("400", "bad_request"),
        ),
        (
            {"action": "subscribe", "path": LEVEL, "filter": {"variant": "range", "parameter": {"logic-op": "near"}}},
            ("400", "bad_request"),
        ),
        ({"action": "unsubscribe"}, ("400", "bad_request")),
        ({"action": "unsubscribe", "subscriptionId": "99"}, ("404", "unavailable_data")),
    ],
)
def test_bad_requests_get_the_error_of_the_specification(lab: Lab, request_: dict[str, Any], error: tuple[str, str]) -> None:
    """Its number and reason; nothing is subscribed or set."""
    assert lab.error(**request_) == error
    assert lab.server.deadline() is None


@pytest.mark.parametrize("junk", [None, [], "get", 7, {"action": ["get"], "requestId": {}}])
def test_junk_is_a_bad_request(lab: Lab, junk: Any) -> None:
    """Whatever comes is answered."""
    (answer,) = lab.server.request("client/1", junk, NOW).answers
    assert answer.body["error"]["reason"] == "bad_request"


def test_with_a_token_each_request_needs_it_and_nothing_is_said_in_part() -> None:
    """Missing and wrong are both 401; a reduced set of data would break what was agreed."""
    lab = Lab(replace(whole_status(), position=None), token="secret")
    assert lab.error(action="get", path=LEVEL) == ("401", "invalid_token")
    assert lab.error(action="get", path=LEVEL, authorization="other") == ("401", "invalid_token")
    assert lab.ask(action="get", path=LEVEL, authorization="secret")["data"]["dp"]["value"] == "61"
    paths = {"variant": "paths", "parameter": ["CurrentLocation.Latitude", "TraveledDistance"]}
    assert lab.error(action="get", path="Vehicle", filter=paths, authorization="secret") == ("404", "unavailable_data")


# --- set


@pytest.mark.parametrize(
    ("path", "value", "name", "parameters"),
    [
        (LOCK, "true", "lock", {}),
        ("Vehicle.Cabin.Door.Row2.PassengerSide.IsLocked", "false", "unlock", {}),
        ("Vehicle.Cabin.HVAC.IsAirConditioningActive", "true", "climatisation", {"action": "start"}),
        ("Vehicle.Cabin.HVAC.Station.Row1.Driver.Temperature", "22.5", "climatisation", {"action": "start", "target_c": 22.5}),
        ("Vehicle.Powertrain.TractionBattery.Charging.StartStopCharging", "STOP", "charging", {"action": "stop"}),
        ("Vehicle.Powertrain.TractionBattery.Charging.ChargeLimit", 80, "charging_settings", {"limit_percent": 80}),
    ],
)
def test_an_update_of_an_actuator_is_a_command(lab: Lab, path: str, value: Any, name: str, parameters: dict[str, Any]) -> None:
    """It is answered when the car has taken it, once."""
    outcome = lab.server.request("client/1", {"action": "set", "path": path, "value": value, "requestId": "5"}, NOW)
    (command,) = outcome.commands
    assert (outcome.answers, command.vin, command.name, command.parameters) == ((), VIN, name, parameters)
    assert command.issued_at == NOW < command.expires_at
    taken = _response(command.id, "accepted")
    (answer,) = lab.server.answered(taken, NOW + SECOND)
    assert answer.body == {"action": "set", "requestId": "5", "ts": "2026-03-02T12:00:01Z"}
    assert lab.server.answered(replace(taken, state="succeeded"), NOW + SECOND) == []


@pytest.mark.parametrize(
    ("state", "reason", "error"),
    [
        ("rejected", "engine_running", ("503", "service_unavailable")),
        ("rejected", "argument_out_of_range", ("400", "invalid_data")),
        ("rejected", "not_equipped", ("404", "unavailable_data")),
        ("rejected", "privacy_offline", ("403", "forbidden_request")),
        ("rejected", "power_budget", ("429", "too_many_requests")),
        ("failed", "actuator", ("502", "bad_gateway")),
        ("expired", None, ("408", "request_timeout")),
    ],
)
def test_a_refused_update_says_why(lab: Lab, state: Any, reason: str | None, error: tuple[str, str]) -> None:
    """The reason of the car stands in the description."""
    (command,) = lab.server.request("client/1", {"action": "set", "path": LOCK, "value": "true"}, NOW).commands
    (answer,) = lab.server.answered(_response(command.id, state, reason), NOW)
    told = answer.body["error"]
    assert (told["number"], told["reason"]) == error
    assert (reason or state) in told["description"]


def test_two_updates_are_two_commands(lab: Lab) -> None:
    """Clients use the same requestId again; the car must not take the second for a repetition."""
    ids = [lab.server.request("c", {"action": "set", "path": LOCK, "value": "true", "requestId": "1"}, NOW).commands[0].id]
    ids += [lab.server.request("c", {"action": "set", "path": LOCK, "value": "true", "requestId": "1"}, NOW).commands[0].id]
    assert len(set(ids)) == 2


def _response(command_id: str, state: Any, reason: str | None = None) -> Response:
    return Response(
        vin=VIN, boot=3, seq=9, captured_at=NOW, command_id=command_id, name="lock", state=state, reason=reason, awake=True
    )


# --- subscribe


def test_timebased_sends_each_period_and_once_for_what_was_missed(lab: Lab) -> None:
    """The first event comes after a period."""
    name = lab.subscribe(LEVEL, {"variant": "timebased", "parameter": {"period": "500"}})
    assert lab.server.deadline() == NOW + SECOND // 2
    assert lab.server.wake(NOW + SECOND // 4) == []
    (event,) = lab.server.wake(NOW + SECOND // 2)
    assert event.topic == "client/1"
    assert event.body["action"] == "subscription"
    assert event.body["subscriptionId"] == name
    assert event.body["data"]["dp"]["value"] == "61"
    assert "requestId" not in event.body
    assert len(lab.server.wake(NOW + MINUTE + 1)) == 1
    assert lab.server.deadline() == NOW + MINUTE + SECOND // 2


def test_change_compares_with_what_was_sent_last(lab: Lab) -> None:
    """A fall by more than 10 sends, many small ones add up, a rise does not."""
    lab.subscribe(LEVEL, {"variant": "change", "parameter": {"logic-op": "lt", "diff": "-10"}})
    assert lab.fuel(55, NOW + SECOND) == []
    (event,) = lab.fuel(50, NOW + 2 * SECOND)
    assert event["data"]["dp"] == {"value": "50", "ts": "2026-03-02T12:00:02Z"}
    assert lab.fuel(45, NOW + 3 * SECOND) == []
    assert lab.fuel(100, NOW + 4 * SECOND) == []


def test_change_of_several_sends_those_that_changed(lab: Lab) -> None:
    """With a paths filter the data are a list; the first look is the subscription itself."""
    lab.subscribe(
        "Vehicle.Powertrain",
        {"variant": "paths", "parameter": ["FuelSystem.RelativeLevel", "FuelSystem.Range"]},
        {"variant": "change", "parameter": {"logic-op": "ne", "diff": "0"}},
    )
    assert lab.server.wake(NOW + SECOND) == []
    (event,) = lab.fuel(50, NOW + 2 * SECOND)
    assert [each["path"] for each in event["data"]] == [LEVEL]


@pytest.mark.parametrize(
    ("operator", "values", "sent"),
    [("gt", [True, False, True], [True, False, True]), ("lt", [True, False, True], [False, True, False])],
)
def test_truth_values_change_up_or_down(operator: str, values: list[bool], sent: list[bool]) -> None:
    """Greater is from false to true, lower the other way, each time anew."""
    before, seen = False, []
    for value in values:
        seen.append(is_changed(Bound(operator, 0), before, value))
        before = value
    assert seen == sent


def test_change_to_the_same_direction_is_sent_each_time(lab: Lab) -> None:
    """A bound of 0 compares with the look before, so that a fall between two rises does not hide the second."""
    lab.subscribe(LEVEL, {"variant": "change", "parameter": {"logic-op": "gt", "diff": "0"}})
    sent = [bool(lab.fuel(percent, NOW + n * SECOND)) for n, percent in enumerate([70, 40, 50, 50, 60], start=1)]
    assert sent == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("parameter", "within"),
    [
        ({"logic-op": "lt", "boundary": "50"}, [40]),
        ([{"logic-op": "gte", "boundary": "40"}, {"logic-op": "lt", "boundary": "60"}], [55, 40]),
        ([{"logic-op": "lt", "boundary": "45", "combination-op": "OR"}, {"logic-op": "gt", "boundary": "65"}], [70, 40]),
    ],
)
def test_range_sends_what_comes_into_it(lab: Lab, parameter: Any, within: list[int]) -> None:
    """Once as it comes there and then with each new value, and again when it comes back."""
    lab.subscribe(LEVEL, {"variant": "range", "parameter": parameter})
    percents = [55, 55, 70, 70, 40, 40]
    events = [event for n, percent in enumerate(percents, start=1) for event in lab.fuel(percent, NOW + n * SECOND)]
    assert [int(event["data"]["dp"]["value"]) for event in events] == within


def test_what_changes_between_two_messages_is_seen_at_the_next_look(lab: Lab) -> None:
    """Changes and ranges are looked at once a second."""
    lab.subscribe(LEVEL, {"variant": "range", "parameter": {"logic-op": "lt", "boundary": "30"}})
    lab.status = replace(lab.status, energy=Energy(fuel_level_percent=20.0))
    assert lab.server.deadline() == NOW + SECOND
    assert len(lab.server.wake(NOW + SECOND)) == 1
    assert lab.server.wake(NOW + 2 * SECOND) == []


def test_unsubscribe_ends_the_events(lab: Lab) -> None:
    """The answer has no subscriptionId, as the schema wants it."""
    name = lab.subscribe(LEVEL, {"variant": "timebased", "parameter": {"period": "500"}})
    assert lab.ask(action="unsubscribe", subscriptionId=name, requestId="2") == {
        "action": "unsubscribe",
        "requestId": "2",
        "ts": "2026-03-02T12:00:00Z",
    }
    assert lab.server.deadline() is None


def test_subscriptions_are_bounded(lab: Lab) -> None:
    """One too many is refused, and those before go on."""
    for _ in range(MOST_SUBSCRIPTIONS):
        lab.subscribe(LEVEL, {"variant": "timebased", "parameter": {"period": "500"}})
    filter_ = {"variant": "timebased", "parameter": {"period": "500"}}
    assert lab.error(action="subscribe", path=LEVEL, filter=filter_) == ("429", "too_many_requests")
    assert len(lab.server.wake(NOW + SECOND)) == MOST_SUBSCRIPTIONS
