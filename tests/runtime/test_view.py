"""What a person sees while a fleet runs: who sent a command makes no difference to it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from fleet.runtime.view import LiveView, PlainView

SIMULATOR: dict[str, Any] = {
    "scenario_time": "2026-03-02T05:00:00.000000Z", "elapsed_share": 0.5, "states": {"parked": 3}, "connections": {"online": 3},
    "account": {"created": 9, "acknowledged": 8, "in_outbox": 1}, "commands": {"succeeded": 2, "rejected(busy)": 1},
    "commands_waiting": 4, "publish_to_ack_ms": {}, "round_trip_ms": {}, "behind_ms": 0.0, "warnings": {},
}  # fmt: skip
BACKEND: dict[str, Any] = {
    "stored": 7, "commands_ended": {"succeeded": {"": 5}, "rejected": {"busy": 1, "too_far": 2}}, "commands_open": 6,
    "warnings": (),
}  # fmt: skip


def seen(view: type[LiveView | PlainView], backend: dict[str, Any]) -> str:
    """Return what stands on the screen, its blanks made one."""
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    shown = view(console)
    if isinstance(shown, LiveView):
        console.print(shown._draw(SIMULATOR, backend))
    else:
        shown.update(SIMULATOR, backend)
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


@pytest.mark.parametrize(
    ("view", "told"),
    [
        (LiveView, "commands 1 rejected(busy) 2 rejected(too_far) 5 succeeded 6 under way"),
        (PlainView, "stored 7 (0/s) commands 8 "),
    ],
)
def test_all_commands_that_the_desk_has_seen(view: type[LiveView | PlainView], told: str) -> None:
    """Those of `fleet command` and of services, too, which no user of the scenario has sent."""
    assert told in seen(view, BACKEND)


@pytest.mark.parametrize(
    ("view", "told"),
    [(LiveView, "commands 1 rejected(busy) 2 succeeded 4 under way"), (PlainView, "acknowledged 8 (0/s) commands 3 ")],
)
def test_without_a_back_end_those_of_the_users(view: type[LiveView | PlainView], told: str) -> None:
    assert told in seen(view, {})
