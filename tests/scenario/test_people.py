"""The element `people`: what it defaults to, and what a journal keeps of it."""

from __future__ import annotations

from fleet.kernel.instants import DAY
from fleet.runtime.assembly import vins, vocabulary
from fleet.scenario.loader import parse
from fleet.scenario.people import LANGUAGES
from fleet.scenario.resolved import LATER, from_plain, to_plain

HEAD = """\
scenario: people
purpose: Has people.
seed: 3
start: 2028-02-29T05:00
duration: 1 h
region: munich
fleets: [{name: any, count: 20, models: {Leon: 1}}]
timeline: [{at: 1 min, do: park}, {at: 2 min, command: lock}]
load: [{do: ask_status, rate: 1 per s}]
stages: []
"""
PEOPLE = """\
people:
  drawn:
    - {cars: {count: 5}, families: 20 %, languages: {sv: 1}, licence_age: {from: 10 days, to: 400 days}}
    - {privacy: {online: 50 %, offline: 50 %}}
  persons: [{name: anna, role: guest, cars: {index: 0}}]
"""


def test_without_people_a_journal_begins_as_it_did() -> None:
    """No key of people stands in the resolved scenario, nor in its steps."""
    plain = to_plain(parse(HEAD, "", vocabulary()))
    for part in (plain, *plain["load"], *plain["timeline"]):
        assert not part.keys() & set(LATER)


def test_people_survive_the_journal() -> None:
    """What a journal keeps of them is all of them."""
    scenario = parse(HEAD + PEOPLE, "", vocabulary())
    assert from_plain(to_plain(scenario)) == scenario
    assert scenario.people is not None
    first, second = scenario.people.drawn
    assert (first.enrolled, first.apps, second.languages) == (1.0, 0.0, {"en": 1.0})
    assert (first.licence_age.low, first.licence_age.high) == (10 * DAY, 400 * DAY)
    assert (scenario.people.persons[0].verified, scenario.people.persons[0].allowed) == (True, None)


def test_people_change_no_car() -> None:
    """The cars of a scenario are the same with people and without."""
    assert vins(parse(HEAD + PEOPLE, "", vocabulary())) == vins(parse(HEAD, "", vocabulary()))


def test_every_language_is_one_of_accounts() -> None:
    """English is among them, in which texts are where another language has none."""
    assert "en" in LANGUAGES
    assert len(set(LANGUAGES)) == len(LANGUAGES)
