"""What a command line does beside its work: examples that are right, and colours that can be switched off."""

from __future__ import annotations

import ast
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from fleet import cli
from fleet.cli import common
from tests.cli.lab import clean_environment

VIN = "VSSZZZKMZPR000001"
EXAMPLE = re.compile(r"^\s*(?:Examples?: )?fleet (.+?)(?: > \S+)?$", re.MULTILINE)
GROUPS = (common.RUN, common.WATCH, common.SCENARIOS, common.DIALECTS, common.JOURNALS, common.PARTS)


def leaves(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with the words that lead to it."""
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield path, command
        return
    for name, sub in subcommands.items():
        yield from leaves(sub, *path, name)


COMMANDS = dict(leaves(typer.main.get_command(cli.application())))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_each_has_an_example_that_is_right(path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The help shows how it is called, and what it shows is understood: names and values of all options."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    for name in ("runs/latest/journal.jsonl", "simulator.1.jsonl", "simulator.jsonl"):
        (tmp_path / name).touch()
    examples = [shlex.split(line) for line in EXAMPLE.findall(COMMANDS[path].help)]
    assert examples
    for words in examples:
        assert tuple(words[: len(path)]) == path
        arguments = [VIN if word == "VIN" else word for word in words[len(path) :]]
        COMMANDS[path].make_context(" ".join(path), arguments)


def test_the_help_is_grouped() -> None:
    """Every command stands in one of the groups, and no group is empty."""
    group: Any = typer.main.get_command(cli.application())
    panels = {name: command.rich_help_panel for name, command in group.commands.items()}
    assert set(panels.values()) == set(GROUPS)
    assert list(dict.fromkeys(panels.values())) == list(GROUPS)


# --- errors ---------------------------------------------------------------------------------------------------------

WITHOUT_NEXT_STEP = {
    "the private broker was not started",
    "the private broker does not run",
    "the embedded broker was not started",
    "the embedded broker does not run",
}
"""Who calls it wrongly is told so; no user can do anything about it."""
TOLD_TO_USERS = {"UsageError", "FleetError", "BrokerError", "StoreError", "ChildFailed", "RunBroken", "JournalError"}


def test_errors_name_the_next_step() -> None:
    """Whatever command line and runtime raise on purpose has a hint."""
    without = []
    for folder in ("cli", "runtime"):
        for path in sorted((Path(cli.__file__).parents[1] / folder).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    name = getattr(node.exc.func, "id", "")
                    message = ast.unparse(node.exc.args[0]).strip("'") if node.exc.args else ""
                    hinted = any(keyword.arg == "hint" for keyword in node.exc.keywords)
                    if name in TOLD_TO_USERS and not hinted and message not in WITHOUT_NEXT_STEP:
                        without.append(f"{path.name}:{node.lineno}: {message}")
    assert without == []


# --- colours --------------------------------------------------------------------------------------------------------


def on_a_terminal(*arguments: str, cwd: Path, **environment: str) -> bytes:
    """Return what `fleet ARGUMENTS` writes to a terminal that can do colours."""
    ours, theirs = pty.openpty()
    clean = {name: value for name, value in clean_environment().items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "fleet", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env={**clean, "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 4096):
            written += chunk
    except OSError:
        pass  # how Linux tells that the other end is closed
    finally:
        os.close(ours)
        process.wait(30)
    return written


@pytest.mark.live
@pytest.mark.parametrize("line", ["--help", "catalogue", "run rush-huor", "run rush-hour --carz 5", "check find-my-car"])
def test_no_color_leaves_no_escape_codes(line: str, tmp_path: Path) -> None:
    """Nothing coloured, bold or dim: in help, tables, errors of ours and errors of options; without it there is."""
    plain = on_a_terminal(*line.split(), cwd=tmp_path, NO_COLOR="1")
    assert len(plain) > 20
    assert b"\x1b" not in plain
    if not line.startswith("check"):  # which has nothing to stress
        assert b"\x1b[" in on_a_terminal(*line.split(), cwd=tmp_path)


def test_a_command_loads_its_own_part_alone() -> None:
    """Each command is in the table of the parts, so that none waits for the others to be loaded; a wrong name gets them all."""
    whole: Any = typer.main.get_command(cli.application())
    assert [name for names in cli.GROUPS.values() for name in names] == list(whole.commands)
    for names in cli.GROUPS.values():
        for name in names:
            part: Any = typer.main.get_command(cli.application(name))
            assert tuple(part.commands) == names
    wrong: Any = typer.main.get_command(cli.application("rnu"))
    assert list(wrong.commands) == list(whole.commands)


def test_a_virtual_run_loads_no_client_of_tools() -> None:
    """aiomqtt and paho take as long to load as a hundred cars live a day."""
    names = "sorted({'aiomqtt', 'paho', 'cryptography'} & set(sys.modules))"
    code = (
        f"import sys; from fleet.cli import application; application('run'); import fleet.runtime.virtual_stage; print({names})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
