"""The network between cars and broker as a test sees it: which faults its words mean, and whether something is on the way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol, TypeGuard, get_args, get_type_hints

from fleet.errors import UnknownName, UsageError
from fleet.harness.durations import duration
from fleet.kernel.instants import MILLISECOND, SECOND
from fleet.runtime.stage import FaultyNetwork
from fleet.scenario.action_checks import check_network
from fleet.scenario.actions import NetworkFault
from fleet.scenario.scalars import Duration, Misread, Readable
from fleet.transport.faults import MOMENTARY, Fault, HalfOpen, Latency, PacketFault, Refuse, ResetConnections, Stall, Truncate

WORDS: Final = get_type_hints(NetworkFault)


class Network(FaultyNetwork, Protocol):
    """Where a test sets faults: a proxy in front of the broker, or the simulated network."""

    def strike(self, fault: Fault, clients: Collection[str] | None = None) -> None: ...

    @property
    def is_carrying(self) -> bool:
        """Whether something is held back that will arrive by itself."""
        ...


def read_faults(words: Mapping[str, object]) -> list[Fault]:
    """Return what the words mean, which are those of `network:` in a scenario: latency="200 ms", drop="PUBACK", stall=True.

    Raises UnknownName with the nearest right word, and UsageError for a value that means nothing.
    """
    for word in words:
        if word not in WORDS:
            raise UnknownName("word of a network fault", word, WORDS)
    fault = NetworkFault(**{word: _read(word, value) for word, value in words.items()})
    problem = next(iter(check_network(fault)), None)
    if problem is not None:
        raise UsageError(problem.message, hint=problem.hint)
    return [fault.fault(kind) for kind in fault.kinds]


def _read(word: str, value: Any) -> Any:
    kinds = get_args(WORDS[word]) or (WORDS[word],)
    if bool in kinds and not isinstance(value, bool):
        raise UsageError(f"{word} is True or left out, not {value!r}")
    if str in kinds and not isinstance(value, str):
        raise UsageError(f"{word} is a text, not {value!r}")
    if Duration in kinds:
        return duration(value)
    scalar = next((kind for kind in kinds if _is_scalar(kind)), None)
    if scalar is None:
        return value
    try:
        return scalar.parse(value)
    except Misread as error:
        raise UsageError(f"{word}: {error}", hint=error.hint) from None


def _is_scalar(kind: object) -> TypeGuard[type[Readable]]:
    return isinstance(kind, type) and issubclass(kind, Readable)


def is_momentary(fault: Fault) -> bool:
    """Whether it can strike the connections that are there, and be over."""
    return isinstance(fault, MOMENTARY)


def cuts_off(fault: Fault, *, connected: bool) -> bool:
    """Whether nobody has to wait for a car while it lasts: nothing of it comes through, or not for long."""
    return isinstance(fault, Stall | ResetConnections | HalfOpen | Truncate) or (isinstance(fault, Refuse) and not connected)


def longest_s(fault: Fault) -> float:
    """Return how much longer one way may take while it lasts, as far as that can be said."""
    return (fault.latency_ms + fault.jitter_ms) * MILLISECOND / SECOND if isinstance(fault, Latency) else 0.0


def of_packets(fault: Fault) -> bool:
    """Whether it has to tell packets from bytes."""
    return isinstance(fault, PacketFault)
