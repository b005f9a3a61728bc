"""Each consent is a record, and the newest of a text counts."""

from __future__ import annotations

from fleet.cloud.people.consents import KEPT, consented
from fleet.cloud.people.records import Account
from tests.cloud.people.lab import START

ANNA = Account(id="p1", email="anna@example.com", registered=START)


def test_what_which_version_and_when_is_kept() -> None:
    agreed = consented(ANNA, "terms", "2026-1", given=True, now=START)
    taken_back = consented(agreed, "terms", "2026-1", given=False, now=START + 1)
    assert [(each.what, each.version, each.given, each.at) for each in taken_back.consents] == [
        ("terms", "2026-1", True, START),
        ("terms", "2026-1", False, START + 1),
    ]


def test_who_changes_minds_all_day_keeps_the_newest_of_each_text() -> None:
    account = consented(ANNA, "terms", "1", given=True, now=START)
    for number in range(2 * KEPT):
        account = consented(account, "research", "1", given=bool(number % 2), now=START + number)
    assert len(account.consents) == KEPT
    newest = {each.what: each for each in account.consents}
    assert newest["terms"].given
    assert newest["research"].at == START + 2 * KEPT - 1


def test_texts_without_end_are_bounded_too() -> None:
    account = ANNA
    for number in range(KEPT + 5):
        account = consented(account, f"purpose {number}", "1", given=True, now=START + number)
    assert len(account.consents) == KEPT
