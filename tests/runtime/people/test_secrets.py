"""The secrets beside a request: those that an action wants, and what is known afterwards."""

from __future__ import annotations

import pytest

from fleet.runtime.people.person import Person
from fleet.runtime.people.secrets import WRONG_TOKEN, has_learnt, secrets_for
from tests.runtime.people.people_lab import anna, answer


def given(
    person: Person, *wanted: str, action: str = "log_in", in_session: bool = False, wrong: tuple[str, ...] = ()
) -> dict[str, str]:
    return secrets_for(person, action, wanted, in_session=in_session, wrong=wrong, take_link=lambda kind: f"link in {kind}")


def test_what_an_action_wants_is_given() -> None:
    person = anna()
    assert given(person, "password", "new_spin") == {"password": person.password, "new_spin": person.spin}
    assert given(person) == {}
    assert given(person, "link", action="reset_password") == {"link": "link in password_reset"}
    assert given(person, "refresh") == {}, "there is none before the first log-in"


def test_what_may_be_left_out_is_given_without_a_session() -> None:
    person = anna()
    assert given(person, "password?", "new_spin").keys() == {"password", "new_spin"}
    assert given(person, "password?", "new_spin", in_session=True).keys() == {"new_spin"}
    assert given(person, "password?", in_session=True, wrong=("password",)) == {"password": person.wrong_password}


@pytest.mark.parametrize("name", ["password", "spin", "link", "refresh", "code"])
def test_a_wrong_one_is_another(name: str) -> None:
    person = anna()
    person.refresh, person.code = "r", "00000001"
    right, wrong = given(person, name)[name], given(person, name, wrong=(name,))[name]
    assert right != wrong
    assert name not in ("link", "refresh") or wrong == WRONG_TOKEN


def test_what_an_answer_tells_is_known_then() -> None:
    person = anna()
    has_learnt(person, {}, answer(secrets={"session": "s", "refresh": "r", "code": "12345678"}, account="p7"))
    assert (person.session, person.refresh, person.code, person.account) == ("s", "r", "12345678", "p7")
    given = {"new_spin": person.new_spin, "new_password": person.new_password}
    has_learnt(person, given, answer("malformed"))
    assert person.new_spin == person.spin, "it was refused, so the first one is still to be set"
    has_learnt(person, given, answer())
    assert person.has_spin
    assert person.password_key == person.key
    assert person.session == "s", "an old phone keeps its token"


def test_what_was_set_twice_side_by_side_is_one() -> None:
    person = anna()
    given = {"new_spin": person.new_spin, "new_password": person.new_password}
    for _ in range(2):
        has_learnt(person, given, answer())
    assert (person.spin, person.password) == (given["new_spin"], given["new_password"])
