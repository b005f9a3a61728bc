"""What has to be there before the examples of `fleet service licence` can be done: a car that Anna has enrolled."""

from __future__ import annotations

from typing import Any

from tests.cloud.people.buyers import enrolled
from tests.cloud.people.lab import VIN, PeopleLab


def _registered(lab: PeopleLab) -> dict[str, Any]:
    enrolled(lab)
    return {}


def _unregistered(lab: PeopleLab) -> dict[str, Any]:
    enrolled(lab, registered=False)
    return {}


def _renewed(lab: PeopleLab) -> dict[str, Any]:
    enrolled(lab)
    lab.done("licence", "renew", VIN)
    return {}


def _bought_elsewhere(lab: PeopleLab) -> dict[str, Any]:
    enrolled(lab)
    lab.done("store", "buy", VIN, offer="navi_1_year", activate=False)
    return {}


READY = {"register": _unregistered, "withdraw": _renewed, "activate": _bought_elsewhere}
OTHERWISE = _registered
