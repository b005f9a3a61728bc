"""Delivers mails by SMTP, with the standard library in a thread: a connection each, and nothing goes out in clear that must not.

A mail leaves our hands when the server has agreed to take its text. If no answer comes after that, nobody can tell whether it
was taken: its outcome is unknown, and it is not sent again by itself. What comes before that is tried again. All errors of
smtplib are OSErrors.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fleet.addresses import is_loopback
from fleet.backend.mail.address import SENDER, BadAddress, wire_address
from fleet.backend.mail.letter import Letter, NotDelivered
from fleet.backend.mail.message import QUOTED, message_of

ANSWER_S: Final = 60.0
"""Seconds that a server may take for each of its answers (RFC 5321 asks for minutes; a restart shall not wait so long)."""
_SERVICE_CLOSES: Final = 421
_GO_ON: Final = 354


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mails go. `implicit_tls`: it speaks TLS from the first byte; otherwise TLS begins as soon as it offers STARTTLS."""

    host: str
    port: int
    implicit_tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sender: str = SENDER
    answer_s: float = ANSWER_S


class Smtp:
    """A `Way` for mails."""

    is_quick = False

    def __init__(self, server: SmtpServer) -> None:
        """Take the server."""
        self._server = server

    def deliver(self, letter: Letter, hand_over: Callable[[], None]) -> None:
        """Send it. Raises NotDelivered."""
        content = message_of(letter, self._server.sender, QUOTED)
        address, is_wide = _address(letter)
        client = self._connected()
        try:
            try:
                self._offer(client, address, is_wide=is_wide)
            except OSError as error:
                raise NotDelivered("unreachable", self._told(error)) from error
            hand_over()
            self._hand_over(client, content)
        finally:
            client.close()

    def remove(self, letter: Letter) -> None:
        """Do nothing: it is with its receiver."""

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        client: smtplib.SMTP
        try:
            if server.implicit_tls:
                context = ssl.create_default_context()
                client = smtplib.SMTP_SSL(server.host, server.port, timeout=server.answer_s, context=context)
            else:
                client = smtplib.SMTP(server.host, server.port, timeout=server.answer_s)
        except OSError as error:
            raise NotDelivered("unreachable", self._told(error)) from error
        try:
            self._greet(client)
        except OSError as error:
            client.close()
            raise NotDelivered("unreachable", self._told(error)) from error
        except BaseException:
            client.close()
            raise
        return client

    def _greet(self, client: smtplib.SMTP) -> None:
        server = self._server
        client.ehlo_or_helo_if_needed()
        is_safe = server.implicit_tls
        if not is_safe and client.has_extn("starttls"):
            client.starttls(context=ssl.create_default_context())
            client.ehlo()
            is_safe = True
        if server.user is not None:
            if not (is_safe or is_loopback(server.host)):
                raise NotDelivered("unreachable", f"{server.host} offers no TLS, and the password goes nowhere in clear")
            client.login(server.user, server.password or "")

    def _offer(self, client: smtplib.SMTP, address: str, *, is_wide: bool) -> None:
        """Ask the server whether it takes a mail from us to this address."""
        options = []
        if is_wide:
            if not client.has_extn("smtputf8"):
                raise NotDelivered("refused", "the server takes no addresses with letters beyond ASCII")
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        self._need(client.mail(self._server.sender, options), 250)
        self._need(client.rcpt(address), 250)
        self._need(client.docmd("DATA"), _GO_ON)

    def _need(self, answer: tuple[int, bytes], wanted: int) -> None:
        code, text = answer
        if code == wanted or (wanted == 250 and code == 251):
            return
        said = f"{self._server.host} said {code} {text.decode(errors='replace')}"
        if code == _SERVICE_CLOSES:
            raise NotDelivered("unreachable", said)
        raise NotDelivered("refused" if code >= 500 else "deferred", said)

    def _hand_over(self, client: smtplib.SMTP, content: bytes) -> None:
        """Send the text; what fails from here on leaves nobody who could tell whether it was taken."""
        lines = content.replace(b"\r\n.", b"\r\n..")
        ending = b".\r\n" if lines.endswith(b"\r\n") else b"\r\n.\r\n"
        try:
            client.send(b"." + lines + ending if lines.startswith(b".") else lines + ending)
            answer = client.getreply()
        except OSError as error:
            raise NotDelivered("unknown", f"no answer to the text: {self._told(error)}") from error
        self._need(answer, 250)
        try:
            client.quit()
        except OSError:
            return  # it was taken

    def _told(self, error: Exception) -> str:
        """Say an error in words: the server's own, where it has said something."""
        if isinstance(error, smtplib.SMTPAuthenticationError):
            return f"{self._server.host} does not take user and password ({error.smtp_code})"
        if isinstance(error, socket.gaierror):
            return f"there is no host {self._server.host}"
        if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):  # smtplib writes its text anew
            return f"{self._server.host} did not answer within {self._server.answer_s:g} s"
        return f"{self._server.host}: {str(error) or type(error).__name__}"


def _address(letter: Letter) -> tuple[str, bool]:
    try:
        return wire_address(letter.address)
    except BadAddress as error:
        raise NotDelivered("refused", str(error)) from None
