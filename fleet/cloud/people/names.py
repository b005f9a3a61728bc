"""The names by which people log in: e-mail address, user name, mobile number. Says what is wrong with one; knows no account."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

LONGEST_ADDRESS: Final = 254
"""Characters of an e-mail address in the form in which mail goes there (RFC 5321: 256 octets with the brackets)."""
_LONGEST_LOCAL: Final = 64
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_USER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{2,39}")
_LIKE_AN_ID: Final = re.compile(r"p[0-9]+")
_RESERVED: Final = frozenset(
    {"primary", "additional", "guest", "anybody", "back_end", "desk", "car", "erased"}  # roles, and who else asks and is named
)
_MOBILE: Final = re.compile(r"\+[1-9][0-9]{7,14}")
_BETWEEN_DIGITS: Final = re.compile(r"[ ()/.-]+")


def mail_address(text: str) -> str:
    """Return an address as mail goes there: its domain in small ASCII letters, so that one mailbox has one address.

    Raises ValueError with what is wrong. Quoted local parts and those with letters beyond ASCII are refused (ours).
    """
    if len(text) > LONGEST_ADDRESS:
        raise ValueError(f"it has {len(text)} characters, and an address has at most {LONGEST_ADDRESS}")
    local, at, domain = text.rpartition("@")
    if not at or "@" in local:
        raise ValueError("an address is a name, one @ and a domain")
    if len(local) > _LONGEST_LOCAL or _LOCAL.fullmatch(local) is None:
        raise ValueError(f"before the @ stand 1 to {_LONGEST_LOCAL} letters, digits and signs of ASCII, without spaces")
    try:
        ascii_domain = domain.encode("idna").decode().lower()
    except UnicodeError:
        raise ValueError("behind the @ stands no domain") from None
    labels = ascii_domain.split(".")
    if len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise ValueError("behind the @ stands no domain, such as example.com")
    address = f"{local}@{ascii_domain}"
    if len(address) > LONGEST_ADDRESS:
        raise ValueError(f"it has {len(address)} characters as mail goes there, and an address has at most {LONGEST_ADDRESS}")
    return address


def user_name(text: str) -> str:
    """Return a user name. Raises ValueError for what is none, or could be taken for something else."""
    if _USER_NAME.fullmatch(text) is None:
        raise ValueError("a user name has 3 to 40 letters, digits and '._-' of ASCII, and begins with a letter")
    if text.lower() in _RESERVED or _LIKE_AN_ID.fullmatch(text.lower()):
        raise ValueError("this user name could be taken for something else")
    return text


def mobile_number(text: str) -> str:
    """Return a number in the international form, without what stands between digits. Raises ValueError for what is none."""
    number = _BETWEEN_DIGITS.sub("", text) if len(text) <= 40 else text[:1]
    if _MOBILE.fullmatch(number) is None:
        raise ValueError("a mobile number begins with + and the country, and has 8 to 15 digits")
    return number


def folded(name: str) -> str:
    """Return a name as it is compared: upper and lower case are one, and so are the forms of a domain or a number."""
    text = name.strip().casefold()
    if text.startswith("+"):
        return _BETWEEN_DIGITS.sub("", text)
    if not text.isascii() and len(text) <= LONGEST_ADDRESS:
        with suppress(ValueError):
            return mail_address(text)
    return text
