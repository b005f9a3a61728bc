"""Names to log in by: what is one, how it is compared, and what an attacker would write in its place."""

from __future__ import annotations

import pytest

from fleet.cloud.people.names import LONGEST_ADDRESS, folded, mail_address, mobile_number, user_name

LONG_DOMAIN = ".".join(["d" * 61] * 3) + ".se"  # 188 characters


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("anna@example.com", "anna@example.com"),
        ("Anna.Ek@Example.COM", "Anna.Ek@example.com"),
        ("anna+fleet@example.com", "anna+fleet@example.com"),
        ("anna@müller.de", "anna@xn--mller-kva.de"),
        ("anna@xn--mller-kva.de", "anna@xn--mller-kva.de"),
        ("l" * 64 + "@" + LONG_DOMAIN, "l" * 64 + "@" + LONG_DOMAIN),
    ],
)
def test_an_address_is_kept_as_mail_goes_there(typed: str, address: str) -> None:
    assert mail_address(typed) == address
    assert folded(typed) == folded(address)


@pytest.mark.parametrize(
    "typed",
    [
        "", "anna", "@example.com", "anna@", "anna@example", "a b@example.com", "anna@@example.com", "anna@exa mple.com",
        ".anna@example.com", "anna.@example.com", "an..na@example.com", "anna@-example.com", "anna@example..com", "anna@1.2.3.4",
        "anna@example.com\r\nBcc: everybody@example.com", "anna\n@example.com", "anna@example.com\n", "anna@example.com\x00",
        '"anna ek"@example.com', "ännä@example.com", "anna@exam\u200bple\n.com", "l" * 65 + "@example.com",
        "anna@" + "d" * 64 + ".se",
        "l" * 66 + "@" + LONG_DOMAIN, "a@" + "ü" * 63 + ".de",
    ],
)  # fmt: skip
def test_what_is_no_address_is_none(typed: str) -> None:
    with pytest.raises(ValueError, match=r"^(it|an address|before|behind)"):
        mail_address(typed)


def test_an_address_of_255_characters_is_too_long() -> None:
    typed = "l" * 64 + "@" + LONG_DOMAIN.replace("d" * 61, "d" * 62, 1)
    longest = typed + "n" * (LONGEST_ADDRESS - len(typed))
    assert len(mail_address(longest)) == LONGEST_ADDRESS
    with pytest.raises(ValueError, match="255 characters"):
        mail_address(longest + "n")


@pytest.mark.parametrize("name", ["anna", "Anna_Ek", "a-1", "a" * 40])
def test_a_user_name(name: str) -> None:
    assert user_name(name) == name
    assert folded(name.upper()) == folded(name)


@pytest.mark.parametrize(
    "name",
    [
        "an",
        "a" * 41,
        "1anna",
        "0815",
        "an na",
        "anna@example.com",
        "p1",
        "P12",
        "primary",
        "Guest",
        "ännä",
        "anna\n",
        "back_end",
        "Erased",
        "desk",
        "car",
        "anybody",
    ],
)
def test_what_could_be_taken_for_something_else_is_no_user_name(name: str) -> None:
    with pytest.raises(ValueError, match="user name"):
        user_name(name)


def test_a_mobile_number_is_the_same_however_it_is_written() -> None:
    assert mobile_number("+46 70 174-06 05") == mobile_number("+46 (70) 1740605") == "+46701740605" == folded("+46 70 1740605")


@pytest.mark.parametrize(
    "number", ["", "0701740605", "+0701740605", "+46", "+4670174060512345", "+46x701740605", "+" + "1" * 10_000]
)
def test_what_is_no_mobile_number_is_none(number: str) -> None:
    with pytest.raises(ValueError, match="mobile number"):
        mobile_number(number)
