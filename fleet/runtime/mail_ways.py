"""Where a back end delivers mails and pushes, as it is written on the command line: a folder, an SMTP server, a webhook, nowhere.

Passwords stand in files or in the environment, never on a command line, where all who can list processes would see them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from fleet.addresses import NoAddress, read_address
from fleet.backend.mail.address import SENDER, BadAddress, wire_address
from fleet.backend.mail.letter import Way
from fleet.errors import UsageError
from fleet.runtime.clocks import wall_us
from fleet.scenario.text import read_text

NOWHERE: Final = "none"
FOLDER: Final = "mail"
"""The folder of mails beside a store."""
SMTP_PASSWORD: Final = "FLEET_SMTP_PASSWORD"  # noqa: S105  the name of a variable
PUSH_SECRET: Final = "FLEET_PUSH_SECRET"  # noqa: S105
_PORTS: Final = {"smtp": 25, "smtps": 465}
_FORM: Final = "Such as smtp://mail.example:587, or smtps://USER@mail.example?from=cars@example.org."


def mail_folder(store: Path) -> str:
    """Return where the mails of a store go when nothing else is said."""
    return str(store.parent / FOLDER)


def is_local(mail: str) -> bool:
    """Tell whether mails stay on this machine: in a folder, or in the store alone."""
    return "://" not in mail


def open_ways(
    mail: str, push: str | None, environment: Mapping[str, str] | None = None, now_wall_us: Callable[[], int] = wall_us
) -> dict[str, Way]:
    """Return a way for each channel that has one. Raises UsageError for what is none, and for a secret that is missing.

    `mail` is a folder, `smtp://…`, `smtps://…` or `none`. Without a webhook pushes become files where mails do.
    """
    known = os.environ if environment is None else environment
    ways: dict[str, Way] = {}
    if not is_local(mail):
        ways["mail"] = _server(mail, known)
    elif mail != NOWHERE:
        ways["mail"] = ways["push"] = _folder(mail)
    if push is not None:
        secret = _secret(PUSH_SECRET, known)
        if secret is None:
            raise UsageError(
                "--push needs a secret by which the receiver knows that a push is ours",
                hint=f"Put it into {PUSH_SECRET}, or name its file in {PUSH_SECRET}_FILE.",
            )
        ways["push"] = _webhook(push, secret, now_wall_us)
    return ways


# Templates, mail and HTTP take a tenth of a second to load: only where something is delivered.


def _webhook(push: str, secret: str, now_wall_us: Callable[[], int]) -> Way:
    from fleet.backend.mail.webhook import Webhook, signing_key  # noqa: PLC0415

    return Webhook(push, signing_key(secret), now_wall_us)


def _folder(mail: str) -> Way:
    from fleet.backend.mail.folder import Folder  # noqa: PLC0415

    path = Path(mail)
    if not mail or (path.exists() and not path.is_dir()):
        raise UsageError(
            f"--mail {mail!r} is no folder", hint=f"Name a folder, an address such as smtp://HOST:PORT, or {NOWHERE}."
        )
    return Folder(path)


def _server(mail: str, environment: Mapping[str, str]) -> Way:
    from fleet.backend.mail.smtp import Smtp, SmtpServer  # noqa: PLC0415

    try:
        parts = urlsplit(mail)
        kind = parts.scheme.lower()
        if kind not in _PORTS or parts.path not in {"", "/"} or parts.fragment:
            raise UsageError(f"--mail {_shown(mail)!r} is no address of a mail server", hint=_FORM)
        user, _, address = parts.netloc.rpartition("@")
        if ":" in user:
            raise UsageError(
                "--mail holds a password, which all who can list processes would see", hint=f"Put it into {SMTP_PASSWORD}."
            )
        host, port = read_address(address, _PORTS[kind])
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query), keep_blank_values=True))
        sender = options.pop("from", SENDER)
        _, is_wide = wire_address(sender)
    except NoAddress as error:
        raise UsageError(f"--mail {_shown(mail)!r}: {error}", hint=error.hint) from None
    except BadAddress as error:
        raise UsageError(f"--mail {_shown(mail)!r}: from: {error}", hint=_FORM) from None
    except ValueError as error:
        raise UsageError(f"--mail {_shown(mail)!r} is no address of a mail server: {error}", hint=_FORM) from None
    if options or is_wide:
        what = f"unknown: {', '.join(options)}" if options else "letters beyond ASCII in the sender's name"
        raise UsageError(f"--mail {_shown(mail)!r}: {what}", hint=_FORM)
    password = _secret(SMTP_PASSWORD, environment) if user else None
    if user and password is None:
        raise UsageError(
            f"--mail names the user {user!r}, and there is no password",
            hint=f"Put it into {SMTP_PASSWORD}, or name its file in {SMTP_PASSWORD}_FILE.",
        )
    return Smtp(SmtpServer(host, port, kind == "smtps", unquote(user) if user else None, password, sender))


def _shown(mail: str) -> str:
    """Return an address without what may be a password."""
    head, _, rest = mail.partition("://")
    return f"{head}://{rest.rpartition('@')[2]}"


def _secret(variable: str, environment: Mapping[str, str]) -> str | None:
    """Return a secret from its file, which only its owner may read, or from its variable; None when there is neither."""
    named = environment.get(f"{variable}_FILE")
    if named is None:
        return environment.get(variable) or None
    path = Path(named)
    text = read_text(path, missing=f"Name another one in {variable}_FILE.", what=f"the file of {variable}_FILE").strip()
    if path.stat().st_mode & 0o077:
        raise UsageError(f"others may read the secret in {path}", hint=f"chmod 600 {path}")
    return text
