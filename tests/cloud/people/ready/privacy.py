"""What has to be there before the examples of `fleet service privacy` can be done."""

from __future__ import annotations

from typing import Any

from fleet.cloud.people.records import CarPeople, CarUser
from tests.cloud.people.lab import VIN, PeopleLab


def _owner(lab: PeopleLab) -> dict[str, Any]:
    account = lab.person()
    lab.people.put_car(CarPeople(vin=VIN, managed=True, users={account: CarUser(role="primary", since=lab.now)}))
    lab.done("account", "consent", person=account, what="research", version="1", given=True)  # so that the rule tells the rights
    return {}


READY: dict[str, Any] = {}
OTHERWISE = _owner
