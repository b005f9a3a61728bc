"""A status by VSS path, and back."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from fleet.dialects.vss.signals import LOST, SIGNALS, TREE, attributes_of, signals_of, status_of
from fleet.kernel.instants import HOUR
from fleet.wire.messages import STATUS_GROUPS, ChargingStatus, Climate, Status
from tests.dialects.statuses import NOW, VIN, petrol_status, whole_status


def test_units_and_values_are_those_of_the_catalogue() -> None:
    """Metres, seconds, watts and whole percents, words in capitals."""
    said = signals_of(whole_status())
    assert said["Vehicle.TraveledDistance"] == 12_345_678
    assert said["Vehicle.Powertrain.FuelSystem.RelativeLevel"] == 61
    assert said["Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed"] == 55.5
    assert said["Vehicle.Powertrain.Range"] == 451_200
    assert said["Vehicle.Powertrain.Type"] == "HYBRID"
    assert said["Vehicle.Powertrain.TractionBattery.Charging.TimeToComplete"] == 95 * 60
    assert said["Vehicle.Powertrain.TractionBattery.CurrentPower"] == 3510.0
    assert said["Vehicle.Powertrain.TractionBattery.Charging.StartStopCharging"] == "START"
    assert said["Vehicle.Powertrain.TractionBattery.Charging.ChargeLimit"] == 90
    assert said["Vehicle.LowVoltageSystemState"] == "OFF"
    assert said["Vehicle.IsMoving"] is False
    assert said["Vehicle.Cabin.Sunroof.Position"] == 100
    assert said["Vehicle.Cabin.Door.Row2.PassengerSide.IsLocked"] is False
    assert said["Vehicle.CurrentLocation.Timestamp"] == "2026-03-02T11:58:29.999999Z"
    assert said["Vehicle.TripDuration"] == 1200.0


def test_service_is_what_comes_first_by_distance_and_by_time() -> None:
    """The catalogue has one service of any kind; it is due when either is."""
    said = signals_of(whole_status())
    assert said["Vehicle.Service.DistanceToService"] == -12.0
    assert said["Vehicle.Service.TimeToService"] == 100 * 86_400
    assert said["Vehicle.Service.IsServiceDue"] is True


def test_what_a_status_does_not_have_is_not_said() -> None:
    """A car without plug says nothing of a battery, a group that is left out nothing at all."""
    said = signals_of(petrol_status())
    assert not [path for path in said if "TractionBattery" in path or "DieselExhaustFluid" in path or "Sunroof" in path]
    assert said["Vehicle.Powertrain.Type"] == "COMBUSTION"
    bare = Status(vin=VIN, boot=1, seq=1, captured_at=NOW, trigger="left", state="driving")
    assert signals_of(bare) == {"Vehicle.IsMoving": True, "Vehicle.LowVoltageSystemState": "ON"}


def test_power_is_said_while_it_charges_alone() -> None:
    """While driving no field of a status says what flows out of the battery, so that 0 would be wrong."""
    charging = ChargingStatus(
        state="complete", plugged_in=True, remaining_min=0, max_current_a=16, power_kw=0.0, starts_at=NOW + HOUR
    )
    said = signals_of(replace(whole_status(), charging=charging))
    assert "Vehicle.Powertrain.TractionBattery.CurrentPower" not in said
    assert said["Vehicle.Powertrain.TractionBattery.Charging.Timer.Mode"] == "START_TIME"
    assert said["Vehicle.Powertrain.TractionBattery.Charging.Timer.Time"] == "2026-03-02T13:00:00Z"


@pytest.mark.parametrize("state", ["parked", "ignition_on", "driving"])
def test_state_survives(state: str) -> None:
    """Moving and the supply of the control units tell the three states apart."""
    status = replace(whole_status(), state=state)
    assert status_of(status, "left", signals_of(status)).state == state


def test_all_that_is_not_declared_lost_comes_back() -> None:
    """A reader of the signals gets the status, less what `LOST` names with its reason."""
    status = whole_status()
    back = status_of(status, status.trigger, signals_of(status))
    for group in STATUS_GROUPS:
        before, after = msgspec.to_builtins(getattr(status, group)), msgspec.to_builtins(getattr(back, group))
        if group in LOST and group != "charging":
            assert after is None, group
        elif isinstance(before, dict):
            lost = {field.split(".")[1] for field in LOST if field.startswith(f"{group}.")}
            if group in {"low_voltage", "driving", "health"}:
                continue
            kept = {name: value for name, value in before.items() if name not in lost}
            assert {name: value for name, value in (after or {}).items() if name not in lost} == kept or group == "charging", (
                group
            )
        else:
            assert before == after, group
    assert back.energy is not None
    assert back.energy.fuel_level_percent == 61.0
    assert back.charging is not None
    assert (back.charging.state, back.charging.power_kw, back.charging.target_percent) == ("charging", 3.51, 90)
    assert back.driving is not None
    assert back.driving.last_trip is not None
    assert (back.driving.last_trip.distance_km, back.driving.last_trip.fuel_l) == (12.5, 0.6)


@pytest.mark.parametrize("state", ["plugged_in", "complete", "error"])
def test_why_a_plugged_car_does_not_charge_is_not_guessed(state: str) -> None:
    """Three states look the same by the catalogue; the group is left out rather than said wrongly."""
    charging = ChargingStatus(state=state, plugged_in=True, remaining_min=0, max_current_a=16, power_kw=0.0)  # type: ignore[arg-type]
    status = replace(whole_status(), charging=charging)
    assert status_of(status, "left", signals_of(status)).charging is None


def test_a_heater_is_not_taken_for_nothing() -> None:
    """The climate of a reader is unknown, not off."""
    status = replace(whole_status(), climate=Climate(state="heating", remaining_min=9))
    said = signals_of(status)
    assert said["Vehicle.Cabin.HVAC.IsAirConditioningActive"] is False
    assert status_of(status, "left", said).climate is None


def test_the_tree_has_each_path_once_and_values_fit_their_datatypes() -> None:
    """Whole numbers for integers, words of the list for those that have one."""
    assert len(TREE) == len(SIGNALS) + 7
    kinds: dict[str, tuple[type, ...]] = {"boolean": (bool,), "string": (str,), "float": (float, int), "double": (float, int)}
    for path, value in {**attributes_of(VIN, "leon"), **signals_of(whole_status())}.items():
        signal = TREE[path]
        assert isinstance(value, kinds.get(signal.datatype, (int,))), path
        assert not signal.allowed or value in signal.allowed, path
