"""A tool and the desk: a request outlives its connection, and one with an S-PIN is kept by nobody on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.backend.service import Backend
from fleet.runtime import asking
from fleet.runtime.access import Access, open_access
from fleet.runtime.asking import NoAnswer, ask_desk
from fleet.runtime.mosquitto import PrivateMosquitto
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.wire.messages import CommandRequest, DeskAnswer, EnrolCar, SetSpin
from tests.backend.fake_link import FakeSession
from tests.backend.lab import config
from tests.lab import TOPICS, VINS, Lab, LiveBroker

pytestmark = pytest.mark.live

VIN = VINS[0]
SPIN = "7391"
WITHIN_S = 60.0


def reach(live: LiveBroker) -> Access:
    return open_access(broker=str(live.mosquitto.tools), secret=live.secret)


def back_end(live: LiveBroker, tmp_path: Path) -> Backend:
    settings = config(
        tmp_path / "fleet.sqlite", FakeSession(), links=aiomqtt_links(live.mosquitto.tools), username="backend",
        password=live.secret.password_for("backend"),
    )  # fmt: skip
    return Backend(settings)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 (nobody calls back)
            await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slow machine take its time."""
    monkeypatch.setattr(asking, "FIRST_ANSWER_S", WITHIN_S)


async def test_no_broker_keeps_a_request_with_an_s_pin(own_broker: LiveBroker, tmp_path: Path) -> None:
    """Asked while the back end is away: the broker's file has the other requests, and these are asked again until answered."""
    mosquitto = own_broker.mosquitto
    assert isinstance(mosquitto, PrivateMosquitto)
    async with back_end(own_broker, tmp_path) as first:
        await until(lambda: first.connected)  # from now on the broker keeps a session
        await ask_desk(reach(own_broker), EnrolCar(id="enrol", vin=VIN), timeout_s=WITHIN_S)
    requests: list[CommandRequest | SetSpin] = [
        CommandRequest(id="a-command-with-none", vin=VIN, name="refresh"),
        SetSpin(id="a-setting", vin=VIN, spin=SPIN),
        CommandRequest(id="a-command-with-an-s-pin", vin=VIN, name="lock", spin=SPIN),
    ]
    lab = Lab(own_broker, aiomqtt_links)
    _, seen = await lab.user_up("desk", "witness", subscriptions=((TOPICS.desk_request(), 1),))
    told: dict[str, list[DeskAnswer]] = {request.id: [] for request in requests}
    asked = [
        asyncio.create_task(ask_desk(reach(own_broker), request, timeout_s=WITHIN_S, told=told[request.id].append))
        for request in requests
    ]
    await until(lambda: {each.frame.correlation for each in seen.deliveries} >= {request_id.encode() for request_id in told})
    await lab.close()
    await mosquitto.stop()
    content = b"".join(file.read_bytes() for file in mosquitto.folder.rglob("*") if file.is_file())
    assert b"a-command-with-none" in content
    for secret in (b"a-setting", b"a-command-with-an-s-pin", SPIN.encode()):
        assert secret not in content
    await mosquitto.start()
    async with back_end(own_broker, tmp_path):
        await until(lambda: all(told.values()))
    for task in asked:
        task.cancel()
    assert told["a-setting"][-1].state == "succeeded"


async def test_a_request_outlives_its_connection(own_broker: LiveBroker, tmp_path: Path) -> None:
    """The tool connects and subscribes again, and asks again under the same id: done once, and answered."""
    async with back_end(own_broker, tmp_path) as running:
        await until(lambda: running.connected)
        await ask_desk(reach(own_broker), EnrolCar(id="enrol", vin=VIN), timeout_s=WITHIN_S)
        told: list[DeskAnswer] = []
        request = CommandRequest(id="a", vin=VIN, name="refresh", ttl_s=1.0)
        asked = asyncio.create_task(ask_desk(reach(own_broker), request, timeout_s=WITHIN_S, told=told.append))
        await until(lambda: bool(told))
        own_broker.mosquitto.kill()
        await own_broker.mosquitto.start()
        assert (await asked).state == "expired"


async def test_silence_tells_that_there_is_no_connection(
    own_broker: LiveBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits learns why nothing came."""
    monkeypatch.setattr(asking, "FIRST_ANSWER_S", 2.0)
    asked = asyncio.create_task(ask_desk(reach(own_broker), EnrolCar(id="enrol", vin=VIN), timeout_s=WITHIN_S))
    await asyncio.sleep(0.5)
    own_broker.mosquitto.kill()
    with pytest.raises(NoAnswer, match=r"no answer for 2 s: .*connect") as caught:
        await asked
    assert "What was asked may still happen" in caught.value.hint
