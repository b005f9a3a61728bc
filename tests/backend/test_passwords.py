"""Hashes of passwords: peppered, salted, at the recommended cost, and as slow for nobody's."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from fleet.backend.passwords import LEAST, LONGEST, SHORTEST, PasswordCost, PasswordVault, fault_of_length, fault_of_new

PEPPER = b"a pepper for the tests"


def test_a_password_is_right_for_its_hash_and_no_other_is() -> None:
    vault = PasswordVault(PEPPER, LEAST)
    kept = vault.hash("correct horse")
    assert vault.verify("correct horse", kept)
    assert not vault.verify("Correct horse", kept)
    assert not vault.verify("", kept)
    assert vault.hash("correct horse") != kept
    assert "correct" not in kept


def test_who_has_the_store_alone_cannot_verify() -> None:
    kept = PasswordVault(PEPPER, LEAST).hash("correct horse")
    assert not PasswordVault(b"another pepper", LEAST).verify("correct horse", kept)


def test_a_hash_is_verified_at_the_cost_it_was_made_with() -> None:
    kept = PasswordVault(PEPPER, LEAST).hash("correct horse")
    assert PasswordVault(PEPPER, PasswordCost(time=2, memory_kib=16, lanes=2)).verify("correct horse", kept)


def test_the_cost_is_what_the_library_recommends() -> None:
    """RFC 9106, the second recommended option: 64 MiB, three passes, four lanes."""
    assert PasswordVault(PEPPER).hash("correct horse").startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_nobodys_password_costs_as_much_and_is_never_right(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    verify = PasswordHasher.verify

    def counting(hasher: PasswordHasher, kept: str, password: bytes) -> bool:
        verified.append(kept.rsplit("$", 2)[0])
        return verify(hasher, kept, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    vault = PasswordVault(PEPPER, LEAST)
    kept = vault.hash("correct horse")
    assert [vault.verify(word, None) for word in ("", "correct horse")] == [False, False]
    vault.verify("wrong", kept)
    assert verified == ["$argon2id$v=19$m=8,t=1,p=1"] * 3


def test_the_same_letters_are_the_same_password() -> None:
    vault = PasswordVault(PEPPER, LEAST)
    assert vault.verify("Z\u00fcrich 2026", vault.hash("Zu\u0308rich 2026"))


def test_a_hash_that_is_none_is_not_right() -> None:
    assert not PasswordVault(PEPPER, LEAST).verify("correct horse", "$argon2id$v=19$m=8,t=1,p=1$bm8$bm8")


@pytest.mark.parametrize("length", [0, SHORTEST - 1, SHORTEST, LONGEST, LONGEST + 1])
def test_a_new_password_has_8_to_256_characters(length: int) -> None:
    assert (fault_of_new("x" * length) is None) == (8 <= length <= 256)
    assert (fault_of_length("x" * length) is None) == (length <= 256)
