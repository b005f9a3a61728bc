"""The header that ties a message to its trace."""

from __future__ import annotations

import re

from fleet.wire.messages import (
    Event,
)
from tests.wire.test_dialect import FROM_CARS, HEADER, PLAIN, TO_CARS, VIN


def test_traceparent_has_the_w3c_format_and_tells_messages_apart() -> None:
    """Version 00, sampled; the same message has the same one, a command and its responses share theirs."""
    traces = {}
    for seq in range(1, 50):
        properties = dict(PLAIN.from_car(Event(**{**HEADER, "seq": seq}, name="trip")).user_properties)
        assert re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01", properties["traceparent"])
        assert properties["schema"] == "1"
        traces[seq] = properties["traceparent"]
    assert len(set(traces.values())) == len(traces)
    command = dict(PLAIN.to_car(VIN, TO_CARS[0]).user_properties)["traceparent"]
    assert dict(PLAIN.from_car(FROM_CARS[2]).user_properties)["traceparent"] == command
