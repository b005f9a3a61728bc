"""The options of a connection to a broker: one list, from which every command that connects has them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import typer

from fleet.cli.common import Link
from fleet.errors import UsageError
from fleet.runtime.access import Access, LinkKind, find_secret, open_access
from fleet.runtime.credentials import FleetSecret
from fleet.wire.topics import DEFAULT_PREFIX

NEEDED: Final = inspect.Parameter.empty
Broker = Annotated[str, typer.Option("--broker", metavar="URL", help="mqtt://HOST:PORT or mqtts://HOST:PORT.")]
SecretFile = Annotated[
    Path | None,
    typer.Option("--secret-file", metavar="FILE", help="The fleet's secret \\[env: FLEET_SECRET_FILE, FLEET_SECRET]."),
]
TopicPrefix = Annotated[str, typer.Option("--topic-prefix", metavar="PREFIX", help="First levels of all topics.")]


@dataclass(frozen=True, kw_only=True)
class BrokerOptions:
    """How a command reaches a broker; a field for each option. `given` names those that stand on the command line."""

    broker: str | None = None
    tools_broker: str | None = None
    ca: Path | None = None
    cert_dir: Path | None = None
    server_name: str | None = None
    credentials: Path | None = None
    secret_file: Path | None = None
    topic_prefix: str = DEFAULT_PREFIX
    link: LinkKind = "swarm"
    source: str | None = None
    connect_rate: float | None = None
    vin_as_client_id: bool = False
    given: frozenset[str] = frozenset()

    def secret(self) -> FleetSecret | None:
        """Return the fleet's secret, from where it is named. Raises UsageError."""
        return find_secret(self.secret_file)

    def open(self) -> Access:
        """Read addresses and files. Raises UsageError for what cannot be used, and for options without effect."""
        assert self.broker is not None, "the command has looked"
        addresses = [each for each in (self.broker, self.tools_broker) if each is not None]
        if not any(each.lower().startswith("mqtts://") for each in addresses):
            because = f"{' and '.join(addresses)} {'is' if len(addresses) == 1 else 'are'} not encrypted"
            self.refuse(("ca", "cert_dir", "server_name"), because, "write mqtts://HOST:PORT")
        if self.link == "aiomqtt":
            self.refuse(("source", "connect_rate"), "links of aiomqtt know no such option", "give --link swarm")
        return open_access(
            broker=self.broker,
            tools_broker=self.tools_broker,
            ca=self.ca,
            cert_dir=self.cert_dir,
            server_name=self.server_name,
            credentials=self.credentials,
            secret=self.secret(),
            prefix=self.topic_prefix,
            link=self.link,
            source=self.source,
            connects_per_s=self.connect_rate,
            vin_is_client_id=self.vin_as_client_id,
        )

    def refuse(self, names: Iterable[str], because: str, instead: str) -> None:
        """Raise UsageError when one of these options was given: it has no effect, for that reason."""
        for name in names:
            if name in self.given:
                raise without_effect(option_of(name), because, instead)

    def refuse_secret_beside_credentials(self) -> None:
        """Raise UsageError for a secret of which no password is made; for commands that make nothing else of it."""
        if self.credentials is not None:
            self.refuse(("secret_file",), "passwords come from --credentials", "leave --credentials out")

    def files(self) -> dict[str, str]:
        """Return what another process needs of this machine's files and of the broker's name, by option, as absolute paths."""
        found = {name: str(path.absolute()) for name in ("ca", "cert_dir", "credentials") if (path := getattr(self, name))}
        return found | ({"server_name": self.server_name} if self.server_name else {})

    def words(self, *more: str) -> list[str]:
        """Return the options for another command of ours: those that all have, and `more`, as far as they were given."""
        return self.words_of(*(name for name in EVERYWHERE if name != "secret_file"), *more)

    def words_of(self, *names: str) -> list[str]:
        """Return these options for another command of ours, as far as they were given."""
        words = []
        for name in names:
            value = getattr(self, name)
            if name in self.given and value is not False:
                words += [option_of(name)] if value is True else [option_of(name), str(value)]
        return words


def option_of(name: str) -> str:
    """Return an option as it is typed."""
    return "--" + name.replace("_", "-")


def without_effect(option: str, because: str, instead: str) -> UsageError:
    """Return the error for an option that would change nothing."""
    return UsageError(f"{option} has no effect: {because}", hint=f"Leave {option} out, or {instead}.")


_OPTIONS: Final[dict[str, tuple[Any, Any]]] = {
    "tools_broker": (
        Annotated[str | None, typer.Option("--tools-broker", metavar="URL", help="Address for tools, if it differs.")],
        None,
    ),
    "ca": (
        Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="Certificate authority (PEM) to trust for mqtts.")],
        None,
    ),
    "cert_dir": (
        Annotated[
            Path | None,
            typer.Option(
                "--cert-dir",
                metavar="DIR",
                help="Clients' certificates for mqtts: NAME.pem, NAME.key of each VIN, backend, tool (or client.pem); ca.pem.",
            ),
        ],
        None,
    ),
    "server_name": (
        Annotated[
            str | None,
            typer.Option(
                "--server-name", metavar="NAME", help="The broker's name for mqtts (SNI and certificate), if not the host."
            ),
        ],
        None,
    ),
    "credentials": (
        Annotated[
            Path | None, typer.Option("--credentials", metavar="FILE.csv", help="File with a line user,password for each client.")
        ],
        None,
    ),
    "secret_file": (SecretFile, None),
    "topic_prefix": (TopicPrefix, DEFAULT_PREFIX),
    "link": (Link, "swarm"),
    "source": (
        Annotated[
            str | None,
            typer.Option(
                "--source", metavar="NET", help="Source addresses for cars, such as 127.0.1.0/28 (ports run out at 28 000)."
            ),
        ],
        None,
    ),
    "connect_rate": (
        Annotated[
            float | None,
            typer.Option("--connect-rate", min=0.1, metavar="N", help="Most cars that connect within one second."),
        ],
        None,
    ),
    "vin_as_client_id": (
        Annotated[
            bool,
            typer.Option(
                "--vin-as-client-id",
                help="Cars' client id is the VIN under any --topic-prefix, for brokers that tie it to user or certificate.",
            ),
        ],
        False,
    ),
}
EVERYWHERE: Final = ("ca", "cert_dir", "server_name", "credentials", "secret_file", "topic_prefix")
OF_CARS: Final = ("link", "source", "connect_rate", "vin_as_client_id")


def connecting(*more: str, broker: Any = Broker, default: Any = NEEDED) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command all options of a connection, and `more` of the list, and hand it them as `connection`.

    `broker` is the annotation of --broker where that means something of its own, `default` what it is without.
    """
    options = {"broker": (broker, default), **{name: _OPTIONS[name] for name in (*more, *EVERYWHERE)}}

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        """Give the command the options of the connection in place of its `connection`."""

        @functools.wraps(command)
        def connected(ctx: typer.Context, **given: Any) -> None:
            typed = frozenset(name for name in (*options, *given) if _was_typed(ctx, name))
            connection = BrokerOptions(**{name: given.pop(name) for name in options}, given=typed)
            command(connection=connection, **given)

        hints = get_type_hints(command, include_extras=True)
        parameters = [inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
        for parameter in inspect.signature(command).parameters.values():
            if parameter.name == "connection":
                parameters += [
                    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
                    for name, (annotation, default) in options.items()
                ]
            else:
                parameters.append(
                    parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints.get(parameter.name, Any))
                )
        connected.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        connected.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del connected.__wrapped__  # its annotations would be read instead
        return connected

    return decorated


def _was_typed(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
