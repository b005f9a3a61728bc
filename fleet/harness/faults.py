"""What can go wrong, on purpose: the broker's process and the network of all cars; the same in live and virtual worlds."""

from __future__ import annotations

from collections.abc import Callable
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
        await self._gone()

    @step
    async def stop_broker(self) -> None:
        """End the broker in order: it writes down what must persist."""
        await self._broker().stop()
        await self._gone()

    async def _gone(self) -> None:
        """Let everybody notice, and hold the cars back until it is there again."""
        self._down = True
        cars = self._world.shard.cars.values()
        await self._world.stage.wait(lambda: not any(held.car.telematics.is_up for held in cars))
        with self._world.stage.inside():
            self._world.gate.close()

    @step
    async def start_broker(self, *, before_cars: Callable[[], bool] | None = None) -> None:
        """Run it again; returns when our back end and then the cars are connected again.

        A broker that was killed has forgotten who subscribed, so a back end of yours misses what cars send before it is back:
        `before_cars` says when it is.
        """
        await self._start(before_cars)
        await self._world.settle()

    async def _start(self, before_cars: Callable[[], bool] | None = None) -> None:
        await self._broker().start()
        await self._world.stage.wait(self._world.is_connected)
        if before_cars is not None and not await self._world.stage.wait(before_cars):
            self._world.fail("the broker runs again, and what is to hold `before_cars` connect does not")
        with self._world.stage.inside():
            self._world.gate.open()
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
