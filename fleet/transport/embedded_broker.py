"""The embedded broker as a pure machine: the broker that virtual runs have, and the connections of clients with bytes to it.

Time is an argument. A driver owns the sockets, hands over bytes, and calls `wake` once `deadline()` has come.
"""

from __future__ import annotations

from typing import Final

from fleet.kernel.instants import Instant
from fleet.kernel.timers import TimerHeap
from fleet.transport.embedded_connection import ConnectionCounts, EmbeddedConnection, Listener, Wire
from fleet.transport.simulated_broker import KEEP_ALIVE_TIMEOUT, SimulatedBroker
from fleet.transport.simulated_sessions import BrokerLimits

EMBEDDED_LIMITS: Final = BrokerLimits(max_qos=2)
"""Those of the shipped configuration, and QoS 2 for clients of the user's."""


class EmbeddedBroker:
    """A broker and its connections. Runs at once; `stop`, `kill` and `start` are those of the broker."""

    def __init__(self, broker: SimulatedBroker) -> None:
        """Take the machine that decides what becomes of packets."""
        self.broker = broker
        self.counts = ConnectionCounts()
        self._timers: TimerHeap[EmbeddedConnection] = TimerHeap()

    def accept(self, wire: Wire, listener: Listener, identity: str | None, now: Instant) -> EmbeddedConnection:
        """Take a new connection; `identity` is the name in the client's certificate, if it has shown one."""
        connection = EmbeddedConnection(self.broker, self.counts, wire, listener=listener, identity=identity, now=now)
        self._watch(connection)
        return connection

    def _watch(self, connection: EmbeddedConnection) -> None:
        """Look at the connection when its client has been silent for too long, should nothing come until then."""
        patience = None if connection.is_over else connection.patience
        self._timers.set(connection, None if patience is None else connection.heard_at + patience)

    def feed(self, connection: EmbeddedConnection, data: bytes, now: Instant) -> bool:
        """Hand over bytes of a client; returns whether the deadline may have moved, which a publish does not do."""
        patience = connection.patience
        connection.feed(data, now)
        if connection.patience == patience and not connection.is_over:
            return False
        self._watch(connection)
        return True

    def lost(self, connection: EmbeddedConnection, now: Instant) -> None:
        """The socket of a connection has ended."""
        connection.lost(now)
        self._timers.set(connection, None)

    def deadline(self) -> Instant | None:
        """Return when the broker wants to be woken, or None."""
        found = [at for at in (self.broker.deadline(), self._timers.next_deadline()) if at is not None]
        return min(found, default=None)

    def wake(self, now: Instant) -> None:
        """Do what is due: wills, ends of sessions, and ends of connections that are silent."""
        self.broker.wake(now)
        due = [connection for _, connection in self._timers.pop_due(now, len(self._timers))]
        for connection in due:
            if connection.patience is None or connection.is_over:
                continue
            if connection.heard_at + connection.patience > now:
                self._watch(connection)
                continue
            self.counts.timed_out += 1
            connection.end(now, KEEP_ALIVE_TIMEOUT)
