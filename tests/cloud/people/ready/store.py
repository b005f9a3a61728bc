"""What has to be there before the examples of `fleet service store` can be done: a car that Anna has enrolled."""

from __future__ import annotations

from typing import Any

from tests.cloud.people.buyers import enrolled
from tests.cloud.people.lab import VIN, PeopleLab


def _enrolled(lab: PeopleLab) -> dict[str, Any]:
    enrolled(lab)
    return {}


def _bought(lab: PeopleLab) -> dict[str, Any]:
    enrolled(lab)
    lab.done("store", "buy", VIN, offer="navi_1_year")
    return {}


READY = {"refund": _bought, "invoices": _bought}
OTHERWISE = _enrolled
LATER = {"until", "refunded"}
