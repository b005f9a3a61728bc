"""How long a command takes from the user's wish to the car's first answer: `python bench/command_round_trip.py [RUNS]`.

Each run is a whole `fleet run` on this machine: private Mosquitto, back end with desk and store, 200 cars over aiomqtt at
the real clock, and 20 commands a second. The way is user → broker → desk → commit → broker → car → broker → back end →
commit → broker → user. Cars are asleep at first; those that had to wake up are measured apart. Aim: p99 ≤ 60 ms, awake.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

AIM_P99_MS = 60.0
SCENARIO = """\
scenario: command-round-trip
purpose: 200 cars in the open, 20 commands a second.
seed: 1
start: 2026-03-07T10:00
duration: 75 s
clock: real
region: munich
fleets:
  - {name: parked, count: 200, models: {Leon: 1, Born: 1}, profile: parked}
commands:
  - {name: refresh, count: 1500}
"""


def run(folder: Path) -> dict[str, Any]:
    """Run once and return the report."""
    scenario = folder / "scenario.yaml"
    scenario.write_text(SCENARIO, encoding="utf-8")
    command = [sys.executable, "-m", "fleet", "run", str(scenario), "--out", str(folder / "out"), "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def main(runs: int) -> None:
    p99 = []
    print(f"{'run':>3}  {'p50':>6}  {'p90':>6}  {'p99':>6}  {'max':>6}   ms, awake cars")
    for number in range(1, runs + 1):
        with tempfile.TemporaryDirectory() as folder:
            figures = run(Path(folder))["latency_ms"]["command_round_trip"]
        p99.append(figures["p99"])
        print(f"{number:>3}  " + "  ".join(f"{figures[name]:6.1f}" for name in ("p50", "p90", "p99", "max")), flush=True)
    median = statistics.median(p99)
    print(f"median p99 {median:.1f} ms, {'within' if median <= AIM_P99_MS else 'above'} the aim of {AIM_P99_MS:.0f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
