"""What a machine of a journal and its link did last, for people who look into something that happened at a line."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from fleet.kernel.instants import format_instant
from fleet.observe.journal import Input, JournalReader, Output, Record

STORY_RECORDS: Final = 20
SHOWN_CHARACTERS: Final = 160
CAR: Final = "car/"
LINK: Final = "link/"


def story(path: Path, machine: str, line: int) -> list[str]:
    """Return what the machine and its link did last, up to a line of the journal."""
    return stories(path, [(machine, line)])[0]


def stories(path: Path, asked: Sequence[tuple[str, int]], *, records: int = STORY_RECORDS) -> list[list[str]]:
    """Return the story of each (machine, line); the journal is read once, and no further than it must be."""
    last: list[deque[str]] = [deque(maxlen=records) for _ in asked]
    about: dict[str, list[int]] = {}
    for index, (machine, _) in enumerate(asked):
        name = machine.removeprefix(CAR).removeprefix(LINK)
        for each in {machine, CAR + name, LINK + name}:
            about.setdefault(each, []).append(index)
    end = max((line for _, line in asked), default=0)
    for number, record in enumerate(JournalReader(path), 1):
        if number > end:
            break
        told = ""
        for index in about.get(record.m, ()):
            if number <= asked[index][1]:
                told = told or f"{number}: {format_instant(record.t)}  {tell(record)}"
                last[index].append(told)
    return [list(each) for each in last]


def tell(record: Record) -> str:
    """Write a record for people, on one line."""
    word = f"{record.k:9}"
    match record:
        case Input() | Output():
            return short(f"{word} {named(record)} {_text(record.data)}".rstrip())
        case _:
            plain = msgspec.to_builtins(record)
            left = {name: value for name, value in plain.items() if name not in {"t", "m", "k"}}
            return short(f"{word} {_text(left)}".rstrip())


def named(record: Input | Output) -> str:
    """Return the type of an input or output, with that of its message."""
    return record.type if record.of is None else f"{record.type} {record.of}"


def short(text: str) -> str:
    """Return as much of a text as is shown on one line."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _text(data: Any) -> str:
    return msgspec.json.encode(data).decode() if data else ""
