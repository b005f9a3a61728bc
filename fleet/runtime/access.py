"""How a process reaches a broker: address, trust, credentials, topic prefix; and where a running fleet tells it."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from fleet.errors import UsageError
from fleet.runtime.certificates import ClientCertificates, open_certificates, trust
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.dialects import dialect_of_all
from fleet.runtime.limits import need_one_kind, source_addresses
from fleet.scenario.text import read_text
from fleet.transport.link import BackOff, Endpoint, Link, LinkFactory, LinkOwner, LinkSettings
from fleet.transport.remarks import Remarks
from fleet.transport.swarm_link import swarm_links
from fleet.wire.clients import client_id_of
from fleet.wire.dialect import Dialect
from fleet.wire.topics import DEFAULT_PREFIX, checked_prefix

SECRET_FILE_VARIABLE: Final = "FLEET_SECRET_FILE"  # noqa: S105  the name of a variable
ENDPOINT_FILE: Final = "endpoint.json"

LinkKind = Literal["swarm", "aiomqtt"]
"""swarm carries masses; aiomqtt is the reference to compare with."""
PasswordFor = Callable[[str], str | None]

log = structlog.get_logger()


class EndpointFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a running fleet leaves beside its store, so that `fleet command` finds its desk. Readable by its owner only."""

    cars: str
    tools: str
    prefix: str
    secret_file: str | None
    ca: str | None = None
    cert_dir: str | None = None
    server_name: str | None = None
    credentials: str | None = None


@dataclass(frozen=True, kw_only=True)
class Access:
    """Everything needed to make links: where cars and tools connect, and with which passwords."""

    cars: Endpoint
    tools: Endpoint
    prefix: str = DEFAULT_PREFIX
    dialects: tuple[str, ...] = ()
    link: LinkKind = "swarm"
    source_addresses: tuple[str, ...] = ()
    connects_per_s: float | None = None
    vin_is_client_id: bool = False
    """Whether cars have the VIN alone as client id under any prefix, for brokers that tie it to user name or certificate."""
    password_for: PasswordFor = field(repr=False)
    remarks: Remarks = field(default_factory=lambda: Remarks(_tell_remark), repr=False, compare=False)
    """Deviations of the broker from what it was asked, for all links made here."""

    def car_links(self) -> LinkFactory:
        """Return what makes the links of cars: many, from the source addresses in turn. Client ids follow the topic prefix."""
        return self.named(self.car_links_to(self.cars))

    def car_links_to(self, endpoint: Endpoint) -> LinkFactory:
        """Return what makes such links to where something stands for the broker, with client ids as they are given."""
        if self.link == "aiomqtt":
            return _aiomqtt_links(endpoint, self.remarks)
        return swarm_links(
            endpoint,
            source_addresses=self.source_addresses,
            connects_per_s=self.connects_per_s,
            remarks=self.remarks,
        )

    def named(self, links: LinkFactory) -> LinkFactory:
        """Return what makes the same links, each with the client id that its name has under the topic prefix."""
        if self.vin_is_client_id or self.prefix == DEFAULT_PREFIX:
            return links

        def make(settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> Link:
            return links(replace(settings, client_id=client_id_of(settings.client_id, self.prefix)), owner, back_off)

        return make

    def consumer_links(self) -> LinkFactory:
        """Return what makes the link of the back end, which carries what all cars send."""
        if self.link == "aiomqtt":
            return _aiomqtt_links(self.tools, self.remarks)
        return swarm_links(self.tools, remarks=self.remarks)

    def tool_links(self) -> LinkFactory:
        """Return what makes the links of the tools that watch and command."""
        return _aiomqtt_links(self.tools, self.remarks)

    def dialect(self) -> Dialect:
        """Return a new dialect for this topic prefix, in which the frames of all `dialects` can be read. Raises UsageError."""
        return dialect_of_all(self.dialects, self.prefix)


def _aiomqtt_links(endpoint: Endpoint, remarks: Remarks) -> LinkFactory:
    from fleet.transport.aiomqtt_link import aiomqtt_links  # noqa: PLC0415 (paho loads http, and is needed by live tools alone)

    return aiomqtt_links(endpoint, remarks=remarks)


def _tell_remark(remark: str) -> None:
    log.warning("the broker does otherwise than asked", remark=remark)


def open_access(
    *,
    broker: str,
    tools_broker: str | None = None,
    ca: Path | None = None,
    cert_dir: Path | None = None,
    server_name: str | None = None,
    credentials: Path | None = None,
    secret: FleetSecret | None = None,
    prefix: str = DEFAULT_PREFIX,
    dialects: Sequence[str] = (),
    link: LinkKind = "swarm",
    source: str | None = None,
    connects_per_s: float | None = None,
    vin_is_client_id: bool = False,
) -> Access:
    """Read addresses and files into an Access. Raises UsageError for what cannot be used."""
    certificates = None if cert_dir is None else open_certificates(cert_dir, ca)
    tls = trust(ca if certificates is None else certificates.ca)

    def endpoint(url: str) -> Endpoint:
        return replace(Endpoint.from_url(url, tls), server_name=server_name, certificates=certificates)

    cars, sources = endpoint(broker), source_addresses(source)
    need_one_kind(sources, cars.host)
    return Access(
        cars=cars,
        tools=endpoint(tools_broker or broker),
        prefix=checked_prefix(prefix),
        dialects=tuple(dialects),
        link=link,
        source_addresses=sources,
        connects_per_s=connects_per_s,
        vin_is_client_id=vin_is_client_id,
        password_for=_passwords(credentials, secret),
    )


def _passwords(credentials: Path | None, secret: FleetSecret | None) -> PasswordFor:
    if credentials is not None:
        return Credentials.read(credentials).password_for
    if secret is not None:
        return secret.password_for
    return lambda _user: None


@dataclass(frozen=True, slots=True)
class Credentials:
    """The passwords in a file of `user,password` lines; users are VINs and backend, tool."""

    path: Path
    table: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Credentials:
        """Read a file; a header is allowed. Raises UsageError with the line of what is no pair, or of a user that comes twice."""
        missing = "Name a text file of user,password lines."
        try:
            text = read_text(path, missing=missing, what="a file of user,password lines")
        except UsageError as error:
            raise UsageError(f"the credentials cannot be read: {error}", hint=error.hint or missing) from error
        table: dict[str, str] = {}
        reader = csv.reader(text.splitlines())
        for row in reader:
            if not row or (not table and [cell.strip().lower() for cell in row] == ["user", "password"]):
                continue
            if len(row) != 2:
                raise UsageError(
                    f"{path}:{reader.line_num}: {len(row)} columns; user and password are expected",
                    hint='Write user,password; in quotes ("…") when there is a comma in it.',
                )
            user, password = row
            if table.setdefault(user, password) != password:
                raise UsageError(
                    f"{path}:{reader.line_num}: {user[:40]!r} has another password before", hint="Leave one of them."
                )
        return cls(path, table)

    def password_for(self, user: str) -> str:
        """Return the password of a user; raises UsageError when the file has no line for them."""
        password = self.table.get(user)
        if password is None:
            small = next((each for each in self.table if each.strip().upper() == user.upper()), None)
            hint = f"Add a line {user},PASSWORD." if small is None else f"There is one for {small!r}: write {user}."
            raise UsageError(f"{self.path} has no line for {user!r}", hint=hint)
        return password


def need_passwords(password_for: PasswordFor, users: Sequence[str]) -> None:
    """Raise UsageError, naming the first and how many more, when there are users that the credentials have no line for."""
    lacking: list[UsageError] = []
    for user in users:
        try:
            password_for(user)
        except UsageError as error:
            lacking.append(error)
    if lacking:
        more = f", and for {len(lacking) - 1} more of {len(users)}" if len(lacking) > 1 else ""
        raise UsageError(f"{lacking[0]}{more}", hint=lacking[0].hint)


def need_users(access: Access, *, cars: Sequence[str] = (), tools: Sequence[str] = ()) -> None:
    """Raise UsageError, naming the first, when there is no password or no certificate for users that will connect."""
    need_passwords(access.password_for, (*tools, *cars))
    for endpoint, users in ((access.tools, tools), (access.cars, cars)):
        if isinstance(endpoint.certificates, ClientCertificates) and endpoint.tls is not None and users:
            endpoint.certificates.need(users)


def find_secret(path: Path | None) -> FleetSecret | None:
    """Return the fleet's secret from a file, FLEET_SECRET_FILE or FLEET_SECRET, in this order; None without any."""
    if path is None and (named := os.environ.get(SECRET_FILE_VARIABLE)):
        path = Path(named)
    return FleetSecret.from_file(path) if path is not None else FleetSecret.from_env()


def write_endpoint(folder: Path, endpoint: EndpointFile) -> None:
    """Leave word for tools; replaced whole, readable by the owner only."""
    path = folder / ENDPOINT_FILE
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(endpoint))


def read_endpoint(folder: Path) -> EndpointFile | None:
    """Return what a running fleet left in `folder`; None when nothing runs there."""
    try:
        return msgspec.json.decode((folder / ENDPOINT_FILE).read_bytes(), type=EndpointFile)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise UsageError(f"{folder / ENDPOINT_FILE} is damaged: {error}", hint="Give --broker instead.") from error
