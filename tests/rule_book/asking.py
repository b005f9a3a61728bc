"""How the book asks for a command: with words that are right, and what holds once it has succeeded."""

from __future__ import annotations

from typing import Any

from fleet.wire.commands import COMMANDS
from tests.rule_book.book import Story
from tests.rule_book.knowledge import KNOWN, Knowledge
from tests.rule_book.variations import OK


def prepared(car: Story, known: Knowledge) -> Story:
    """Bring the car where the command can succeed: with room in the battery, and the plug in."""
    if known.plug:
        car.do("low_fuel", level="50 %", then_s=1).do("plug_in")
    return car


def long_enough(name: str) -> dict[str, Any]:
    """Return a time to live that lasts for seconds at the clock of the file, where the command's own does not."""
    return {} if COMMANDS[name].entry.time_to_live_s >= 600 else {"time_to_live": "10 min"}


def ask(car: Story, name: str, outcome: str, what: str, **more: Any) -> Story:
    """Ask for a command with words that are right; when it succeeds the car stands as it should."""
    known = KNOWN[name]
    words: dict[str, Any] = {"parameters": known.words, **long_enough(name), **(known.stands or {})}
    if outcome == OK and known.then is not None and "action" not in more.get("parameters", {}):
        words["then"] = known.then
    return car.ask(name, outcome, what, **(words | more))


def stopped(name: str) -> str | None:
    """Return how a car stands once this was stopped."""
    return {"heater": "car.heater == off", "charging": "car.charging == plugged_in"}.get(name) or (
        "car.climate == off" if name in {"ventilation", "climatisation"} else None
    )
