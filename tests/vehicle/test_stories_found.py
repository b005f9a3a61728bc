"""Stories that once broke a check although the car was right, as short as they could be made."""

from __future__ import annotations

from pathlib import Path

from fleet.kernel.instants import MINUTE
from fleet.vehicle.car import CarSettings
from fleet.vehicle.signals import PowerOff, PowerOn
from fleet.wire.messages import Command
from tests.vehicle.car_lab import START, driver, equipment
from tests.vehicle.story_lab import StoryLab


def test_a_reset_takes_the_words_out_of_answers_that_wait(tmp_path: Path) -> None:
    """Too many commands for a silent car to wake for, and then a reset: the answers go out without the words that said so."""
    lab = StoryLab(
        tmp_path, equipment("Ateca"), driver(), start=START, settings=CarSettings(until_stored=False, privacy="offline")
    )
    lab.put(PowerOn())
    parameters = {"latitude": 48.137, "longitude": 11.575}
    for number, name in enumerate(["honk"] * 4 + ["reset"] + ["honk"] * 14 + ["route_import"]):
        lab.ask(
            Command(
                id=f"c{number}",
                vin=lab.car.vin,
                name=name,
                issued_at=lab.now,
                expires_at=lab.now + 10 * MINUTE,
                parameters=parameters if name == "honk" else {},
            )
        )
    lab.calm_down()
    lab.put(PowerOff())
    found = lab.judge()
    lab.close()
    assert found.holds, [breach for finding in found.findings for breach in finding.breaches]
