"""A car's end of the dialect of COVESA: it answers VISS requests that come over MQTT, and writes all else as the dialect does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from fleet.dialects.vss.filters import VissError
from fleet.dialects.vss.services import ACTIONS, VissServices
from fleet.dialects.vss.viss import Answer, Outcome, VissServer, read_asked
from fleet.errors import Undecodable
from fleet.kernel.instants import Instant
from fleet.wire.dialect import ANSWER_OF_USE_S, CarFacts, Heard
from fleet.wire.frame import Frame
from fleet.wire.messages import Event, FromCar, Presence, Response, Status, ToCar

MOST_BYTES: Final = 16 * 1024
"""Of a request."""
LONGEST_TOPIC: Final = 200
"""Characters of the topic that a request names for its answers."""
REQUESTS: Final = "Vehicle"
"""The last level of the topic of requests, behind the VIN."""


class Plain(Protocol):
    """The dialect, as it writes and reads what is one frame a message."""

    @property
    def content_type(self) -> str: ...
    def from_car(self, message: FromCar) -> Frame: ...
    def read_to_car(self, frame: Frame) -> ToCar: ...
    def car_subscriptions(self, vin: str) -> tuple[tuple[str, int], ...]: ...
    def presence_topic(self, vin: str) -> str: ...
    def is_own(self, topic: str) -> bool: ...


class VssEnd:
    """One car. What it answers and tells by VISS is in no account, and goes out when the message that caused it has."""

    def __init__(self, car: CarFacts, snapshot: Callable[[], Status], plain: Plain, token: str | None = None) -> None:
        """With a `token` each VISS request must bear it."""
        self._vin = car.vin
        self._plain = plain
        self._server = VissServer(car.vin, car.model, snapshot, token=token)
        self._services = VissServices(car.vin)
        self._ready: list[Frame] = []
        self._ready_at: Instant = 0

    @property
    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """The filters of the car: those of our own cloud, and the topic of VISS requests, which some begin with a slash."""
        viss = f"{self._vin}/{REQUESTS}"
        return (*self._plain.car_subscriptions(self._vin), (viss, 1), (f"/{viss}", 1))

    def will(self, presence: Presence) -> Frame | None:
        """Return the presence that says offline."""
        return self._plain.from_car(presence)

    def connected(self, now: Instant) -> Sequence[Frame]:  # noqa: ARG002
        """Return nothing: subscriptions go on, and the presence follows."""
        return ()

    def write(self, message: FromCar, now: Instant) -> Sequence[Frame]:
        """Write a message, and get ready what VISS clients are told of it."""
        if isinstance(message, Response):
            self._prepare(self._server.answered(message, now), now)
            self._prepare(self._services.answered(message, now), now)
        elif isinstance(message, Event):
            self._prepare(self._services.happened(message, now), now)
        if isinstance(message, Status | Event):
            self._prepare(self._server.changed(now), now)
        return (self._plain.from_car(message),)

    def clear(self) -> Sequence[Frame]:
        """Return the empty retained presence."""
        return (Frame(topic=self._plain.presence_topic(self._vin), payload=b"", retain=True),)

    # --- requests

    def read(self, frame: Frame, now: Instant) -> Heard:
        """Read a VISS request, or a message of our own cloud. Raises Undecodable."""
        if frame.topic.removeprefix("/") != f"{self._vin}/{REQUESTS}":
            return Heard((self._plain.read_to_car(frame),))
        if frame.retain:
            raise Undecodable("retained", "a retained request is refused: it would be done again at every connect")
        topic, request = self._read_envelope(frame.payload)
        outcome = self._take(topic, request, now)
        return Heard(outcome.commands, tuple(map(self._frame, outcome.answers)))

    def _take(self, topic: str, request: Any, now: Instant) -> Outcome:
        if not isinstance(request, Mapping) or request.get("action") not in ACTIONS:
            return self._server.request(topic, request, now)
        try:
            self._server.authorize(request)
        except VissError as error:
            return Outcome((read_asked(topic, request).error(now, error, status="FAILED"),))
        return self._services.request(topic, request, now)

    def _read_envelope(self, payload: bytes) -> tuple[str, Any]:
        """Return topic and request: a text of JSON as the specification says, or an object as its reference client sends it."""
        if len(payload) > MOST_BYTES:
            raise Undecodable("size", f"{len(payload)} bytes are more than {MOST_BYTES}")
        envelope = _decoded(payload)
        topic, request = (envelope.get("topic"), envelope.get("request")) if isinstance(envelope, dict) else (None, None)
        if not isinstance(topic, str) or not self._is_answer_topic(topic):
            raise Undecodable("topic", f"{str(topic)[:120]!r} is no topic for answers of a car")
        if isinstance(request, str):
            try:
                request = _decoded(request.encode())
            except Undecodable:
                request = None  # its sender gets to know that it is malformed
        return topic, request

    def _is_answer_topic(self, topic: str) -> bool:
        """Tell whether answers may go there: not where they would mean something, as if the car had said it."""
        if not topic or len(topic) > LONGEST_TOPIC or any(sign in topic for sign in "+#\0") or topic.startswith("$"):
            return False
        return topic.rsplit("/", 1)[-1] != REQUESTS and not self._plain.is_own(topic)

    # --- by itself

    def deadline(self) -> Instant | None:
        """Return when answers are ready, or an event of a subscription is due."""
        if self._ready:
            return self._ready_at
        due = [at for at in (self._server.deadline(), self._services.deadline()) if at is not None]
        return min(due, default=None)

    def wake(self, now: Instant) -> Sequence[Frame]:
        """Return what is ready, and the events that are due."""
        frames, self._ready = self._ready, []
        return [*frames, *map(self._frame, self._server.wake(now)), *map(self._frame, self._services.wake(now))]

    def _frame(self, answer: Answer) -> Frame:
        payload = msgspec.json.encode(answer.body)
        return Frame(topic=answer.topic, payload=payload, content_type=self._plain.content_type, expiry_s=ANSWER_OF_USE_S)

    def _prepare(self, answers: Iterable[Answer], now: Instant) -> None:
        frames = [self._frame(answer) for answer in answers]
        if frames and not self._ready:
            self._ready_at = now
        self._ready += frames


def _decoded(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable("encoding", f"{len(payload)} bytes are no JSON: {error}") from None
