"""Finder's connection to the cars: reads what they send, acknowledges what is stored, and lets their lights flash."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final

import msgpack
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from finder.store import Store

CONTENT_TYPE: Final = "application/vnd.msgpack"
SESSION_EXPIRY_S: Final = 24 * 3600
COMMAND_TTL_S: Final = 60


def wall_us() -> int:
    """Return the time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Finder:
    """A durable consumer. When its store fails it stops without acknowledging; who starts it again gets the same messages."""

    def __init__(
        self,
        store: Store,
        *,
        host: str,
        port: int,
        login: tuple[str, str | None],
        prefix: str = "fleet/v1",
        client_id: str = "finder",
        now_us: Callable[[], int] = wall_us,
        reconnect_s: float = 1.0,
    ) -> None:
        """Take where the broker is, the topics' prefix, and the clock by which commands expire."""
        self.store = store
        self._address = (host, port)
        self._login = login
        self._prefix = prefix
        self._client_id = client_id
        self._now_us = now_us
        self._reconnect_s = reconnect_s
        self._client = self._make_client()
        self.is_ready = False
        """Whether it is connected and gets all that cars send."""
        self.failure: sqlite3.Error | None = None
        """Why it has stopped by itself."""

    def _make_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        client.username_pw_set(*self._login)
        client.reconnect_delay_set(min_delay=self._reconnect_s, max_delay=30)  # type: ignore[arg-type]  # fractions will do
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    # --- life

    def start(self) -> None:
        """Connect, and read in a thread of its own. The session outlives a connection, so what comes meanwhile waits."""
        self.failure = None
        self._client = self._make_client()
        settings = Properties(PacketTypes.CONNECT)
        settings.SessionExpiryInterval = SESSION_EXPIRY_S
        self._client.connect(*self._address, clean_start=False, properties=settings)
        self._client.loop_start()

    def stop(self, *, end_session: bool = False) -> None:
        """Disconnect; with `end_session` the broker keeps nothing for us."""
        settings = Properties(PacketTypes.DISCONNECT)
        if end_session:
            settings.SessionExpiryInterval = 0
        self._client.disconnect(properties=settings)
        self._client.loop_stop()
        self.is_ready = False

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not reason.is_failure:
            client.subscribe([(f"{self._prefix}/+/{channel}", 1) for channel in ("status", "event/+", "response/+")])

    def _on_subscribe(self, _client: Client, _data: Any, _mid: int, _reasons: Any, _properties: Any) -> None:
        self.is_ready = True

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        self.is_ready = False

    # --- from cars

    def _on_message(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        """Store, then acknowledge. What cannot be stored must come again, so nothing after it is acknowledged either."""
        if self.failure is not None:
            return
        kind = message.topic.removeprefix(f"{self._prefix}/").split("/")[1]
        try:
            self.store.add(kind, msgpack.unpackb(message.payload))
        except sqlite3.Error as error:
            self.failure = error
            client.disconnect()
        else:
            client.ack(message.mid, message.qos)

    # --- to cars

    def flash(self, vin: str, *, latitude: float, longitude: float) -> str:
        """Let the car's lights flash for a user who stands there; return the command's id, for `Store.outcome`."""
        command_id, now = f"finder-{secrets.token_hex(8)}", self._now_us()
        command = {
            "id": command_id,
            "vin": vin,
            "name": "honk",
            "issued_at": now,
            "expires_at": now + COMMAND_TTL_S * 1_000_000,
            "parameters": {"mode": "flash", "latitude": latitude, "longitude": longitude},
        }
        settings = Properties(PacketTypes.PUBLISH)
        settings.MessageExpiryInterval = COMMAND_TTL_S
        settings.ContentType = CONTENT_TYPE
        settings.ResponseTopic = f"{self._prefix}/{vin}/response/honk"
        settings.CorrelationData = command_id.encode()
        self._client.publish(f"{self._prefix}/{vin}/command/honk", msgpack.packb(command), qos=1, properties=settings)
        return command_id
