"""The check before a VIN becomes part of a topic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import InvalidVin
from fleet.wire.vin import checked_vin, fault_of, is_vin, typed_vin

VIN = "VSSZZZKMZPR000001"


def test_a_vin_is_returned() -> None:
    """17 characters of the alphabet."""
    assert checked_vin(VIN) == VIN


@pytest.mark.parametrize(
    "text",
    ["", VIN[:16], VIN + "1", VIN.lower(), VIN[:16] + "I", VIN[:16] + "O", VIN[:16] + "Q", VIN[:16] + "+", VIN[:16] + "/",
     VIN + "\n", VIN[:16] + "\u0661", VIN[:16] + "\0"],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    """Length, case, I, O, Q, wildcards, separators, line ends, other alphabets' digits; the error says what is wrong."""
    assert not is_vin(text)
    with pytest.raises(InvalidVin) as caught:
        checked_vin(text)
    assert "is not a VIN" in str(caught.value)


@given(st.text(max_size=20))
def test_no_text_does_harm(text: str) -> None:
    """Whatever comes: either the text itself, or InvalidVin."""
    if is_vin(text):
        assert not set(text) & set("/+#\0")
    else:
        with pytest.raises(InvalidVin):
            checked_vin(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (VIN.lower(), "it is written in small letters"),
        (f" {VIN}", "there are spaces around it"),
        (VIN.lower()[:16] + "i", "it holds 'I'"),
        (VIN[:16], "it has 16 characters instead of 17"),
        (VIN[:16] + "ſ", "it holds 'ſ'"),
    ],
)
def test_the_fault_is_told(text: str, fault: str) -> None:
    """Small letters are no mystery of single characters."""
    assert fault_of(text) == fault


def test_a_person_may_type_small_letters() -> None:
    """What is typed is taken in capitals; what is no VIN then is refused as ever."""
    assert typed_vin(f" {VIN.lower()} ") == VIN
    for text in (VIN.lower()[:16] + "i", VIN[:16] + "ſ"):
        with pytest.raises(InvalidVin):
            typed_vin(text)
