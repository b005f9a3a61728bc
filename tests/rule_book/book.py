"""Writes a rule book: a scenario each of whose lines asks one thing of one car and expects one exact outcome.

Each car of the book has a story of its own, with a time of its own; where it lies in the run is found when all are there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

DROP: Final = object()
"""Stands for a word that is left out."""
GAP_S: Final = 120
"""Between two commands of a car: less than it stays awake, and at the clock of the file time enough for an answer."""
BETWEEN_S: Final = 60
"""Between something that is done to a car and the next thing."""
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ .()=<>%-]*|\d+(\.\d+)? (m|km|s|min|h|ms|days|%)( \d+ s)?")
_WORDS_OF_YAML: Final = {"true", "false", "null", "yes", "no", "on", "off"}


@dataclass(frozen=True, slots=True)
class Line:
    """One expectation: of which entry of the catalogue, how it should end, and which event should come or not."""

    subject: str
    title: str
    outcome: str | None
    event: str | None = None
    event_data: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    fleet: str = ""
    only: str | None = None
    unwanted: bool = False
    """Whether the event must not come."""


@dataclass(slots=True)
class Story:
    """What happens to one car: `steps` are (seconds since its beginning, what); `now_s` is where the next one goes."""

    book: Book
    fleet: str
    index: int
    now_s: float = 0.0
    only: str | None = None
    starts_at_s: float | None = None
    steps: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def wait(self, seconds: float) -> Story:
        self.now_s += seconds
        return self

    def do(self, action: str, *, then_s: float = BETWEEN_S, **words: Any) -> Story:
        """Do something to the car."""
        return self._put({"do": action, **words}, then_s)

    def network(self, *, lasts_s: float, then_s: float = 0.0, **fault: Any) -> Story:
        """Do something to the car's connection, in virtual runs: live that needs a broker of ours."""
        return self._put({"network": fault, "for": seconds(lasts_s), "only": "virtual"}, then_s)

    def ask(
        self, command: str, outcome: str | None, what: str, *, then_s: float = GAP_S, parameters: Mapping[str, Any] | None = None,
        then: str | None = None, event: str | None = None, data: Mapping[str, Any] | None = None, **words: Any,
    ) -> Story:  # fmt: skip
        """Ask for a command, and expect how it ends, how the car stands then, and the next event of a name."""
        expect = {"outcome": outcome, "then": then, "event": event, "data": data}
        step = {"command": command, **({"parameters": dict(parameters)} if parameters else {}), **words}
        step = {key: value for key, value in step.items() if value is not DROP}
        if outcome is None and event is None:
            return self._put(step, then_s)
        self.book.lines.append(Line(command, what, outcome, event, data or {}, parameters or {}, self.fleet, self.only))
        return self._put(step | _expecting(f"{command}: {what}", expect), then_s)

    def serve(
        self, service: str, action: str, outcome: str, what: str, *, about: str = "each", then_s: float = BETWEEN_S, **data: Any
    ) -> Story:
        """Ask a service of the back end about the car, about a list with it alone, or about none."""
        self.book.lines.append(Line(f"{service} {action}", what, outcome, fleet=self.fleet, only=self.only))
        step = {"service": service, "action": action, **({"data": data} if data else {})}
        step |= {} if about == "each" else {"about": about}
        return self._put(step | _expecting(f"{service} {action}: {what}", {"outcome": outcome}), then_s)

    def online(
        self, request: str, reason: str | None, what: str, *, then_s: float = BETWEEN_S, data: Mapping[str, Any] | None = None
    ) -> Story:
        """Ask an online service in the car, and expect that it is answered, or fails for a reason."""
        doing = {"do": "ask", "request": request, **({"data": dict(data)} if data else {})}
        event, told = ("request_answered", {}) if reason is None else ("request_failed", {"reason": reason})
        within_s = then_s - 1
        return self.expect(
            request, what, doing=doing, event=event, data={"request": request, **told}, within_s=within_s, then_s=then_s,
            words=data,
        )  # fmt: skip

    def expect(
        self, subject: str, what: str, *, doing: Mapping[str, Any] | None = None, then_s: float = BETWEEN_S,
        event: str | None = None, data: Mapping[str, Any] | None = None, no_event: str | None = None,
        within_s: float | None = None, then: str | None = None, words: Mapping[str, Any] | None = None,
    ) -> Story:  # fmt: skip
        """Do something, or only look, and expect an event, none, or how the car stands."""
        within = None if within_s is None else seconds(within_s)
        expect = {"then": then, "event": event, "data": data, "no_event": no_event, "within": within}
        line = Line(subject, what, None, event or no_event, data or {}, words or {}, self.fleet, self.only, no_event is not None)
        self.book.lines.append(line)
        return self._put(dict(doing or {}) | _expecting(f"{subject}: {what}", expect), then_s)

    def _put(self, step: dict[str, Any], then_s: float) -> Story:
        if self.only is not None:
            step |= {"only": self.only}
        self.steps.append((self.now_s, step))
        self.now_s += then_s
        return self


def _expecting(title: str, expect: Mapping[str, Any]) -> dict[str, Any]:
    return {"title": title, "expect": {name: value for name, value in expect.items() if value is not None}}


class Book:
    """All stories, by chapter, and the fleets they need."""

    def __init__(self, fleets: Mapping[str, str]) -> None:
        """Take the fleets by name, each as what stands in its table beside name and count."""
        self.lines: list[Line] = []
        self._fleets = fleets
        self._counts: dict[str, int] = {}
        self._chapters: list[tuple[str, list[Story]]] = []

    def chapter(self, title: str) -> None:
        self._chapters.append((title, []))

    def car(self, fleet: str, *, only: str | None = None, at_s: float | None = None) -> Story:
        """Begin the story of another car. `at_s` is when it begins; else that is found."""
        index = self._counts.get(fleet, 0)
        self._counts[fleet] = index + 1
        story = Story(self, fleet, index, only=only, starts_at_s=at_s)
        self._chapters[-1][1].append(story)
        return story

    def write(self, head: str, *, duration_s: float, expectations: Sequence[str]) -> str:
        """Return the file. Stories that leave room begin one after another, so that not all ask at once."""
        parts = [head, "fleets:\n"]
        parts += [f"  - {{name: {name}, count: {count}, {self._fleets[name]}}}\n" for name, count in sorted(self._counts.items())]
        parts.append("\ntimeline:\n")
        stories = [story for _, chapter in self._chapters for story in chapter]
        for number, story in enumerate(stories):
            room_s = duration_s - 300 - story.now_s
            assert room_s > 0, f"the story of {story.fleet} {story.index} takes longer than the run"
            if story.starts_at_s is None:
                story.starts_at_s = 60 + round(number * 0.618034 % 1 * min(room_s - 60, 0.5 * duration_s))
        for title, chapter in self._chapters:
            parts.append(f"\n  # --- {title}\n")
            for story in chapter:
                parts += [f"  - {step}\n" for step in _written(story)]
        parts.append("\nexpectations:\n")
        parts += [f"  - {each}\n" for each in expectations]
        return "".join(parts)


def _written(story: Story) -> Iterator[str]:
    assert story.starts_at_s is not None
    for at_s, step in story.steps:
        cars = {} if step.get("about") == "none" else {"cars": {"fleet": story.fleet, "index": story.index}}
        first = {key: step[key] for key in ("only", "title") if key in step}
        rest = {key: value for key, value in step.items() if key not in {"only", "title", "expect"}}
        last = {"expect": step["expect"]} if "expect" in step else {}
        yield flow({"at": seconds(story.starts_at_s + at_s), **cars, **first, **rest, **last})


def seconds(value: float) -> str:
    """Write a duration to the microsecond."""
    minutes, rest = divmod(round(value * 1e6), 60_000_000)
    left = f"{rest / 1e6:.6f}".rstrip("0").rstrip(".") + " s"
    if not minutes:
        return left
    return f"{minutes} min" if not rest else f"{minutes} min {left}"


def flow(value: Any) -> str:
    """Write plain data as flow YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {flow(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return (
            value if _PLAIN.fullmatch(value) and value not in {"true", "false", "null"} else json.dumps(value, ensure_ascii=False)
        )
    return repr(value)
