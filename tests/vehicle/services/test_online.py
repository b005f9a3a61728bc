"""Online requests of a car: what it refuses itself, what it sends, and that each has one outcome, in time or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.kernel.instants import MINUTE, SECOND
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.kept import find, obtain
from fleet.vehicle.services.online import WAITING_MOST, Online, Shown
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import (
    Acknowledged,
    AskOnline,
    LinkDown,
    PairCar,
    Received,
    ResetCar,
    SetCoverage,
    SetPlug,
    SetPrivacy,
    SetService,
    SwitchOn,
)
from fleet.wire.messages import Event, Reply, Request
from fleet.wire.requests import requests
from tests.vehicle.car_lab import CarLab, equipment

OUTCOMES = {"request_answered", "request_failed", "request_timed_out"}
NAVI: dict[str, Any] = {"media": "navi_system"}
WORDS: dict[str, dict[str, Any]] = {
    "route_calculation": {"to_latitude": 48.371, "to_longitude": 10.898},
    "voice_query": {"text": "parking"},
    "internet_radio": {"station": "jazz"},
    "store_purchase": {"product": "navi_1_year"},
    "plug_and_charge": {"station": "Voltalpin"},
}
"""What the driver has to say; all the rest the car knows, or has a default."""


def navi(model: str = "Leon", energy: str | None = "petrol", **more: Any) -> Equipment:
    return equipment(model, energy, **(NAVI | more))


def lab(fitted: Equipment | None = None, **more: Any) -> CarLab:
    """Return a car with a navi system whose engine runs."""
    made = CarLab(fitted or navi(), **more)
    made.put(SwitchOn())
    return made


def asked(made: CarLab) -> list[Request]:
    return [message for message in made.sent if isinstance(message, Request)]


def outcomes(made: CarLab) -> list[Event]:
    return [message for message in made.sent if isinstance(message, Event) and message.name in OUTCOMES]


def ask(made: CarLab, name: str, **data: Any) -> Request:
    """Ask, and return the request that goes out."""
    before = len(asked(made))
    made.put(AskOnline(name, WORDS.get(name, {}) | data))
    (request,) = asked(made)[before:]
    return request


def refused(made: CarLab, name: str, **data: Any) -> str | None:
    """Ask in vain, and return the reason that the driver sees and the event tells."""
    before, events = len(asked(made)), len(outcomes(made))
    made.put(AskOnline(name, WORDS.get(name, {}) | data))
    assert len(asked(made)) == before, "nothing is asked"
    assert find(made.car, Online) is not None
    assert not obtain(made.car, Online).waiting
    shown = obtain(made.car, Online).shown
    assert shown is not None
    assert (shown.request, shown.data) == (name, None)
    for event in outcomes(made)[events:]:
        assert (event.name, event.data["request"], event.data["reason"]) == ("request_failed", name, shown.reason)
    return shown.reason


def answer(made: CarLab, request: Request, **more: Any) -> None:
    made.put(Received(Reply(id=request.id, name=request.name, **more)))


# --- what is sent


@pytest.mark.parametrize("name", [name for name, known in requests().items() if not known.entry.is_of_screen])
def test_each_service_is_asked_with_all_that_it_needs(name: str) -> None:
    """The car fills in where it is and what fits it; what the back end is sent can be read there."""
    energy = "e-hybrid" if "charging_socket" in requests()[name].entry.equipment else "petrol"
    made = lab(navi("Leon", energy))
    if name == "plug_and_charge":
        made = CarLab(navi("Leon", energy))
        made.put(SetPlug(True))
    request = ask(made, name)
    known = requests()[name]
    assert request.expires_at == made.now + known.entry.time_out_s * SECOND
    required = {key for key, parameter in known.entry.parameters.items() if parameter.required}
    assert required <= request.data.keys() <= known.entry.parameters.keys()


@pytest.mark.parametrize("name", ["enrolment", "log_in"])
def test_what_the_screen_asks_by_itself_cannot_be_said(name: str) -> None:
    assert refused(lab(), name, user="p1", way="code", sealed_spin="x" * 32) == "unsupported"


@pytest.mark.parametrize(
    ("model", "energy", "name", "key", "value"),
    [
        ("Leon", "petrol", "petrol_places", "fuel", "petrol"),
        ("Leon", "diesel", "petrol_places", "fuel", "diesel"),
        ("Leon", "e-hybrid", "petrol_places", "fuel", "petrol"),
        ("Leon", "e-hybrid", "charging_places", "plug", "type2"),
        ("Born", "electric", "charging_places", "plug", "ccs"),
    ],
)
def test_the_car_says_what_it_needs(model: str, energy: str, name: str, key: str, value: str) -> None:
    assert ask(lab(navi(model, energy)), name).data[key] == value


def test_where_the_car_is_comes_from_its_receiver_unless_the_driver_means_elsewhere() -> None:
    made = lab()
    fix = made.car.position(made.now)
    here = ask(made, "parking_places").data
    assert (here["latitude"], here["longitude"]) == (fix.latitude, fix.longitude)
    assert ask(made, "parking_places", latitude=48.5, longitude=11.0).data["latitude"] == 48.5


# --- what is refused in the car


@pytest.mark.parametrize(
    ("fitted", "name", "reason"),
    [
        *[
            (equipment("Leon", "petrol", media="media_system"), name, "not_equipped")
            for name, known in requests().items()
            if "navi_system" in known.entry.equipment
        ],
        (navi("Born", "electric"), "petrol_places", "not_equipped"),
        (navi("Leon", "petrol"), "charging_places", "not_equipped"),
        (navi("Leon", "petrol"), "plug_and_charge", "not_equipped"),
        (navi("Leon", "petrol"), "weather", "unsupported"),
    ],
)
def test_what_the_car_is_not_equipped_for_it_does_not_ask(fitted: Equipment, name: str, reason: str) -> None:
    assert refused(lab(fitted), name) == reason


def test_plug_and_charge_needs_no_navi_system_but_the_plug() -> None:
    made = CarLab(equipment("Born", "electric", media="media_system"))
    made.put(SetPlug(False))
    assert refused(made, "plug_and_charge") == "not_plugged_in"
    made.put(SetPlug(True))
    assert ask(made, "plug_and_charge").name == "plug_and_charge"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"radius_km": 0.1}, "argument_out_of_range"),
        ({"radius_km": 51}, "argument_out_of_range"),
        ({"latitude": -91.0, "longitude": 0.0}, "argument_out_of_range"),
        ({"radius_km": "far"}, "malformed"),
        ({"free_now": 1}, "malformed"),
        ({"colour": "red"}, "malformed"),
    ],
)
def test_words_that_do_not_fit_are_not_sent(data: dict[str, Any], reason: str) -> None:
    assert refused(lab(), "parking_places", **data) == reason


def test_a_word_that_only_the_driver_can_say_must_be_said() -> None:
    made = lab()
    made.put(AskOnline("store_purchase", {}))
    assert asked(made) == []
    assert outcomes(made)[-1].data["reason"] == "malformed"


def test_without_coverage_it_fails_at_once_and_is_not_asked_later() -> None:
    made = lab()
    made.put(SetCoverage(False))
    assert refused(made, "traffic") == "no_network"
    made.put(SetCoverage(True))
    made.run_for(5 * MINUTE)
    assert asked(made) == []
    assert [event.data["reason"] for event in outcomes(made)] == ["no_network"]


@pytest.mark.parametrize(
    ("mode", "name", "reason"),
    [
        ("online", "traffic", "privacy_location"),
        ("online", "internet_radio", None),
        ("offline", "traffic", "privacy_offline"),
        ("offline", "internet_radio", "privacy_offline"),
    ],
)
def test_privacy_decides_what_may_be_asked(mode: Any, name: str, reason: str | None) -> None:
    """What tells a position is not asked where none may leave the car; a silent car asks nothing, and tells nothing of it."""
    made = lab(navi("Born", "electric"))
    made.put(SetPrivacy(mode))
    if reason is None:
        assert ask(made, name).name == name
        return
    assert refused(made, name) == reason
    assert len(outcomes(made)) == (0 if mode == "offline" else 1)


def test_a_service_that_is_switched_off_is_not_asked() -> None:
    made = lab()
    made.put(SetService("traffic", on=False))
    assert refused(made, "traffic") == "service_deactivated"
    assert ask(made, "parking_places").name == "parking_places"
    made.put(SetService("traffic", on=True))
    assert ask(made, "traffic").name == "traffic"


def test_so_many_wait_at_once_and_no_more() -> None:
    made = lab()
    for _ in range(WAITING_MOST):
        ask(made, "traffic")
    made.put(AskOnline("traffic", {}))
    assert outcomes(made)[-1].data["reason"] == "busy"
    answer(made, asked(made)[0], data={"incidents": []})
    ask(made, "traffic")


# --- one outcome


def test_an_answer_ends_a_request_and_is_shown() -> None:
    made = lab()
    request = ask(made, "traffic")
    answer(made, request, data={"incidents": []})
    (event,) = outcomes(made)
    assert (event.name, event.data) == ("request_answered", {"id": request.id, "request": "traffic"})
    assert find(made.car, Online) is not None
    assert obtain(made.car, Online).shown == Shown("traffic", None, {"incidents": []})


def test_an_error_ends_it_with_its_reason() -> None:
    made = lab()
    request = ask(made, "traffic")
    answer(made, request, error="no_map_data")
    (event,) = outcomes(made)
    assert (event.name, event.data["reason"]) == ("request_failed", "no_map_data")


def test_no_reply_in_time_is_a_time_out_and_a_late_one_goes_unheard() -> None:
    """At the very instant of the time-out it is too late; a time-out has no reason: nobody knows what became of it."""
    made = lab()
    request = ask(made, "traffic")
    assert request.expires_at is not None
    made.run_until(request.expires_at - 1)
    assert outcomes(made) == []
    made.now = request.expires_at
    answer(made, request, data={"incidents": []})
    (event,) = outcomes(made)
    assert (event.name, event.captured_at) == ("request_timed_out", request.expires_at)
    assert "reason" not in event.data
    made.run_for(MINUTE)
    answer(made, request, data={"incidents": []})
    assert len(outcomes(made)) == 1


def test_a_microsecond_before_it_is_in_time() -> None:
    made = lab()
    request = ask(made, "traffic")
    assert request.expires_at is not None
    made.run_until(request.expires_at - 1)
    answer(made, request, data={"incidents": []})
    made.run_for(MINUTE)
    assert [event.name for event in outcomes(made)] == ["request_answered"]


def test_a_reply_that_comes_twice_or_with_another_name_or_id_changes_nothing() -> None:
    made = lab()
    request = ask(made, "traffic")
    made.put(Received(Reply(id=request.id, name="parking_places", data={"places": []})))
    made.put(Received(Reply(id="another", name="traffic", data={"incidents": []})))
    assert outcomes(made) == []
    answer(made, request, data={"incidents": []})
    answer(made, request, error="not_found")
    assert [event.name for event in outcomes(made)] == ["request_answered"]


def test_a_fast_clock_gives_the_reply_its_five_wall_seconds() -> None:
    settings = CarSettings(hole_share=0.0, reply_time=3_000 * SECOND)
    made = CarLab(navi(), settings=settings)
    made.put(SwitchOn())
    request = ask(made, "traffic")
    assert request.expires_at == made.now + 3_000 * SECOND


def test_when_the_connection_breaks_the_request_times_out_and_its_outcome_waits() -> None:
    made = lab()
    made.acknowledging = False
    made.put(LinkDown())
    assert refused(made, "traffic") == "no_network"
    made.link_up()
    before = len(outcomes(made))
    made.acknowledging = True
    for message in list(made.sent):
        made.put(Acknowledged(message.seq))
    request = ask(made, "traffic")
    made.put(SetCoverage(False))
    made.run_for(2 * MINUTE)
    assert find(made.car, Online) is not None
    assert obtain(made.car, Online).shown == Shown("traffic", None, None)
    made.put(SetCoverage(True))
    made.run_for(MINUTE)
    told = [event for event in outcomes(made)[before:] if event.data["id"] == request.id]
    assert [event.name for event in told] == ["request_timed_out"]


def test_a_reset_forgets_what_was_asked_and_shown() -> None:
    made = lab()
    shown, waiting = ask(made, "parking_places"), ask(made, "traffic")
    answer(made, shown, data={"places": []})
    made.put(ResetCar())
    assert find(made.car, Online) is not None
    assert (obtain(made.car, Online).shown, obtain(made.car, Online).waiting) == (None, {})
    made.put(PairCar())
    answer(made, waiting, data={"incidents": []})
    made.run_for(MINUTE)
    assert [event.data["id"] for event in outcomes(made)] == [shown.id]


def test_a_car_that_asks_nothing_has_nothing() -> None:
    """And nobody asks by himself."""
    made = CarLab(navi())
    made.drive()
    made.run_for(60 * MINUTE)
    assert find(made.car, Online) is None
    assert asked(made) == []


def test_ids_are_a_cars_own_in_each_of_its_runs() -> None:
    made = lab()
    ids = {ask(made, "traffic").id for _ in range(3)}
    assert len(ids) == 3
    assert all(each.startswith(f"{made.car.outbox.boot:x}-") for each in ids)
