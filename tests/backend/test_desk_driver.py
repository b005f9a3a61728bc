"""The desk in an event loop: its deadlines, and answers that outlive the back end."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from fleet.backend.service import Backend
from fleet.backend.spin import SpinVault
from fleet.wire.messages import EnrolCar, ServiceRequest, SetSpin
from tests.backend.fake_link import FakeSession
from tests.backend.lab import ANSWERS, DIALECT, VIN, BackendLab, car, changed, config, kept_answers, presence, running


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
