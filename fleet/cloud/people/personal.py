"""Judges personal details: names and dates of birth. The bounds of age are ours."""

from __future__ import annotations

from datetime import date
from typing import Final

from fleet.cloud.people.figures import STANDARD, Figures
from fleet.kernel.instants import Instant, to_datetime

LONGEST_NAME: Final = 80


def name_fault(name: str) -> str | None:
    """Return what is wrong with a word for people, such as a name; line ends would go into headers of mails."""
    if not name.strip() or len(name) > LONGEST_NAME:
        return f"it has 1 to {LONGEST_NAME} characters"
    return None if name.isprintable() else "it holds a line end or another sign that cannot be printed"


def birth_date_fault(text: str, now: Instant, figures: Figures = STANDARD) -> str | None:
    """Return what is wrong with a date of birth as of now."""
    try:
        born = date.fromisoformat(text)
    except ValueError:
        born = None
    if born is None or born.isoformat() != text:
        return "a date is written as 1990-05-17"
    today = to_datetime(now).date()
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if born > today:
        return "it is in the future"
    youngest, oldest = figures.youngest, figures.oldest
    return None if youngest <= age <= oldest else f"a person with an account is {youngest} to {oldest} years old"
