"""The client of the desk on a link in the test's hand: what goes out, when, and again after which connection."""

from __future__ import annotations

from typing import Any

from fleet.errors import ConnectionLost, LinkError, PublishRefused
from fleet.kernel.instants import SECOND, Instant
from fleet.runtime.desk_client import DeskClient
from fleet.transport.link import BackOff, Delivery
from fleet.wire.frame import Frame
from fleet.wire.messages import AnnounceClock, CommandRequest, DeskAnswer, DeskRequest, EnrolCar, ServiceRequest, SetSpin
from tests.backend.fake_link import FakeSession
from tests.backend.lab import DIALECT, VIN

CLOCK = AnnounceClock(id="clock", start=1, epoch_wall_us=1, factor=1.0)
ENROL = EnrolCar(id="enrol", vin=VIN)
SPIN = SetSpin(id="spin", vin=VIN, spin="4711")
LOCK = CommandRequest(id="lock", vin=VIN, name="lock", spin="4711")
HONK = CommandRequest(id="honk", vin=VIN, name="honk")
CAMPAIGNS = ServiceRequest(id="campaigns", service="campaigns", action="list")


class Broker(FakeSession):
    """Comes up when told, and acknowledges nothing by itself."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.now = 0
        self.answers: list[DeskAnswer] = []
        self.downs: list[LinkError | None] = []
        self.refusals: list[PublishRefused] = []
        self.takes_publishes = False
        self.client = DeskClient(
            self, DIALECT, client_id="test", password=None, back_off=BackOff(lambda: 0.5), answered=self.answers.append,
            up=lambda: None, down=self.downs.append, refused=self.refusals.append, schedule=self, **settings,
        )  # fmt: skip

    def wall_us(self) -> Instant:
        return self.now

    def rearm(self) -> None:
        """The test looks at the deadline itself."""

    rearm_repeats = rearm

    def up(self) -> None:
        assert self.link is not None
        self.link.is_up = True
        self.client.link_up(False)

    def down(self) -> None:
        assert self.link is not None
        self.link.is_up = False
        self.client.link_down(ConnectionLost("pulled"))

    def passes(self, seconds: float) -> None:
        until = self.now + round(seconds * SECOND)
        while (due := self.client.repeat_deadline()) is not None and due <= until:
            self.now = due
            self.client.repeat(due)
        self.now = until

    def answer(self, request: DeskRequest, state: Any = "succeeded", *, final: bool = True) -> None:
        frame = DIALECT.desk_answer(DeskAnswer(id=request.id, state=state, final=final, at=1), topic="fleet/v1/desk/answer/test")
        self.client.link_received(Delivery(frame, 1, 1))

    @property
    def sent(self) -> list[str]:
        return [DIALECT.read_desk_request(frame).id for frame in self.published]


def test_a_request_waits_for_the_connection_and_is_kept_until_the_broker_has_it() -> None:
    broker = Broker()
    broker.client.ask(CLOCK)
    assert broker.sent == []
    broker.up()
    broker.down()
    broker.up()
    assert broker.sent == ["clock", "clock"]
    broker.client.link_acknowledged(1, None)
    broker.down()
    broker.up()
    assert broker.sent == ["clock", "clock"]


def test_a_secret_goes_out_unkept_and_again_until_there_is_an_answer() -> None:
    broker = Broker()
    broker.up()
    broker.client.ask(SPIN)
    assert [frame.qos for frame in broker.published] == [0]
    deadline = broker.client.deadline()
    assert deadline == 2 * SECOND
    broker.now = deadline
    broker.client.wake(broker.now)
    assert broker.sent == ["spin", "spin"]
    broker.answer(SPIN)
    assert (broker.client.deadline(), [answer.id for answer in broker.answers]) == (None, ["spin"])


def test_what_is_asked_about_a_car_goes_out_in_its_order() -> None:
    """A command with an S-PIN would be refused before the S-PIN is set, and that before the car is enrolled."""
    broker = Broker()
    broker.up()
    for request in (ENROL, SPIN, LOCK):
        broker.client.ask(request)
    assert broker.sent == ["enrol"]
    broker.answer(ENROL)
    broker.answer(SPIN)
    assert broker.sent == ["enrol", "spin", "lock"]


def test_a_request_that_the_broker_took_for_nobody_is_sent_again() -> None:
    """A broker that died has forgotten for whom it keeps requests: it takes them until the desk is back, and they are gone."""
    broker = Broker()
    broker.up()
    for request in (CLOCK, HONK, CAMPAIGNS):
        broker.client.ask(request)
    assert broker.sent == ["clock", "honk", "campaigns"]
    assert {frame.qos for frame in broker.published} == {1}
    for token in (1, 2, 3):
        broker.client.link_acknowledged(token, None)
    broker.answer(CLOCK)
    broker.passes(5)
    assert broker.sent[3:] == ["honk", "campaigns"]
    broker.answer(HONK, "queued", final=False)  # the desk knows of it
    broker.client.link_acknowledged(4, None)
    broker.client.link_acknowledged(5, None)
    broker.passes(8)
    assert broker.sent[5:] == ["campaigns"]
    broker.answer(CAMPAIGNS)
    assert broker.client.repeat_deadline() is None


def test_what_the_broker_has_not_acknowledged_is_left_to_the_link() -> None:
    """It goes out again with the next connection, and once; what was given up meanwhile is followed from then on."""
    broker = Broker()
    broker.up()
    broker.client.ask(HONK)
    broker.passes(5)
    assert broker.sent == ["honk"]
    broker.down()
    broker.passes(200)
    assert (broker.sent, broker.client.given_up) == (["honk"], 1)
    broker.up()
    assert broker.sent == ["honk", "honk"]
    broker.client.link_acknowledged(1, None)
    broker.passes(5)
    assert broker.sent == ["honk", "honk", "honk"]


def test_without_a_session_whatever_has_no_final_answer_is_asked_again_with_the_next_connection() -> None:
    """The answer may have gone with the connection, whoever has acknowledged the request."""
    broker = Broker(session_expiry_s=0)
    broker.client.ask(ENROL)
    broker.up()
    broker.client.link_acknowledged(1, None)
    broker.answer(ENROL, "sent", final=False)
    broker.down()
    broker.up()
    assert broker.sent == ["enrol", "enrol"]
    broker.answer(ENROL)
    broker.down()
    broker.up()
    assert broker.sent == ["enrol", "enrol"]


def test_a_refusal_and_an_unreadable_answer() -> None:
    broker = Broker()
    broker.up()
    broker.client.ask(CLOCK)
    refused = PublishRefused("test", "fleet/v1/desk/request", 0x87, "Not authorized")
    broker.client.link_acknowledged(1, refused)
    broker.client.link_received(Delivery(Frame(topic="fleet/v1/desk/answer/test", payload=b"\xc1"), 1, 1))
    assert (broker.refusals, broker.answers) == ([refused], [])
