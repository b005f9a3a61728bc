"""One connection of a simulated link: carries the packets of its client machine to the broker and back, by the schedule."""

from __future__ import annotations

from typing import Protocol

from fleet.errors import PublishRefused
from fleet.kernel.instants import Instant
from fleet.kernel.schedule import ScheduledCall, virtual_duration
from fleet.transport.client_connection import ClientConnection
from fleet.transport.client_machine import ClientMachine
from fleet.transport.client_packets import (
    ConnectionClosed,
    ConnectPacket,
    DisconnectPacket,
    Malformed,
    NobodyListens,
    PubackPacket,
    PublishPacket,
    ToBroker,
    ToClient,
)
from fleet.transport.link import LinkSettings
from fleet.transport.mqtt_stream import packet_size
from fleet.transport.overdue import unacknowledged
from fleet.transport.reasons import MALFORMED_PACKET, PACKET_TOO_LARGE, not_mqtt
from fleet.transport.simulated_faults import FaultState
from fleet.transport.simulated_network import SimulatedNetwork
from fleet.transport.simulated_sessions import PATIENCE
from fleet.wire.frame import Frame


class SimulatedLinkEnd(Protocol):
    """The link of a connection."""

    network: SimulatedNetwork
    machine: ClientMachine

    def disconnect_has_arrived(self) -> None: ...


class _Unlimited:
    """Virtual time has no turns of a loop in which only so much may be sent."""

    left = 1 << 62


class SimulatedConnection:
    """The transport of a `ClientConnection`, and to the broker the peer."""

    __slots__ = (
        "_arrived_here", "_arrived_there", "_keep_alive_timer", "_link", "_network", "_outbound_closed", "_overdue_timer",
        "_patience", "_schedule", "_sent", "_together", "fault_state", "machine", "settings",
    )  # fmt: skip

    def __init__(self, link: SimulatedLinkEnd, number: int, settings: LinkSettings) -> None:
        self.settings = settings
        self.fault_state: FaultState | None = None
        self.machine = ClientConnection(link.machine, number, settings, self, _Unlimited)
        self.machine.is_open = True
        self._link = link
        self._network = link.network
        self._schedule = link.network.schedule
        self._outbound_closed = False  # nothing reaches the broker any more
        self._arrived_here: Instant = 0
        self._arrived_there: Instant = 0
        self._keep_alive_timer: ScheduledCall | None = None
        self._patience = virtual_duration(settings.acknowledge_timeout_s)
        self._overdue_timer: ScheduledCall | None = None
        self._sent: dict[int, Instant] = {}  # when the publishes under way were, by packet id
        # Acknowledgements that arrive together: packet ids, when they were sent, and how many calls had been asked for then.
        self._together: tuple[list[int], Instant, int] | None = None

    # --- to the broker

    def connect(self, username_as_client_id: bool) -> None:
        """Send CONNECT, to a listener with or without Mosquitto's option of that name."""
        self.send(ConnectPacket(self.settings, username_as_client_id))

    def send(self, packet: ToBroker) -> None:
        """Send a packet."""
        network = self._network
        faults = network.faults
        if faults is not None and faults.concern(self):
            self._arrived_there = faults.carry(self, "to_broker", self._arrived_there, packet)
            return
        steady = network.steady_delay
        at = network.arrival(self._arrived_there) if steady is None else self._schedule.now + steady
        self._arrived_there = at
        self._schedule.post_at(at, SimulatedConnection.reach_broker, self, packet)

    def reach_broker(self, packet: ToBroker) -> None:
        """A packet reaches the broker, unless nothing of this connection does any more."""
        if not self._outbound_closed:
            self._network.receive(self, packet)

    def send_publish(self, frame: Frame, packet_id: int, packet_max: int) -> int:
        """Send a PUBLISH; return 0, or the reason code why it cannot be sent."""
        try:
            size = packet_size(frame)
        except UnicodeEncodeError:
            return MALFORMED_PACKET
        if size > packet_max:
            return PACKET_TOO_LARGE
        if packet_id and self._patience:
            self._sent[packet_id] = now = self._schedule.now
            if self._overdue_timer is None:
                self._look_for_overdue_after(now)
        self.send(PublishPacket(frame, packet_id))
        return 0

    def send_puback(self, packet_id: int) -> None:
        """Send PUBACK. Those that follow one another at once, while nothing else is sent by anybody, arrive in one call."""
        network, schedule = self._network, self._schedule
        if network.faults is not None or network.steady_delay is None:
            self.send(PubackPacket(packet_id))
            return
        if self._together is not None:
            packet_ids, sent, asked_for = self._together
            if sent == schedule.now and asked_for == schedule.asked_for:
                packet_ids.append(packet_id)
                return
        packet_ids = [packet_id]
        self._arrived_there = at = schedule.now + network.steady_delay
        schedule.post_at(at, SimulatedConnection._acknowledgements_reach_broker, self, packet_ids)
        self._together = packet_ids, schedule.now, schedule.asked_for

    def _acknowledgements_reach_broker(self, packet_ids: list[int]) -> None:
        self._together = None
        if not self._outbound_closed:
            for packet_id in packet_ids:
                self._network.acknowledge(self, packet_id)

    def report_later(self, token: int | None, error: PublishRefused | None) -> None:
        """Report an outcome that needs no answer of the broker, but never in the middle of the owner's own call."""
        self._schedule.call_at(self._schedule.now, self.machine.report, token, error)

    def pump_later(self) -> None:
        """Nothing: there is always an allowance."""

    def came_up(self, keep_alive_s: int) -> None:
        """Nothing: no pings are sent between perfect peers, and faults say when there is silence."""

    def disconnect(self, *, end_session: bool) -> None:
        """Send DISCONNECT, and tell the link once it has arrived or is lost."""
        self.machine.leave()
        self.send(DisconnectPacket(end_session=end_session))
        self._schedule.call_at(self._arrived_there, self._link.disconnect_has_arrived)

    def abort(self) -> None:
        """Cut the connection: the broker hears of it after all that was sent."""
        self.send(ConnectionClosed())

    # --- to the link

    def receive(self, packet: ToClient) -> None:
        """Be sent a packet by the broker."""
        network = self._network
        faults = network.faults
        if faults is not None and faults.concern(self):
            self._arrived_here = faults.carry(self, "to_client", self._arrived_here, packet)
            return
        steady = network.steady_delay
        at = network.arrival(self._arrived_here) if steady is None else self._schedule.now + steady
        self._arrived_here = at
        self._schedule.post_at(at, SimulatedConnection.reach_client, self, packet)

    def reach_client(self, packet: ToClient) -> None:
        """A packet reaches the client, unless nothing of this connection does any more."""
        machine = self.machine
        if machine.inbound_closed:
            return
        try:
            if type(packet) is PublishPacket:
                machine.received(packet.frame, packet.packet_id)
            elif type(packet) is PubackPacket:
                self._sent.pop(packet.packet_id, None)
                machine.acknowledged(packet.packet_id, packet.code)
                if machine.waiting is not None:
                    machine.pump()
            else:
                machine.receive(packet)
        except Malformed as error:
            machine.end(not_mqtt(error))

    def refused(self) -> None:
        """Nobody listens."""
        self.receive(NobodyListens())

    # --- silence

    def _look_for_overdue_after(self, sent: Instant) -> None:
        """Look when the publish of that instant has waited too long; what is acknowledged meanwhile stops nothing."""
        self._overdue_timer = self._schedule.call_at(sent + self._patience, self._look_for_overdue)

    def _look_for_overdue(self) -> None:
        self._overdue_timer = None
        sent = next(iter(self._sent.values()), None)
        if sent is None:
            return
        if sent + self._patience <= self._schedule.now:
            self.machine.end(unacknowledged(self.settings.acknowledge_timeout_s))
        else:
            self._look_for_overdue_after(sent)

    def suspend_inbound(self) -> None:
        """Nothing comes for a while: give up when the keep-alive is over, unless `resume_inbound` is called before."""
        if self.settings.keep_alive_s and self._keep_alive_timer is None:
            wait = virtual_duration(PATIENCE * self.settings.keep_alive_s)
            self._keep_alive_timer = self._schedule.call_at(self._schedule.now + wait, self._keep_alive_is_over)

    def resume_inbound(self) -> None:
        """Packets come again."""
        if self._keep_alive_timer is not None:
            self._keep_alive_timer.cancel()
            self._keep_alive_timer = None

    def _keep_alive_is_over(self) -> None:
        self._keep_alive_timer = None
        self.machine.is_silent()

    # --- the end

    def end(self, cause: str) -> None:
        """End against the link's wish, unless the link has left it."""
        self.machine.end(cause)

    def break_off(self) -> None:
        """Let nothing pass any more, either way."""
        self._outbound_closed = self.machine.inbound_closed = True

    def leave(self) -> None:
        """Stop all timers: the link has left it."""
        self.resume_inbound()
        if self._overdue_timer is not None:
            self._overdue_timer.cancel()
            self._overdue_timer = None
        self._sent.clear()
