"""The file of an embedded broker: sessions, waiting and retained messages, from a stop in good order to the next start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from fleet.errors import BrokerError
from fleet.kernel.instants import Instant
from fleet.transport.client_packets import ForwardedFrame
from fleet.transport.simulated_broker import SimulatedBroker
from fleet.transport.simulated_sessions import SessionRecord

_VERSION: Final = 1


class _File(msgspec.Struct, frozen=True):
    version: int
    sessions: list[SessionRecord]
    retained: list[tuple[ForwardedFrame, Instant]]


def write_state(path: Path, broker: SimulatedBroker) -> None:
    """Write what the broker kept when it stopped; replaced whole, readable by its owner only. Raises BrokerError."""
    sessions, retained = broker.records()
    begun = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        begun.unlink(missing_ok=True)
        with os.fdopen(os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.msgpack.encode(_File(_VERSION, sessions, retained)))
        begun.replace(path)
    except OSError as error:
        raise BrokerError(
            f"the embedded broker cannot keep its sessions in {path}: {error.strerror}",
            hint="May that folder be written to, and is there room?",
        ) from error


def read_state(path: Path, broker: SimulatedBroker, now: Instant) -> None:
    """Let the broker begin with what the file holds, if there is one. Raises BrokerError for one that is damaged."""
    try:
        held = msgspec.msgpack.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        return
    except (OSError, msgspec.MsgspecError) as error:
        raise BrokerError(
            f"the sessions of an embedded broker in {path} cannot be read: {error}",
            hint="Remove the file: clients then begin new sessions.",
        ) from error
    if held.version != _VERSION:
        raise BrokerError(
            f"{path} is of version {held.version}, and version {_VERSION} is read here",
            hint="Remove the file, or use that fleet.",
        )
    broker.restore(held.sessions, held.retained, now)
