"""Logs a user of a car in on its screen: with the S-PIN, or with the one that was saved there and has not changed since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from fleet.cloud.people.part import Refused
from fleet.cloud.people.people import People
from fleet.cloud.rule import Proof
from fleet.wire.messages import Request
from fleet.wire.requests import read_request

REQUEST: Final = "log_in"


def log_in(people: People, request: Request, proofs: Mapping[str, Proof]) -> dict[str, Any]:
    """Return who is the user of the car from now on, and in which role. Raises Refused and Undecodable."""
    words: Any = read_request(REQUEST, request.data)
    account, car = people.named(words.user), people.car(request.vin)
    user = None if account is None else car.users.get(account.id)
    if account is None or user is None:
        raise Refused("insufficient_rights", "this person is no user of the car")
    proof = proofs.get("spin")
    if proof is not None:
        if not proof.right or proof.account != account.id:
            raise Refused(proof.refused or "spin_wrong", proof.detail)
        if user.spin_typed != account.spin_version:
            typed = replace(user, spin_typed=account.spin_version)
            people.put_car(replace(car, users=car.users | {account.id: typed}))
    elif not words.saved or user.spin_typed != account.spin_version or not account.spin_set:
        raise Refused("spin_required", "the S-PIN is to be typed: none was saved here, or it was changed since")
    return {"user": account.id, "role": user.role}
