"""A bug as a change of source text, and how it is planted."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """A bug: `old` stands exactly once in `file` (below `fleet/`) and becomes `new`.

    `told` says what is wrong for people. `scenario` is the shipped one that catches it, run with `cars` where not all are needed;
    `caught_by` names the checks of `fleet verify`, and begins the expectations, that must fail. `within` is the header of the
    only table of a TOML file in which `old` is looked for.
    """

    name: str
    told: str
    file: str
    old: str
    new: str
    scenario: str
    caught_by: tuple[str, ...]
    cars: int | None = None
    within: str = ""

    def planted(self, root: Path) -> str:
        """Return the text of the file below `root` with the bug; raises ValueError when `old` is not there exactly once."""
        text = (root / "fleet" / self.file).read_text(encoding="utf-8")
        before, part, after = self._parts(text)
        if (count := part.count(self.old)) != 1:
            where = f"fleet/{self.file} {self.within}".rstrip()
            raise ValueError(f"{self.name}: {where} has {count} times, not once: {self.old!r}")
        return before + part.replace(self.old, self.new) + after

    def plant(self, root: Path) -> None:
        """Change the copy of the project in `root`; raises ValueError when the text is not there exactly once."""
        text = self.planted(root)
        (root / "fleet" / self.file).write_text(text, encoding="utf-8")

    def _parts(self, text: str) -> tuple[str, str, str]:
        """Return what stands before the table, the table (the whole text without one), and what stands after it."""
        if not self.within:
            return "", text, ""
        before, header, rest = text.partition(f"{self.within}\n")
        table, border, after = rest.partition("\n[")
        return before, header + table, border + after
