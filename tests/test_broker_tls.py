"""TLS as `broker/README.md` describes it, on a real Mosquitto: what a refused certificate looks like from the car."""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from fleet.errors import Unreachable
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.mosquitto import PrivateMosquitto
from fleet.runtime.resources import resource_dir
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.transport.link import LinkSettings
from fleet.wire.frame import Frame
from tests.lab import TOPICS, VINS, Lab, LiveBroker

pytestmark = pytest.mark.live


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)


def make_certificate(folder: Path, name: str, subject: str, *, issuer: str = "", days: int = 2) -> None:
    """Make NAME.crt and NAME.key, signed by the issuer or by itself."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")
    if not issuer:
        openssl(folder, "req", "-x509", *key, "-subj", f"/CN={subject}", "-days", str(days), "-out", f"{name}.crt")
        return
    openssl(folder, "req", *key, "-subj", f"/CN={subject}", "-out", f"{name}.csr")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signer = ("-CA", f"{issuer}.crt", "-CAkey", f"{issuer}.key", "-CAcreateserial", "-extfile", "names")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signer, "-days", str(days), "-out", f"{name}.crt")


class TlsMosquitto(PrivateMosquitto):
    """The private broker with the README's lines for certificates added to the cars' listener."""

    certificates: Path
    server: str

    def _write_configuration(self) -> None:
        super()._write_configuration()
        for name, source in (("broker.crt", self.server), ("broker.key", self.server), ("cars-ca.crt", "ca")):
            self._write(name, (self.certificates / f"{source}{Path(name).suffix}").read_text())
        readme = (resource_dir("broker") / "README.md").read_text()
        blocks = re.findall(r"```\n((?:certfile|cafile)[^`]*)```", readme)
        added = "".join(blocks).replace("/mosquitto/config/certs", str(self.folder))
        own = (self.folder / "mosquitto.conf").read_text()
        self._write("mosquitto.conf", own.replace("use_username_as_clientid true", f"use_username_as_clientid true\n{added}"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a broker's certificate and an expired one, a car's, and one of an authority nobody knows."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificate(folder, "ca", "authority")
    make_certificate(folder, "stranger-ca", "stranger")
    make_certificate(folder, "server", "broker", issuer="ca")
    make_certificate(folder, "expired", "broker", issuer="ca", days=-1)
    make_certificate(folder, "car", VINS[0], issuer="ca")
    make_certificate(folder, "stranger", VINS[0], issuer="stranger-ca")
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tls_broker(certificates: Path) -> AsyncIterator[LiveBroker]:
    """A broker that demands a certificate of every car."""
    secret = FleetSecret.new()
    broker = TlsMosquitto(secret=secret, vins=VINS[:2])
    broker.certificates, broker.server = certificates, "server"
    async with broker:
        yield LiveBroker(broker, secret)


@pytest.fixture
async def lab(tls_broker: LiveBroker) -> AsyncIterator[Lab]:
    """Links to the broker of the module."""
    made = Lab(tls_broker, aiomqtt_links)
    yield made
    await made.close()


def car_context(certificates: Path, name: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates / "ca.crt")
    if name:
        context.load_cert_chain(certificates / f"{name}.crt", certificates / f"{name}.key")
    return context


async def refusal(lab: Lab, context: ssl.SSLContext) -> Unreachable:
    """Try to connect and return what the owner is told."""
    endpoint = replace(lab.broker.mosquitto.cars, tls=context)
    link, owner = lab.link(endpoint, LinkSettings(client_id="any", connect_timeout_s=3))
    link.open()
    error = await owner.wait_for_down()
    link.drop()
    assert isinstance(error, Unreachable)
    return error


async def test_certificate_names_the_car(lab: Lab, certificates: Path) -> None:
    """With a certificate and no password the common name is user name and client id, with a car's rights."""
    endpoint = replace(lab.broker.mosquitto.cars, tls=car_context(certificates, "car"))
    link, owner = lab.link(endpoint, LinkSettings(client_id="anything"))
    link.open()
    await owner.wait_for_up()
    for token, vin in enumerate(VINS[:2]):
        link.publish(Frame(topic=TOPICS.status(vin), payload=b""), token)
    assert await owner.wait_for_outcome(0) is None
    assert await owner.wait_for_outcome(1) is not None


async def test_no_certificate(lab: Lab, certificates: Path) -> None:
    """A car without a certificate hears that one is required; it comes after the handshake and is no time-out."""
    assert "certificate required" in (await refusal(lab, car_context(certificates))).cause


async def test_certificate_of_a_stranger(lab: Lab, certificates: Path) -> None:
    """A certificate the broker does not trust is refused in words."""
    assert "unknown ca" in (await refusal(lab, car_context(certificates, "stranger"))).cause


async def test_broker_of_a_stranger(lab: Lab) -> None:
    """A broker whose authority the car does not know is refused in words."""
    error = await refusal(lab, ssl.create_default_context())
    assert error.cause.startswith("certificate verify failed:")


async def test_expired_broker(certificates: Path) -> None:
    """A broker's certificate that has expired is refused in words."""
    secret = FleetSecret.new()
    broker = TlsMosquitto(secret=secret)
    broker.certificates, broker.server = certificates, "expired"
    async with broker:
        lab = Lab(LiveBroker(broker, secret), aiomqtt_links)
        error = await refusal(lab, car_context(certificates, "car"))
        await lab.close()
    assert error.cause == "certificate verify failed: certificate has expired"
