"""Certificates for tests: an authority that lives as long as its broker, and signs for it and for cars."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleet.runtime.clocks import wall_us

VALID: Final = datetime.timedelta(days=2)
_HOUR: Final = datetime.timedelta(hours=1)


class Authority:
    """Signs certificates on elliptic curves (P-256) and writes them into a folder: NAME.crt and NAME.key."""

    def __init__(self, folder: Path) -> None:
        """Make a new authority, ca.crt in the folder."""
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("authority of a test")
        now = datetime.datetime.fromtimestamp(wall_us() / 1e6, tz=datetime.UTC)
        self._from, self._to = now - _HOUR, now + VALID
        self._write("ca", self._signed(self._name, self._key.public_key(), is_authority=True), self._key)

    @property
    def file(self) -> Path:
        """Its own certificate, which clients trust."""
        return self.folder / "ca.crt"

    def sign(self, name: str, common_name: str) -> tuple[Path, Path]:
        """Make a key and a certificate for this machine's loopback address, and return their files."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._write(name, self._signed(_named(common_name), key.public_key()), key)

    def trusting(self) -> ssl.SSLContext:
        """Return a client's context that trusts this authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.file))

    def context_of(self, vin: str) -> ssl.SSLContext:
        """Return the context of a car, with a certificate whose common name is its VIN."""
        context = self.trusting()
        context.load_cert_chain(*self.sign(vin, vin))
        return context

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, is_authority: bool = False) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder(subject_name=subject, issuer_name=self._name, public_key=key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._from)
            .not_valid_after(self._to)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
            builder = builder.add_extension(local, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
        files = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )  # fmt: skip
        files[1].touch(mode=0o600)
        files[1].write_bytes(private)
        return files


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
