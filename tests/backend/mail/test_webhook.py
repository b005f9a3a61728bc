"""Pushes to a real HTTP server on this machine: signed, taken, refused, slow, down."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading

import pytest

from fleet.backend.mail.letter import NotDelivered
from fleet.backend.mail.webhook import Webhook, signature, signing_key
from fleet.errors import UsageError
from tests.backend.mail.lab import MADE, SECRET, VIN, letter, not_called
from tests.backend.mail.servers import HOST, Receiver, free_port, http_server

KEY = b"a key of more than 16 bytes"
WALL_US = 1_790_000_000_500_000


def posted(port: int, *, answer_s: float = 5, path: str = "/push/fleet?of=cars") -> tuple[str, str]:
    """Try to deliver, and return outcome and detail."""
    way = Webhook(f"http://{HOST}:{port}{path}", KEY, lambda: WALL_US, answer_s=answer_s)
    try:
        way.deliver(letter("user_removed", channel="push", address="", language="sv"), not_called)
    except NotDelivered as error:
        return error.outcome, error.detail
    return "sent", ""


def test_a_push_is_posted_and_signed() -> None:
    """As a receiver checks it by the words of Standard Webhooks: HMAC-SHA256 of id, time and content."""
    receiver = Receiver()
    with http_server(receiver) as port:
        assert posted(port) == ("sent", "")
    (got,) = receiver.posted
    assert got.path == "/push/fleet?of=cars"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == f"push-17.{MADE}"
    assert got.headers["webhook-timestamp"] == "1790000000"
    signed = f"push-17.{MADE}.1790000000.".encode() + got.content
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{expected}"
    content = json.loads(got.content)
    assert content["account"] == "p1"
    assert content["vin"] == VIN
    assert content["language"] == "sv"
    assert content["title"] == "Du är inte längre användare av en bil"
    assert content["text"] == f"Du har tagits bort som användare av bilen {VIN}. Den finns inte längre i ditt garage."


def test_a_signature_as_the_standard_gives_it() -> None:
    """The example of the specification of Standard Webhooks."""
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    name, timestamp, content = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
    assert signature(key, name, timestamp, content) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (204, "sent"),
        (302, "refused"),
        (400, "refused"),
        (410, "refused"),
        (408, "deferred"),
        (429, "deferred"),
        (503, "deferred"),
    ],
)
def test_the_answer_decides(status: int, outcome: str) -> None:
    """A redirect is not followed: a push goes where it was configured to go."""
    receiver = Receiver(answers=[status])
    with http_server(receiver) as port:
        assert posted(port)[0] == outcome
    assert len(receiver.posted) == 1


def test_a_receiver_that_is_down_or_silent_is_tried_again() -> None:
    """What may have arrived comes again under the same id, by which its receiver knows it."""
    assert posted(free_port())[0] == "unreachable"
    receiver = Receiver(release=threading.Event())
    with http_server(receiver) as port:
        assert posted(port, answer_s=0.2)[0] == "unreachable"
        assert receiver.release is not None
        receiver.release.set()
        assert posted(port)[0] == "sent"
    assert len({got.headers["webhook-id"] for got in receiver.posted}) == 1
    assert len(receiver.posted) == 2


@pytest.mark.parametrize(
    "url",
    ["", "push.example", "ftp://push.example/", "http://", "https://user:pass@push.example/", "http://push.example:x/",
     "http://push.example/\r\nX: y"],
)  # fmt: skip
def test_what_is_no_address_for_pushes_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Webhook(url, KEY, lambda: 0)
    assert "pass" not in str(caught.value)
    assert caught.value.hint


def test_a_key_that_is_too_short_or_damaged_is_refused() -> None:
    assert signing_key(f" {KEY.decode()}\n") == KEY
    for secret in ("", "short", "whsec_short", "whsec_!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!"):
        with pytest.raises(UsageError):
            signing_key(secret)


def test_a_push_holds_no_secret() -> None:
    receiver = Receiver()
    with http_server(receiver) as port:
        way = Webhook(f"http://{HOST}:{port}", KEY, lambda: WALL_US)
        way.deliver(letter("user_removed", channel="push", secret=SECRET), not_called)
    assert SECRET.encode() not in receiver.posted[0].content
