"""Shelves: what is on them follows from the notes, is found at once, and goes in the order in which it ends."""

from __future__ import annotations

from msgspec.structs import replace

from fleet.cloud.people.records import Link, Session, Tries
from fleet.cloud.people.shelves import Links, Sessions, TriesShelf
from fleet.cloud.rule import Notes

NOW = 1_000


def session(began: int) -> Session:
    return Session(account="p1", device="phone", began=began, used=began, ends=NOW)


def link(account: str, until: int) -> Link:
    return Link(account=account, purpose="confirm", until=until)


def test_the_sessions_of_an_account_are_in_the_order_of_their_times_however_a_store_has_them() -> None:
    notes = Notes()
    sessions = Sessions(notes)
    for began, key in enumerate(("c", "a", "d", "b")):
        sessions.put(key, session(began))
    sessions.put("c", replace(session(0), used=NOW))
    for held in (
        sessions,
        Sessions(Notes(dict(sorted(notes.items())))),
        Sessions(Notes(dict(sorted(notes.items(), reverse=True)))),
    ):
        assert held.of("p1") == ["c", "a", "d", "b"]


def test_links_are_found_by_account_also_after_a_restart() -> None:
    notes = Notes()
    links = Links(notes)
    for key, account in (("a", "p1"), ("b", "p2"), ("c", "p1")):
        links.put(key, link(account, NOW))
    links.put("a", link("p1", NOW + 1))
    links.drop("c")
    assert [links.of("p1"), links.of("p2"), links.of("p3")] == [["a"], ["b"], []]
    again = Links(Notes(dict(notes)))
    assert [again.of("p1"), again.of("p2")] == [["a"], ["b"]]
    again.drop_ended(NOW)
    assert list(again) == ["a"]
    again.drop_ended(NOW + 1)
    assert not again.of("p1")


def test_links_that_are_over_go_in_portions() -> None:
    links = Links(Notes())
    for number in range(250):
        links.put(str(number), link("p1", number))
    left = []
    for _ in range(3):
        links.drop_ended(NOW)
        left.append(len(links))
    assert left == [150, 50, 0]


def test_counts_that_are_over_make_room_then_those_that_lock_nothing_then_locks() -> None:
    notes = Notes()
    held = {"over": (5, True), "count": (300, False), "soon": (200, False), "lock": (100, True), "longer lock": (150, True)}
    for shelf in (TriesShelf(notes), TriesShelf(Notes({}))):
        for key, (until, locks) in held.items():
            shelf.put(key, Tries(count=1, until=until, locks=locks))
        gone = []
        while len(shelf):
            before = list(shelf)
            shelf.make_room(10)
            gone += [key for key in before if key not in shelf]
        assert gone == ["over", "soon", "count", "lock", "longer lock"]
        shelf.make_room(10)


def test_a_count_that_begins_to_lock_and_one_that_is_dropped_change_their_places() -> None:
    notes = Notes()
    tries = TriesShelf(notes)
    tries.put("a", Tries(count=1, until=20))
    tries.put("b", Tries(count=1, until=30))
    tries.put("a", Tries(count=2, until=20, locks=True))
    again = TriesShelf(Notes(dict(notes)))
    again.make_room(10)
    assert list(again) == ["a"]
    tries.drop("b")
    tries.put("c", Tries(count=1, until=40))
    tries.make_room(10)
    assert list(tries) == ["a"]
