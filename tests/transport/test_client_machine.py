"""The client machine under swarm and simulated links, with its driver and transport in the test's hands."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fleet.errors import ConnectionLost, ConnectRefused, LinkError, PublishRefused, Unreachable
from fleet.transport.client_connection import WAITING_MAX, ClientConnection
from fleet.transport.client_machine import CLOSE_TIMEOUT_S, ClientMachine
from fleet.transport.client_packets import (
    NO_PACKET_MAX,
    ConnackPacket,
    ConnectionClosed,
    DisconnectPacket,
    Malformed,
    NobodyListens,
    PingreqPacket,
    PingrespPacket,
    PubackPacket,
    PublishPacket,
    SubackPacket,
    SubscribePacket,
    ToBroker,
)
from fleet.transport.link import BackOff, Endpoint, LinkSettings, Will
from fleet.transport.reasons import PACKET_TOO_LARGE, RETAIN_NOT_SUPPORTED, SESSION_TAKEN_OVER
from fleet.transport.remarks import Remarks
from fleet.wire.frame import Frame
from tests.recording_owner import RecordingOwner

FRAME = Frame(topic="a", payload=b"x")
QOS_0 = Frame(topic="a", payload=b"0", qos=0)


@dataclass(eq=False)
class Transport:
    """Keeps what is sent."""

    sent: list[ToBroker] = field(default_factory=list)
    reports: list[tuple[int | None, PublishRefused | None]] = field(default_factory=list)
    aborted: bool = False
    left: int = 1 << 30
    pumps_asked_for: int = 0
    keep_alive_s: int | None = None

    def send(self, packet: ToBroker) -> None:
        self.sent.append(packet)

    def send_publish(self, frame: Frame, packet_id: int, packet_max: int) -> int:
        if len(frame.payload) > packet_max:
            return PACKET_TOO_LARGE
        self.left -= 1
        self.sent.append(PublishPacket(frame, packet_id))
        return 0

    def send_puback(self, packet_id: int) -> None:
        self.sent.append(PubackPacket(packet_id))

    def report_later(self, token: int | None, error: PublishRefused | None) -> None:
        self.reports.append((token, error))

    def pump_later(self) -> None:
        self.pumps_asked_for += 1

    def came_up(self, keep_alive_s: int) -> None:
        self.keep_alive_s = keep_alive_s

    def abort(self) -> None:
        self.aborted = True

    def leave(self) -> None: ...

    @property
    def published(self) -> list[tuple[bytes, int]]:
        return [(packet.frame.payload, packet.packet_id) for packet in self.sent if isinstance(packet, PublishPacket)]


@dataclass(eq=False)
class Site:
    """A broker."""

    endpoint: Endpoint = field(default_factory=lambda: Endpoint("broker", 1883))
    remarks: Remarks = field(default_factory=Remarks)
    retains: bool = True


class Rig:
    """A machine, and all that it asked its driver for."""

    def __init__(self, **settings: object) -> None:
        self.site = Site()
        self.owner = RecordingOwner()
        self.transports: list[Transport] = []
        self.settings_used: list[LinkSettings] = []
        self.wait_s: float | None = None
        self.requests = 0
        self.downs_to_tell = 0
        self.disconnects: list[bool] = []
        self.closes = 0
        made = LinkSettings(client_id="one", **settings)  # type: ignore[arg-type]
        self.machine = ClientMachine(self, self.site, made, self.owner, BackOff(lambda: 0.5))

    # --- the driver

    def request_attempt(self) -> None:
        self.requests += 1

    def connect(self, number: int, settings: LinkSettings) -> ClientConnection:
        self.transports.append(Transport())
        self.settings_used.append(settings)
        return ClientConnection(self.machine, number, settings, self.transport, self.transport)

    def attempt_is_over(self) -> None: ...

    def set_timer(self, wait_s: float | None) -> None:
        self.wait_s = wait_s

    def tell_down(self, error: LinkError) -> None:
        self.owner.link_down(error)

    def tell_down_later(self) -> None:
        self.downs_to_tell += 1

    def disconnect(self, connection: ClientConnection, *, end_session: bool) -> None:
        self.disconnects.append(end_session)
        connection.leave()

    def closed(self) -> None:
        self.closes += 1

    # --- the test

    @property
    def transport(self) -> Transport:
        return self.transports[-1]

    @property
    def connection(self) -> ClientConnection:
        assert self.machine.connection is not None
        return self.machine.connection

    def trying(self) -> Rig:
        """Open, and begin to attempt."""
        self.machine.open()
        self.machine.attempt()
        return self

    def up(self, receive_maximum: int = 0xFFFF, packet_max: int = NO_PACKET_MAX) -> Rig:
        """Come up without subscriptions."""
        self.trying().connection.receive(ConnackPacket(0, receive_maximum=receive_maximum, packet_max=packet_max))
        assert self.owner.calls == ["up"]
        return self

    def acknowledge(self, packet_id: int, code: int = 0) -> None:
        self.connection.acknowledged(packet_id, code)
        self.connection.pump()


class TestConnecting:
    """From open to link_up, and again."""

    def test_subscribes_and_is_up_with_the_suback(self) -> None:
        """Link_up comes when all subscriptions are in force; the timer of the attempt ends with it."""
        rig = Rig(subscriptions=(("a/+", 1),), connect_timeout_s=7.0).trying()
        assert rig.wait_s == 7.0
        rig.connection.receive(ConnackPacket(0, keep_alive_s=33))
        assert rig.transport.keep_alive_s == 33
        assert isinstance(rig.transport.sent[0], SubscribePacket)
        assert rig.owner.calls == []
        rig.connection.receive(SubackPacket([1]))
        assert rig.owner.ups == [False]
        assert rig.wait_s is None

    def test_waits_by_its_back_off_after_each_failure(self) -> None:
        """The window doubles with each failure, and begins anew once the link was up."""
        rig = Rig().trying()
        waits = []
        for _ in range(3):
            rig.connection.receive(NobodyListens())
            waits.append(rig.wait_s)
            rig.machine.wake()
            rig.machine.attempt()
        rig.connection.receive(ConnackPacket(0))
        rig.connection.receive(ConnectionClosed())
        assert [*waits, rig.wait_s] == [0.5, 1.0, 2.0, 0.5]
        assert [type(error) for error in rig.owner.downs] == [Unreachable] * 3 + [ConnectionLost]

    @pytest.mark.parametrize(("is_open", "words"), [(False, "waiting for the network"), (True, "waiting for the broker")])
    def test_an_attempt_is_bounded(self, is_open: bool, words: str) -> None:
        """The error says whether the network or the broker kept it waiting."""
        rig = Rig().trying()
        rig.connection.is_open = is_open
        rig.machine.wake()
        assert words in str(rig.owner.downs[0])
        assert rig.transport.aborted

    def test_a_broker_that_retains_nothing_is_asked_again_without(self) -> None:
        """A refused will that was to be retained is no failure; all links of the site leave it out from then on."""
        rig = Rig(will=Will(Frame(topic="w", payload=b"", retain=True), 5)).trying()
        rig.connection.receive(ConnackPacket(RETAIN_NOT_SUPPORTED))
        assert (rig.owner.calls, rig.requests, rig.site.retains) == ([], 2, False)
        rig.machine.attempt()
        assert [made.will and made.will.frame.retain for made in rig.settings_used] == [True, False]
        rig.connection.receive(ConnackPacket(RETAIN_NOT_SUPPORTED))
        assert isinstance(rig.owner.downs[0], ConnectRefused)

    def test_dropped_while_it_tries_again(self) -> None:
        """A drop during an attempt, be it the first or a later one, is told to the owner once."""
        rig = Rig().trying()
        rig.connection.receive(ConnectionClosed())
        rig.machine.wake()
        rig.machine.drop()
        rig.machine.drop()
        assert (rig.downs_to_tell, rig.wait_s, rig.machine.connection) == (1, None, None)

    def test_what_another_client_did_to_the_session_is_not_trusted(self) -> None:
        """A session that was taken over is subscribed again, though it is present."""
        rig = Rig(subscriptions=(("a", 1),)).trying()
        for packet in (ConnackPacket(0), SubackPacket([1]), DisconnectPacket(SESSION_TAKEN_OVER)):
            rig.connection.receive(packet)
        rig.machine.wake()
        rig.machine.attempt()
        rig.connection.receive(ConnackPacket(0, session_present=True))
        assert isinstance(rig.transport.sent[0], SubscribePacket)

    def test_packets_out_of_place(self) -> None:
        """A second CONNACK or SUBACK is no MQTT, and never a second link_up."""
        rig = Rig(subscriptions=(("a", 1),)).trying()
        rig.connection.receive(ConnackPacket(0))
        rig.connection.receive(SubackPacket([1]))
        for packet in (ConnackPacket(0), SubackPacket([1])):
            with pytest.raises(Malformed):
                rig.connection.receive(packet)
        assert rig.owner.calls == ["up"]


class TestPublishing:
    """The window, what waits, and outcomes."""

    def test_window_and_order(self) -> None:
        """At most the broker's Receive Maximum is under way; QoS 0 overtakes what waits for acknowledgements."""
        rig = Rig().up(receive_maximum=1)
        for token in range(3):
            rig.connection.publish(Frame(topic="a", payload=b"%d" % token), token)
        rig.connection.publish(QOS_0, 9)
        assert rig.transport.published == [(b"0", 2), (b"0", 0)]
        rig.acknowledge(2)
        rig.acknowledge(2)  # twice: does nothing
        assert rig.transport.published[2:] == [(b"1", 3)]
        rig.acknowledge(3, 0x87)
        assert [(token, error and error.code) for token, error in rig.owner.outcomes] == [(0, None), (1, 0x87)]

    def test_an_owner_that_publishes_at_an_acknowledgement_does_not_overtake(self) -> None:
        """Frames of a link arrive in their order, also when there is room for a moment."""
        rig = Rig().up(receive_maximum=1)
        rig.connection.publish(FRAME, 1)
        rig.connection.publish(Frame(topic="a", payload=b"waits"), 2)
        rig.owner.react = lambda call: (
            rig.connection.publish(Frame(topic="a", payload=b"new"), 3) if call == "acknowledged" else None
        )
        rig.acknowledge(2)
        rig.acknowledge(3)
        assert [payload for payload, _ in rig.transport.published] == [b"x", b"waits", b"new"]

    def test_the_allowance_and_a_full_transport_hold_back(self) -> None:
        """A frame that may not be sent now waits in its order, at QoS 0 too, and asks to be pumped."""
        rig = Rig().up()
        rig.transport.left = 1
        for token in range(3):
            rig.connection.publish(Frame(topic="a", payload=b"%d" % token, qos=0), token)
        assert (len(rig.transport.published), rig.transport.pumps_asked_for) == (1, 2)
        rig.transport.left, rig.connection.paused = 5, True
        rig.connection.pump()
        assert len(rig.transport.published) == 1
        rig.connection.paused = False
        rig.connection.pump()
        assert [payload for payload, _ in rig.transport.published] == [b"0", b"1", b"2"]

    def test_refused_here(self) -> None:
        """Too large, QoS 2 or one too many: reported later, and the window is as before."""
        rig = Rig().up(receive_maximum=1, packet_max=5)
        rig.connection.publish(Frame(topic="a", payload=b"123456"), 1)
        rig.connection.publish(Frame(topic="a", payload=b"", qos=2), 2)
        for token in range(WAITING_MAX + 2):
            rig.connection.publish(FRAME, 100 + token)
        assert [(token, error and error.code) for token, error in rig.transport.reports] == [
            (1, 0x95),
            (2, 0x9B),
            (100 + WAITING_MAX + 1, 0x97),
        ]
        assert rig.owner.outcomes == []

    def test_only_deliveries_of_this_connection_are_acknowledged(self) -> None:
        """The broker sends again what came on an earlier one."""
        rig = Rig().up()
        rig.connection.receive(PublishPacket(FRAME, 7))
        rig.connection.receive(ConnectionClosed())
        rig.machine.wake()
        rig.machine.attempt()
        rig.connection.receive(ConnackPacket(0, session_present=True))
        rig.machine.acknowledge(rig.owner.deliveries[0])
        assert rig.transport.sent == []
        rig.connection.receive(PublishPacket(FRAME, 7))
        rig.machine.acknowledge(rig.owner.deliveries[1])
        assert [type(packet) for packet in rig.transport.sent] == [PubackPacket]


class TestKeepAlive:
    """Pings, and silence."""

    def test_a_ping_that_nothing_follows(self) -> None:
        """Silence from one ping to the next ends the connection; anything heard, or a PINGRESP, does not."""
        rig = Rig().up()
        rig.connection.keep_alive(heard=False)
        rig.connection.keep_alive(heard=True)
        rig.connection.receive(PingrespPacket())
        rig.connection.keep_alive(heard=False)
        assert [type(packet) for packet in rig.transport.sent] == [PingreqPacket] * 3
        rig.connection.keep_alive(heard=False)
        assert "silent" in str(rig.owner.downs[0])
        assert rig.transport.aborted


class TestClosing:
    """The final publish and the DISCONNECT."""

    def test_final_publish_then_disconnect(self) -> None:
        """DISCONNECT goes out with the outcome of the final publish, and link_down once the broker has ended the connection."""
        rig = Rig().up()
        rig.machine.close(True, FRAME)
        assert (rig.wait_s, rig.disconnects) == (CLOSE_TIMEOUT_S, [])
        [(_, packet_id)] = rig.transport.published
        rig.connection.acknowledged(packet_id, 0)
        assert (rig.wait_s, rig.disconnects, rig.downs_to_tell) == (None, [True], 0)
        rig.machine.disconnected()
        assert (rig.downs_to_tell, rig.machine.is_closing) == (1, False)
        assert rig.owner.outcomes == []

    def test_a_broker_that_does_not_answer_is_not_waited_for(self) -> None:
        """The time-out of the final publish is followed by the DISCONNECT all the same."""
        rig = Rig().up()
        rig.machine.close(False, FRAME)
        rig.machine.close(True, FRAME)  # adds nothing
        rig.machine.wake()
        assert rig.disconnects == [False]

    @pytest.mark.parametrize("dropped", [False, True])
    def test_lost_or_dropped_meanwhile(self, dropped: bool) -> None:
        """A connection that ends while its final publish waits ends the close, and is not made again."""
        rig = Rig().up()
        rig.machine.close(False, FRAME)
        if dropped:
            rig.machine.drop()
        else:
            rig.connection.receive(ConnectionClosed())
        assert (rig.closes, rig.wait_s, rig.machine.is_closing, rig.disconnects) == (1, None, False, [])
        assert (len(rig.owner.downs), rig.downs_to_tell) == ((0, 1) if dropped else (1, 0))

    def test_while_down_there_is_only_to_stop(self) -> None:
        """A close during the back-off stops it."""
        rig = Rig().trying()
        rig.connection.receive(NobodyListens())
        rig.machine.close(True, FRAME)
        assert (rig.wait_s, rig.disconnects, rig.downs_to_tell) == (None, [], 0)
        rig.machine.open()
        assert rig.requests == 2
