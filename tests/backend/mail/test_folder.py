"""Letters as files: once each, whole, in order, and nobody else's to read."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.backend.mail.folder import Folder, content_of, files_of
from fleet.backend.mail.letter import NotDelivered
from fleet.kernel.instants import HOUR
from tests.backend.mail.lab import AT, MADE, SECRET, letter, not_called


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


def test_mails_and_pushes_are_files_in_the_order_of_their_time(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run" / "mail")
    folder.deliver(letter(id=2, at=AT + HOUR, kind="invoice"), not_called)
    folder.deliver(letter(id=11, kind="password_reset", secret=SECRET), not_called)
    folder.deliver(letter(id=12, channel="push", kind="user_removed", address=""), not_called)
    assert names(tmp_path / "run" / "mail") == [
        "20260301T080000Z-000011-password_reset.eml",
        "20260301T080000Z-000012-user_removed.json",
        "20260301T090000Z-000002-invoice.eml",
    ]
    pushed = json.loads((tmp_path / "run" / "mail" / "20260301T080000Z-000012-user_removed.json").read_text())
    assert (pushed["id"], pushed["kind"], pushed["account"]) == (f"push-12.{MADE}", "user_removed", "p1")
    assert pushed["title"] == "You are no longer a user of a car"


def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    """Links in them hold secrets."""
    Folder(tmp_path / "mail").deliver(letter(), not_called)
    assert stat.S_IMODE((tmp_path / "mail").stat().st_mode) == 0o700
    (file,) = (tmp_path / "mail").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("channel", ["mail", "push"])
def test_a_try_after_a_kill_makes_no_second_file(tmp_path: Path, channel: str) -> None:
    """Killed before the outcome was noted, or in the middle of writing: there is one whole file in the end."""
    one = letter(channel=channel)
    Folder(tmp_path).deliver(one, not_called)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    Folder(tmp_path).deliver(one, not_called)
    assert list(tmp_path.iterdir()) == [file]
    file.unlink()
    file.with_name(f".{file.name}.part").write_bytes(whole[:100])
    Folder(tmp_path).deliver(one, not_called)
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_bytes() == whole


def test_the_file_of_another_store_stays(tmp_path: Path) -> None:
    """Two stores may number a mail alike; each finds its own."""
    mine, other = letter(), letter(made=MADE + 1)
    for one in (other, mine, mine):
        Folder(tmp_path).deliver(one, not_called)
    assert len(names(tmp_path)) == 2
    assert [file.name for file in files_of(tmp_path, other)] == ["20260301T080000Z-000017-licence_renewed.eml"]
    assert [file.name for file in files_of(tmp_path, mine)] == ["20260301T080000Z-000017-licence_renewed-2.eml"]
    assert files_of(tmp_path, replace(mine, id=18)) == []


def test_an_erased_letter_leaves_no_file_and_no_half_of_one(tmp_path: Path) -> None:
    """What a kill left in the middle of writing holds as much of a person as a whole file; those of others stay."""
    folder = Folder(tmp_path)
    for one in (letter(), letter(id=18)):
        folder.deliver(one, not_called)
    (tmp_path / ".20260301T080000Z-000017-licence_renewed.eml.part").write_bytes(b"To: anna@example.org")
    folder.remove(letter())
    folder.remove(letter())
    assert names(tmp_path) == ["20260301T080000Z-000018-licence_renewed.eml"]


def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file where a folder is needed")
    with pytest.raises(NotDelivered) as caught:
        Folder(tmp_path / "mail").deliver(letter(), not_called)
    assert caught.value.outcome == "unreachable"
    assert "mail" in caught.value.detail


def test_a_kind_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(NotDelivered):
        Folder(tmp_path / "mail").deliver(letter("../../evil"), not_called)
    assert files_of(tmp_path, letter("../../evil")) == []
    assert names(tmp_path) == []


def test_a_vin_stands_whole_in_the_file() -> None:
    """So that a search over the run's files finds it: no encoding breaks it over two lines."""
    assert b"VSSZZZKMZPR000001" in content_of(letter(language="de"))
