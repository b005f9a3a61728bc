"""Stories that once broke a check although the car was right, as short as they could be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import (
    AskStatus,
    DrainTo,
    DriveTo,
    PairCar,
    PowerOff,
    PowerOn,
    PressButton,
    Repair,
    ResetCar,
    SetFault,
    SetOpening,
    SetPlug,
    SetPrivacy,
    SetUpdateConsent,
    SetWorkshop,
    SwitchOff,
    SwitchOn,
)
from fleet.wire.messages import Command
from fleet.wire.privacy import OPEN, PrivacyMode
from tests.vehicle.any_story import failure
from tests.vehicle.car_lab import HOME, START, WORK, driver, equipment
from tests.vehicle.story_inputs import FAR, NEAR, Built, Step
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


HERE: Final = {"latitude": HOME.latitude, "longitude": HOME.longitude}
MOVED: Final = ("command", "speed_alert", {"limit_kmh": 30})
UPDATE: Final = ("command", "system_update", {"campaign": "spring", "version": "2.0", "size_mb": 5_000, "consent": True})
SMALL: Final = ("command", "system_update", {"campaign": "spring", "version": "1.0", "size_mb": 1, "consent": True})
NOT_READY: Final = [("apply", SetPlug(False)), ("apply", DrainTo(0.2)), ("set_off_soon", "departure_timers", (15,), True)]
AWAKE: Final = ("wait", 2 * MINUTE)
RESET: Final[Step] = ("command", "reset", {})
OUT: Final = ("drive", NEAR, 1)
"""The car is parked, and its driver still in it."""
BACK: Final = ("drive", HOME, 5 * MINUTE)
FURTHER: Final = ("drive", WORK, 5 * MINUTE)
PAIRED: Final = ("apply", PairCar())
FOUND: Final[dict[str, tuple[str, str, PrivacyMode, list[Step]]]] = {
    "an electric car is charged between two trips": (
        "Born", "electric", OPEN,
        [("drive", NEAR, 5 * MINUTE), ("apply", SetPlug(True)), ("apply", SwitchOn()), ("apply", SwitchOff()), AWAKE, BACK],
    ),
    "the privacy switch is turned to where it is while an update is loaded": (
        "Formentor", "petrol", OPEN, [UPDATE, FURTHER, ("apply", SetPrivacy(OPEN)), BACK, OUT, ("wait", HOUR)],
    ),
    "a paired car is paired while an update is loaded": (
        "Ateca", "diesel", OPEN, [UPDATE, FURTHER, PAIRED, BACK, OUT, ("wait", HOUR)],
    ),
    "a car with a new version is turned silent and open again": (
        "Leon", "petrol", OPEN,
        [SMALL, FURTHER, ("wait", HOUR), ("apply", SetPrivacy("maximum_privacy")), ("pair_and_open",), OUT, UPDATE, BACK],
    ),
    "departure times are set again while the car gets ready": (
        "Born", "electric", OPEN, [*NOT_READY, AWAKE, ("set_off_soon", "departure_timers", (13,), True), AWAKE],
    ),
    "a car is reset while its switch is touched that has no such position": (
        "Leon", "e-hybrid", "maximum_privacy",
        [("hurry", False), RESET, AWAKE, ("apply", SetPrivacy("online")), ("hurry", True), PAIRED, AWAKE, OUT],
    ),
    "a car is reset while it locks, and then driven": (
        "Born", "electric", OPEN, [OUT, ("command", "lock", {}), RESET, FURTHER, ("pair_and_open",)],
    ),
    "another user is deleted than the one who watches the speed": (
        "Leon", "petrol", OPEN, [MOVED, AWAKE, ("apply", ResetCar("guest-1")), FURTHER],
    ),
    "a reset overtakes the answer of what it wipes": (
        "Leon", "petrol", OPEN,
        [OUT, ("hurry", False), MOVED, ("wait", 1), RESET, ("hurry", True), PAIRED, ("drive", FAR, 1)],
    ),
    "a car is reset and paired in one microsecond": (
        "Formentor", "e-hybrid", OPEN, [("hurry", False), OUT, RESET, PAIRED, ("hurry", True), BACK],
    ),
    "commands of a kind that has no budget wake the car until others are refused": (
        "Born", "electric", OPEN,
        [*[("command", "charging_settings", {"limit_percent": 80}), ("wait", HOUR)] * 41, ("command", "honk", HERE), AWAKE],
    ),
    "commands that wake the car are too old once it is awake": (
        "Leon", "petrol", OPEN, [*[("command", "refresh", {}, 1), ("wait", HOUR)] * 41, ("command", "honk", HERE), AWAKE],
    ),
    "several commands are busy since the car was silent": (
        "Born", "electric", OPEN,
        [OUT, ("command", "lock", {}), ("apply", SetPrivacy("offline")), ("pair_and_open",), *[("command", "lock", {})] * 2],
    ),
    "a fault comes in the microsecond of a health report": (
        "Leon", "petrol", OPEN,
        [("apply", SwitchOn()), ("command", "refresh", {}), ("apply", SwitchOff()), ("apply", SetFault("tyre_pressure")),
         ("command", "refresh", {})],
    ),
    "a car is conditioned at the station where it is filled up": (
        "Tavascan", "electric", OPEN,
        [("drive", FAR, HOUR), ("drive", HOME, 1), ("command", "climatisation", {}), ("wait", HOUR)],
    ),
    "a car is driven with nothing left": ("Formentor", "petrol", OPEN, [("apply", DrainTo(0.0)), OUT]),
    "fuel is drained from a car that has charge, too": (
        "Leon", "e-hybrid", OPEN, [("apply", SetPlug(False)), OUT, AWAKE, ("apply", DrainTo(0.0)), ("wait", 1), BACK],
    ),
    "a car is drained in the microsecond in which it sets off": (
        "Formentor", "e-hybrid", OPEN, [("ask_status",), ("apply", DriveTo(FAR)), ("apply", DrainTo(0.3)), ("wait", DAY)],
    ),
    "a car charges of which no status has told": (
        "Born", "electric", OPEN,
        [("command", "climatisation", {"target_c": 16.0}), ("wait", HOUR), ("apply", SwitchOn()), ("apply", SwitchOff())],
    ),
    "a nearly full car is drained while it charges": (
        "Born", "electric", OPEN,
        [("command", "charging_settings", {"limit_percent": 100}), ("wait", HOUR), ("apply", DrainTo(0.6)),
         ("command", "climatisation", {}), ("wait", HOUR)],
    ),
    "a car is drained that is ready to depart": (
        "Born", "electric", OPEN,
        [("apply", SetPlug(True)), ("wait", DAY), ("set_off_soon", "departure_timers", (15,), True), AWAKE,
         ("apply", DrainTo(0.05)), ("wait", HOUR)],
    ),
    "workshop mode is switched off and on before its word has left the car": (
        "Born", "electric", OPEN,
        [("hurry", False), ("apply", SetWorkshop(True)), ("command", "lock", {}), ("apply", SetWorkshop(False)),
         ("apply", SetWorkshop(True)), AWAKE],
    ),
    "a limit is passed where no position may leave the car": (
        "Tavascan", "electric", OPEN,
        [("command", "speed_alert", {"limit_kmh": 40}), AWAKE, ("apply", SetPrivacy("online")), ("drive", FAR, 5 * MINUTE)],
    ),
    "the engine runs for a moment at the station": (
        "Leon", "e-hybrid", OPEN,
        [("drive", FAR, 15 * SECOND), ("drive", HOME, 1), ("drive", FAR, 90 * SECOND), ("apply", SwitchOn()),
         ("apply", SwitchOff()), ("drive", HOME, 1)],
    ),
    "a reset and the pairing after it have one instant, and the reset is told after both": (
        "Leon", "petrol", OPEN,
        [("apply", PressButton("sos")), ("hurry", False), ("command", "reset", {}), ("pair_and_open",), ("drive", WORK, SECOND),
         ("command", "lock", {})],
    ),
    "faults, and a switch that hides their repair, in one instant without a connection": (
        "Tavascan", "electric", OPEN,
        [("break_link", True), ("apply", SetFault("drive_system")), ("apply", SetFault("washer_fluid")),
         ("apply", SetPrivacy("offline")), ("apply", Repair()), ("apply", SetPrivacy("online")),
         ("apply", SetFault("brake_pads")), ("apply", Repair())],
    ),
    "a reset drops the word that workshop mode has ended": (
        "Leon", "petrol", OPEN,
        [("hurry", False), ("apply", SetWorkshop(True)), ("drive", WORK, SECOND), ("command", "lock", {}), ("break_link", True),
         ("wait", SECOND), ("apply", ResetCar("primary"))],
    ),
    "a car that is not paired ends a trip before it has moved": (
        "Formentor", "petrol", OPEN,
        [("command", "refresh", {}), AWAKE, ("apply", ResetCar("primary")), ("apply", DriveTo(WORK, "errand")),
         ("apply", SwitchOff()), ("apply", PairCar()), ("command", "refresh", {}), AWAKE],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*FOUND])
def test_found(name: str) -> None:
    """The car does what such a car would, and no check finds fault with it."""
    model, energy, mode, steps = FOUND[name]
    fitted = equipment(model, energy, **({"build_week": 202301} if model == "Leon" and energy == "petrol" else {}))
    assert failure(Built(fitted, driver(), START, CarSettings(hole_share=0.0, privacy=mode)), steps) is None
