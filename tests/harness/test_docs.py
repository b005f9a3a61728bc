"""docs/testing.md is true: its recipes and its tutorial run, and its reference leaves nothing out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import harness
from fleet.harness import plugin
from fleet.harness.backend import HarnessBackend
from fleet.harness.car import HarnessCar
from fleet.harness.clock import HarnessClock
from fleet.harness.faults import Faults
from fleet.harness.mailbox import HarnessMailbox
from fleet.harness.people import HarnessPerson
from fleet.harness.sent import Sent
from fleet.harness.user import SentCommand

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
TUTORIAL, RECIPES, REFERENCE = (
    PAGE.partition(f"\n## {begin}\n")[2].partition("\n## ")[0]
    for begin in ("Test your back end in ten minutes", "Recipes", "Reference")
)
OF_THE_WORLD = {"steps", "end", "mend", "cuts_off", "network_carries", "network_is_harmed"}
"""What the parts of a world ask each other, and no test does."""
WORDS = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`]+)`", REFERENCE))))


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Return what stands before each block of code, as a line, and the block."""
    for match in re.finditer(r"([^\n]*)\n\n```\w+\n(.*?)```", text, re.DOTALL):
        yield match[1], match[2]


@pytest.mark.parametrize(
    "kind", [HarnessBackend, HarnessCar, HarnessClock, HarnessMailbox, HarnessPerson, Faults, Sent, SentCommand]
)
def test_the_reference_has_all_that_a_test_can_say(kind: type) -> None:
    missing = {name for name in vars(kind) if not name.startswith("_")} - WORDS - OF_THE_WORLD
    assert missing == set()


def test_the_reference_has_all_names() -> None:
    """Fixtures, words of the mark, options, matchers, errors."""
    source = Path(plugin.__file__).read_text(encoding="utf-8")
    fixtures = re.findall(r"@pytest\.fixture(?:\(.*\))?\ndef (fleet\w*)", source)
    fixtures += re.findall(r'_async_fixture\(\w+, "(\w+)"\)', source)
    options = re.findall(r'addoption\("(--[\w-]+)"', source)
    assert len(fixtures) > 5
    assert len(options) > 5
    offered = {name for name in harness.__all__ if not name.startswith("Harness")} - {"World", "Faults", "ForeignBroker"}
    assert {*fixtures, *options, *plugin.WORDS, *offered} - WORDS == set()


def test_the_reference_names_nothing_that_is_not_there() -> None:
    """Each step that is written as a call exists."""
    section = REFERENCE.partition("### A car")[2].partition("### Matchers")[0]
    steps = set(re.findall(r"`(\w+)\(", section))
    assert len(steps) > 20
    assert {step for step in steps if not hasattr(HarnessCar, step)} == set()


@pytest.mark.live
def test_the_recipes_run(pytester: pytest.Pytester) -> None:
    """Each in a file of its own, as it stands."""
    recipes = [code for _, code in blocks(RECIPES)]
    pytester.makepyfile(**{f"test_recipe_{number}": code for number, code in enumerate(recipes)})
    (ini,) = (block for before, block in blocks(TUTORIAL) if before == "`pytest.ini`")
    pytester.makeini(ini)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-q")
    done.assert_outcomes(passed=len(recipes) + 7)  # one has four parameters, and one five tests


@pytest.mark.live
def test_the_tutorial_is_true(pytester: pytest.Pytester) -> None:
    """It passes, fails and passes again where it says so."""
    outcomes = []
    for before, code in blocks(TUTORIAL):
        name, where = re.fullmatch(r"`([\w.]+)`(.*)", before).groups()  # type: ignore[union-attr]
        path = pytester.path / name
        if where.startswith(", at its end"):
            path.write_text(path.read_text() + "\n\n" + code)
        elif where.startswith(", in place of"):
            text = path.read_text()
            begin, end = text.index("        doors = "), text.index("        self.statuses += 1\n")
            path.write_text(text[:begin] + code + text[end:])
        else:
            path.write_text(code)
        if name.startswith("test_") or where.startswith(", in place of"):
            done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")
            for kept in re.findall(r"the journal is kept: (.*)/journal.jsonl", done.stdout.str()):
                shutil.rmtree(kept)
            counted = done.parseoutcomes()
            outcomes.append((counted.get("passed", 0), counted.get("failed", 0)))
    assert outcomes == [(1, 0), (2, 0), (2, 1), (3, 0)]
