"""Cars as modules of OVMS v3 before a client that is not ours: the OVMS integration of Home Assistant, unmodified.

FLEET_OVMS_INTEGRATION names the `custom_components` of github.com/enoch85/ovms-home-assistant (v1.6.4 for Home Assistant 2025.4),
FLEET_HOME_ASSISTANT_PYTHON a Python as `home_assistant.py` says.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from fleet.harness import World
from fleet.harness.broker import HarnessBroker
from fleet.harness.car import HarnessCar
from fleet.runtime.mosquitto import free_port
from tests.foreign.home_assistant import PYTHON_VARIABLE, HomeAssistant, python

INTEGRATION: Final = os.environ.get("FLEET_OVMS_INTEGRATION", "")
pytestmark = [
    pytest.mark.live,
    pytest.mark.nightly,
    pytest.mark.xdist_group("home_assistant"),
    pytest.mark.fleet(mode="live", dialect="ovms", backend=False),
    pytest.mark.skipif(
        not INTEGRATION or python() is None,
        reason=f"FLEET_OVMS_INTEGRATION and {PYTHON_VARIABLE} name no Home Assistant with OVMS",
    ),
]


class Home(HomeAssistant):
    """A Home Assistant whose one integration is written into its storage before it starts."""

    def sign_up(self) -> None:
        """Make the first user, as whom all else is asked."""
        client = f"{self._url}/"
        owner = {"client_id": client, "name": "test", "username": "test", "password": "test", "language": "en"}
        code = self._call("POST", "/api/onboarding/users", owner)["auth_code"]
        grant = {"grant_type": "authorization_code", "code": code, "client_id": client}
        self._token = self._call("POST", "/auth/token", grant, form=True)["access_token"]

    def ask(self, service: str, words: dict[str, Any]) -> dict[str, Any]:
        """Call a service that answers, and return its answer."""
        answer = self._call("POST", f"/api/services/{service.replace('.', '/')}?return_response", words)
        found: dict[str, Any] = answer["service_response"]
        return found


class Vehicle:
    """A car as Home Assistant has it, by way of OVMS."""

    def __init__(self, home: Home, vin: str) -> None:
        self._home = home
        self._vin = vin.lower()

    def entity(self, name: str) -> str:
        """Return an entity of the car, such as that of `lock.vehicle_lock`."""
        component, _, rest = name.partition(".")
        return f"{component}.{self._vin}_{rest}"

    async def becomes(self, name: str, *states: str) -> str:
        return await asyncio.to_thread(self._home.wait_for_state, self.entity(name), *states)

    async def call(self, service: str, name: str, **data: Any) -> None:
        await asyncio.to_thread(lambda: self._home.call(service, self.entity(name), **data))

    async def send(self, car: HarnessCar, command: str, parameters: str = "") -> str:
        """Return the answer to a line of the shell, as the integration's own service has it."""
        words = {"vehicle_id": car.vin, "command": command, "parameters": parameters}
        found = await asyncio.to_thread(self._home.ask, "ovms.send_command", words)
        assert found["success"], found
        return str(found["response"])


def entry_of(vin: str, port: int, user: str | None, password: str | None) -> dict[str, Any]:
    """Return a configuration entry as the integration's own flow writes it."""
    data = {
        "host": "127.0.0.1", "port": port, "username": user, "password": password, "protocol": "mqtt", "verify_ssl": False,
        "qos": 1, "topic_prefix": "ovms", "topic_structure": "{prefix}/{mqtt_username}/{vehicle_id}", "mqtt_username": "fleet",
        "vehicle_id": vin, "original_vehicle_id": vin, "client_id": "ha_ovms_test", "topic_blacklist": ["notify", "event"],
    }  # fmt: skip
    return {
        "entry_id": "0123456789abcdef0123456789abcdef", "version": 6, "minor_version": 1, "domain": "ovms", "title": vin,
        "data": data, "options": {}, "pref_disable_new_entities": False, "pref_disable_polling": False, "source": "user",
        "unique_id": f"ovms_{vin}", "disabled_by": None, "created_at": "2026-03-02T12:00:00+00:00",
        "modified_at": "2026-03-02T12:00:00+00:00", "discovery_keys": {}, "subentries": [],
    }  # fmt: skip


@pytest.fixture
async def vehicle(fleet_broker: HarnessBroker, fleet_car: HarnessCar, tmp_path: Path) -> AsyncIterator[Vehicle]:
    """Run a Home Assistant whose OVMS integration looks at this car."""
    home = Home(tmp_path / "home", free_port("127.0.0.1"), home=fleet_car.position)
    folder = tmp_path / "home"
    shutil.copytree(INTEGRATION, folder / "custom_components")
    (folder / ".storage").mkdir()
    entries = [entry_of(fleet_car.vin, fleet_broker.port, *fleet_broker.login("backend"))]
    storage = {"version": 1, "minor_version": 5, "key": "core.config_entries", "data": {"entries": entries}}
    (folder / ".storage" / "core.config_entries").write_text(json.dumps(storage), encoding="utf-8")
    try:
        await asyncio.to_thread(home.start)
        await asyncio.to_thread(home.sign_up)
        yield Vehicle(home, fleet_car.vin)
    finally:
        await asyncio.to_thread(home.stop)


async def test_a_car_shows_its_metrics_and_is_unlocked(fleet: World, fleet_car: HarnessCar, vehicle: Vehicle) -> None:
    """A line of the shell is answered in the module's own words, and its lock there follows."""
    await vehicle.becomes("lock.vehicle_lock", "locked")
    await vehicle.becomes("sensor.vehicle_identification_number", fleet_car.vin)
    await vehicle.becomes("binary_sensor.v3_server_connected", "on")
    await vehicle.becomes("device_tracker.location", "home")
    answer = asyncio.create_task(vehicle.send(fleet_car, "unlock", "1234"))
    await fleet_car.wait_for_command("unlock")
    await fleet_car.wait_for_response("unlock", state="succeeded", within="1 min")
    assert await answer == "Vehicle unlocked"
    await vehicle.becomes("lock.vehicle_lock", "unlocked")
    await fleet_car.drive(km=3)
    await fleet_car.switch_off()
    await vehicle.becomes("sensor.odometer", f"{fleet_car.odometer_km:.1f}", f"{fleet_car.odometer_km:.0f}")
    await vehicle.becomes("binary_sensor.vehicle_on", "off")


async def test_refusals_and_unknown_lines_are_answered(fleet: World, fleet_car: HarnessCar, vehicle: Vehicle) -> None:
    """A car with its ignition on does not lock, one without a battery does not charge, and none has a homelink."""
    await vehicle.becomes("lock.vehicle_lock", "locked")
    await fleet_car.switch_on()
    answer = asyncio.create_task(vehicle.send(fleet_car, "lock", "1234"))
    await fleet_car.wait_for_command("lock")
    await fleet_car.wait_for_response("lock", state="rejected", within="1 min")
    assert await answer == "Error: vehicle could not be locked"
    answer = asyncio.create_task(vehicle.send(fleet_car, "charge", "start"))
    await fleet_car.wait_for_command("charging")
    await fleet_car.wait_for_response("charging", state="rejected", reason="not_equipped", within="1 min")
    assert await answer == "Error: Charge start functionality not available"
    assert (await vehicle.send(fleet_car, "homelink", "1")).strip() == "Unrecognised command"


@pytest.mark.fleet(mode="live", dialect="ovms", backend=False, car={"model": "Born"})
async def test_an_electric_car_is_climatised_and_charges_from_there(
    fleet: World, fleet_car: HarnessCar, vehicle: Vehicle
) -> None:
    """Switches of Home Assistant start and stop; what the car then says is their state."""
    await vehicle.becomes("switch.hvac_active", "off")
    called = asyncio.create_task(vehicle.call("switch.turn_on", "switch.hvac_active"))
    await fleet_car.wait_for_command("climatisation", action="start")
    await fleet_car.wait_for_response("climatisation", state="succeeded", within="1 min")
    await called
    await vehicle.becomes("switch.hvac_active", "on")
    await vehicle.becomes("sensor.cabin_temperature_setpoint", "21", "21.0")
    await fleet_car.plug_in()
    called = asyncio.create_task(vehicle.call("switch.turn_on", "switch.charging_status"))
    await fleet_car.wait_for_command("charging", action="start")
    await fleet_car.wait_for_response("charging", state="succeeded", within="1 min")
    await called
    await vehicle.becomes("switch.charging_status", "on")
    await vehicle.becomes("sensor.charge_state", "charging")
