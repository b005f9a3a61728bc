"""The stage of cars and a back end: a broker and the network before it, live or simulated. What is done to both is asked here."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from fleet.transport.faults import Fault


class BrokerProcess(Protocol):
    """A broker of ours that can be stopped, killed and frozen; see `fleet.runtime.mosquitto`."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class FaultyNetwork(Protocol):
    """Where faults can be set: `FaultProxy`, or the simulated network's `FrameFaults`."""

    def set(self, name: str, fault: Fault, clients: Collection[str] | None = None) -> None: ...
    def clear(self, name: str) -> None: ...
    def counts(self) -> dict[str, dict[str, int]]: ...


class Stage(Protocol):
    """Broker and network of cars that live on it, in wall time or on a schedule."""

    async def start(self) -> None:
        """Begin, before anybody connects. Raises FleetError where nobody can."""
        ...

    async def stop(self) -> None:
        """End, when nobody is connected any more."""
        ...

    def network(self) -> FaultyNetwork:
        """Return where the cars' network can be harmed. Raises UsageError where it cannot."""
        ...
