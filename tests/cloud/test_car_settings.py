"""What the desk makes of a car's own switches: commands that the car would refuse are not sent."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.cloud.car_settings import ReportedSettings, after
from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import CarSwitched, KeepSettings, RemoveUser, SendCommand
from fleet.wire.messages import Event
from tests.cloud.desk_lab import OTHER, VIN, DeskLab, outcome


def event(name: str, seq: int = 1, *, boot: int = 1, **data: Any) -> Event:
    return Event(vin=VIN, boot=boot, seq=seq, captured_at=seq, name=name, data=data)


def told(name: str, seq: int = 1, **data: Any) -> DeskLab:
    lab = DeskLab()
    lab.give(CarSwitched(event(name, seq, **data)))
    return lab


@pytest.mark.parametrize(
    ("data", "command", "reason"),
    [
        ({"mode": "offline"}, "refresh", "privacy_offline"),
        ({"mode": "offline"}, "honk", "privacy_offline"),
        ({"mode": "maximum_privacy"}, "refresh", "privacy_offline"),
        ({"mode": "online"}, "honk", "privacy_location"),
        ({"mode": "online"}, "refresh", None),
        ({"mode": "online_with_location"}, "honk", None),
        ({"mode": "online_with_location", "services_off": ["honk"]}, "honk", "service_deactivated"),
        ({"mode": "online", "services_off": ["honk"]}, "refresh", None),
        ({"mode": "offline"}, "reset", None),
    ],
)
def test_what_the_car_would_refuse_is_not_sent(data: dict[str, Any], command: str, reason: str | None) -> None:
    """And what the law allows is, in every mode."""
    lab = told("privacy_changed", **data)
    answer = lab.ask("a", command)
    if reason is None:
        assert outcome(answer) == ("queued", None)
    else:
        assert outcome(answer) == ("rejected", reason)
    assert bool(lab.sent("a")) == (reason is None)
    assert outcome(lab.ask("b", command, vin=OTHER))[0] == "queued", "another car is another matter"


def test_the_newest_word_counts() -> None:
    """Messages can come twice and late."""
    lab = told("privacy_changed", 5, mode="offline")
    lab.give(CarSwitched(event("privacy_changed", 3, mode="online_with_location")))
    assert outcome(lab.ask("a", "refresh")) == ("rejected", "privacy_offline")
    lab.give(CarSwitched(event("privacy_changed", 1, boot=2, mode="online_with_location")))
    assert outcome(lab.ask("b", "refresh")) == ("queued", None)
    assert [output.settings.mode for output in lab.of(KeepSettings)] == ["offline", "online_with_location"]


@pytest.mark.parametrize(
    "unread", [event("privacy_changed"), event("privacy_changed", mode="loud"), event("car_reset", user=5), event("engine_on")]
)
def test_what_cannot_be_read_changes_nothing(unread: Event) -> None:
    assert after(None, unread) is None


def test_a_restarted_desk_goes_on_with_what_it_knew() -> None:
    held = {VIN: ReportedSettings(boot=1, seq=5, mode="offline")}
    lab = DeskLab(desk=Desk(settings=held))
    assert outcome(lab.ask("a", "refresh")) == ("rejected", "privacy_offline")


# --- reset ----------------------------------------------------------------------------------------------------------


def test_a_reset_takes_away_all_rights_until_the_car_is_paired() -> None:
    """S-PIN and tokens among them; afterwards there is a primary user anew."""
    lab = DeskLab()
    lab.set_spin("1234")
    lab.ask("a", "lock", spin="1234")
    lab.give(CarSwitched(event("car_reset", 2, by="car")))
    assert lab.of(RemoveUser) == [RemoveUser(VIN, "primary")]
    assert outcome(lab.ask("b", "refresh")) == ("rejected", "not_paired")
    assert outcome(lab.ask("c", "reset")) == ("rejected", "not_paired")
    lab.give(CarSwitched(event("car_paired", 3)))
    assert outcome(lab.ask("d", "refresh")) == ("queued", None)
    assert outcome(lab.ask("e", "lock", spin="1234")) == ("rejected", "spin_required")


def test_an_spin_that_is_being_checked_is_worth_nothing_afterwards() -> None:
    """Its command ends, and the answer of the check finds nobody."""
    lab = DeskLab(manual=True)
    lab.set_spin("1234")
    lab.work_off()
    lab.ask("a", "lock", spin="1234")
    lab.ask("b", "lock", spin="1234")
    lab.give(CarSwitched(event("car_reset", 2, by="car")))
    assert [outcome(lab.last(each)) for each in ("a", "b")] == [("rejected", "insufficient_rights")] * 2
    lab.work_off()
    assert lab.of(SendCommand) == []


@pytest.mark.parametrize("data", [{}, {"user": None}, {"user": "primary"}])
def test_without_the_primary_user_nobody_is_left(data: dict[str, Any]) -> None:
    lab = told("car_reset", **data)
    assert outcome(lab.ask("a", "refresh")) == ("rejected", "not_paired")


def test_one_user_goes_and_the_others_stay() -> None:
    lab = DeskLab()
    lab.set_spin("1234")
    lab.give(CarSwitched(event("car_reset", 2, user="anna")))
    assert lab.of(RemoveUser) == []
    assert outcome(lab.ask("a", "lock", spin="1234")) == ("queued", None)
