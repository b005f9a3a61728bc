"""`fleet proxy`: what it says, what it refuses, and what it counts."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.runtime.mosquitto import free_port
from fleet.transport.link import Endpoint, LinkSettings
from fleet.transport.swarm_link import swarm_links
from fleet.wire.frame import Frame
from tests.cli.lab import call, children_of, running
from tests.lab import VINS, Lab, LiveBroker, quick_back_off
from tests.recording_owner import RecordingOwner
from tests.transport.scripted_broker import ScriptedBroker


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--to localhost", "--to: 'localhost' is no address"),
        ("--to localhost:99999", "is no address"),
        ("--to localhost:1 --latency 50", "--latency: '50' is not a duration"),
        ("--to localhost:1 --jitter 5ms", "Give --latency, too"),
        ("--to localhost:1 --latency 5ms --jitter 1s", "jitter_ms 1000 is out of range: 0 to 5"),
        ("--to localhost:1 --bandwidth 20kB", "write it as '20 kB/s'"),
        ("--to localhost:1 --slicing 0B", "piece_bytes 0 is out of range"),
        ("--to localhost:1 --bandwidth 0B/s", "`fleet proxy --help` shows how --bandwidth is written"),
        ("--to localhost:1 --reset-after many", "--reset-after: 'many' is no number of bytes"),
        ("--to localhost:1 --stall --way up", "Invalid value for '--way'"),
        ("--to localhost:1 --way up", "'to_broker', 'to_client', 'both'"),
        ("--to localhost:1 --rule drop", "--rule: 'drop' is no rule"),
        ("--to localhost:1 --rule 'dorp PUBACK'", "Did you mean 'drop'?"),
        ("--to localhost:1 --rule 'drop PUBACK share 500%'", "`fleet proxy --help` shows how --rule is written"),
        ("--to localhost:0", "--to: 'localhost:0' is no address"),
        ("--to localhost:1 --listen 192.0.2.1:1885", "cannot listen on 192.0.2.1:1885"),
    ],
)
def test_what_cannot_be_is_told(line: str, told: str) -> None:
    """With exit code 2, before anybody can connect."""
    done = call("proxy", *shlex.split(line))
    assert done.code == 2
    assert told in done.text


@pytest.mark.live
async def test_it_stands_in_between_and_counts(tmp_path: Path) -> None:
    """A link through it is slow and loses an acknowledgement; Ctrl-C ends it with the counts."""
    async with ScriptedBroker() as broker:
        to = broker.endpoint()
        arguments = (
            "--listen",
            "127.0.0.1:0",
            "--to",
            f"{to.host}:{to.port}",
            "--latency",
            "25ms",
            "--rule",
            "drop PUBACK first 1",
        )
        async with running("proxy", *arguments, "--client", "one", "--json", cwd=tmp_path) as proxy:
            await proxy.says("ready")
            ready = json.loads(proxy.out)
            assert ready["faults"] == ["latency", "drop PUBACK first 1"]
            host, _, port = ready["listen"].rpartition(":")
            links = swarm_links(Endpoint(host, int(port)))
            owners = {}
            for name in ("one", "two"):
                owner = owners[name] = RecordingOwner()
                owner.link = links(LinkSettings(client_id=name), owner, quick_back_off())
                owner.link.open()
                await owner.wait_for_up()
                for token in (1, 2):
                    owner.link.publish(Frame(topic="a", payload=b""), token)
            began = asyncio.get_running_loop().time()
            await owners["two"].wait_for_outcome(2)
            owners["one"].link.publish(Frame(topic="a", payload=b""), 3)  # type: ignore[union-attr]
            await owners["one"].wait_for_outcome(3)
            assert asyncio.get_running_loop().time() - began >= 0.04  # both ways, though a timer may come a moment early
            assert [token for token, _ in owners["one"].outcomes] == [2, 3]
            assert [token for token, _ in owners["two"].outcomes] == [1, 2]
            for owner in owners.values():
                assert owner.link is not None
                await owner.link.close()
            proxy.send(signal.SIGINT)
            done = await proxy.done()
    assert done.code == 0
    result = json.loads(done.out.splitlines()[-1])
    assert (result["connections"], result["failed"]) == (2, 0)
    assert result["faults"]["drop PUBACK first 1"] == {"packets": 1}
    assert result["faults"]["latency"]["delayed"] >= 6


async def connect_and_read(port: int) -> None:
    """Who is reset may hear of it at once, or only when reading."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await reader.read()
    finally:
        writer.transport.abort()


@pytest.mark.live
async def test_in_words(tmp_path: Path) -> None:
    """Where it listens, what it does and to whom; at the end what it did."""
    async with running("proxy", "--to", "127.0.0.1:9", "--listen", "127.0.0.1:0", "--stall", cwd=tmp_path) as proxy:
        await proxy.says("stall, for all")
        port = int(proxy.out.split(b"listens on 127.0.0.1:")[1].split(b",")[0])
        with pytest.raises(ConnectionResetError):
            await connect_and_read(port)
        await proxy.says("error: a connection did not come to the broker")
        proxy.send(signal.SIGTERM)
        done = await proxy.done()
    assert "1 connections, 1 of them did not come to the broker 1: Connection refused" in done.text
    assert "error: a connection did not come to the broker: Connection refused" in done.text
    assert "stall: nothing" in done.text


@pytest.mark.live
@pytest.mark.parametrize(("ulimit", "served"), [("-Sn 60", 80), ("-n 60", 0), ("-n 61", 0)])
async def test_many_clients_with_few_open_files(live_broker: LiveBroker, tmp_path: Path, ulimit: str, served: int) -> None:
    """A soft limit is raised; a hard one is named when it is met, and those who found room are carried on."""
    lab = Lab(live_broker, swarm_links)
    to = live_broker.mosquitto.cars
    async with running(
        "proxy", "--listen", "127.0.0.1:0", "--to", f"{to.host}:{to.port}", "--json", cwd=tmp_path, ulimit=ulimit
    ) as proxy:
        await proxy.says("ready")
        host, _, port = json.loads(proxy.out)["listen"].rpartition(":")
        limit = asyncio.ensure_future(
            proxy.says(f"this process may not have more than {ulimit.removeprefix('-n ')} files and connections open")
        )
        for vin in VINS[:80]:
            settings = LinkSettings(client_id=vin, username=vin, password=live_broker.secret.password_for(vin))
            link, owner = lab.link(Endpoint(host, int(port)), settings)
            link.open()
            # One by one: whether a client or a way to the broker takes the last file is then settled by the limit alone.
            up = asyncio.ensure_future(owner.wait_for_up())
            await asyncio.wait({up, limit}, return_when=asyncio.FIRST_COMPLETED)
            if limit.done():
                up.cancel()
                break
            await up
        if served:
            limit.cancel()
        else:
            await limit
        await lab.close()
        proxy.send(signal.SIGTERM)
        done = await proxy.done()
    result = json.loads(done.out.splitlines()[-1])
    assert (result["failed"] == 0) is bool(served)


def open_files_of(pid: int) -> int:
    """Return how many a process may have, by its soft limit."""
    limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
    return int(limits.partition("Max open files")[2].split()[0])


@pytest.fixture
def open_folder() -> Iterator[str]:
    """A folder that Mosquitto's own user can reach, which is not so for those of pytest."""
    with tempfile.TemporaryDirectory(prefix="fleet-test-") as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101
        yield folder


@pytest.mark.live
async def test_a_broker_with_few_open_files(open_folder: str, tmp_path: Path) -> None:
    """A soft limit is raised, a hard one that its cars will meet is named before they do."""
    for ulimit, warned in (("-Sn 60", False), ("-n 60", True)):
        cars = free_port("127.0.0.1")
        tools = free_port("127.0.0.1", avoid=cars)
        arguments = ("--scenario", "find-my-car", "--cars", "100", "--port", str(cars), "--tools-port", str(tools))
        folder = ("--dir", f"{open_folder}/broker")
        async with running("broker", *arguments, *folder, cwd=tmp_path, ulimit=ulimit) as broker:
            await broker.says("Mosquitto listens on")
            streams = [await asyncio.open_connection("127.0.0.1", cars) for _ in range(0 if warned else 80)]
            (mosquitto,) = children_of(broker.process.pid)
            allowed = open_files_of(mosquitto)
            for _, writer in streams:
                writer.transport.abort()
            broker.send(signal.SIGTERM)
            done = await broker.done()
        assert done.code == 0, done
        assert ("100 connections need 164 open files, and a process may have 60 here" in done.text) is warned
        assert (allowed == 60) is warned
