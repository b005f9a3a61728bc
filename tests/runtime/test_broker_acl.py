"""The access control list of a broker whose cars speak a dialect with topics of its own."""

from __future__ import annotations

from fleet.runtime.broker_acl import acl_text
from fleet.runtime.dialects import open_dialect
from fleet.transport.simulated_access import AccessControl

VIN, OTHER = "VSSZZZKMZTV000001", "VSSZZZKMZTV000002"


def test_the_topics_of_a_dialect_follow_the_prefix() -> None:
    """A broker whose tests have a prefix each allows their cars what it allows under our own; other topics stay as they are."""
    access = AccessControl.parse(acl_text("fleet/+", open_dialect("homeassistant").access))
    for topic in (f"fleet/t1/{VIN}/status/doors", f"homeassistant/device/{VIN}/config", f"homeassistant/lock/{VIN}/lock/config"):
        assert access.allows("write", topic, VIN, VIN), topic
        assert access.allows("read", topic, "backend", "home assistant"), topic
        assert not access.allows("write", topic, OTHER, OTHER), topic
    assert access.allows("write", f"fleet/t1/{VIN}/set/lock", "backend", "home assistant")
    assert not access.allows("write", f"fleet/t1/{VIN}/set/lock", OTHER, OTHER)
    assert not access.allows("write", "homeassistant/status", VIN, VIN)
