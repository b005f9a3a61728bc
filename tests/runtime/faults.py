"""What can happen to broker, back end and connections while cars send, and what became of the messages: one table.

`start_all` runs several faults at a time, each with a broker and a store of its own.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from fleet.transport.faults import HalfOpen, ResetConnections
from tests.nightly import draws
from tests.runtime.fault_lab import CARS, LOOK_S, WITHIN_S, FaultLab, Mode, Outcome

STOPPED_KEEP_ALIVE_S: Final = draws(4, 60)
"""Everybody has found out after one keep-alive and a half: that takes as long as the keep-alive does."""
SHORT_KEEP_ALIVE_S: Final = 2
CONNECTIONS: Final = 10
QUEUE: Final = 50
RIVALS: Final = 10
MODES: Final[tuple[Mode, ...]] = ("stored", "puback")
AT_ONCE: Final = 8


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One kind of fault. `loses`: the broker loses what it has acknowledged, all but `survive` messages of it."""

    name: str
    strike: Callable[[FaultLab], Awaitable[None]]
    loses: bool = False
    survive: int = 0
    keep_alive_s: int = 60
    proxied: bool = False


class Case(NamedTuple):
    """A fault in one of the two modes of delivery."""

    fault: Fault
    mode: Mode

    def __str__(self) -> str:
        return f"{self.fault.name}, {self.mode}"


# --- the broker


async def killed_with_its_files(lab: FaultLab) -> None:
    """It comes back with what it wrote down before: it sends again what is stored, and knows nothing of what came later."""
    await lab.restart_broker("autosave_interval", "3600")  # it writes down when it is told to, however long this takes
    await lab.wait_for_all_up()
    await lab.stop_back_end()
    await lab.let_flow(100)
    async with lab.stillness():
        await lab.save_broker()
        waiting = lab.acknowledged() - set(lab.rows())
    await lab.start_back_end()
    await lab.wait_for("row of all that waited", lambda: waiting <= set(lab.rows()))
    await lab.stop_back_end()
    await lab.let_flow(200)
    await lab.kill_broker()
    await lab.broker.start()
    before = lab.duplicates()
    await lab.start_back_end()
    await lab.wait_for("second copy of all that was written down", lambda: lab.duplicates() - before >= len(waiting) >= 100)


async def killed_without_its_files(lab: FaultLab) -> None:
    """It comes back and knows of nobody and nothing."""
    await lab.stop_back_end()
    await lab.let_flow(200)
    await lab.kill_broker()
    for file in lab.broker.folder.glob("mosquitto.db*"):
        file.unlink()
    await lab.broker.start()
    await lab.start_back_end()
    lab.doubt()  # some cars were faster than the back end


async def stopped(lab: FaultLab) -> None:
    """It answers nothing and keeps its connections; everybody must find out by itself, and come back."""
    lab.ask(lab.shard.cars)
    lab.broker.pause()
    within_s = WITHIN_S + 1.5 * STOPPED_KEEP_ALIVE_S
    await lab.wait_for("end of all connections", lambda: len(lab.car_links.downs) == CARS, within_s)
    await lab.wait_for("end of the back end's", lambda: len(lab.consumer_link.downs) == 1, within_s)
    lab.broker.resume()


async def few_connections(lab: FaultLab) -> None:
    """It closes what is one connection too many without a word, until the limit is lifted."""
    await lab.restart_broker("max_connections", str(CONNECTIONS))
    lab.car_links.downs.clear()
    await lab.wait_for("connection of as many as may", lambda: lab.up >= CONNECTIONS)
    await lab.wait_for("refusal of all others", lambda: len(refused(lab)) >= CARS - lab.up)
    await lab.let_flow(100)
    assert CONNECTIONS <= lab.up <= CONNECTIONS + 1, "Mosquitto 2.0 lets in one more than it says"
    await lab.restart_broker("max_connections", "-1")
    await lab.wait_for_all_up()


def refused(lab: FaultLab) -> list[str]:
    """Return the cars that were cut off before the broker had said anything."""
    return [vin for vin, errors in lab.car_links.downs.items() if any("before the broker answered" in error for error in errors)]


async def short_queue(lab: FaultLab) -> None:
    """It acknowledges what it has no room for, and drops it."""
    async with lab.stillness():  # the queue must not fill before the back end is back
        await lab.restart_broker("max_queued_messages", str(QUEUE))
        await lab.wait_for_all_up()
    await lab.let_flow(CARS)
    async with lab.stillness():
        await lab.wait_for("row of all", lambda: lab.acknowledged() <= set(lab.rows()))
        await lab.stop_back_end()
    await lab.let_flow(300)
    async with lab.stillness():
        lab.doom()
        await lab.start_back_end()


# --- the back end


async def consumer_killed(lab: FaultLab) -> None:
    """It dies anywhere between arrival, commit and acknowledgement, three times, and starts again."""
    await lab.stop_back_end()
    for _ in range(3):
        stored = len(lab.rows())
        process = await lab.start_back_end_process()
        await lab.wait_for("60 more rows", lambda: len(lab.rows()) >= stored + 60)  # noqa: B023  waits at once
        lab.ask(lab.shard.cars)
        process.kill()
        assert await process.end() == -signal.SIGKILL
        await lab.let_flow(60)
    await lab.start_back_end()


async def consumer_forgotten(lab: FaultLab) -> None:
    """The broker keeps nothing for it while it is away; what is lost is sent again although others get through."""
    await lab.stop_back_end(end_session=True)
    await lab.let_flow(200)
    async with lab.stillness():
        lab.doom()
        await lab.start_back_end()
    assert lab.consumer_link.ups["backend"] == [False, False], "session present 0, when it started and when it came back"
    if lab.mode == "stored":
        await lab.wait_for("row of all that was lost", lambda: lab.doomed <= set(lab.rows()))


# --- the connections


async def reset(lab: FaultLab) -> None:
    """All connections end at once with what is on its way, four times."""
    for number in range(1, 5):
        await lab.let_flow(50)
        lab.ask(lab.shard.cars)
        for _ in range(number):  # on the way to the broker, or back
            await asyncio.sleep(0)
        for proxy in lab.proxies:
            proxy.strike(ResetConnections())
        await lab.wait_for("end of all connections", lambda: losses(lab) >= (CARS + 1) * number)  # noqa: B023  waits at once
        await lab.wait_for_all_up()


async def half_open(lab: FaultLab) -> None:
    """All connections go silent and stay; keep-alive must find out."""
    await lab.let_flow(50)
    lab.ask(lab.shard.cars)
    for proxy in lab.proxies:
        proxy.strike(HalfOpen())
    await lab.wait_for("end of all connections", lambda: losses(lab) >= CARS + 1)
    assert all("silent" in errors[0] for errors in (*lab.car_links.downs.values(), *lab.consumer_link.downs.values()))
    await lab.wait_for_all_up()
    await lab.let_flow(100)


def losses(lab: FaultLab) -> int:
    """Return how often a connection of a car or of the back end was lost or did not come about."""
    return sum(len(errors) for witness in (lab.car_links, lab.consumer_link) for errors in witness.downs.values())


async def cars_forgotten(lab: FaultLab) -> None:
    """The broker has no session of any car any more, and so none of its subscriptions."""
    async with lab.rivals() as rivals:
        for vin in lab.shard.cars:
            link, _ = await rivals.car_up(vin, clean_start=True, session_expiry_s=0)
            await link.close()
    await lab.wait_for("return of each car", lambda: all(len(lab.car_links.ups[vin]) > 1 for vin in lab.shard.cars))
    assert not any(any(lab.car_links.ups[vin]) for vin in lab.shard.cars), "session present 0, each time"
    await lab.let_flow(100)


async def taken_over(lab: FaultLab) -> None:
    """Second clients with the ids of some cars take their connections, and their sessions, again and again."""
    contested = list(lab.shard.cars)[:RIVALS]
    async with lab.rivals() as rivals:
        owners = [(await rivals.car_up(vin))[1] for vin in contested]
        async with asyncio.timeout(WITHIN_S):
            while any(len(owner.downs) < 4 for owner in owners):
                lab.ask(contested)
                await asyncio.sleep(LOOK_S)
    await lab.wait_for_all_up()
    assert set(lab.car_links.downs) == set(contested), "no other car was disturbed"
    assert all(len(lab.car_links.ups[vin]) > 3 for vin in contested)


FAULTS: Final = (
    Fault(name="broker stopped", strike=stopped, keep_alive_s=STOPPED_KEEP_ALIVE_S),
    Fault(name="broker killed, files kept", strike=killed_with_its_files, loses=True),
    Fault(name="broker killed, files gone", strike=killed_without_its_files, loses=True),
    Fault(name="consumer killed three times", strike=consumer_killed),
    Fault(name="session of the consumer gone", strike=consumer_forgotten, loses=True),
    Fault(name="sessions of the cars gone", strike=cars_forgotten),
    Fault(name="connections reset four times", strike=reset, proxied=True),
    Fault(name="connections half-open", strike=half_open, proxied=True, keep_alive_s=SHORT_KEEP_ALIVE_S),
    Fault(name="car ids taken over", strike=taken_over),
    Fault(name="connection limit of the broker", strike=few_connections),
    Fault(name="queue limit of the broker", strike=short_queue, loses=True, survive=QUEUE),
)
"""The longest first: it holds up no other."""

CASES: Final = tuple(Case(fault, mode) for fault in FAULTS for mode in MODES)


def start_all(cases: Iterable[Case], folder: Path) -> Mapping[Case, asyncio.Task[Outcome]]:
    """Start the cases in their order, some at a time; each has a task of its name. Stores are made in `folder`."""
    places = asyncio.Semaphore(AT_ONCE)

    async def run(case: Case) -> Outcome:
        fault, mode = case
        async with places:
            lab = FaultLab(folder / f"{case}.sqlite", mode, keep_alive_s=fault.keep_alive_s, proxied=fault.proxied)
            return await lab.run(fault.name, fault.strike)

    return {case: asyncio.create_task(run(case), name=str(case)) for case in cases}


HEAD: Final = f"{'fault':32} {'mode':6} {'sent':>6} {'stored':>6} {'lost':>5} {'twice':>5}"


def line(outcome: Outcome) -> str:
    """Return the line of the table."""
    account = outcome.account
    return f"{outcome.fault:32} {outcome.mode:6} {account.published:6} {account.stored:6} {account.lost:5} {outcome.twice:5}"
