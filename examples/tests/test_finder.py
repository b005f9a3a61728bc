"""What Finder promises its users, held against real cars. Three of these tests were bugs once; they say so."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from finder.service import Finder

from fleet.harness import FaultProxy, Faults, HarnessCar, HarnessClock, World, make_fault, near

HUNDRED_METRES = 0.001  # in degrees of latitude


# --- where is my car


async def test_a_car_is_where_it_was_parked_last(fleet: World, fleet_car: HarnessCar, finder: Finder) -> None:
    for place in ((48.15, 11.55), (48.20, 11.60)):
        await fleet_car.drive(to=place)
        await fleet_car.switch_off()
    await fleet.eventually(lambda: finder.store.where(fleet_car.vin).latitude, near(48.20, HUNDRED_METRES))
    assert finder.store.where(fleet_car.vin).longitude == pytest.approx(11.60, abs=HUNDRED_METRES)


async def test_each_car_has_its_own_place(fleet: World, finder: Finder) -> None:
    cars = [await fleet.car(at=(48.1 + 0.01 * number, 11.5)) for number in range(5)]
    for car in reversed(cars):
        await car.switch_on()
        await car.switch_off()
    await fleet.eventually(lambda: all(finder.store.where(car.vin) for car in cars))
    for number, car in enumerate(cars):
        assert finder.store.where(car.vin).latitude == pytest.approx(48.1 + 0.01 * number, abs=HUNDRED_METRES)


async def test_the_place_that_was_measured_last_counts(
    fleet: World, fleet_car: HarnessCar, fleet_faults: Faults, finder: Finder
) -> None:
    """Finder 1.0 took the one that arrived last. But an emergency call overtakes what waits for a network."""
    await fleet_faults.network(works=False)
    await fleet_car.drive(to=(48.20, 11.60))
    await fleet_car.park()
    await fleet_car.drive(to=(48.25, 11.65))
    await fleet_car.press("sos")
    await fleet_faults.network(works=True)
    await fleet.eventually(lambda: finder.store.known(fleet_car.vin), len(fleet_car.messages))
    assert finder.store.where(fleet_car.vin).latitude == pytest.approx(48.25, abs=HUNDRED_METRES)


# --- how far was it driven


async def test_a_trip_that_comes_twice_counts_once(
    fleet: World, fleet_car: HarnessCar, finder: Finder, network: FaultProxy
) -> None:
    """Finder 1.1 counted it twice. What the broker saw no acknowledgement of it sends again."""
    network.set("no PUBACK", make_fault("drop", packet="PUBACK", way="to_broker"))
    await fleet_car.drive(km=12)
    await fleet_car.switch_off()
    trip = await fleet_car.wait_for_event("trip")
    await fleet.eventually(lambda: finder.store.known(fleet_car.vin), len(fleet_car.messages))
    network.clear("no PUBACK")
    network.strike(make_fault("reset"))

    await fleet_car.switch_on()  # comes after all that comes again
    await fleet.eventually(lambda: finder.store.known(fleet_car.vin), len(fleet_car.messages))
    assert finder.store.kilometres(fleet_car.vin) == pytest.approx(trip.data["distance_km"])


async def test_what_happens_while_finder_is_down_is_read_later(fleet: World, fleet_car: HarnessCar, finder: Finder) -> None:
    finder.stop()
    await fleet_car.drive(km=5)
    await fleet_car.switch_off()
    finder.start()
    await fleet.eventually(lambda: finder.store.kilometres(fleet_car.vin), near(5, 1.5))


async def test_what_cannot_be_stored_comes_again(fleet: World, fleet_car: HarnessCar, finder: Finder) -> None:
    """Finder 1.2 acknowledged first and stored then; while a backup held the file, trips were lost."""
    with closing(sqlite3.connect(finder.store.path, isolation_level=None)) as backup:
        backup.execute("BEGIN EXCLUSIVE")
        await fleet_car.drive(km=5)
        await fleet_car.switch_off()
        await fleet.eventually(lambda: finder.failure)
    finder.stop()
    finder.start()
    await fleet.eventually(lambda: finder.store.kilometres(fleet_car.vin), near(5, 1.5))
    await fleet.eventually(lambda: finder.store.known(fleet_car.vin), len(fleet_car.messages))


async def test_a_broker_that_is_killed_costs_no_kilometre(
    fleet: World, fleet_car: HarnessCar, fleet_faults: Faults, finder: Finder
) -> None:
    bought_with_km = fleet_car.odometer_km
    for _ in range(3):
        await fleet_car.drive(km=5)
        await fleet_faults.kill_broker()
        await fleet_car.switch_off()
        await fleet_faults.start_broker(before_cars=lambda: finder.is_ready)
    driven_km = fleet_car.odometer_km - bought_with_km
    await fleet.eventually(lambda: finder.store.kilometres(fleet_car.vin), near(driven_km, 0.01))


# --- does it need fuel


@pytest.mark.fleet(car={"fuel_percent": 20})
async def test_low_fuel_is_told_once_until_the_tank_is_filled(fleet: World, fleet_car: HarnessCar, finder: Finder) -> None:
    await fleet_car.drain(to_percent=10)
    for _ in range(2):
        await fleet_car.switch_on()
        await fleet_car.switch_off()
    await fleet.eventually(lambda: finder.store.known(fleet_car.vin), len(fleet_car.messages))
    assert finder.store.notices(fleet_car.vin) == ["fuel is at 10 %"]

    await fleet_car.drive(km=20)  # who has so little left stops at a station
    await fleet_car.drain(to_percent=12)
    await fleet_car.switch_off()
    await fleet.eventually(lambda: finder.store.notices(fleet_car.vin), ["fuel is at 10 %", "fuel is at 12 %"])


# --- let its lights flash


async def test_its_lights_flash_for_who_stands_beside_it(fleet: World, fleet_car: HarnessCar, finder: Finder) -> None:
    latitude, longitude = fleet_car.position
    command = finder.flash(fleet_car.vin, latitude=latitude, longitude=longitude)
    arrived = await fleet_car.wait_for_command("honk", mode="flash")
    assert arrived.frame.response_topic == fleet.topics.response(fleet_car.vin, "honk")
    await fleet_car.wait_for_response("honk", state="succeeded")
    await fleet.eventually(lambda: finder.store.outcome(command), "succeeded")


async def test_lights_do_not_flash_long_after_they_were_asked_for(
    fleet: World, fleet_car: HarnessCar, fleet_clock: HarnessClock, finder: Finder
) -> None:
    await fleet_car.enter_garage()
    latitude, longitude = fleet_car.position
    command = finder.flash(fleet_car.vin, latitude=latitude, longitude=longitude)
    await fleet_clock.advance(minutes=5)
    assert finder.store.outcome(command) is None
    await fleet_car.leave_garage()
    await fleet_car.wait_for_response("honk", state="expired")
    await fleet.eventually(lambda: finder.store.outcome(command), "expired")
