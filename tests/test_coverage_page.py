"""The page that says what is done names code, tests and scenarios that exist, and leaves no service out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.wire.services import load_services

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
DONE, NOT_DONE = PAGE.split("## Not done")


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables, heads left out."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] != "rule":
            yield cells


def named(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


def defined(path: Path) -> set[str]:
    """Return the names of the functions and classes at the top of a module."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    found = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return found | {
        target.id for node in body if isinstance(node, ast.Assign) for target in node.targets if isinstance(target, ast.Name)
    }


@pytest.mark.parametrize("row", list(rows(DONE)), ids=lambda row: row[0][:50])
def test_a_row_names_what_exists(row: list[str]) -> None:
    """Code and a test in each, a scenario in most."""
    _, code, tests, scenario = row
    assert named(code)
    for path in named(code):
        assert (ROOT / "fleet" / path).is_file(), path
    assert named(tests)
    for test in named(tests):
        path, _, name = test.partition("::")
        assert name in defined(ROOT / "tests" / path), test
    assert scenario == "–" or named(scenario)
    for name in named(scenario):
        assert (ROOT / "scenarios" / f"{name}.yaml").is_file(), name


def test_what_is_not_done_has_its_reason() -> None:
    assert all(len(row) == 2 and len(row[1]) > 20 for row in rows(NOT_DONE))


def test_each_command_and_online_service_has_its_row() -> None:
    told = {name for row in rows(DONE) for name in named(row[0])}
    services = load_services()
    assert set(services.commands) | set(services.requests) <= told


def test_the_story_of_everything_exists() -> None:
    (test,) = re.findall("^`([^`]+::[^`]+)`", DONE, re.MULTILINE)
    path, _, name = test.partition("::")
    assert name in defined(ROOT / "tests" / path)
