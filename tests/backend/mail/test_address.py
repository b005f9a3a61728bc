"""Addresses that a mail can go to, and those that would do something else."""

from __future__ import annotations

import pytest

from fleet.backend.mail.address import BadAddress, wire_address

HOSTILE = [
    "anna@example.org\r\nBcc: all@example.org",
    "anna@example.org\nRCPT TO:<all@example.org>",
    "anna\r\n@example.org",
    "anna@exam\x00ple.org",
    "anna\u2028@example.org",
    "an\x85na@example.org",
    "anna\u202e@example.org",
    "anna@example.org\u2028Bcc: all@example.org",
    "anna@example.org, all@example.org",
    "anna@example.org> <all@example.org",
    "anna bell@example.org",
    '"anna\r\n"@example.org',
    "anna@[127.0.0.1]",
]
NONE = [
    "", "@", "anna", "anna@", "@example.org", "a@b@", ".anna@example.org", "anna.@example.org", "an..na@example.org",
    "anna@example..org", "anna@-example.org", "anna@exa_mple.org", "anna@.org",
]  # fmt: skip


@pytest.mark.parametrize("address", HOSTILE + NONE)
def test_what_is_no_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(BadAddress) as caught:
        wire_address(address)
    assert len(address) < 2 or address not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "wire", "is_wide"),
    [
        ("anna@example.org", "anna@example.org", False),
        ("Anna.Bell+cupra@Example.ORG", "Anna.Bell+cupra@example.org", False),
        ("anna@exämple.org", "anna@xn--exmple-cua.org", False),
        ("åsa@exempel.se", "åsa@exempel.se", True),
        ("a@b", "a@b", False),
        ("o'brien!#$%&*/=?^_`{|}~-@example.org", "o'brien!#$%&*/=?^_`{|}~-@example.org", False),
    ],
)
def test_an_address_as_a_server_wants_it(address: str, wire: str, is_wide: bool) -> None:
    assert wire_address(address) == (wire, is_wide)


def test_the_longest_address() -> None:
    """254 characters are an address, 255 are none; nor is a name of 65 bytes, or one that is long only in bytes."""
    domain = ".".join(["d" * 63] * 2 + ["e" * 61])
    assert len(longest := f"{'a' * 64}@{domain}") == 254
    assert wire_address(longest)[0] == longest
    for address in (f"{'a' * 64}@{domain}x", f"{'a' * 65}@example.org", f"{'å' * 33}@example.org", f"anna@{'d' * 64}.org"):
        with pytest.raises(BadAddress):
            wire_address(address)
