"""What a part is asked with: words, a car, a person, proofs; each missing one is refused with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.cloud.people.part import Asking, Refused, Words
from fleet.cloud.rule import Proof, ServiceAsked
from fleet.wire.messages import ServiceRequest
from tests.cloud.people.lab import VIN, PeopleLab


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


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "way is missing: qr, assistant, two_keys, code; such as fleet enrol begin VIN way="),
        ({"way": "qr", "wya": "qr"}, "there is no 'wya'; it takes way, code; such as"),
        ({"way": "qr", "code": 5}, "`$.code`; such as fleet enrol begin VIN way="),
    ],
)
def test_what_is_wrong_with_words_is_told_with_what_was_expected_and_the_example(data: dict[str, Any], told: str) -> None:
    answer = PeopleLab().ask("enrol", "begin", VIN, **data)
    assert answer.reason == "malformed"
    assert told in (answer.detail or "")
