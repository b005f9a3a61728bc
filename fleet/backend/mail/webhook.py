"""Delivers pushes by HTTP: a POST of JSON to a configured address, signed as Standard Webhooks says (standardwebhooks.com).

A receiver knows a repetition by `webhook-id`, so a try without an answer is made again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec

from fleet.backend.mail.letter import Letter, NotDelivered
from fleet.backend.mail.texts import worded
from fleet.errors import UsageError

ANSWER_S: Final = 15.0
"""Seconds that a receiver may take for each step."""
_AGAIN: Final = frozenset({408, 425, 429})
"""Answers that mean: not now."""
_PORTS: Final = {"http": 80, "https": 443}
_SECRET_HEAD: Final = "whsec_"  # noqa: S105  how Standard Webhooks writes that a word is a secret
_SHORTEST_KEY: Final = 16


def push_content(letter: Letter) -> bytes:
    """Return a push as JSON: its words, and what an app needs to open the right page. Raises NotDelivered."""
    text = worded(letter)
    return msgspec.json.encode({
        "id": letter.name,
        "kind": letter.kind,
        "account": letter.account,
        "vin": letter.vin or None,
        "language": text.language,
        "title": text.subject,
        "text": text.core[:1].upper() + text.core[1:],  # after a greeting some languages begin small
        "data": dict(letter.data),
        "at": letter.at,
    })  # fmt: skip


def signing_key(secret: str) -> bytes:
    """Return the key of a secret: `whsec_` and base64, or any other text. Raises UsageError for one that is too short."""
    secret = secret.strip()
    try:
        head = secret.startswith(_SECRET_HEAD)
        key = base64.b64decode(secret.removeprefix(_SECRET_HEAD), validate=True) if head else secret.encode()
    except ValueError:
        raise UsageError(f"the secret of pushes is no base64 after {_SECRET_HEAD}", hint="Copy it anew.") from None
    if len(key) < _SHORTEST_KEY:
        raise UsageError(
            f"the secret of pushes has {len(key)} bytes, and at least {_SHORTEST_KEY} are needed",
            hint="Make one with: openssl rand -hex 32",
        )
    return key


def signature(key: bytes, name: str, timestamp: int, content: bytes) -> str:
    """Return the header `webhook-signature`."""
    digest = hmac.digest(key, b"%s.%d.%s" % (name.encode(), timestamp, content), hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


class Webhook:
    """A `Way` for pushes."""

    is_quick = False

    def __init__(self, url: str, key: bytes, wall_us: Callable[[], int], *, answer_s: float = ANSWER_S) -> None:
        """Take the address and the signing key. Raises UsageError for an address that is none."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or port == 0 or not url.isprintable():
            raise UsageError(
                f"--push {parts._replace(netloc=parts.hostname or '').geturl()!r} is no address for pushes",
                hint="Such as --push https://push.example/fleet.",
            )
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, port or _PORTS[parts.scheme]
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._key = key
        self._wall_us = wall_us
        self._answer_s = answer_s

    def deliver(self, letter: Letter, hand_over: Callable[[], None]) -> None:  # noqa: ARG002  the receiver knows a repetition
        """Post it; any answer of 200 to 299 means taken. Raises NotDelivered."""
        content = push_content(letter)
        timestamp = self._wall_us() // 1_000_000
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "fleet",
            "webhook-id": letter.name,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._key, letter.name, timestamp, content),
        }
        try:
            status = self._post(content, headers)
        except (OSError, http.client.HTTPException) as error:
            raise NotDelivered("unreachable", f"{self._host}: {str(error) or type(error).__name__}") from error
        if not 200 <= status < 300:
            again = status >= 500 or status in _AGAIN
            raise NotDelivered("deferred" if again else "refused", f"{self._host} answered {status}")

    def remove(self, letter: Letter) -> None:
        """Do nothing: it is with its receiver."""

    def _post(self, content: bytes, headers: dict[str, str]) -> int:
        connection: http.client.HTTPConnection
        if self._scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._answer_s, context=context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._answer_s)
        try:
            connection.request("POST", self._path, content, headers)
            return connection.getresponse().status
        finally:
            connection.close()
