"""The names that cars use as modules of OVMS v3, held against the documentation of its firmware.

FLEET_OVMS names a checkout of github.com/openvehicles/Open-Vehicle-Monitoring-System-3 (3.3.006).
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import pytest

from fleet.dialects.mapping_files import read_mapping_file
from fleet.dialects.ovms.dialect import MAPPING
from fleet.dialects.spec import full

CHECKOUT: Final = os.environ.get("FLEET_OVMS", "")
pytestmark = pytest.mark.skipif(not CHECKOUT, reason="FLEET_OVMS names no checkout of the firmware of OVMS")


def guide(page: str) -> str:
    return (Path(CHECKOUT) / "docs" / "source" / "userguide" / page).read_text(encoding="utf-8")


def test_each_metric_is_a_standard_one() -> None:
    """Under its name in the list of standard metrics."""
    known = set(re.findall(r"^([msv]\.[a-z0-9.]+)\s", guide("metrics.rst"), re.MULTILINE))
    ours = {name.replace("/", ".") for name in read_mapping_file(MAPPING).status[0].fields} | {"s.v3.connected"}
    assert len(ours) > 30
    assert ours - known == set()


def test_each_event_is_a_standard_one() -> None:
    """As its topic and as its name."""
    known = set(re.findall(r"^(vehicle\.[a-z0-9.]+)\s", guide("events.rst"), re.MULTILINE))
    told = [(entry.topic, full(entry.value or "")) for entry in read_mapping_file(MAPPING).events]
    names = {str(value.constant) for topic, value in told if topic == "{base}/event"}
    topics = {topic.removeprefix("{base}/event/").replace("/", ".") for topic, _ in told if topic.startswith("{base}/event/")}
    assert names == topics <= known


def test_each_answer_is_one_of_the_module() -> None:
    """Word by word, but where one answer is for two lines."""
    source = Path(CHECKOUT) / "vehicle" / "OVMS.V3" / "components" / "vehicle" / "vehicle_shell.cpp"
    said = set(re.findall(r'writer->puts\("([^"]+)"\)', source.read_text(encoding="utf-8")))
    ours = set()
    for entry in read_mapping_file(MAPPING).responses:
        value = full(entry.value or "")
        words = [str(each) for each in (value.constant, value.otherwise, *value.values.values()) if each is not None]
        ours |= {each.removesuffix(" (failed)").removesuffix(" (too late)") for each in words}
    assert ours - said == {
        "Climate Control", "Charge has been started or stopped", "Error: Could not start or stop charge",
        "Charge current limit set", "Error: Could not set charge current limit",
    }  # fmt: skip
