"""`python -m tests.conformance` says what is wrong with what it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vectorz"], "unknown suite 'vectorz'. Did you mean 'vectors'?"),
        (["--target", "moskito"], "unknown target 'moskito'."),
        (["vectors", "--target", "swarm link"], "none of these suites has that target. Only link-vectors is for the swarm link."),
        (["vectors"], "no folder of suites. Give --suites DIR, or set FLEET_SUITES (see CONTRIBUTING.md)."),
        (
            ["vectors", "--suites", "FOLDER"],
            "test/broker/data/CONNECT.json is not there. Clone it: git clone https://github.com/",
        ),
    ],
)
def test_bad_input(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In a sentence, with the next step, and the exit code of wrong use."""
    monkeypatch.delenv("FLEET_SUITES", raising=False)
    monkeypatch.setattr("sys.argv", ["conformance", *(word.replace("FOLDER", str(tmp_path)) for word in arguments)])
    assert main() == 2
    assert words in capsys.readouterr().err
