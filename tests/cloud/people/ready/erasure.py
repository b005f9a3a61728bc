"""Before the examples of erasure: Anna has enrolled a car."""

from __future__ import annotations

from typing import Any

from fleet.cloud.people.erasure import SUBJECT
from fleet.cloud.people.tokens import digest_of
from fleet.cloud.rule import Proof
from tests.cloud.people.lab import VIN, PeopleLab


def enrolled(lab: PeopleLab) -> dict[str, Any]:
    """Have what the driver proves of cars and people, too."""
    anna = lab.person()
    lab.done("enrol", "begin", VIN, person=anna, way="two_keys")
    assert lab.request("enrolment", way="two_keys").error is None
    return {"proofs": {SUBJECT + each: Proof(digest=digest_of(each)) for each in (VIN, anna)}}


READY: dict[str, Any] = {}
OTHERWISE = enrolled
