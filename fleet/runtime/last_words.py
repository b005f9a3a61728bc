"""The result of a simulator that died before it could give one: by its last progress, and nothing where that says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fleet.observe.histogram import Histogram
from fleet.runtime.figures import ACCOUNT
from fleet.runtime.outcomes import by_state
from fleet.scenario.schema import Scenario

_HEALTH: Final = ("cpu_percent", "cpu_percent_peak", "cpu_percent_late", "memory_mb_peak")


def result_of_dead(progress: Mapping[str, Any], scenario: Scenario, *, until_stored: bool) -> dict[str, Any]:
    """Return the result as `Simulation.result` has it. `cut_off` says up to when it counts, None when nothing was counted.

    `progress` is the last that the simulator emitted, empty when it emitted none.
    """
    so_far = progress.get("so_far", {})
    nothing = Histogram().to_dict()
    return {
        "type": "result",
        "cut_off": progress.get("scenario_time"),
        "boot": so_far.get("boot", 0),
        "until_stored": until_stored,
        "cars": scenario.cars,
        "connected": so_far.get("connected", 0),
        "stopped_early": True,
        "wall_s": so_far.get("wall_s", 0.0),
        "account": {name: progress.get("account", {}).get(name, 0) for name in ACCOUNT},
        "outboxes": {},
        "latency_ms": {
            "publish_to_ack": progress.get("publish_to_ack_ms", {}),
            "command_round_trip": progress.get("round_trip_ms", {}),
        },
        "publish_to_ack": None,
        "round_trip": None,
        "round_trip_waking": None,
        "behind": so_far.get("behind", nothing),
        "late_sends": so_far.get("late_sends", 0),
        "health": so_far.get("health", {"loop_lag": nothing, **dict.fromkeys(_HEALTH, 0.0)}),
        "refusals": {},
        "presences": {},
        "left_out_by": {},
        "stages": [],
        "lines": [],
        "outages": [],
        "commands": by_state(progress.get("commands", {})),
    }
