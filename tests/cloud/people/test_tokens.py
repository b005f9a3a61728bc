"""Tokens are told by their form, and a journal has stand-ins for them by which the same is decided."""

from __future__ import annotations

from fleet.cloud.people.tokens import LENGTH, PREFIX, StandIns, digest_of, pairing_code_of

TOKEN = PREFIX + "a" * LENGTH
OTHER = PREFIX + "b-_" + "c" * (LENGTH - 3)


def test_a_digest_does_not_show_the_token_and_is_always_the_same() -> None:
    assert digest_of(TOKEN) == digest_of(TOKEN) != digest_of(OTHER)
    assert TOKEN not in digest_of(TOKEN)


def test_the_stand_in_of_a_digest_is_the_digest_of_the_stand_in() -> None:
    stand_ins = StandIns()
    told = stand_ins.of(TOKEN)
    assert stand_ins.without_secrets(f'"{digest_of(TOKEN)}"') == f'"{digest_of(told)}"'
    assert stand_ins.of(TOKEN) == told != stand_ins.of(OTHER)


def test_nothing_secret_is_left_in_a_text_and_all_else_is() -> None:
    hashed = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG"
    text = f"a {TOKEN} b {digest_of(OTHER)} c {hashed} d fleet_sold e"
    left = StandIns().without_secrets(text)
    assert TOKEN not in left
    assert digest_of(OTHER) not in left
    assert "RdescudvJCsgt3ub" not in left
    assert left.startswith("a fleet_0")
    assert left.endswith(" d fleet_sold e")


def test_what_is_run_again_with_stand_ins_gets_the_same_ones() -> None:
    """Whatever comes in between: tokens, digests that are known and others, hashes, codes."""
    hashed = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub"
    code = digest_of(pairing_code_of(OTHER))
    texts = [TOKEN, digest_of("code"), digest_of(TOKEN), hashed, OTHER, code, digest_of(OTHER), hashed + "x"]
    first, again = StandIns(), StandIns()
    told = [first.without_secrets(text) for text in texts]
    assert [again.without_secrets(text) for text in told] == told
    assert len(set(told)) == len(told)
    assert first.without_secrets("scrypt:2:1:1$ab$cd") == again.without_secrets("scrypt:4:1:1$ef$cd")


def test_a_stand_in_stands_for_itself() -> None:
    first = StandIns()
    text = first.without_secrets(f"{TOKEN} {OTHER}")
    assert StandIns().without_secrets(text) == text


def test_a_pairing_code_has_eight_digits() -> None:
    code = pairing_code_of(TOKEN)
    assert (len(code), code.isdecimal()) == (8, True)
    assert code != pairing_code_of(OTHER)


def test_what_is_run_again_from_stand_ins_gets_the_same_for_what_it_makes_itself() -> None:
    """The hash comes in, and a digest of something in clear comes out: here the secrets, and again with the stand-ins."""
    hashed, made = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub", digest_of("an origin")
    recorded, again = StandIns(), StandIns()
    came = [recorded.of(TOKEN), recorded.without_secrets(hashed)]
    assert [again.without_secrets(each) for each in came] == came
    assert again.without_secrets(f"{made} {digest_of(came[0])}") == recorded.without_secrets(f"{made} {digest_of(TOKEN)}")
