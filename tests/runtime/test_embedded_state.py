"""The file in which the sessions of an embedded broker outlive a stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import BrokerError
from fleet.runtime.embedded_state import read_state, write_state
from fleet.transport.simulated_broker import SimulatedBroker
from tests.transport.embedded_rig import EmbeddedRig


def test_a_damaged_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_bytes(b"no state")
    with pytest.raises(BrokerError, match="cannot be read") as caught:
        read_state(tmp_path / "sessions", SimulatedBroker(), 0)
    assert "Remove the file" in caught.value.hint


def test_sessions_come_back_as_they_were(tmp_path: Path) -> None:
    """Subscriptions with options, what waits and what is under way, at QoS 2 too."""
    rig, file = EmbeddedRig(), tmp_path / "sessions"
    rig.client("reader", "a", session_expiry_interval=100).send(b"\xe0\x00")
    sender = rig.client("sender")
    sender.send(b"\x34\x07\x00\x01a\x00\x05\x00x", b"\x33\x07\x00\x01a\x00\x06\x00y")
    rig.machine.broker.stop(rig.now)
    write_state(file, rig.machine.broker)
    assert file.stat().st_mode & 0o777 == 0o600
    other = EmbeddedRig()
    read_state(file, other.machine.broker, rig.now)
    session = other.machine.broker.session("reader")
    assert session is not None
    assert (session.waiting, session.subscriptions) == (2, {"a": 2})
    assert session.ends_at == rig.now + 100_000_000
