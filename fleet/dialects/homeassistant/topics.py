"""The topics of a car beside Home Assistant: ours, but a status has a topic for each group, and commands come in its words."""

from __future__ import annotations

from typing import Final

from fleet.dialects.homeassistant.entities import BIRTH_TOPIC, DISCOVERY_PREFIX
from fleet.wire.dialect import TopicAccess
from fleet.wire.topics import Address, Topics
from fleet.wire.vin import checked_vin

CAR: Final = "car"
"""The group with the header of a status, the car's state and the trigger."""
CONTROLS: Final = "controls"
"""The group with what no message of ours says: a lock at work, and the target temperature while nothing runs."""


class HomeAssistantTopics(Topics):
    """`{prefix}/{vin}/status/{group}` retained for states, `{prefix}/{vin}/set/{name}` for what is asked there; else ours."""

    def head(self, vin: str) -> str:
        """Return the beginning of all topics of a car but those of its announcement."""
        return f"{self.prefix}/{checked_vin(vin)}/"

    def state(self, vin: str, group: str) -> str:
        """Return the topic of a group of the status."""
        return f"{self.head(vin)}status/{group}"

    def asked(self, topic: str, vin: str) -> str | None:
        """Return what Home Assistant asks on a topic of this car; None for a topic of another kind."""
        head = f"{self.prefix}/{vin}/set/"
        return topic[len(head) :] if topic.startswith(head) else None

    def car_subscriptions(self, vin: str) -> tuple[tuple[str, int], ...]:
        """Return the (filter, QoS) a car subscribes: what our own cloud sends, and what Home Assistant asks."""
        return (*super().car_subscriptions(vin), (f"{self.head(vin)}set/+", 1))

    def backend_subscriptions(self) -> tuple[tuple[str, int], ...]:
        """Return the (filter, QoS) of a back end of ours: all that cars send, and what tools ask of the desk."""
        plain = f"{self.prefix}/+/status"
        return tuple((f"{plain}/+" if each == plain else each, qos) for each, qos in super().backend_subscriptions())

    def access(self) -> TopicAccess:
        """Return the topics that a broker must allow."""
        own = f"{self.prefix}/%u"
        writes = ("status/+", "event/+", "response/+", "request/+", "presence")
        reads = ("command/+", "reply/+", "stored", "set/+")
        every = f"{self.prefix}/+"
        return TopicAccess(
            car_writes=(
                *(f"{own}/{name}" for name in writes),
                f"{DISCOVERY_PREFIX}/device/%u/config",
                f"{DISCOVERY_PREFIX}/+/%u/+/config",
            ),
            car_reads=(*(f"{own}/{name}" for name in reads), BIRTH_TOPIC),
            cloud_writes=(*(f"{every}/{name}" for name in reads), BIRTH_TOPIC),
            cloud_reads=(*(f"{every}/{name}" for name in writes), f"{DISCOVERY_PREFIX}/#"),
        )

    def _parsed(self, topic: str) -> Address:
        parts = topic.removeprefix(f"{self.prefix}/").split("/")
        if len(parts) == 3 and parts[1] == "status" and parts[2]:
            return super()._parsed(f"{self.prefix}/{parts[0]}/status")._replace(name=parts[2])
        return super()._parsed(topic)
