"""`python -m mutants [NAME …]`: plants each bug of the table, or those that are named, and says what catches it.

Exit code 0: each is caught by what the table names, and the scenarios pass without a bug. 1: something is not. 2: wrong words.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from mutants.mutant import Mutant
from mutants.planting import Copy, Verdict
from mutants.table import MUTANTS


class Workshop:
    """As many copies as are used at once."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self._free: SimpleQueue[Copy] = SimpleQueue()
        for number in range(jobs):
            self._free.put(Copy(folder / f"copy-{number}"))

    @contextmanager
    def copy(self) -> Iterator[Copy]:
        """Lend a copy that nobody else uses."""
        lent = self._free.get()
        try:
            yield lent
        finally:
            self._free.put(lent)

    def clean(self, scenario: str, cars: int | None) -> tuple[str, bool]:
        """Run a scenario without a bug."""
        with self.copy() as copy:
            found = copy.judge(scenario, cars=cars)
        return _line(scenario, found, "holds" if not found.caught_by else "FAILS WITHOUT A BUG"), not found.caught_by

    def planted(self, mutant: Mutant, scenarios: Sequence[str]) -> tuple[str, bool]:
        """Plant a bug and run its scenario, or the given ones instead."""
        lines, caught = [], False
        for scenario in scenarios or (mutant.scenario,):
            with self.copy() as copy:
                found = copy.judge(scenario, mutant=mutant, cars=mutant.cars if scenario == mutant.scenario else None)
            lacking = found.lacks(mutant.caught_by)
            says = "SURVIVED" if not found.caught_by else f"caught, but not by {', '.join(lacking)}" if lacking else "caught"
            caught = caught or (bool(found.caught_by) and not lacking)
            lines.append(_line(f"{mutant.name}  {scenario}", found, says))
        return "\n".join(lines), caught


def _line(what: str, found: Verdict, says: str) -> str:
    return f"{says:9} {what}  " + " · ".join(found.caught_by)


def main() -> int:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(prog="mutants", description="Plants bugs in a copy, and sees what catches them.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="bugs of the table; without any all of them")
    parser.add_argument("--scenario", action="append", default=[], help="run this one instead of the bug's own (again for more)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once (2)")
    words = parser.parse_args()
    wanted = [mutant for mutant in MUTANTS if not words.names or mutant.name in words.names]
    if unknown := set(words.names) - {mutant.name for mutant in wanted}:
        parser.error(f"no bug of the table: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="fleet-mutants-") as folder, ThreadPoolExecutor(words.jobs) as pool:
        workshop = Workshop(Path(folder), words.jobs)
        clean = sorted({(mutant.scenario, mutant.cars or 0) for mutant in wanted}) if not words.scenario else []
        tasks = [pool.submit(workshop.clean, scenario, cars or None) for scenario, cars in clean]
        tasks += [pool.submit(workshop.planted, mutant, words.scenario) for mutant in wanted]
        good = 0
        for task in tasks:
            told, is_good = task.result()
            good += is_good
            print(told, flush=True)
    print(f"{good} of {len(tasks)} as they should be")
    return 0 if good == len(tasks) else 1


if __name__ == "__main__":
    sys.exit(main())
