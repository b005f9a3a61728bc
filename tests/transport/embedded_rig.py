"""An embedded broker in the hands of a test: clients write bytes and read bytes, and the test sets the time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import mqtt5

from fleet.kernel.instants import SECOND
from fleet.transport.embedded_broker import EMBEDDED_LIMITS, EmbeddedBroker
from fleet.transport.embedded_connection import EmbeddedConnection, Listener
from fleet.transport.simulated_broker import SimulatedBroker
from fleet.transport.simulated_sessions import BrokerLimits

OLD_CONNECT: Final = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03old"
"""Of MQTT 3.1.1: a clean session of the client "old", keep-alive 60 s."""


@dataclass(slots=True)
class Wire:
    """A socket: what was written, and whether it was closed."""

    written: bytearray = field(default_factory=bytearray)
    is_closed: bool = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed, "nothing is written after the end"
        self.written += data

    def close(self) -> None:
        self.is_closed = True


@dataclass(slots=True)
class Client:
    """One connection, from the client's side."""

    rig: EmbeddedRig
    wire: Wire
    connection: EmbeddedConnection

    def send(self, *packets: bytes) -> bytes:
        """Write packets, in one piece, and return all that comes back at once."""
        del self.wire.written[:]
        self.rig.machine.feed(self.connection, b"".join(packets), self.rig.now)
        return bytes(self.wire.written)

    def read(self) -> list[mqtt5.Packet]:
        """Return the packets that came since the last `send`, and forget them."""
        packets, data = [], bytes(self.wire.written)
        del self.wire.written[:]
        while data:
            packet, length = mqtt5.read(memoryview(data))
            packets.append(packet)
            data = data[length:]
        return packets

    def ask(self, *packets: bytes) -> list[mqtt5.Packet]:
        """Write packets and return those that come back at once."""
        self.send(*packets)
        return self.read()

    @property
    def is_closed(self) -> bool:
        return self.wire.is_closed


@dataclass(slots=True)
class EmbeddedRig:
    """A broker and its time."""

    limits: BrokerLimits = EMBEDDED_LIMITS
    now: int = 1_000 * SECOND
    machine: EmbeddedBroker = field(init=False)

    def __post_init__(self) -> None:
        self.machine = EmbeddedBroker(SimulatedBroker(limits=self.limits, new_client_id=lambda: "auto-1"))

    def open(self, listener: Listener = Listener(), identity: str | None = None) -> Client:  # noqa: B008  it is a value
        """Connect by TCP."""
        wire = Wire()
        return Client(self, wire, self.machine.accept(wire, listener, identity, self.now))

    def client(self, client_id: str = "one", *filters: str, **options: object) -> Client:
        """Connect, and subscribe at QoS 2 to these filters."""
        client = self.open()
        client.send(mqtt5.ConnectPacket(client_id, **options).write())  # type: ignore[arg-type]
        if filters:
            client.send(
                mqtt5.SubscribePacket(1, [mqtt5.TopicFilter(each, retain_as_published=False) for each in filters]).write()
            )
        client.read()
        return client

    def wait(self, seconds: float) -> None:
        """Let time pass, waking the broker whenever it wants to be."""
        until = self.now + round(seconds * SECOND)
        while (at := self.machine.deadline()) is not None and at <= until:
            self.now = max(at, self.now)
            self.machine.wake(self.now)
        self.now = until
