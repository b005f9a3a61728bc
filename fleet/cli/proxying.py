"""`fleet proxy`: a network that is wrong on purpose, in front of any broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from fleet.cli.common import PARTS, AsJson, UntilEof, emit_line, out
from fleet.errors import UsageError
from fleet.kernel.instants import MILLISECOND, parse_duration
from fleet.runtime.limits import run_fast
from fleet.runtime.processes import stop_on_signals
from fleet.transport.faults import Fault, in_words, make_fault, parse_bytes, parse_bytes_per_s, parse_rule
from fleet.transport.link import Endpoint
from fleet.transport.proxy import FaultProxy

app = typer.Typer()

T = TypeVar("T")


@app.command(rich_help_panel=PARTS)
def proxy(
    to: Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="Where the broker listens.")],
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where clients connect.")] = "127.0.0.1:1885",
    latency: Annotated[str | None, typer.Option("--latency", metavar="50ms", help="Each way takes so much longer.")] = None,
    jitter: Annotated[str | None, typer.Option("--jitter", metavar="10ms", help="Up to so much more or less of it.")] = None,
    bandwidth: Annotated[str | None, typer.Option("--bandwidth", metavar="20kB/s", help="Of each connection, each way.")] = None,
    slicing: Annotated[str | None, typer.Option("--slicing", metavar="16B", help="Bytes leave in pieces of so many.")] = None,
    truncate: Annotated[
        str | None, typer.Option("--truncate", metavar="4kB", help="Connections end after so many bytes one way.")
    ] = None,
    reset_after: Annotated[
        str | None, typer.Option("--reset-after", metavar="4kB", help="Connections are reset after so many bytes one way.")
    ] = None,
    half_open_after: Annotated[
        str | None, typer.Option("--half-open-after", metavar="4kB", help="Connections go silent after so many bytes one way.")
    ] = None,
    stall: Annotated[bool, typer.Option("--stall", help="Nothing gets through.")] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="Connections are reset at once.")] = False,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--rule",
            metavar="'drop PUBACK first 3'",
            help="drop, duplicate, reorder packets: to_broker or to_client, topic FILTER, every N, share P%, first N, within T.",
        ),
    ] = None,
    way: Annotated[
        str, typer.Option("--way", metavar="both|to_broker|to_client", help="Where the faults of bytes are.")
    ] = "both",
    client: Annotated[list[str] | None, typer.Option("--client", metavar="ID", help="Only for this client id (a VIN).")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of all that is left to chance.")] = 0,
    as_json: AsJson = False,
    until_eof: UntilEof = False,
) -> None:
    """Stand between clients and a broker and do to their connections what is asked for, until Ctrl-C; then count it.

    Examples: fleet proxy --to localhost:1883

    fleet proxy --listen 127.0.0.1:1885 --to localhost:1883 --latency 200ms --jitter 50ms --bandwidth 20kB/s

    fleet proxy --to localhost:1883 --rule 'drop PUBACK first 3' --rule 'duplicate PUBLISH topic fleet/# share 5%' --client VIN
    """
    faults: list[tuple[str, Fault]] = []
    if latency is not None:
        later_ms, jitter_ms = _read("latency", latency, _milliseconds), _read("jitter", jitter or "0 ms", _milliseconds)
        faults.append(("latency", make_fault("latency", latency_ms=later_ms, jitter_ms=jitter_ms, way=way)))
    elif jitter is not None:
        raise UsageError("--jitter is of a latency", hint="Give --latency, too.")
    if bandwidth is not None:
        faults.append(
            ("bandwidth", make_fault("bandwidth", bytes_per_s=_read("bandwidth", bandwidth, parse_bytes_per_s), way=way))
        )
    if slicing is not None:
        faults.append(("slicing", make_fault("slicing", piece_bytes=_read("slicing", slicing, parse_bytes), way=way)))
    if truncate is not None:
        faults.append(("truncate", make_fault("truncate", after_bytes=_read("truncate", truncate, parse_bytes), way=way)))
    for kind, after in (("reset", reset_after), ("half_open", half_open_after)):
        if after is not None:
            option = kind.replace("_", "-") + "-after"
            faults.append((kind, make_fault(kind, after_bytes=_read(option, after, parse_bytes))))
    if stall:
        faults.append(("stall", make_fault("stall", way=way)))
    if refuse:
        faults.append(("refuse", make_fault("refuse")))
    faults += [(text, parse_rule(text)) for text in rule or ()]
    run_fast(_run(_address("listen", listen), _address("to", to), faults, client, seed, as_json=as_json, until_eof=until_eof))


async def _run(
    listen: Endpoint, to: Endpoint, faults: list[tuple[str, Fault]], clients: list[str] | None, seed: int, *,
    as_json: bool, until_eof: bool,
) -> None:  # fmt: skip
    stop = stop_on_signals(until_eof=until_eof)
    async with FaultProxy(to, host=listen.host, port=listen.port, seed=seed) as running:
        for name, fault in faults:
            running.set(name, fault, clients)
        here = f"{running.endpoint.host}:{running.endpoint.port}"
        if as_json:
            emit_line({"type": "ready", "listen": here, "to": f"{to.host}:{to.port}", "faults": [name for name, _ in faults]})
        else:
            out.print(f"listens on {here}, connects to {to.host}:{to.port}; Ctrl-C ends it", highlight=False, markup=False)
            for _, fault in faults:
                for_whom = "all" if clients is None else ", ".join(clients)
                out.print(f"{in_words(fault)}, for {for_whom}", highlight=False, markup=False)
        await stop.wait()
    if as_json:
        emit_line({"type": "result", "connections": running.connections, "failed": running.failed, "faults": running.counts()})
        return
    lost = f", {running.failed} of them found no broker" if running.failed else ""
    out.print(f"{running.connections} connections{lost}", highlight=False)
    for name, counts in running.counts().items():
        did = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items()) or "nothing"
        out.print(f"{name}: {did}", highlight=False, markup=False)


def _read(option: str, text: str, read: Callable[[str], T]) -> T:
    """Read the value of an option; raises UsageError."""
    try:
        return read(text)
    except ValueError as error:
        raise UsageError(f"--{option}: {error}", hint=f"`fleet proxy --help` shows how --{option} is written.") from None


def _milliseconds(text: str) -> float:
    return parse_duration(text) / MILLISECOND


def _address(option: str, text: str) -> Endpoint:
    """Read HOST:PORT; raises UsageError."""
    host, _, port = text.removeprefix("mqtt://").rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"--{option}: {text!r} is no address", hint="Write HOST:PORT, such as 127.0.0.1:1883.")
    return Endpoint(host.strip("[]"), int(port))
