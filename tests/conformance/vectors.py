"""Reads Mosquitto's packet vectors: sequences of packets in JSON, each written as a line of tokens.

A token is a number (`i` of 8 bits, `H`, `k`, `m` and `s` of 16, `L` of 32, `v` and `r` of variable length), a 'text' in quotes,
or bytes in hexadecimal digits. `m` is a packet identifier. Variable lengths may be longer than MQTT allows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

from fleet.errors import UsageError

T = TypeVar("T")

_TOKEN: Final = re.compile(r"'[^']*'|\S+")
_SIZES: Final = {"i": 1, "H": 2, "k": 2, "m": 2, "s": 2, "L": 4}

Part = bytes | int
"""Bytes as they are, or the number of a packet identifier."""
Action = Literal["send", "recv", "external_publish"]


@dataclass(frozen=True, slots=True)
class Packet:
    """Bytes of a vector, in which packet identifiers can be replaced."""

    parts: tuple[Part, ...]

    def data(self, ids: Mapping[int, int] = {}) -> bytes:
        """Return the bytes, with other packet identifiers where `ids` has one."""
        return b"".join(part if isinstance(part, bytes) else ids.get(part, part).to_bytes(2, "big") for part in self.parts)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens next: the side that plays the vector sends or receives a packet, or a third party publishes."""

    action: Action
    packet: Packet
    topic: str = ""
    payload: str = ""
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Vector:
    """One case. `connects` and `connacks`: whether the default CONNECT and CONNACK come before the steps."""

    name: str
    group: str
    version: int
    steps: tuple[Step, ...]
    connects: bool
    connacks: bool
    ends: bool
    """Whether the other side is to end the connection."""
    command: str
    """What a client is to do once it is connected; empty for nothing."""


class _Message(msgspec.Struct):
    """A step, as the files write it."""

    type: Action
    payload: str
    topic: str = ""
    qos: int = 0
    retain: bool = False


class _Defaults(msgspec.Struct, kw_only=True):
    """What a case and its group may say, the case before its group."""

    ver: int | None = None
    connect: bool | None = None
    connack: bool | None = None
    expect_disconnect: bool | None = None
    command: str | None = None


class _Test(_Defaults, kw_only=True):
    name: str
    msgs: list[_Message]


class _Group(_Defaults, kw_only=True):
    group: str
    tests: list[_Test]
    group_msgs: list[_Message] = []
    disable: bool = False


def read_packet(line: str) -> Packet:
    """Read a line of tokens. Raises UsageError for one that is none."""
    parts: list[Part] = []
    for token in _TOKEN.findall(line):
        kind, rest = token[0], token[1:]
        try:
            if kind == "'":
                if not rest.endswith("'"):
                    raise ValueError
                parts.append(rest[:-1].encode())
            elif kind == "m":
                parts.append(int(rest))
            elif kind in _SIZES:
                parts.append(int(rest).to_bytes(_SIZES[kind], "big"))
            elif kind in {"v", "r"}:
                parts.append(variable_length(int(rest)))
            else:
                parts.append(bytes.fromhex(token))
        except (ValueError, OverflowError):
            raise UsageError(
                f"{token!r} in {line!r} is no token of a packet vector", hint="Expected a number, a 'text' or hexadecimal digits."
            ) from None
    return Packet(tuple(parts))


def variable_length(number: int) -> bytes:
    """Return a number as MQTT writes lengths, in as many bytes as it takes."""
    found = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        found.append(low | 0x80 if number else low)
        if not number:
            return bytes(found)


def read_vectors(folder: Path) -> list[Vector]:
    """Read all files of a folder, in the order of their names."""
    found = [vector for file in sorted(folder.glob("*.json")) for vector in _of_file(file)]
    if not found:
        raise UsageError(f"{folder} holds no packet vectors", hint="Expected files NAME.json.")
    return found


def _of_file(file: Path) -> Iterator[Vector]:
    """Yield the vectors of a file; names that come again get a number. Raises UsageError for a file that is none of vectors."""
    try:
        groups = msgspec.json.decode(file.read_bytes(), type=list[_Group])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} holds no packet vectors: {error}", hint="Is the suite another version than is expected?"
        ) from None
    seen: Counter[str] = Counter()
    for group in groups:
        if group.disable:
            continue
        title = f"{file.stem} | {' '.join(group.group.split())}"
        for test in group.tests:
            name = f"{title} | {' '.join(test.name.split())}"
            seen[name] += 1
            number = f" #{seen[name]}" if seen[name] > 1 else ""
            yield _vector(f"{name}{number}", title, group, test)


def _vector(name: str, title: str, group: _Group, test: _Test) -> Vector:
    return Vector(
        name=name,
        group=title,
        version=_first(test.ver, group.ver, 4),
        steps=tuple(map(_step, (*group.group_msgs, *test.msgs))),
        connects=_first(test.connect, group.connect, True),
        connacks=_first(test.connack, group.connack, True),
        ends=_first(test.expect_disconnect, group.expect_disconnect, True),
        command=_first(test.command, group.command, ""),
    )


def _first(own: T | None, of_group: T | None, otherwise: T) -> T:
    return next((value for value in (own, of_group) if value is not None), otherwise)


def _step(message: _Message) -> Step:
    packet = read_packet("" if message.type == "external_publish" else message.payload)
    return Step(message.type, packet, message.topic, message.payload, message.qos, message.retain)
