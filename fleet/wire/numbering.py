"""The number of a message beside a payload that has no place for one: an MQTT 5 user property, which other systems ignore."""

from __future__ import annotations

from typing import Final, NamedTuple

from fleet.errors import Undecodable
from fleet.wire.frame import Frame
from fleet.wire.messages import FromCar, Header
from fleet.wire.vin import is_vin

NUMBER: Final = "fleet-number"
"""The name of the property: `VIN boot seq captured_at part/parts`, and live the two wall times behind them."""
MOST_PARTS: Final = 1_000
_LARGEST: Final = 2**63


class Part(NamedTuple):
    """A frame's place: which message it belongs to, and which of its `parts` it is, from 1. Presence has seq 0."""

    header: Header
    part: int
    parts: int


def number_of(message: FromCar, part: int = 1, parts: int = 1) -> tuple[str, str]:
    """Return the property for a frame of a message."""
    text = f"{message.vin} {message.boot} {message.seq} {message.captured_at} {part}/{parts}"
    if message.sent_wall_us is not None:
        text += f" {message.due_wall_us or message.sent_wall_us} {message.sent_wall_us}"
    return (NUMBER, text)


def read_number(frame: Frame) -> Part | None:
    """Return a frame's place, None without the property. Raises Undecodable `number` where it is not as `number_of` writes it."""
    for name, text in frame.user_properties:
        if name == NUMBER:
            return _read(text)
    return None


def _read(text: str) -> Part:
    words = text.split(" ")
    numbers = [*words[1:4], *words[4].split("/")] if len(words) in (5, 7) else []
    if len(numbers) == 5 and is_vin(words[0]) and all(_is_number(each) for each in (*numbers, *words[5:])):
        boot, seq, captured_at, part, parts = map(int, numbers)
        if 1 <= part <= parts <= MOST_PARTS:
            due, sent = map(int, words[5:]) if len(words) == 7 else (None, None)
            header = Header(vin=words[0], boot=boot, seq=seq, captured_at=captured_at, due_wall_us=due, sent_wall_us=sent)
            return Part(header, part, parts)
    raise Undecodable("number", f"{text[:120]!r} in the property {NUMBER} is no number of a message")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20 and int(text) < _LARGEST
