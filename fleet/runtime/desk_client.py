"""The client of the desk: sends requests, again until the desk answers, and passes on the answers.

The broker keeps a request for the back end, unless it holds an S-PIN: that one goes out at QoS 0. A broker that has died keeps
nothing for a back end that is not back yet, so what it took is repeated, too. Under one id the desk does a thing once, and
answers as often as it is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from fleet.errors import ConnectionLost, LinkError, PublishRefused, Undecodable
from fleet.kernel.instants import SECOND, Instant
from fleet.runtime.unanswered import CarRequest, Kept, Unanswered
from fleet.transport.link import BackOff, Delivery, Link, LinkFactory, LinkSettings
from fleet.transport.loop_time import loop_timer
from fleet.wire.dialect import Dialect, is_secret
from fleet.wire.messages import CommandRequest, DeskAnswer, DeskRequest, EnrolCar, SetSpin

EXPIRY_S: Final = 120
"""Wall seconds for which the broker keeps a request; nobody waits for longer."""
_UNTRACKED: Final = 0
"""The token of a request that is repeated until the desk answers, whatever the broker says."""

_log = structlog.get_logger(__name__)


class WallSchedule(Protocol):
    """The time, in wall microseconds, and the call at a deadline."""

    def wall_us(self) -> Instant:
        """Return the time."""
        ...

    def rearm(self) -> None:
        """Look at the deadline of the client: it may have changed."""
        ...

    def rearm_repeats(self) -> None:
        """Look at the deadline of its repeats, which is apart: as a rule an answer comes first, and nothing is to be done."""
        ...


class DeskClient:
    """One connection to the desk; owner of its link.

    Its owner is called back: `answered` with each answer, `up` and `down` with the connection (and why it ended; None: closed),
    and `refused` when the broker takes no request.
    """

    def __init__(
        self,
        links: LinkFactory,
        dialect: Dialect,
        *,
        client_id: str,
        password: str | None,
        back_off: BackOff,
        answered: Callable[[DeskAnswer], None],
        up: Callable[[], None],
        down: Callable[[LinkError | None], None],
        refused: Callable[[PublishRefused], None] | None = None,
        schedule: WallSchedule | None = None,
        clean_start: bool = False,
        session_expiry_s: int = 3600,
        receive_maximum: int = 1024,
    ) -> None:
        """Take how to connect. Without a session (`session_expiry_s` 0) an answer may get lost with a connection, and whatever
        has no final answer is asked again with the next one. By `schedule` the owner brings the time, and calls `wake` at the
        deadline; otherwise it is the event loop's.
        """
        self._dialect = dialect
        self._topic = dialect.topics.desk_answer(client_id)
        self._answered = answered
        self._up = up
        self._down = down
        self._refused = refused
        self._has_session = session_expiry_s > 0
        self._token = _UNTRACKED
        self._unsent: dict[int, DeskRequest] = {}
        """Requests that the broker has not acknowledged."""
        self._unsent_ids: Counter[str] = Counter()
        self._open: dict[str, DeskRequest] = {}
        """Without a session, requests that have no final answer."""
        self._unanswered = Unanswered(self._send)
        self._kept = Kept(self._send_again)
        self._schedule = schedule or _LoopSchedule(self)
        settings = LinkSettings(
            client_id=client_id,
            username="tool",
            password=password,
            clean_start=clean_start,
            session_expiry_s=session_expiry_s,
            receive_maximum=receive_maximum,
            subscriptions=((self._topic, 1),),
        )
        self.link: Link = links(settings, self, back_off)

    @property
    def given_up(self) -> int:
        """How many requests the desk did not answer for two minutes."""
        return self._unanswered.given_up + self._kept.given_up

    async def close(self) -> None:
        """Let go of all requests, and disconnect."""
        self._let_go()
        await self.link.close(end_session=True)

    def ask(self, request: DeskRequest, *, in_turn: bool | None = None) -> None:
        """Send a request now, or as soon as there is a connection.

        `in_turn`: after everything that was asked in turn about the same car before. Unless it is given, enrolments, settings of
        an S-PIN and commands with one are.
        """
        if not self._has_session:
            self._open[request.id] = request
        if isinstance(request, EnrolCar | SetSpin) or (
            isinstance(request, CommandRequest) and (is_secret(request) if in_turn is None else in_turn)
        ):
            self._unanswered.ask(request, self._schedule.wall_us())
            self._schedule.rearm()
        else:
            self._publish(request)

    def deadline(self) -> Instant | None:
        """Return when a request is due to be sent again."""
        return self._unanswered.deadline()

    def wake(self, now_us: Instant) -> None:
        """Send the requests again that are due."""
        self._unanswered.wake(now_us)

    def repeat_deadline(self) -> Instant | None:
        """Return when a request that the broker keeps is due to be sent again."""
        return self._kept.deadline()

    def repeat(self, now_us: Instant) -> None:
        """Send those again that are due."""
        self._kept.wake(now_us)

    def _send(self, request: CarRequest) -> None:
        if not is_secret(request):
            self._publish(request)
        elif self.link.is_up:
            self._transmit(_UNTRACKED, request)

    def _send_again(self, request: DeskRequest) -> None:
        """Send it again, unless the broker has not even acknowledged it: then the link sees to it."""
        if self.link.is_up and not self._unsent_ids[request.id]:
            self._publish(request)

    def _follow(self, request: DeskRequest) -> None:
        self._kept.follow(request, self._schedule.wall_us())
        self._schedule.rearm_repeats()

    def _publish(self, request: DeskRequest) -> None:
        if is_secret(request):  # at QoS 0 nobody acknowledges it; it goes out again until it is answered
            self._follow(request)
            if self.link.is_up:
                self._transmit(_UNTRACKED, request)
            return
        self._token += 1
        self._unsent[self._token] = request
        self._unsent_ids[request.id] += 1
        self._follow(request)
        if self.link.is_up:
            self._transmit(self._token, request)

    def _transmit(self, token: int, request: DeskRequest) -> None:
        with contextlib.suppress(ConnectionLost):  # it goes out when the link is up again
            self.link.publish(self._dialect.desk_request(request, answer_topic=self._topic, expiry_s=EXPIRY_S), token)

    # --- LinkOwner

    def link_up(self, session_present: bool) -> None:  # noqa: ARG002
        """Send again what may have got lost with the connection before."""
        self._up()
        unsent = list(self._unsent.items())
        for token, request in unsent:
            self._transmit(token, request)
            self._follow(request)
        if self._has_session:
            self._unanswered.send_all()
            return
        sent = {request.id for _, request in unsent}
        for request in self._open.values():
            if request.id not in sent:
                self._transmit(_UNTRACKED, request)

    def link_down(self, error: LinkError | None) -> None:
        if error is None:
            self._let_go()
        self._down(error)

    def _let_go(self) -> None:
        self._unanswered.clear()
        self._kept.clear()
        self._schedule.rearm()
        self._schedule.rearm_repeats()

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:
        request = self._unsent.pop(token, None)
        if request is not None:
            self._unsent_ids[request.id] -= 1
        if error is not None:
            _log.warning("a request to the desk was refused", error=str(error), hint=error.hint)
            if self._refused is not None:
                self._refused(error)

    def link_received(self, delivery: Delivery) -> None:
        """Pass on an answer; one that cannot be read is acknowledged and logged."""
        self.link.acknowledge(delivery)
        try:
            answer = self._dialect.read_desk_answer(delivery.frame)
        except Undecodable as error:
            _log.warning("an answer of the desk cannot be read", reason=error.reason)
            return
        self._kept.answered(answer.id)
        self._unanswered.answered(answer.id, self._schedule.wall_us())
        self._schedule.rearm()
        self._schedule.rearm_repeats()
        if answer.final:
            self._open.pop(answer.id, None)
        self._answered(answer)


class _LoopSchedule:
    """The event loop's time."""

    def __init__(self, client: DeskClient) -> None:
        self._client = client
        self._timer = loop_timer(client.deadline, self._wake)
        self._repeats = loop_timer(client.repeat_deadline, self._repeat, keeps_early=True)

    def wall_us(self) -> Instant:
        return round(asyncio.get_running_loop().time() * SECOND)

    def rearm(self) -> None:
        self._timer.rearm()

    def rearm_repeats(self) -> None:
        self._repeats.rearm()

    def _wake(self) -> None:
        self._client.wake(self.wall_us() + 1)  # the loop rounds
        self._timer.rearm()

    def _repeat(self) -> None:
        self._client.repeat(self.wall_us() + 1)
        self._repeats.rearm()
