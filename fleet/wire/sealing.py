"""An S-PIN that is typed in a car, sealed under the car's key: neither broker, store nor journal has it in clear.

HMAC-SHA256 twice, after the synthetic-nonce construction of RFC 5297: a tag over what is sealed and what it belongs to, and a
keystream from that tag. A sealed text belongs to one request of one car and opens nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Final

from fleet.errors import Undecodable

SIMULATED_CARS_SECRET: Final = b"fleet simulated cars"
"""Of fleets that are simulated, as it is known to everybody; real cars come with a key of their own."""
LONGEST_BYTES: Final = 32
"""Of what is sealed: one block of the keystream."""
_TAG_BYTES: Final = 16
_HASH: Final = "sha256"


class Unsealable(Undecodable):
    """A sealed text that was changed, or sealed under another key, for another car or another request."""

    def __init__(self) -> None:
        """Say so; which of them it is cannot be told."""
        super().__init__("malformed", "the sealed S-PIN was not sealed by this car for this request; type it again")


def key_of(fleet_secret: bytes, vin: str) -> bytes:
    """Return the key of one car of a fleet."""
    return hmac.digest(fleet_secret, vin.encode(), _HASH)


def seal(key: bytes, vin: str, request_id: str, text: str) -> str:
    """Return the text sealed for one request, in printable characters; raises ValueError for more than 32 bytes."""
    clear = text.encode()
    if len(clear) > LONGEST_BYTES:
        raise ValueError(f"at most {LONGEST_BYTES} bytes can be sealed")
    tag = _tag(key, vin, request_id, clear)
    return base64.urlsafe_b64encode(tag + _masked(key, tag, clear)).decode()


def unseal(key: bytes, vin: str, request_id: str, sealed: str) -> str:
    """Return what was sealed. Raises Unsealable for anything that was not sealed so."""
    try:
        raw = base64.b64decode(sealed.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Unsealable from None
    tag, masked = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if len(tag) < _TAG_BYTES or len(masked) > LONGEST_BYTES:
        raise Unsealable
    clear = _masked(key, tag, masked)
    if not hmac.compare_digest(tag, _tag(key, vin, request_id, clear)):
        raise Unsealable
    return clear.decode()  # the tag stands for it: it was made of a text


def _tag(key: bytes, vin: str, request_id: str, clear: bytes) -> bytes:
    bound = b"\0".join((b"tag", vin.encode(), request_id.encode(), clear))  # no VIN and no id has a zero
    return hmac.digest(key, bound, _HASH)[:_TAG_BYTES]


def _masked(key: bytes, tag: bytes, text: bytes) -> bytes:
    stream = hmac.digest(key, b"stream\0" + tag, _HASH)
    return bytes(a ^ b for a, b in zip(text, stream, strict=False))
