"""The simulated broker obeys the access control file as Mosquitto does."""

from __future__ import annotations

import pytest

from fleet.errors import UsageError
from fleet.runtime.resources import resource_dir
from fleet.transport.simulated_access import AccessControl
from fleet.transport.simulated_broker import SimulatedBroker
from tests.transport.simulated_rig import Rig

CAR, OTHER = "VSSZZZKMZTP000001", "VSSZZZKMZTP000002"


def shipped_access() -> AccessControl:
    return AccessControl.parse((resource_dir("broker") / "acl").read_text(encoding="utf-8"))


class TestAccess:
    """The shipped rules, and the format they are written in."""

    @pytest.mark.parametrize(
        ("who", "access", "topic", "allowed"),
        [
            (CAR, "write", f"fleet/v1/{CAR}/status", True),
            (CAR, "write", f"fleet/v1/{CAR}/event/trip", True),
            (CAR, "write", f"fleet/v1/{CAR}/event", False),
            (CAR, "write", f"fleet/v1/{CAR}/event/a/b", False),
            (CAR, "write", f"fleet/v1/{OTHER}/status", False),
            (CAR, "write", f"fleet/v1/{CAR}/command/honk", False),
            (CAR, "read", f"fleet/v1/{CAR}/command/honk", True),
            (CAR, "read", f"fleet/v1/{OTHER}/command/honk", False),
            (CAR, "read", f"fleet/v1/{CAR}/status", False),
            (CAR, "read", f"fleet/v1/desk/answer/{CAR}-id", True),
            (CAR, "read", f"fleet/v1/desk/answer/{CAR}", False),
            ("backend", "read", f"fleet/v1/{CAR}/status", True),
            ("backend", "write", f"fleet/v1/{CAR}/stored", True),
            ("backend", "write", f"fleet/v1/{CAR}/status", False),
            ("desk", "write", f"fleet/v1/{CAR}/reply/weather", False),
            ("tool", "write", "fleet/v1/desk/request", True),
            ("tool", "write", f"fleet/v1/{CAR}/command/honk", False),
            (None, "write", "fleet/v1//status", False),
            (None, "read", "fleet/v1/desk/answer/None-id", True),
            ("+", "write", f"fleet/v1/{CAR}/status", False),
            (".*", "write", f"fleet/v1/{CAR}/status", False),
        ],
    )
    def test_shipped_rules(self, who: str | None, access: str, topic: str, allowed: bool) -> None:
        """The file in `broker/` gives cars their own topics and each tool its own."""
        assert access in {"read", "write"}
        assert shipped_access().allows("read" if access == "read" else "write", topic, who, f"{who}-id") is allowed

    def test_denials_and_clients_without_a_name(self) -> None:
        """A denial counts before the rights beside it; lines before the first user are for clients without a name."""
        access = AccessControl.parse(
            "topic open/%u\nuser a b\ntopic deny x/secret\ntopic read x/#\ntopic y\npattern read %u/%c-%u\npattern deny %u/no/+\n"
        )
        assert access.allows("write", "open/%u", None, "c")
        assert not access.allows("write", "open/a b", "a b", "c")
        assert access.allows("read", "x/other", "a b", "c")
        assert not access.allows("read", "x/secret", "a b", "c")
        assert not access.allows("write", "x/other", "a b", "c")
        assert access.allows("write", "y", "a b", "c")
        assert access.allows("read", "z/c-z", "z", "c")
        assert not access.allows("read", "z/c-y", "z", "c")
        assert not access.allows("read", "z/no/c", "z", "c")

    @pytest.mark.parametrize("line", ["topics read a", "user", "topic", "pattern "])
    def test_lines_that_are_no_rules(self, line: str) -> None:
        """The number of a line that cannot be read is named."""
        with pytest.raises(UsageError, match="line 3"):
            AccessControl.parse(f"# rules\n\n{line}\n")

    def test_a_foreign_subscription_is_granted_and_gives_nothing(self) -> None:
        """As with Mosquitto: nothing live, nothing retained, and the own topics beside it."""
        rig = Rig(SimulatedBroker(access=shipped_access()))
        backend = rig.client("backend")
        backend.publish(f"fleet/v1/{OTHER}/command/x", b"kept", retain=True)
        spy = rig.client(CAR)
        assert spy.subscribe("#", f"fleet/v1/{OTHER}/command/+") == (1, 1)
        assert backend.publish(f"fleet/v1/{OTHER}/command/x", b"live") == 0
        assert backend.publish(f"fleet/v1/{CAR}/command/x", b"own") == 0
        assert spy.payloads == [b"own"]
        assert rig.broker.counts.denied == 4  # the retained one twice, at two filters; the live one twice, through both

    def test_one_who_may_opens_no_topic_for_another(self) -> None:
        """The right to write and read a topic is one client's, before and after others tried, and under another name none."""
        rig = Rig(SimulatedBroker(access=shipped_access()))
        backend, car, other = rig.client("backend"), rig.client(CAR), rig.client(OTHER)
        topic = f"fleet/v1/{CAR}/status"
        for peer in (backend, other):
            peer.subscribe("fleet/v1/+/status")
        for _ in range(2):
            assert car.publish(topic) == 0
            assert other.publish(topic) == 0x87
        assert (len(backend.deliveries), other.deliveries) == (2, [])
        renamed = rig.client("backend", username=OTHER)
        assert car.publish(topic) == 0
        assert renamed.deliveries == []
        assert rig.client(CAR, username=OTHER).publish(topic) == 0x87

    def test_another_user_gets_nothing_of_a_session(self) -> None:
        """A client that resumes a session under another name is not sent the messages that waited in it for the first."""
        rig = Rig(SimulatedBroker(access=shipped_access()))
        victim = rig.client(CAR, receive_maximum=1)
        victim.subscribe(f"fleet/v1/{CAR}/command/+")
        backend = rig.client("backend")
        for payload in (b"under way", b"waiting"):
            backend.publish(f"fleet/v1/{CAR}/command/x", payload)
        victim.lose()
        thief = rig.client(CAR, username=OTHER)
        assert thief.session_present
        assert thief.deliveries == []
