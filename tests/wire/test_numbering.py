"""The number of a message in a user property: written, read back, and refused where it is none."""

from __future__ import annotations

import pytest

from fleet.errors import Undecodable
from fleet.wire.frame import Frame
from fleet.wire.messages import Event
from fleet.wire.numbering import NUMBER, number_of, read_number

VIN = "VSSZZZKMZRR000001"
LIVE = Event(vin=VIN, boot=7, seq=3, captured_at=11, due_wall_us=5, sent_wall_us=6, name="engine_on")
VIRTUAL = Event(vin=VIN, boot=7, seq=3, captured_at=11, name="engine_on")


def frame(*properties: tuple[str, str]) -> Frame:
    return Frame(topic="a", payload=b"", user_properties=properties)


@pytest.mark.parametrize("event", [LIVE, VIRTUAL])
def test_a_number_comes_back_as_it_was_written(event: Event) -> None:
    """Header and place among the parts survive, with and without wall times."""
    found = read_number(frame(("other", "x"), number_of(event, 2, 5)))
    assert found is not None
    header = found.header
    assert (header.vin, header.boot, header.seq, header.captured_at) == (VIN, 7, 3, 11)
    assert (header.due_wall_us, header.sent_wall_us) == (event.due_wall_us, event.sent_wall_us)
    assert (found.part, found.parts) == (2, 5)


def test_a_frame_without_the_property_has_no_number() -> None:
    """None, not an error: other systems write there, too."""
    assert read_number(frame(("schema", "1"))) is None


@pytest.mark.parametrize(
    "text",
    ["", VIN, f"{VIN} 7 3 11", f"{VIN} 7 3 11 1",
     f"{VIN} 7 3 11 0/1", f"{VIN} 7 3 11 2/1", f"{VIN} 7 3 11 1/2000", f"{VIN} 7 -3 11 1/1",
     "KMZ 7 3 11 1/1", f"{VIN} 7 3 11 1/1 5", f"{VIN} 7 3 {2**63} 1/1", f"{VIN} 7 ٣ 11 1/1", f"{VIN}  7 3 11 1/1"],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    """With the reason `number`, whatever stands there."""
    with pytest.raises(Undecodable) as caught:
        read_number(frame((NUMBER, text)))
    assert caught.value.reason == "number"
