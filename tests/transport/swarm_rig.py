"""A swarm link whose connections are on transports of the test's own."""

from __future__ import annotations

import asyncio

from fleet.transport.link import Endpoint, LinkSettings
from fleet.transport.remarks import Remarks
from fleet.transport.swarm_link import Swarm, SwarmLink
from tests.lab import quick_back_off
from tests.recording_owner import RecordingOwner
from tests.transport import scripted_broker as scripted

CONNACK = scripted.packet(0x20, b"\0\0\0")
QUIET = LinkSettings(client_id="quiet", keep_alive_s=0)


class FakeTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.aborted = False
        self.closed = False
        self.held = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.held

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.closed = True

    def sent(self) -> bytes:
        """Return what was written since the last call."""
        written, self.writes = self.writes, []
        return b"".join(written)

    def packets(self) -> list[bytes]:
        """Return the packets written so far; all are short."""
        stream, found = b"".join(self.writes), []
        while stream:
            end = 2 + stream[1]
            found.append(stream[:end])
            stream = stream[end:]
        return found


class Rig:
    """A swarm link whose connections are on transports of the test."""

    def __init__(self, settings: LinkSettings) -> None:
        self.owner = RecordingOwner()
        self.link = SwarmLink(Swarm(Endpoint("127.0.0.1", 1), 1, (), None, Remarks()), settings, self.owner, quick_back_off())
        self.owner.link = self.link
        self._connect()

    def _connect(self) -> None:
        self.link.machine.attempt()
        connection = self.link._connection
        assert connection is not None
        self.connection = connection
        self.connection.opening = b"CONNECT"
        self.transport = FakeTransport()
        self.connection.connection_made(self.transport)
        assert self.transport.sent() == b"CONNECT"

    def up(self, *answers: bytes) -> None:
        """Let the peer answer until the link is up."""
        for answer in answers:
            self.connection.data_received(answer)
        assert self.link.is_up
        self.transport.sent()

    def reconnect(self, *answers: bytes) -> None:
        """Lose the connection and make another."""
        self.connection.connection_lost(None)
        self._connect()
        self.up(*answers)

    async def end(self) -> None:
        """Stop the link, which may be trying again by now."""
        self.link.drop()
        await settled()


async def settled() -> None:
    """Return after some turns of the loop, enough for everything that waits for nothing outside."""
    for _ in range(100):
        await asyncio.sleep(0)
