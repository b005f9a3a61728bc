"""Our back end, as a test sees it: what it has stored, and how it is killed and comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.cloud.twin import Twin
from fleet.harness.steps import Steps, step
from fleet.harness.surroundings import AnyCar, Surroundings

if TYPE_CHECKING:
    from fleet.backend.reader import MessageRow
    from fleet.harness.car import HarnessCar


class HarnessBackend:
    """Reads what our back end has stored; what is under way arrives first."""

    def __init__(self, world: Surroundings) -> None:
        self._world = world

    @property
    def steps(self) -> Steps:
        return self._world.steps

    @step
    async def twin(self, car: HarnessCar) -> Twin | None:
        """Return the newest stored state of a car, None when nothing of it was stored."""
        await self._stored(car)
        with self._world.reader() as reader:
            return reader.status(car.vin)

    async def _stored(self, car: AnyCar) -> None:
        """Wait until all that came of the car is stored; a process of its own takes its time."""
        await self._world.settle()
        last = max((message.seq for message in car.messages), default=0)

        def stored() -> bool:
            with self._world.reader() as reader:
                return any(row.seq >= last for row in reader.history(car.vin, limit=1)) or not last

        await self._world.stage.wait(stored)

    @step
    async def kill(self) -> None:
        """End it at once with SIGKILL; for a back end in a process of its own."""
        await self._world.kill_backend()

    @step
    async def start(self) -> None:
        """Run it again on its store."""
        await self._world.start_backend()

    @step
    async def fill_disk(self) -> None:
        """Let it find the disk full from now on; for a back end in a process of its own, on Linux."""
        self._world.limit_disk(full=True)

    @step
    async def free_disk(self) -> None:
        """Let it find room again; returns when what waited for it is stored."""
        self._world.limit_disk(full=False)
        for car in self._world.cars:
            await self._stored(car)

    @step
    async def history(self, car: HarnessCar, *, limit: int = 100) -> list[MessageRow]:
        """Return what is stored of a car, the newest first."""
        await self._stored(car)
        with self._world.reader() as reader:
            return reader.history(car.vin, limit=limit)
