"""Before the examples of enrolment: Anna has an account, and has begun to enrol a Born by QR code, whose screen shows one."""

from __future__ import annotations

from typing import Any

from tests.cloud.people.enrolling import ALL_TEXTS, BORN, CODE
from tests.cloud.people.lab import PeopleLab


def registered(lab: PeopleLab) -> dict[str, Any]:
    lab.person()
    return {}


def begun(lab: PeopleLab) -> dict[str, Any]:
    lab.done("enrol", "begin", BORN, person=lab.person(), way="qr")
    return {"vin": BORN}


def accepted(lab: PeopleLab) -> dict[str, Any]:
    begun(lab)
    lab.done("enrol", "consents", BORN, person="anna@example.com", **ALL_TEXTS)
    lab.event("qr_shown", BORN, code=CODE)
    return {"vin": BORN}


READY = {"consents": begun, "scan": accepted, "cancel": begun, "remove": begun}
OTHERWISE = registered
