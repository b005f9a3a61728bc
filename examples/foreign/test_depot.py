"""What Depot promises, held against cars that speak its protocol by mapping.yaml; beside a real broker, without a sleep."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from depot.service import Depot

from fleet.harness import Faults, HarnessBroker, HarnessCar, World, near

MILE_KM = 1.609344
pytestmark = pytest.mark.fleet(broker="embedded", dialect=str(Path(__file__).with_name("mapping.yaml")))


@pytest.fixture
async def depot(fleet: World, fleet_broker: HarnessBroker) -> AsyncIterator[Depot]:
    """Depot, connected. Its clock is the cars' clock, so that an order grows old when the test says so."""
    depot = Depot(now=lambda: fleet.now / 1e6)
    running = asyncio.create_task(depot.run(fleet_broker.host, fleet_broker.port, fleet_broker.login("backend")))
    await fleet.eventually(lambda: depot.is_ready)
    yield depot
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_trip_is_counted_in_miles(fleet: World, fleet_car: HarnessCar, depot: Depot) -> None:
    await fleet_car.drive(to=(48.20, 11.60))
    await fleet_car.park()
    driven = (await fleet_car.wait_for_event("trip")).data["distance_km"]
    await fleet.eventually(lambda: depot.cars[fleet_car.vin].trips[0], near(driven / MILE_KM, 0.01))
    await fleet.eventually(lambda: depot.cars[fleet_car.vin].place == pytest.approx((48.20, 11.60), abs=0.001))
    assert depot.cars[fleet_car.vin].miles == pytest.approx(fleet_car.odometer_km / MILE_KM, abs=0.1)


async def test_an_order_is_obeyed(fleet: World, fleet_car: HarnessCar, depot: Depot) -> None:
    order = await depot.order(fleet_car.vin, "secure")
    await fleet_car.wait_for_command("lock")
    await fleet_car.wait_for_response("lock", state="succeeded", within="1 min")
    await fleet.eventually(lambda: depot.cars.outcome(order), (200, None))
    await fleet.eventually(lambda: depot.cars[fleet_car.vin].locked)
    assert [code for code, _ in depot.cars.receipts[order]] == [202, 202, 200]


async def test_an_order_that_cannot_be_obeyed_says_why(fleet: World, fleet_car: HarnessCar, depot: Depot) -> None:
    await fleet_car.open("boot")
    order = await depot.order(fleet_car.vin, "secure")
    await fleet_car.wait_for_response("lock", reason="door_open", within="1 min")
    await fleet.eventually(lambda: depot.cars.outcome(order), (409, "a door is open"))
    await fleet_car.start_drive(km=5)
    order = await depot.order(fleet_car.vin, "release")
    await fleet_car.wait_for_response("unlock", state="rejected", within="1 min")
    await fleet.eventually(lambda: depot.cars.outcome(order), (409, "in use"))


async def test_what_a_car_kept_without_a_network_comes_once(
    fleet: World, fleet_car: HarnessCar, fleet_faults: Faults, depot: Depot
) -> None:
    await fleet_faults.network(works=False)
    for _ in range(3):
        await fleet_car.drive(km=5)
        await fleet_car.park()
    assert not depot.cars[fleet_car.vin].trips
    await fleet_faults.network(works=True)
    await fleet.eventually(lambda: len(depot.cars[fleet_car.vin].trips), 3)
    assert sum(depot.cars[fleet_car.vin].trips) * MILE_KM == pytest.approx(15, abs=4)


async def test_a_car_that_is_cut_off_is_not_here(fleet: World, fleet_car: HarnessCar, fleet_faults: Faults, depot: Depot) -> None:
    await fleet.eventually(lambda: depot.cars[fleet_car.vin].here)
    await fleet_faults.network(works=False)
    await fleet.eventually(lambda: not depot.cars[fleet_car.vin].here)
    await fleet_faults.network(works=True)
    await fleet.eventually(lambda: depot.cars[fleet_car.vin].here)
