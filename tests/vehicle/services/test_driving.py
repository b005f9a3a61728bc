"""Driving data: per trip, per day right across midnight, and since the car was filled up or charged."""

from __future__ import annotations

import pytest

from fleet.kernel.instants import HOUR, MINUTE
from fleet.vehicle.services import charging
from fleet.vehicle.signals import DriveTo, SwitchOff
from fleet.wire.messages import DrivingData
from tests.vehicle.car_lab import HOME, SHOP, WORK, CarLab, driver, equipment


def recorded(lab: CarLab) -> DrivingData:
    """Return the record as the car keeps it."""
    assert lab.car.trips.record is not None
    return lab.car.trips.record


def data(lab: CarLab) -> DrivingData:
    found = lab.statuses("engine_off")[-1].driving
    assert found is not None
    return found


def test_a_trip_adds_to_the_day_and_to_the_long_record() -> None:
    """km, minutes and litres are sums; the average speed is that of the whole."""
    lab = CarLab()
    lab.drive(SHOP)
    one = data(lab)
    assert one.last_trip is not None
    assert one.today is not None
    assert one.today.day == "2026-03-02"
    assert one.today.distance_km == one.last_trip.distance_km
    assert one.since_filled == one.last_trip
    lab.drive(WORK)
    both = data(lab)
    assert both.last_trip is not None
    assert both.today is not None
    assert both.since_filled is not None
    trips = [event.data for event in lab.events("trip")]
    for record in (both.today, both.since_filled):
        assert record.distance_km == pytest.approx(sum(trip["distance_km"] for trip in trips), abs=0.002)
        assert record.duration_min == pytest.approx(sum(trip["duration_min"] for trip in trips), abs=0.02)
        assert record.fuel_l == pytest.approx(sum(trip["fuel_l"] for trip in trips), abs=0.002)
        assert record.average_speed_kmh == pytest.approx(record.distance_km / record.duration_min * 60, abs=0.1)
        assert record.energy_kwh is None


def test_a_hybrid_tells_fuel_and_battery() -> None:
    lab = CarLab(equipment("Leon", "e-hybrid"), driver())
    lab.car.powertrain.charge_kwh = 0.5 * lab.car.equipment.usable_kwh
    lab.drive(SHOP)
    trip = data(lab).last_trip
    assert trip is not None
    assert trip.energy_kwh is not None
    assert trip.energy_kwh > 0
    assert trip.fuel_l is not None


def test_the_day_ends_at_midnight() -> None:
    """For a parked car; the next day's first trip begins its own record, and the long one goes on."""
    lab = CarLab()
    lab.drive(SHOP)
    first = data(lab).last_trip
    lab.run_until(lab.car.driver.next_midnight(lab.now))
    assert recorded(lab).today is None
    lab.run_for(8 * HOUR)
    lab.drive(HOME)
    after = data(lab)
    assert after.today is not None
    assert after.today.day == "2026-03-03"
    assert after.last_trip is not None
    assert first is not None
    assert after.today.distance_km == after.last_trip.distance_km
    assert after.since_filled is not None
    assert after.since_filled.distance_km == pytest.approx(first.distance_km + after.last_trip.distance_km)


def test_a_trip_over_midnight_belongs_to_the_day_it_began_on() -> None:
    """It is added to that day's trips, whose date the record says; the first trip that begins afterwards begins anew."""
    lab = CarLab()
    lab.drive(SHOP)
    lab.run_until(lab.car.driver.next_midnight(lab.now) - MINUTE)
    lab.drive(HOME, stay=10 * MINUTE)
    late = data(lab)
    trips = [event.data["distance_km"] for event in lab.events("trip")]
    assert late.today is not None
    assert late.today.day == "2026-03-02"
    assert late.today.distance_km == pytest.approx(sum(trips))
    lab.drive(SHOP)
    early = data(lab)
    assert early.today is not None
    assert (early.today.day, early.today.distance_km) == ("2026-03-03", lab.events("trip")[-1].data["distance_km"])


def test_two_midnights_without_a_drive_in_between() -> None:
    """A record of the day before yesterday is nobody's today."""
    lab = CarLab()
    lab.run_until(lab.car.driver.next_midnight(lab.now) - MINUTE)
    lab.drive(SHOP)
    assert recorded(lab).today is not None
    lab.run_until(lab.car.driver.next_midnight(lab.now))
    assert recorded(lab).today is None


def test_filling_up_begins_the_long_record_anew() -> None:
    """At a station on the way; the trips from there on count."""
    lab = CarLab(tune=lambda car: setattr(car.powertrain, "fuel_l", 0.05 * car.equipment.tank_l))
    lab.put(DriveTo(WORK))
    lab.run_for(3 * HOUR)
    assert len(lab.events("refuelled")) == 1
    refuelled_at = lab.events("refuelled")[0].captured_at
    later = [event.data["distance_km"] for event in lab.events("trip") if event.captured_at > refuelled_at]
    assert len(later) == 1
    long = data(lab).since_filled
    assert long is not None
    assert long.distance_km == later[0]


def test_charging_begins_it_anew_in_an_electric_car_only() -> None:
    for model, energy, kept in (("Born", "electric", False), ("Leon", "e-hybrid", True)):
        lab = CarLab(equipment(model, energy), driver())
        lab.drive(SHOP)
        assert recorded(lab).since_filled is not None
        charging.plug_in(lab.car, lab.now)
        assert (recorded(lab).since_filled is not None) == kept


def test_a_trip_that_was_broken_off_at_once() -> None:
    """No metre and no minute is a trip without an average, not an error."""
    lab = CarLab()
    lab.put(DriveTo(SHOP))
    lab.put(SwitchOff())
    trip = data(lab).last_trip
    assert trip is not None
    assert (trip.distance_km, trip.average_speed_kmh) == (0.0, 0.0)
