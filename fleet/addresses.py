"""Addresses of hosts and ports as people write them: the one reader and the one writer, so that what is printed can be typed.

An IPv6 address stands in brackets where a port may follow, as in URLs: [::1]:1883, [fe80::1%eth0]:1883.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

PORT_MAX: Final = 65_535
_ADDRESS: Final = re.compile(r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<bare>[^\[\]:/@\s]*))(?::(?P<port>[^:]*))?")


class NoAddress(ValueError):
    """Text that is no address; says in words what is wrong, and `hint` what to write."""

    def __init__(self, problem: str, hint: str) -> None:
        self.hint = hint
        super().__init__(problem)


def address_of(host: str, port: int) -> str:
    """Write HOST:PORT."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """Write a host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def read_address(text: str, default_port: int | None = None, *, lowest: int = 1) -> tuple[str, int]:
    """Read HOST:PORT, or HOST alone where there is a default port. Raises NoAddress."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        if _is_ipv6(text):
            head, _, last = text.rpartition(":")
            with_port = f", or [{head}]:{last} if the last part is the port" if last.isdecimal() and _is_ipv6(head) else ""
            raise NoAddress("an IPv6 address without brackets", f"Write [{text}]:PORT{with_port}.")
        raise NoAddress("no HOST:PORT", "Write HOST:PORT, and an IPv6 address in brackets: [::1]:1883.")
    host = read_host(found["bracketed"] if found["bracketed"] is not None else found["bare"], ipv6=found["bare"] is None)
    if not found["port"]:
        if found["port"] is not None or default_port is None:
            raise NoAddress("an address without a port", f"Write {bracketed(host)}:PORT, such as {bracketed(host)}:1883.")
        return host, default_port
    if not (found["port"].isascii() and found["port"].isdecimal() and lowest <= int(found["port"]) <= PORT_MAX):
        raise NoAddress("an address without a valid port", f"A port is a number from {lowest} to {PORT_MAX}.")
    return host, int(found["port"])


def read_host(text: str, *, ipv6: bool | None = None) -> str:
    """Read a host name or address, an IPv6 one with or without brackets. Raises NoAddress.

    `ipv6` tells whether it must be an address of that kind; None leaves it open.
    """
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    host = host.replace("%25", "%")  # as URLs write the scope
    if not host or any(character in host for character in "[]/@ "):
        raise NoAddress("no host", "Write a name or an address, such as broker.example, 127.0.0.1 or ::1.")
    if (ipv6 or (ipv6 is None and ":" in host)) and not _is_ipv6(host):
        raise NoAddress(f"no IPv6 address in {host!r}", "In brackets stands an address such as ::1 or fe80::1%eth0.")
    return host if "%" in host else host.lower()


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def family_of(host: str) -> int | None:
    """Return 4 or 6 for an address, None for a name, which may have both."""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Tell whether what is sent to a host stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
