"""The verdict of a run as `junit.xml`: what continuous integration systems read, one test case for each expectation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite


def write_junit(folder: Path, report: Mapping[str, Any]) -> None:
    """Write `junit.xml` into `folder`; an invalid run is an error, an interrupted one has skipped what it expects."""
    suite = TestSuite(report["scenario"])
    suite.add_property("seed", str(report["seed"]))
    suite.add_property("verdict", report["verdict"])
    suite.add_testcase(_run(report))
    for expectation in report["expectations"]:
        suite.add_testcase(_case(report, expectation))
    suite.update_statistics()
    suite.time = report["wall_s"]
    xml = JUnitXml(name="fleet")
    xml.add_testsuite(suite)
    xml.update_statistics()
    xml.write(str(folder / "junit.xml"), pretty=True)


def _run(report: Mapping[str, Any]) -> TestCase:
    case = TestCase("the run is valid", classname=report["scenario"], time=report["wall_s"])
    if report["verdict"] == "invalid":
        case.result = [Error(report["reason"])]
    elif report["verdict"] == "interrupted":
        case.result = [Skipped(report["reason"])]
    return case


def _case(report: Mapping[str, Any], expectation: Mapping[str, Any]) -> TestCase:
    """One expectation, with its value, and what is to be said of it."""
    case = TestCase(expectation["text"], classname=".".join(filter(None, (report["scenario"], expectation.get("stage")))))
    value = "nothing" if expectation["value"] is None else f"{expectation['value']:g}"
    said = f"it was {value}" + (f" ({expectation['note']})" if expectation["note"] else "")
    case.system_out = said
    if report["verdict"] in {"invalid", "interrupted"}:
        case.result = [Skipped(f"the run was {report['verdict']}; {said}")]
    elif not expectation["passed"]:
        case.result = [Failure(f"not met: {said}")]
    return case
