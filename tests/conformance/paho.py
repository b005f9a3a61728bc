"""Runs Paho's interoperability tests, each in a process of its own against a broker that nobody has used."""

from __future__ import annotations

import ast
import asyncio
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleet.transport.link import Endpoint
from tests.conformance.outcome import Outcome

LIMIT_S: Final = 90.0
"""The longest test waits half a minute; one that takes so long hangs."""
UNSTEADY: Final = frozenset({"test_request_response", "test_client_topic_alias", "test_flow_control2"})
"""Tests that do not end alike each time on a loaded machine. The first publishes before anybody has waited for the other client's
subscription, the last reads its DISCONNECT or not. They have three tries: the first that is passed counts, or the last."""
TRIES: Final = 3
_LAUNCHER: Final = """\
import runpy, sys, unittest
file, host, port, case = sys.argv[1:]
begin = unittest.main
unittest.main = lambda: begin(argv=[file, "-v", case])
sys.argv = [file, f"--hostname={host}", "-p", port]
sys.path.insert(0, ".")
runpy.run_path(file, run_name="__main__")
"""
"""The files take host and port from the command line, and one of them hands both on to unittest, which knows neither."""
_FAILURE: Final = re.compile(r"^[\w.]*(?:Error|Exception)\b", re.MULTILINE)
"""The kind of the error alone: its words hold times and addresses."""


@dataclass(frozen=True, slots=True)
class PahoCase:
    """One test method of a file."""

    file: Path
    name: str


def read_cases(file: Path) -> list[PahoCase]:
    """Return the tests of a file, in its order."""
    return [PahoCase(file, name) for name in _tests(file)]


def _tests(file: Path) -> Iterator[str]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == "Test":
            yield from (each.name for each in node.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test"))


async def run(case: PahoCase, endpoint: Endpoint) -> Outcome:
    """Run one test; one that does not end is failed, and one that is unsteady has several tries."""
    outcome = await _run_once(case, endpoint)
    for _ in range(TRIES - 1 if case.name in UNSTEADY else 0):
        if outcome.status == "passed" or outcome.seen == "it hangs":
            break
        outcome = await _run_once(case, endpoint)
    return outcome


async def _run_once(case: PahoCase, endpoint: Endpoint) -> Outcome:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-c", _LAUNCHER, case.file.name, endpoint.host, str(endpoint.port), f"Test.{case.name}",
        cwd=case.file.parent, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return Outcome(case.name, "failed", "the end of the test", "it hangs")
    if process.returncode == 0:
        return Outcome(case.name, "passed")
    text = said.decode(errors="replace")
    found = _FAILURE.findall(text)
    return Outcome(case.name, "failed", "OK", found[-1] if found else f"exit code {process.returncode}", detail=text)
