"""Cars that speak a mapped dialect, our desk and our back end, in virtual time: nothing is lost, and commands end."""

from __future__ import annotations

import pytest

from fleet.harness import World
from fleet.harness.backend import HarnessBackend

pytestmark = pytest.mark.fleet(mode="virtual", dialect="tests.dialects.mapped_samples:telemetry")


async def test_a_drive_is_reported_and_the_account_adds_up(fleet: World, fleet_backend: HarnessBackend) -> None:
    """Each ten seconds while the engine is on, by frames for what changed; a status in which nothing did is left out."""
    car = await fleet.car("Leon")
    await car.drive(km=3)
    report = await car.wait_for_status(trigger="interval", state="driving", within="5 min")
    assert report.mileage_km is not None
    await car.switch_off()
    status = await car.wait_for_status(trigger="engine_off", within="10 min")
    assert status.position is not None
    assert (status.state, status.doors) == ("parked", None), "of the doors the system knows one lock"
    await fleet.settle()
    outbox = fleet.shard.cars[car.vin].car.outbox
    assert outbox.created == outbox.acknowledged + outbox.left_out
    assert (outbox.in_outbox, outbox.refused, outbox.dropped) == (0, 0, 0)


async def test_a_command_of_our_desk_goes_in_their_words_and_ends(fleet: World, fleet_backend: HarnessBackend) -> None:
    car = await fleet.car("Leon")
    await fleet.user.lock(car).succeeds()
    await fleet.user.unlock(car).succeeds()


async def test_after_an_outage_all_is_sent_again(fleet: World, fleet_backend: HarnessBackend) -> None:
    car = await fleet.car("Leon")
    await car.open("boot")
    await car.lose_coverage()
    await car.drive(km=2)
    await car.regain_coverage()
    await fleet.settle()
    outbox = fleet.shard.cars[car.vin].car.outbox
    assert outbox.in_outbox == 0
    assert outbox.created == outbox.acknowledged + outbox.left_out


async def test_a_car_that_charges_reports_each_minute(fleet: World) -> None:
    car = await fleet.car("Born", charge_percent=40.0, plugged_in=True)
    await fleet.clock.advance(minutes=3, seconds=1)
    held = fleet.shard.cars[car.vin].car
    assert held.settings.status_intervals.charging is not None
    status = await car.wait_for_status(trigger="interval", within="2 min")
    assert status.energy is not None
