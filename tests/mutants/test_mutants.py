"""The table of planted bugs is sound, is what the documentation tells, and what it plants is caught as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.checks.verification import declared_rules
from mutants.mutant import Mutant
from mutants.planting import ROOT, Copy, table_rows
from mutants.table import MUTANTS
from tests.shipped import FILES

DOCS = ROOT / "docs" / "checks.md"
QUICK = ("honk-to-501-m", "spin-locked-after-4", "ecall-without-position")
"""Planted in every run: a rule in the car, one of the desk, and what a car tells."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("mutants") / "copy")


def test_there_are_bugs_of_every_part() -> None:
    """At least 40, each by a name of its own, over rules, services, status, wire, desk, centre and store."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 40
    parts = {mutant.file.split("/")[0] for mutant in MUTANTS}
    assert parts >= {"vehicle", "wire", "cloud", "backend", "transport"}


def test_a_bug_in_a_table_of_a_catalogue_is_planted_there_alone(tmp_path: Path) -> None:
    """What stands in other tables, too, becomes something else in its own; without the table there is nothing to plant."""
    source = tmp_path / "fleet" / "one.toml"
    source.parent.mkdir()
    source.write_text("[a]\nx = 1\n\n[a.b]\nx = 1\n\n[c]\nx = 1\n", encoding="utf-8")
    Mutant("second", "", "one.toml", "x = 1", "x = 2", "find-my-car", (), within="[a.b]").plant(tmp_path)
    assert source.read_text(encoding="utf-8") == "[a]\nx = 1\n\n[a.b]\nx = 2\n\n[c]\nx = 1\n"
    with pytest.raises(ValueError, match=r"^none: fleet/one.toml \[d\] has 0 times, not once: 'x = 1'$"):
        Mutant("none", "", "one.toml", "x = 1", "x = 2", "find-my-car", (), within="[d]").plant(tmp_path)


def test_what_is_not_there_is_not_planted(tmp_path: Path) -> None:
    """A bug whose source has changed is an error, and no bug that everybody survives."""
    source = tmp_path / "fleet" / "one.py"
    source.parent.mkdir()
    source.write_text("a = 1\nb = 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^twice: fleet/one.py has 2 times, not once: '= 1'$"):
        Mutant("twice", "", "one.py", "= 1", "= 2", "find-my-car", ()).plant(tmp_path)
    assert source.read_text(encoding="utf-8") == "a = 1\nb = 1\n"


def test_each_says_what_catches_it() -> None:
    """Each names a shipped scenario, and at least one check, or expectation by how it begins."""
    scenarios = {path.stem for path in FILES}
    checks = {check for check, _ in declared_rules()}
    for mutant in MUTANTS:
        assert mutant.scenario in scenarios, mutant.name
        assert mutant.caught_by, mutant.name
        text = (ROOT / "scenarios" / f"{mutant.scenario}.yaml").read_text(encoding="utf-8")
        for told in mutant.caught_by:
            of_a_step_or_stage = ": " in told
            assert told in checks or told in text or of_a_step_or_stage, f"{mutant.name}: nobody knows {told!r}"


def test_the_documentation_has_all_bugs() -> None:
    """The table of docs/checks.md is what is planted, and what catches it."""
    text = DOCS.read_text(encoding="utf-8")
    begin = text.index("| bug | what is wrong |")
    told = text[begin : text.index("\n\n", begin)].splitlines()[2:]
    assert told == table_rows(), "put this in its place:\n" + "\n".join(table_rows())


@pytest.mark.parametrize("name", QUICK)
def test_a_bug_is_caught(copy: Copy, name: str) -> None:
    """By `fleet run` and `fleet verify` alone, by what the table names; the copy is as it was afterwards."""
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    before = (copy.folder / "fleet" / mutant.file).read_bytes()
    found = copy.judge(mutant.scenario, mutant=mutant, cars=mutant.cars)
    assert not found.crashed
    assert found.lacks(mutant.caught_by) == []
    assert (copy.folder / "fleet" / mutant.file).read_bytes() == before


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_bug_is_caught(copy: Copy, mutant: Mutant) -> None:
    """All of them."""
    found = copy.judge(mutant.scenario, mutant=mutant, cars=mutant.cars)
    assert found.lacks(mutant.caught_by) == [], found


@pytest.mark.nightly
@pytest.mark.parametrize(("scenario", "cars"), sorted({(mutant.scenario, mutant.cars or 0) for mutant in MUTANTS}))
def test_without_a_bug_all_holds(copy: Copy, scenario: str, cars: int) -> None:
    """Or else everything would be caught."""
    assert copy.judge(scenario, cars=cars or None).caught_by == ()
