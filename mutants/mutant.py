"""A bug as a change of source text, and how it is planted."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """A bug: `old` stands exactly once in `file` (below `fleet/`) and becomes `new`.

    `told` says what is wrong for people. `scenario` is the shipped one that catches it, run with `cars` where not all are needed;
    `caught_by` names the checks of `fleet verify`, and begins the expectations, that must fail.
    """

    name: str
    told: str
    file: str
    old: str
    new: str
    scenario: str
    caught_by: tuple[str, ...]
    cars: int | None = None

    def plant(self, root: Path) -> None:
        """Change the copy of the project in `root`; raises ValueError when the text is not there exactly once."""
        path = root / "fleet" / self.file
        text = path.read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: fleet/{self.file} has {count} times, not once: {self.old!r}")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")
