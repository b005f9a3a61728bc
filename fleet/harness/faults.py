"""What can go wrong, on purpose: the broker's process and the network of all cars; the same in live and virtual worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.errors import UsageError
from fleet.harness.steps import Steps, step
from fleet.vehicle.signals import SetNetwork

if TYPE_CHECKING:
    from fleet.harness.stages import Broker
    from fleet.harness.world import World


class Faults:
    """Breaks things, and mends what is still broken at the end of the test."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._down = False
        self._paused = False

    @property
    def steps(self) -> Steps:
        return self._world.steps

    @property
    def broker_works(self) -> bool:
        """Whether the broker runs and answers."""
        return not (self._down or self._paused)

    def _broker(self) -> Broker:
        broker = self._world.stage.broker
        if broker is None:
            raise UsageError("this broker is not ours to stop", hint="Use the private one: leave --fleet-broker out.")
        return broker

    @step
    async def kill_broker(self) -> None:
        """End the broker at once: what it had not written down is lost."""
        self._broker().kill()
        self._down = True

    @step
    async def stop_broker(self) -> None:
        """End the broker in order: it writes down what must persist."""
        await self._broker().stop()
        self._down = True

    @step
    async def start_broker(self) -> None:
        """Run it again; returns when cars and back end are connected again."""
        await self._start()
        await self._world.settle()

    async def _start(self) -> None:
        await self._broker().start()
        self._down = False

    @step
    async def pause_broker(self) -> None:
        """Let it keep its connections and answer nothing."""
        self._broker().pause()
        self._paused = True

    @step
    async def resume_broker(self) -> None:
        """Let it go on."""
        self._resume()
        await self._world.settle()

    def _resume(self) -> None:
        self._broker().resume()
        self._paused = False

    @step
    async def network(self, *, works: bool) -> None:
        """Let the mobile network fail for all cars, or work again."""
        for car in self._world.cars:
            car.put(SetNetwork(works))
        await self._world.settle()

    async def mend(self) -> None:
        """Let the broker run again, for the tests that come after."""
        if self._paused:
            self._resume()
        if self._down:
            await self._start()
