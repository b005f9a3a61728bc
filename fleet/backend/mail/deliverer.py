"""Delivers the outbox: takes letters once they are committed, tries them on their ways, and has the outcome stored.

A letter whose receiver could not tell a repetition is noted as `sending` before it leaves our hands, and afterwards how it
ended. A kill between the two leaves it `unknown`: it may have arrived, so it is sent again only when a person asks for that.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Final

import structlog

from fleet.backend.context import BackendContext
from fleet.backend.decisions import MailPosted
from fleet.backend.mail.letter import CHANNELS, Letter, NotDelivered, Way, is_about
from fleet.backend.store import Loaded, StoredMail
from fleet.cloud.desk import LONGEST_ID
from fleet.cloud.dispatcher import (
    HELD,
    BeginTry,
    Dispatcher,
    DispatcherInput,
    DispatcherOutput,
    FetchMore,
    MailForgotten,
    MailNoted,
    MailWaits,
    Patience,
    TryEnded,
)
from fleet.cloud.rule import Erase, Mail
from fleet.errors import StoreError, error_place
from fleet.kernel.deadline_timer import DeadlineTimer
from fleet.kernel.instants import SECOND, Cancellable, Instant
from fleet.wire.messages import CommandState, DeskAnswer, ServiceRequest

SERVICE: Final = "mail"
"""The service that tools ask."""
NOTE_S: Final = 30.0
"""Wall seconds that a letter waits for its note before it leaves; then it stays."""
_FETCH_AGAIN_S: Final = 30.0
_LONGEST_WAIT_S: Final = 3600.0
_INTERRUPTED: Final = "the back end ended while it was being sent: it may have arrived"
_UNFORESEEN: Final = "the try failed in a way that nobody foresaw; the log of the back end tells where"
_AGAIN: Final = frozenset({"failed", "unknown"})
"""States from which a person can have a letter sent again."""

_log = structlog.get_logger(__name__)


class MailDeliverer:
    """The outbox in an event loop. Without a way for a channel its letters are kept, and delivered nowhere."""

    def __init__(
        self, context: BackendContext, loaded: Loaded, ways: Mapping[str, Way], patience: Patience | None = None
    ) -> None:
        """Take the outbox up where the store left it."""
        self._context = context
        self._ways = ways
        self._dispatcher = Dispatcher(patience)
        self._timer = DeadlineTimer(self._call_at, self._dispatcher.deadline, self._wake, longest_wait_s=_LONGEST_WAIT_S)
        self._posting: dict[int, Letter] = {}
        self._letters: dict[int, Letter] = {}
        self._tries: dict[int, int] = {}
        self._unstored: dict[int, MailNoted] = {}
        self._leaving: dict[int, asyncio.Future[None]] = {}
        self._has_left: set[int] = set()
        self._is_stopping = self._is_over = False
        self._quiet = asyncio.Event()
        self.counts: Counter[str] = Counter()
        """Letters that came to an end since the start, by state."""
        self._take_up(loaded)

    def _take_up(self, loaded: Loaded) -> None:
        self._next_id = loaded.last_mail_id + 1
        self._interrupted = [
            (mail_id, tries)
            for mail_id, tries in loaded.mails_sending
            if not (self._dispatcher.holds(mail_id) or mail_id in self._unstored)
        ]

    def start(self) -> None:
        """Go on with the letters that wait, and note those of which nobody can tell any more."""
        for mail_id, tries in self._interrupted:
            self._note(MailNoted(mail_id, "unknown", tries, error=_INTERRUPTED))
        for channel in CHANNELS:
            if channel in self._ways:
                self._fetch(channel)

    def begin_anew(self, loaded: Loaded) -> None:
        """Begin from the store in the middle of the run: letters that it does not hold have not been; outcomes are told again."""
        self._take_up(loaded)
        self._posting.clear()
        for leaving in self._leaving.values():
            leaving.cancel()
        for noted in list(self._unstored.values()):
            self._write(noted)
        self.start()

    @property
    def is_idle(self) -> bool:
        """True while nothing is being tried."""
        return not self._tries

    async def stop(self, limit_s: float) -> None:
        """Begin nothing more, and let what is being tried come to its end, for at most so long."""
        self._is_stopping = True
        self._timer.cancel()
        if not self.is_idle:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), limit_s)
        self._is_over = True

    def close(self) -> None:
        """Stop the timer. What is still being tried stays as it was noted; no thread keeps the process from ending."""
        self._is_stopping = self._is_over = True
        self._timer.cancel()
        for leaving in self._leaving.values():
            leaving.cancel()

    # --- letters

    def post(self, mail: Mail) -> None:
        """Put a letter into the outbox with the batch of what caused it."""
        made = self._context.wall_us()
        letter = Letter(
            self._next_id, mail.account, mail.address, mail.language, mail.kind, mail.data, mail.vin, mail.channel, mail.at, made,
            mail.secret,
        )  # fmt: skip
        self._next_id += 1
        if letter.channel in self._ways:
            self._post(letter, MailPosted(letter, "waiting"), made)
        else:
            self._context.write(MailPosted(letter, "kept"))
            self._context.pending.stored.append(partial(self._count, "kept"))

    def forget(self, is_erased: Callable[[Letter], bool]) -> None:
        """Send letters no more that were erased from the store; what is being tried just now may still arrive."""
        for letter in [letter for letter in self._posting.values() if is_erased(letter)]:
            del self._posting[letter.id]
        for letter in [letter for letter in self._letters.values() if is_erased(letter)]:
            del self._letters[letter.id]
            self._give(MailForgotten(letter.id))

    def erase(self, erased: Erase) -> None:
        """Send letters to or about what is erased no more; once that is committed, remove their files as well."""
        written = self._context.store.mails_of(erased)
        self._context.pending.stored.append(partial(self._remove, written))
        self.forget(lambda letter: is_about(letter, erased))

    def _remove(self, letters: Sequence[Letter]) -> None:
        for letter in letters:
            if (way := self._ways.get(letter.channel)) is not None:
                way.remove(letter)

    def ask(self, request: ServiceRequest, answer_topic: str, now: Instant) -> None:
        """Take what a tool asks: to send a letter again (`retry`, `id`)."""
        mail_id = request.data.get("id")
        if request.action != "retry":
            refused: str | None = "mails can be asked to: retry"
        elif not isinstance(mail_id, int) or isinstance(mail_id, bool):
            refused = "which mail? its number is missing"
        else:
            refused = self._retry(mail_id)
        state: CommandState = "succeeded" if refused is None else "rejected"
        reason = None if refused is None else "not_sendable"
        self._context.answer(
            answer_topic, DeskAnswer(id=request.id[:LONGEST_ID], state=state, reason=reason, detail=refused, final=True, at=now)
        )

    def _retry(self, mail_id: int) -> str | None:
        """Have a letter sent again that has failed, or may not have arrived; return why not, in words."""
        stored = self._context.store.find_mail(mail_id)
        if stored is None:
            return f"there is no mail {mail_id}"
        if stored.state not in _AGAIN or mail_id in self._unstored or mail_id in self._posting:
            return f"it is {stored.state}; only what has failed or is unknown can be sent again"
        if stored.letter.channel not in self._ways:
            return f"nothing is delivered on the channel {stored.letter.channel}"
        now_us = self._context.wall_us()
        self._post(stored.letter, MailNoted(mail_id, "waiting", 0, now_us), now_us)
        self._context.changed()
        return None

    def _post(self, letter: Letter, write: MailPosted | MailNoted, since: Instant) -> None:
        """Have it stored that a letter waits, and then try it."""
        self._posting[letter.id] = letter
        self._context.write(write)
        self._context.pending.stored.append(partial(self._posted, letter.id, since))

    def _posted(self, mail_id: int, since: Instant) -> None:
        letter = self._posting.pop(mail_id, None)
        if letter is not None:  # it was not erased since
            self._hold(letter, MailWaits(mail_id, letter.channel, since, since))

    def _hold(self, letter: Letter, waits: MailWaits) -> None:
        self._letters[letter.id] = letter
        self._give(waits)
        if not self._dispatcher.holds(letter.id):
            self._letters.pop(letter.id, None)  # it waits in the store until there is room

    def _fetch(self, channel: str) -> None:
        """Take waiting letters from the store, as many as can be held and one more, by which it is known that there are more."""
        try:
            found = self._context.store.waiting_mails(channel, HELD + 1)
        except StoreError as error:
            self._context.warn(f"the outbox cannot be read: {error}")
            asyncio.get_running_loop().call_later(_FETCH_AGAIN_S, self._fetch, channel)
            return
        for stored in found:
            self._take(stored)

    def _take(self, stored: StoredMail) -> None:
        letter = stored.letter
        if letter.id not in self._unstored and not self._dispatcher.holds(letter.id):
            self._hold(letter, MailWaits(letter.id, letter.channel, letter.made, stored.due, stored.tries))

    # --- the dispatcher

    def _call_at(self, at: Instant, callback: Callable[[], object], not_before_s: float, not_after_s: float) -> Cancellable:
        wait_s = (at - self._context.wall_us()) / SECOND
        return asyncio.get_running_loop().call_later(min(max(wait_s, not_before_s), not_after_s), callback)

    def _wake(self) -> None:
        self._perform(self._dispatcher.wake(self._context.wall_us()))

    def _give(self, message: DispatcherInput) -> None:
        self._perform(self._dispatcher.receive(message, self._context.wall_us()))

    def _perform(self, outputs: Sequence[DispatcherOutput]) -> None:
        for output in outputs:
            match output:
                case BeginTry(id=mail_id, number=number):
                    self._begin(mail_id, number)
                case MailNoted():
                    self._note(output)
                case FetchMore(channel=channel):
                    self._fetch(channel)
        if not self._is_stopping:
            self._timer.rearm()

    # --- tries

    def _begin(self, mail_id: int, number: int) -> None:
        if self._is_stopping:
            return  # it waits in the store for the next back end
        self._tries[mail_id] = number
        letter = self._letters[mail_id]
        way, loop = self._ways[letter.channel], asyncio.get_running_loop()
        if way.is_quick:
            loop.call_soon(lambda: self._tried(mail_id, _outcome_of(way, letter, _stays)))
            return

        def run() -> None:
            ended = _outcome_of(way, letter, partial(self._hand_over, mail_id, loop))
            with suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
                loop.call_soon_threadsafe(self._tried, mail_id, ended)

        # A daemon, unlike the threads of an executor: a server that does not answer must not hold up the end of the process.
        Thread(target=run, name=f"fleet-mail-{mail_id}", daemon=True).start()

    def _hand_over(self, mail_id: int, loop: asyncio.AbstractEventLoop) -> None:
        """Wait, in the thread of a way, until it is stored that a letter leaves. Raises NotDelivered when it must stay."""
        noted = asyncio.run_coroutine_threadsafe(self._note_leaving(mail_id), loop)
        try:
            noted.result(NOTE_S)
        except Exception as error:  # noqa: BLE001 (whatever it is, the letter stays)
            noted.cancel()
            raise NotDelivered("deferred", f"the store could not note that it leaves: {type(error).__name__}") from None

    async def _note_leaving(self, mail_id: int) -> None:
        if self._is_over:
            raise asyncio.CancelledError
        leaving = self._leaving[mail_id] = asyncio.get_running_loop().create_future()
        try:
            self._context.write(MailNoted(mail_id, "sending", self._tries[mail_id]))
            self._context.pending.stored.append(partial(_set, leaving))
            self._context.changed()
            await leaving
            self._has_left.add(mail_id)
        finally:
            del self._leaving[mail_id]

    def _tried(self, mail_id: int, ended: TryEnded | None) -> None:
        """Pass on the end of a try; None for one that nobody foresaw."""
        del self._tries[mail_id]
        has_left = mail_id in self._has_left
        self._has_left.discard(mail_id)
        self._give(ended or TryEnded(mail_id, "unknown" if has_left else "deferred", _UNFORESEEN))
        if self.is_idle:
            self._quiet.set()

    # --- outcomes

    def _note(self, noted: MailNoted) -> None:
        if noted.state != "waiting":
            letter = self._letters.pop(noted.id, None)
            self._count(noted.state)
            if noted.state != "sent":
                kind = "" if letter is None else f" ({letter.kind})"
                self._context.warn(f"mail {noted.id}{kind} is {noted.state}; fleet mail show {noted.id} tells why")
        self._write(noted)

    def _count(self, state: str) -> None:
        self.counts[state] += 1

    def _write(self, noted: MailNoted) -> None:
        """Have it stored, and remember it until it is: a batch can be undone, what has happened cannot."""
        self._unstored[noted.id] = noted
        self._context.write(noted)
        self._context.pending.stored.append(partial(self._stored, noted))
        self._context.changed()

    def _stored(self, noted: MailNoted) -> None:
        if self._unstored.get(noted.id) is noted:
            del self._unstored[noted.id]


def _outcome_of(way: Way, letter: Letter, hand_over: Callable[[], None]) -> TryEnded | None:
    """Have a letter delivered, and return how that ended; None for an end that no way foresees. In any thread."""
    try:
        way.deliver(letter, hand_over)
    except NotDelivered as error:
        return TryEnded(letter.id, error.outcome, error.detail)
    except Exception as error:  # noqa: BLE001 (one letter must not stop the others)
        # Only the kind of error: its text could show what the letter says.
        _log.error("a mail could not be tried", id=letter.id, kind=letter.kind, error=error_place(error))
        return None
    return TryEnded(letter.id, "sent")


def _stays() -> None:
    raise NotDelivered("deferred", "a way that is quick hands nothing over")


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
