"""The names of reason codes."""

from __future__ import annotations

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from fleet.transport.reasons import REFUSAL, name_of


def test_reason_names_are_those_of_the_reference_link() -> None:
    """One refusal has one name, whichever link met it."""
    names = ReasonCode(PacketTypes.CONNACK).names
    assert {code: name_of(code) for code in names if code >= REFUSAL} == {
        code: next(iter(found)) for code, found in names.items() if code >= REFUSAL
    }
