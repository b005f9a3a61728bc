"""The mailboxes of simulated people: in the process of the back end, and as files of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.backend.mail.folder import Folder
from fleet.backend.mail.letter import Letter, NotDelivered
from fleet.cloud.people.tokens import LENGTH, PREFIX
from fleet.runtime.people.mailboxes import FolderOfMails, PostOffice
from tests.runtime.people.people_lab import START

TOKENS = [PREFIX + str(number) * LENGTH for number in range(3)]


def letter(number: int, kind: str = "confirm_address", address: str = "anna@example.org") -> Letter:
    secret = TOKENS[number] if kind == "confirm_address" else ""
    data = {"until": START} if secret else {}
    return Letter(number, "p1", address, "sv", kind, data, "", "mail", START + number, 1, secret)


def stays() -> None:
    raise AssertionError


def test_a_letter_is_in_the_mailbox_of_its_address_in_order() -> None:
    post = PostOffice()
    way = post.before({})["mail"]
    for each in (letter(1), letter(0), letter(2, address="bert@example.org")):
        way.deliver(each, stays)
    assert [each.id for each in post.letters_to("anna@example.org")] == [0, 1]
    assert way.is_quick


def test_a_link_is_that_of_the_newest_letter_and_taken_once() -> None:
    post = PostOffice()
    way = post.before({})["mail"]
    way.deliver(letter(0), stays)
    way.deliver(letter(1), stays)
    assert post.take_link("anna@example.org", "confirm_address") == TOKENS[1]
    assert post.take_link("anna@example.org", "confirm_address") is None
    way.deliver(letter(2), stays)
    assert post.take_link("anna@example.org", "confirm_address") == TOKENS[2]
    assert post.take_link("bert@example.org", "confirm_address") is None


def test_a_letter_that_its_own_way_refuses_is_in_no_mailbox() -> None:
    class Refusing:
        is_quick = False

        def deliver(self, letter: Letter, hand_over: object) -> None:
            raise NotDelivered("refused", "no such mailbox")

        def remove(self, letter: Letter) -> None:
            raise AssertionError

    post = PostOffice()
    way = post.before({"mail": Refusing()})["mail"]
    assert not way.is_quick
    with pytest.raises(NotDelivered):
        way.deliver(letter(0), stays)
    assert post.letters_to("anna@example.org") == []


def test_a_letter_that_is_erased_is_in_no_mailbox_and_no_folder(tmp_path: Path) -> None:
    """Also where it went on through the post office; the others stay."""
    post = PostOffice()
    way = post.before({"mail": Folder(tmp_path)})["mail"]
    for number in range(3):
        way.deliver(letter(number), stays)
    way.remove(letter(1))
    way.remove(letter(7, "address_known"))
    assert [each.id for each in post.letters_to("anna@example.org")] == [0, 2]
    assert len(list(tmp_path.iterdir())) == 2


def test_files_of_a_folder_are_read_as_they_come(tmp_path: Path) -> None:
    mails, folder = FolderOfMails(tmp_path / "mail"), Folder(tmp_path / "mail")
    assert mails.take_link("anna@example.org", "confirm_address") is None
    folder.deliver(letter(0), stays)
    folder.deliver(letter(1, "address_known"), stays)
    assert mails.take_link("Anna@example.org", "confirm_address") == TOKENS[0]
    assert mails.take_link("anna@example.org", "confirm_address") is None
    folder.deliver(letter(2), stays)
    assert mails.take_link("anna@example.org", "confirm_address") == TOKENS[2]
