"""Signals that end a command in order, and how a process has ended."""

from __future__ import annotations

import signal


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return SIGINT and SIGTERM, and SIGHUP (the terminal is closed) unless it is ignored already, as under `nohup`."""
    hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGINT, signal.SIGTERM, *hang_up)


def how_ended(code: int) -> str:
    """Return how a process ended, in words, by its exit code; below 0 that is a signal."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
