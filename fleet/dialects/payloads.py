"""Payloads of other systems as plain data: JSON, MessagePack, CBOR, and plain text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import cbor2
import msgspec

from fleet.dialects.spec import Payload
from fleet.errors import Undecodable, Unwritable
from fleet.wire.intake import MAX_PAYLOAD


class Codec(NamedTuple):
    """How plain data become bytes and back; `decode` raises Undecodable, `encode` Unwritable."""

    content_type: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def written(value: Any) -> str:
    """Return a plain value as text, as value maps and text payloads have it: `true`, `12`, `12.5`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    return msgspec.json.encode(value).decode()


def _encoded_text(value: Any) -> bytes:
    return written(value).encode()


def _encoded_cbor(value: Any) -> bytes:
    return cbor2.dumps(msgspec.to_builtins(value))


def _decoded_cbor(payload: bytes) -> Any:
    return cbor2.loads(payload)


def _decoded_text(payload: bytes) -> str:
    return payload.decode()


def _guarded(content_type: str, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> Codec:
    def guarded_decode(payload: bytes) -> Any:
        if len(payload) > MAX_PAYLOAD:
            raise Undecodable("size", f"{len(payload)} bytes are more than {MAX_PAYLOAD}")
        try:
            return decode(payload)
        except Exception as error:  # noqa: BLE001 (whatever a decoder has against somebody else's bytes)
            raise Undecodable("encoding", f"{len(payload)} bytes are no {content_type}: {error}") from None

    def guarded_encode(value: Any) -> bytes:
        try:
            return encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise Unwritable("encoding", f"the payload is no {content_type}: {error}") from None

    return Codec(content_type, guarded_encode, guarded_decode)


CODECS: Final[dict[Payload, Codec]] = {
    "json": _guarded("application/json", msgspec.json.Encoder().encode, msgspec.json.Decoder().decode),
    "msgpack": _guarded("application/vnd.msgpack", msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode),
    "cbor": _guarded("application/cbor", _encoded_cbor, _decoded_cbor),
    "text": _guarded("text/plain", _encoded_text, _decoded_text),
}
