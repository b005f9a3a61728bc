"""A store as a person may see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleet.backend.decisions import decided
from fleet.backend.reader import StoreReader
from fleet.backend.seeing import NotVisible, SeenBy
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch
from fleet.cloud.car_settings import MODULE
from fleet.cloud.people.people import RULE, People
from fleet.cloud.people.records import Account, CarPeople, CarUser, Licence
from fleet.cloud.rights import Private
from fleet.cloud.rule import Keep, Notes, Notify, as_json
from tests.backend.lab import OTHER, VIN, batch, event, status

PLACE = {"latitude": 48.1, "longitude": 11.5, "accuracy_m": 5.0, "fixed_at": 1}
FOR_EVER = Licence(id="l", product="connect", packages=("safety", "remote"), begins=0, ends=10**17)


def with_people(store: SqliteStore, **car: Any) -> None:
    """Keep two accounts and a car with both, of which something is known otherwise."""
    notes = Notes()
    people = People(notes)
    for number, email in ((1, "anna@example.com"), (2, "bo@example.com"), (3, "cy@example.com")):
        people.put_account(Account(id=f"p{number}", email=email, registered=0))
    users = {"p1": CarUser(role="primary", since=2_500), "p2": CarUser(role="additional", since=0)}
    fields: dict[str, Any] = {"vin": VIN, "managed": True, "users": users, "licences": (FOR_EVER,)} | car
    people.put_car(CarPeople(**fields))
    kept = [Keep(RULE, key, as_json(value)) for key, value in notes.items()]
    store.commit(Batch(writes=[decided(keep, 1) for keep in kept]), 1)


@contextmanager
def seen(path: Path, person: str) -> Iterator[SeenBy]:
    with StoreReader(path) as reader:
        yield SeenBy(reader, person)


def numbers(path: Path, person: str, **more: Any) -> list[int]:
    with seen(path, person) as eyes:
        return [row.seq for row in eyes.history(VIN, **more)]


def test_a_new_owner_sees_nothing_of_before_and_a_previous_one_nothing(store: SqliteStore, path: Path) -> None:
    store.commit(batch(*[status(number) for number in range(1, 5)]), 1)
    with_people(store)
    assert numbers(path, "anna@example.com") == [4, 3]
    assert numbers(path, "p2") == [4, 3, 2, 1]
    assert numbers(path, "primary", limit=1) == [4]
    with seen(path, "cy@example.com") as eyes:
        for look in (lambda: eyes.history(VIN), lambda: eyes.status(VIN), lambda: eyes.notices(vin=VIN)):
            with pytest.raises(NotVisible, match="insufficient_rights"):
                look()
        assert eyes.cars() == []
        assert eyes.notices() == []


def test_whoever_has_no_account_sees_nothing(path: Path, store: SqliteStore) -> None:
    with_people(store)
    with pytest.raises(NotVisible, match="insufficient_rights"), seen(path, "di@example.com"):
        pass


def test_hidden_messages_do_not_count_as_shown(store: SqliteStore, path: Path) -> None:
    """So a limit is one of what is seen, however much is hidden between."""
    store.commit(batch(*[status(number) for number in range(1, 41)]), 1)
    with_people(store, private=(Private(10_000, 38_000, "offline"),))
    assert numbers(path, "p2", limit=4) == [40, 39, 38, 9]
    assert len(numbers(path, "p2", limit=100)) == 12


def test_the_last_state_before_it_became_private_stays_with_the_owner(store: SqliteStore, path: Path) -> None:
    store.commit(batch(status(3, position=PLACE), status(4, position={**PLACE, "latitude": 50.0})), 1)
    with_people(store, mode="online", private=(Private(3_500, None, "online"),))
    with seen(path, "p1") as eyes:
        twin = eyes.status(VIN)
        assert twin is not None
        assert twin.position is not None
        assert (twin.position.latitude, twin.mileage_km) == (48.1, 4.0)
    with seen(path, "p2") as eyes:
        twin = eyes.status(VIN)
        assert twin is not None
        assert (twin.position, twin.mileage_km) == (None, 4.0), "the others see no place while it is private"


def test_the_garage_of_a_person(store: SqliteStore, path: Path) -> None:
    store.commit(batch(status(3, position=PLACE), status(1, vin=OTHER)), 1)
    with_people(store, private=(Private(2_900, 3_100, "online"),))
    with seen(path, "p1") as eyes:
        (row,) = eyes.cars()
        assert (row.vin, row.state, row.latitude, row.mileage_km, row.captured_at) == (VIN, "parked", None, 3.0, 3_000)
    with seen(path, "primary") as eyes:
        assert [row.vin for row in eyes.cars()] == [VIN, OTHER], "each car has one, known or not"


def test_a_car_whose_licence_is_over_stands_in_the_garage_and_tells_nothing(store: SqliteStore, path: Path) -> None:
    store.commit(batch(status(3)), 1)
    with_people(store, licences=())
    with seen(path, "p1") as eyes:
        assert [(row.vin, row.state, row.mileage_km) for row in eyes.cars()] == [(VIN, None, None)]
        with pytest.raises(NotVisible, match="licence_missing"):
            eyes.status(VIN)


def test_what_the_car_says_of_its_switch_counts(store: SqliteStore, path: Path) -> None:
    store.commit(batch(status(3, position=PLACE)), 1)
    with_people(store)
    for mode, place in (("online_with_location", True), ("online", False)):
        store.commit(Batch(writes=[decided(Keep(MODULE, VIN, as_json({"mode": mode})), 1)]), 1)
        with seen(path, "p2") as eyes:
            twin = eyes.status(VIN)
            assert twin is not None
            assert (twin.position is not None) == place


def test_notices_of_ones_own_cars(store: SqliteStore, path: Path) -> None:
    told = [
        Notify(VIN, "primary_user", "before", {}, 2_000),
        Notify(VIN, "primary_user", "mine", PLACE, 3_000),
        Notify(VIN, "operator", "not_mine", {}, 3_000),
        Notify(OTHER, "primary_user", "of_another", {}, 3_000),
    ]
    store.commit(Batch(writes=[decided(notice, 1) for notice in told]), 1)
    with_people(store)
    with seen(path, "p1") as eyes:
        assert [(row.kind, row.data) for row in eyes.notices()] == [("mine", PLACE)]
        assert [row.kind for row in eyes.notices(vin=VIN, limit=1)] == ["mine"]
    with seen(path, "p2") as eyes:
        assert eyes.notices() == []


def test_of_a_car_without_people_its_nameless_primary_user_sees_all(store: SqliteStore, path: Path) -> None:
    store.commit(batch(status(1, position=PLACE), event(2)), 1)
    assert numbers(path, "primary") == [2, 1]
    with seen(path, "primary") as eyes:
        twin = eyes.status(VIN)
        assert twin is not None
        assert twin.position is not None
