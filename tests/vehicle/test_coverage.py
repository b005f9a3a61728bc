"""Where there is no network, and when the computer is off: nothing arrives, nothing is lost, nothing is said twice."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND, from_datetime
from fleet.vehicle.region import Place
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import (
    Announce,
    AskStatus,
    CarInput,
    Connect,
    Disconnect,
    DriveTo,
    Drop,
    LinkDown,
    LinkUp,
    PowerOff,
    PowerOn,
    SetCoverage,
    StayPut,
    SwitchOff,
    SwitchOn,
    Transmit,
)
from tests.vehicle.car_lab import GARAGE, SHOP, START, CarLab, account_holds, drawn_driver, driver


def test_a_garage_keeps_everything_until_the_car_is_out() -> None:
    """Inside it nothing is sent; outside everything is, oldest first, with the time it was measured."""
    lab = CarLab()
    lab.drive(GARAGE, stay=HOUR)
    count = len(lab.sent)
    assert not lab.car.outbox.has_coverage
    assert lab.car.connection(lab.now) == "offline"
    assert lab.car.outbox.in_outbox >= 4
    assert lab.statuses() == []
    lab.put(DriveTo(SHOP))
    assert len(lab.sent) == count
    lab.run_for(MINUTE)
    assert lab.car.outbox.in_outbox == 0
    assert [message.seq for message in lab.sent] == list(range(1, len(lab.sent) + 1))
    assert lab.statuses("engine_off")[0].captured_at < lab.now - HOUR
    due = [out.due_at for _, out in lab.outputs if isinstance(out, Transmit) and out.message.seq == count + 1]
    assert due[0] > lab.now - MINUTE


@pytest.mark.parametrize("seconds", [0, 4, 20])
def test_a_drive_broken_off_in_a_garage_stays_in_it(seconds: int) -> None:
    """Before the car has moved it is where it was, without network, and still at the same kind of place."""
    home = Place(48.1, 11.5, "München", "home", garage=True)
    lab = CarLab(car_driver=driver(home=home))
    lab.put(DriveTo(SHOP))
    assert lab.car.journey is not None
    moved = lab.now + seconds * SECOND >= lab.car.journey.move_at
    lab.put(SwitchOff(), lab.now + seconds * SECOND)
    lab.run_for(2 * HOUR)
    assert not lab.car.outbox.has_coverage
    assert lab.outputs == []
    assert (lab.car.place.kind == "home") or moved


def test_a_hole_on_the_way() -> None:
    """Connected, gone, connected again: Drop and Connect in turns, all messages at last, the account right."""
    holes = 0
    for number in range(8):
        lab = CarLab(car_driver=drawn_driver(number), settings=CarSettings(hole_share=1.0))
        lab.run_until(START + DAY)
        lab.run_for(6 * HOUR)
        steps = [type(out) for _, out in lab.outputs if isinstance(out, Connect | Drop)]
        assert steps == [Connect, Drop] * (len(steps) // 2) + [Connect] * (len(steps) % 2)
        holes += steps.count(Drop)
        assert account_holds(lab.car)
        assert [message.seq for message in lab.sent] == list(range(1, len(lab.sent) + 1))
    assert holes


def test_a_broken_connection_repeats_what_has_no_outcome() -> None:
    """The same number again, then the rest in order; presence is announced at each connection."""
    lab = CarLab(acknowledging=False)
    for _ in range(3):
        lab.put(AskStatus())
    assert [message.seq for message in lab.sent] == [1]
    lab.put(LinkDown())
    announce, again = lab.link_up()
    assert isinstance(announce, Announce)
    assert announce.presence.connection == "online"
    assert isinstance(again, Transmit)
    assert (again.again, again.message.seq) == (True, 1)
    assert lab.car.outbox.repeated == 1


def test_presence_and_will() -> None:
    """Online when connected; the will says `lost`; at the end `shutdown`; none of them is numbered."""
    lab = CarLab()
    will = lab.car.will(lab.now)
    assert (will.connection, will.reason, will.seq) == ("offline", "lost", 0)
    [bye] = lab.put(PowerOff())
    assert isinstance(bye, Disconnect)
    assert (bye.last.connection, bye.last.reason, bye.last.seq) == ("offline", "shutdown", 0)
    assert lab.car.connection(lab.now) == "offline"


INPUTS: list[CarInput] = [
    AskStatus(), LinkUp(session_present=True), LinkDown(), SetCoverage(covered=False), SetCoverage(covered=True),
    SwitchOn(), SwitchOff(), DriveTo(SHOP),
]  # fmt: skip


@pytest.mark.parametrize("message", INPUTS)
@pytest.mark.parametrize("after", [False, True])
def test_a_car_without_power_does_nothing(message: CarInput, after: bool) -> None:
    """Before PowerOn and after PowerOff no input has an effect, and the car wants nothing."""
    lab = CarLab(power=False)
    if after:
        lab.put(PowerOn())
        lab.put(PowerOff())
    assert lab.put(message) == []
    assert lab.car.deadline() is None
    assert lab.car.outbox.created == 0
    if after:
        assert lab.put(PowerOn()) == []


def test_power_on_twice_is_once() -> None:
    """The second changes nothing."""
    lab = CarLab()
    deadline = lab.car.deadline()
    assert lab.put(PowerOn()) == []
    assert lab.car.deadline() == deadline


def test_leaving_twice_is_leaving_once() -> None:
    """Started again before getting out: only the last time somebody walks away counts."""
    lab = CarLab()
    for _ in range(3):
        lab.put(SwitchOn())
        lab.put(SwitchOff(), lab.now + SECOND)
        lab.run_for(SECOND)
    lab.run_for(10 * MINUTE)
    assert len(lab.statuses("left")) == 1


def test_driving_with_the_engine_on_starts_it_once() -> None:
    """SwitchOn, then DriveTo: one engine_on, one engine_off."""
    lab = CarLab()
    lab.put(SwitchOn())
    lab.drive()
    assert [event.name for event in lab.events()] == ["engine_on", "engine_off", "trip"]


def test_driving_to_where_one_is() -> None:
    """Does nothing; nor does a second goal while driving."""
    lab = CarLab()
    lab.put(DriveTo(lab.car.driver.home))
    assert lab.car.journey is None
    lab.put(DriveTo(SHOP))
    journey = lab.car.journey
    lab.put(DriveTo(GARAGE))
    assert lab.car.journey is journey


@pytest.mark.parametrize("day", [datetime(2026, 3, 27, 23, tzinfo=UTC), datetime(2026, 10, 23, 22, tzinfo=UTC)])
def test_clocks_that_change_lose_no_day(day: datetime) -> None:
    """Over a night of 23 or 25 hours each planned trip is driven, in its order, and none twice."""
    for number in range(6):
        lab = CarLab(car_driver=drawn_driver(number), number=number, start=from_datetime(day))
        who, planned = lab.car.driver, 0
        for _ in range(3):
            planned += len(who.plan_day(who.local_date(lab.now)))
            lab.run_until(who.next_midnight(lab.now))
        assert len(lab.events("trip")) - len(lab.events("refuelled")) == planned


def test_a_stop_at_a_station_around_midnight_is_not_the_end_of_the_trip() -> None:
    """The new day's plan begins with what is left of the drive."""
    far = Place(49.452, 11.077, "Nürnberg", "errand")
    lab = CarLab(tune=lambda car: setattr(car.powertrain, "fuel_l", 3.0))
    lab.run_until(lab.car.driver.next_midnight(lab.now) - 5 * MINUTE)
    lab.put(DriveTo(far))
    lab.run_for(6 * HOUR)
    assert len(lab.events("refuelled")) == 1
    assert lab.car.true_position(lab.now) == far.position


def test_a_connection_that_comes_too_late_is_not_used() -> None:
    """Up when the car no longer wants it: nothing is announced or sent on it."""
    lab = CarLab(connecting=False)
    lab.put(SetCoverage(covered=False))
    lab.put(AskStatus())
    assert lab.link_up() == []
    assert lab.car.connection(lab.now) == "offline"


def test_a_driver_that_stays_put_ends_the_drive_and_starts_none() -> None:
    """After the end of a scenario a car comes to rest, over midnight too; it still takes commands."""
    lab = CarLab(car_driver=drawn_driver(1, "courier"))
    while lab.car.journey is None:
        lab.run_for(MINUTE)
    under_way = lab.car.trips.count
    lab.put(StayPut())
    lab.run_for(3 * DAY)
    assert lab.car.trips.count == under_way
    assert lab.car.state(lab.now) == "parked"
    assert len(lab.events("engine_off")) == len(lab.events("engine_on")) == under_way
    assert lab.outcome("refresh") == ("succeeded", None)


def test_what_is_due_in_the_instant_in_which_the_connection_goes_waits() -> None:
    """It is done before the input that says so, and has nothing to leave on."""
    lab = CarLab()
    lab.put(DriveTo(SHOP))
    lab.run_for(MINUTE)
    while lab.car.journey is not None and (at := lab.car.deadline()) is not None and at < lab.car.journey.arrive_at:
        lab.run_until(at)
    at = lab.car.deadline()
    assert at is not None
    outputs = lab.car.receive(LinkDown(), at)
    assert not lab.car.engine_is_on, "the drive has ended"
    assert [output for output in outputs if isinstance(output, Transmit)] == []
    lab.now = at
    lab.link_up()
    assert lab.statuses("engine_off")
    assert account_holds(lab.car)
