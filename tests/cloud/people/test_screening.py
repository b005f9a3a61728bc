"""The list of sanctions: found under any spelling of a name, and an innocent namesake goes free."""

from __future__ import annotations

import pytest

from fleet.cloud.people.screening import is_listed, words_of


@pytest.mark.parametrize(
    "name",
    [
        "Viktor Blackwood",
        "VIKTOR BLACKWOOD",
        "Blackwood, Viktor",
        "Víktor Bläckwood",
        "Victor Blackwood",
        "Wiktor Blackwod",
        "Viktor Blakwood",
        "Viktor Ivan Blackwood",
        "Viktor  Black-wood",
        "Виктор Блэквуд",
        "Dmitri Aleksandrovich Volkonin",
        "Dmitriy Volkonin",
        "Dmitrij Wolkonin",
        "Volkonin Dmitry",
        "Дмитрий Александрович Волконин",
        "Mitya Volkonin",
        "Jörg Müller-Schwarzbach",
        "Joerg Mueller Schwarzbach",
        "Jorg Muller Schwarzbach",
        "Ostmark Trading-House",
    ],
)  # fmt: skip
def test_a_listed_name_is_found_under_other_spellings(name: str) -> None:
    assert is_listed(name), words_of(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Viktor",
        "Blackwood",
        "Viktoria Blackwood",
        "Viktor Blackmore",
        "Anna Blackwood",
        "Dmitri Petrov",
        "Ostmark",
    ],
)
def test_another_name_is_not(name: str) -> None:
    assert not is_listed(name), words_of(name)


def test_an_innocent_namesake_was_born_on_another_day() -> None:
    assert is_listed("Дмитрий Волконин", "1961-08-23")
    assert not is_listed("Дмитрий Волконин", "1961-08-24")
    assert is_listed("Calypso Shadow Lines", "1961-08-24"), "of whom no date is known cannot be told apart"
