"""The desk in an event loop: its deadlines, and answers that outlive the back end."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from fleet.backend.decisions import decided
from fleet.backend.reader import StoreReader
from fleet.backend.service import Backend
from fleet.backend.spin import SpinVault
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch
from fleet.cloud.car_settings import MODULE
from fleet.cloud.people.records import CarUser
from fleet.cloud.rule import Keep, as_json
from fleet.wire.messages import EnrolCar, ServiceRequest, SetSpin
from tests.backend.fake_link import FakeSession
from tests.backend.lab import ANSWERS, DIALECT, VIN, BackendLab, car, changed, config, kept_answers, presence, running
from tests.backend.test_seeing import with_people


async def test_a_deadline_wakes_the_desk(path: Path) -> None:
    """No answer of a connected car: the desk itself ends the command."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        await lab.announce(1_000_000.0)
        lab.command("a", ttl_s=1.0)
        lab.backend.desk.desk._factor = 1e-6  # lets the deadline come within wall milliseconds
        lab.command("b", ttl_s=1.0)
        assert (await lab.state("b", "unknown")).final


async def test_an_answer_is_told_after_a_restart_until_the_broker_has_taken_it(path: Path) -> None:
    """Killed between commit and publish: the next back end tells it, once, and keeps it no longer."""
    stuck = FakeSession()
    stuck.takes_publishes = False
    async with running(path, stuck) as lab:
        lab.ask(EnrolCar(id="enrol", vin=VIN))
        lab.command("wrong", name="nonsense")
        lab.ask(ServiceRequest(id="service", service="nothing", action="at_all"))
        for request_id in ("enrol", "wrong", "service"):
            await lab.state(request_id, "succeeded", "rejected")
    told = [("enrol", "succeeded"), ("service", "rejected"), ("wrong", "rejected")]
    assert kept_answers(path) == told
    async with running(path) as lab:
        for request_id, state in told:
            assert (await lab.state(request_id, state)).final
    assert kept_answers(path) == []
    async with running(path) as lab:
        lab.ask(EnrolCar(id="again", vin=VIN))
        await lab.state("again", "succeeded")
        assert lab.answers("enrol") == []


async def test_an_answer_that_is_too_old_is_let_go(path: Path) -> None:
    """Whoever asked a quarter of an hour ago has stopped waiting."""
    stuck = FakeSession()
    stuck.takes_publishes = False
    async with running(path, stuck) as lab:
        lab.ask(EnrolCar(id="enrol", vin=VIN))
        await lab.state("enrol", "succeeded")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE answer SET wall_us = wall_us - 901000000")
    connection.close()
    async with running(path) as lab:
        lab.ask(EnrolCar(id="again", vin=VIN))
        await lab.state("again", "succeeded")
        assert lab.answers("enrol") == []
    assert kept_answers(path) == []


async def test_a_kill_while_an_s_pin_is_hashed_is_answered_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request was acknowledged and its S-PIN is nowhere kept: the asker is told to ask again."""
    opened = threading.Event()
    monkeypatch.setattr(SpinVault, "hash", lambda *_: opened.wait(10) and None)
    killed = FakeSession()
    backend = Backend(config(path, killed))
    await backend.start()
    lab = BackendLab(path, killed, backend)
    lab.session.deliver(*car(presence()))
    request = DIALECT.desk_request(SetSpin(id="pin", vin=VIN, spin="2580"), answer_topic=ANSWERS)
    lab.session.deliver(changed(request, qos=1))  # as somebody asks who trusts in the broker
    await killed.wait_for_acknowledged(2)
    assert kept_answers(path) == [("pin", "rejected")]
    copy = path.with_name("as_killed.sqlite")
    with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    opened.set()
    await backend.stop()
    async with running(copy) as again:
        assert "ask again" in ((await again.state("pin", "rejected")).detail or "")
        again.session.deliver(changed(request, qos=1))  # the broker never heard our acknowledgement
        await again.session.wait_for(lambda: len(again.answers("pin")) == 2)
        assert {answer.state for answer in again.answers("pin")} == {"rejected"}


async def test_whoever_is_named_is_an_account_to_the_desk_and_its_s_pin_is_one_for_all_cars(
    store: SqliteStore, path: Path
) -> None:
    """By e-mail, by role or by nobody's name; what is kept of a command is the account."""
    with_people(store, users={"p1": CarUser(role="primary", since=0), "p3": CarUser(role="guest", since=0)})
    store.close()
    async with running(path) as lab:
        lab.ask(SetSpin(id="of-car", vin=VIN, spin="1234"))
        await lab.state("of-car", "succeeded")
        lab.ask(SetSpin(id="of-nobody", vin=VIN, spin="1234", user="bo@example.com"))
        assert (await lab.state("of-nobody", "rejected")).reason == "insufficient_rights"
        lab.command("by-mail", name="heater", spin="1234", user="Anna@example.com", parameters={"minutes": 10})
        lab.command("by-role", name="refresh", user="primary")
        lab.command("by-nobody", user="di@example.com")
        lab.command("by-guest", user="cy@example.com")
        await lab.state("by-mail", "queued")
        await lab.state("by-role", "queued")
        for refused in ("by-nobody", "by-guest"):
            assert (await lab.state(refused, "rejected")).reason == "insufficient_rights"
    with StoreReader(path) as reader:
        assert {row.id: row.user for row in reader.commands()} == {
            "by-mail": "p1", "by-role": "p1", "by-nobody": "nobody", "by-guest": "p3",
        }  # fmt: skip


async def test_the_service_of_privacy_is_told_what_the_car_says_of_its_switch(store: SqliteStore, path: Path) -> None:
    with_people(store, users={"p1": CarUser(role="primary", since=0)})
    store.commit(Batch(writes=[decided(Keep(MODULE, VIN, as_json({"boot": 1, "seq": 1, "mode": "offline"})), 1)]), 1)
    store.close()
    async with running(path) as lab:
        lab.ask(ServiceRequest(id="a", service="privacy", action="set", vin=VIN, data={"mode": "online"}))
        assert (await lab.state("a", "rejected")).reason == "switched_in_car"
        lab.ask(ServiceRequest(id="b", service="privacy", action="show", vin=VIN))
        shown = (await lab.state("b", "succeeded")).data
        assert shown is not None
        assert (shown["mode"], shown["in_car"], shown["in_app"]) == ("offline", "offline", "online_with_location")
