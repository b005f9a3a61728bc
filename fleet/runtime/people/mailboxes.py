"""The mailboxes of simulated people: letters of the back end by their address, and the links in them.

Where back end and people share a process, its post office is a way of delivery; otherwise they read the files of its folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email import message_from_bytes, policy
from pathlib import Path
from typing import Final, Protocol

from fleet.backend.mail.letter import CHANNELS, KIND_HEADER, Letter, Way
from fleet.cloud.people.tokens import LENGTH, PREFIX

_TOKEN: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{{LENGTH}}}")


class Mailboxes(Protocol):
    """What people can read."""

    def take_link(self, address: str, kind: str) -> str | None:
        """Return the secret of the newest letter of a kind to an address, once; None when there is no new one."""
        ...


class PostOffice:
    """All mailboxes: keeps each letter that it delivers, and gives it to the way behind it, if there is one."""

    def __init__(self) -> None:
        """Begin without a letter."""
        self._letters: dict[str, list[Letter]] = {}
        self._taken: set[int] = set()

    def before(self, ways: Mapping[str, Way]) -> dict[str, Way]:
        """Return these ways with this post office on each, and on channels that have none."""
        return {channel: _Counter(self, ways.get(channel)) for channel in CHANNELS}

    def keep(self, letter: Letter) -> None:
        """Put a letter into its mailbox."""
        self._letters.setdefault(letter.address or letter.account, []).append(letter)

    def remove(self, letter: Letter) -> None:
        """Take a letter out of its mailbox, if it is there."""
        held = self._letters.get(letter.address or letter.account, [])
        held[:] = [each for each in held if each.id != letter.id]

    def letters_to(self, *names: str) -> list[Letter]:
        """Return the letters to an address, and pushes to an account, in their order."""
        found = [letter for name in names for letter in self._letters.get(name, ())]
        return sorted(found, key=lambda letter: letter.id)

    def take_link(self, address: str, kind: str) -> str | None:
        """Return the secret of the newest letter of a kind to an address, once."""
        for letter in reversed(self._letters.get(address, ())):
            if letter.kind == kind:
                if letter.id in self._taken:
                    return None
                self._taken.add(letter.id)
                return letter.secret or None
        return None


class _Counter:
    """A way of delivery through a post office."""

    def __init__(self, office: PostOffice, behind: Way | None) -> None:
        self._office = office
        self._behind = behind
        self.is_quick = behind is None or behind.is_quick

    def deliver(self, letter: Letter, hand_over: Callable[[], None]) -> None:
        """Deliver on the way behind, then put it into its mailbox. Raises NotDelivered."""
        if self._behind is not None:
            self._behind.deliver(letter, hand_over)
        self._office.keep(letter)

    def remove(self, letter: Letter) -> None:
        self._office.remove(letter)
        if self._behind is not None:
            self._behind.remove(letter)


class FolderOfMails:
    """The mailboxes in a folder of `.eml` files, as another process writes them."""

    def __init__(self, path: Path) -> None:
        """Take the folder; it may not be there yet."""
        self._path = path
        self._changed = 0
        self._seen: set[str] = set()
        self._links: dict[tuple[str, str], str] = {}

    def take_link(self, address: str, kind: str) -> str | None:
        """Return the secret of the newest letter of a kind to an address, once."""
        self._read()
        return self._links.pop((address.lower(), kind), None)

    def _read(self) -> None:
        """Read the files that are new; their names are in the order of time."""
        try:
            changed = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if changed == self._changed:
            return
        self._changed = changed
        new = {path.name for path in self._path.iterdir() if path.suffix == ".eml"} - self._seen
        self._seen |= new
        for name in sorted(new):
            message = message_from_bytes((self._path / name).read_bytes(), policy=policy.default)
            body = message.get_body(("plain",))
            found = _TOKEN.search(body.get_content()) if body is not None else None
            if found is not None:
                self._links[str(message["To"]).lower(), str(message[KIND_HEADER])] = found.group()
