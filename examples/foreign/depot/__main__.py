"""`python -m depot [HOST [PORT]]`: run Depot, and say once a second what it has heard, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from depot.service import Depot


async def main(host: str = "127.0.0.1", port: str = "1883") -> None:
    """Run until it is cancelled."""
    depot = Depot()
    running = asyncio.create_task(depot.run(host, int(port)))
    while not running.done():
        await asyncio.sleep(1)
        cars = depot.cars.by_vin.values()
        trips = sum(len(car.trips) for car in cars)
        sys.stdout.write(f"{len(cars)} cars, {sum(car.here for car in cars)} here; {trips} trips\n")
        sys.stdout.flush()
    running.result()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
