"""A car that comes back obeys a reset that waits for it before anything of the past leaves it."""

from __future__ import annotations

from fleet.kernel.instants import MINUTE, SECOND
from fleet.vehicle.outbox import HELLO
from fleet.vehicle.signals import Acknowledged, Announce, AskStatus, LinkDown, LinkUp, Received, SetCoverage, Transmit
from fleet.wire.messages import Command, Event, Response, Status
from tests.vehicle.car_lab import CarLab


def with_backlog() -> CarLab:
    """Return a car without coverage whose outbox has three statuses."""
    lab = CarLab(connecting=False)
    for _ in range(3):
        lab.put(AskStatus())
    lab.run_for(10 * MINUTE)
    assert lab.car.outbox.in_outbox == 3
    return lab


def comes_back(lab: CarLab, *, session_present: bool = True) -> list[object]:
    return [type(output) for output in lab.put(LinkUp(session_present))]


def reset(lab: CarLab) -> Received:
    return Received(Command(id="r", vin=lab.car.vin, name="reset", issued_at=lab.now, expires_at=lab.now + MINUTE))


def test_it_says_hello_and_waits_until_that_is_acknowledged() -> None:
    """What the broker held for it has come by then: it sends that before it answers."""
    lab = with_backlog()
    assert comes_back(lab) == [Announce]
    lab.put(AskStatus())
    assert lab.sent == []
    lab.put(Acknowledged(HELLO))
    assert [type(message) for message in lab.sent] == [Status] * 4


def test_a_reset_that_waited_is_obeyed_first() -> None:
    """Asleep, it has to wake for that; its answers and the reset itself are all that ever leaves it."""
    lab = with_backlog()
    comes_back(lab)
    lab.put(reset(lab))
    lab.put(Acknowledged(HELLO))
    assert lab.sent == []
    lab.run_for(80 * SECOND)
    assert [(type(message), message.name) for message in lab.sent if isinstance(message, Response | Event)] == [
        (Response, "reset"), (Response, "reset"), (Event, "car_reset")
    ]  # fmt: skip
    assert not any(isinstance(message, Status) for message in lab.sent)
    assert lab.car.outbox.dropped == 3


def test_a_reset_that_is_refused_holds_nothing_up() -> None:
    """What was held back goes out: the people of the car are still there."""
    lab = with_backlog()
    comes_back(lab)
    expired = Received(Command(id="r", vin=lab.car.vin, name="reset", issued_at=0, expires_at=1))
    lab.put(expired)
    lab.put(Acknowledged(HELLO))
    lab.run_for(80 * SECOND)
    assert [message.state for message in lab.responses("r")] == ["expired"]
    assert sum(isinstance(message, Status) for message in lab.sent) == 3


def test_without_a_session_nothing_can_wait_at_the_broker() -> None:
    lab = with_backlog()
    assert comes_back(lab, session_present=False)[:2] == [Announce, Transmit]


def test_with_an_empty_outbox_there_is_nothing_to_hold() -> None:
    lab = CarLab(connecting=False)
    assert comes_back(lab) == [Announce]
    lab.put(AskStatus())
    assert len(lab.sent) == 1


def test_a_connection_that_breaks_before_the_word_begins_anew() -> None:
    """The next one has a presence of its own."""
    lab = with_backlog()
    comes_back(lab)
    lab.put(LinkDown())
    assert lab.car.outbox.held == 0
    assert comes_back(lab) == [Announce]
    lab.put(Acknowledged(HELLO))
    assert len(lab.sent) == 3


def test_an_emergency_call_waits_for_nothing() -> None:
    """Whatever is to be forgotten."""
    lab = with_backlog()
    comes_back(lab)
    lab.car.send_event("ecall", lab.now, {})
    outputs = lab.put(SetCoverage(covered=True))
    assert [output.message.name for output in outputs if isinstance(output, Transmit) and isinstance(output.message, Event)] == [
        "ecall"
    ]
