"""What licences cost: three years of 300 cars in virtual time, and the next reminder of 10 000 cars.

    python bench/licences.py [--runs 3] [--cars 10000]

`licence-year` is the shipped scenario, each run a fresh process, with and without journal: wall seconds, CPU seconds, messages of
cars and mails. `next reminder` is what the centre asks after each input: it must not depend on how many cars there are; `one car
changes` keeps a car whose licences are new, with its place in the order of reminders; `a reminder` wakes, mails and goes on.
Aims: licence-year in 60 s; next reminder within 2 µs at any number of cars.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from lab import Measured, in_fresh_process, medians, surroundings
from virtual import Nobody

from fleet.cloud.people.licences import Licences
from fleet.cloud.people.people import People
from fleet.cloud.people.records import Account, CarPeople, CarUser
from fleet.cloud.people.terms import with_free_term
from fleet.cloud.rule import Notes
from fleet.kernel.instants import SECOND
from fleet.runtime.assembly import vocabulary
from fleet.runtime.resources import resource_dir
from fleet.runtime.run import RunConfig
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.loader import load

NOW = 1_772_424_000_000_000
LOOPS = 100_000


def licence_year(*, journal: bool) -> Measured:
    """Run the shipped scenario."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    scenario = load(resource_dir("scenarios") / "licence-year.yaml", vocabulary())
    began, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        report = virtual_run(RunConfig(scenario=scenario, out=Path(folder), journal=journal), Nobody()).execute()
    assert report["verdict"] == "passed", [each["text"] for each in report["expectations"] if not each["passed"]]
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return {"wall_s": wall_s, "cpu_s": cpu_s, "created": report["created"], "mails": sum(report["mails"].values())}


def reminders(cars: int) -> Measured:
    """Measure the order of reminders, µs each."""
    people = People(Notes())
    people.put_account(Account(id="p1", email="p1@example.com", registered=NOW))
    users = {"p1": CarUser(role="primary", since=NOW)}

    def registered(number: int) -> CarPeople:
        car = CarPeople(vin=f"VSSZZZKMZPR{number:06}", managed=True, generation="G3", navi=True, country="DE", users=users)
        return with_free_term(car, NOW + number * SECOND)

    for number in range(cars):
        people.put_car(registered(number))
    part = Licences(people)
    next_us = _each(part.deadline, LOOPS)
    numbers = iter(range(cars))
    change_us = _each(lambda: people.put_car(registered(next(numbers))), min(cars, 1_000))

    def remind() -> None:
        due = part.deadline()
        assert due is not None
        assert part.wake(due)

    return {"next_us": next_us, "change_us": change_us, "remind_us": _each(remind, 300)}


def _each(do: Callable[[], Any], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        do()
    return (time.process_time() - began) / times * 1e6


def main(runs: int, cars: int) -> None:
    print(surroundings(f"licence-year, {runs} runs; reminders of 100 and {cars:,} cars"))
    print(f"\n{'licence-year':16}{'wall s':>8}{'CPU s':>8}{'messages':>10}{'mails':>8}")
    for what in ("no journal", "with journal"):
        found = medians([in_fresh_process(__file__, what, cars) for _ in range(runs)])
        print(f"{what:16}{found['wall_s']:8.1f}{found['cpu_s']:8.1f}{found['created']:10,.0f}{found['mails']:8,.0f}", flush=True)
    print(f"\n{'µs':16}{'next reminder':>15}{'one car changes':>17}{'a reminder':>12}")
    for number in (100, cars):
        found = medians([in_fresh_process(__file__, "reminders", number) for _ in range(runs)])
        print(f"{number:9,} cars  {found['next_us']:15.2f}{found['change_us']:17.1f}{found['remind_us']:12.1f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        what, cars = sys.argv[2:]
        print(json.dumps(reminders(int(cars)) if what == "reminders" else licence_year(journal=what == "with journal")))
    else:
        arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        arguments.add_argument("--runs", type=int, default=3)
        arguments.add_argument("--cars", type=int, default=10_000)
        given = arguments.parse_args()
        main(given.runs, given.cars)
