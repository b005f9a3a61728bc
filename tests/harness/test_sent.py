"""What is expected of something that was asked: its end, or a failure with what it was and how it ended."""

from __future__ import annotations

import pytest

from fleet.harness import ExpectationFailed, virtual_world


async def test_an_end_is_expected_by_state_and_reason() -> None:
    async with virtual_world() as fleet:
        car = await fleet.car("Born")
        anna = await fleet.person("anna", role="primary")
        sent = anna.ask("users", "list", car)
        assert (await sent.succeeds()).state == "succeeded"
        assert sent.states == ["succeeded"]
        assert (await sent.outcome()).state == "succeeded"
        refused = fleet.service("users", "list")
        assert (await refused.is_refused("malformed")).reason == "malformed"
        assert (await refused.is_rejected("malformed")).reason == "malformed"
        with pytest.raises(ExpectationFailed, match=r"users list was expected to succeed, and is rejected\(malformed\): "):
            await refused.succeeds()
        with pytest.raises(ExpectationFailed, match=r"users list by anna was expected to be rejected\(busy\), and is succeeded"):
            await sent.is_refused("busy")
