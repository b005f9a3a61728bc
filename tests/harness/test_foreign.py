"""What the harness has for a back end that is not ours: its topics, a wait for what it does, the commands that it sends."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from fleet import harness
from fleet.errors import UnknownName, UsageError
from fleet.harness import ExpectationFailed, ForgottenAwait, World, near
from fleet.harness.broker import ForeignBroker, HarnessBroker
from fleet.harness.car import HarnessCar
from fleet.transport.link import Link, LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.wire.frame import Frame
from fleet.wire.messages import Command
from tests.harness.test_world import MODES
from tests.lab import quick_back_off
from tests.recording_owner import RecordingOwner


async def foreign(broker: HarnessBroker) -> Link:
    """Connect as somebody else's back end."""
    user, password = broker.login("backend")
    owner = RecordingOwner()
    settings = LinkSettings(client_id="foreign", username=user, password=password)
    owner.link = swarm_links(broker.broker.tools)(settings, owner, quick_back_off())
    owner.link.open()
    await owner.wait_for_up()
    return owner.link


def lights(fleet: World, car: HarnessCar) -> Frame:
    """Write a command that flashes the lights, its user beside the car."""
    latitude, longitude = car.position
    words = {"latitude": latitude, "longitude": longitude, "mode": "flash"}
    command = Command(
        id="flash-1", vin=car.vin, name="honk", issued_at=fleet.now, expires_at=fleet.now + 60_000_000, parameters=words
    )
    return fleet.stage.dialect.to_car(car.vin, command, expiry_s=60)


@pytest.mark.live
async def test_a_command_of_somebody_elses(fleet: World, fleet_broker: HarnessBroker, fleet_car: HarnessCar) -> None:
    link = await foreign(fleet_broker)
    link.publish(lights(fleet, fleet_car), 1)
    arrived = await fleet_car.wait_for_command("honk", mode="flash", latitude=near(48.1, 0.1))
    assert arrived.command.id == "flash-1"
    assert arrived.frame.response_topic == fleet.topics.response(fleet_car.vin, "honk")
    assert arrived.frame.correlation == b"flash-1"
    await fleet_car.wait_for_response("honk", state="succeeded", within="1 min")
    with pytest.raises(ExpectationFailed, match=r"no command honk came .* within 0.1 s; commands that came: none"):
        await fleet_car.wait_for_command("honk", within_s=0.1)
    await link.close(end_session=True)


@pytest.mark.live
async def test_what_a_car_could_not_read_is_told(fleet: World, fleet_broker: HarnessBroker, fleet_car: HarnessCar) -> None:
    link = await foreign(fleet_broker)
    link.publish(Frame(topic=fleet.topics.command(fleet_car.vin, "lock"), payload=b"\x80"), 1)
    with pytest.raises(ExpectationFailed, match=r"could not read: .*/command/lock: .*missing required field `id`"):
        await fleet_car.wait_for_command("lock", within_s=0.5)
    with pytest.raises(UnknownName, match="minuets"):
        await fleet_car.wait_for_command("heater", minuets=30)
    await link.close(end_session=True)


@pytest.mark.live
async def test_eventually_waits_for_what_others_do(fleet: World) -> None:
    """Another thread does it in its own time; the cars' time stands meanwhile."""
    began, seen = fleet.now, list[float]()
    threading.Timer(0.1, lambda: seen.append(12.3)).start()
    assert await fleet.eventually(lambda: seen) == [12.3]
    assert await fleet.eventually(lambda: seen[0], near(12, 0.5)) == 12.3
    assert fleet.now == began
    with pytest.raises(ExpectationFailed, match=r"after 0.05 s it is still IndexError\('list index out of range'\)"):
        await fleet.eventually(lambda: seen[1], within_s=0.05)


@pytest.mark.live
async def test_time_is_moved_by_one_step_at_a_time(fleet: World, fleet_car: HarnessCar) -> None:
    async def first() -> None:
        await fleet_car.drive(km=30)

    async def second() -> None:
        await fleet.clock.advance(hours=5)

    with pytest.raises(UsageError, match="another step is under way"):
        await asyncio.gather(first(), second())


@pytest.mark.parametrize("mode", MODES)
async def test_eventually_tells_what_is_there_instead(fleet: World, fleet_car: HarnessCar, mode: str) -> None:
    with pytest.raises(ExpectationFailed, match=r"after 0.05 s it is still 7; expected: 8 ± 0.5") as raised:
        await fleet.eventually(lambda: 7, near(8, 0.5), within_s=0.05)
    assert f"the last of {fleet_car.vin}" in str(raised.value)


@pytest.mark.fleet(mode="virtual")
async def test_a_forgotten_await_is_told_where_its_result_is_used(fleet: World) -> None:
    car = fleet.car()
    with pytest.raises(ForgottenAwait, match=r"test_foreign.py:\d+: car\(…\) was not awaited"):
        car.switch_on()  # type: ignore[attr-defined]


def test_a_broker_of_the_users_lets_their_back_end_in(tmp_path: Path) -> None:
    table = tmp_path / "cars.csv"
    table.write_text("user,password\nbackend,wide-open\n", encoding="utf-8")
    broker = ForeignBroker("mqtt://broker.example:1999", credentials=table)
    assert (broker.host, broker.port, broker.login()) == ("broker.example", 1999, ("backend", "wide-open"))
    assert ForeignBroker("mqtt://broker.example").login() == ("backend", None)


def test_what_the_harness_offers_is_there() -> None:
    """Names are looked up when they are used, so nothing but this would notice a wrong one."""
    assert all(getattr(harness, name).__name__ == name for name in harness.__all__)
