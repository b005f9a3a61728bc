"""Requests without an answer: in the order of their car, again while nobody answers, and given up in the end."""

from __future__ import annotations

import pytest

from fleet.kernel.instants import SECOND
from fleet.runtime import unanswered
from fleet.runtime.unanswered import GIVEN_UP_AFTER, CarRequest, Kept, Unanswered
from fleet.wire.messages import CommandRequest, DeskRequest, EnrolCar, ServiceRequest, SetSpin

VIN = "VSSZZZKMZPR000001"
OTHER = "VSSZZZKMZPR000002"


class Lab:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.now = 0
        self.unanswered = Unanswered(self._send)

    @property
    def holds_nothing(self) -> bool:
        return (self.unanswered._cars, self.unanswered._entries) == ({}, {})

    def _send(self, request: CarRequest) -> None:
        self.sent.append(request.id)

    def enrol(self, request_id: str, vin: str = VIN) -> None:
        self.unanswered.ask(EnrolCar(id=request_id, vin=vin), self.now)

    def set_spin(self, request_id: str, vin: str = VIN) -> None:
        self.unanswered.ask(SetSpin(id=request_id, vin=vin, spin="4711"), self.now)

    def lock(self, request_id: str, vin: str = VIN) -> None:
        self.unanswered.ask(CommandRequest(id=request_id, vin=vin, name="lock", spin="4711"), self.now)

    def answer(self, request_id: str) -> None:
        self.unanswered.answered(request_id, self.now)

    def pass_for(self, seconds: float) -> None:
        until = self.now + round(seconds * SECOND)
        while (due := self.unanswered.deadline()) is not None and due <= until:
            self.now = due
            self.unanswered.wake(due)
        self.now = until


def test_each_waits_for_what_comes_before_it_at_its_car() -> None:
    """The first may be lost and the second not: an S-PIN is set for a car that is known, and used once it is set."""
    lab = Lab()
    lab.enrol("e")
    lab.set_spin("s")
    lab.lock("a")
    lab.lock("b")
    lab.lock("other", OTHER)
    assert lab.sent == ["e", "other"]
    lab.answer("e")
    assert lab.sent[2:] == ["s"]
    lab.answer("s")
    assert lab.sent[3:] == ["a", "b"]
    lab.lock("c")
    assert lab.sent[5:] == ["c"]


def test_it_is_sent_again_until_there_is_an_answer() -> None:
    """After 2, 4, 8, 8 … s; an enrolment is kept by the broker, and not repeated."""
    lab = Lab()
    lab.enrol("e", OTHER)
    lab.lock("a")
    sent_at = []
    for second in range(30):
        before = len(lab.sent)
        lab.pass_for(1)
        sent_at += [second + 1] * (len(lab.sent) - before)
    assert sent_at == [2, 6, 14, 22, 30]
    lab.answer("a")
    lab.pass_for(60)
    assert lab.sent.count("a") == 6
    assert lab.sent.count("e") == 1


def test_a_new_connection_sends_all_at_once() -> None:
    lab = Lab()
    lab.enrol("e", OTHER)
    lab.lock("a")
    lab.lock("b")
    lab.unanswered.send_all()
    assert lab.sent == ["e", "a", "b", "a", "b"]


def test_what_nobody_answers_is_given_up_and_what_waits_for_it_goes_on() -> None:
    """It is counted, and nothing of it stays."""
    lab = Lab()
    lab.set_spin("s")
    lab.lock("a")
    lab.pass_for(GIVEN_UP_AFTER / SECOND)
    assert lab.unanswered.given_up == 1
    assert lab.sent[-1] == "a"
    lab.pass_for(GIVEN_UP_AFTER / SECOND)
    assert (lab.unanswered.given_up, lab.unanswered.deadline()) == (2, None)
    assert lab.holds_nothing


def test_an_answer_to_something_else_means_nothing() -> None:
    lab = Lab()
    lab.lock("a")
    lab.answer("b")
    lab.answer("a")
    lab.answer("a")
    assert lab.holds_nothing


class KeptLab:
    """Requests that a broker should have kept, in the hand of a test."""

    def __init__(self) -> None:
        self.again: list[tuple[str, float]] = []
        self.now = 0
        self.kept = Kept(self._send_again)

    def _send_again(self, request: DeskRequest) -> None:
        self.again.append((request.id, self.now / SECOND))

    def ask(self, request_id: str) -> None:
        self.kept.follow(ServiceRequest(id=request_id, service="campaigns", action="list"), self.now)

    def pass_for(self, seconds: float) -> None:
        until = self.now + round(seconds * SECOND)
        while (due := self.kept.deadline()) is not None and due <= until:
            self.now = due
            self.kept.wake(due)
        self.now = until


def test_what_a_broker_keeps_is_sent_again_more_rarely() -> None:
    """After 5, 8, 8 … s, until the desk knows of it."""
    lab = KeptLab()
    lab.ask("a")
    lab.ask("a")
    lab.pass_for(30)
    assert lab.again == [("a", 5), ("a", 13), ("a", 21), ("a", 29)]
    lab.kept.answered("a")
    lab.pass_for(60)
    assert (len(lab.again), lab.kept.deadline(), lab.kept.given_up) == (4, None, 0)


def test_what_a_broker_keeps_is_given_up_as_well() -> None:
    lab = KeptLab()
    lab.ask("a")
    lab.pass_for(GIVEN_UP_AFTER / SECOND + 1)
    assert (lab.kept.given_up, lab.kept.deadline(), lab.kept._entries) == (1, None, {})


def test_only_so_many_are_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """More are sent once, as they were."""
    monkeypatch.setattr(unanswered, "KEPT_MOST", 2)
    lab = KeptLab()
    for request_id in ("a", "b", "c"):
        lab.ask(request_id)
    lab.pass_for(6)
    assert lab.again == [("a", 5), ("b", 5)]
