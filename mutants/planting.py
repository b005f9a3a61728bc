"""Runs shipped scenarios with a copy of the project, as a user would: `fleet run --clock virtual`, then `fleet verify`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

from mutants.mutant import Mutant
from mutants.table import MUTANTS

ROOT: Final = Path(__file__).parents[1]
PARTS: Final = ("fleet", "scenarios", "broker")
LONGEST_S: Final = 120
"""A run that takes longer is stopped, and called a crash: a bug may make it endless."""


class Verdict(NamedTuple):
    """What a run with a bug came to: the checks and expectations that do not hold, or how it `crashed`."""

    checks: tuple[str, ...] = ()
    expectations: tuple[str, ...] = ()
    crashed: str = ""

    @property
    def caught_by(self) -> tuple[str, ...]:
        """All that tells of the bug."""
        return (*self.checks, *self.expectations, *((self.crashed,) if self.crashed else ()))

    def lacks(self, wanted: tuple[str, ...]) -> list[str]:
        """Return what was to tell of the bug and does not; an expectation is known by how it begins."""
        return [
            one for one in wanted if not any(told == one or told.startswith((one + " ", one + ": ")) for told in self.caught_by)
        ]


class Copy:
    """A copy of the project in a folder of its own, in which one bug at a time is planted."""

    def __init__(self, folder: Path) -> None:
        """Copy it; times of files are kept, so that what Python has compiled is used."""
        self.folder = folder
        for part in PARTS:
            shutil.copytree(ROOT / part, folder / part)

    def judge(self, scenario: str, *, mutant: Mutant | None = None, cars: int | None = None) -> Verdict:
        """Run a scenario, with a bug or without, and return what is found; the copy is clean again after it."""
        path = self.folder / "fleet" / mutant.file if mutant is not None else None
        kept = path.read_bytes() if path is not None else b""
        out = self.folder / "run"
        shutil.rmtree(out, ignore_errors=True)
        try:
            if mutant is not None:
                mutant.plant(self.folder)
            return self._judge(scenario, out, cars)
        finally:
            if path is not None:
                path.write_bytes(kept)

    def _judge(self, scenario: str, out: Path, cars: int | None) -> Verdict:
        words = ["run", scenario, "--clock", "virtual", "--out", str(out), *(["--cars", str(cars)] if cars else [])]
        code, told = self._fleet(*words)
        if code not in {0, 1} or not (out / "report.json").is_file():
            return Verdict(crashed=f"fleet run ends with {code}: {_last_line(told)}")
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
        unmet = tuple(each["text"] for each in report["expectations"] if not each["passed"])
        (journal,) = out.glob("journal.jsonl*")
        code, told = self._fleet("verify", str(journal), "--json")
        if code not in {0, 1}:
            return Verdict(expectations=unmet, crashed=f"fleet verify ends with {code}: {_last_line(told)}")
        broken = tuple(each["check"] for each in json.loads(told)["findings"] if each["broken"])
        return Verdict(broken, unmet)

    def _fleet(self, *words: str) -> tuple[int, str]:
        """Run the copy's `fleet`; return its exit code and what it printed."""
        env = {**os.environ, "PYTHONPATH": str(self.folder), "NO_COLOR": "1"}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "fleet", *words],
                cwd=self.folder, env=env, capture_output=True, text=True, check=False, timeout=LONGEST_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return -1, f"it takes longer than {LONGEST_S} s"
        return done.returncode, done.stdout if done.returncode in {0, 1} else done.stdout + done.stderr


def _last_line(told: str) -> str:
    lines = told.strip().splitlines()
    return lines[-1][:200] if lines else "nothing was printed"


def table_rows() -> list[str]:
    """Return the rows of the table in docs/checks.md: each bug, and what catches it where."""
    return [f"| {mutant.name} | {mutant.told} | {mutant.scenario} | {' · '.join(mutant.caught_by)} |" for mutant in MUTANTS]
