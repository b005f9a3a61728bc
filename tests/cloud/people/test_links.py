"""Links that are mailed: of use once, for a while, only the newest, and never one for another."""

from __future__ import annotations

import pytest

from fleet.cloud.people.figures import Figures
from fleet.cloud.people.links import PAUSE
from fleet.cloud.people.shelves import Links
from fleet.cloud.rule import Mail
from tests.cloud.people.lab import PeopleLab, forbid_walks

ANNA = "anna@example.com"
CONFIRM = Figures().link_lifetime("confirm")


def lab_with_link() -> tuple[PeopleLab, str]:
    lab = PeopleLab()
    lab.person(ANNA, confirmed=False, complete=False)
    return lab, lab.mails[-1].secret


def confirm(lab: PeopleLab, secret: str) -> str | None:
    return lab.ask("account", "confirm", proofs=lab.secrets(link=secret)).reason


def test_a_link_is_of_use_once() -> None:
    lab, secret = lab_with_link()
    assert confirm(lab, secret) is None
    assert confirm(lab, secret) == "link_invalid"
    assert not lab.people.links


@pytest.mark.parametrize(("late", "reason"), [(-1, None), (0, "link_invalid")])
def test_a_link_is_of_use_for_three_days(late: int, reason: str | None) -> None:
    lab, secret = lab_with_link()
    lab.wait(CONFIRM + late)
    assert confirm(lab, secret) == reason


def test_a_newer_link_takes_the_place_of_the_one_before() -> None:
    lab, first = lab_with_link()
    lab.wait(PAUSE)
    lab.done("account", "send_link", person=ANNA)
    (mail,) = lab.those(Mail)
    assert confirm(lab, first) == "link_invalid"
    assert confirm(lab, mail.secret) is None


def test_who_asks_again_at_once_floods_no_mailbox() -> None:
    lab, secret = lab_with_link()
    lab.wait(PAUSE - 1)
    lab.done("account", "send_link", person=ANNA)
    assert not lab.those(Mail)
    assert confirm(lab, secret) is None


def test_a_link_for_one_purpose_is_none_for_another() -> None:
    lab = PeopleLab()
    lab.person(ANNA)
    lab.done("account", "forgot_password", person=ANNA)
    secret = lab.those(Mail)[0].secret
    assert confirm(lab, secret) == "link_invalid"
    lab.done("account", "reset_password", proofs=lab.secrets(link=secret, new_password="x" * 9))


def test_a_link_is_known_by_its_digest_alone() -> None:
    lab, secret = lab_with_link()
    assert secret not in str(dict(lab.people.links.items()))
    assert secret not in repr(lab.mails)


def test_links_that_are_over_are_kept_no_longer() -> None:
    lab, _ = lab_with_link()
    lab.wait(CONFIRM)
    lab.person("bo@example.com", confirmed=False, complete=False)
    assert {link.account for link in lab.people.links.values()} == {"p2"}


def test_no_link_is_looked_for_among_those_of_all_people(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = PeopleLab()
    for number in range(5):
        lab.person(f"person{number}@example.com", confirmed=False, complete=False)
    forbid_walks(monkeypatch, Links)
    lab.wait(PAUSE)
    lab.done("account", "send_link", person="person3@example.com")
    lab.done("account", "forgot_password", person="person3@example.com")
    secret = lab.those(Mail)[0].secret
    lab.done("account", "reset_password", proofs=lab.secrets(link=secret, new_password="x" * 9))
