"""Fifty faults in one run: `python bench/fifty_faults.py [--seed 7] [--faults 50] [--cars 200] [--rate 1000]`.

Cars are asked for statuses at a steady rate, users send commands and ask again where they get no answer, and meanwhile
broker, back end and connections fail in an order drawn from the seed, one after the other and while things still
recover: the broker is killed (its files kept or gone) or stopped for a while, the back end, a process of its own, too;
connections are reset, go half-open, get slow or narrow, lose or double packets, are taken over. With `--delivery puback`
messages do get lost: that is how one sees that the balance can tell.

Then all that can arrive arrives, and the balance is drawn, to the message, from cars, store and journal. Aim: 0 lost, 0 stored
twice, 0 executed twice, each command with one terminal state, and no rule of `fleet verify` broken.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from lab import surroundings

from fleet import __version__
from fleet.checks.verification import Verification, verify
from fleet.harness.watcher import Asker
from fleet.kernel.draws import Draws, stream_key
from fleet.observe.journal import Begin, JournalWriter
from fleet.runtime.children import Child
from fleet.runtime.clocks import wall_us
from fleet.runtime.journalling import SIMULATOR
from fleet.runtime.limits import run_fast
from fleet.runtime.shard import wait_until
from fleet.transport.faults import Bandwidth, DropPackets, Duplicate, Fault, HalfOpen, Latency, Reorder, ResetConnections
from fleet.transport.swarm_link import swarm_links
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.messages import TERMINAL_STATES, AnnounceClock, CommandRequest, DeskRequest, EnrolCar, SetSpin
from tests.runtime.fault_lab import FaultLab, Mode, Outcome

SPIN: Final = "2580"
COMMANDS: Final = ("lock", "unlock")
COMMANDS_PER_S: Final = 5.0
TIME_TO_LIVE_S: Final = 20.0
ASK_AGAIN_S: Final = 3.0
ENDED_WITHIN_S: Final = 120.0
KEEP_ALIVE_S: Final = 5
ACKNOWLEDGE_TIMEOUT_S: Final = 5.0
RIVALS: Final = 10


class Fifty(FaultLab):
    """A fleet with users, a back end in a process of its own, and a journal."""

    def __init__(self, folder: Path, seed: int, *, cars: int, rate: float, mode: Mode) -> None:
        self.chance, self._users = (Draws(stream_key(seed, name), "fifty faults") for name in ("faults", "users"))
        self._began = time.perf_counter()
        self.done: Counter[str] = Counter()
        self.commands: dict[str, CommandRequest] = {}
        self.a_second = 0.0
        """Messages made while faults struck."""
        self._child: Child | None = None
        self._numbers = itertools.count(1)
        self.journal_path = folder / "journal.jsonl"
        super().__init__(
            folder / "store.sqlite", mode, keep_alive_s=KEEP_ALIVE_S, proxied=True, cars=cars, asked_per_s=rate,
            journal=self._make_journal(seed, mode), acknowledge_timeout_s=ACKNOWLEDGE_TIMEOUT_S, longest_back_off_s=3.0,
        )  # fmt: skip

    def _make_journal(self, seed: int, mode: Mode) -> JournalWriter:
        start = wall_us()
        begin = Begin(
            t=0, m="run", k="begin", version=__version__, parts=(SIMULATOR,), seed=seed, start=start, boot=start, clock="x1",
            until_stored=mode == "stored",
        )  # fmt: skip
        self.journal = JournalWriter(self.journal_path, begin)
        return self.journal

    # --- the back end is a process

    @property
    def back_end_is_up(self) -> bool:
        return self._child is not None and self._child.is_running and "ready" in self._child.seen

    @property
    def child(self) -> Child:
        assert self._child is not None, "started with the run"
        return self._child

    async def start_back_end(self) -> None:
        self._child = await self.start_back_end_process()

    async def stop_back_end(self, *, end_session: bool = False) -> None:  # noqa: ARG002  as the lab's
        child, self._child = self._child, None
        if child is not None:
            await child.end()

    # --- users

    async def enrol(self) -> None:
        """Tell the scenario time, and let each car have a user with an S-PIN."""
        links = swarm_links(self.broker.tools)
        self.asker = Asker(links, FleetDialect(), password=self.secret.password_for("tool"), name="fifty")
        self.asker.link.open()
        clock = self.shard.clock
        self.ask_desk(AnnounceClock(id="clock", start=clock.now(), epoch_wall_us=clock.wall_us(), factor=1.0))
        for vin in self.shard.cars:
            self.ask_desk(EnrolCar(id=f"enrol-{vin}", vin=vin))
            self.ask_desk(SetSpin(id=f"spin-{vin}", vin=vin, spin=SPIN))
        await self.wait_for("users with S-PINs", lambda: all(answers for answers in self.asker.answers.values()))

    def ask_desk(self, request: DeskRequest) -> None:
        self.asker.ask(request)

    async def use(self) -> None:
        """Send commands, one after the other."""
        vins = list(self.shard.cars)
        while True:
            name, vin = self._users.choice(COMMANDS), self._users.choice(vins)
            request = CommandRequest(
                id=f"{name}-{next(self._numbers)}", vin=vin, name=name, spin=SPIN, ttl_s=TIME_TO_LIVE_S
            )  # fmt: skip
            self.commands[request.id] = request
            self.ask_desk(request)
            await asyncio.sleep(1 / COMMANDS_PER_S)

    async def insist(self) -> None:
        """Ask again, under the same id, for what has no final answer: as a user does who sees nothing happen."""
        while True:
            await asyncio.sleep(ASK_AGAIN_S)
            for request in list(self.commands.values())[-100:]:
                if not self.asker.answers[request.id]:
                    self.ask_desk(request)

    # --- the fifty

    async def strike(self, faults: Sequence[str]) -> None:
        """Let one fault after the other strike, then wait until each command has ended."""
        await self.enrol()
        users = [asyncio.create_task(work, name="users") for work in (self.use(), self.insist())]
        began_all, made = time.perf_counter(), self.shard.account()["created"]
        for name in faults:
            began = time.perf_counter()
            await STRIKES[name](self)
            self.say(f"{name}: {time.perf_counter() - began:.1f} s, {self.up} cars connected")
            self.done[name] += 1
            await asyncio.sleep(self.chance.uniform(0.2, 2.0))
        users[0].cancel()
        self.a_second = (self.shard.account()["created"] - made) / (time.perf_counter() - began_all)
        self.say("all faults are over")
        await self.wait_for_all_up()
        self.say("all are connected")
        self._flowing.clear()
        await self._until_commands_ended()
        self.say("all commands have ended")
        users[1].cancel()
        await asyncio.gather(*users, return_exceptions=True)
        await self.asker.link.close(end_session=True)

    async def _until_commands_ended(self) -> None:
        """Wait as long as a command may take; those that are open then are told."""
        await wait_until(lambda: not self.open_commands(), ENDED_WITHIN_S, every_s=0.5)

    def open_commands(self) -> list[str]:
        """Return the ids of commands that the desk knows and that have not ended."""
        return [row[0] for row in self._select("SELECT id FROM command WHERE ended_wall_us IS NULL")]

    def say(self, what: str) -> None:
        """Tell how far it has come."""
        print(f"{time.perf_counter() - self._began:5.0f} s  {what}", file=sys.stderr, flush=True)

    def some_cars(self, count: int) -> list[str]:
        """Draw so many cars."""
        return sorted(self.shard.cars, key=lambda _: self.chance.unit())[:count]

    async def for_a_while(self, name: str, fault: Fault, *, shortest_s: float = 1.0, longest_s: float = 3.0) -> None:
        """Have a fault in force, for all connections or for some cars."""
        chosen = None if self.chance.chance(0.5) else self.some_cars(self.cars // 4)
        proxies = self.proxies if chosen is None else self.proxies[:1]
        for proxy in proxies:
            proxy.set(name, fault, chosen)
        await asyncio.sleep(self.chance.uniform(shortest_s, longest_s))
        for proxy in proxies:
            proxy.clear(name)


# --- what strikes


async def broker_killed(lab: Fifty, *, files: bool) -> None:
    lab.ask(lab.some_cars(lab.cars // 4))
    lab.broker.kill()
    await asyncio.sleep(lab.chance.uniform(0.0, 1.5))
    if not files:
        for file in lab.broker.folder.glob("mosquitto.db*"):
            file.unlink()
    await lab.broker.start()


async def back_end_killed(lab: Fifty) -> None:
    lab.child.kill()
    await lab.child.end()
    await asyncio.sleep(lab.chance.uniform(0.0, 1.0))
    await lab.start_back_end()


async def broker_stopped(lab: Fifty) -> None:
    lab.broker.pause()
    await asyncio.sleep(lab.chance.uniform(0.5, 8.0))
    lab.broker.resume()


async def back_end_stopped(lab: Fifty) -> None:
    os.kill(lab.child.pid, signal.SIGSTOP)
    await asyncio.sleep(lab.chance.uniform(0.5, 3.0))
    os.kill(lab.child.pid, signal.SIGCONT)


async def struck(lab: Fifty, *, fault: Fault, back_end: bool = True) -> None:
    for proxy in lab.proxies if back_end else lab.proxies[:1]:
        proxy.strike(fault)


async def taken_over(lab: Fifty) -> None:
    contested = lab.some_cars(RIVALS)
    async with lab.rivals() as rivals:
        with suppress(TimeoutError):
            for vin in contested:
                await rivals.car_up(vin)
        await asyncio.sleep(1.0)


def lasting(name: str, fault: Fault) -> Callable[[Fifty], Awaitable[None]]:
    async def strike(lab: Fifty) -> None:
        await lab.for_a_while(name, fault)

    return strike


STRIKES: Final[dict[str, Callable[[Fifty], Awaitable[None]]]] = {
    "broker killed, files kept": partial(broker_killed, files=True),
    "broker killed, files gone": partial(broker_killed, files=False),
    "back end killed": back_end_killed,
    "broker stopped for a while": broker_stopped,
    "back end stopped for a while": back_end_stopped,
    "connections reset": partial(struck, fault=ResetConnections()),
    "cars' connections half-open": partial(struck, fault=HalfOpen(), back_end=False),
    "latency": lasting("latency", Latency(latency_ms=200, jitter_ms=100)),
    "narrow": lasting("narrow", Bandwidth(bytes_per_s=20_000)),
    "PUBACKs dropped": lasting("no puback", DropPackets("PUBACK", share=0.2)),
    "PUBLISHes dropped": lasting("no publish", DropPackets("PUBLISH", share=0.2)),
    "PUBLISHes doubled": lasting("double", Duplicate("PUBLISH", share=0.3)),
    "PUBLISHes out of order": lasting("reorder", Reorder("PUBLISH", share=0.3, within_ms=200)),
    "car ids taken over": taken_over,
}
SHARES: Final = (5, 5, 10, 4, 3, 5, 3, 3, 2, 3, 2, 2, 1, 2)
"""How many of fifty are of each kind: twenty kill the broker or the back end."""


def draw_faults(count: int, chance: Draws) -> list[str]:
    """Return so many faults in an order of chance, each kind in its share."""
    drawn = [name for name, share in zip(STRIKES, SHARES, strict=True) for _ in range(share)]
    drawn.sort(key=lambda _: chance.unit())
    return (drawn * -(-count // len(drawn)))[:count]


# --- the balance


def commands_balance(lab: Fifty) -> dict[str, Any]:
    """Return what became of the commands, as the store has it."""
    terminal = tuple(sorted(TERMINAL_STATES))
    marks = ", ".join("?" * len(terminal))
    with closing(sqlite3.connect(lab.store)) as store:
        known = dict(store.execute("SELECT id, state FROM command"))
        ends = Counter(
            dict(
                store.execute(
                    f"SELECT command_id, count(*) FROM command_transition WHERE state IN ({marks}) GROUP BY command_id", terminal
                )
            )
        )
    return {
        "asked": len(lab.commands),
        "known to the desk": len(known),
        "by state": dict(Counter(known.values()).most_common()),
        "without a terminal state": sum(not ends[command] for command in known),
        "with more than one": sum(ends[command] > 1 for command in known),
    }


def told(lab: Fifty, outcome: Outcome, found: Verification, took_s: float) -> list[tuple[str, object]]:
    """Return the lines of the table."""
    account, commands = outcome.account, commands_balance(lab)
    kills = sum(count for name, count in lab.done.items() if "killed" in name)
    executed = next(finding for finding in found.findings if finding.check == "command runs")
    return [
        ("faults", f"{lab.done.total()}, of which {kills} kills of broker and back end, in {took_s:.0f} s"),
        *((f"  {name}", count) for name, count in lab.done.most_common()),
        ("messages made", f"{account.created}, {lab.a_second:.0f} a second while faults struck"),
        ("stored", account.stored),
        ("came again, and were not stored again", account.duplicates),
        ("lost", len(outcome.missing)),
        ("stored twice", outcome.twice),
        ("unknown to the cars", outcome.unknown),
        (
            "in outboxes, dropped, refused, quarantined",
            (account.in_outbox, account.dropped, account.refused, account.quarantined),
        ),
        *((f"commands {what}", count) for what, count in commands.items()),
        ("commands executed twice", sum("executed again" in breach.told for breach in executed.breaches)),
        ("rules broken", [finding.check for finding in found.findings if finding.broken]),
        ("records of the journal", found.records),
    ]


async def main(seed: int, faults: int, cars: int, rate: float, mode: Mode) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(surroundings(f"{cars} cars, {rate:g} statuses and {COMMANDS_PER_S:g} commands a second, delivery {mode}, seed {seed}"))
    with tempfile.TemporaryDirectory() as folder:
        lab = Fifty(Path(folder), seed, cars=cars, rate=rate, mode=mode)
        drawn = draw_faults(faults, lab.chance)
        began = time.perf_counter()
        outcome = await lab.run("fifty", lambda _: lab.strike(drawn))
        took_s = time.perf_counter() - began
        lab.journal.close(lab.shard.clock.now(), lab.shard.account())
        found = verify(lab.journal_path, {vin: held.car.equipment for vin, held in lab.shard.cars.items()})
        for what, number in told(lab, outcome, found, took_s):
            print(f"{what:44} {number}")
        for finding in found.findings:
            for breach in finding.breaches[:5]:
                print(f"  {breach.check}: {breach.told} ({breach.subject}, line {breach.line})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--cars", type=int, default=200)
    parser.add_argument("--rate", type=float, default=1000.0, help="statuses a second, of all cars together")
    parser.add_argument("--delivery", choices=("stored", "puback"), default="stored")
    options = parser.parse_args()
    run_fast(main(options.seed, options.faults, options.cars, options.rate, options.delivery))
