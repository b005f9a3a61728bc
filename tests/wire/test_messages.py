"""The messages: no repr shows an S-PIN."""

from __future__ import annotations

import msgpack
import pytest

from fleet.errors import Undecodable
from fleet.wire.fleet_dialect import MESSAGEPACK
from fleet.wire.frame import Frame
from fleet.wire.messages import (
    DeskAnswer,
)
from tests.wire.test_dialect import PLAIN, REQUESTS, VIN


def test_the_spin_is_never_shown() -> None:
    """Neither by what prints a request, nor by the error of one that cannot be read."""
    for request in REQUESTS[:2]:
        assert "0815" not in repr(request) + str(request) + f"{[request]}"
        assert "secret-token" not in repr(request)
    assert "t0ken" not in repr(DeskAnswer(id="x", state="queued", token="t0ken"))
    for payload in (
        {"type": "set_spin", "id": "s", "vin": VIN, "spin": "0815", "user": 5},
        {"type": "set_spin", "id": "s", "vin": 5, "spin": "0815"},
        {"type": "0815"},
        {"spin": "0815"},
    ):
        frame = Frame(topic="fleet/v1/desk/request", payload=msgpack.packb(payload), content_type=MESSAGEPACK)
        with pytest.raises(Undecodable) as caught:
            PLAIN.read_desk_request(frame)
        assert "0815" not in str(caught.value) + repr(caught.value) + caught.value.detail
        assert caught.value.__cause__ is None
