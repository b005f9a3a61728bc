"""A car that is erased while it is away, beside a real broker and in virtual time: nothing of the past leaves it, or is kept."""

from __future__ import annotations

import pytest

from fleet.backend.needles import found_in, text_needle
from fleet.harness import World
from fleet.harness.backend import HarnessBackend
from fleet.vehicle.signals import AskStatus
from fleet.wire.messages import Event, Response, ServiceRequest, Status

BOTH = pytest.mark.parametrize(
    "mode", [pytest.param("virtual", marks=pytest.mark.fleet(mode="virtual")), pytest.param("live", marks=pytest.mark.live)]
)


async def erase(fleet: World, vin: str) -> None:
    fleet.ask(ServiceRequest(id=fleet.new_id("erase"), service="erasure", action="erase", vin=vin))
    await fleet.settle()


@BOTH
async def test_a_full_outbox_of_an_erased_car_never_leaves_it(fleet: World, fleet_backend: HarnessBackend, mode: str) -> None:
    """It comes back, obeys the reset that waited at the broker, and says no more than that."""
    car, other = await fleet.car(), await fleet.car()
    for each in (car, other):
        each.put(AskStatus())
    await fleet.settle()
    with fleet.reader() as reader:
        assert reader.history(car.vin, limit=1)
    await car.enter_garage()
    for _ in range(300):
        car.put(AskStatus())
        other.put(AskStatus())
    waiting = car.in_outbox
    assert waiting >= 300
    before = len(car.messages)
    await erase(fleet, car.vin)
    await car.leave_garage()
    await fleet.clock.advance(minutes=5)
    await fleet.settle()
    said = car.messages[before:]
    assert [message for message in said if isinstance(message, Status)] == []
    assert {message.name for message in said if isinstance(message, Response | Event)} == {"reset", "car_reset"}
    assert car.in_outbox == 0
    with fleet.reader() as reader:
        assert reader.history(car.vin, limit=1) == []
        assert [row.vin for row in reader.cars()] == [other.vin]
        account = reader.account()
        assert account.missing == 0
        assert account.erased >= 1
        path = reader.path
    assert [
        what for ending in ("", "-wal") for what in found_in(path.with_name(path.name + ending), [text_needle("VIN", car.vin)])
    ] == []


@BOTH
async def test_an_old_outbox_that_leaves_its_car_all_the_same_is_not_kept(
    fleet: World, fleet_backend: HarnessBackend, mode: str
) -> None:
    """Of data that alone are erased the car knows nothing: the back end knows the time, and takes what is newer."""
    car = await fleet.car()
    await car.enter_garage()
    for _ in range(20):
        car.put(AskStatus())
    fleet.ask(ServiceRequest(id=fleet.new_id("erase"), service="erasure", action="erase", vin=car.vin, data={"scope": "data"}))
    await fleet.settle()
    erased_at = fleet.now
    await fleet.clock.advance(minutes=1)
    await car.leave_garage()
    car.put(AskStatus())
    await fleet.settle()
    old = [message for message in car.messages if message.captured_at <= erased_at]
    assert len(old) >= 20
    with fleet.reader() as reader:
        rows = reader.history(car.vin, limit=99)
        assert rows
        assert all(row.captured_at > erased_at for row in rows)
        assert (reader.account().erased, reader.account().missing) == (len(old), 0)
