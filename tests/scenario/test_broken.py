"""Broken files: every error of each, with its place, what was expected and the nearest right name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.runtime.assembly import vocabulary
from fleet.scenario.action_checks import KNOWN_TO_CARS
from fleet.scenario.loader import check
from fleet.scenario.text import read_text
from fleet.wire.requests import requests
from tests.vehicle.services.test_online import WORDS

FOLDER = Path(__file__).parent / "broken"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_broken_file_is_told_all_that_is_wrong_with_it(path: Path) -> None:
    """In the order of its lines; the text beside the file is what was agreed to be right."""
    told = []
    for error in check(read_text(path), str(path), vocabulary()):
        told.append(str(error).replace(f"{FOLDER}/", ""))
        told.extend([f"  {error.hint}"] if error.hint else [])
    assert told == path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()


def test_words_that_a_car_fills_in_itself_are_not_missed() -> None:
    """All others that a request needs are: those that the driver must say."""
    for name, request in requests().items():
        if request.entry.is_of_screen:
            continue
        needed = {word for word, parameter in request.entry.parameters.items() if parameter.required}
        assert needed - KNOWN_TO_CARS == set(WORDS.get(name, ())), name


def test_there_are_enough_of_them() -> None:
    """At least ten files, and no text without its file."""
    assert len(FILES) >= 10
    assert {path.stem for path in FOLDER.glob("*.txt")} == {path.stem for path in FILES}
