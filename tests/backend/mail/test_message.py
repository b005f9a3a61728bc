"""Messages: their headers say what they should, and nobody's data add any."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest

from fleet.backend.mail.letter import Letter, NotDelivered
from fleet.backend.mail.message import EIGHT_BIT, QUOTED, message_of
from fleet.backend.mail.texts import LANGUAGES, worded
from fleet.cloud.people.mails import MAILS
from tests.backend.mail.lab import DATA, MADE, SECRET, VIN, letter
from tests.backend.mail.test_address import HOSTILE

HEADERS = [
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Fleet-Kind", "Content-Type", "Content-Transfer-Encoding",
    "MIME-Version", "Content-Language",
]  # fmt: skip


def read(letter: Letter, encoding: str = EIGHT_BIT) -> EmailMessage:
    """Return a message as its receiver reads it."""
    message = email.message_from_bytes(message_of(letter, encoding=encoding), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_message_as_its_receiver_reads_it() -> None:
    message = read(letter(language="sv", secret=SECRET))
    assert sorted(message.keys()) == sorted(HEADERS)
    assert message["To"] == "anna@example.org"
    assert message["From"].addresses[0].addr_spec == "no-reply@fleet.example"
    assert message["Subject"] == "CUPRA CONNECT med navigation har förnyats"
    assert message["Date"] == "Sun, 01 Mar 2026 08:00:00 +0000"  # scenario time
    assert message["Message-ID"] == f"<mail-17.{MADE}@fleet.example>"
    assert message["Content-Language"] == "sv"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Fleet-Kind"] == "licence_renewed"
    body = message.get_content().replace("\r\n", "\n")
    assert body.startswith("Hej!\n\nDin licens för CUPRA CONNECT med navigation i bilen")
    assert VIN in body


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", sorted(MAILS))
def test_every_letter_reads_the_same_in_both_encodings(language: str, kind: str) -> None:
    """A server gets no byte above 127 and no line that is too long; a file has the letters as they are."""
    one = letter(kind, language=language, secret=SECRET)
    text = worded(one)
    for encoding in (EIGHT_BIT, QUOTED):
        message = read(one, encoding)
        assert not message.defects
        assert not any(value.defects for value in message.values())
        assert message["Subject"] == text.subject
        assert message.get_content().replace("\r\n", "\n") == text.body
    written = message_of(one, encoding=QUOTED)
    assert max(written) < 128
    assert max(map(len, written.split(b"\r\n"))) <= 78
    assert b"\n" not in written.replace(b"\r\n", b"")
    assert VIN.encode() in message_of(one) or VIN not in text.body


def test_a_try_that_is_made_again_makes_the_same_message() -> None:
    assert message_of(letter()) == message_of(letter())
    assert len({read(one)["Message-ID"] for one in (letter(), letter(id=18), letter(made=MADE + 1))}) == 3


def test_the_domain_of_an_address_is_written_in_ascii() -> None:
    assert read(letter(address="anna+car@exämple.org"))["To"] == "anna+car@xn--exmple-cua.org"


@pytest.mark.parametrize("address", HOSTILE)
def test_no_address_adds_a_header_or_a_receiver(address: str) -> None:
    """What would is refused for good; the reason says nothing of it."""
    with pytest.raises(NotDelivered) as caught:
        message_of(letter(address=address))
    assert caught.value.outcome == "refused"
    assert "all@example.org" not in caught.value.detail


@pytest.mark.parametrize(
    "value", ["1\r\nBcc: all@example.org", "1\nX-Evil: yes", "1\r\n\r\n<html>", "1\x0bBcc: a@b", "1\u2028Bcc: a@b"]
)
def test_no_data_add_a_header(value: str) -> None:
    """An invoice's number stands in the subject."""
    message = read(letter("invoice", data=DATA | {"number": value}))
    assert sorted(message.keys()) == sorted(HEADERS)
    assert message["Subject"].startswith("Your invoice 1 ")


def test_a_long_subject_stays_one() -> None:
    message = read(letter("invoice", data=DATA | {"number": "é" * 5_000}))
    assert sorted(message.keys()) == sorted(HEADERS)
    assert message["Subject"].startswith("Your invoice ééé")
    assert message["Subject"].endswith("…")


def test_secrets_and_data_are_in_no_repr() -> None:
    assert SECRET not in repr(letter(secret=SECRET))
