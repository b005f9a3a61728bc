"""A sealed S-PIN opens for its car and its request alone, and shows nothing of itself."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.wire.sealing import LONGEST_BYTES, SIMULATED_CARS_SECRET, Unsealable, key_of, seal, unseal

VIN = "VSSZZZKMZPR000007"
OTHER = "VSSZZZKMZPR000008"
KEY = key_of(SIMULATED_CARS_SECRET, VIN)
SPINS = st.text("0123456789", min_size=4, max_size=4)


@given(SPINS)
def test_what_is_sealed_opens(spin: str) -> None:
    assert unseal(KEY, VIN, "7-ask-1", seal(KEY, VIN, "7-ask-1", spin)) == spin


def test_each_car_has_a_key_of_its_own() -> None:
    assert key_of(SIMULATED_CARS_SECRET, OTHER) != KEY
    assert key_of(b"another fleet", VIN) != KEY


@pytest.mark.parametrize(
    ("key", "vin", "request_id"),
    [
        (key_of(b"another fleet", VIN), VIN, "7-ask-1"),
        (key_of(SIMULATED_CARS_SECRET, OTHER), VIN, "7-ask-1"),
        (KEY, OTHER, "7-ask-1"),
        (KEY, VIN, "7-ask-2"),
        (KEY, VIN, ""),
    ],
)
def test_it_opens_nowhere_else(key: bytes, vin: str, request_id: str) -> None:
    """Under another key, for another car, or in another request: a text that was recorded cannot be used again."""
    with pytest.raises(Unsealable):
        unseal(key, vin, request_id, seal(KEY, VIN, "7-ask-1", "1234"))


def test_no_bit_of_it_can_be_changed() -> None:
    raw = base64.urlsafe_b64decode(seal(KEY, VIN, "7-ask-1", "1234"))
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unsealable):
            unseal(KEY, VIN, "7-ask-1", base64.urlsafe_b64encode(changed).decode())


@pytest.mark.parametrize("text", ["", "x", "1234", "====", "é" * 24, "AAAA" * 5, "A" * 400, "A+/=" * 6])
def test_what_was_never_sealed_is_refused(text: str) -> None:
    with pytest.raises(Unsealable) as raised:
        unseal(KEY, VIN, "7-ask-1", text)
    assert raised.value.reason == "malformed"
    assert not text or text not in str(raised.value)


def test_it_shows_neither_the_spin_nor_that_two_are_the_same() -> None:
    sealed = {seal(KEY, VIN, f"7-ask-{number}", "1234") for number in range(100)}
    assert len(sealed) == 100
    assert len({text[-8:] for text in sealed}) == 100, "the keystream is another one, too"
    assert not any("1234" in text or b"1234" in base64.urlsafe_b64decode(text) for text in sealed)


def test_it_has_a_bound() -> None:
    text = "9" * LONGEST_BYTES
    assert unseal(KEY, VIN, "r", seal(KEY, VIN, "r", text)) == text
    with pytest.raises(ValueError, match="32 bytes"):
        seal(KEY, VIN, "r", text + "9")
