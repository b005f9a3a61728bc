"""Faults of a network, caused on purpose: their units, the clients they concern, and counts of their effects.

Knows neither sockets nor time. A proxy lets bytes suffer by it and the simulated network frames, by the same names. What
is left to chance follows from the seed, the fault's name and the client alone: no other client changes it.

Durations are real time, as all that concerns connections; in virtual time the two are one.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, get_args

from fleet.errors import UnknownName, UsageError
from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import MILLISECOND, Duration, parse_duration

Direction = Literal["to_broker", "to_client"]
DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)
Way = Literal["to_broker", "to_client", "both"]
PacketName = Literal[
    "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK",
    "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
]  # fmt: skip
PACKETS: Final[tuple[PacketName, ...]] = get_args(PacketName)
"""In the order of their types on the wire, from 1."""

LONGEST_MS: Final = 600_000
MOST_BYTES: Final = 1 << 40

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB)")
_UNITS: Final = {"B": 1, "kB": 1_000, "MB": 1_000_000}
_RATE: Final = re.compile(r"(.*?)\s*(?:/\s*s|per\s+s)")


# --- what there is ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Latency:
    """Each byte takes so much longer, up to `jitter_ms` more or less, by chance. No byte overtakes another."""

    kind: ClassVar[str] = "latency"
    latency_ms: float
    jitter_ms: float = 0.0
    way: Way = "both"

    def __post_init__(self) -> None:
        _check(self, "latency_ms", self.latency_ms, 0, LONGEST_MS)
        _check(self, "jitter_ms", self.jitter_ms, 0, self.latency_ms, hint="It is at most the latency: no byte comes early.")
        _check_way(self, self.way)


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Each connection carries at most so many bytes a second, each way."""

    kind: ClassVar[str] = "bandwidth"
    bytes_per_s: int
    way: Way = "both"

    def __post_init__(self) -> None:
        _check(self, "bytes_per_s", self.bytes_per_s, 1, MOST_BYTES, whole=True)
        _check_way(self, self.way)


@dataclass(frozen=True, slots=True)
class Slicing:
    """Bytes leave in pieces of at most so many, each by itself. Frames of a simulated network have no bytes: it does nothing."""

    kind: ClassVar[str] = "slicing"
    piece_bytes: int
    way: Way = "both"

    def __post_init__(self) -> None:
        _check(self, "piece_bytes", self.piece_bytes, 1, MOST_BYTES, whole=True)
        _check_way(self, self.way)


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing gets through while it lasts; all of it does afterwards, unless somebody has given up."""

    kind: ClassVar[str] = "stall"
    way: Way = "both"

    def __post_init__(self) -> None:
        _check_way(self, self.way)


@dataclass(frozen=True, slots=True)
class Refuse:
    """New connections are reset: at once, or when it concerns some clients only, as soon as CONNECT says who it is."""

    kind: ClassVar[str] = "refuse"


@dataclass(frozen=True, slots=True)
class ResetConnections:
    """Connections end with an RST to both sides, once so many bytes have passed either way; what is on its way is lost."""

    kind: ClassVar[str] = "reset"
    after_bytes: int = 0

    def __post_init__(self) -> None:
        _check(self, "after_bytes", self.after_bytes, 0, MOST_BYTES, whole=True)


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """Connections go silent for ever, once so many bytes have passed either way: bytes vanish, and neither side notices."""

    kind: ClassVar[str] = "half_open"
    after_bytes: int = 0

    def __post_init__(self) -> None:
        _check(self, "after_bytes", self.after_bytes, 0, MOST_BYTES, whole=True)


@dataclass(frozen=True, slots=True)
class Truncate:
    """Connections end in good order after so many bytes one way, in the middle of a packet or not; the rest is cut off."""

    kind: ClassVar[str] = "truncate"
    after_bytes: int
    way: Way = "both"

    def __post_init__(self) -> None:
        _check(self, "after_bytes", self.after_bytes, 0, MOST_BYTES, whole=True)
        _check_way(self, self.way)


@dataclass(frozen=True, slots=True)
class _OfPackets:
    """Selects MQTT packets: of the packets of that name, way and topic, counted for each client and way from when it was set,
    every n-th, of these a share by chance, and of these the first so many.
    """

    kind: ClassVar[str] = ""
    packet: PacketName
    way: Way = "both"
    topic: str | None = None
    """A topic filter, for PUBLISH."""
    every: int = 1
    share: float = 1.0
    first: int | None = None

    def __post_init__(self) -> None:
        if self.packet not in PACKETS:
            raise UnknownName("MQTT packet", str(self.packet), PACKETS)
        _check_way(self, self.way)
        if self.topic is not None and self.packet != "PUBLISH":
            raise UsageError(f"{self.kind}: a {self.packet} has no topic", hint="Only a PUBLISH has one: leave out the topic.")
        if self.topic is not None and not is_filter(self.topic):
            raise UsageError(f"{self.kind}: {self.topic!r} is no topic filter", hint="Such as 'fleet/v1/+/status' or 'fleet/#'.")
        _check(self, "every", self.every, 1, MOST_BYTES, whole=True)
        _check(self, "share", self.share, 1e-9, 1)
        if self.first is not None:
            _check(self, "first", self.first, 1, MOST_BYTES, whole=True)


@dataclass(frozen=True, slots=True)
class DropPackets(_OfPackets):
    """Such packets vanish. MQTT 5 repeats nothing within a connection: what waits for it waits until the next one."""

    kind: ClassVar[str] = "drop"


@dataclass(frozen=True, slots=True)
class Duplicate(_OfPackets):
    """Such packets come twice, a PUBLISH above QoS 0 the second time with its DUP flag."""

    kind: ClassVar[str] = "duplicate"


@dataclass(frozen=True, slots=True)
class Reorder(_OfPackets):
    """Such packets come after the one that follows them, or alone when none follows `within_ms`."""

    kind: ClassVar[str] = "reorder"
    within_ms: float = 1_000.0

    def __post_init__(self) -> None:
        _OfPackets.__post_init__(self)
        _check(self, "within_ms", self.within_ms, 1, LONGEST_MS)


PacketFault = DropPackets | Duplicate | Reorder
Fault = (
    Latency | Bandwidth | Slicing | Stall | Refuse | ResetConnections | HalfOpen | Truncate | DropPackets | Duplicate | Reorder
)
FAULTS: Final[Mapping[str, type[Fault]]] = {kind.kind: kind for kind in get_args(Fault)}
MOMENTARY: Final = (ResetConnections, HalfOpen)
"""Faults that strike the connections there are, when they are given without a duration; the others last."""


def make_fault(kind: str, **parameters: Any) -> Fault:
    """Return the fault of that name. Raises UnknownName for a name or parameter there is not, UsageError for a wrong value."""
    wanted = FAULTS.get(kind)
    if wanted is None:
        raise UnknownName("fault", kind, FAULTS)
    fields = {field.name: field for field in dataclasses.fields(wanted)}
    for name in parameters:
        if name not in fields:
            raise UnknownName(f"parameter of {kind}", name, fields)
    for name, field in fields.items():
        if field.default is dataclasses.MISSING and name not in parameters:
            raise UsageError(f"{kind} lacks {name!r}", hint=f"It has {', '.join(fields)}.")
    return wanted(**parameters)


def describe_fault(fault: Fault) -> str:
    """Return the fault with what differs from its defaults: `latency latency_ms=200, jitter_ms=50`."""
    said = [
        f"{field.name}={value:g}" if isinstance(value, int | float) else f"{field.name}={value}"
        for field in dataclasses.fields(fault)
        if (value := getattr(fault, field.name)) != field.default
    ]
    return " ".join((fault.kind, ", ".join(said))).rstrip()


def goes(way: Way, direction: Direction) -> bool:
    """Return whether a direction lies on that way."""
    return way in ("both", direction)


# --- reading texts ----------------------------------------------------------------------------------------------


def parse_bytes(text: str) -> int:
    """Read `16 B`, `1.5 kB` or `2 MB`. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no number of bytes: write it as '16 B', '1.5 kB' or '2 MB'")
    return round(float(match[1]) * _UNITS[match[2]])


def parse_bytes_per_s(text: str) -> int:
    """Read `20 kB/s` or `20 kB per s`. Raises ValueError."""
    match = _RATE.fullmatch(text.strip())
    if match is None or _SIZE.fullmatch(match[1]) is None:
        raise ValueError(f"{text!r} is no number of bytes a second: write it as '20 kB/s'")
    return parse_bytes(match[1])


def parse_rule(text: str) -> PacketFault:
    """Read `drop PUBACK first 3`, `duplicate PUBLISH to_broker topic fleet/# every 10 share 50%`, `reorder … within 1s`.

    Raises UsageError, and UnknownName with the nearest right word.
    """
    rules = {kind.kind: kind for kind in get_args(PacketFault)}
    words = text.split()
    if len(words) < 2:
        raise UsageError(f"{text!r} is no rule", hint="Such as 'drop PUBACK first 3'.")
    if words[0] not in rules:
        raise UnknownName("action of a rule", words[0], rules)
    given: dict[str, Any] = {"packet": words[1].upper()}
    rest = iter(words[2:])
    for word in rest:
        if word in DIRECTIONS or word == "both":
            given["way"] = word
            continue
        value = next(rest, None)
        if value is None and word in _RULE_WORDS:
            raise UsageError(f"{text!r} ends after {word!r}", hint=f"Such as '{word} {_RULE_WORDS[word][1]}'.")
        if word not in _RULE_WORDS:
            raise UnknownName("word of a rule", word, (*_RULE_WORDS, *DIRECTIONS))
        name, example, read = _RULE_WORDS[word]
        try:
            given[name] = read(value or "")
        except ValueError:
            raise UsageError(f"{word} {value!r} cannot be read", hint=f"Such as '{word} {example}'.") from None
    return make_fault(words[0], **given)  # type: ignore[return-value]  # by its name it is one of packets


def _share(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


_RULE_WORDS: Final[Mapping[str, tuple[str, str, Any]]] = {
    "topic": ("topic", "fleet/v1/+/status", str),
    "every": ("every", "10", int),
    "share": ("share", "5%", _share),
    "first": ("first", "3", int),
    "within": ("within_ms", "500ms", lambda text: parse_duration(text) / MILLISECOND),
}
"""For each word of a rule the parameter it gives, an example, and how it is read."""


def is_filter(text: str) -> bool:
    """Return whether it is a topic filter: wildcards fill whole levels, and `#` is the last."""
    levels = text.split("/")
    return bool(text) and all(level in ("+", "#") or not {*level} & {*"+#"} for level in levels) and "#" not in levels[:-1]


def fits(topic_filter: str, topic: str) -> bool:
    """Return whether a topic matches a filter."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        del wanted[-1]
        levels = levels[: len(wanted)] if len(levels) >= len(wanted) else []
        if not levels and wanted:
            return False
    return len(wanted) == len(levels) and all(one in ("+", other) for one, other in zip(wanted, levels, strict=True))


# --- what is in force -------------------------------------------------------------------------------------------


class _Tally:
    """How far a fault has come with one client, one way."""

    __slots__ = ("draws", "seen", "struck")

    def __init__(self, key: int) -> None:
        self.draws = Draws(key, "fault")
        self.seen = 0
        self.struck = 0


class InForce:
    """A fault that is set: whom it concerns, what it decides next, and what it has done."""

    __slots__ = ("_seed", "_tallies", "clients", "counts", "fault", "name")

    def __init__(self, name: str, fault: Fault, clients: frozenset[str] | None, seed: int, counts: Counter[str]) -> None:
        self.name = name
        self.fault = fault
        self.clients = clients
        self.counts = counts
        self._seed = seed
        self._tallies: dict[tuple[str, Direction], _Tally] = {}

    def concerns(self, client_id: str | None) -> bool:
        """Return whether it concerns this client; None is one that has not said who it is."""
        return self.clients is None or client_id in self.clients

    def _tally(self, client_id: str, direction: Direction) -> _Tally:
        tally = self._tallies.get((client_id, direction))
        if tally is None:
            key = stream_key(self._seed, "fault", self.name, client_id, direction)
            tally = self._tallies[client_id, direction] = _Tally(key)
        return tally

    def delay(self, client_id: str, direction: Direction) -> Duration:
        """Draw how long the next bytes, or the next frame, take longer."""
        fault = self.fault
        assert isinstance(fault, Latency)
        self.counts["delayed"] += 1
        delay_ms = fault.latency_ms
        if fault.jitter_ms:
            delay_ms += self._tally(client_id, direction).draws.uniform(-fault.jitter_ms, fault.jitter_ms)
        return round(delay_ms * MILLISECOND)

    def strikes(self, client_id: str, direction: Direction, packet: str, topic: str | None) -> bool:
        """Count the packet, and decide whether it is one of those."""
        fault = self.fault
        if not isinstance(fault, _OfPackets) or packet != fault.packet or not goes(fault.way, direction):
            return False
        if fault.topic is not None and (topic is None or not fits(fault.topic, topic)):
            return False
        tally = self._tally(client_id, direction)
        tally.seen += 1
        if tally.seen % fault.every or (fault.first is not None and tally.struck >= fault.first):
            return False
        if fault.share < 1 and not tally.draws.chance(fault.share):
            return False
        tally.struck += 1
        self.counts["packets"] += 1
        return True


class FaultsInForce:
    """The faults that are set, each under a name of its own."""

    def __init__(self, seed: int = 0) -> None:
        """Take the seed of all that is left to chance."""
        self._seed = seed
        self._set: dict[str, InForce] = {}
        self._counts: dict[str, Counter[str]] = {}

    def __iter__(self) -> Iterator[InForce]:
        return iter(self._set.values())

    def set(self, name: str, fault: Fault, clients: Collection[str] | None = None) -> InForce:
        """Put a fault in force, in place of the one of that name: for these client ids, or (None) for all."""
        chosen = None if clients is None else frozenset(clients)
        made = InForce(name, fault, chosen, self._seed, self._counts.setdefault(name, Counter()))
        self._set[name] = made
        return made

    def clear(self, name: str) -> None:
        """End the fault of that name. Raises UnknownName when there is none."""
        if self._set.pop(name, None) is None:
            raise UnknownName("fault in force", name, self._set)

    def concerning(self, client_id: str | None) -> tuple[InForce, ...]:
        """Return what concerns a client; None is one that has not said who it is."""
        return tuple(one for one in self._set.values() if one.concerns(client_id))

    @property
    def ask_who(self) -> bool:
        """Whether some of them concern some clients only."""
        return any(one.clients is not None for one in self._set.values())

    def counts(self) -> dict[str, dict[str, int]]:
        """Return for each name, also of faults that have ended, what was done under it."""
        return {name: dict(counted) for name, counted in self._counts.items()}


class FaultControl:
    """How the faults of a way are changed while it carries: `_look` has its connections see what is in force now."""

    def __init__(self, seed: int) -> None:
        """Take the seed of all that is left to chance."""
        self.faults = FaultsInForce(seed)

    def set(self, name: str, fault: Fault, clients: Collection[str] | None = None) -> None:
        """Put a fault in force, in place of the one of that name: for these client ids, or (None) for all."""
        self.faults.set(name, fault, clients)
        self._look()

    def clear(self, name: str) -> None:
        """End the fault of that name. Raises UnknownName when there is none."""
        self.faults.clear(name)
        self._look()

    def strike(self, fault: Fault, clients: Collection[str] | None = None) -> None:
        """Set a fault for this moment: it strikes the connections there are, and no later one. Its name is `reset once` or so."""
        name = f"{fault.kind} once"
        self.set(name, fault, clients)
        self.clear(name)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return for each fault, by its name, what was done."""
        return self.faults.counts()

    def _look(self) -> None:
        raise NotImplementedError


# --- checks -----------------------------------------------------------------------------------------------------


def _check(fault: Any, name: str, value: object, low: float, high: float, *, whole: bool = False, hint: str = "") -> None:
    """Raise UsageError for what is no number in that range."""
    kinds = int if whole else int | float
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise UsageError(f"{fault.kind}: {name} is a {'whole ' if whole else ''}number, not {value!r}")
    if not low <= value <= high:
        raise UsageError(f"{fault.kind}: {name} {value:g} is out of range: {low:g} to {high:g} is expected", hint=hint)


def _check_way(fault: Any, way: str) -> None:
    if way not in get_args(Way):
        raise UnknownName(f"way of {fault.kind}", str(way), get_args(Way))
