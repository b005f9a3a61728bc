"""What is not ours is printed as it is: no bracket is taken for markup, and no character steers the terminal."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from fleet.backend.schema import open_for_writing
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Arrival, Batch
from fleet.cli.printing import PlainConsole, json_text, visible
from fleet.kernel.instants import SECOND
from tests.cli.lab import call

ROOT = Path(__file__).parents[2]
VIN = "VSSZZZKMZPR000001"
NASTY = ["[/home]", "[red]", "Garage [north]", "[link=x]y[/link]", ":smile:", "[[a]]", "\\[x]", "a[/", "[@click=a]b"]


def printed(*parts: Any) -> str:
    stream = io.StringIO()
    PlainConsole(file=stream, width=200).say(*parts)
    return stream.getvalue()


@pytest.mark.parametrize("text", NASTY)
def test_brackets_are_brackets(text: str) -> None:
    """In lines, in styled parts and in the cells of tables."""
    assert printed(text) == f"{text}\n"
    assert printed((text, "red"), text) == f"{text}{text}\n"
    stream = io.StringIO()
    table = Table("head")
    table.add_row(text)
    PlainConsole(file=stream, width=200).print(table)
    assert text in stream.getvalue()


@given(st.text())
def test_nothing_steers_the_terminal(text: str) -> None:
    """Whatever comes: no escape, no carriage return, no change of direction; what can be read is not changed."""
    shown = visible(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    shown.encode()
    if text.isprintable():
        assert shown == text


def test_escapes_are_shown() -> None:
    """A car's name for a zone that would clear the screen is told as what it is."""
    assert printed("\x1b[2J\u202etxt.exe\r") == "\\x1b[2J\\u202etxt.exe\\r\n"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.none() | st.booleans() | st.integers() | st.text() | st.binary(), inner)
        ),
    )
)
def test_any_plain_data_is_json(value: Any) -> None:
    """Bytes, odd keys and infinities included: valid for every reader of JSON."""
    json.loads(json_text(value), parse_constant=pytest.fail)


def test_the_history_shows_what_a_car_has_sent(tmp_path: Path) -> None:
    """To the letter, for people and for machines, even of a store that an earlier back end filled with anything."""
    store = tmp_path / "store.sqlite"
    data = {"name": "Garage [north]", "flags": [True, None], "zone": "[/home]", "raw": b"\x00\xff", "odd": {1: "\x1b[31m"}}
    content = {"vin": VIN, "boot": 1, "seq": 1, "captured_at": SECOND, "name": "area_alert", "data": data}
    payload = msgspec.msgpack.encode(content)
    opened = SqliteStore(store)
    row = Arrival(VIN, 1, 1, "event", "area_alert", None, SECOND, None, None, SECOND, None, payload, None)
    opened.commit(Batch(arrivals=[row]), SECOND)
    opened.close()
    open_for_writing(store, created_by="").close()
    done = call("history", VIN, "--store", str(store))
    assert done.code == 0, done
    for shown in ('"Garage [north]"', "[true, null]", '"[/home]"', '"raw": "00ff"', '{"1": "\\u001b[31m"}'):
        assert shown in done.text
    plain = json.loads(call("history", VIN, "--store", str(store), "--json").out)
    assert plain[0]["content"]["data"]["zone"] == "[/home]"


def test_a_scenario_in_a_folder_with_brackets(tmp_path: Path) -> None:
    """Its path is told as it is, in an error, in a summary, and as the place of a report."""
    folder = tmp_path / "[build]"
    folder.mkdir()
    text = (ROOT / "scenarios" / "find-my-car.yaml").read_text(encoding="utf-8")
    (folder / "[x].yaml").write_text(text, encoding="utf-8")
    assert f"{folder}/[x].yaml: ok" in call("check", str(folder / "[x].yaml")).text
    (folder / "[/y].yaml").mkdir(parents=True)
    (folder / "bad.yaml").write_text("[/red]: 1\n", encoding="utf-8")
    assert f"{folder}/bad.yaml:1:1: " in call("check", str(folder / "bad.yaml")).text
    out = folder / "[" / "y]"
    done = call("run", str(folder / "[x].yaml"), "--clock", "virtual", "--cars", "4", "--out", str(out))
    assert f"report     {out}/report.md" in done.out, done


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("status [/x]", "'[/X]'"),
        ("check [/x].yaml", "[/x].yaml"),
        ("command VSSZZZKMZPR000001 [/x]", "'[/x]'"),
        ("catalogue [/x]", "'[/x]'"),
        ("run [red]x[/red]", "[red]x[/red]"),
        ("history VSSZZZKMZPR000001 --kind [/x]", "'[/x]'"),
        ("verify [/x]", "[/x]"),
        ("cars --store [/x]", "[/x]"),
    ],
)
def test_errors_show_what_was_typed(line: str, typed: str) -> None:
    """Brackets of the user included, in our errors and in those of the options."""
    done = call(*line.split())
    assert done.code == 2
    assert typed in done.text


def test_no_markup_is_written_in_the_code() -> None:
    """The consoles know none: a style is a part of its own, `say(("error:", "red"), text)`."""
    found = [
        f"{path.name}:{number}"
        for path in sorted((ROOT / "fleet").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"\[/?(red|green|yellow|bold|dim|cyan)[^\]]*\]|rich\.markup", line)
    ]
    assert found == []
