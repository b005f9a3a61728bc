"""The findings of a run about its broker: other clients under the same names, and what it does otherwise than asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fleet.runtime.fault_injector import harms_network
from fleet.scenario.schema import Scenario
from fleet.transport.reasons import OWN_CLIENT_IDS

REFUSED_HINT: Final = "Does its access control allow them that topic, and do its limits allow such messages?"
UNEXPLAINED_MIN: Final = 3
"""Ends of which nobody said why, from which on they are a finding: a broker that hangs up once may have its reasons."""


def broker_findings(
    scenario: Scenario, result: Mapping[str, Any], backend: Mapping[str, Any], *, died: bool = False
) -> list[str]:
    """Return the findings from the results of simulator and back end; that the broker `died` explains why connections ended."""
    found = []
    harmed = died or harms_network(scenario) or any(step.broker is not None for step in scenario.steps())
    for who, told in (("cars", result), ("the back end", backend)):
        found += _ends(who, told.get("ends", {}), harmed=harmed)
        found += [
            f"the broker refused {who} {count} {'publish' if count == 1 else 'publishes'}: {refusal}. {REFUSED_HINT}"
            for refusal, count in told.get("refusals", {}).items()
        ]
    found += _remarks(result, backend)
    unreadable = sum(result.get("unreadable", {}).values())
    if unreadable:
        reasons = ", ".join(f"{reason} {count}" for reason, count in result["unreadable"].items())
        found.append(
            f"cars refused {unreadable} {'message' if unreadable == 1 else 'messages'} sent to them, by reason: {reasons}"
        )
    return found


def _remarks(result: Mapping[str, Any], backend: Mapping[str, Any]) -> list[str]:
    """Return what the broker does otherwise than asked: once each, though cars and back end may both have noticed it."""
    by_kind: dict[str, str] = {}
    for remark in (*result.get("remarks", ()), *backend.get("remarks", ())):
        by_kind.setdefault(remark.partition(" (")[0], remark)  # behind it stand count and example
    return list(by_kind.values())


def _ends(who: str, ends: Mapping[str, int], *, harmed: bool) -> list[str]:
    taken_over, unexplained = ends.get("taken_over", 0), ends.get("unexplained", 0)
    if taken_over:
        times = "once" if taken_over == 1 else f"{taken_over} times"
        return [f"another client took over the session of {who} {times}: it uses the same client id. {OWN_CLIENT_IDS}"]
    if unexplained >= UNEXPLAINED_MIN and not harmed:
        text = f"the broker, or a proxy before it, closed a connection of {who} {unexplained} times and gave no reason"
        return [f"{text}: brokers do so when another client connects with the same client id. {OWN_CLIENT_IDS}"]
    return []
