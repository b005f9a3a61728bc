"""Client ids: names of clients, apart for each topic prefix, as a broker lets only one client have an id."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from fleet.wire.topics import DEFAULT_PREFIX
from fleet.wire.vin import is_vin

_DIGEST_BYTES: Final = 3
"""A VIN has 17 characters, and 23 are what every broker must take."""
_MARKED: Final = re.compile(rf"(.+)[0-9a-f]{{{2 * _DIGEST_BYTES}}}")


def client_id_of(name: str, prefix: str) -> str:
    """Return the client id of a car (by its VIN) or back end: its name, followed by six digits drawn from another prefix."""
    if prefix == DEFAULT_PREFIX:
        return name
    return name + hashlib.blake2s(prefix.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def car_of(client_id: str) -> str:
    """Return the VIN of a car's client id under whatever prefix; of any other client the id as it is."""
    found = _MARKED.fullmatch(client_id)
    return found[1] if found and is_vin(found[1]) else client_id
