"""One TCP connection of a swarm link: the bytes of its client machine, as an asyncio protocol without task or future.

Writes within the transport's buffer and the turn of the event loop, and splits what comes into packets.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final, Protocol, cast

from fleet.errors import PublishRefused
from fleet.transport.client_connection import ClientConnection
from fleet.transport.client_machine import ClientMachine
from fleet.transport.client_packets import Malformed, ToBroker
from fleet.transport.dial import error_text, hint_for
from fleet.transport.drain import disconnect_and_drain
from fleet.transport.link import LinkSettings
from fleet.transport.overdue import LOOKS, Overdue
from fleet.transport.reasons import CLOSED, MALFORMED_PACKET, PACKET_TOO_LARGE, answered_by_older, no_connack, not_mqtt
from fleet.transport.swarm_codec import disconnect_packet, packet_bytes, packet_from, packet_length, publish_packet
from fleet.transport.swarm_turns import Turns
from fleet.transport.swarm_wheel import NOWHERE, PING_AFTER, KeepAliveWheel
from fleet.wire.frame import Frame

_JOINED_BYTES_MAX: Final = 1 << 16
_CONNACK: Final = 0x20


class SwarmSite(Protocol):
    """The parts that the links of a factory share, as far as their connections need them."""

    turns: Turns
    wheel: KeepAliveWheel

    def defect(self, error: Exception) -> None:
        """Show an error that is not of the connection but of the owner, or ours."""
        ...


class SwarmConnection(asyncio.Protocol):
    """The transport of a `ClientConnection`. `opening` is the CONNECT, as bytes."""

    __slots__ = (
        "_heard", "_need", "_out", "_out_bytes", "_overdue", "_pings_every", "_queued", "_site", "_tail", "_transport", "_turns",
        "_visits", "machine", "opening", "wheel_period", "wheel_slot",
    )  # fmt: skip

    def __init__(self, site: SwarmSite, client: ClientMachine, number: int, settings: LinkSettings) -> None:
        """Take what is shared, and whose connection it is."""
        self.machine = ClientConnection(client, number, settings, self, site.turns)
        self.opening = b""
        self.wheel_slot = NOWHERE
        self.wheel_period = 0
        self._site = site
        self._turns = site.turns
        self._transport: asyncio.Transport | None = None
        self._heard = True
        self._pings_every = 0  # visits of the wheel; 0 is never
        self._visits = 0
        self._overdue: Overdue | None = None
        # Coming in: the part of a packet that is there, and how many bytes it takes to go on.
        self._tail: bytearray | None = None
        self._need = 0
        # Going out. What is empty is None: most links are silent most of the time.
        self._queued = False
        self._out: list[bytes] | None = None
        self._out_bytes = 0

    # --- what the machine asks for

    def send_publish(self, frame: Frame, packet_id: int, packet_max: int) -> int:
        """Write a PUBLISH; return 0, or the reason code why it cannot be sent."""
        try:
            packet = publish_packet(frame, packet_id or None)
        except (ValueError, OverflowError):
            return MALFORMED_PACKET
        if len(packet) > packet_max:
            return PACKET_TOO_LARGE
        self._turns.left -= 1
        self._write(packet)
        return 0

    def send_puback(self, packet_id: int) -> None:
        """Write a PUBACK."""
        self._write(b"\x40\x02" + packet_id.to_bytes(2, "big"))

    def send(self, packet: ToBroker) -> None:
        """Write any other packet."""
        self._write(packet_bytes(packet))

    def report_later(self, token: int | None, error: PublishRefused | None) -> None:
        """Report an outcome at the end of this turn."""
        self._turns.tell_later(self, token, error)

    def pump_later(self) -> None:
        """Pump in the next turn."""
        if not self._queued:
            self._queued = True
            self._turns.pump_later(self)

    def came_up(self, keep_alive_s: int) -> None:
        """Have the wheel visit often enough for the keep-alive's pings, and for a look at what is not acknowledged."""
        ping_s, acknowledge_s = PING_AFTER * keep_alive_s, self.machine.settings.acknowledge_timeout_s
        visits = 1
        if acknowledge_s:
            self._overdue = Overdue(acknowledge_s)
            visits = math.ceil(ping_s / (acknowledge_s / LOOKS)) or 1
        if ping_s:
            self._pings_every = visits
            self._site.wheel.add(self, ping_s / visits)
        elif acknowledge_s:
            self._site.wheel.add(self, acknowledge_s / LOOKS)

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def leave(self) -> None:
        """Let go of what is held."""
        self._site.wheel.remove(self)
        self._tail = self._out = None

    # --- what the turns and the wheel call

    def pump(self) -> None:
        """Send what waits, as far as the turn has room."""
        self._queued = False
        self.machine.pump()

    def flush(self) -> None:
        """Write what was kept back."""
        out, self._out = self._out, None
        if out is not None and self._transport is not None:
            self._transport.write(b"".join(out) if len(out) > 1 else out[0])

    def tell(self, token: int | None, error: PublishRefused | None) -> None:
        """Report an outcome."""
        try:
            self.machine.report(token, error)
        except Exception as defect:  # noqa: BLE001  the owner's defect must not reach other links
            self._broke(defect)

    def beat(self, *, late: bool) -> None:
        """End the connection when a publish has waited too long, or the last ping was followed by silence; ping in time."""
        if self._overdue is not None and not late:
            cause = self._overdue.look(self.machine.under_way, asyncio.get_running_loop().time())
            if cause is not None:
                self.machine.end(cause)
                return
        self._visits += 1
        if self._pings_every and not self._visits % self._pings_every:
            heard, self._heard = self._heard or late, False
            self.machine.keep_alive(heard=heard)

    def _write(self, packet: bytes) -> None:
        """Write at the end of this turn, together with all others.

        A broker that sleeps is then woken once for many packets; waking it for each one costs the sender as much as the rest.
        """
        if self._out is None:
            self._out = [packet]
            self._out_bytes = len(packet)
            self._turns.flush_later(self)
        else:
            self._out.append(packet)
            self._out_bytes += len(packet)
            if self._out_bytes > _JOINED_BYTES_MAX:
                self.flush()

    # --- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the CONNECT."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods, not by its class
        if self.machine.over:  # dropped in the very moment
            transport.abort()
            return
        self.machine.is_open = True
        self._transport = transport
        transport.write(self.opening)
        self.opening = b""

    def connection_lost(self, exc: Exception | None) -> None:
        cause = error_text(exc) if isinstance(exc, OSError) else CLOSED if exc is None else str(exc)
        self.machine.end(cause, hint_for(cause))

    def pause_writing(self) -> None:
        self.machine.paused = True

    def resume_writing(self) -> None:
        self.machine.paused = False
        self.pump()

    def data_received(self, data: bytes) -> None:
        """Take the packets that are whole, and keep the rest until it is."""
        self._heard = True
        tail = self._tail
        if tail is not None:
            tail += data
            if len(tail) < self._need:
                return
            self._tail = None
            data = bytes(tail)
        machine = self.machine
        try:
            self._take(data)
            if machine.waiting is not None and not machine.over:
                self.pump()
        except Malformed as error:
            self._say_why(error.code)
            machine.end(not_mqtt(error))
        except Exception as defect:  # noqa: BLE001  an owner's defect must not reach other links
            self._broke(defect)

    def _take(self, data: bytes) -> None:
        machine = self.machine
        if machine.session_present is None and not self._is_connack(data):
            return
        position, end = 0, len(data)
        while position < end and not machine.over:
            # Nearly all that comes in a load test is a PUBACK: 4 bytes, or 5 when Mosquitto gives a reason.
            if data[position] == 0x40 and end - position >= 4 and 2 <= data[position + 1] <= 3:
                length = data[position + 1]
                if end - position < length + 2:
                    self._keep(data, position, length + 2)
                    return
                code = data[position + 4] if length == 3 else 0
                machine.acknowledged(data[position + 2] << 8 | data[position + 3], code)
                position += length + 2
                continue
            length = packet_length(data, position)
            if not length or length > end - position:
                self._keep(data, position, length)
                return
            machine.receive(packet_from(memoryview(data)[position : position + length]))
            position += length

    def _is_connack(self, data: bytes) -> bool:
        """Tell whether the answer to the CONNECT can be read on; end the connection when it is none of MQTT 5."""
        machine = self.machine
        if data[0] != _CONNACK:
            endpoint = machine.endpoint
            machine.finish(no_connack(endpoint.host, endpoint.port, data))
        elif len(data) >= 4 and data[1] == 2:
            machine.finish(answered_by_older(machine.settings.client_id, data[3]))
        return not machine.over

    def _keep(self, data: bytes, position: int, need: int) -> None:
        self._tail = bytearray(memoryview(data)[position:])
        self._need = need or len(self._tail) + 1

    # --- the end

    def _say_why(self, code: int) -> None:
        """Tell a broker that has taken the client by which reason code it is left; not one that takes nothing more."""
        transport = self._transport
        if self.machine.session_present is not None and transport is not None and not transport.get_write_buffer_size():
            transport.write(b"\xe0\x01" + bytes((code,)))
            transport.close()
            self._transport = None

    def _broke(self, defect: Exception) -> None:
        self._site.defect(defect)
        self.machine.end(f"it broke: {defect!r}")

    async def disconnect(self, timeout_s: float, *, end_session: bool) -> None:
        """Send DISCONNECT, so that the will is not sent, and wait until the broker has ended the connection."""
        transport = self._transport
        if self.machine.over or transport is None:
            return
        self.flush()
        self.machine.leave()
        await disconnect_and_drain(transport, disconnect_packet(end_session), timeout_s)
