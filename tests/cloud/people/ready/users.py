"""Before the examples of the users of a car: Anna has enrolled it, and Bea is another user."""

from __future__ import annotations

from typing import Any

from tests.cloud.people.lab import VIN, PeopleLab


def enrolled(lab: PeopleLab) -> dict[str, Any]:
    """Also have Bea register."""
    lab.done("enrol", "begin", VIN, person=lab.person(), way="two_keys")
    assert lab.request("enrolment", way="two_keys").error is None
    lab.person("bea@example.com")
    return {}


def family(lab: PeopleLab) -> dict[str, Any]:
    enrolled(lab)
    lab.done("users", "invite", VIN, person="anna@example.com", email="bea@example.com")
    return {}


READY = {"invite": enrolled}
OTHERWISE = family
