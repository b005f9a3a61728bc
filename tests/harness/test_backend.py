"""Our back end in a process of its own: killed and started again, nothing is lost or executed twice."""

from __future__ import annotations

import pytest

from fleet.errors import UsageError
from fleet.harness import World
from fleet.harness.backend import HarnessBackend
from fleet.harness.car import HarnessCar


@pytest.mark.live
@pytest.mark.fleet(backend="process", until_stored=True)
async def test_a_back_end_that_is_killed_loses_nothing(
    fleet: World, fleet_car: HarnessCar, fleet_backend: HarnessBackend
) -> None:
    await fleet.user.lock(fleet_car).succeeds()
    for _ in range(3):
        await fleet_backend.kill()
        await fleet_car.switch_on()
        await fleet_car.switch_off()
        await fleet_backend.start()
    rows = await fleet_backend.history(fleet_car, limit=1_000)
    assert sorted(row.seq for row in rows) == list(range(1, len(fleet_car.messages) + 1))
    await fleet.user.unlock(fleet_car).succeeds()
    twin = await fleet_backend.twin(fleet_car)
    assert twin is not None
    assert twin.doors is not None
    assert not twin.doors.front_left.locked


@pytest.mark.fleet(mode="virtual")
async def test_one_within_the_test_cannot_be_killed(fleet: World, fleet_backend: HarnessBackend) -> None:
    with pytest.raises(UsageError, match="cannot be killed"):
        await fleet_backend.kill()
    assert fleet.cars == []
