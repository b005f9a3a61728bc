"""Our back end, as a test sees it: what it has stored, and how it is killed and comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.cloud.twin import Twin
from fleet.harness.steps import Steps, step

if TYPE_CHECKING:
    from fleet.backend.reader import MessageRow
    from fleet.harness.car import HarnessCar
    from fleet.harness.world import World


class HarnessBackend:
    """Reads what our back end has stored; what is under way arrives first."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def steps(self) -> Steps:
        return self._world.steps

    @step
    async def twin(self, car: HarnessCar) -> Twin | None:
        """Return the newest stored state of a car, None when nothing of it was stored."""
        await self._world.settle()
        with self._world.reader() as reader:
            return reader.status(car.vin)

    @step
    async def history(self, car: HarnessCar, *, limit: int = 100) -> list[MessageRow]:
        """Return what is stored of a car, the newest first."""
        await self._world.settle()
        with self._world.reader() as reader:
            return reader.history(car.vin, limit=limit)
