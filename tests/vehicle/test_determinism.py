"""The same inputs give the same bytes, in any process, whoever else lives."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from fleet.kernel.instants import DAY
from fleet.vehicle.settings import CarSettings
from tests.vehicle.car_lab import START, CarLab, drawn_driver, equipment

STORY = """
from hashlib import sha256
from tests.vehicle.test_determinism import story
print(sha256(story(3)).hexdigest(), sha256(story(4)).hexdigest())
"""


def begin(number: int) -> CarLab:
    model, energy = (("Leon", "diesel"), ("Born", "electric"))[number % 2]
    fitted = equipment(model, energy, number)
    return CarLab(fitted, drawn_driver(number, "errands"), number=number, settings=CarSettings(hole_share=0.5))


def live(lab: CarLab) -> None:
    for day in range(1, 4):
        lab.run_until(START + day * DAY)
        lab.command("refresh")
        lab.command("lock")


def story(number: int) -> bytes:
    """Return all messages of a car that lives three days with a few commands."""
    lab = begin(number)
    live(lab)
    return lab.wire()


def test_again_is_the_same() -> None:
    """Byte for byte; and another car has another story."""
    assert story(3) == story(3)
    assert story(3) != story(5)
    assert story(3)


def test_processes_agree_whatever_their_hash_seed() -> None:
    """Two subprocesses with different PYTHONHASHSEED, and this one."""
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", STORY],
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
        )
        for seed in ("1", "2")
    ]
    here = " ".join(sha256(story(number)).hexdigest() for number in (3, 4))
    assert [process.communicate()[0].strip() for process in running] == [here, here]


def test_another_car_and_other_draws_change_no_car() -> None:
    """Lived side by side with others, and with draws made in between, a car's story is the same."""
    labs = [begin(number) for number in (1, 3, 5, 8)]
    for step in range(1, 13):
        for lab in labs:
            lab.run_until(START + step * DAY // 8)
            lab.car.draws("another purpose").unit()
    alone = begin(3)
    alone.run_until(START + 12 * DAY // 8)
    assert labs[1].wire() == alone.wire()
