"""Updates over the air: consent, download while driving, installation when the car stands, failure, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from fleet.kernel.draws import Draws
from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND, Instant
from fleet.vehicle.car import Car
from fleet.vehicle.kept import find, obtain
from fleet.vehicle.leaving import Leaving, leaving_habits
from fleet.vehicle.services import updates
from fleet.vehicle.services.routes import Routes
from fleet.vehicle.services.updates import INSTALL_ABOVE_PERCENT, RATE_MBIT_S, Updates
from fleet.vehicle.signals import (
    DriveTo,
    FailUpdate,
    ResetCar,
    SetCoverage,
    SetOpening,
    SetUpdateConsent,
    SwitchOff,
    SwitchOn,
)
from fleet.wire.messages import Event, Software
from tests.listening import hear_instead
from tests.vehicle.car_lab import HOME, SHOP, CarLab, equipment

OK = ("succeeded", None)
OUT_OF_RANGE = ("rejected", "argument_out_of_range")
ORDER: dict[str, Any] = {"campaign": "spring", "version": "4.1", "size_mb": 300}


def order(lab: CarLab, **changed: Any) -> tuple[str, str | None]:
    return lab.outcome("system_update", wait=0, **{**ORDER, "consent": True, **changed})


def lab_with(*, number: int = 0, tune: Callable[[Car], None] | None = None, **changed: Any) -> CarLab:
    """Return a car that was sent an update; it succeeds and locks well unless a test says otherwise."""
    lab = CarLab(equipment(), number=number, tune=tune)
    lab.wake()
    assert order(lab, **changed) == OK
    return lab


def told(lab: CarLab) -> list[str]:
    return [event.data["state"] for event in lab.events() if event.name.startswith("update_") and "state" in event.data]


def drive_until(lab: CarLab, state: str, limit: int = 40) -> Event:
    """Drive to and fro until an event tells this."""
    for number in range(limit):
        found = [event for event in lab.events() if event.data.get("state") == state]
        if found:
            return found[0]
        lab.put(DriveTo((SHOP, HOME)[number % 2]))
        lab.run_for(HOUR)
    raise AssertionError(f"never {state}: {told(lab)}")


@pytest.fixture(autouse=True)
def every_installation_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those that a test makes fail; and every driver locks the car."""
    monkeypatch.setattr(updates, "FAILING_SHARE", 0.0)

    def tidy(draws: Draws) -> Leaving:
        return replace(leaving_habits(draws), locks=True, boot_left_open=False)

    monkeypatch.setattr("fleet.vehicle.driver_actions.leaving_habits", tidy)


# --- the command


def test_without_consent_nothing_comes() -> None:
    """Neither by app nor in the car: it is refused, and the car has nothing of it."""
    lab = CarLab()
    assert lab.outcome("system_update", **ORDER) == ("rejected", "consent_missing")
    assert find(lab.car, Updates) is None


def test_consent_in_the_car_is_as_good_as_by_app() -> None:
    """It is told when it changes, once; taken back, the next update is refused."""
    lab = CarLab()
    for given in (True, True):
        lab.put(SetUpdateConsent(given))
    assert lab.outcome("system_update", **ORDER) == OK
    lab.put(SetUpdateConsent(False))
    assert lab.outcome("system_update", **ORDER) == ("rejected", "consent_missing")
    assert [event.data for event in lab.events("update_consent")] == [{"given": True}, {"given": False}]


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({"size_mb": 1}, OK),
        ({"size_mb": 50_000}, OK),
        ({"size_mb": 0}, OUT_OF_RANGE),
        ({"size_mb": 50_001}, OUT_OF_RANGE),
        ({"size_mb": -5}, OUT_OF_RANGE),
        ({"version": "x" * 41}, OUT_OF_RANGE),
        ({"campaign": "x" * 41}, OUT_OF_RANGE),
        ({"size_mb": 1.5}, ("rejected", "malformed")),
        ({"size_mb": "300"}, ("rejected", "malformed")),
        ({"size_mb": None}, ("rejected", "malformed")),
        ({"target": "radio"}, ("rejected", "malformed")),
        ({"consent": "yes"}, ("rejected", "malformed")),
        ({"version": 4}, ("rejected", "malformed")),
        ({"spin": "1234"}, ("rejected", "malformed")),
    ],
)
def test_arguments(changed: dict[str, Any], outcome: tuple[str, str | None]) -> None:
    """What is refused leaves nothing behind."""
    lab = CarLab()
    assert lab.outcome("system_update", **{**ORDER, "consent": True, **changed}) == outcome
    assert (find(lab.car, Updates) is None) == (outcome != OK)


@pytest.mark.parametrize("missing", ["campaign", "version", "size_mb"])
def test_what_is_missing(missing: str) -> None:
    lab = CarLab()
    parameters = {name: value for name, value in ORDER.items() if name != missing}
    assert lab.outcome("system_update", consent=True, **parameters) == ("rejected", "malformed")


def test_one_update_at_a_time() -> None:
    """Of whichever target; afterwards the same version again is up to date, and another is welcome."""
    lab = lab_with()
    assert order(lab, version="5") == ("rejected", "busy")
    assert order(lab, target="infotainment") == ("rejected", "busy")
    drive_until(lab, "installed")
    lab.wake()
    assert order(lab) == ("rejected", "up_to_date")
    assert order(lab, target="infotainment") == OK


# --- download


def test_it_downloads_only_while_the_engine_runs() -> None:
    """Not a megabyte for days of standing; then at the network's rate."""
    lab = lab_with(size_mb=2_000)
    lab.run_for(3 * DAY)
    assert told(lab) == []
    lab.put(SwitchOn())
    update = obtain(lab.car, Updates).under_way
    assert update is not None
    lab.run_for(100 * SECOND)
    assert RATE_MBIT_S[0] <= update.loaded_mb(lab.now) * 8 / 100 <= RATE_MBIT_S[1]
    lab.put(SwitchOff())
    loaded_mb = update.loaded_mb(lab.now)
    lab.run_for(DAY)
    assert update.loaded_mb(lab.now) == loaded_mb
    assert told(lab) == ["downloading", "paused"]


def test_one_that_comes_while_the_engine_runs_begins_at_once() -> None:
    lab = CarLab()
    lab.put(SwitchOn())
    assert order(lab) == OK
    assert told(lab) == ["downloading"]


def test_without_network_it_waits() -> None:
    lab = lab_with()
    lab.put(SetCoverage(False))
    lab.put(SwitchOn())
    lab.run_for(MINUTE)
    assert told(lab) == []
    lab.put(SetCoverage(True))
    assert told(lab) == ["downloading"]


def test_after_a_hole_it_goes_on_where_it_was() -> None:
    """However often: the percentages go on from where they stood, and the time with network is what counts."""
    lab = lab_with(size_mb=1_000)
    lab.put(SwitchOn())
    for _ in range(5):
        lab.put(SetCoverage(False), lab.now + 20 * SECOND)
        lab.put(SetCoverage(True), lab.now + 10 * MINUTE)
    lab.run_for(HOUR)
    events = lab.events("update_progress")
    assert told(lab) == ["downloading", "paused"] * 5 + ["downloading", "downloaded"]
    percents = [event.data["percent"] for event in events]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0.0, 100.0)
    for before, after in pairwise(events):
        if before.data["state"] == "paused":
            assert after.data["percent"] == before.data["percent"]
        else:
            seconds = (after.captured_at - before.captured_at) / SECOND
            loaded_mb = (after.data["percent"] - before.data["percent"]) / 100 * 1_000
            assert RATE_MBIT_S[0] - 0.4 <= loaded_mb * 8 / seconds <= RATE_MBIT_S[1] + 0.4


def test_how_it_is_looked_at_does_not_change_it() -> None:
    """The end of the download is the same to the microsecond, however often the car is woken in between."""
    ends: list[Instant] = []
    for step in (HOUR, SECOND):
        lab = lab_with(size_mb=500)
        lab.put(SwitchOn())
        for _ in range(HOUR // step):
            lab.run_for(step)
        ends += [event.captured_at for event in lab.events("update_progress") if event.data["state"] == "downloaded"]
    assert len(ends) == 2
    assert ends[0] == ends[1]


# --- installing the system


def downloaded(**changed: Any) -> CarLab:
    """Return a car with the engine on whose update is there."""
    lab = lab_with(**changed)
    lab.put(SwitchOn())
    lab.run_for(HOUR)
    assert told(lab) == ["downloading", "downloaded"]
    return lab


def test_the_system_is_installed_when_the_driver_has_left() -> None:
    """Not while the engine runs, however long; it takes a quarter to half an hour, and then the status has the version."""
    lab = downloaded()
    lab.run_for(2 * HOUR)
    assert told(lab)[-1] == "downloaded"
    lab.put(SwitchOff())
    assert told(lab)[-1] == "downloaded"
    lab.run_for(HOUR)
    assert told(lab)[-2:] == ["installing", "installed"]
    begun = lab.events("update_progress")[-1]
    [result] = lab.events("update_result")
    assert 15 * MINUTE <= result.captured_at - begun.captured_at <= 30 * MINUTE
    assert result.data == {"campaign": "spring", "target": "system", "version": "4.1", "state": "installed"}
    [status] = lab.statuses("update")
    assert status.software == Software(system="4.1")


def test_the_status_has_no_software_before_and_always_after() -> None:
    """A car without updates sends not a byte more."""
    lab = lab_with()
    lab.drive(SHOP)
    assert all(status.software is None for status in lab.statuses())
    drive_until(lab, "installed")
    lab.outcome("refresh")
    assert lab.statuses("refresh")[-1].software == Software(system="4.1")


@pytest.mark.parametrize(
    ("hinder", "reason"),
    [
        (lambda lab: setattr(lab.car.body, "locked", False), "not_locked"),
        (lambda lab: lab.put(SetOpening("boot", opened=True)), "door_open"),
        (
            lambda lab: setattr(
                lab.car.low_voltage, "charge_ah", lab.car.low_voltage.capacity_ah * (INSTALL_ABOVE_PERCENT - 1) / 100
            ),
            "battery_low",
        ),
    ],
)
def test_what_puts_it_off(hinder: Callable[[CarLab], None], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told with its reason; the next time that somebody leaves the car in order it is installed."""
    lab = downloaded()
    before = updates.driver_left

    def left(car: Car, now: Instant) -> None:
        hinder(lab)
        before(car, now)

    with monkeypatch.context() as patch:
        hear_instead(patch, "driver_left", before, left)
        lab.put(SwitchOff())
        lab.run_for(2 * HOUR)
    assert lab.events("update_progress")[-1].data["reason"] == reason
    assert told(lab)[-1] == "postponed"
    lab.put(SetOpening("boot", opened=False))
    lab.put(SwitchOn())
    lab.put(SwitchOff(), lab.now + HOUR)
    lab.run_for(HOUR)
    assert told(lab)[-2:] == ["installing", "installed"]


def installing(**changed: Any) -> CarLab:
    lab = downloaded(**changed)
    lab.put(SwitchOff())
    while told(lab)[-1] != "installing":
        lab.run_for(SECOND)
    return lab


def test_the_car_cannot_be_started_while_the_system_is_installed() -> None:
    """Who turns the key is told so, and the installation goes on to its end."""
    lab = installing()
    lab.put(SwitchOn())
    assert not lab.car.engine_is_on
    assert [event.data for event in lab.events("engine_not_started")] == [{"reason": "update_installing"}]
    lab.run_for(HOUR)
    assert told(lab)[-1] == "installed"
    lab.put(SwitchOn())
    assert lab.car.engine_is_on


def test_who_wants_to_drive_waits_for_its_end() -> None:
    """And sets off in that very instant."""
    lab = installing()
    lab.put(DriveTo(SHOP))
    assert not lab.car.engine_is_on
    lab.run_for(30 * MINUTE)
    [result] = lab.events("update_result")
    assert [event.captured_at for event in lab.events("engine_on")][-1] == result.captured_at


def test_other_commands_are_taken_meanwhile() -> None:
    lab = installing()
    assert lab.outcome("refresh") == OK
    assert lab.outcome("lock") == OK


# --- installing the infotainment


def test_the_infotainment_is_installed_once_the_engine_is_off() -> None:
    """At once, locked or not; it takes 4 to 10 minutes."""
    lab = downloaded(target="infotainment")
    lab.put(SwitchOff())
    assert told(lab)[-1] == "installing"
    lab.run_for(10 * MINUTE)
    assert told(lab)[-1] == "installed"
    assert lab.statuses("update")[-1].software == Software(infotainment="4.1")


def test_who_starts_the_engine_breaks_it_off() -> None:
    """It is put off, and begins anew when the engine is off again; there is one result."""
    lab = downloaded(target="infotainment")
    for _ in range(2):
        lab.put(SwitchOff())
        lab.put(SwitchOn(), lab.now + MINUTE)
        assert lab.car.engine_is_on
        lab.run_for(20 * MINUTE)
    lab.put(SwitchOff())
    lab.run_for(20 * MINUTE)
    assert told(lab)[2:] == ["installing", "postponed"] * 2 + ["installing", "installed"]
    assert [event.data["state"] for event in lab.events("update_result")] == ["installed"]


def test_both_versions_stand_side_by_side() -> None:
    lab = lab_with(target="infotainment", version="7")
    drive_until(lab, "installed")
    lab.wake()
    assert order(lab, version="4.2") == OK
    lab.drive(SHOP)
    for place in (HOME, SHOP, HOME):
        lab.drive(place, stay=HOUR)
    assert lab.statuses("update")[-1].software == Software(system="4.2", infotainment="7")


# --- failing


def test_an_installation_that_fails_is_rolled_back() -> None:
    """The car has what it had before, tells so, and can be sent the same version again."""
    lab = lab_with()
    lab.put(FailUpdate())
    drive_until(lab, "rolled_back")
    [result] = lab.events("update_result")
    assert (result.data["state"], result.data["reason"]) == ("rolled_back", "self_test_failed")
    assert lab.statuses("update") == []
    lab.wake()
    assert order(lab) == OK
    drive_until(lab, "installed")
    assert lab.statuses("update")[-1].software == Software(system="4.1")


def test_a_failure_leaves_the_version_before() -> None:
    lab = lab_with()
    drive_until(lab, "installed")
    lab.wake()
    lab.put(FailUpdate())
    assert order(lab, version="5") == OK
    drive_until(lab, "rolled_back")
    lab.outcome("refresh")
    assert lab.statuses("refresh")[-1].software == Software(system="4.1")


def test_some_fail_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """As large a share as is said; the same car fails again in the same run."""
    monkeypatch.setattr(updates, "FAILING_SHARE", 0.3)
    results = []
    for number in range(60):
        lab = lab_with(number=number, size_mb=1)
        lab.drive(SHOP, stay=HOUR)
        results += [event.data["state"] for event in lab.events("update_result")]
    assert len(results) == 60
    assert 8 <= results.count("rolled_back") <= 28


# --- given up


@pytest.mark.parametrize("give_up", [SetUpdateConsent(False), ResetCar()])
@pytest.mark.parametrize("state", ["waiting", "downloading", "downloaded", "installing"])
def test_who_no_longer_wants_it(give_up: SetUpdateConsent | ResetCar, state: str) -> None:
    """Before it is installed it is given up, and told; what is being installed is carried to its end."""
    lab = CarLab()
    lab.put(SetUpdateConsent(True))
    lab.wake()
    assert order(lab, consent=False) == OK
    if state != "waiting":
        lab.put(SwitchOn())
        lab.run_for(HOUR if state != "downloading" else 10 * SECOND)
    if state == "installing":
        lab.put(SwitchOff())
        lab.run_for(10 * MINUTE)
    lab.put(give_up)
    lab.run_for(HOUR)
    if isinstance(give_up, SetUpdateConsent):
        assert told(lab)[-1] == ("installed" if state == "installing" else "cancelled")
        reason = lab.events("update_result")[-1].data.get("reason")
        assert reason == (None if state == "installing" else "consent_withdrawn")
    assert find(lab.car, Updates) is not None
    assert not obtain(lab.car, Updates).consent
    assert obtain(lab.car, Updates).under_way is None


def test_versions_survive_a_reset() -> None:
    """They are the car's, not its user's."""
    lab = lab_with()
    drive_until(lab, "installed")
    lab.put(ResetCar())
    assert find(lab.car, Updates) is not None
    assert obtain(lab.car, Updates).versions == Software(system="4.1")


# --- cost


def test_a_car_without_updates_has_none() -> None:
    """A slot, and nothing in it, whatever else happens to it."""
    lab = CarLab()
    lab.drive(SHOP)
    lab.outcome("refresh")
    lab.put(ResetCar())
    assert find(lab.car, Updates) is None
    assert find(lab.car, Routes) is None
