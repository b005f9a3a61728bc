"""One MQTT application message with the MQTT 5 properties we use; what links carry and dialects read and write."""

from __future__ import annotations

import msgspec


class Frame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message as it travels.

    `expiry_s` is in wall seconds and never 0 (0 would not expire). `duplicate` is MQTT's DUP flag as received.
    `user_properties` keeps its order and may hold a name more than once.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    response_topic: str | None = None
    correlation: bytes | None = None
    content_type: str | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    duplicate: bool = False
