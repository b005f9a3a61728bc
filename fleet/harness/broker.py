"""The broker of a test run: a private one that many tests share, each under a topic prefix of its own; or the user's."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self, get_args

from fleet.errors import LinkError, Unreachable, UsageError
from fleet.harness.backends import Launch
from fleet.harness.stages import Reach
from fleet.harness.watcher import Watcher
from fleet.runtime.access import Access, open_access
from fleet.runtime.credentials import SECRET_VARIABLE, FleetSecret
from fleet.runtime.dialects import open_dialect
from fleet.runtime.embedded import EmbeddedOptions, EmbeddedThread
from fleet.runtime.mosquitto import BrokerCertificates, PrivateMosquitto, has_mosquitto
from fleet.runtime.shard import wait_until
from fleet.transport.link import BackOff, Endpoint, Link, LinkFactory, LinkOwner, LinkSettings
from fleet.transport.swarm_link import swarm_links

if TYPE_CHECKING:
    from fleet.runtime.authority import Authority


Kind = Literal["plain", "tls", "mutual_tls", "embedded", "embedded_tls", "embedded_mutual_tls"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_EMBEDDED: Final = "embedded"
FOUND_WITHIN_S: Final = 5.0
"""Wall time that a broker of the user's is given to let us in, once a session: it may just be starting."""


class HarnessBroker:
    """A private broker. `reach` gives each test a topic prefix of its own; cars are admitted as tests make them."""

    def __init__(self, kind: Kind = "plain", dialect: str | None = None) -> None:
        """Nothing runs before `start`, or `async with`. Cars may speak our own dialect and `dialect`.

        With `tls` cars check the broker's certificate, with `mutual_tls` each has one of its own besides: then it names the car.
        Back ends and tools connect without, on this machine. It is a Mosquitto; those whose kind begins with `embedded`, and all
        where no Mosquitto is installed, are our own broker in a thread of this process. Raises UsageError where `cryptography`
        is not installed.
        """
        self._secret = FleetSecret.new()
        self._security = kind.removeprefix(_EMBEDDED).removeprefix("_") or "plain"
        self._authority = _authority() if self._security != "plain" else None
        topics = open_dialect(dialect).access
        self.broker: PrivateMosquitto | EmbeddedThread
        self.is_substitute = not kind.startswith(_EMBEDDED) and not has_mosquitto()
        """Whether it is the embedded one only because no Mosquitto is installed."""
        if kind.startswith(_EMBEDDED) or self.is_substitute:
            options = EmbeddedOptions(secret=self._secret, any_prefix=True, certificates=self._certificates(), topics=topics)
            self.broker = EmbeddedThread(options)
        else:
            self.broker = PrivateMosquitto(secret=self._secret, any_prefix=True, certificates=self._certificates(), topics=topics)
        self._numbers = itertools.count(1)

    def _certificates(self) -> BrokerCertificates | None:
        if self._authority is None:
            return None
        certificate, key = self._authority.sign("broker", "broker of a test")
        return BrokerCertificates(certificate, key, self._authority.file if self._security == "mutual_tls" else None)

    async def start(self) -> None:
        """Run it. Raises BrokerError."""
        await self.broker.start()

    async def stop(self) -> None:
        """Stop it and remove its folder."""
        try:
            await self.broker.stop()
        finally:
            self.discard()

    def discard(self) -> None:
        """Kill it if it still runs, and remove all its files."""
        self.broker.discard()
        if self._authority is not None:
            shutil.rmtree(self._authority.folder, ignore_errors=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    def reach(self, prefix: str | None = None) -> Reach:
        """Return how a world reaches it, under a topic prefix that no other has unless one is given."""
        prefix = prefix or f"fleet/t{os.getpid()}-{next(self._numbers)}"
        broker, secret = self.broker, self._secret
        access = Access(cars=broker.cars, tools=broker.tools, prefix=prefix, password_for=secret.password_for)
        arguments = ["--broker", str(broker.tools), "--topic-prefix", prefix, "--client-id", f"backend {prefix}"]
        launch = Launch([*arguments, "--end-session"], {SECRET_VARIABLE: secret.reveal()})
        return Reach(
            access, admit=self._admit, broker=broker, launch=launch, car_links=self._car_links,
            encrypted=self._authority is not None,
        )  # fmt: skip

    def _car_links(self, endpoint: Endpoint) -> LinkFactory:
        """Return what makes the links of cars, by TLS where that is wanted."""
        if self._authority is None:
            return swarm_links(endpoint)
        if self._security == "tls":
            return swarm_links(replace(endpoint, tls=self._authority.trusting()))
        return partial(self._car_link, endpoint)

    def _car_link(self, endpoint: Endpoint, settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> Link:
        """Make the link of one car, which has a certificate of its own and no password."""
        assert self._authority is not None, "there are certificates"
        links = swarm_links(replace(endpoint, tls=self._authority.context_of(settings.client_id)))
        return links(replace(settings, username=None, password=None), owner, back_off)

    async def _admit(self, vins: Sequence[str]) -> None:
        await self.broker.admit(vins)

    @property
    def mosquitto(self) -> PrivateMosquitto:
        """The process, with its log and its folder. Raises UsageError where the broker is the embedded one."""
        if isinstance(self.broker, PrivateMosquitto):
            return self.broker
        hint = 'Ask for one with @pytest.mark.fleet(broker="plain"), where Mosquitto is installed.'
        raise UsageError("this broker is the embedded one, and no Mosquitto", hint=hint)

    # --- for a back end of the user's

    @property
    def endpoint(self) -> Endpoint:
        """Where back ends and tools connect, as a `FaultProxy` takes it."""
        return self.broker.tools

    @property
    def host(self) -> str:
        """Where it listens."""
        return self.broker.tools.host

    @property
    def port(self) -> int:
        """The port for back ends and tools; cars have another."""
        return self.broker.tools.port

    def login(self, user: str = "backend") -> tuple[str, str]:
        """Return user name and password of `backend`, `desk` or `tool`."""
        return user, self._secret.password_for(user)


def _authority() -> Authority:
    """Make an authority in a folder of its own. Raises UsageError where `cryptography` is not installed."""
    from fleet.runtime.authority import Authority  # noqa: PLC0415  only tests with certificates need it

    return Authority(Path(tempfile.mkdtemp(prefix="fleet-certificates-")))


class ForeignBroker:
    """A broker of the user's, which is left as it was: cars end their sessions and clear their presence."""

    def __init__(
        self,
        url: str,
        *,
        ca: Path | None = None,
        cert_dir: Path | None = None,
        credentials: Path | None = None,
        prefix: str = "fleet/test",
    ) -> None:
        """Take where it is and how to be let in; each test gets its own level under the prefix."""
        self._url, self._prefix = url, prefix
        self._files = {"ca": ca, "cert_dir": cert_dir, "credentials": credentials}
        self._numbers = itertools.count(1)
        self._token = secrets.token_hex(4)  # not the process id: what a killed run left there may have had the same
        self._was_found = False
        self._refusal: LinkError | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens, as a `FaultProxy` takes it."""
        return self._access(self._prefix).tools

    @property
    def host(self) -> str:
        """Where it listens."""
        return self.endpoint.host

    @property
    def port(self) -> int:
        """The port of it, for cars and back ends alike."""
        return self.endpoint.port

    def login(self, user: str = "backend") -> tuple[str, str | None]:
        """Return user name and password of `backend`, `desk`, `tool` or a car, from the credentials; None without them."""
        return user, self._access(self._prefix).password_for(user)

    def _access(self, prefix: str) -> Access:
        files = self._files
        return open_access(
            broker=self._url, ca=files["ca"], cert_dir=files["cert_dir"], credentials=files["credentials"], prefix=prefix
        )

    def reach(self) -> Reach:
        """Return how a world reaches it, under a level of its own. Raises UsageError for files that cannot be used.

        The first world finds out whether it lets us in. When it does not, no other world waits for the same.
        """
        prefix = f"{self._prefix}/t{self._token}-{next(self._numbers)}"
        arguments = ["--broker", self._url, "--topic-prefix", prefix, "--client-id", f"backend {prefix}", "--end-session"]
        for name, path in self._files.items():
            if path is not None:
                arguments += ["--" + name.replace("_", "-"), str(path)]
        access = self._access(prefix)
        return Reach(
            access, find=partial(self._find, access), launch=Launch(arguments, {}),
            car_links=lambda endpoint: access.named(access.car_links_to(endpoint)),
        )  # fmt: skip

    async def _find(self, access: Access) -> None:
        """Raise why it lets nobody listen, from the second time on without asking it again."""
        if not self._was_found and self._refusal is None:
            self._refusal = await _refusal(access)
            self._was_found = self._refusal is None
        if self._refusal is not None:
            raise self._refusal.with_traceback(None) from None


async def _refusal(access: Access) -> LinkError | None:
    """Connect as those who listen, as often as the patience allows; return why that did not come about, None when it did."""
    watcher = Watcher(
        access.consumer_links(), access.dialect(), password=access.password_for("backend"), name=secrets.token_hex(4)
    )
    watcher.link.open()
    try:
        if await wait_until(lambda: watcher.link.is_up, FOUND_WITHIN_S):
            return None
        where = access.tools
        return watcher.refusal or Unreachable(where.host, where.port, f"no answer within {FOUND_WITHIN_S:g} s")
    finally:
        await watcher.link.close(end_session=True)
