"""Builds the message of a mail: its headers, and its text as `texts` words it. Knows no server."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from fleet.backend.mail.address import BadAddress, wire_address
from fleet.backend.mail.letter import Letter, NotDelivered
from fleet.backend.mail.texts import worded
from fleet.kernel.instants import to_datetime

SENDER: Final = "no-reply@fleet.example"
SENDER_NAME: Final = "CUPRA CONNECT (fleet)"
KIND_HEADER: Final = "X-Fleet-Kind"


def message_id(letter: Letter, sender: str = SENDER) -> str:
    """Return a letter's Message-ID: the same at each try, so that a receiver can tell a repetition."""
    return f"<{letter.name}@{sender.rpartition('@')[2]}>"


def message_of(letter: Letter, sender: str = SENDER) -> EmailMessage:
    """Build the message, dated in scenario time. Raises NotDelivered (refused) for an address that no mail can go to."""
    try:
        address, _ = wire_address(letter.address)
        domain_sender, _ = wire_address(sender)
    except BadAddress as error:
        raise NotDelivered("refused", str(error)) from None
    text = worded(letter)
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(SENDER_NAME, addr_spec=domain_sender)
    local, _, domain = address.rpartition("@")
    message["To"] = Address(username=local, domain=domain)
    message["Subject"] = text.subject
    message["Date"] = to_datetime(letter.at)
    message["Message-ID"] = message_id(letter, sender)
    message["Auto-Submitted"] = "auto-generated"
    message[KIND_HEADER] = letter.kind
    message.set_content(text.body, cte="8bit")
    message["Content-Language"] = text.language  # after the content, which removes such headers
    return message
