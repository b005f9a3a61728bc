"""The picture of the README: the real live view, of what a real run told it. `python -m tests.runtime.picture` draws it anew.

With the name of a scenario it also takes new figures, from a run of it: from the first look after the middle of the day.
"""

from __future__ import annotations

import io
import json
import re
import sys
from html import unescape
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from fleet.cli import application, running
from fleet.runtime.view import LiveView, PlainView

ROOT: Final = Path(__file__).parents[2]
PICTURE: Final = ROOT / "docs" / "live-view.svg"
TOLD: Final = Path(__file__).with_name("picture.json")
WIDTH: Final = 118


def draw() -> str:
    """Return the picture."""
    told = json.loads(TOLD.read_text(encoding="utf-8"))
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    view = LiveView(console)
    view._rate.per_s = told["per_s"]
    console.print("rush-hour: 2000 cars, 17 h at clock x1800, seed 20260302", markup=False, highlight=False)
    console.print(view.draw(told["simulator"], told["backend"]))
    svg = console.export_svg(title="fleet run rush-hour", unique_id="live-view")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # its fonts would be fetched from elsewhere


def texts_of(svg: str) -> list[str]:
    """Return what is written in a picture, line by line, whatever it is drawn with."""
    return [unescape(text).replace("\xa0", " ").strip() for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


class _Listening(PlainView):
    """Keeps the first look after the middle of the day."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.told: dict[str, Any] = {}

    def update(self, simulator: dict[str, Any], backend: dict[str, Any]) -> None:
        super().update(simulator, backend)
        if simulator and simulator["elapsed_share"] >= 0.55 and not self.told:
            self.told = {"per_s": round(self._rate.per_s), "simulator": simulator, "backend": backend}


def _take(scenario: str) -> None:
    views: list[_Listening] = []

    def listen(console: Console) -> _Listening:
        views.append(_Listening(console))
        return views[-1]

    running.make_view = listen  # type: ignore[attr-defined]
    application("run")([*("run", scenario, "--clock", "x1800")], standalone_mode=False)
    kept = views[0].told
    kept["backend"] = {name: kept["backend"][name] for name in ("stored", "commands_ended", "commands_open", "warnings")}
    TOLD.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _take(sys.argv[1])
    PICTURE.write_text(draw(), encoding="utf-8")
