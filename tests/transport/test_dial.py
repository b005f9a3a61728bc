"""Causes of failed connections, in words."""

from __future__ import annotations

import errno

from fleet.transport.dial import explain


def test_no_port_left_is_told_with_its_remedy() -> None:
    """An address that cannot be assigned, as the kernel says, is a lack of ports."""
    cause, hint = explain(OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"))
    assert "no local port" in cause
    assert "--source" in hint
