"""A status with every group and field, and cars with less."""

from __future__ import annotations

from msgspec.structs import replace

from fleet.kernel.instants import HOUR, Instant
from fleet.wire.messages import (
    AdBlue,
    ChargingStatus,
    Climate,
    DayData,
    Door,
    Doors,
    DrivingData,
    Energy,
    Health,
    Lights,
    LowVoltage,
    Position,
    ServiceDue,
    Software,
    Status,
    TripData,
    WarningLight,
    Windows,
)

VIN = "VSSZZZKMZTV000001"
NOW: Instant = 1_772_452_800_000_000  # 2026-03-02T12:00:00Z


def whole_status(at: Instant = NOW, *, seq: int = 7) -> Status:
    """Return a status of a charging plug-in hybrid with AdBlue, in which no group and no field is missing."""
    locked, shut = Door(open=False, locked=True), Door(open=False, locked=False)
    trip = TripData(distance_km=12.5, duration_min=20.0, average_speed_kmh=37.5, fuel_l=0.6, energy_kwh=1.2)
    return Status(
        vin=VIN,
        boot=3,
        seq=seq,
        captured_at=at,
        trigger="left",
        state="parked",
        mileage_km=12_345.678,
        energy=Energy(fuel_level_percent=61.4, fuel_range_km=420.0, charge_percent=55.5, electric_range_km=31.2),
        adblue=AdBlue(level_percent=40.2, range_km=1800.5, warning="low"),
        service=ServiceDue(inspection_km=9000.5, inspection_days=200, oil_change_km=-12.0, oil_change_days=100),
        doors=Doors(
            front_left=locked,
            front_right=locked,
            rear_left=locked,
            rear_right=shut,
            bonnet=locked,
            boot=Door(open=True, locked=False),
        ),
        windows=Windows(front_left=False, front_right=True, rear_left=False, rear_right=False, sunroof=True),
        lights=Lights(parking_lights_on=True),
        position=Position(latitude=48.137, longitude=11.575, accuracy_m=4.5, fixed_at=at - 90_000_001, parked_at=at - HOUR),
        climate=Climate(
            state="climatisation", remaining_min=12, target_c=21.5, outside_c=3.4, inside_c=11.2, window_heating=False
        ),
        charging=ChargingStatus(
            state="charging",
            plugged_in=True,
            remaining_min=95,
            max_current_a=16,
            power_kw=3.51,
            current_a=15.26,
            limit_percent=80,
            target_percent=90,
        ),
        driving=DrivingData(
            last_trip=trip,
            today=DayData(day="2026-03-02", distance_km=30.0, duration_min=50.0, average_speed_kmh=36.0),
            since_filled=TripData(distance_km=200.0, duration_min=300.0, average_speed_kmh=40.0, fuel_l=9.9),
        ),
        health=Health(
            reported_at=at - HOUR,
            mileage_km=12_300.0,
            warnings=(WarningLight(id="bulb", text="a bulb", category="lighting", priority=3),),
        ),
        low_voltage=LowVoltage(charge_percent=88.0, voltage_v=12.55),
        software=Software(system="2.1", infotainment="4.0"),
    )


def petrol_status(at: Instant = NOW, *, seq: int = 7) -> Status:
    """Return the status of a car that burns petrol, and has neither plug nor AdBlue nor sunroof."""
    status = whole_status(at, seq=seq)
    assert status.windows is not None
    return replace(
        status,
        energy=Energy(fuel_level_percent=61.4, fuel_range_km=420.0),
        charging=None,
        adblue=None,
        windows=replace(status.windows, sunroof=None),
    )
