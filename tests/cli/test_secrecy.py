"""Secrets on the command line: asked for, read from a pipe, kept in a file, and never among the words."""

from __future__ import annotations

import io
import stat
import sys
from pathlib import Path

import pytest
import typer

from fleet.backend import centre_driver
from fleet.cli.secrecy import SECRETS, read_secrets, read_session, refuse_secrets, write_session
from fleet.cloud.actions import load_actions
from fleet.errors import UsageError
from tests.cli.lab import call


def test_secrets_are_lines_of_what_is_piped_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order; an empty line leaves one out that may be."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("old horse\r\n\nnew horse\n"))
    wanted = ("password", "spin?", "new_password")
    assert read_secrets(wanted, {}) == {"password": "old horse", "new_password": "new horse"}
    monkeypatch.setattr(sys, "stdin", io.StringIO("\nnew horse\n"))
    with pytest.raises(UsageError, match="no password was given"):
        read_secrets(wanted, {})


def test_what_is_known_from_a_file_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert read_secrets(("refresh",), {"refresh": "fleet_r", "session": "fleet_s"}) == {"refresh": "fleet_r"}


def test_at_a_terminal_a_secret_is_hidden_and_a_new_one_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool, bool]] = []

    def prompt(text: str, *, hide_input: bool, confirmation_prompt: bool, **_: object) -> str:
        asked.append((text, hide_input, confirmation_prompt))
        return "horse"

    monkeypatch.setattr(typer, "prompt", prompt)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert read_secrets(("new_spin", "password?"), {}) == {"new_spin": "horse", "password": "horse"}
    assert asked == [("New spin", True, True), ("Password (none: an empty line)", True, False)]


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_among_the_words_is_refused_and_not_shown(name: str) -> None:
    with pytest.raises(UsageError, match="is a secret") as refused:
        refuse_secrets(["device=phone", f"{name}=old horse"])
    assert "old horse" not in str(refused.value) + refused.value.hint
    done = call("service", "account", "log_in", f"{name}=old horse")
    assert done.code == 2
    assert "old horse" not in done.out + done.err


def test_no_action_has_a_parameter_that_is_named_as_a_secret() -> None:
    actions = [entry for service in load_actions().values() for entry in service.actions.values()]
    named = {name for entry in actions for name in entry.parameters}
    assert not named & SECRETS
    assert SECRETS == centre_driver.SECRETS
    wanted = {name.removesuffix("?") for entry in actions for name in entry.secrets}
    assert wanted <= SECRETS


def test_a_session_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "session"
    path.write_text("older, and longer than what comes now: " + "x" * 200)
    path.chmod(0o644)
    write_session(path, {"session": "fleet_s", "refresh": "fleet_r"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_session(path) == {"session": "fleet_s", "refresh": "fleet_r"}
    path.write_text("fleet_s\n")
    assert read_session(path) == {"session": "fleet_s"}


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_without_a_session_in_it_a_file_is_refused(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "session").write_text(text)
    with pytest.raises(UsageError, match=r"cannot be read|holds no session"):
        read_session(tmp_path / "session")
