"""What a test with cars can say, the same beside a real broker and in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import nan

import pytest

from fleet.errors import UnknownName, UsageError
from fleet.harness import ExpectationFailed, ForgottenAwait, World, anything, between, gt, lt, near, unlike
from fleet.harness.backend import HarnessBackend
from fleet.harness.car import HarnessCar
from fleet.harness.clock import HarnessClock
from fleet.harness.faults import Faults

MODES = [pytest.param("virtual", marks=pytest.mark.fleet(mode="virtual")), pytest.param("live", marks=pytest.mark.live)]


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Run the test in both."""
    return str(request.param)


pytestmark = pytest.mark.usefixtures("mode")


async def test_an_engine_that_is_switched_off_sends_the_status(fleet_car: HarnessCar) -> None:
    before = fleet_car.odometer_km
    await fleet_car.drive(km=12)
    assert fleet_car.state == "ignition_on"
    await fleet_car.switch_off()
    await fleet_car.wait_for_event("trip", distance_km=gt(9))
    status = await fleet_car.wait_for_status(trigger="engine_off", mileage_km=between(before + 9, before + 16))
    assert status.state == "parked"
    assert status.position is not None


async def test_a_heater_of_an_hour_takes_no_time(fleet: World, fleet_backend: HarnessBackend, fleet_clock: HarnessClock) -> None:
    car = await fleet.car(parking_heater=True, fuel_percent=80)
    began = fleet_clock.now
    await fleet.user.heater(car, minutes=60).succeeds()
    await car.wait_for_status(trigger="command", climate__state=unlike("off"), climate__remaining_min=60)
    await fleet_clock.advance(minutes=61)
    await car.wait_for_event("heater_ended", reason="time", minutes=near(60, 0.1))
    assert fleet_clock.now - began > 61 * 60_000_000
    twin = await fleet_backend.twin(car)
    assert twin is not None
    assert twin.climate is not None
    assert twin.climate.state == "off"


async def test_honk_within_500_metres(fleet: World, fleet_backend: HarnessBackend) -> None:
    car = await fleet.car()
    await fleet.user.honk(car, from_m=480).succeeds()
    await fleet.user.honk(car, from_m=500).succeeds()
    await fleet.user.honk(car, from_m=500.002).is_rejected("too_far")


async def test_in_a_garage_messages_wait_and_come_in_order(fleet_car: HarnessCar) -> None:
    await fleet_car.enter_garage()
    assert fleet_car.connection == "offline"
    assert fleet_car.in_outbox >= 2
    await fleet_car.expect_no_status(trigger="engine_off")
    await fleet_car.leave_garage()
    assert fleet_car.in_outbox == 0
    await fleet_car.wait_for_status(trigger="engine_off")
    assert [message.seq for message in fleet_car.messages] == list(range(1, len(fleet_car.messages) + 1))


async def test_time_stands_unless_it_is_moved(fleet: World, fleet_clock: HarnessClock) -> None:
    car = await fleet.car()
    began = fleet_clock.now
    await car.switch_on()
    await car.switch_off()
    await car.wait_for_status(trigger="engine_off")
    assert fleet_clock.now - began < 1_000_000
    await fleet_clock.advance(minutes=1)
    assert 60_000_000 <= fleet_clock.now - began < 62_000_000


async def test_a_broker_that_is_killed_and_comes_back(fleet: World, fleet_faults: Faults) -> None:
    car = await fleet.car()
    await fleet_faults.kill_broker()
    await car.switch_on()
    await car.switch_off()
    await car.expect_no_status(trigger="engine_off")
    await fleet_faults.start_broker()
    await car.wait_for_status(trigger="engine_off")
    assert car.connection != "offline"


async def test_calls_for_help(fleet: World) -> None:
    car = await fleet.car()
    await car.press("sos")
    await car.wait_for_event("ecall", automatic=False)
    await car.start_drive(km=5)
    await fleet.clock.advance(minutes=2)
    await car.crash()
    await car.wait_for_event("ecall", automatic=True, sensor="airbag")
    assert car.state == "parked"
    with pytest.raises(UnknownName, match="unknown button 'sso'"):
        await car.press("sso")  # type: ignore[arg-type]


async def test_plug_and_charge(fleet: World) -> None:
    car = await fleet.car("Born", charge_percent=80)
    await car.drain(to_percent=30)
    await car.plug_in()
    await car.wait_for_status(trigger="charging", charging__state="charging", energy__charge_percent=near(30, 0.1))
    await fleet.clock.advance(minutes=60)
    await car.unplug()
    await car.wait_for_status(trigger="charging", charging__state="unplugged", energy__charge_percent=gt(35))
    with pytest.raises(UsageError, match="to_percent is 130"):
        await car.drain(to_percent=130)


async def test_cars_are_back_when_the_broker_is(fleet_car: HarnessCar, fleet_faults: Faults) -> None:
    """Also when nobody has sent anything since it went down, and so nothing but the connecting is under way."""
    await fleet_car.drive(km=5)
    await fleet_faults.kill_broker()
    await fleet_car.switch_off()
    await fleet_faults.start_broker()
    assert fleet_car.is_connected
    assert fleet_car.in_outbox == 0
    await fleet_car.wait_for_event("trip")


async def test_a_back_end_of_the_users_is_back_before_the_cars(fleet: World, fleet_faults: Faults) -> None:
    """What is to hold before cars connect again is waited for, and told when it does not come."""
    car = await fleet.car()
    seen = list[bool]()

    def is_back() -> bool:
        seen.append(car.is_connected)
        return True

    await fleet_faults.kill_broker()
    await fleet_faults.start_broker(before_cars=is_back)
    assert set(seen) == {False}
    assert car.is_connected


async def test_a_failed_expectation_tells_the_story(fleet: World) -> None:
    car = await fleet.car(fuel_percent=50)
    await car.switch_on()
    await car.switch_off()
    with pytest.raises(ExpectationFailed) as raised:
        await car.wait_for_status(fuel_level_percent=lt(20))
    told = str(raised.value)
    assert "fuel_level_percent < 20" in told
    assert "the last of 1 had: fuel_level_percent is 50.0" in told
    assert "in        SwitchOff" in told
    assert "Transmit Status" in told
    assert f"seed {fleet.seed}" in told
    assert "again: pytest 'tests/harness/test_world.py::test_a_failed_expectation" in told


async def test_mistakes_are_told_at_once(fleet: World) -> None:
    car = await fleet.car()
    with pytest.raises(UsageError, match="fuel_levle_percent") as raised:
        await car.wait_for_status(fuel_levle_percent=anything())
    assert "fuel_level_percent" in raised.value.hint
    with pytest.raises(UnknownName, match="heater_endet"):
        await car.wait_for_event("heater_endet")
    with pytest.raises(UsageError, match="in several groups"):
        await car.wait_for_status(front_left=True)
    with pytest.raises(UnknownName, match="hnok"):
        fleet.user.hnok(car)
    with pytest.raises(UsageError, match="this world has none"):
        fleet.user.lock(car)
    with pytest.raises(UsageError, match="leads somewhere"):
        await car.drive()
    with pytest.raises(UsageError, match="means nothing to a electric Born"):
        await fleet.car("Born", fuel_percent=10)


SLIPS: list[tuple[Callable[[World, HarnessCar], Awaitable[object]], str]] = [
    (lambda fleet, car: car.drive(km=-1), "-1 km is no drive"),
    (lambda fleet, car: car.drive(to=(48.2, 511.6)), r"\(48.2, 511.6\) is no place"),
    (lambda fleet, car: car.drive(to="Munich"), "'Munich' is no place"),  # type: ignore[arg-type]
    (lambda fleet, car: car.drive(to=(-33.9, 151.2)), "is 16[0-9]{3} km away"),
    (lambda fleet, car: car.plug_in(), "cannot be plugged in"),
    (lambda fleet, car: car.open("trunk"), "unknown door 'trunk'"),  # type: ignore[arg-type]
    (lambda fleet, car: car.wait_for_event("trip", within=-1), "-1 is out of range"),
    (lambda fleet, car: car.wait_for_event("trip", within=nan), "nan is out of range"),
    (lambda fleet, car: car.wait_for_presence("offline", within=1e12), "is out of range"),
    (lambda fleet, car: car.wait_for_command("lock", within_s="5 s"), "within_s is '5 s'"),  # type: ignore[arg-type]
    (lambda fleet, car: fleet.eventually(lambda: True, within_s="5 s"), "within_s is '5 s'"),  # type: ignore[arg-type]
    (lambda fleet, car: fleet.eventually(lambda: asyncio.sleep(0)), "must be awaited first"),
    (lambda fleet, car: fleet.clock.advance(minutes=-1), "cannot be moved by -60 s"),
    (lambda fleet, car: fleet.clock.advance(days=1e9), "cannot be moved by"),
    (lambda fleet, car: fleet.clock.advance_to(10**18), "is out of range"),
    (lambda fleet, car: fleet.car(at=(200, 5)), r"\(200, 5\) is no place"),
    (lambda fleet, car: fleet.car(profile="comuter"), "unknown profile of a driver 'comuter'"),  # type: ignore[arg-type]
    (lambda fleet, car: fleet.car(odometer_km=-5), "odometer_km is -5"),
    (lambda fleet, car: fleet.add_cars(0), "0 cars cannot be added"),
]


@pytest.mark.filterwarnings("ignore:coroutine 'sleep' was never awaited")
async def test_slips_of_numbers_and_names_are_told(fleet: World) -> None:
    """At once: without a wait, and without an hour of the processor for a thousand million days."""
    car = await fleet.car()
    began = fleet.now
    for slip, told in SLIPS:
        with pytest.raises(UsageError, match=told):
            await slip(fleet, car)
    assert fleet.now == began
    assert len(fleet.cars) == 1


@pytest.mark.fleet(mode="virtual", seed=3)
async def test_the_farthest_drive_arrives(fleet: World) -> None:
    """With its stops for charging."""
    car = await fleet.car("Born", charge_percent=20)
    await car.drive(km=1_000)
    assert car.state == "ignition_on"
    assert car.odometer_km - car.simulated.powertrain.start_m / 1000 > 900


async def test_many_cars_are_what_one_can_be(fleet: World) -> None:
    assert not any(car.is_connected for car in await fleet.add_cars(2, "Born", charge_percent=30, switched_on=False))


async def test_a_forgotten_await_is_told_at_the_next_step(fleet: World) -> None:
    car = await fleet.car()
    car.switch_on()
    with pytest.raises(ForgottenAwait, match=r"test_world.py:\d+: switch_on\(…\) was not awaited"):
        await car.switch_off()


async def test_a_car_is_of_one_test_only(fleet: World, fleet_backend: HarnessBackend) -> None:
    """What it is can be looked at afterwards; nothing happens to it any more."""
    car = await fleet.car()
    await fleet.close()
    assert car.state == "parked"
    later = lambda: fleet.clock.advance(seconds=1)  # noqa: E731
    twin = lambda: fleet_backend.twin(car)  # noqa: E731
    for happen in (car.switch_on, car.wait_for_status, fleet.car, later, twin):
        with pytest.raises(UsageError, match="this test is over"):
            await happen()
    with pytest.raises(UsageError, match="this test is over"):
        fleet.user.lock(car)
    assert await fleet.eventually(lambda: car.vin), "for what a back end does when its fixture ends it"


async def test_messages_of_before_a_kill_are_not_seen_twice(fleet: World, fleet_faults: Faults) -> None:
    car = await fleet.car()
    for _ in range(5):
        await car.switch_on()
        await fleet_faults.kill_broker()
        await car.switch_off()
        await fleet_faults.start_broker()
        await car.wait_for_status(trigger="engine_off")
    assert [message.seq for message in car.messages] == list(range(1, len(car.messages) + 1))
