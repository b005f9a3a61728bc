"""Errors for people: the message says what is wrong, and the hint what to do, wherever it is read."""

from __future__ import annotations

import pickle
import subprocess
import sys
import traceback

import msgspec
import pytest

from fleet.cli.common import complain
from fleet.errors import (
    ConnectionLost,
    ConnectRefused,
    FleetError,
    MappingError,
    ScenarioError,
    StoreFull,
    UnknownName,
    Unreachable,
    UsageError,
)


def told(error: BaseException) -> list[str]:
    """Return the end of a traceback, without the name of the error's package."""
    return "".join(traceback.format_exception_only(error)).replace("fleet.errors.", "").splitlines()


def test_who_does_not_catch_an_error_is_shown_its_hint_once() -> None:
    """By Python itself, whatever program has called us."""
    script = "from fleet.errors import UnknownName; raise UnknownName('model', 'Leno', ['Leon', 'Born'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr.splitlines()[-2:] == ["fleet.errors.UnknownName: unknown model 'Leno'", "Did you mean 'Leon'?"]
    assert done.stderr.count("Did you mean") == 1


def test_a_hint_that_is_found_later_takes_the_place_of_the_first() -> None:
    """And leaves alone what others have noted."""
    error = UsageError("no such door", hint="Known: boot.")
    error.add_note("in line 7")
    error.hint = "Did you mean 'boot'?"
    assert told(error) == ["UsageError: no such door", "in line 7", "Did you mean 'boot'?"]
    error.hint = ""
    assert told(error) == ["UsageError: no such door", "in line 7"]


def test_an_error_without_a_hint_has_no_note() -> None:
    assert told(FleetError("broken")) == ["FleetError: broken"]


def test_the_command_line_tells_a_hint_once(capsys: pytest.CaptureFixture[str]) -> None:
    """It writes message and hint itself."""
    complain(UnknownName("model", "Leno", ["Leon"]))
    assert capsys.readouterr().err == "error: unknown model 'Leno'\n  Did you mean 'Leon'?\n"


def test_a_hint_goes_with_its_error_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(UsageError("no such door", hint="Known: boot.")))
    assert (error.hint, told(error)) == ("Known: boot.", ["UsageError: no such door", "Known: boot."])


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("broker", 1883, "it is gone", hint="Start it."),
        ConnectRefused("VIN", 0x84, "Unsupported protocol version", hint="Newer."),
        ConnectionLost("lost", hint="Again.", taken_over=None),
        UnknownName("model", "Leno", ["Leon"]),
        MappingError("wrong", file="a.yaml", line=3, column=4, hint="Right."),
        ScenarioError("wrong", file="a.yaml", line=3, column=4, hint="Right."),
        StoreFull("here.sqlite"),
    ],
)
def test_an_error_crosses_processes_as_what_it_is(error: FleetError) -> None:
    """By JSON, too, it arrives with its kind, its words, its hint and its fields."""
    arrived = FleetError.from_plain(msgspec.json.decode(msgspec.json.encode(error.to_plain())))
    assert type(arrived) is type(error)
    assert (str(arrived), arrived.hint) == (str(error), error.hint)
    assert {name: value for name, value in vars(arrived).items() if name != "__notes__"} == {
        name: value for name, value in vars(error).items() if name != "__notes__"
    }
    assert told(arrived) == told(error)


def test_an_error_of_an_unknown_kind_keeps_words_and_hint() -> None:
    """As one from a newer version would be."""
    arrived = FleetError.from_plain({"kind": "Newer", "text": "odd", "hint": "Look.", "fields": {"place": 3}})
    assert (type(arrived), str(arrived), arrived.hint) == (FleetError, "odd", "Look.")
