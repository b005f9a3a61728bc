"""W3C trace context, derived from what is traced: no random source, and the same message has the same trace."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=1 << 14)
def traceparent(*identity: str | int) -> str:
    """Return a `traceparent` header value (version 00, sampled) for `identity`, such as a command's id.

    A command, its answers and what a car says of its connection have the same one again and again.
    """
    digest = _digest("/".join(map(str, identity)), 24)
    return f"00-{digest[:32]}-{digest[32:]}-01"


def traceparent_of(boot_trace: str, seq: int) -> str:
    """Return the same for a message of a car: the first half of the trace id is the car's boot, the rest the number."""
    number = seq.to_bytes(8, "big").hex()
    return f"00-{boot_trace}{number}-{number}-01"


@lru_cache(maxsize=1 << 16)
def boot_trace(vin: str, boot: int) -> str:
    """Return the first half of the trace ids of a car's boot."""
    return _digest(f"{vin}/{boot}", 8)


def _digest(text: str, size: int) -> str:
    return blake2b(text.encode(), digest_size=size).hexdigest()
