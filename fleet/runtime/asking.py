"""Asks the desk for something, as a tool does: one client, one request, the answers until the final one.

The request goes out again with each new connection, and a secret one, which no broker keeps, until there is an answer: under
one id the desk does a thing once, and answers as often as it is asked.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from fleet.errors import FleetError, LinkError
from fleet.runtime.access import Access
from fleet.runtime.desk_client import DeskClient
from fleet.transport.link import BackOff
from fleet.wire.messages import DeskAnswer, DeskRequest

FIRST_ANSWER_S: Final = 10.0
"""The desk itself answers at once; silence for this long means that there is none."""


class NoAnswer(FleetError):
    """The desk, or the car behind it, said nothing in time; what was asked may still happen."""


class _Asker:
    """Asks one request, and keeps the answers."""

    def __init__(self, access: Access, request: DeskRequest) -> None:
        self.answers: asyncio.Queue[DeskAnswer | LinkError] = asyncio.Queue()
        self.lost: LinkError | None = None
        """Why there is no connection, when there was one."""
        self._request = request
        self._was_up = False
        self._desk = DeskClient(
            access.tool_links(), access.dialect(), client_id=f"tool-{secrets.token_hex(8)}",
            password=access.password_for("tool"), back_off=BackOff(lambda: 1.0), answered=self._take, up=self._up,
            down=self._down, refused=self.answers.put_nowait, clean_start=True,
            session_expiry_s=0,
        )  # fmt: skip
        self._desk.ask(request)
        self._desk.link.open()

    async def close(self) -> None:
        await self._desk.close()

    def _up(self) -> None:
        self._was_up = True
        self.lost = None

    def _down(self, error: LinkError | None) -> None:
        if self._was_up:
            self.lost = error
        elif error is not None:
            self.answers.put_nowait(error)

    def _take(self, answer: DeskAnswer) -> None:
        if answer.id == self._request.id:
            self.answers.put_nowait(answer)


async def ask_desk(
    access: Access, request: DeskRequest, *, timeout_s: float, told: Callable[[DeskAnswer], None] = lambda _answer: None
) -> DeskAnswer:
    """Ask, tell each answer, and return the final one.

    Raises LinkError when no connection ever came about, NoAnswer when `timeout_s` wall seconds pass without an answer.
    """
    asker = _Asker(access, request)
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
