"""Mails to a real server on this machine: taken, refused, slow, down, and what cannot be known."""

from __future__ import annotations

import datetime
import email
import email.policy
import ssl
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, Envelope

from fleet.backend.mail.letter import Letter, NotDelivered
from fleet.backend.mail.smtp import Smtp, SmtpServer
from tests.backend.mail.lab import MADE, SECRET, letter
from tests.backend.mail.servers import HOST, Mailbox, free_port, mail_server

PASSWORD = "a password of the mail server"


def sent(port: int, one: Letter, **changes: Any) -> tuple[str, str, bool]:
    """Try to send, and return outcome, detail, and whether the letter had left our hands."""
    handed: list[bool] = []
    server = replace(SmtpServer(HOST, port, answer_s=5), **changes)
    try:
        Smtp(server).deliver(one, lambda: handed.append(True))
    except NotDelivered as error:
        return error.outcome, error.detail, bool(handed)
    return "sent", "", bool(handed)


def text_of(envelope: Envelope) -> email.message.EmailMessage:
    content = envelope.content
    assert isinstance(content, bytes)
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)
    return message


def test_a_mail_is_taken() -> None:
    box = Mailbox()
    with mail_server(box) as port:
        assert sent(port, letter("password_reset", language="de", secret=SECRET)) == ("sent", "", True)
    (envelope,) = box.taken
    assert envelope.mail_from == "no-reply@fleet.example"
    assert envelope.rcpt_tos == ["anna@example.org"]
    message = text_of(envelope)
    assert message["Message-ID"] == f"<mail-17.{MADE}@fleet.example>"
    assert SECRET in message.get_content()
    assert "können Sie ein neues Passwort festlegen" in message.get_content()


def test_sender_plus_and_international_domain() -> None:
    box = Mailbox()
    with mail_server(box) as port:
        assert sent(port, letter(address="anna+car@exämple.org"), sender="cars@fleet.test")[0] == "sent"
    assert box.taken[0].mail_from == "cars@fleet.test"
    assert box.taken[0].rcpt_tos == ["anna+car@xn--exmple-cua.org"]


def test_letters_beyond_ascii_in_a_name_want_a_server_that_takes_them() -> None:
    box = Mailbox()
    with mail_server(box, enable_SMTPUTF8=True) as port:
        assert sent(port, letter(address="åsa@exempel.se", language="sv"))[0] == "sent"
    assert box.taken[0].rcpt_tos == ["åsa@exempel.se"]
    with mail_server(box, enable_SMTPUTF8=False) as port:
        outcome, detail, handed = sent(port, letter(address="åsa@exempel.se"))
    assert (outcome, handed) == ("refused", False)
    assert "åsa" not in detail


@pytest.mark.parametrize("address", ["anna@example.org\r\nRCPT TO:<all@example.org>", "a" * 250 + "@example.org"])
def test_a_hostile_address_never_reaches_the_server(address: str) -> None:
    box = Mailbox()
    with mail_server(box) as port:
        assert sent(port, letter(address=address))[0] == "refused"
    assert box.asked == 0


@pytest.mark.parametrize(
    ("where", "answer", "outcome", "handed"),
    [
        ("to_mail", "550 5.7.1 not from you", "refused", False),
        ("to_mail", "451 later", "deferred", False),
        ("to_receiver", "550 5.1.1 no such user", "refused", False),
        ("to_receiver", "450 4.2.1 greylisted, come again", "deferred", False),
        ("to_receiver", "421 4.3.2 closing", "unreachable", False),
        ("to_data", "554 5.6.0 this is spam", "refused", True),
        ("to_data", "452 4.3.1 no room", "deferred", True),
    ],
)
def test_what_a_server_says_decides(where: str, answer: str, outcome: str, handed: bool) -> None:
    """A 5xx is for good, a 4xx for now; both mean that the mail was not taken, even after its text."""
    box = Mailbox()
    setattr(box, where, answer)
    with mail_server(box) as port:
        told = sent(port, letter())
    assert (told[0], told[2]) == (outcome, handed)
    assert answer[:3] in told[1]
    assert box.taken == []


def test_a_server_that_is_down() -> None:
    outcome, detail, handed = sent(free_port(), letter())
    assert (outcome, handed) == ("unreachable", False)
    assert "refused" in detail.lower()


def test_a_host_that_is_none() -> None:
    assert sent(25, letter(), host="mail.invalid")[:2] == ("unreachable", "there is no host mail.invalid")


def test_a_server_that_is_slow_to_answer_leaves_nobody_who_knows() -> None:
    """It has the whole text and says nothing: perhaps it takes it, so it is not sent again."""
    box = Mailbox(release=threading.Event())
    with mail_server(box) as port:
        outcome, detail, handed = sent(port, letter(), answer_s=0.2)
    assert (outcome, handed) == ("unknown", True)
    assert "did not answer within 0.2 s" in detail


def test_a_mail_that_may_not_leave_is_not_sent() -> None:
    """The store could not note that it leaves: the server gets no text."""
    box = Mailbox()

    def stay() -> None:
        raise NotDelivered("deferred", "not noted")

    with mail_server(box) as port, pytest.raises(NotDelivered) as caught:
        Smtp(SmtpServer(HOST, port)).deliver(letter(), stay)
    assert caught.value.outcome == "deferred"
    assert box.taken == []


def test_lines_that_begin_with_a_dot_arrive_as_they_are() -> None:
    """A lone dot would end the text, and what follows would be commands."""
    box = Mailbox()
    with mail_server(box) as port:
        assert sent(port, letter("new_device", data={"device": "\r\n.\r\nMAIL FROM:<x@y>", "at": 0}))[0] == "sent"
        assert sent(port, letter("partner_closed", data={"vin": "V", "partner": "." * 120}))[0] == "sent"
    assert box.asked == 2
    assert "." * 120 in text_of(box.taken[1]).get_content()


# --- TLS and passwords ------------------------------------------------------------------------------------------------


@pytest.fixture
def server_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Make a certificate for this machine, and have it trusted as a user would: by SSL_CERT_FILE."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def checked(server: object, session: object, envelope: object, mechanism: str, data: object) -> AuthResult:
    return AuthResult(success=getattr(data, "password", b"") == PASSWORD.encode(), handled=False)


def test_a_password_goes_over_tls(server_tls: ssl.SSLContext) -> None:
    box = Mailbox()
    options: dict[str, Any] = {
        "require_starttls": True,
        "tls_context": server_tls,
        "authenticator": checked,
        "auth_required": True,
    }
    with mail_server(box, **options) as port:
        assert sent(port, letter(), host="localhost", user="fleet", password=PASSWORD)[0] == "sent"
        outcome, detail, _ = sent(port, letter(), host="localhost", user="fleet", password="another one")
        assert outcome == "unreachable"
        assert "does not take user and password" in detail
        assert "another one" not in detail
    assert len(box.taken) == 1


def test_a_certificate_that_nobody_vouches_for_is_not_taken(server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    box = Mailbox()
    with mail_server(box, require_starttls=True, tls_context=server_tls) as port:
        outcome, detail, handed = sent(port, letter(), host="localhost")
    assert (outcome, handed) == ("unreachable", False)
    assert "certificate" in detail.lower()


def test_a_password_does_not_leave_this_machine_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server elsewhere that offers no TLS is not told it."""
    monkeypatch.setattr("fleet.backend.mail.smtp.is_loopback", lambda host: False)
    box = Mailbox()
    with mail_server(box, authenticator=checked, auth_require_tls=False) as port:
        outcome, detail, _ = sent(port, letter(), user="fleet", password=PASSWORD)
    assert outcome == "unreachable"
    assert "offers no TLS" in detail


def test_the_password_is_in_no_repr() -> None:
    assert PASSWORD not in repr(SmtpServer(HOST, 25, user="fleet", password=PASSWORD))
