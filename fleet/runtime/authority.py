"""A certificate authority for tests: signs for a broker and its clients, and writes NAME.pem and NAME.key into a folder.

Needs the package cryptography, which is an extra.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fleet.addresses import family_of
from fleet.errors import UsageError
from fleet.runtime.certificates import AUTHORITY
from fleet.runtime.clocks import wall_us

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
except ImportError:
    hint = 'pip install "connectfleet[tls]"'
    raise UsageError("to make certificates needs the package cryptography", hint=hint) from None

VALID: Final = datetime.timedelta(days=2)
LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_HOUR: Final = datetime.timedelta(hours=1)


class Authority:
    """Signs certificates on elliptic curves (P-256)."""

    def __init__(self, folder: Path, *, valid: datetime.timedelta = VALID) -> None:
        """Take up the authority that the folder holds, or make a new one there: ca.pem and ca.key. Raises UsageError."""
        self.folder = folder
        now = datetime.datetime.fromtimestamp(wall_us() / 1e6, tz=datetime.UTC)
        self._from, self._to = now - _HOUR, now + valid
        if self.file.exists():
            self._certificate, self._key = self._read()
        else:
            self._key = ec.generate_private_key(ec.SECP256R1())
            name = _named(f"authority of a test {secrets.token_hex(4)}")  # two of one name would be taken for each other
            self._certificate = self._signed(name, name, self._key.public_key(), None)
            self._write(AUTHORITY, self._certificate, self._key)

    @property
    def file(self) -> Path:
        """Its own certificate, which clients trust."""
        return self.folder / f"{AUTHORITY}.pem"

    def sign(self, name: str, common_name: str, hosts: Sequence[str] = LOCAL) -> tuple[Path, Path]:
        """Make a key and a certificate that holds for these hosts, and return their files."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._signed(_named(common_name), self._certificate.subject, key.public_key(), hosts)
        return self._write(name, signed, key)

    def trusting(self) -> ssl.SSLContext:
        """Return a client's context that trusts this authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.file))

    def context_of(self, vin: str) -> ssl.SSLContext:
        """Return the context of a car, with a certificate whose common name is its VIN."""
        context = self.trusting()
        context.load_cert_chain(*self.sign(vin, vin))
        return context

    def _read(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key_file = self.file.with_suffix(".key")
        try:
            certificate = x509.load_pem_x509_certificate(self.file.read_bytes())
            key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UsageError(
                f"{self.file} and {key_file} cannot be used as authority: {error}", hint="Name a new folder, or remove them."
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise UsageError(f"{self.file} and {key_file} do not belong together", hint="Name a new folder, or remove them.")
        self._to = min(self._to, certificate.not_valid_after_utc)
        if self._to <= self._from + _HOUR:
            raise UsageError(f"the authority in {self.file} has expired", hint="Name a new folder, or remove ca.pem and ca.key.")
        return certificate, key

    def _signed(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, hosts: Sequence[str] | None
    ) -> x509.Certificate:
        """Return a certificate for these hosts; None is for the authority itself."""
        builder = (
            x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._from)
            .not_valid_after(self._to)
            .add_extension(x509.BasicConstraints(ca=hosts is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(is_authority=hosts is None), critical=True)
        )
        if hosts is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_name_of, hosts))), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )  # fmt: skip
        files[1].touch(mode=0o600)
        files[1].write_bytes(private)
        return files


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    """Return what a key is for; from Python 3.13 on certificates without it are not trusted."""
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=is_authority, crl_sign=is_authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _name_of(host: str) -> x509.GeneralName:
    return x509.DNSName(host) if family_of(host) is None else x509.IPAddress(ipaddress.ip_address(host))
