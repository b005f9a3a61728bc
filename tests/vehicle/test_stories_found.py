"""Stories that once broke a check although the car was right, as short as they could be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fleet.kernel.instants import MINUTE, SECOND
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import AskStatus, DriveTo, PowerOff, PowerOn, SetOpening, SetPrivacy, SetUpdateConsent
from fleet.wire.messages import Command
from fleet.wire.privacy import OPEN, PrivacyMode
from tests.vehicle.car_lab import START, WORK, driver, equipment
from tests.vehicle.story_lab import StoryLab


def lab_of(folder: Path, mode: PrivacyMode = OPEN) -> StoryLab:
    """Return a car that is switched on."""
    lab = StoryLab(folder, equipment("Ateca"), driver(), start=START, settings=CarSettings(privacy=mode))
    lab.put(PowerOn())
    return lab


def ask(lab: StoryLab, command_id: str, name: str, parameters: dict[str, Any]) -> None:
    """Send the car a command."""
    ends = lab.now + 10 * MINUTE
    lab.ask(Command(id=command_id, vin=lab.car.vin, name=name, issued_at=lab.now, expires_at=ends, parameters=parameters))


def judge(lab: StoryLab) -> None:
    """Let it come to its end, and hold its journal against the checks."""
    lab.calm_down()
    lab.put(PowerOff())
    found = lab.judge()
    lab.close()
    assert found.holds, [breach for finding in found.findings for breach in finding.breaches]


def test_a_door_a_drive_and_a_status_in_one_microsecond(tmp_path: Path) -> None:
    """The door is opened, the driver gets in and closes it, a status says so; the next one agrees."""
    lab = lab_of(tmp_path)
    lab.put(SetOpening("front_left", True))
    lab.put(DriveTo(WORK))
    lab.put(AskStatus())
    lab.run_for(MINUTE)
    lab.put(AskStatus())
    judge(lab)


def test_who_has_agreed_has_still_when_the_privacy_switch_is_touched(tmp_path: Path) -> None:
    """An update that was agreed to in the car is taken, whatever the check may know after the switch was set, to what it was."""
    lab = lab_of(tmp_path)
    lab.put(SetUpdateConsent(True))
    lab.run_for(SECOND)
    lab.put(SetPrivacy(OPEN))
    lab.run_for(SECOND)
    ask(lab, "c1", "system_update", {"campaign": "spring", "version": "1.0", "size_mb": 1})
    judge(lab)


def test_a_reset_takes_the_words_out_of_answers_that_wait(tmp_path: Path) -> None:
    """Too many commands for a silent car to wake for, and then a reset: the answers go out without the words that said so."""
    lab = lab_of(tmp_path, "offline")
    parameters = {"latitude": 48.137, "longitude": 11.575}
    for number, name in enumerate(["honk"] * 4 + ["reset"] + ["honk"] * 14 + ["route_import"]):
        ask(lab, f"c{number}", name, parameters if name == "honk" else {})
    judge(lab)
