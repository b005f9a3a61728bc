"""The reference: MQTT on a bare asyncio.Protocol with the `mqtt5` codec, the same bytes again and again, no link and no car.

What a publish costs here is the floor on this machine with this event loop; the rest is what links and cars add.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import mqtt5

CONNECTS_UNDER_WAY = 90


class BareClient(asyncio.Protocol):
    """Connects, subscribes, and publishes the same payload again at each acknowledgement."""

    __slots__ = ("_name", "_payload", "_transport", "acknowledged", "publishing", "up")

    def __init__(self, number: int, payload: bytes) -> None:
        self._name = f"bare-{number}"
        self._payload = payload
        self._transport: asyncio.Transport | None = None
        self.acknowledged = 0
        self.publishing = False
        self.up = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(mqtt5.ConnectPacket(self._name, keep_alive=60).write())

    def data_received(self, data: bytes) -> None:
        if data[0] == 0x40:
            self.acknowledged += 1
            if self.publishing:
                self.publish()
        elif data[0] == 0x20:
            wanted = mqtt5.TopicFilter(f"bench/{self._name}/command/+", max_qos=mqtt5.QoS.AT_LEAST_ONCE)
            assert self._transport is not None
            self._transport.write(mqtt5.SubscribePacket(1, [wanted]).write())
        elif data[0] == 0x90:
            self.up.set_result(None)

    def publish(self) -> None:
        """Send the next one: packet ids need not differ with one under way."""
        assert self._transport is not None
        packet = mqtt5.PublishPacket(
            f"bench/{self._name}/status", self._payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=self.acknowledged % 65_535 + 1
        )
        self._transport.write(packet.write())


async def connect_bare(port: int, clients: int, payload: bytes, sources: Sequence[str]) -> list[BareClient]:
    """Return that many clients, connected and subscribed."""
    made = [BareClient(number, payload) for number in range(clients)]
    waiting = iter(enumerate(made))

    async def connect_some() -> None:
        for number, client in waiting:
            source = (sources[number % len(sources)], 0) if sources else None
            await asyncio.get_running_loop().create_connection(lambda c=client: c, "127.0.0.1", port, local_addr=source)
            await client.up

    await asyncio.gather(*(connect_some() for _ in range(CONNECTS_UNDER_WAY)))
    return made
