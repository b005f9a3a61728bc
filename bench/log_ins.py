"""How many people log in a second, and what commands feel of it: `python bench/log_ins.py [--runs 3]`.

Each run is a fresh process with 200 real cars on the swarm link, a private Mosquitto as shipped, and `fleet backend` in a process
of its own, which hashes passwords at the cost that argon2-cffi recommends, on its two threads. People have registered before.
Users send commands at fixed instants all the time; for half of it eight people at a time log in, one when one is in. Columns:

log-ins/s        that succeeded; p50 and p99 in ms from the request to the session
without, with    commands' p50 and p99 in ms from the due time to the car's first answer, without log-ins and with them
back end         CPU in percent of a core, in the half with log-ins
"""

from __future__ import annotations

import argparse
import itertools
import sys
from typing import Any

from command_round_trip import DIALECT, SCENARIO, WITHIN_S, Client, Login, Users, pace
from lab import Measured, be_part, in_fresh_process, medians, surroundings
from whole import ABOUT, Usage, Whole, whole

from fleet.backend.passwords import PasswordCost
from fleet.observe.histogram import Histogram
from fleet.runtime.clocks import wall_us
from fleet.runtime.shard import wait_until
from fleet.vehicle.signals import SwitchOff, SwitchOn
from fleet.wire.frame import Frame
from fleet.wire.messages import ServiceRequest

AT_A_TIME = 8
PASSWORD = "correct horse battery staple"
PEOPLE = 40


class App:
    """Registers people, and then logs them in again and again, so many at a time, while `goes_on`."""

    def __init__(self, parts: Whole) -> None:
        self.registered = 0
        self.goes_on = False
        self.took = Histogram()
        self._numbers = itertools.count()
        self._asked: dict[str, int] = {}
        self._topic = DIALECT.topics.desk_answer("app")
        login = Login("app", "tool", parts.secret.password_for("tool"))
        self.client = Client(parts.broker.tools, login, self._topic, self._answered)

    def register(self, person: int) -> None:
        self._ask("register", data={"email": f"person{person}@example.com"}, secrets={"new_password": PASSWORD})

    def log_in(self) -> None:
        number = next(self._numbers)
        who = {"user": f"person{number % PEOPLE}@example.com", "origin": str(number)}
        self._ask("log_in", data={"device": "phone"}, secrets={"password": PASSWORD}, **who)

    def _ask(self, action: str, **words: Any) -> None:
        request_id = f"{action}-{wall_us()}-{len(self._asked)}"
        self._asked[request_id] = wall_us()
        request = ServiceRequest(id=request_id, service="account", action=action, **words)
        self.client.link.publish(DIALECT.desk_request(request, answer_topic=self._topic), 1)

    def _answered(self, frame: Frame) -> None:
        answer = DIALECT.read_desk_answer(frame)
        asked = self._asked.pop(answer.id, None)
        if asked is None:
            return  # it comes twice: what is secret in it only once
        assert answer.state == "succeeded", answer.reason
        if answer.id.startswith("register"):
            self.registered += 1
        else:
            self.took.record(wall_us() - asked)
            if self.goes_on:
                self.log_in()


async def measure(cars: int, commands_per_s: float, seconds: float) -> Measured:
    """Measure one run."""
    async with whole(SCENARIO.format(cars=cars)) as (parts, folder), parts.backend(folder / "store.sqlite") as backend:
        await parts.start()
        users, app = Users(parts), App(parts)
        clients = (users.client, app.client)
        assert await wait_until(lambda: all(client.link.is_up for client in clients), WITHIN_S)
        users.prepare(parts)
        for person in range(PEOPLE):
            app.register(person)
        assert await wait_until(lambda: users.ended == cars + 1 and app.registered == PEOPLE, WITHIN_S)
        for held in parts.shard.cars.values():
            held.put(SwitchOn())
            held.put(SwitchOff())
        await wait_until(lambda: False, 1.0)
        halves = []
        for log_ins in (0, AT_A_TIME):
            users.awake, first = Histogram(), users.asked
            app.goes_on = bool(log_ins)
            for _ in range(log_ins):
                app.log_in()
            usage = Usage(parts.broker, backend)
            await pace(commands_per_s, seconds, lambda number, due, first=first: users.ask(first + number, due))  # type: ignore[misc]
            used, entered = usage.so_far(), app.took.count
            app.goes_on = False
            assert await wait_until(lambda: users.ended == cars + 1 + users.asked, WITHIN_S), "commands without an end"
            halves.append(users.awake.summary_ms())
        for client in clients:
            await client.link.close(end_session=True)
    took, (without, beside) = app.took.summary_ms(), halves
    return {
        "log_ins_s": entered / seconds, "p50": took["p50"], "p99": took["p99"], "without_p50": without["p50"],
        "without_p99": without["p99"], "with_p50": beside["p50"], "with_p99": beside["p99"], "backend": used["taker"],
    }  # fmt: skip


def child(arguments: list[str]) -> None:
    """Be the process of one run."""
    cars, commands, seconds = arguments
    be_part(measure, int(cars), float(commands), float(seconds))


HEAD = f"{'run':>6}{'log-ins/s':>11}{'p50':>8}{'p99':>8}{'without p50':>13}{'p99':>7}{'with p50':>10}{'p99':>7}{'back end %':>12}"


def line(name: str, one: Any) -> str:
    """Write a line of the table."""
    text = (
        f"{name:>6}{one['log_ins_s']:11.1f}{one['p50']:8.0f}{one['p99']:8.0f}{one['without_p50']:13.1f}{one['without_p99']:7.1f}"
    )
    return text + f"{one['with_p50']:10.1f}{one['with_p99']:7.1f}{one['backend']:12.0f}"


def main(given: argparse.Namespace) -> None:
    cost = PasswordCost()
    hashing = f"argon2id of {cost.memory_kib // 1024} MiB, {cost.time} passes, {cost.lanes} lanes"
    load = f"{AT_A_TIME} log-ins at a time beside {given.commands:g} commands/s"
    print(surroundings(ABOUT, f"{given.cars:,} awake cars, twice {given.seconds:g} s, {load}; {hashing}; times in ms"))
    print(HEAD)
    found = []
    for number in range(1, given.runs + 1):
        found.append(in_fresh_process(__file__, given.cars, given.commands, given.seconds))
        print(line(str(number), found[-1]), flush=True)
    if given.runs > 1:
        print(line("median", medians(found)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        child(sys.argv[2:])
    else:
        arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        arguments.add_argument("--runs", type=int, default=3, help="how often it is measured; the median counts")
        arguments.add_argument("--seconds", type=float, default=20.0, help="how long each half takes")
        arguments.add_argument("--cars", type=int, default=200)
        arguments.add_argument("--commands", type=float, default=100.0, help="commands a second")
        main(arguments.parse_args())
