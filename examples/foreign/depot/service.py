"""Depot's connection: reads what cars report, acknowledges what it has taken, and gives orders."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

import aiomqtt
from aiomqtt import Client, ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from depot.cars import Cars

TOPICS = ("report", "trip", "alarm/+", "receipt", "here")
ORDER_TTL_S = 60


def wall_s() -> float:
    """Return the time in seconds since 1970 UTC."""
    return time.time_ns() / 1e9


class Depot:
    """The service; `run` lives as long as its connection."""

    def __init__(self, *, now: Callable[[], float] = wall_s) -> None:
        """Take the clock by which orders expire, in seconds since 1970 UTC."""
        self.cars = Cars()
        self.is_ready = False
        self._now = now
        self._numbers = itertools.count(1)
        self._client: Client | None = None

    async def run(self, host: str, port: int, login: tuple[str | None, str | None] = (None, None), name: str = "depot") -> None:
        """Connect and read, until it is cancelled."""
        async with Client(
            host, port, username=login[0], password=login[1], identifier=name, protocol=ProtocolVersion.V5
        ) as client:
            self._client = client
            await client.subscribe([(f"depot/cars/+/{topic}", 1) for topic in TOPICS])
            self.is_ready = True
            async for message in client.messages:
                await self._take(client, message)

    async def _take(self, client: Client, message: aiomqtt.Message) -> None:
        topic = str(message.topic)
        numbers = self.cars.take(topic, bytes(message.payload))
        if numbers is not None:
            # User properties are handed back: whoever traces a message by one finds its acknowledgement under it, too.
            properties = Properties(PacketTypes.PUBLISH)
            properties.UserProperty = getattr(message.properties, "UserProperty", [])
            taken = json.dumps({"run": numbers[0], "nr": numbers[1]})
            await client.publish("/".join([*topic.split("/")[:3], "taken"]), taken, qos=1, properties=properties)

    async def order(self, vin: str, verb: str, **words: float) -> str:
        """Order a car to `secure` or `release` its doors, or to `warm` the cabin (`fahrenheit`); return the order's name."""
        assert self._client is not None, "not connected"
        order = f"order-{next(self._numbers)}"
        said = {"order": order, "verb": verb, "until": self._now() + ORDER_TTL_S, **words}
        await self._client.publish(f"depot/cars/{vin}/order", json.dumps(said), qos=1)
        return order
