"""Figures that are ours can be set, hold from then on, and outlive a restart."""

from __future__ import annotations

import msgspec
import pytest

from fleet.cloud.people.figures import Figures
from fleet.cloud.rule import Mail
from fleet.kernel.instants import HOUR, MINUTE
from tests.cloud.people.lab import DETAILS, PASSWORD, PeopleLab

ANNA = "anna@example.com"


def wrong(lab: PeopleLab) -> str:
    return lab.refused("account", "log_in", person=ANNA, device="x", proofs=lab.secrets(ANNA, password="wrong"))


def test_what_is_not_named_stays_and_all_is_told() -> None:
    lab = PeopleLab()
    assert lab.done("account", "figures").data == msgspec.structs.asdict(Figures())
    lab.done("account", "figures", tries=2)
    told = lab.done("account", "figures", locked_min=1).data
    assert told == msgspec.structs.asdict(Figures(tries=2, locked_min=1))
    assert lab.again().people.figures == Figures(tries=2, locked_min=1)


def test_tries_and_locks_go_by_them() -> None:
    lab = PeopleLab()
    lab.person(ANNA)
    lab.done("account", "figures", tries=2, locked_min=1)
    assert [wrong(lab) for _ in range(3)] == ["wrong_credentials", "wrong_credentials", "too_many_tries"]
    assert "in 1 minutes" in (lab.answers[-1].detail or "")
    lab.wait(MINUTE)
    lab.log_in(ANNA)


def test_sessions_devices_and_links_go_by_them() -> None:
    lab = PeopleLab()
    lab.person(ANNA)
    lab.done("account", "figures", sessions=1, devices=1, token_min=2, reset_min=3)
    first, second = lab.log_in(ANNA, "phone"), lab.log_in(ANNA, "tablet")
    assert lab.people.accounts["p1"].devices == ("tablet",)
    assert lab.refused("account", "show", session=first) == "insufficient_rights"
    lab.wait(2 * MINUTE - 1)
    lab.done("account", "show", session=second)
    lab.wait(1)
    assert lab.refused("account", "show", session=second) == "insufficient_rights"
    lab.done("account", "forgot_password", person=ANNA)
    link = lab.those(Mail)[0].secret
    lab.wait(3 * MINUTE)
    assert lab.refused("account", "reset_password", proofs=lab.secrets(link=link, new_password=PASSWORD)) == "link_invalid"


def test_ages_go_by_them_and_fit_each_other() -> None:
    lab = PeopleLab()
    lab.person(ANNA, complete=False)
    lab.done("account", "figures", youngest=18)
    assert lab.refused("account", "complete", person=ANNA, **{**DETAILS, "birth_date": "2009-01-01"}) == "argument_out_of_range"
    assert lab.refused("account", "figures", youngest=90, oldest=80) == "argument_out_of_range"
    assert lab.people.figures == Figures(youngest=18)


@pytest.mark.parametrize(("purpose", "lifetime"), [("confirm", 72 * HOUR), ("reset", HOUR)])
def test_links_have_their_lifetimes(purpose: str, lifetime: int) -> None:
    assert Figures().link_lifetime(purpose) == lifetime
