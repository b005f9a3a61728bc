"""All topics, built and read in one place. A VIN is checked before it becomes part of one."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

from fleet.errors import Undecodable, UsageError
from fleet.wire.vin import checked_vin, is_vin

DEFAULT_PREFIX: Final = "fleet/v1"

Channel = Literal["status", "event", "presence", "command", "response", "request", "reply", "stored", "desk"]
"""The kind of message that a topic carries; `desk` is the one topic that belongs to no car."""

_NAMED: Final = {"event", "command", "response", "request", "reply"}
_CHANNELS: Final = frozenset(get_args(Channel))
_REMEMBERED: Final = 1 << 16
"""Topics whose address is remembered; when there are more it begins anew."""
_REMEMBERED_LENGTH: Final = 200
_LONGEST_PREFIX: Final = 200
"""Characters; what is longer is no name that somebody gave."""


def checked_prefix(prefix: str) -> str:
    """Return the prefix; raises UsageError for one that is empty, too long, or holds wildcards or what brokers refuse."""
    is_empty_at_end = not prefix or prefix.startswith("/") or prefix.endswith("/")
    if is_empty_at_end or not prefix.isprintable() or any(c in prefix for c in "+#$") or len(prefix) > _LONGEST_PREFIX:
        raise UsageError(
            f"{prefix[:_LONGEST_PREFIX]!r} cannot be a topic prefix",
            hint="Use names joined by '/', such as 'fleet/v1'; no '+', '#', '$', control characters, no '/' at either end;"
            f" at most {_LONGEST_PREFIX} characters.",
        )
    return prefix


class Address(NamedTuple):
    """The parts of a topic: the channel, the VIN (empty for the desk), and the name where the channel has names."""

    channel: Channel
    vin: str
    name: str


class Topics:
    """The topics under one prefix, `fleet/v1` unless the user says otherwise."""

    def __init__(self, prefix: str = DEFAULT_PREFIX) -> None:
        """Take the prefix; raises UsageError for one that is empty, too long, or holds wildcards or what brokers refuse."""
        self.prefix = checked_prefix(prefix)
        self._head = prefix + "/"
        self._known: dict[str, Address] = {}

    def status(self, vin: str) -> str:
        return f"{self._head}{checked_vin(vin)}/status"

    def event(self, vin: str, name: str) -> str:
        return f"{self._head}{checked_vin(vin)}/event/{name}"

    def presence(self, vin: str) -> str:
        return f"{self._head}{checked_vin(vin)}/presence"

    def presence_of_all(self) -> str:
        """Return the filter for the presence of all cars."""
        return f"{self._head}+/presence"

    def command(self, vin: str, name: str) -> str:
        return f"{self._head}{checked_vin(vin)}/command/{name}"

    def response(self, vin: str, name: str) -> str:
        return f"{self._head}{checked_vin(vin)}/response/{name}"

    def request(self, vin: str, name: str) -> str:
        return f"{self._head}{checked_vin(vin)}/request/{name}"

    def reply(self, vin: str, name: str) -> str:
        return f"{self._head}{checked_vin(vin)}/reply/{name}"

    def stored(self, vin: str) -> str:
        return f"{self._head}{checked_vin(vin)}/stored"

    def desk_request(self) -> str:
        return f"{self._head}desk/request"

    def desk_answer(self, client_id: str) -> str:
        """Return the topic of the answers to one tool: the response topic of its requests."""
        return f"{self._head}desk/answer/{client_id}"

    def desk_head(self) -> str:
        """Return the beginning of all topics between tools and desk, whose payloads may hold secrets."""
        return f"{self._head}desk/"

    def car_subscriptions(self, vin: str) -> tuple[tuple[str, int], ...]:
        """Return the (filter, QoS) a car subscribes: its own commands, replies and storage marks, nothing else."""
        own = self._head + checked_vin(vin)
        return ((f"{own}/command/+", 1), (f"{own}/reply/+", 1), (f"{own}/stored", 0))

    def backend_subscriptions(self) -> tuple[tuple[str, int], ...]:
        """Return the (filter, QoS) of the back end: all that cars send, and what tools ask of the desk."""
        head = self._head
        return (
            (f"{head}+/status", 1),
            (f"{head}+/event/+", 1),
            (self.presence_of_all(), 1),
            (f"{head}+/response/+", 1),
            (f"{head}+/request/+", 1),
            (f"{head}desk/request", 1),
        )

    def parse(self, topic: str) -> Address:
        """Read a topic. Raises Undecodable with reason `topic` or `vin`, never another error.

        The same topics come again and again, so what they say is remembered; but not of long ones, which are none of ours.
        """
        address = self._known.get(topic)
        if address is None:
            address = self._parsed(topic)
            if len(topic) <= _REMEMBERED_LENGTH:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[topic] = address
        return address

    def belongs_to(self, topic: str, vin: str) -> bool:
        """Tell whether only this car may write there, also where `parse` knows no such topic."""
        return topic.startswith(f"{self._head}{vin}/")

    def kind_of(self, topic: str) -> str:
        """Return a topic with + for the car or the tool, so that those of all can be counted together."""
        levels = ["+" if is_vin(level) else level for level in topic.split("/")]
        if levels[-3:-1] == ["desk", "answer"]:
            levels[-1] = "+"
        return "/".join(levels)

    def _parsed(self, topic: str) -> Address:
        if not topic.startswith(self._head):
            raise Undecodable("topic", f"{topic[:120]!r} is not under {self.prefix!r}")
        parts = topic[len(self._head) :].split("/")
        if parts[0] == "desk":
            return Address("desk", "", "/".join(parts[1:]))
        if not is_vin(parts[0]):
            raise Undecodable("vin", f"{parts[0][:40]!r} in the topic is not a VIN")
        channel = parts[1] if len(parts) > 1 else ""
        named = channel in _NAMED
        if channel not in _CHANNELS or len(parts) != (3 if named else 2) or (named and not parts[2]):
            raise Undecodable("topic", f"{topic[:120]!r} is no topic of a car")
        return Address(channel, parts[0], parts[2] if named else "")  # type: ignore[arg-type]
