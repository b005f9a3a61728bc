"""junit.xml, as another program reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from fleet.observe.junit import write_junit

REPORT: dict[str, Any] = {
    "scenario": "storm",
    "seed": 7,
    "verdict": "failed",
    "reason": "not met",
    "wall_s": 12.5,
    "expectations": [
        {"text": "lost == 0", "stage": "", "value": 0, "passed": True, "note": ""},
        {"text": "calm: created >= 5", "stage": "calm", "value": 4, "passed": False, "note": ""},
        {
            "text": "latency_ms.publish_to_ack.p99 < 5 & 6",
            "stage": "",
            "value": None,
            "passed": False,
            "note": "nothing was measured",
        },
    ],
}


def read(folder: Path, **changes: Any) -> list[Any]:
    write_junit(folder, REPORT | changes)
    (suite,) = JUnitXml.fromfile(str(folder / "junit.xml"))
    assert (suite.name, suite.time) == ("storm", 12.5)
    assert suite.tests == 4
    return list(suite)


def test_each_expectation_is_a_case_with_its_value(tmp_path: Path) -> None:
    """Passed or failed as the report has it, and in the class of its stage."""
    run, met, missed, unmeasured = read(tmp_path)
    assert (run.name, run.result) == ("the run is valid", [])
    assert (met.name, met.classname, met.system_out, met.result) == ("lost == 0", "storm", "it was 0", [])
    assert (missed.classname, missed.result[0].message) == ("storm.calm", "not met: it was 4")
    assert isinstance(missed.result[0], Failure)
    assert unmeasured.name == "latency_ms.publish_to_ack.p99 < 5 & 6"
    assert unmeasured.system_out == "it was nothing (nothing was measured)"


@pytest.mark.parametrize(("verdict", "kind"), [("invalid", Error), ("interrupted", Skipped)])
def test_a_run_that_says_nothing_has_no_verdicts(tmp_path: Path, verdict: str, kind: type) -> None:
    """The run itself is the error, or was skipped; its expectations were not looked at."""
    run, *cases = read(tmp_path, verdict=verdict, reason="the machine was too slow")
    assert [(type(result), result.message) for result in run.result] == [(kind, "the machine was too slow")]
    assert [type(case.result[0]) for case in cases] == [Skipped] * 3
