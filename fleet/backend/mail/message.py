"""Writes the message of a mail: its headers, and its text as `texts` words it. Knows no server.

By hand from the standard library's parts: its `EmailMessage` takes some milliseconds for each, and three years have thousands.
"""

from __future__ import annotations

import quopri
from email.header import Header
from email.utils import format_datetime, formataddr
from typing import Final

from fleet.backend.mail.address import SENDER, BadAddress, wire_address
from fleet.backend.mail.letter import KIND_HEADER, Letter, NotDelivered
from fleet.backend.mail.texts import worded
from fleet.kernel.instants import to_datetime

SENDER_NAME: Final = "CUPRA CONNECT (fleet)"
_SUBJECT_ON_A_LINE: Final = 68
EIGHT_BIT: Final = "8bit"
"""Letters as they are, so that a search over files finds them."""
QUOTED: Final = "quoted-printable"
"""For servers: no byte above 127."""


def message_id(letter: Letter, sender: str = SENDER) -> str:
    """Return a letter's Message-ID: the same at each try, so that a receiver can tell a repetition."""
    return f"<{letter.name}@{sender.rpartition('@')[2]}>"


def message_of(letter: Letter, sender: str = SENDER, encoding: str = EIGHT_BIT) -> bytes:
    """Write the message, dated in scenario time. Raises NotDelivered (refused) for an address that no mail can go to."""
    try:
        address, _ = wire_address(letter.address)
    except BadAddress as error:
        raise NotDelivered("refused", str(error)) from None
    text = worded(letter)
    headers = {
        "From": formataddr((SENDER_NAME, sender)),
        "To": address,
        "Subject": _subject(text.subject),
        "Date": format_datetime(to_datetime(letter.at)),
        "Message-ID": message_id(letter, sender),
        "Auto-Submitted": "auto-generated",
        KIND_HEADER: letter.kind,
        "MIME-Version": "1.0",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": encoding,
        "Content-Language": text.language,
    }
    body = text.body.encode()
    if encoding == QUOTED:
        body = quopri.encodestring(body)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return head.encode() + b"\r\n" + body.replace(b"\n", b"\r\n")


def _subject(subject: str) -> str:
    if subject.isascii() and len(subject) <= _SUBJECT_ON_A_LINE:
        return subject
    charset = "us-ascii" if subject.isascii() else "utf-8"
    return Header(subject, charset, header_name="Subject").encode(linesep="\r\n")
