"""`fleet proxy`: a network that is wrong on purpose, in front of any broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Final

import typer

from fleet.addresses import NoAddress, address_of, read_address
from fleet.cli.common import MOST_SEED, PARTS, AsJson, UntilEof, complain, emit_line, out
from fleet.cli.connecting import without_effect
from fleet.errors import FleetError, UsageError
from fleet.kernel.instants import MILLISECOND, parse_duration
from fleet.runtime.limits import run_fast
from fleet.runtime.processes import stop_on_signals
from fleet.runtime.shard import wait_until
from fleet.runtime.streams import need_no_reader
from fleet.transport.faults import Fault, Way, describe_fault, make_fault, parse_bytes, parse_bytes_per_s, parse_rule
from fleet.transport.link import Endpoint
from fleet.transport.proxy import FaultProxy
from fleet.wire.clients import car_of

LOOK_S = 1.0

app = typer.Typer()
_WITH_WAY: Final = ("latency", "bandwidth", "slicing", "truncate", "stall")
_SIZED: Final[Mapping[str, tuple[str, str, Callable[[str], int]]]] = {
    "bandwidth": ("bandwidth", "bytes_per_s", parse_bytes_per_s),
    "slicing": ("slicing", "piece_bytes", parse_bytes),
    "truncate": ("truncate", "after_bytes", parse_bytes),
    "reset": ("reset-after", "after_bytes", parse_bytes),
    "half_open": ("half-open-after", "after_bytes", parse_bytes),
}
"""Option, parameter and form of each fault that has a number of bytes."""


@app.command(rich_help_panel=PARTS)
def proxy(
    to: Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="Where the broker listens.")],
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where clients connect.")] = "127.0.0.1:1885",
    latency: Annotated[str | None, typer.Option("--latency", metavar="50ms", help="Delay of each way.")] = None,
    jitter: Annotated[str | None, typer.Option("--jitter", metavar="10ms", help="Largest deviation from the delay.")] = None,
    bandwidth: Annotated[
        str | None, typer.Option("--bandwidth", metavar="20kB/s", help="Limit of each connection, each way.")
    ] = None,
    slicing: Annotated[str | None, typer.Option("--slicing", metavar="16B", help="Forward bytes in pieces of this size.")] = None,
    truncate: Annotated[
        str | None, typer.Option("--truncate", metavar="4kB", help="End each connection after this many bytes one way.")
    ] = None,
    reset_after: Annotated[
        str | None, typer.Option("--reset-after", metavar="4kB", help="Reset each connection after this many bytes one way.")
    ] = None,
    half_open_after: Annotated[
        str | None,
        typer.Option("--half-open-after", metavar="4kB", help="Let each connection go silent after this many bytes one way."),
    ] = None,
    stall: Annotated[bool, typer.Option("--stall", help="Forward nothing.")] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="Reset each new connection.")] = False,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--rule",
            metavar="'drop PUBACK first 3'",
            help="drop, duplicate, reorder packets: to_broker or to_client, topic FILTER, every N, share P%, first N, within T.",
        ),
    ] = None,
    way: Annotated[Way, typer.Option("--way", help="Direction of latency, bandwidth, slicing, truncate and stall.")] = "both",
    client: Annotated[
        list[str] | None, typer.Option("--client", metavar="ID", help="Only for this client id, or the car of this VIN.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=MOST_SEED, help="Seed of all random draws.")] = 0,
    as_json: AsJson = False,
    until_eof: UntilEof = False,
) -> None:
    """Inject faults into the connections between clients and a broker, until Ctrl-C; then show what they did.

    Examples: fleet proxy --to localhost:1883

    fleet proxy --listen 127.0.0.1:1885 --to localhost:1883 --latency 200ms --jitter 50ms --bandwidth 20kB/s

    fleet proxy --to localhost:1883 --rule 'drop PUBACK first 3' --rule 'duplicate PUBLISH topic fleet/# share 5%' --client VIN
    """
    if not as_json:
        need_no_reader()
    sized = {
        "bandwidth": bandwidth, "slicing": slicing, "truncate": truncate, "reset": reset_after, "half_open": half_open_after,
    }  # fmt: skip
    faults = [
        *_latency(latency, jitter, way),
        *_sized(sized, way),
        *([("stall", make_fault("stall", way=way))] if stall else []),
        *([("refuse", make_fault("refuse"))] if refuse else []),
    ]
    _refuse_without_effect(faults, rule, client, way)
    with _of("rule"):
        faults += [(text, parse_rule(text)) for text in rule or ()]
    here, there = _address("listen", listen, lowest=0), _address("to", to)
    run_fast(_run(here, there, faults, client, seed, as_json=as_json, until_eof=until_eof))


def _latency(latency: str | None, jitter: str | None, way: Way) -> list[tuple[str, Fault]]:
    """Return the latency, if one is asked for. Raises UsageError for a jitter without one."""
    if latency is None:
        if jitter is not None:
            raise UsageError("--jitter needs a latency", hint="Give --latency, too.")
        return []
    with _of("latency"):
        later_ms = _milliseconds(latency)
        fault = make_fault("latency", latency_ms=later_ms, way=way)
    if jitter is not None:
        with _of("jitter"):
            fault = make_fault("latency", latency_ms=later_ms, jitter_ms=_milliseconds(jitter), way=way)
    return [("latency", fault)]


def _sized(given: Mapping[str, str | None], way: Way) -> list[tuple[str, Fault]]:
    """Return the faults that have a number of bytes, by kind. Raises UsageError for a number that cannot be."""
    found = []
    for kind, text in given.items():
        option, parameter, parse = _SIZED[kind]
        if text is not None:
            with _of(option):
                ways = {"way": way} if kind in _WITH_WAY else {}
                found.append((kind, make_fault(kind, **{parameter: parse(text)}, **ways)))
    return found


def _refuse_without_effect(faults: list[tuple[str, Fault]], rules: list[str] | None, clients: list[str] | None, way: Way) -> None:
    """Raise UsageError for options that say of which faults there are none."""
    if clients and not (faults or rules):
        raise without_effect(
            "--client", "there is no fault that could be for one client only", "give a fault, such as --latency 50ms"
        )
    if way != "both" and not any(name in _WITH_WAY for name, _ in faults):
        raise without_effect(
            "--way", f"only {', '.join(_WITH_WAY)} have a way", "give one of them; a rule has to_broker or to_client"
        )


async def _run(
    listen: Endpoint, to: Endpoint, faults: list[tuple[str, Fault]], clients: list[str] | None, seed: int, *,
    as_json: bool, until_eof: bool,
) -> None:  # fmt: skip
    stop = stop_on_signals(until_eof=until_eof)
    async with FaultProxy(to, host=listen.host, port=listen.port, seed=seed) as running:
        for name, fault in faults:
            running.set(name, fault, None if clients is None else [car_of(each) for each in clients])
        here, there = (address_of(each.host, each.port) for each in (running.endpoint, to))
        if as_json:
            emit_line({"type": "ready", "listen": here, "to": there, "faults": [name for name, _ in faults]})
        else:
            out.say(f"listens on {here}, connects to {there}; Ctrl-C ends it")
            for _, fault in faults:
                for_whom = "all" if clients is None else ", ".join(clients)
                out.say(f"{describe_fault(fault)}, for {for_whom}")
        await _tell_failures_until(stop, running)
    if as_json:
        failures = {cause: count for (cause, _), count in running.failures.items()}
        emit_line({"type": "result", "connections": running.connections, "failed": running.failed, "failures": failures,
                   "faults": running.counts()})  # fmt: skip
        return
    lost = f", {running.failed} of them did not come to the broker" if running.failed else ""
    out.say(f"{running.connections} connections{lost}")
    for (cause, _), count in running.failures.items():
        out.say(f"  {count}: {cause}")
    for name, counts in running.counts().items():
        did = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items()) or "nothing"
        out.say(f"{name}: {did}")


async def _tell_failures_until(stop: asyncio.Event, running: FaultProxy) -> None:
    """Wait, and tell each cause for which a connection does not come to the broker, once."""
    told: set[tuple[str, str]] = set()
    while not await wait_until(stop.is_set, LOOK_S):
        for failure in running.failures.keys() - told:
            told.add(failure)
            complain(FleetError(f"a connection did not come to the broker: {failure[0]}", hint=failure[1]))


@contextlib.contextmanager
def _of(option: str) -> Iterator[None]:
    """Raise UsageError for what cannot be read of an option, with its name and what to do."""
    try:
        yield
    except (UsageError, ValueError) as error:
        hint = error.hint if isinstance(error, UsageError) else ""
        raise UsageError(f"--{option}: {error}", hint=hint or f"`fleet proxy --help` shows how --{option} is written.") from None


def _milliseconds(text: str) -> float:
    return parse_duration(text) / MILLISECOND


def _address(option: str, text: str, *, lowest: int = 1) -> Endpoint:
    """Read HOST:PORT; raises UsageError."""
    try:
        return Endpoint(*read_address(text.removeprefix("mqtt://").removesuffix("/"), lowest=lowest))
    except NoAddress as error:
        raise UsageError(f"--{option}: {text!r} is no address: {error}", hint=error.hint) from None
