"""Asks the desk for something, as a tool does: one client, one request, the answers until the final one.

The request goes out again with each new connection, and a secret one, which no broker keeps, until there is an answer: under
one id the desk does a thing once, and answers as often as it is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import Final

from fleet.errors import ConnectionLost, FleetError, LinkError, PublishRefused, Undecodable
from fleet.runtime.access import Access
from fleet.transport.link import BackOff, Delivery, LinkSettings
from fleet.wire.dialect import Dialect, is_secret
from fleet.wire.messages import DeskAnswer, DeskRequest

FIRST_ANSWER_S: Final = 10.0
"""The desk itself answers at once; silence for this long means that there is none."""


AGAIN_S: Final = 2.0
"""How long to wait for an answer before a secret request is sent again."""


class NoAnswer(FleetError):
    """The desk, or the car behind it, said nothing in time; what was asked may still happen."""


class _Asker:
    """Owner of the link of one request."""

    def __init__(self, dialect: Dialect, request: DeskRequest, client_id: str) -> None:
        self.answers: asyncio.Queue[DeskAnswer | LinkError] = asyncio.Queue()
        self.topic = dialect.topics.desk_answer(client_id)
        self.lost: LinkError | None = None
        """Why there is no connection, when there was one."""
        self._dialect = dialect
        self._request = request
        self._was_up = False
        self._is_answered = False
        self._again: asyncio.TimerHandle | None = None

    def attach(self, access: Access, client_id: str) -> None:
        settings = LinkSettings(
            client_id=client_id,
            username="tool",
            password=access.password_for("tool"),
            clean_start=True,
            session_expiry_s=0,
            subscriptions=((self.topic, 1),),
        )
        self.link = access.tool_links()(settings, self, BackOff(lambda: 1.0))
        self.link.open()

    async def close(self) -> None:
        self._is_answered = True
        self._stop_repeating()
        await self.link.close(end_session=True)

    def link_up(self, session_present: bool) -> None:  # noqa: ARG002
        self._was_up = True
        self.lost = None
        self._send()

    def _send(self) -> None:
        self._stop_repeating()
        with contextlib.suppress(ConnectionLost):  # sent with the next connection
            self.link.publish(self._dialect.desk_request(self._request, answer_topic=self.topic), 1)
            if is_secret(self._request) and not self._is_answered:
                self._again = asyncio.get_running_loop().call_later(AGAIN_S, self._send)

    def _stop_repeating(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def link_down(self, error: LinkError | None) -> None:
        self._stop_repeating()
        if self._was_up:
            self.lost = error
        elif error is not None:
            self.answers.put_nowait(error)

    def link_acknowledged(self, token: int, error: PublishRefused | None) -> None:  # noqa: ARG002
        if error is not None:
            self.answers.put_nowait(error)

    def link_received(self, delivery: Delivery) -> None:
        self.link.acknowledge(delivery)
        try:
            answer = self._dialect.read_desk_answer(delivery.frame)
        except Undecodable:
            return  # not an answer to this request
        if answer.id == self._request.id:
            self._is_answered = True
            self._stop_repeating()
            self.answers.put_nowait(answer)


async def ask_desk(
    access: Access, request: DeskRequest, *, timeout_s: float, told: Callable[[DeskAnswer], None] = lambda _answer: None
) -> DeskAnswer:
    """Ask, tell each answer, and return the final one.

    Raises LinkError when no connection ever came about, NoAnswer when `timeout_s` wall seconds pass without an answer.
    """
    client_id = f"tool-{secrets.token_hex(8)}"
    asker = _Asker(access.dialect(), request, client_id)
    asker.attach(access, client_id)
    wait_s = FIRST_ANSWER_S
    try:
        while True:
            try:
                answer = await asyncio.wait_for(asker.answers.get(), wait_s)
            except TimeoutError:
                raise _silence(wait_s, asker.lost) from None
            if isinstance(answer, LinkError):
                raise answer
            told(answer)
            if answer.final:
                return answer
            wait_s = timeout_s
    finally:
        await asker.close()


def _silence(waited_s: float, lost: LinkError | None) -> NoAnswer:
    if lost is not None:
        return NoAnswer(f"no answer for {waited_s:g} s: {lost}", hint=f"{lost.hint} What was asked may still happen.".lstrip())
    return NoAnswer(
        f"no answer for {waited_s:g} s",
        hint="Is the back end running (fleet backend, or fleet run)? What was asked may still happen.",
    )
