"""A simulated person: what follows from the key, what was changed, and what nobody may see."""

from __future__ import annotations

from fleet.runtime.people.person import Manner, make_person, password_of, spin_of
from tests.runtime.people.people_lab import anna


def test_a_person_follows_from_the_key() -> None:
    assert anna(language="sv").email == anna(language="sv").email
    other = make_person("bert", 8, 2, Manner())
    assert other.email != anna().email
    assert other.password != anna().password
    assert anna(language="sv").email.endswith(".1@example.org"), "a number of one's own"


def test_a_password_is_what_was_chosen_last() -> None:
    person = anna()
    chosen = person.new_password
    assert person.password == chosen, "the one that will be chosen"
    person.has_changed_password()
    assert person.password == chosen
    next_one = person.new_password
    assert next_one not in (chosen, person.wrong_password)
    person.has_changed_password()
    assert person.password == next_one


def test_somebody_who_was_known_before_has_the_password_of_many_until_it_is_changed() -> None:
    person = anna()
    person.password_key = 99
    assert person.password == password_of(99, 0)
    chosen = person.new_password
    person.has_changed_password()
    assert person.password == chosen != password_of(99, 1)


def test_an_spin_is_what_was_set_last() -> None:
    person = anna()
    first = person.new_spin
    assert person.spin == first == spin_of(7, 0)
    person.has_set_spin()
    assert person.spin == first
    second = person.new_spin
    person.has_set_spin()
    assert person.spin == second
    assert person.wrong_spin != person.spin
    assert len(person.wrong_spin) == 4


def test_a_repr_shows_a_name_alone() -> None:
    assert repr(anna()) == "Person('anna')"
