"""Reads a frame into the message it is and the row it will be, there or in quarantine. Keeps and decides nothing."""

from __future__ import annotations

from typing import Any, Final

from fleet.backend.quarantine import PAYLOAD_KEPT
from fleet.backend.store import Arrival, QuarantinedFrame
from fleet.cloud.twin import origin_of
from fleet.errors import Undecodable
from fleet.wire.dialect import Dialect
from fleet.wire.frame import Frame
from fleet.wire.intake import check_boot, is_storable, storable
from fleet.wire.messages import CarMessage, DeskRequest, Event, Presence, Request, Response, Status
from fleet.wire.vin import is_vin

Taken = tuple[Any, Arrival | None]
"""A message of a car and its row; or presence, what a tool asks, or nothing, and no row."""
_KINDS: Final[dict[type[CarMessage], str]] = {Event: "event", Response: "response", Request: "request"}
UNANSWERED: Final = frozenset({"answer_topic", "retained"})
"""Why a tool's request is not answered either: nobody asked it just now, or the answer would go where it does not belong."""
_LONGEST_TOPIC: Final = 200


class FrameReader:
    """Reads the frames of cars and tools."""

    def __init__(self, dialect: Dialect) -> None:
        """Take the dialect."""
        self._dialect = dialect
        self._desk_topic = dialect.topics.desk_request()
        self._answer_head = dialect.topics.desk_answer("")

    def read(self, frame: Frame, received_at: int) -> Taken:
        """Return what it says, and its row if it is counted; `received_at` is wall µs. Raises Undecodable."""
        if frame.topic == self._desk_topic:
            return self._request(frame), None
        if not frame.payload and self._dialect.topics.parse(frame.topic).channel == "presence":
            return None, None  # how a retained presence is removed from the broker
        message = self._dialect.read_from_car(frame)
        if message is None:
            return None, None
        if message.boot > received_at:
            check_boot(message.boot, received_at)
        if type(message) is Presence:
            return message, None
        if message.seq < 1:
            raise Undecodable("range", "messages are numbered from 1")
        if type(message) is Status:
            kind, name, trigger, origin = "status", None, message.trigger, origin_of(message)
        else:
            kind, name, trigger, origin = _KINDS[type(message)], message.name, None, None
        payload = self._dialect.stored_form(frame, message)
        # `_make` costs two thirds of what it costs to name the class with so many arguments.
        return message, Arrival._make((
            message.vin, message.boot, message.seq, kind, name, trigger, message.captured_at, message.due_wall_us,
            message.sent_wall_us, received_at, frame.content_type, payload, origin,
        ))  # fmt: skip

    def held(self, frame: Frame, error: Undecodable, received_at: int, *, bare: bool = False) -> QuarantinedFrame:
        """Return the row in quarantine of a frame that is no message, or could not be handled; `bare`: without its number.

        Nothing of what tools ask is kept, as there may be an S-PIN in it.
        """
        secret = frame.topic == self._desk_topic
        vin = boot = seq = None
        # Whoever may write on one car's topic must not number another car's messages.
        if not (secret or bare) and (header := self._dialect.header_of(frame)) is not None:
            vin = header.vin if is_vin(header.vin) else None
            if self._dialect.topics.belongs_to(frame.topic, header.vin):
                boot, seq = header.boot, header.seq
        return QuarantinedFrame(
            received_at=received_at,
            topic=storable(frame.topic[:_LONGEST_TOPIC]),
            reason=error.reason,
            detail=storable(error.detail[:500]),
            size=len(frame.payload),
            payload=None if secret else frame.payload[:PAYLOAD_KEPT],
            vin=vin,
            boot=boot,
            seq=seq,
        )

    def _request(self, frame: Frame) -> DeskRequest:
        """Read what a tool asks. Answers go under the tools' own topic only, never to a car's."""
        topic = frame.response_topic or ""
        wildcards = "+" in topic or "#" in topic
        fits = topic.startswith(self._answer_head) and len(topic) <= _LONGEST_TOPIC and is_storable(topic) and not wildcards
        if topic and not fits:
            raise Undecodable("answer_topic", f"answers go to topics under {self._answer_head!r} only")
        if frame.retain:
            raise Undecodable("retained", "a retained request would be asked again at every connect")
        return self._dialect.read_desk_request(frame)
