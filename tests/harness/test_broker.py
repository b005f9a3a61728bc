"""The brokers that a test can ask for: one of its own, with certificates, or the user's, which is left as it was."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.errors import Unreachable, UsageError
from fleet.harness import ExpectationFailed, World, broker
from fleet.harness.broker import ForeignBroker, HarnessBroker
from fleet.harness.car import HarnessCar
from fleet.harness.faults import Faults
from fleet.harness.plugin import Brokers
from fleet.harness.world import live_world
from fleet.runtime.mosquitto import find_mosquitto, free_port, is_free
from fleet.runtime.shard import wait_until
from fleet.transport.link import Endpoint, LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.wire.frame import Frame
from tests.lab import quick_back_off
from tests.recording_owner import RecordingOwner

pytestmark = pytest.mark.live


@pytest.mark.parametrize("kind", ["tls", "mutual_tls", "embedded", "embedded_tls", "embedded_mutual_tls"])
async def test_cars_with_certificates(kind: str) -> None:
    async with HarnessBroker(kind) as broker, live_world(broker.reach()) as world:  # type: ignore[arg-type]
        car = await world.car()
        await world.user.lock(car).succeeds()
        await car.switch_on()
        await car.switch_off()
        await car.wait_for_status(trigger="engine_off")
        if kind == "embedded":
            return
        stranger = replace(broker.broker.cars, tls=ssl.create_default_context())
        owner = RecordingOwner()
        link = swarm_links(stranger)(LinkSettings(client_id=car.vin), owner, quick_back_off())
        owner.link = link
        link.open()
        error = await owner.wait_for_down()
        assert isinstance(error, Unreachable)
        assert "certificate verify failed" in error.cause
        await link.close()


@pytest.mark.fleet(broker="mutual_tls")
async def test_the_mark_asks_for_it(fleet_broker: HarnessBroker, fleet_car: HarnessCar) -> None:
    lines = (fleet_broker.mosquitto.folder / "mosquitto.conf").read_text(encoding="utf-8").splitlines()
    assert "require_certificate true" in lines
    assert fleet_car.connection != "offline"


@pytest.mark.usefixtures("fleet_backend")
@pytest.mark.fleet(broker="embedded")
async def test_the_embedded_one(fleet: World, fleet_broker: HarnessBroker, fleet_brokers: Brokers) -> None:
    """It is one of those that tests share, and needs no program: a car lives on it as on a Mosquitto."""
    assert fleet_broker in fleet_brokers.running
    with pytest.raises(UsageError, match="no Mosquitto"):
        _ = fleet_broker.mosquitto
    car = await fleet.car()
    await car.switch_on()
    await car.switch_off()
    await car.wait_for_status(trigger="engine_off")
    await fleet.user.lock(car).succeeds()


@pytest.mark.usefixtures("fleet_backend")
@pytest.mark.fleet(broker="embedded", until_stored=True)
async def test_the_embedded_one_is_killed_stopped_and_paused(fleet_car: HarnessCar, fleet_faults: Faults) -> None:
    """Whatever becomes of it, cars come back and deliver what they kept."""
    await fleet_car.switch_on()
    await fleet_faults.kill_broker()
    await fleet_car.switch_off()
    assert fleet_car.in_outbox > 0
    await fleet_faults.start_broker()
    await fleet_car.wait_for_status(trigger="engine_off")
    await fleet_faults.stop_broker()
    await fleet_car.switch_on()
    await fleet_faults.start_broker()
    await fleet_car.wait_for_event("engine_on")
    await fleet_faults.pause_broker()
    await fleet_car.switch_off()
    await fleet_faults.resume_broker()
    await fleet_car.wait_for_event("engine_off")


@pytest.mark.fleet(broker="own")
async def test_one_of_its_own(fleet: World, fleet_broker: HarnessBroker, fleet_brokers: Brokers) -> None:
    car = await fleet.car()
    assert fleet_broker not in fleet_brokers.running
    fleet_broker.broker.kill()
    await fleet_broker.broker.start()
    await fleet.stage.wait(lambda: car.connection != "offline")
    assert car.connection != "offline"


@pytest.fixture
def users_broker(tmp_path: Path) -> Iterator[int]:
    """A Mosquitto that somebody has set up: one port, no names asked."""
    port = free_port("127.0.0.1")
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
    process = subprocess.Popen([find_mosquitto(), "-c", configuration], stderr=subprocess.DEVNULL)
    yield port
    process.terminate()
    process.wait()


async def test_what_a_broker_hands_on_late_has_been_seen_when_a_step_returns(users_broker: int) -> None:
    """Without TCP_NODELAY a Mosquitto acknowledges at once and delivers 40 ms later: what must not come may not hide there."""
    await wait_until(lambda: not is_free("127.0.0.1", users_broker), 5.0)
    async with live_world(ForeignBroker(f"mqtt://127.0.0.1:{users_broker}").reach(), backend=False) as world:
        car = await world.car()
        for _ in range(3):
            await car.switch_on()
            await car.switch_off()
            assert len(car.messages) == car.simulated.outbox.created
        with pytest.raises(ExpectationFailed, match="no status with"):
            await car.expect_no_status(trigger="engine_off")


async def test_a_broker_of_the_users_is_left_as_it_was(users_broker: int) -> None:
    """Cars clear their presence and end their sessions, and our back end its own: nobody who comes later finds anything."""
    foreign = ForeignBroker(f"mqtt://127.0.0.1:{users_broker}")
    await wait_until(lambda: not is_free("127.0.0.1", users_broker), 5.0)
    async with live_world(foreign.reach()) as world:
        car = await world.car()
        await world.user.lock(car).succeeds()
    links = swarm_links(Endpoint("127.0.0.1", users_broker))
    owner = RecordingOwner()
    everything = LinkSettings(client_id="later", clean_start=True, session_expiry_s=0, subscriptions=(("#", 1),))
    owner.link = links(everything, owner, quick_back_off())
    owner.link.open()
    await owner.wait_for_up()
    owner.link.publish(Frame(topic="end", payload=b"end"), 1)
    await owner.wait_for_payload(b"end")
    of_cars = [delivery.frame.topic for delivery in owner.deliveries if delivery.frame.topic.startswith("fleet")]
    assert of_cars == []
    await owner.link.close()
    for client in (car.vin, f"backend {world.stage.dialect.topics.prefix}"):
        owner = RecordingOwner()
        owner.link = links(LinkSettings(client_id=client), owner, quick_back_off())
        owner.link.open()
        assert not await owner.wait_for_up(), f"{client} has left a session"
        await owner.link.close(end_session=True)


SUITE = """
async def test_one(fleet): ...
async def test_another(fleet_car): ...
async def test_with_a_proxy(fleet, fleet_faults): ...
"""


def run_beside(url: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.RunResult:
    """Run three tests beside a broker that is given little time to answer."""
    monkeypatch.setattr(broker, "FOUND_WITHIN_S", 0.3)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(test_beside=SUITE)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-q", "--fleet-mode", "live", "--fleet-broker", url)
    done.assert_outcomes(errors=3)
    return done


def test_a_broker_that_cannot_be_reached_is_waited_for_once(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first test tries to connect; all of them tell the same, where it was and what to look at."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        port = silent.getsockname()[1]
        done = run_beside(f"mqtt://127.0.0.1:{port}", pytester, monkeypatch)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    told = [line.removeprefix("E").strip() for line in done.outlines if line.startswith("E   ")]
    words = f"fleet.errors.Unreachable: no connection to 127.0.0.1:{port}: no answer within 0.3 s"
    assert told == [words, "Is the broker running there, and is the port right?"] * 3


def test_why_it_cannot_be_reached_is_told(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port("127.0.0.1")
    done = run_beside(f"mqtt://127.0.0.1:{port}", pytester, monkeypatch)
    assert sum(f"no connection to 127.0.0.1:{port}: Connection refused" in line for line in done.outlines) >= 3


async def test_a_broker_that_was_found_once_is_not_given_up(users_broker: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test may stop it: only those who have never met it need not try."""
    await wait_until(lambda: not is_free("127.0.0.1", users_broker), 5.0)
    foreign = ForeignBroker(f"mqtt://127.0.0.1:{users_broker}")
    async with live_world(foreign.reach(), backend=False):
        pass
    monkeypatch.setattr(broker, "_refusal", None)  # is not asked again
    await foreign.reach().find()
