"""How some of many are named on one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

NAMED: Final = 3


def named(some: Sequence[str], of_all: int | None = None) -> str:
    """Return how many there are, and the first of them: `17: one, two, three …`; `of_all` where `some` are not all."""
    count = len(some) if of_all is None else of_all
    return f"{count}: {'; '.join(some[:NAMED])}" + (" …" if count > NAMED else "")
