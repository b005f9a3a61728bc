"""What a part is asked with: words, a car, a person, proofs; each missing one is refused with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.cloud.people.part import Asking, Refused, Words
from fleet.cloud.rule import Proof, ServiceAsked
from fleet.wire.messages import ServiceRequest


class _Age(Words, frozen=True, kw_only=True):
    years: int


def asking(vin: str | None = None, person: str | None = None, proofs: dict[str, Proof] | None = None, **data: Any) -> Asking:
    request = ServiceRequest(id="r", service="garage", action="join", vin=vin, data=data)
    return Asking(ServiceAsked(request, "t", (), person, proofs or {}), 1)


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        (lambda: asking().vin, "malformed"),
        (lambda: asking().person, "insufficient_rights"),
        (lambda: asking(years="x").words(_Age), "malformed"),
        (lambda: asking(years=1, months=2).words(_Age), "malformed"),
        (lambda: asking().proof("password"), "malformed"),
        (lambda: asking(proofs={"spin": Proof(refused="spin_locked")}).proof("spin"), "spin_locked"),
    ],
)
def test_what_is_missing_or_wrong_is_refused(look: Any, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        look()
    assert refused.value.reason == reason


def test_what_is_there_is_given() -> None:
    proof = Proof(right=True, account="p1")
    asked = asking("VSSZZZKMZPR000001", "p1", {"password": proof}, years=3)
    assert (asked.vin, asked.person, asked.words(_Age).years) == ("VSSZZZKMZPR000001", "p1", 3)
    assert asked.proof("password") is proof


def test_a_proof_shows_no_digest() -> None:
    assert "abc" not in repr(Proof(digest="abc"))
