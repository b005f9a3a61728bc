"""The faults of `fleet.transport.faults` on a simulated network: of the same names, on frames instead of bytes.

What has no meaning there changes nothing: slicing, and rules about packets that are not sent between perfect peers (PINGREQ,
UNSUBSCRIBE, QoS 2). Sizes of packets other than PUBLISH are about right; only bandwidth and counted bytes depend on them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Any, Final, Protocol

import msgspec

from fleet.kernel.instants import MILLISECOND, SECOND, Instant
from fleet.kernel.schedule import Schedule, ScheduledCall
from fleet.transport.client_packets import ConnectionClosed, PublishPacket, ToBroker, ToClient
from fleet.transport.faults import (
    DIRECTIONS,
    Bandwidth,
    Direction,
    DropPackets,
    Duplicate,
    FaultControl,
    HalfOpen,
    InForce,
    Latency,
    Refuse,
    Reorder,
    ResetConnections,
    Stall,
    Truncate,
    goes,
)
from fleet.transport.link import LinkSettings
from fleet.transport.mqtt_stream import packet_size

Packet = ToBroker | ToClient

_RESET: Final = "Connection reset by peer"
_SIZES: Final = {"CONNECT": 40, "CONNACK": 12, "SUBSCRIBE": 60, "SUBACK": 7, "PUBACK": 4, "DISCONNECT": 2}


class FaultyPeer(Protocol):
    """The client's end of a connection, as faults see it."""

    settings: LinkSettings
    fault_state: FaultState | None

    def reach_broker(self, packet: Any) -> None:
        """A packet reaches the broker, unless nothing of this connection does any more."""
        ...

    def reach_client(self, packet: Any) -> None:
        """A packet reaches the client, unless nothing of this connection does any more."""
        ...

    def break_off(self) -> None:
        """Let nothing pass any more, either way."""
        ...

    def suspend_inbound(self) -> None:
        """Nothing comes for a while: give up when the keep-alive is over, unless `resume_inbound` is called before."""
        ...

    def resume_inbound(self) -> None: ...
    def refused(self) -> None:
        """Nobody listens."""
        ...

    def end(self, cause: str) -> None:
        """End the connection against the link's wish, unless the link has left it."""
        ...

    def __hash__(self) -> int: ...


class CarryingNetwork(Protocol):
    """The network, as faults see it."""

    schedule: Schedule

    @property
    def connections(self) -> Collection[Any]: ...
    def lost(self, connection: Any) -> None: ...
    def silent(self, connection: Any) -> None: ...
    def suspend_outbound(self, connection: Any) -> None: ...
    def resume_outbound(self, connection: Any) -> None: ...
    def arrival(self, after: Instant) -> Instant: ...


class FaultState:
    """Packets on their way in one connection that some fault concerns, or has concerned."""

    __slots__ = ("back", "carried", "free_at", "inbound_suspended", "last", "marks", "outbound_suspended", "over", "waiting")

    def __init__(self) -> None:
        self.over = False
        self.inbound_suspended = False
        self.outbound_suspended = False
        self.carried: dict[Direction, int] = dict.fromkeys(DIRECTIONS, 0)
        self.last: dict[Direction, Instant] = dict.fromkeys(DIRECTIONS, 0)
        """When the last packet that is on its way arrives."""
        self.free_at: dict[Direction, Instant] = dict.fromkeys(DIRECTIONS, 0)
        self.marks: dict[tuple[InForce, Direction], int] = {}
        """For each fault that ends connections after so many bytes, how many had passed when it was set."""
        self.back: dict[Direction, tuple[Packet, int, ScheduledCall]] = {}
        """A packet that waits for the packet after it."""
        self.waiting: dict[Direction, deque[tuple[Packet, int]]] = {way: deque() for way in DIRECTIONS}
        """Packets that wait for the end of a stall."""


class FrameFaults(FaultControl):
    """The faults of one simulated network. `set`, `clear`, `strike` and `counts` are those of `FaultControl`."""

    def __init__(self, network: CarryingNetwork, seed: int = 0) -> None:
        """Take the network they are on, and the seed of all chance."""
        super().__init__(seed)
        self._network = network
        self._schedule = network.schedule
        self._stalled: dict[FaultyPeer, None] = {}
        """Connections with packets that wait, those included that the network has not heard of."""
        self._carries_until: Instant = 0

    @property
    def is_carrying(self) -> bool:
        """Whether something is on its way that some fault has concerned."""
        return self._schedule.now < self._carries_until

    # --- the connections there are

    def _look(self) -> None:
        """See what has changed for each connection."""
        for connection in [*self._network.connections, *self._stalled]:
            in_force = self.faults.concerning(connection.settings.client_id)
            if not in_force and connection.fault_state is None:
                continue
            state = _state_of(connection)
            for one in in_force:
                if isinstance(one.fault, ResetConnections | HalfOpen) and not one.fault.after_bytes and not state.over:
                    self._end(connection, one)
            if not state.over:
                _mark(state, in_force)
                self._stall(connection, state, in_force)

    def _stall(self, connection: FaultyPeer, state: FaultState, in_force: Iterable[InForce]) -> None:
        """Hold back what is sent, or let it go; who waits for the other side loses patience from now on."""
        ways = _stalls(in_force)
        if bool(ways) != state.inbound_suspended:
            state.inbound_suspended = bool(ways)
            (connection.suspend_inbound if ways else connection.resume_inbound)()
        if ("to_broker" in ways) != state.outbound_suspended:
            state.outbound_suspended = "to_broker" in ways
            (self._network.suspend_outbound if state.outbound_suspended else self._network.resume_outbound)(connection)
        for way in DIRECTIONS:
            waiting = state.waiting[way]
            while waiting and way not in ways:
                self._deliver(connection, way, self._network.arrival(state.last[way]), waiting.popleft()[0])
        if not any(state.waiting.values()):
            self._stalled.pop(connection, None)

    def _end(self, connection: FaultyPeer, one: InForce) -> None:
        """End the connection as the fault says. Its link hears of it later: it may be in the midst of sending."""
        state = _state_of(connection)
        state.over = True
        self._stalled.pop(connection, None)
        one.counts["connections"] += 1
        if isinstance(one.fault, Truncate):
            for way in DIRECTIONS:
                self._deliver(connection, way, self._network.arrival(state.last[way]), ConnectionClosed())
            return
        connection.break_off()
        if isinstance(one.fault, HalfOpen):
            connection.suspend_inbound()
            self._network.silent(connection)
            return
        self._schedule.call_at(self._schedule.now, self._network.lost, connection)
        self._schedule.call_at(self._schedule.now, connection.end, _RESET)

    # --- what is sent

    def concern(self, connection: FaultyPeer) -> bool:
        """Return whether what this connection sends has to go this way."""
        return connection.fault_state is not None or any(one.concerns(connection.settings.client_id) for one in self.faults)

    def carry(self, connection: FaultyPeer, way: Direction, after: Instant, packet: Packet) -> Instant:
        """Deliver a packet as faults will have it, not before `after`.

        Returns when the last one arrives that is on its way.
        """
        state = _state_of(connection)
        state.last[way] = max(state.last[way], after)
        if state.over:
            return state.last[way]
        in_force = self.faults.concerning(connection.settings.client_id)
        if packet.name == "CONNECT" and self._refuses(connection, in_force):
            return state.last[way]
        _mark(state, in_force)
        size = _size(packet)
        ending = _ending(state, way, in_force, size)
        if ending is not None:
            self._end(connection, ending)
        else:
            state.carried[way] += size
            self._judge(connection, way, packet)
        return state.last[way]

    def _refuses(self, connection: FaultyPeer, in_force: Iterable[InForce]) -> bool:
        refusal = next((one for one in in_force if isinstance(one.fault, Refuse)), None)
        if refusal is not None:
            refusal.counts["connections"] += 1
            connection.refused()
        return refusal is not None

    def _judge(self, connection: FaultyPeer, way: Direction, packet: Packet) -> None:
        """Let rules about packets decide; all of them count what they see, and the first that strikes has its way."""
        state = _state_of(connection)
        topic = packet.frame.topic if isinstance(packet, PublishPacket) else None
        client_id, size, name = connection.settings.client_id, _size(packet), packet.name
        struck = [
            one.fault
            for one in self.faults.concerning(client_id)
            if name is not None and one.strikes(client_id, way, name, topic)
        ]
        verdict = struck[0] if struck else None
        if isinstance(verdict, DropPackets):
            if name != "DISCONNECT":
                return
            # The DISCONNECT is lost; that the connection ends is not.
            packet = ConnectionClosed()
        if isinstance(verdict, Reorder) and way not in state.back:
            until = self._schedule.now + round(verdict.within_ms * MILLISECOND)
            state.back[way] = (packet, size, self._schedule.call_at(until, self._comes_alone, connection, way))
            return
        self._send(connection, way, packet, size)
        if isinstance(verdict, Duplicate):
            self._send(connection, way, _repeated(packet), size)
        if way in state.back:
            late, late_size, alone = state.back.pop(way)
            alone.cancel()
            self._send(connection, way, late, late_size)

    def _comes_alone(self, connection: FaultyPeer, way: Direction) -> None:
        """Nothing followed in time."""
        state = _state_of(connection)
        packet, size, _ = state.back.pop(way)
        if not state.over:
            self._send(connection, way, packet, size)

    def _send(self, connection: FaultyPeer, way: Direction, packet: Packet, size: int) -> None:
        state = _state_of(connection)
        client_id, now = connection.settings.client_id, self._schedule.now
        in_force = [one for one in self.faults.concerning(client_id) if goes(getattr(one.fault, "way", "both"), way)]
        stalls = [one for one in in_force if isinstance(one.fault, Stall)]
        for one in stalls:
            one.counts["bytes"] += size
        if stalls:
            state.waiting[way].append((packet, size))
            self._stalled[connection] = None
            return
        at = self._network.arrival(now)
        rates = []
        for one in in_force:
            if isinstance(one.fault, Latency):
                at += one.delay(client_id, way)
            elif isinstance(one.fault, Bandwidth):
                one.counts["bytes"] += size
                rates.append(one.fault.bytes_per_s)
        if rates:
            state.free_at[way] = max(state.free_at[way], now) + size * SECOND // min(rates)
            at += state.free_at[way] - now
        self._deliver(connection, way, at, packet)

    def _deliver(self, connection: FaultyPeer, way: Direction, at: Instant, packet: Packet) -> None:
        state = _state_of(connection)
        state.last[way] = at = max(at, state.last[way])
        self._carries_until = max(self._carries_until, at)
        self._schedule.call_at(at, connection.reach_broker if way == "to_broker" else connection.reach_client, packet)


def _state_of(connection: FaultyPeer) -> FaultState:
    if connection.fault_state is None:
        connection.fault_state = FaultState()
    return connection.fault_state


def _mark(state: FaultState, in_force: Iterable[InForce]) -> None:
    """Note how much had passed before a fault that counts it was set."""
    for one in in_force:
        if isinstance(one.fault, ResetConnections | HalfOpen | Truncate):
            for way in DIRECTIONS:
                state.marks.setdefault((one, way), state.carried[way])


def _ending(state: FaultState, way: Direction, in_force: Iterable[InForce], size: int) -> InForce | None:
    """Return the fault that ends the connection with this packet."""
    for one in in_force:
        fault = one.fault
        if (
            isinstance(fault, ResetConnections | HalfOpen | Truncate)
            and goes(getattr(fault, "way", "both"), way)
            and state.carried[way] + size > state.marks[one, way] + fault.after_bytes
        ):
            return one
    return None


def _stalls(in_force: Iterable[InForce]) -> set[Direction]:
    return {way for one in in_force if isinstance(one.fault, Stall) for way in DIRECTIONS if goes(one.fault.way, way)}


def _repeated(packet: Packet) -> Packet:
    """Return the packet as its sender would repeat it."""
    if isinstance(packet, PublishPacket) and packet.frame.qos:
        return PublishPacket(msgspec.structs.replace(packet.frame, duplicate=True), packet.packet_id)
    return packet


def _size(packet: Packet) -> int:
    return packet_size(packet.frame) if isinstance(packet, PublishPacket) else _SIZES.get(packet.name or "", 0)
