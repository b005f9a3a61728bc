"""Cars as devices of a real Home Assistant, beside a private Mosquitto: what its user sees of them, and can do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from fleet.harness import World, live_world
from fleet.harness.broker import HarnessBroker
from fleet.harness.car import HarnessCar
from fleet.runtime.mosquitto import free_port
from fleet.transport.link import LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.vehicle.regions import region
from fleet.wire.frame import Frame
from tests.foreign.home_assistant import PYTHON_VARIABLE, HomeAssistant, python, version
from tests.lab import quick_back_off
from tests.recording_owner import RecordingOwner

FINDS_DEVICES: Final = version() >= (2024, 11)
"""Whether this Home Assistant knows announcements of whole devices."""
DIALECT: Final = "homeassistant" if FINDS_DEVICES else "homeassistant-components"
pytestmark = [
    pytest.mark.live,
    pytest.mark.nightly,
    pytest.mark.xdist_group("home_assistant"),
    pytest.mark.fleet(mode="live", dialect=DIALECT, backend=True),
    pytest.mark.skipif(python() is None, reason=f"{PYTHON_VARIABLE} names no Python that has Home Assistant"),
]


@pytest.fixture(scope="module")
def home_assistant(fleet_brokers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    """Run a Home Assistant beside the broker of these tests; its home is where cars stand."""
    broker = fleet_brokers.shared("plain", DIALECT)
    folder: Path = tmp_path_factory.mktemp("home_assistant")
    found = HomeAssistant(folder, free_port("127.0.0.1"), home=region("munich").centre)
    try:
        found.start()
        found.set_up(broker.port, *broker.login("backend"))
        yield found
        if FINDS_DEVICES:  # an older one logs that templates of a device it is about to remove read nothing
            assert found.log == []
    finally:
        found.stop()


class Device:
    """A car as Home Assistant has it."""

    def __init__(self, home: HomeAssistant, car: HarnessCar) -> None:
        self._home = home
        self.slug = f"{car.equipment.model} {car.vin[-6:]}".lower().replace(" ", "_")

    def entity(self, name: str) -> str:
        component, _, rest = name.partition(".")
        return f"{component}.{self.slug}_{rest}"

    async def becomes(self, name: str, *states: str) -> str:
        return await asyncio.to_thread(self._home.wait_for_state, self.entity(name), *states)

    async def state(self, name: str) -> str | None:
        return await asyncio.to_thread(self._home.state, self.entity(name))

    async def attributes(self, name: str) -> dict[str, Any]:
        return await asyncio.to_thread(self._home.attributes, self.entity(name))

    async def call(self, service: str, name: str, **data: Any) -> None:
        await asyncio.to_thread(lambda: self._home.call(service, self.entity(name), **data))


async def listening(broker: HarnessBroker, *topics: str) -> RecordingOwner:
    """Listen to topics as a back end does."""
    user, password = broker.login("backend")
    owner = RecordingOwner()
    settings = LinkSettings(
        client_id="listener", username=user, password=password, subscriptions=tuple((topic, 1) for topic in topics)
    )
    owner.link = swarm_links(broker.mosquitto.tools)(settings, owner, quick_back_off())
    owner.link.open()
    await owner.wait_for("announcement", lambda: bool(owner.deliveries))
    return owner


def heard_of(listener: RecordingOwner) -> list[Frame]:
    return [delivery.frame for delivery in listener.deliveries]


async def done(car: HarnessCar, name: str, **fields: Any) -> None:
    """Wait until a command came to the car from Home Assistant, and has come to its end."""
    await car.wait_for_command(name)
    await car.wait_for_response(name, within="2 min", **fields)


class TestStates:
    async def test_a_car_appears_with_its_states(self, home_assistant: HomeAssistant, fleet: World) -> None:
        """Each entity is known, with the value that the car has."""
        car = await fleet.car("Formentor", "e-hybrid", plugged_in=True, charge_percent=50)
        device = Device(home_assistant, car)
        await device.becomes("lock.lock", "locked")
        await device.becomes("device_tracker.location", "home")
        status = car.simulated.snapshot(fleet.now)
        assert status.energy is not None
        assert status.charging is not None
        assert await device.state("sensor.fuel_level") == str(status.energy.fuel_level_percent)
        assert await device.state("sensor.charge") == str(status.energy.charge_percent)
        assert await device.state("sensor.mileage") == str(status.mileage_km)
        assert await device.state("sensor.charging_state") == status.charging.state == "charging"
        assert await device.state("binary_sensor.plug") == "on"
        assert await device.state("switch.charging") == "on"
        assert await device.state("sensor.state") == "parked"
        position = await device.attributes("device_tracker.location")
        assert (position["latitude"], position["longitude"]) == pytest.approx(region("munich").centre, abs=0.001)

    async def test_a_drive_is_followed(self, home_assistant: HomeAssistant, fleet: World) -> None:
        """The engine goes on and off as events, and then the position, the mileage and the trip are new."""
        car = await fleet.car("Leon", fuel_percent=60)
        device = Device(home_assistant, car)
        before = await device.becomes("sensor.mileage", f"{car.odometer_km:.3f}")
        await car.drive(km=12)
        await car.park()
        await device.becomes("device_tracker.location", "not_home")
        assert float(await device.becomes("sensor.mileage", f"{car.odometer_km:.3f}")) > float(before) + 10
        trip = float(await device.state("sensor.last_trip_distance") or 0)
        assert trip == pytest.approx(car.odometer_km - float(before), abs=0.2)
        assert (await device.attributes("event.event"))["event_type"] in {"engine_off", "trip"}
        assert await device.state("binary_sensor.front_left_door") == "off"

    async def test_a_boot_lid_left_open_is_shown(self, home_assistant: HomeAssistant, fleet: World) -> None:
        """An open boot cannot be locked: the lock is unlocked, and says of each opening how it is."""
        car = await fleet.car()
        device = Device(home_assistant, car)
        await device.becomes("binary_sensor.boot_lid", "off")
        await car.open("boot")
        await device.call("button.press", "button.refresh")
        await done(car, "refresh", state="succeeded")
        await device.becomes("binary_sensor.boot_lid", "on")
        assert await device.state("lock.lock") == "unlocked"
        assert (await device.attributes("lock.lock"))["boot"] == {"open": True, "locked": False}


class TestCommands:
    async def test_a_car_is_unlocked_and_locked(self, home_assistant: HomeAssistant, fleet: World) -> None:
        """By the services of the lock; how each command ended is a sensor."""
        car = await fleet.car()
        device = Device(home_assistant, car)
        await device.becomes("lock.lock", "locked")
        await device.call("lock.unlock", "lock.lock")
        await done(car, "unlock", state="succeeded")
        await device.becomes("lock.lock", "unlocked")
        await device.becomes("sensor.last_command", "unlock succeeded")
        await device.call("lock.lock", "lock.lock")
        await done(car, "lock", state="succeeded")
        await device.becomes("lock.lock", "locked")

    async def test_a_lock_at_work_is_unlocking(self, home_assistant: HomeAssistant, fleet: World) -> None:
        """Between `accepted` and the end; a car that is awake begins at once."""
        car = await fleet.car()
        device = Device(home_assistant, car)
        await device.becomes("lock.lock", "locked")
        await device.call("button.press", "button.refresh")
        await done(car, "refresh", state="succeeded")
        await device.call("lock.unlock", "lock.lock")
        await car.wait_for_command("unlock")
        await device.becomes("lock.lock", "unlocking")
        await car.wait_for_response("unlock", state="succeeded")
        await device.becomes("lock.lock", "unlocked")

    async def test_a_car_that_is_driven_is_not_unlocked(self, home_assistant: HomeAssistant, fleet: World) -> None:
        """The car's own rule, at the moment of execution: the user sees the reason, and the lock as it was."""
        car = await fleet.car()
        device = Device(home_assistant, car)
        await car.start_drive(km=20)
        await fleet.clock.advance(minutes=2)
        before = await device.becomes("lock.lock", "locked", "unlocked")
        await device.call("lock.unlock", "lock.lock")
        await done(car, "unlock", state="rejected", reason="not_parked")
        await device.becomes("sensor.last_command", "unlock rejected: not_parked")
        assert (await device.attributes("sensor.last_command"))["detail"] == "the car is being driven"
        assert await device.state("lock.lock") == before

    async def test_honking_needs_a_home_near_the_car(self, home_assistant: HomeAssistant, fleet: World) -> None:
        """Home Assistant stands for a user at its home zone: 500 m are the car's rule."""
        near = await fleet.car("Leon")
        far = await fleet.car("Born", at=(48.30, 11.60))
        for car, told in ((near, "honk succeeded"), (far, "honk rejected: too_far")):
            device = Device(home_assistant, car)
            await device.becomes("button.honk_and_flash", "unknown")
            await device.call("button.press", "button.honk_and_flash")
            await done(car, "honk")
            await fleet.clock.advance(minutes=1)
            await device.becomes("sensor.last_command", told)

    async def test_the_cabin_is_brought_to_a_temperature(self, home_assistant: HomeAssistant, fleet: World) -> None:
        """A target waits for the start, reaches a car that runs at once, and is what the car then says."""
        car = await fleet.car("Born", charge_percent=80)
        device = Device(home_assistant, car)
        await device.becomes("climate.climate", "off")
        await device.call("climate.set_temperature", "climate.climate", temperature=24.5)
        await device.call("climate.set_hvac_mode", "climate.climate", hvac_mode="heat_cool")
        await done(car, "climatisation", state="succeeded")
        await device.becomes("climate.climate", "heat_cool")
        shown = await device.attributes("climate.climate")
        assert (shown["temperature"], shown["hvac_action"]) == (24.5, "heating")
        await device.call("climate.set_temperature", "climate.climate", temperature=19)
        await car.wait_for_command("climatisation", target_c=19.0)
        await fleet.clock.advance(minutes=2)
        await device.call("climate.set_temperature", "climate.climate", temperature=27, hvac_mode="heat_cool")
        await car.wait_for_command("climatisation", target_c=19.0)
        await fleet.clock.advance(minutes=1)
        assert (await device.attributes("climate.climate"))["temperature"] == 27
        assert car.simulated.snapshot(fleet.now).climate.target_c == 27  # type: ignore[union-attr]  # a car has one
        await device.call("climate.turn_off", "climate.climate")
        await car.wait_for_command("climatisation", action="stop")
        await fleet.clock.advance(minutes=2)
        await device.becomes("climate.climate", "off")

    async def test_charging_is_limited_and_stopped(self, home_assistant: HomeAssistant, fleet: World) -> None:
        """By a number and a switch; the states are the car's, not what was asked."""
        car = await fleet.car("Born", plugged_in=True, charge_percent=40)
        device = Device(home_assistant, car)
        await device.becomes("switch.charging", "on")
        await device.call("number.set_value", "number.charge_limit", value=80)
        await done(car, "charging_settings", state="succeeded")
        await device.becomes("number.charge_limit", "80")
        await device.call("switch.turn_off", "switch.charging")
        await done(car, "charging", state="succeeded")
        await device.becomes("switch.charging", "off")
        assert await device.state("sensor.charging_state") == "plugged_in"


class TestPresence:
    async def test_a_car_without_coverage_is_unavailable(self, home_assistant: HomeAssistant, fleet: World) -> None:
        """By its will; the connection says why, and all is back with the coverage."""
        car = await fleet.car()
        device = Device(home_assistant, car)
        await device.becomes("lock.lock", "locked")
        await car.lose_coverage()
        await device.becomes("lock.lock", "unavailable")
        await device.becomes("binary_sensor.connection", "off")
        assert (await device.attributes("binary_sensor.connection"))["reason"] == "lost"
        await car.regain_coverage()
        await device.becomes("lock.lock", "locked")
        await device.becomes("binary_sensor.connection", "on")

    async def test_home_assistant_has_all_again_after_it_was_started_anew(
        self, home_assistant: HomeAssistant, fleet: World, fleet_broker: HarnessBroker
    ) -> None:
        """Its birth has the car announce itself anew, beside what the broker retains."""
        car = await fleet.car()
        device = Device(home_assistant, car)
        await device.becomes("lock.lock", "locked")
        announced = f"homeassistant/device/{car.vin}/config" if FINDS_DEVICES else f"homeassistant/lock/{car.vin}/lock/config"
        listener = await listening(fleet_broker, announced, "homeassistant/status")
        await asyncio.to_thread(home_assistant.stop)
        await asyncio.to_thread(home_assistant.start)
        await fleet.eventually(lambda: listener.payloads[-1], b"online", within_s=20)
        await fleet.clock.advance(seconds=3)
        await fleet.eventually(lambda: [frame.topic for frame in heard_of(listener)][-1], announced)
        assert [frame.retain for frame in heard_of(listener)] == [True, False, False, False]
        await device.becomes("lock.lock", "locked")
        await device.becomes("sensor.state", "parked")
        assert listener.link is not None
        await listener.link.close(end_session=True)

    async def test_a_car_that_is_taken_away_is_gone(self, home_assistant: HomeAssistant, fleet_broker: HarnessBroker) -> None:
        """Empty announcements remove the device with all of its entities."""
        async with live_world(fleet_broker.reach(), dialect=DIALECT, backend=False) as world:
            device = Device(home_assistant, await world.car())
            await device.becomes("lock.lock", "locked")
        await asyncio.to_thread(home_assistant.wait_for_absence, device.entity("lock.lock"))
        assert not [entity for entity in await asyncio.to_thread(home_assistant.states) if device.slug in entity]
