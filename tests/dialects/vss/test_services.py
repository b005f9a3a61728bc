"""Commands as services of VISS: invoked, monitored, cancelled, discovered."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.dialects.vss.services import MOST_SESSIONS, PATHS, VissServices
from fleet.kernel.instants import HOUR, SECOND
from fleet.wire.commands import COMMANDS
from fleet.wire.messages import Command, Event, Response
from tests.dialects.statuses import NOW, VIN

LOCK = "VehicleService.Access.Lock"
HEATER = "VehicleService.Comfort.Heater"
LIMIT = "VehicleService.Energy.ChargingSettings"
ALL = {"variant": "all"}


class Lab:
    """The services of a car whose answers a test gives."""

    def __init__(self) -> None:
        self.services = VissServices(VIN)

    def request(self, topic: str = "client/1", now: int = NOW, **request: Any) -> dict[str, Any]:
        """Return the one answer to a request that the car need not be asked for."""
        outcome = self.services.request(topic, request, now)
        assert outcome.commands == ()
        (answer,) = outcome.answers
        assert answer.topic == topic
        return answer.body

    def invoke(self, path: str, topic: str = "client/1", **members: Any) -> Command:
        """Return the command of an invocation."""
        request = {"action": "invoke", "path": path, "filter": ALL, "requestId": "r1", **members}
        outcome = self.services.request(topic, request, NOW)
        (command,) = outcome.commands
        assert outcome.answers == ()
        return command

    def answer(self, command: Command, *states: Any, reason: str | None = None) -> list[dict[str, Any]]:
        """Return what clients are told as the car answers with these states."""
        told = []
        for state in states:
            response = Response(
                vin=VIN,
                boot=3,
                seq=9,
                captured_at=NOW,
                command_id=command.id,
                name=command.name,
                state=state,
                reason=reason,
                awake=True,
            )
            told += [answer.body for answer in self.services.answered(response, NOW + SECOND)]
        return told

    def ended(self, name: str, reason: str) -> list[dict[str, Any]]:
        """Return what clients are told as the car ends what has run."""
        event = Event(
            vin=VIN, boot=3, seq=10, captured_at=NOW, name=name, data={"reason": reason, "minutes": 30.0, "fuel_l": 0.3}
        )
        return [answer.body for answer in self.services.happened(event, NOW + HOUR)]


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_each_command_is_a_service() -> None:
    """Under its group, with a name of the catalogue's own."""
    assert sorted(PATHS.values()) == sorted(COMMANDS)
    assert PATHS["VehicleService.Comfort.VentilationTimers"] == "ventilation_timers"


def test_an_invocation_is_answered_when_the_car_takes_it_and_told_of_its_end(lab: Lab) -> None:
    """ONGOING with the id of the session, steps as events, SUCCESSFUL at last."""
    command = lab.invoke(LOCK)
    assert (command.vin, command.name, command.parameters, command.issued_at) == (VIN, "lock", {}, NOW)
    first, step, end = lab.answer(command, "accepted", "in_progress", "succeeded")
    session = first["serviceId"]
    ts = "2026-03-02T12:00:01Z"
    assert first == {
        "action": "invoke", "path": LOCK, "status": "ONGOING", "serviceId": session, "requestId": "r1", "ts": ts,
    }  # fmt: skip
    assert step == {"action": "monitoring", "path": LOCK, "serviceId": session, "status": "ONGOING", "ts": ts}
    assert end == {"action": "monitoring", "path": LOCK, "serviceId": session, "status": "SUCCESSFUL", "ts": ts}
    assert lab.answer(command, "succeeded") == []


@pytest.mark.parametrize(
    ("variant", "told"),
    [("all", ["invoke", "monitoring", "monitoring"]), ("status", ["invoke", "monitoring"]), ("none", ["invoke"])],
)
def test_a_filter_says_how_much_is_told(lab: Lab, variant: str, told: list[str]) -> None:
    """Of `status` changes alone; of `none` the answer alone, without a session."""
    command = lab.invoke(LOCK, filter={"variant": variant})
    answers = lab.answer(command, "accepted", "in_progress", "succeeded")
    assert [each["action"] for each in answers] == told
    assert ("serviceId" in answers[0]) is (variant != "none")


def test_timebased_tells_each_period_until_the_end(lab: Lab) -> None:
    """The end comes at once."""
    command = lab.invoke(HEATER, filter={"variant": "timebased", "parameter": {"period": "60000"}}, input={"minutes": "30"})
    lab.answer(command, "accepted")
    assert lab.services.deadline() == NOW + 60 * SECOND
    (event,) = lab.services.wake(NOW + 60 * SECOND)
    assert event.body["status"] == "ONGOING"
    assert lab.ended("heater_ended", "time")[0]["status"] == "SUCCESSFUL"
    assert lab.services.deadline() is None


def test_a_refusal_is_an_error_with_the_reason_of_the_car(lab: Lab) -> None:
    """Before it was taken it is the answer, afterwards an event."""
    (refused,) = lab.answer(lab.invoke(LOCK), "rejected", reason="door_open")
    assert refused == {
        "action": "invoke",
        "requestId": "r1",
        "status": "FAILED",
        "error": {"number": "503", "reason": "service_unavailable", "description": "door_open"},
        "ts": "2026-03-02T12:00:01Z",
    }
    _, failed = lab.answer(lab.invoke(LOCK), "accepted", "failed", reason="actuator")
    assert (failed["action"], failed["status"], failed["error"]["number"]) == ("monitoring", "FAILED", "502")


def test_a_heater_goes_on_until_it_has_ended(lab: Lab) -> None:
    """Started is ONGOING; its end comes with what it has used, as strings."""
    command = lab.invoke(HEATER, input={"minutes": "30"})
    assert command.parameters == {"action": "start", "minutes": 30}
    assert [each["status"] for each in lab.answer(command, "accepted", "in_progress", "succeeded")] == ["ONGOING"] * 3
    (end,) = lab.ended("heater_ended", "time")
    assert end["status"] == "SUCCESSFUL"
    assert end["outdata"]["output"] == {"reason": "time", "minutes": "30.0", "fuel_l": "0.3"}
    assert lab.ended("heater_ended", "time") == []


@pytest.mark.parametrize(("reason", "status"), [("stopped", "CANCELED"), ("engine_start", "CANCELED"), ("fuel_low", "FAILED")])
def test_an_early_end_is_no_success(lab: Lab, reason: str, status: str) -> None:
    """Somebody's wish is a cancellation, a lack of energy a failure with an error."""
    lab.answer(lab.invoke(HEATER), "accepted", "succeeded")
    (end,) = lab.ended("heater_ended", reason)
    assert end["status"] == status
    assert ("error" in end) is (status == "FAILED")


def test_another_client_monitors_what_goes_on(lab: Lab) -> None:
    """It gets the input, and events of its own; without an invocation it gets what is known."""
    monitor: dict[str, Any] = {"action": "monitor", "path": HEATER, "filter": {"variant": "status"}, "requestId": "m"}
    assert lab.request("client/2", **monitor)["status"] == "UNKNOWN"
    lab.answer(lab.invoke(HEATER, input={"minutes": "20"}), "accepted")
    told = lab.request("client/2", **monitor)
    assert told["status"] == "ONGOING"
    assert told["indata"] == {"input": {"minutes": "20"}, "ts": "2026-03-02T12:00:00Z"}
    ends = lab.ended("heater_ended", "time")
    assert {each["serviceId"] for each in ends} >= {told["serviceId"]}
    assert len(ends) == 2
    known = lab.request("client/2", **monitor)
    assert (known["status"], known["outdata"]["output"]["reason"], "serviceId" in known) == ("SUCCESSFUL", "time", False)


def test_cancel_of_a_monitoring_ends_that_alone(lab: Lab) -> None:
    """The heater goes on."""
    lab.answer(lab.invoke(HEATER), "accepted")
    told = lab.request("client/2", action="monitor", path=HEATER, filter=ALL, requestId="m")
    ended = lab.request("client/2", action="cancel", serviceId=told["serviceId"])
    assert (ended["status"], ended["serviceId"]) == ("CANCELED", told["serviceId"])
    assert len(lab.ended("heater_ended", "time")) == 1


def test_cancel_of_an_invocation_is_a_stop_and_is_answered_when_that_is_done(lab: Lab) -> None:
    """Who monitors is told, too; the end that the car then reports is old news."""
    (first,) = lab.answer(lab.invoke(HEATER), "accepted")
    watcher = lab.request("client/2", action="monitor", path=HEATER, filter=ALL, requestId="m")
    outcome = lab.services.request("client/1", {"action": "cancel", "serviceId": first["serviceId"]}, NOW)
    (stop,) = outcome.commands
    assert (outcome.answers, stop.name, stop.parameters) == ((), "heater", {"action": "stop"})
    done, told = lab.answer(stop, "accepted", "succeeded")
    assert done == {"action": "cancel", "status": "CANCELED", "serviceId": first["serviceId"], "ts": "2026-03-02T12:00:01Z"}
    assert (told["action"], told["serviceId"], told["status"]) == ("monitoring", watcher["serviceId"], "CANCELED")
    assert lab.ended("heater_ended", "stopped") == []


def test_a_stop_that_is_refused_leaves_the_invocation(lab: Lab) -> None:
    """The answer is an error."""
    (first,) = lab.answer(lab.invoke(HEATER), "accepted")
    (stop,) = lab.services.request("client/1", {"action": "cancel", "serviceId": first["serviceId"]}, NOW).commands
    (answer,) = lab.answer(stop, "rejected", reason="privacy_offline")
    assert (answer["status"], answer["error"]["number"], answer["serviceId"]) == ("FAILED", "403", first["serviceId"])
    assert len(lab.ended("heater_ended", "time")) == 1


def test_discover_lists_procedures_with_their_inputs(lab: Lab) -> None:
    """Below any path of the service tree."""
    found = lab.request(action="discover", path="VehicleService.Comfort", requestId="d")["metadata"]
    minutes = found["Comfort"]["Heater"]["Input"]["minutes"]
    assert minutes == {"type": "property", "datatype": "integer", "unit": "min"}
    whole = lab.request(action="discover", path="VehicleService", requestId="d")["metadata"]
    assert sum(len(group) - 1 for group in whole.values()) == len(COMMANDS)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"action": "invoke"}, ("400", "bad_request")),
        ({"action": "invoke", "path": "VehicleService.Access.Fly"}, ("404", "unavailable_data")),
        ({"action": "invoke", "path": LOCK, "filter": {"variant": "some"}}, ("400", "bad_request")),
        ({"action": "invoke", "path": LOCK, "input": {"pin": "1"}}, ("400", "invalid_data")),
        ({"action": "invoke", "path": LOCK, "input": "now"}, ("400", "invalid_data")),
        ({"action": "invoke", "path": LIMIT, "input": {"limit_percent": "much"}}, ("400", "invalid_data")),
        ({"action": "monitor", "path": "Vehicle.Speed"}, ("404", "unavailable_data")),
        ({"action": "cancel"}, ("400", "bad_request")),
        ({"action": "cancel", "serviceId": "77"}, ("400", "bad_request")),
        ({"action": "discover", "path": "Vehicle"}, ("404", "unavailable_data")),
    ],
)
def test_bad_requests_are_answered(lab: Lab, request_: dict[str, Any], error: tuple[str, str]) -> None:
    """With the errors of the specification."""
    told = lab.request(**request_)
    assert (told["error"]["number"], told["error"]["reason"]) == error
    assert ("status" in told) is (request_["action"] != "discover")


def test_what_cannot_be_cancelled_says_so(lab: Lab) -> None:
    """A lock that is under way locks."""
    (first,) = lab.answer(lab.invoke(LOCK), "accepted")
    assert lab.request(action="cancel", serviceId=first["serviceId"])["error"]["number"] == "403"


def test_time_to_live_comes_from_the_request_or_the_kind(lab: Lab) -> None:
    """`timeout` is in ms."""
    assert lab.invoke(LOCK).expires_at == NOW + 60 * SECOND
    assert lab.invoke(LOCK, timeout=5000).expires_at == NOW + 5 * SECOND
    assert lab.invoke(LOCK, timeout="soon").expires_at == NOW + 60 * SECOND


def test_sessions_are_bounded(lab: Lab) -> None:
    """One too many is refused with 429."""
    for _ in range(MOST_SESSIONS):
        lab.invoke(LOCK)
    assert lab.request(action="invoke", path=LOCK, filter=ALL, requestId="1")["error"]["number"] == "429"
