"""The embedded broker in a thread of its own, with the users and rights of a fleet."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from fleet.errors import BrokerError
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.embedded import EmbeddedOptions, EmbeddedThread, run_embedded
from fleet.runtime.mosquitto import BrokerCertificates

SECRET = FleetSecret("a secret of some length")


class TestOptions:
    """Who gets in."""

    def test_users(self) -> None:
        """Cars that are known and tools, with the password that follows from the secret, and nobody else."""
        options = EmbeddedOptions(secret=SECRET, users={"VIN1"})
        assert options.admits("VIN1", SECRET.password_for("VIN1"))
        assert options.admits("backend", SECRET.password_for("backend"))
        assert not options.admits("VIN1", SECRET.password_for("VIN2"))
        assert not options.admits("VIN2", SECRET.password_for("VIN2"))
        assert not options.admits("VIN1", None)
        assert not options.admits(None, SECRET.password_for("VIN1"))

    @pytest.mark.parametrize(("any_prefix", "topic"), [(False, "acme/cars"), (True, "acme/t1")])
    def test_rights_follow_the_prefix(self, any_prefix: bool, topic: str) -> None:
        access = EmbeddedOptions(secret=SECRET, prefix="acme/cars", any_prefix=any_prefix).access()
        assert access.allows("write", f"{topic}/VIN1/status", "VIN1", "VIN1")
        assert not access.allows("write", f"{topic}/VIN2/status", "VIN1", "VIN1")
        assert not access.allows("write", "fleet/v1/VIN1/status", "VIN1", "VIN1")

    def test_a_certificate_that_is_none(self, tmp_path: Path) -> None:
        files = BrokerCertificates(tmp_path / "server.pem", tmp_path / "server.key")
        with pytest.raises(BrokerError, match="certificate of the embedded broker") as caught:
            EmbeddedOptions(secret=SECRET, certificates=files).server()
        assert "server.key" in caught.value.hint


@pytest.mark.live
class TestThread:
    """Beside whatever the test's own loop does."""

    async def test_it_answers_while_the_test_blocks(self) -> None:
        """A socket that waits in the test's own thread is served all the same."""
        async with EmbeddedThread(EmbeddedOptions(anonymous=True)) as broker:
            assert broker.pid == os.getpid()
            with socket.create_connection((broker.tools.host, broker.tools.port), 5) as blocking:
                blocking.sendall(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03old")
                assert blocking.recv(4) == b"\x20\x02\x00\x00"
        assert broker.pid is None

    def test_what_was_not_started_has_no_ports(self) -> None:
        with pytest.raises(BrokerError, match="was not started"):
            _ = EmbeddedThread(EmbeddedOptions()).cars

    async def test_two_on_the_same_ports(self) -> None:
        async with EmbeddedThread(EmbeddedOptions()) as broker:
            options = EmbeddedOptions(cars_port=broker.cars.port, tools_port=broker.tools.port)
            with pytest.raises(BrokerError, match="cannot listen"):
                await run_embedded(options, stop=asyncio.Event(), started=lambda *_: None)
