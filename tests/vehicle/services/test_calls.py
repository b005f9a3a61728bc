"""Emergency, breakdown and information calls: what is sent, when, and what becomes of a car that has crashed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND
from fleet.vehicle.car import Car
from fleet.vehicle.geo import distance_m
from fleet.vehicle.kept import find, obtain
from fleet.vehicle.outbox import LEGAL_EVENTS
from fleet.vehicle.services.calls import OCCUPANTS, Calls, Told
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import (
    Acknowledged,
    Crash,
    DrainTo,
    DriveTo,
    PairCar,
    PressButton,
    Received,
    Repair,
    ResetCar,
    SetCoverage,
    SetPrivacy,
    SwitchOff,
    SwitchOn,
)
from fleet.wire.messages import Event, Reply
from fleet.wire.privacy import PrivacyMode
from tests.vehicle.car_lab import SHOP, START, CarLab, account_holds, equipment, heater_car

HELD_BACK: tuple[PrivacyMode, ...] = ("online_with_location", "online", "offline")


def electric() -> CarLab:
    return CarLab(equipment("Born", "electric"))


def crashed(lab: CarLab, **sensor: Any) -> Event:
    """Drive for a while, crash, and return the call."""
    lab.put(DriveTo(SHOP))
    lab.run_for(2 * MINUTE)
    lab.put(Crash(**sensor))
    return lab.events("ecall")[-1]


# --- what is in an emergency call -----------------------------------------------------------------------------------


def test_a_crash_calls_by_itself() -> None:
    """With the fields of the minimum set of data: who, where, when, whither, how many, and where it was before."""
    lab = electric()
    call = crashed(lab, sensor="belt_tensioner").data
    assert call["automatic"] is True
    assert call["sensor"] == "belt_tensioner"
    assert call["test_call"] is False
    assert (call["vin"], call["vehicle_type"], call["propulsion"]) == (lab.car.vin, "M1", ("electric",))
    assert call["called_at"] == START + 2 * MINUTE
    assert call["position_trusted"] is True
    assert call["direction_deg"] % 2 == 0
    assert 0 <= call["direction_deg"] < 360
    assert 1 <= call["passengers"] <= len(OCCUPANTS)
    places = [call["position"], *call["recent_positions"]]
    apart_m = [distance_m(a["latitude"], a["longitude"], b["latitude"], b["longitude"]) for a, b in pairwise(places)]
    assert len(apart_m) == 2
    assert all(each < 250 for each in apart_m), "five seconds of driving apart, and the receiver's error"


def test_by_hand_no_sensor_has_called_and_who_stands_goes_nowhere() -> None:
    lab = CarLab(heater_car())
    lab.put(PressButton("sos"))
    call = lab.events("ecall")[0].data
    assert call["automatic"] is False
    assert call.keys().isdisjoint({"sensor", "direction_deg"})
    assert call["recent_positions"] == [call["position"]] * 2
    assert call["propulsion"] == ("gasoline",)
    assert find(lab.car, Calls) is not None
    assert not obtain(lab.car, Calls).crashed, "a call by hand is no crash"


@pytest.mark.parametrize(
    ("energy", "told"), [("petrol", ("gasoline",)), ("diesel", ("diesel",)), ("e-hybrid", ("gasoline", "electric"))]
)
def test_propulsion(energy: str, told: tuple[str, ...]) -> None:
    lab = CarLab(equipment("Leon", energy))
    lab.put(PressButton("sos"))
    assert lab.events("ecall")[0].data["propulsion"] == told


@pytest.mark.parametrize("sensor", ["airbag", "belt_tensioner"])
def test_sensors_of_a_parked_car_sleep(sensor: Any) -> None:
    lab = electric()
    lab.put(Crash(sensor))
    assert lab.events("ecall") == []
    assert find(lab.car, Calls) is None


def test_a_crash_while_standing_with_the_engine_on() -> None:
    """Somebody drives into it: there is no direction."""
    lab = electric()
    lab.put(SwitchOn())
    lab.put(Crash())
    assert "direction_deg" not in lab.events("ecall")[0].data


# --- it always gets out ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", HELD_BACK)
@pytest.mark.parametrize("by_hand", [False, True])
def test_in_each_privacy_mode(mode: PrivacyMode, *, by_hand: bool) -> None:
    """Law: with its position, whatever the switch says."""
    lab = electric()
    lab.put(SetPrivacy(mode))
    if by_hand:
        lab.put(PressButton("sos"))
    else:
        crashed(lab)
    (call,) = lab.events("ecall")
    assert set(call.data["position"]) == {"latitude", "longitude", "accuracy_m"}


def test_in_maximum_privacy_and_after_a_reset() -> None:
    """The third generation's word for silence, and a car that nobody has enrolled."""
    lab = CarLab(heater_car())
    lab.put(SetPrivacy("maximum_privacy"))
    lab.put(PressButton("sos"))
    lab.put(ResetCar())
    lab.put(PressButton("sos"))
    assert len(lab.events("ecall")) == 2


def test_first_of_all_that_waits() -> None:
    """Underground messages wait, and the call is the first to leave, under the lowest number."""
    lab = electric()
    lab.put(SetCoverage(False))
    lab.put(SwitchOn())
    lab.put(SwitchOff())
    before = len(lab.sent)
    lab.put(PressButton("sos"))
    lab.put(SetCoverage(True))
    lab.run_for(5 * SECOND)
    sent = lab.sent[before:]
    assert [getattr(each, "name", "status") for each in sent[:3]] == ["ecall", "engine_on", "engine_off"]
    assert [each.seq for each in lab.sent] == list(range(1, len(lab.sent) + 1))
    assert account_holds(lab.car)


def test_while_a_message_is_under_way_it_is_the_next() -> None:
    lab = CarLab(equipment("Born", "electric"), acknowledging=False)
    lab.put(SwitchOn())
    lab.put(SwitchOff())
    under_way = lab.sent[-1]
    lab.put(PressButton("sos"))
    assert lab.sent[-1] is under_way, "one under way at a time"
    lab.put(Acknowledged(under_way.seq))
    assert [event.name for event in lab.events()][-1] == "ecall"


def test_a_call_by_hand_wakes_a_car_from_deep_sleep() -> None:
    def nearly_empty(car: Car) -> None:
        car.low_voltage.charge_ah = car.low_voltage.capacity_ah * 0.405
        car.powertrain.plugged_in = False

    lab = CarLab(equipment("Born", "electric"), tune=nearly_empty)
    lab.run_for(3 * DAY)
    assert (lab.car.low_voltage.in_deep_sleep, lab.wanted) == (True, False)
    lab.put(PressButton("sos"))
    assert lab.wanted
    assert len(lab.events("ecall")) == 1


# --- after a crash --------------------------------------------------------------------------------------------------


def test_the_engine_stops_and_the_doors_are_open_to_helpers() -> None:
    """The call comes first, then the end of the drive; nobody locks up."""
    lab = electric()
    lab.put(DriveTo(SHOP))
    lab.run_for(2 * MINUTE)
    before = len(lab.sent)
    lab.put(Crash())
    assert [getattr(each, "name", "status") for each in lab.sent[before:]] == ["ecall", "engine_off", "trip", "status"]
    status = lab.statuses("engine_off")[-1]
    assert status.state == "parked"
    assert status.doors is not None
    assert not status.doors.front_left.locked
    lab.run_for(HOUR)
    assert lab.statuses("left") == []
    assert not lab.car.body.locked


def test_it_cannot_be_started_before_it_is_repaired() -> None:
    lab = electric()
    crashed(lab)
    for attempt in (SwitchOn(), DriveTo(SHOP)):
        lab.put(attempt)
        assert not lab.car.engine_is_on
    assert [event.data for event in lab.events("engine_not_started")] == [{"reason": "crashed"}] * 2
    lab.put(Repair())
    lab.put(SwitchOn())
    assert lab.car.engine_is_on
    assert len(lab.events("repaired")) == 1


def test_a_repair_of_what_is_whole_does_nothing() -> None:
    lab = electric()
    lab.put(Repair())
    assert lab.events() == []


@pytest.mark.parametrize(("name", "parameters"), [("lock", {}), ("unlock", {}), ("climatisation", {"action": "start"})])
def test_nothing_is_moved_in_it_from_afar(name: str, parameters: dict[str, Any]) -> None:
    """But it tells how it is (ours)."""
    lab = electric()
    crashed(lab)
    lab.run_for(MINUTE)
    assert lab.outcome(name, **parameters) == ("rejected", "crashed")
    assert lab.outcome("refresh") == ("succeeded", None)
    lab.put(Repair())
    assert lab.outcome("unlock") == ("succeeded", None)


def test_a_second_crash_is_none() -> None:
    lab = electric()
    crashed(lab)
    lab.put(Crash())
    assert len(lab.events("ecall")) == 1


# --- breakdown and information --------------------------------------------------------------------------------------


def answer(lab: CarLab, event: Event, error: str | None = None) -> None:
    lab.put(Received(Reply(id=event.data["id"], name=event.name, error=error)))


def test_a_breakdown_call_tells_how_the_car_is() -> None:
    """Mileage, warnings, country of registration, and where it is when that may be told."""
    lab = CarLab(heater_car())
    lab.put(DrainTo(0.02))
    lab.put(PressButton("breakdown"))
    (call,) = lab.events("breakdown_call")
    assert call.data["registered_in"] == "DE"
    assert call.data["mileage_km"] == round(lab.car.levels(lab.now).odometer_m / 1000, 1)
    assert "fuel_reserve" in call.data["warnings"]
    assert call.data["position"]["latitude"] == lab.car.fix.latitude
    answer(lab, call)
    assert lab.events("call_ended")[0].data == {"id": call.data["id"], "call": "breakdown_call", "state": "connected"}


def test_a_breakdown_call_without_a_position_where_none_may_leave() -> None:
    lab = electric()
    lab.put(SetPrivacy("online"))
    lab.put(PressButton("breakdown"))
    (call,) = lab.events("breakdown_call")
    assert set(call.data) == {"id", "registered_in", "mileage_km", "warnings"}


def test_an_info_call_tells_nothing_of_the_car() -> None:
    lab = electric()
    lab.put(PressButton("info"))
    (call,) = lab.events("info_call")
    assert set(call.data) == {"id", "registered_in"}
    answer(lab, call)
    assert find(lab.car, Calls) is not None
    assert obtain(lab.car, Calls).told == Told("info_call", "connected", None)


@pytest.mark.parametrize("button", ["breakdown", "info"])
def test_the_driver_is_told_that_nobody_can_help(button: Any) -> None:
    lab = CarLab(heater_car(), settings=CarSettings(hole_share=0.0, registered_in="AL"))
    lab.put(PressButton(button))
    call = lab.events(f"{button}_call")[0]
    assert call.data["registered_in"] == "AL"
    answer(lab, call, "no_breakdown_centre")
    answer(lab, call)  # a second answer changes nothing
    assert [event.data["state"] for event in lab.events("call_ended")] == ["failed"]
    assert find(lab.car, Calls) is not None
    assert obtain(lab.car, Calls).told == Told(f"{button}_call", "failed", "no_breakdown_centre")  # type: ignore[arg-type]


@pytest.mark.parametrize("button", ["breakdown", "info"])
def test_no_answer_is_unknown(button: Any) -> None:
    lab = electric()
    lab.put(PressButton(button))
    lab.run_for(5 * MINUTE - 1)
    assert lab.events("call_ended") == []
    lab.run_for(1)
    assert [event.data["state"] for event in lab.events("call_ended")] == ["unknown"]


@pytest.mark.parametrize("button", ["breakdown", "info"])
def test_without_a_network_there_is_no_call(button: Any) -> None:
    lab = electric()
    lab.put(SetCoverage(False))
    lab.put(PressButton(button))
    lab.put(SetCoverage(True))
    lab.run_for(MINUTE)
    assert lab.events(f"{button}_call") == []
    assert [event.data["reason"] for event in lab.events("call_ended")] == ["no_network"]


@pytest.mark.parametrize("button", ["breakdown", "info"])
def test_a_silent_car_makes_no_call_but_for_help(button: Any) -> None:
    """The driver is told so, and nobody else."""
    lab = electric()
    lab.put(SetPrivacy("offline"))
    lab.put(PressButton(button))
    assert find(lab.car, Calls) is not None
    assert obtain(lab.car, Calls).told == Told(f"{button}_call", "failed", "privacy_offline")  # type: ignore[arg-type]
    assert {event.name for event in lab.events()} <= LEGAL_EVENTS


def test_a_reset_forgets_the_calls_and_not_the_crash() -> None:
    lab = electric()
    crashed(lab)
    lab.put(PressButton("info"))
    lab.put(ResetCar())
    assert find(lab.car, Calls) is not None
    assert (obtain(lab.car, Calls).told, obtain(lab.car, Calls).waiting) == (None, {})
    lab.put(PairCar())
    lab.put(SwitchOn())
    assert not lab.car.engine_is_on
