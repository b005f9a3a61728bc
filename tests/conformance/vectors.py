"""Reads Mosquitto's packet vectors: sequences of packets in JSON, each written as a line of tokens.

A token is a number (`i` of 8 bits, `H`, `k`, `m` and `s` of 16, `L` of 32, `v` and `r` of variable length), a 'text' in quotes,
or bytes in hexadecimal digits. `m` is a packet identifier. Variable lengths may be longer than MQTT allows.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from fleet.errors import UsageError

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
    """Yield the vectors of a file; names that come again get a number."""
    seen: Counter[str] = Counter()
    for group in json.loads(file.read_text(encoding="utf-8")):
        if group.get("disable"):
            continue
        title = " ".join(group["group"].split())
        for test in group["tests"]:
            name = f"{file.stem} | {title} | {' '.join(test['name'].split())}"
            seen[name] += 1
            number = f" #{seen[name]}" if seen[name] > 1 else ""
            yield _vector(f"{name}{number}", f"{file.stem} | {title}", group, test)


def _vector(name: str, group_name: str, group: Mapping[str, Any], test: Mapping[str, Any]) -> Vector:
    def either(key: str, otherwise: Any) -> Any:
        return test.get(key, group.get(key, otherwise))

    return Vector(
        name=name,
        group=group_name,
        version=either("ver", 4),
        steps=_steps([*group.get("group_msgs", ()), *test["msgs"]]),
        connects=either("connect", otherwise=True),
        connacks=either("connack", otherwise=True),
        ends=either("expect_disconnect", otherwise=True),
        command=either("command", ""),
    )


def _steps(messages: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    return tuple(
        Step(
            action=message["type"],
            packet=read_packet("" if message["type"] == "external_publish" else message["payload"]),
            topic=message.get("topic", ""),
            payload=message["payload"],
            qos=message.get("qos", 0),
            retain=message.get("retain", False),
        )
        for message in messages
    )
