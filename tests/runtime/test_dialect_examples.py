"""An example of each message in a dialect."""

from __future__ import annotations

import pytest

from fleet.runtime.dialect_examples import examples
from fleet.wire.services import load_services
from tests.dialects.test_spec import ACME

pytestmark = pytest.mark.xdist_group("kit")


def test_ours_has_an_example_of_everything() -> None:
    found = {each.label: each for each in examples("json")}
    assert all(each.frames for each in found.values())
    for name in load_services().commands:
        assert found[f"command {name}"].to_car
    for name in load_services().events:
        (frame,) = found[f"event {name}"].frames
        assert frame.topic.endswith(f"/event/{name}")


def test_a_mapping_says_what_it_says_and_no_more() -> None:
    found = {each.label: each for each in examples(str(ACME))}
    assert len(found["status (load)"].frames) > 1  # a frame for each group
    assert found["command lock"].frames
    assert found["response lock: succeeded"].frames
    assert not found["command honk"].frames
    assert not found["request traffic"].frames
    assert [each.label.partition(" ")[0] for each in examples(str(ACME))][:1] == ["status"]
