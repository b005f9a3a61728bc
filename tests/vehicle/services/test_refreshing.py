"""Refresh: the whole status, and a health report with the engine running."""

from __future__ import annotations

from fleet.kernel.instants import MINUTE
from fleet.vehicle.signals import DriveTo, SwitchOff, SwitchOn
from tests.vehicle.car_lab import OK, SHOP, CarLab


def test_refresh_sends_the_whole_status() -> None:
    """At any time: parked, with the engine on, and driving; after the success that announces it."""
    lab = CarLab()
    for state in ("parked", "ignition_on", "driving"):
        if state == "ignition_on":
            lab.put(SwitchOn())
        elif state == "driving":
            lab.put(DriveTo(SHOP))
            lab.run_for(MINUTE)
        assert lab.outcome("refresh", wait=MINUTE if state == "parked" else 0) == OK
        status = lab.statuses("refresh")[-1]
        assert status.state == state
        assert status.energy is not None
        assert status.position is not None
        assert (status.position.parked_at is None) == (state != "parked")


def test_refresh_with_the_engine_running_renews_the_health_report() -> None:
    """Always, before the first 20 km too; with the engine off it leaves it as it is."""
    lab = CarLab()
    lab.outcome("refresh")
    assert lab.statuses("refresh")[-1].health is None
    lab.put(SwitchOn())
    lab.outcome("refresh", wait=0)
    health = lab.statuses("refresh")[-1].health
    assert health is not None
    assert health.reported_at == lab.now
    lab.put(SwitchOff(), lab.now + MINUTE)
    lab.outcome("refresh")
    assert lab.statuses("refresh")[-1].health == health
