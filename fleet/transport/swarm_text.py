"""Checks that the text in a packet is UTF-8, and that its properties end where they say, before the codec sees it.

mqtt5 0.8 panics at text that is not: a message on standard error, an error outside `Exception` and one nobody can
catch. It reads the last property of a packet beyond the end of the properties. Looks at nothing else; what is malformed
otherwise the codec tells.
"""

from __future__ import annotations

from typing import Final

_TEXT: Final = frozenset({0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F})
_PAIR: Final = 0x26
_BINARY: Final = frozenset({0x09, 0x16})
_VARIABLE: Final = 0x0B
_SIZES: Final = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
_BEFORE_PROPERTIES: Final = {2: 2, 4: 3, 5: 3, 6: 3, 7: 3, 9: 2, 11: 2, 14: 1, 15: 1}
"""Bytes between fixed header and properties, by packet type; PUBLISH has a topic there."""


def check_text(packet: memoryview) -> None:
    """Raise UnicodeDecodeError for text that is not UTF-8, ValueError for properties that run past their end."""
    kind = packet[0] >> 4
    position = 1
    while packet[position] & 0x80:
        position += 1
    position += 1
    if kind == 3:
        after = position + 2 + int.from_bytes(packet[position : position + 2], "big")
        str(packet[position + 2 : after], "utf-8")
        position = after + (2 if packet[0] & 0x06 else 0)
    elif kind in _BEFORE_PROPERTIES:
        position += _BEFORE_PROPERTIES[kind]
    else:
        return
    if position < len(packet) and packet[position]:
        _check_properties(packet, position)


def _check_properties(packet: memoryview, position: int) -> None:
    length, position = _variable(packet, position)
    end = min(position + length, len(packet))
    if _is_plain(bytes(packet[position:end])):
        return
    while position < end:
        identifier = packet[position]
        position += 1
        if identifier in _SIZES:
            position += _SIZES[identifier]
        elif identifier == _VARIABLE:
            _, position = _variable(packet, position)
        elif identifier in _TEXT:
            position = _text(packet, position)
        elif identifier == _PAIR:
            position = _text(packet, _text(packet, position))
        elif identifier in _BINARY:
            position += 2 + int.from_bytes(packet[position : position + 2], "big")
        else:
            return
    if position != end:
        raise ValueError("a property that runs past the end of the properties")


def _is_plain(properties: bytes) -> bool:
    """Tell whether all is ASCII and no text runs past the end, as nearly always: a third of the time of the full check."""
    if not properties.isascii():
        return False
    position, end = 0, len(properties)
    try:
        while position < end:
            identifier = properties[position]
            if identifier == _PAIR:
                position += 3 + (properties[position + 1] << 8 | properties[position + 2])
                position += 2 + (properties[position] << 8 | properties[position + 1])
            elif identifier in _TEXT:
                position += 3 + (properties[position + 1] << 8 | properties[position + 2])
            elif identifier in _SIZES:
                position += 1 + _SIZES[identifier]
            else:
                return False
    except IndexError:
        return False
    return position == end


def _text(packet: memoryview, position: int) -> int:
    end = position + 2 + int.from_bytes(packet[position : position + 2], "big")
    str(packet[position + 2 : end], "utf-8")
    return end


def _variable(packet: memoryview, position: int) -> tuple[int, int]:
    length = shift = 0
    while position < len(packet):
        byte = packet[position]
        position += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return length, position
