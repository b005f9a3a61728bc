"""Delivers letters as files of a folder: mails as `.eml`, pushes as `.json`. Each is there whole or not at all, and once.

A file's name begins with the letter's scenario time, so that a folder read by name is a mailbox in order. Its owner alone may
read a file: links hold secrets.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from email.parser import BytesHeaderParser
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from fleet.backend.mail.letter import Letter, NotDelivered
from fleet.backend.mail.message import message_id, message_of
from fleet.backend.mail.webhook import push_content
from fleet.kernel.instants import to_datetime

_ENDINGS: Final = {"mail": ".eml", "push": ".json"}


class Folder:
    """A `Way` for both channels. Its folder is made with the first letter."""

    is_quick = True

    def __init__(self, path: Path) -> None:
        """Take where the files go."""
        self._path = path

    def deliver(self, letter: Letter, hand_over: Callable[[], None]) -> None:  # noqa: ARG002  a file that is there shows it
        """Write the file, unless it is there. Raises NotDelivered."""
        content = content_of(letter)
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(letter, content)
        except OSError as error:
            raise NotDelivered("unreachable", f"{self._path}: {error.strerror}") from error

    def remove(self, letter: Letter) -> None:
        """Remove the files of a letter, and what a kill left of one; whoever looks for what is left finds those that stay."""
        with suppress(OSError):
            for file in (*files_of(self._path, letter), *self._path.glob(f".{stem_of(letter)}*.part")):
                file.unlink(missing_ok=True)

    def _write(self, letter: Letter, content: bytes) -> None:
        stem, ending = stem_of(letter), _ENDINGS[letter.channel]
        for number in count(1):
            path = self._path / (f"{stem}{ending}" if number == 1 else f"{stem}-{number}{ending}")
            if not path.exists():
                _write_whole(path, content)
                return
            if _is_of(path, letter):
                return  # written before this process was killed


def stem_of(letter: Letter) -> str:
    """Return the first part of a file's name: time, number and kind; nothing of the person."""
    kind = "".join(character if character.isascii() and character.isalnum() else "_" for character in letter.kind[:60])
    return f"{to_datetime(letter.at):%Y%m%dT%H%M%SZ}-{letter.id:06d}-{kind}"


def content_of(letter: Letter) -> bytes:
    """Return the content of a letter's file. Raises NotDelivered."""
    return message_of(letter) if letter.channel == "mail" else push_content(letter)


def files_of(path: Path, letter: Letter) -> list[Path]:
    """Return the files in a folder that were written of this letter, not those of another store."""
    found = path.glob(f"{stem_of(letter)}*{_ENDINGS[letter.channel]}")
    return sorted(file for file in found if _is_of(file, letter))


def _write_whole(path: Path, content: bytes) -> None:
    """Write a new file under another name first, so that a kill leaves no half of it under its own."""
    draft = path.with_name(f".{path.name}.part")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.rename(path)


def _is_of(path: Path, letter: Letter) -> bool:
    """Tell whether a file was written of this letter, by what identifies it."""
    content = path.read_bytes()
    if letter.channel == "mail":
        return BytesHeaderParser().parsebytes(content).get("Message-ID") == message_id(letter)
    try:
        return bool(msgspec.json.decode(content)["id"] == letter.name)
    except (msgspec.DecodeError, KeyError, TypeError):
        return False
