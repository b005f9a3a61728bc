"""A link with a journal: frames and connections are written down on their way between a link and its owner."""

from __future__ import annotations

from functools import partial
from zlib import crc32

from fleet.errors import LinkError, PublishRefused
from fleet.observe.journal import Closed, Down, Dropped, FrameSeen, Opened, Published, ReceivedFrame, Refused, Up
from fleet.runtime.recording import ScenarioTime, Write
from fleet.transport.link import BackOff, Delivery, Link, LinkFactory, LinkOwner, LinkSettings
from fleet.wire.dialect import TopicScheme
from fleet.wire.frame import Frame


def recorded_links(links: LinkFactory, write: Write, now: ScenarioTime, topics: TopicScheme) -> LinkFactory:
    """Return what makes the same links, and writes down what they do."""
    hidden = topics.desk_head()
    return partial(RecordedLink, links=links, write=write, now=now, hidden=hidden)


class RecordedLink:
    """A link to its owner, and the owner to the link: what goes through, either way, is written down."""

    __slots__ = ("_hidden", "_link", "_name", "_now", "_owner", "_settings", "_write")

    def __init__(
        self,
        settings: LinkSettings,
        owner: LinkOwner,
        back_off: BackOff,
        *,
        links: LinkFactory,
        write: Write,
        now: ScenarioTime,
        hidden: str,
    ) -> None:
        """Make the link within.

        Payloads on topics that begin with `hidden` may hold an S-PIN: they get no checksum, by which four digits are soon found.
        """
        self._write = write
        self._now = now
        self._hidden = hidden
        self._settings = settings
        self._owner = owner
        self._name = f"link/{settings.client_id}"
        self._link: Link = links(settings, self, back_off)

    # --- what the owner calls

    @property
    def is_up(self) -> bool:
        return self._link.is_up

    def open(self) -> None:
        settings = self._settings
        self._write(
            Opened(
                self._now(),
                self._name,
                "open",
                clean_start=settings.clean_start,
                keep_alive_s=settings.keep_alive_s,
                session_expiry_s=settings.session_expiry_s,
                subscriptions=settings.subscriptions,
                will=None if settings.will is None else self._seen(settings.will.frame, settings.will.delay_s),
            )
        )
        self._link.open()

    def publish(self, frame: Frame, token: int) -> None:
        """Publish, and write a line once the link has taken it."""
        self._link.publish(frame, token)
        payload, topic = frame.payload, frame.topic
        check = None if topic.startswith(self._hidden) else crc32(payload)
        self._write(
            Published(
                self._now(), self._name, "publish", topic, len(payload), check, token, frame.qos, frame.retain, frame.expiry_s
            )
        )

    def acknowledge(self, delivery: Delivery) -> None:
        self._link.acknowledge(delivery)

    def drop(self) -> None:
        self._write(Dropped(self._now(), self._name, "drop"))
        self._link.drop()

    async def close(self, *, end_session: bool = False, last: Frame | None = None) -> None:
        self._write(Closed(self._now(), self._name, "close", end_session, None if last is None else self._seen(last)))
        await self._link.close(end_session=end_session, last=last)

    def _seen(self, frame: Frame, delay_s: int | None = None) -> FrameSeen:
        check = None if frame.topic.startswith(self._hidden) else crc32(frame.payload)
        return FrameSeen(frame.topic, len(frame.payload), check, frame.retain, delay_s)

    # --- what the link calls

    def link_up(self, session_present: bool) -> None:
        self._write(Up(self._now(), self._name, "up", session_present))
        self._owner.link_up(session_present)

    def link_down(self, error: LinkError | None) -> None:
        reason, detail = (None, None) if error is None else (type(error).__name__, str(error))
        self._write(Down(self._now(), self._name, "down", reason, detail))
        self._owner.link_down(error)

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        """Write only what was refused: that a car's message was taken, its next input says."""
        if error is not None:
            self._write(Refused(self._now(), self._name, "refused", token, error.name))
        self._owner.link_acknowledged(token, error)

    def link_received(self, delivery: Delivery) -> None:
        """Write a line, and pass the frame on."""
        frame = delivery.frame
        payload, topic = frame.payload, frame.topic
        check = None if topic.startswith(self._hidden) else crc32(payload)
        self._write(
            ReceivedFrame(
                self._now(), self._name, "received", topic, len(payload), check, frame.qos, frame.retain, frame.duplicate
            )
        )
        self._owner.link_received(delivery)
