"""Messages of the back end wait for the ignition, and are shown once."""

from __future__ import annotations

from fleet.kernel.instants import HOUR, MINUTE
from fleet.vehicle.services.notices import MOST
from fleet.vehicle.signals import PairCar, ResetCar, SwitchOn
from tests.vehicle.services.people_lab import PeopleLab


def test_a_notice_waits_for_the_ignition_and_is_shown_once() -> None:
    lab = PeopleLab()
    lab.command("show_notice", kind="licence_ended", text="ended")
    lab.run_for(HOUR)
    assert lab.told("notice_shown") == []
    lab.put(SwitchOn())
    assert lab.told("notice_shown") == [{"kind": "licence_ended"}]
    lab.stop()
    lab.put(SwitchOn())
    assert len(lab.told("notice_shown")) == 1


def test_with_the_ignition_on_it_is_shown_at_once() -> None:
    lab = PeopleLab()
    lab.put(SwitchOn())
    lab.command("show_notice", kind="activation")
    assert lab.told("notice_shown") == [{"kind": "activation"}]


def test_so_many_wait_and_no_more() -> None:
    lab = PeopleLab()
    lab.wake()
    lab.run_for(MINUTE)
    lab.command("show_notice", kind="activation")
    for _ in range(MOST):
        lab.command("show_notice", kind="licence_ended")
    lab.put(SwitchOn())
    assert lab.told("notice_shown") == [{"kind": "licence_ended"}] * MOST


def test_a_reset_forgets_them() -> None:
    lab = PeopleLab()
    lab.command("show_notice", kind="licence_ended")
    lab.put(ResetCar())
    lab.put(PairCar())
    lab.put(SwitchOn())
    assert lab.told("notice_shown") == []
