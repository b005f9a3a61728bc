"""How long tests with cars take: one car and one command, live and virtual; a day without network for a thousand cars.

    python bench/harness.py [--runs 3] [--cars 1000]

Each line is the median of the runs after the first, which also starts the broker.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import time

import structlog
from lab import surroundings

from fleet.harness import virtual_world
from fleet.harness.broker import HarnessBroker
from fleet.harness.world import World, live_world

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


async def one_command(world: World) -> None:
    """Run the test that is measured: a car, a command that needs the S-PIN, its outcome; the checks at the end included."""
    car = await world.car()
    await world.user.lock(car).succeeds()


async def offline_day(world: World, cars: int) -> tuple[int, bool]:
    """Let commuters live a day without network, then drain them; return messages, and whether each car's came in order."""
    made = await world.add_cars(cars, profile="commuter")
    await world.faults.network(works=False)
    await world.clock.advance(hours=24)
    await world.faults.network(works=True)
    await world.settle()
    for _ in range(600):
        if not any(car.in_outbox for car in made):
            break
        await world.settle()
    in_order = all([message.seq for message in car.messages] == list(range(1, len(car.messages) + 1)) for car in made)
    return sum(len(car.messages) for car in made), in_order


async def measure(runs: int, cars: int) -> None:
    print(surroundings())
    async with HarnessBroker() as broker:
        live, virtual = [], []
        for _ in range(runs + 1):
            began = time.perf_counter()
            async with live_world(broker.reach()) as world:
                await one_command(world)
            live.append(time.perf_counter() - began)
            began = time.perf_counter()
            async with virtual_world() as world:
                await one_command(world)
            virtual.append(time.perf_counter() - began)
        told("one car, one command, private Mosquitto", live)
        told("the same, virtual", virtual)
        began = time.perf_counter()
        async with live_world(broker.reach()) as world:
            messages, in_order = await offline_day(world, cars)
            with world.reader() as reader:
                stored = reader.account().stored
        took_s = time.perf_counter() - began
        order = "in order" if in_order else "NOT in order"
        print(f"{cars} cars, a day without network, then drained: {messages} messages, {stored} stored, {order}; {took_s:.0f} s")


def told(what: str, seconds: list[float]) -> None:
    """Print a line of the table."""
    print(f"{what}: {statistics.median(seconds[1:]) * 1e3:.1f} ms (the first {seconds[0] * 1e3:.0f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="so many after the first [3]")
    parser.add_argument("--cars", type=int, default=1000, help="of the day without network [1000]")
    options = parser.parse_args()
    asyncio.run(measure(options.runs, options.cars))


if __name__ == "__main__":
    main()
