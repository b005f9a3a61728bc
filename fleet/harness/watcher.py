"""Sees all that cars send, as a back end would: through the broker, decoded. Also asks the desk, as users do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Container, Sequence
from typing import Final, TypeVar

from fleet.errors import ConnectionLost, LinkError, PublishRefused, Undecodable
from fleet.runtime.desk_client import DeskClient
from fleet.transport.link import BackOff, Delivery, Link, LinkFactory, LinkSettings
from fleet.wire.dialect import Dialect
from fleet.wire.frame import Frame
from fleet.wire.messages import (
    TERMINAL_STATES,
    CarMessage,
    DeskAnswer,
    DeskRequest,
    FromCar,
    Presence,
    Response,
)

T = TypeVar("T")
BARRIER_S: Final = 1.0
"""Wall time after which a barrier is given up: the broker is paused or gone."""


class _Client:
    """A client of the broker that connects by itself; owner of its link."""

    def __init__(
        self, links: LinkFactory, *, user: str, password: str | None, client_id: str, subscriptions: tuple[tuple[str, int], ...]
    ) -> None:
        self.seen = 0
        self.refusal: LinkError | None = None
        settings = LinkSettings(
            client_id=client_id, username=user, password=password, clean_start=True, session_expiry_s=3600,
            receive_maximum=4_000, subscriptions=subscriptions,
        )  # fmt: skip
        self.link: Link = links(settings, self, BackOff(lambda: 0.5, first_s=0.1, cap_s=0.5))

    def link_up(self, session_present: bool) -> None:  # noqa: ARG002
        self.refusal = None

    def link_down(self, error: LinkError | None) -> None:
        self.refusal = error

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        """Ignore it: a refused publish shows by an answer that does not come."""

    def link_received(self, delivery: Delivery) -> None:
        self.link.acknowledge(delivery)
        self._take(delivery.frame)

    def _take(self, frame: Frame) -> None:
        raise NotImplementedError


class Watcher(_Client):
    """Reads all that cars send, as a back end may. Duplicates are left out, as a back end does it."""

    def __init__(self, links: LinkFactory, dialect: Dialect, *, password: str | None, name: str) -> None:
        """Take how to connect; `name` tells it from others."""
        client_id = f"watcher-{name}"
        self._dialect = dialect
        self._barrier_topic = dialect.topics.desk_answer(client_id)
        self.messages: dict[str, list[CarMessage]] = {}
        self.presences: dict[str, list[Presence]] = {}
        self.ended: set[str] = set()
        """Commands that cars have ended, by id."""
        self._known: set[tuple[str, int, int]] = set()
        self._barriers: dict[bytes, asyncio.Event] = {}
        self._barrier_count = 0
        of_cars = [pair for pair in dialect.topics.backend_subscriptions() if pair[0] != dialect.topics.desk_request()]
        filters = (*of_cars, (self._barrier_topic, 1))
        super().__init__(links, user="backend", password=password, client_id=client_id, subscriptions=filters)

    async def barrier(self) -> bool:
        """Wait until what the broker took before has come here, and tell whether it has; at once without a connection."""
        self._barrier_count += 1
        word = b"barrier %d" % self._barrier_count
        passed = self._barriers[word] = asyncio.Event()
        with contextlib.suppress(ConnectionLost, TimeoutError):
            self.link.publish(Frame(topic=self._barrier_topic, payload=word), 1)
            async with asyncio.timeout(BARRIER_S):
                await passed.wait()
        del self._barriers[word]
        return passed.is_set()

    def _take(self, frame: Frame) -> None:
        if frame.topic == self._barrier_topic:
            if (passed := self._barriers.get(frame.payload)) is not None:
                passed.set()
        elif frame.payload:  # an empty one removes a presence from the broker
            with contextlib.suppress(Undecodable):  # what strangers write is a back end's affair
                self._heard(self._dialect.read_from_car(frame))

    def _heard(self, message: FromCar | None) -> None:
        self.seen += 1
        if message is None:
            return
        if isinstance(message, Presence):
            self.presences.setdefault(message.vin, []).append(message)
            return
        key = (message.vin, message.boot, message.seq)
        if key not in self._known:
            self._known.add(key)
            if isinstance(message, Response) and message.state in TERMINAL_STATES:
                self.ended.add(message.command_id)
            self.messages.setdefault(message.vin, []).append(message)


class Asker:
    """Asks the desk, as a tool does; answers are kept by request."""

    def __init__(self, links: LinkFactory, dialect: Dialect, *, password: str | None, name: str) -> None:
        """Take how to connect; `name` tells it from others."""
        self.seen = 0
        self.refusal: LinkError | None = None
        self.answers: dict[str, list[DeskAnswer]] = {}
        self._open: set[str] = set()
        self._desk = DeskClient(
            links, dialect, client_id=f"users-{name}", password=password, back_off=BackOff(lambda: 0.5, first_s=0.1, cap_s=0.5),
            answered=self._take, up=self._up, down=self._down, clean_start=True, receive_maximum=4_000,
        )  # fmt: skip

    @property
    def link(self) -> Link:
        return self._desk.link

    def ask(self, request: DeskRequest) -> None:
        """Send now, or as soon as there is a connection."""
        self.answers[request.id] = []
        self._open.add(request.id)
        self._desk.ask(request)

    def waits_for_desk(self, ended: Container[str]) -> bool:
        """Whether the desk is about to say something: to what was just asked, or that a car has `ended` a command."""
        return any(
            not answers or answers[-1].state == "queued" or request_id in ended
            for request_id in self._open
            for answers in (self.answers[request_id],)
        )

    def _up(self) -> None:
        self.refusal = None

    def _down(self, error: LinkError | None) -> None:
        self.refusal = error

    def _take(self, answer: DeskAnswer) -> None:
        self.seen += 1
        self.answers.setdefault(answer.id, []).append(answer)
        if answer.final:
            self._open.discard(answer.id)


def first_from(messages: Sequence[T], begin: int, fits: Callable[[T], bool]) -> int | None:
    """Return the place of the first message from `begin` on that fits."""
    return next((place for place in range(begin, len(messages)) if fits(messages[place])), None)
