"""What is known of foreign suites: a run that differs in any way is a surprise, and the page says what the book says."""

from __future__ import annotations

import msgspec
import pytest

from tests.conformance.known import Book, Known, Result, proposed, read_book, shortened, surprises
from tests.conformance.outcome import Outcome
from tests.conformance.page import PAGE, rendered
from tests.conformance.running import SUITES, changed, targets_of

GOOD = Outcome("A | one", "passed")
BAD = Outcome("A | two", "failed", "closed", "silent")
WORSE = Outcome("B | one", "failed", "closed", "silent")
LEFT = Outcome("B | two", "skipped", seen="too old")
BOOK = Book(
    "2.0",
    (Result("vectors", "it", 1, 2, 1),),
    (
        Known("vectors", "it", "suite", "it errs", 1, ("silent",), ("A | two",)),
        Known("vectors", "it", "ours", "we lack it", 1, ("silent",), ("B | one*",)),
        Known("vectors", "it", "not asked", "too old", 1, ("too old",)),
    ),
)


def seen(*outcomes: Outcome, book: Book = BOOK) -> list[str]:
    return list(surprises(book, "vectors", "it", outcomes))


def test_what_ends_as_is_known_is_no_surprise() -> None:
    assert seen(GOOD, BAD, WORSE, LEFT) == []


def test_an_unexpected_pass_is_one() -> None:
    found = seen(GOOD, Outcome(BAD.case, "passed"), WORSE, LEFT)
    assert found[0] == "A | two: passed, but it is known to fail otherwise: it errs"
    assert "no such result" in found[1]


def test_an_unexpected_failure_is_one() -> None:
    found = seen(Outcome(GOOD.case, "failed", "closed", "silent"), BAD, WORSE, LEFT)
    assert found[0] == "A | one: failed (wanted closed, saw silent), which nothing explains"


def test_another_failure_of_a_known_case_is_one() -> None:
    found = seen(GOOD, msgspec.structs.replace(BAD, seen="D0 00"), WORSE, LEFT)
    assert found == ["A | two: failed (wanted closed, saw D0 00), but it is known to fail otherwise: it errs"]


def test_a_case_that_is_gone_is_one() -> None:
    """The suite is another than the book was written for."""
    found = seen(GOOD, WORSE, LEFT)
    assert found[0] == "the entry 'it errs' counts 1 cases, and there are 0"


def test_a_case_with_two_reasons_is_one() -> None:
    twice = msgspec.structs.replace(BOOK, known=(*BOOK.known, BOOK.known[0]))
    assert "A | two: explained by 2 entries" in seen(GOOD, BAD, WORSE, LEFT, book=twice)


def test_what_is_not_explained_is_proposed_as_an_entry() -> None:
    """With whole groups in one line, and nothing that is explained already."""
    empty = msgspec.structs.replace(BOOK, known=())
    text = proposed(empty, "vectors", "it", [GOOD, BAD, WORSE, LEFT])
    assert 'seen = ["silent"]\ncases = [\n    "A | two",\n    "B | one",\n]' in text
    assert proposed(BOOK, "vectors", "it", [GOOD, BAD, WORSE, LEFT]) == ""
    assert shortened(["B | one", "B | two"], ["A | one", "B | one", "B | two"]) == ["B | *"]


def test_a_proxy_changes_an_outcome_or_a_byte() -> None:
    other = msgspec.structs.replace(GOOD, transcript=("D0 00",))
    assert changed([GOOD, BAD], [GOOD, BAD]) == []
    assert changed([GOOD, BAD], [other, msgspec.structs.replace(BAD, status="passed")]) == ["A | one", "A | two"]


def test_the_page_has_the_tables_of_the_book() -> None:
    """`python -m tests.conformance.page` writes them."""
    text = PAGE.read_text(encoding="utf-8")
    assert text == rendered(text, read_book())


@pytest.mark.parametrize("result", read_book().result, ids=lambda result: f"{result.suite} {result.target}")
def test_each_failure_of_the_book_has_its_reason(result: Result) -> None:
    """As many as fail and are skipped."""
    known = read_book().of(result.suite, result.target)
    assert result.target in targets_of(SUITES[result.suite])
    assert sum(entry.count for entry in known if entry.whose != "not asked") == result.failed
    assert sum(entry.count for entry in known if entry.whose == "not asked") == result.skipped
    assert all(len(entry.because) > 20 for entry in known)
