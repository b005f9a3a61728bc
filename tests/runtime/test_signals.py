"""What ends a command in order."""

from __future__ import annotations

import signal

import pytest

from fleet.runtime.signals import ending_signals


@pytest.mark.parametrize(("before", "ends"), [(signal.SIG_DFL, True), (signal.SIG_IGN, False)])
def test_a_closed_terminal_ends_it_unless_nohup_has_it_ignored(before: signal.Handlers, ends: bool) -> None:
    held = signal.signal(signal.SIGHUP, before)
    try:
        assert (signal.SIGHUP in ending_signals()) is ends
        assert {signal.SIGINT, signal.SIGTERM} <= set(ending_signals())
    finally:
        signal.signal(signal.SIGHUP, held)
