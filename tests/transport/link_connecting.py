"""The part of the links' conformance suite about coming up, and about what is said when that fails."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.errors import ConnectRefused, PublishRefused, Unreachable
from fleet.runtime.mosquitto import free_port
from fleet.transport.link import Endpoint, LinkSettings, Will
from fleet.wire.frame import Frame
from tests.lab import ANYONE, Lab
from tests.transport.scripted_broker import Script, ScriptedBroker


@pytest.fixture(scope="session")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody vouches for, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "broker.crt", folder / "broker.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=broker"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return certificate, key


def server_context(self_signed: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed)
    return context


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[Endpoint]:
    """Listen, and say the same to whoever comes, whatever he says."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


class Connecting:
    """How a link comes up, and what it says when it does not."""

    async def test_connects_and_says_so_once(self, lab: Lab) -> None:
        """An opened link calls link_up once and is up; a second open changes nothing."""
        link, owner = lab.car(lab.broker.new_vin())
        before = link.is_up
        link.open()
        link.open()
        assert await owner.wait_for_up() is False
        assert (before, link.is_up) == (False, True)
        assert owner.calls == ["up"]

    async def test_wrong_password_is_connect_refused_and_tried_again(self, lab: Lab) -> None:
        """A refusal names its code and a next step, and the link keeps trying."""
        link, owner = lab.car(lab.broker.new_vin(), password="wrong")
        link.open()
        await owner.wait_for_down(3)
        assert owner.calls == ["down"] * 3
        for error in owner.downs:
            assert isinstance(error, ConnectRefused)
            assert error.code == 0x87
            assert "password" in error.hint

    async def test_nobody_listening_is_unreachable(self, lab: Lab) -> None:
        """A refused TCP connection is Unreachable with the cause in words, once for each attempt."""
        link, owner = lab.link(Endpoint("127.0.0.1", free_port("127.0.0.1")), ANYONE)
        link.open()
        await owner.wait_for_down(2)
        error = owner.downs[0]
        assert isinstance(error, Unreachable)
        assert "refused" in error.cause

    async def test_silent_broker_is_unreachable_after_the_time_out(self, lab: Lab) -> None:
        """A peer that takes the connection and never answers is reported within connect_timeout_s."""
        async with lab.scripted(Script(connack=None)) as broker:
            link, owner = lab.link(broker.endpoint(), LinkSettings(client_id="anyone", connect_timeout_s=0.2))
            link.open()
            error = await owner.wait_for_down()
            assert isinstance(error, Unreachable)
            assert "timed out" in error.cause
            assert "does not answer" in error.cause
            await link.close()

    async def test_hanging_up_at_once_is_unreachable_at_once(self, lab: Lab) -> None:
        """A peer that ends the connection instead of answering does not cost the time-out."""
        async with lab.scripted(Script(hang_up_on_connect=True)) as broker:
            link, owner = lab.link(broker.endpoint(), LinkSettings(client_id="anyone", connect_timeout_s=60))
            link.open()
            assert isinstance(await owner.wait_for_down(), Unreachable)
            await link.close()

    @pytest.mark.parametrize("code", [0x80, 0x84, 0x86, 0x89, 0x9F])
    async def test_refusal_keeps_its_code(self, lab: Lab, code: int) -> None:
        """Every reason code of a CONNACK reaches the owner."""
        async with lab.scripted(Script(connack=code)) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            error = await owner.wait_for_down()
            assert isinstance(error, ConnectRefused)
            assert error.code == code
            await link.close()

    async def test_close_while_connecting_is_quick(self, lab: Lab) -> None:
        """Closing does not wait for an attempt under way; the owner hears link_down(None) once."""
        async with lab.scripted(Script(connack=None)) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            await broker.wait_for(lambda: broker.connects == 1)
            await asyncio.wait_for(link.close(), 1)
            assert owner.calls == ["down"]
            assert owner.downs == [None]


class ConnectingOnTheWire:
    """Names of hosts, and TLS: a simulated network has neither."""

    async def test_unknown_name_is_unreachable(self, lab: Lab) -> None:
        """A host name that does not resolve is Unreachable, not an error of another kind."""
        link, owner = lab.link(Endpoint("broker.invalid", 1883), ANYONE)
        link.open()
        assert isinstance(await owner.wait_for_down(), Unreachable)

    async def test_untrusted_certificate_is_told_in_words(self, lab: Lab, self_signed: tuple[Path, Path]) -> None:
        """A certificate that cannot be verified is Unreachable and says so, not a time-out."""
        async with ScriptedBroker(tls=server_context(self_signed)) as broker:
            link, owner = lab.link(broker.endpoint(ssl.create_default_context()), ANYONE)
            link.open()
            error = await owner.wait_for_down()
            assert isinstance(error, Unreachable)
            assert error.cause == "certificate verify failed: self-signed certificate"
            await link.close()

    @pytest.mark.parametrize(
        ("answer", "cause", "hint"),
        [
            (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + bytes(200), "web server (HTTP)", "usually has port 1883"),
            (
                b"<!DOCTYPE HTML><html><head><title>Error response</title></head></html>",
                "web server (HTTP)",
                "usually has port 1883",
            ),
            (b"\x15\x03\x01\x00\x02\x02\x46", "the answer is TLS", "write mqtts://HOST:PORT"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is no MQTT", "usually has port 1883"),
            (b"\x15", "the answer is TLS", "write mqtts://HOST:PORT"),
        ],
    )
    async def test_what_is_no_broker_is_named(self, lab: Lab, answer: bytes, cause: str, hint: str) -> None:
        """Whoever answers otherwise than a broker is Unreachable at once, with what it is and what to do."""
        async with answering(answer) as endpoint:
            link, owner = lab.link(endpoint, replace(ANYONE, connect_timeout_s=60))
            link.open()
            error = await owner.wait_for_down()
            assert isinstance(error, Unreachable)
            assert cause in error.cause
            assert hint in error.hint
            await link.close()

    @pytest.mark.parametrize(("code", "name"), [(0, 0x84), (1, 0x84), (2, 0x85), (3, 0x88), (4, 0x86), (5, 0x87), (77, 0x84)])
    async def test_a_broker_of_mqtt_3_is_told_in_the_words_of_5(self, lab: Lab, code: int, name: int) -> None:
        """A CONNACK without properties is a refusal with its reason; that of an older broker says that MQTT 5 is wanted."""
        async with answering(b"\x20\x02\x00" + bytes((code,))) as endpoint:
            link, owner = lab.link(endpoint, replace(ANYONE, connect_timeout_s=60))
            link.open()
            error = await owner.wait_for_down()
            assert isinstance(error, ConnectRefused)
            assert error.code == name
            assert ("MQTT 5" in error.hint) == (name == 0x84)
            await link.close()

    async def test_a_broker_that_retains_nothing(self, lab: Lab) -> None:
        """A will that may not be retained is left with the broker all the same, and a retained frame goes out as another."""
        will = Will(Frame(topic="a/presence", payload=b"lost", retain=True), 5)
        async with ScriptedBroker(Script(retains_wills=False, offers=b"\x25\x00")) as broker:
            link, owner = lab.link(broker.endpoint(), replace(ANYONE, will=will))
            link.open()
            await owner.wait_for_up()
            assert owner.downs == []
            for token, payload in enumerate((b"here", b""), 1):
                link.publish(Frame(topic="a/presence", payload=payload, retain=True), token)
                assert await owner.wait_for_outcome(token) is None
            assert [payload for _, payload, _ in broker.published] == [b"here"]
            assert not broker.retained
            await link.close(last=Frame(topic="a/presence", payload=b"", retain=True))
            assert broker.disconnects == 1

    async def test_a_broker_of_qos_0_is_refused(self, lab: Lab) -> None:
        """Without acknowledgements nothing can be counted: it is said at once, with what to do."""
        async with ScriptedBroker(Script(offers=b"\x24\x00")) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            error = await owner.wait_for_down()
            assert isinstance(error, ConnectRefused)
            assert (error.code, "QoS 1" in error.hint) == (0x9B, True)
            await link.close()

    async def test_a_frame_larger_than_the_broker_takes_is_refused_here(self, lab: Lab) -> None:
        """The connection would end otherwise; a smaller frame still goes."""
        async with ScriptedBroker(Script(offers=b"\x27" + (100).to_bytes(4, "big"))) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            await owner.wait_for_up()
            link.publish(Frame(topic="a/b", payload=bytes(200)), 1)
            error = await owner.wait_for_outcome(1)
            assert isinstance(error, PublishRefused)
            assert (error.code, error.topic, "larger" in error.hint) == (0x95, "a/b", True)
            link.publish(Frame(topic="a/b", payload=bytes(50)), 2)
            assert await owner.wait_for_outcome(2) is None
            await link.close()

    async def test_a_refusal_is_told_in_the_brokers_own_words_too(self, lab: Lab) -> None:
        """Reason string and server reference of the CONNACK are read."""
        offers = b"\x1f\x00\x04full\x1c\x00\x06broker"
        async with ScriptedBroker(Script(connack=0x9C, offers=offers)) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            error = await owner.wait_for_down()
            assert isinstance(error, ConnectRefused)
            assert "Use another server, 'full, broker'" in str(error)
            assert "--broker" in error.hint
            await link.close()

    async def test_trusted_certificate_comes_up(self, lab: Lab, self_signed: tuple[Path, Path]) -> None:
        """TLS with a trusted certificate works like plain TCP."""
        async with ScriptedBroker(tls=server_context(self_signed)) as broker:
            trust = ssl.create_default_context(cafile=self_signed[0])
            link, owner = lab.link(broker.endpoint(trust), ANYONE)
            link.open()
            await owner.wait_for_up()
            link.publish(Frame(topic="a/b", payload=b"over TLS"), 1)
            assert await owner.wait_for_outcome(1) is None
            broker.deliver(("a/b", b"back", 7))
            await owner.wait_for_payload(b"back")
            await link.close()
