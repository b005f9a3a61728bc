"""The last records of a machine and its link before a line of a journal, written for people."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from fleet.kernel.instants import format_instant
from fleet.observe.journal import Input, JournalReader, Output, Record
from fleet.wire.messages import STATUS_GROUPS, Status

STORY_RECORDS: Final = 20
SHOWN_CHARACTERS: Final = 160
STATUS_CHARACTERS: Final = 240
"""Of what has changed in a status."""
CAR: Final = "car/"
LINK: Final = "link/"
CUT: Final = "…"


def story(path: Path, machine: str, line: int, *, full: bool = False) -> list[str]:
    """Return the last records of the machine and its link up to a line of the journal; `full` leaves nothing out of a record."""
    return stories(path, [(machine, line)], full=full)[0]


def stories(path: Path, asked: Sequence[tuple[str, int]], *, records: int = STORY_RECORDS, full: bool = False) -> list[list[str]]:
    """Return the story of each (machine, line); the journal is read once, and no further than it must be."""
    last: list[deque[str]] = [deque(maxlen=records) for _ in asked]
    about: dict[str, list[int]] = {}
    for index, (machine, _) in enumerate(asked):
        name = machine.removeprefix(CAR).removeprefix(LINK)
        for each in {machine, CAR + name, LINK + name}:
            about.setdefault(each, []).append(index)
    writers = defaultdict[str, StoryWriter](lambda: StoryWriter(full=full))
    end = max((line for _, line in asked), default=0)
    for number, record in enumerate(JournalReader(path), 1):
        if number > end:
            break
        text = ""
        for index in about.get(record.m, ()):
            if number <= asked[index][1]:
                text = text or f"{number}: {format_instant(record.t)}  {writers[record.m].line(record)}"
                last[index].append(text)
    return [list(each) for each in last]


class StoryWriter:
    """Writes the records of one machine for people, each on a line. The news of a status come first."""

    def __init__(self, *, full: bool = False) -> None:
        """With `full` everything is written, as it stands in the journal."""
        self._full = full
        self._known: dict[str, Any] = {}
        """The newest of each group of the car's statuses."""

    def line(self, record: Record) -> str:
        """Return the line of the next record."""
        if isinstance(record, Input | Output):
            head, data = f"{record.k:9} {named(record)}", record.data
        else:
            left = {name: value for name, value in msgspec.to_builtins(record).items() if name not in {"t", "m", "k"}}
            head, data = f"{record.k:9}", left
        if self._full:
            return f"{head} {_text(data) if data else ''}".rstrip()
        if isinstance(record, Input | Output) and isinstance(data, dict) and record.m.startswith(CAR):
            data = _without_known(record, data)
            if record.k == "out" and record.of == Status.__name__:
                return f"{head} {self._news(data)}"
        return f"{head} {fit(data, SHOWN_CHARACTERS - len(head) - 1) if data else ''}".rstrip()

    def _news(self, status: dict[str, Any]) -> str:
        """Write a status: changes, states before quantities, then groups that are there for the first time; the rest by name."""
        groups: dict[str, Any] = {name: status.pop(name) for name in STATUS_GROUPS if name in status}
        news = {name: _changes(self._known.get(name), now) for name, now in groups.items() if now != self._known.get(name)}
        left_out, room = [], STATUS_CHARACTERS
        for name in sorted(news, key=lambda name: (name not in self._known, not _tells_state(news[name]))):
            length = len(_text({name: news[name]}))
            if length > room:
                left_out.append(name)
                continue
            room -= length
            status[name] = news[name]
        same = [name for name in groups if name not in news]
        self._known |= groups
        names = [("not shown", left_out), ("as before", same)]
        return "".join([_text(status), *(f"; {what}: {', '.join(each)}" for what, each in names if each)])


def _without_known(record: Input | Output, data: dict[str, Any]) -> dict[str, Any]:
    """Return an input or output of a car without its VIN, its boot, the line's time, and that it is a message; times last."""
    if isinstance(message := data.get("message"), dict):
        data = message | {name: value for name, value in data.items() if name != "message"}
    known = {"vin": record.m.removeprefix(CAR), "captured_at": record.t, "again": False}
    known["due_at"] = data.get("captured_at", record.t)
    names = sorted(data, key=lambda name: name.endswith("_at"))
    return {name: data[name] for name in names if name != "boot" and (name not in known or known[name] != data[name])}


def _changes(before: Any, now: Any) -> Any:
    """Return the fields that differ, as they are now; a field that is gone is None."""
    if not isinstance(now, dict):
        return now
    if not isinstance(before, dict):
        return _folded(now)
    missing = object()
    changes = {
        name: _changes(before.get(name), now.get(name))
        for name in dict.fromkeys((*now, *before))
        if before.get(name, missing) != now.get(name, missing)
    }
    return _folded(changes) if changes.keys() >= now.keys() else changes


def _folded(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields of one kind, such as doors, with the value of most of them as "*"."""
    kinds = {tuple(value) if isinstance(value, dict) else type(value) for value in fields.values()}
    if len(fields) < 3 or len(kinds) != 1 or not all(isinstance(value, dict | bool) for value in fields.values()):
        return fields
    values = list(fields.values())
    most = max(values, key=values.count)
    if values.count(most) == 1:
        return fields
    return {name: value for name, value in fields.items() if value != most} | {"*": most}


def _tells_state(change: Any) -> bool:
    """Whether a state has changed, and not only a quantity."""
    values = change.values() if isinstance(change, dict) else change if isinstance(change, list) else None
    return isinstance(change, str | bool) if values is None else any(map(_tells_state, values))


def named(record: Input | Output) -> str:
    """Return the type of an input or output, with that of its message."""
    return record.type if record.of is None else f"{record.type} {record.of}"


def short(text: str) -> str:
    """Return as much of a text as is shown on one line."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + CUT


def fit(data: Any, room: int) -> str:
    """Write plain data as JSON with so many characters at most: as much as fits from its beginning, "…" for the rest."""
    whole = _text(data)
    if len(whole) <= room:
        return whole
    match data:
        case dict():
            return _fit_parts("{}", [(f"{_text(name)}:", value) for name, value in data.items()], room)
        case list() | tuple():
            return _fit_parts("[]", [("", item) for item in data], room)
        case str() if room > len('"…"'):
            cut = _text(data[: room - len('"…"')] + CUT)
            return cut if len(cut) <= room else CUT  # what JSON must escape is longer
        case _:
            return CUT


def _fit_parts(brackets: str, parts: Sequence[tuple[str, Any]], room: int) -> str:
    """Write parts, each with its name, as far as they fit."""
    left = room - len(brackets) - len(CUT)
    written = []
    for name, value in parts:
        text = fit(value, left - len(name) - len(","))
        left -= len(name) + len(text) + len(",")
        if left < 0 or text == CUT:
            break
        written.append(name + text)
    if not written:
        return CUT
    more = [CUT] if len(written) < len(parts) else []
    return brackets[0] + ",".join([*written, *more]) + brackets[1]


def _text(data: Any) -> str:
    return msgspec.json.encode(data).decode()
