"""Decides which mails of the outbox are tried now, which later, and which never again. Pure; its times are wall µs.

Each channel (mails, pushes) has a way of its own, with few tries under way at once. A server that cannot be reached pauses the
whole channel, and then one mail after the other looks whether it is back. All figures are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final, Literal, assert_never

from fleet.kernel.instants import DAY, MINUTE, SECOND, Duration, Instant

Outcome = Literal["sent", "refused", "deferred", "unreachable", "unknown"]
"""Ends of a try: taken; not taken, and never will be; not taken this time; nobody there; given away, and nobody said taken."""
MailState = Literal["waiting", "sending", "sent", "failed", "unknown", "kept"]
"""States of a mail. `sending` is noted when it leaves our hands; `unknown`: it may have arrived; `kept`: it goes nowhere."""
HELD: Final = 1_000
"""Waiting mails of a channel that are held in memory; the others wait in the store alone."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long tries go on: pauses double from the first to the longest. After `tries`, or at `age`, a mail has failed."""

    first: Duration = 10 * SECOND
    longest: Duration = 30 * MINUTE
    tries: int = 20
    age: Duration = 2 * DAY
    at_once: int = 4
    """Tries of a channel under way at the same time."""

    def pause(self, failures: int) -> Duration:
        """Return how long to wait after so many failures in a row."""
        return min(self.first << min(failures - 1, 32), self.longest)


# --- inputs


@dataclass(frozen=True, slots=True)
class MailWaits:
    """A mail waits in the outbox since `made`, to be tried at `due`; it was tried `tries` times."""

    id: int
    channel: str
    made: Instant
    due: Instant
    tries: int = 0


@dataclass(frozen=True, slots=True)
class TryEnded:
    """A try that was begun has ended. `detail` says why, in words."""

    id: int
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MailForgotten:
    """A mail is not to be sent any more: it was erased."""

    id: int


DispatcherInput = MailWaits | TryEnded | MailForgotten

# --- outputs


@dataclass(frozen=True, slots=True)
class BeginTry:
    """To be tried now, for the `number`th time."""

    id: int
    number: int


@dataclass(frozen=True, slots=True)
class MailNoted:
    """To be stored: how a mail stands. A waiting one is due again at `due`; `error` says why it has not gone."""

    id: int
    state: MailState
    tries: int
    due: Instant = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class FetchMore:
    """There is room for waiting mails of a channel that are in the store alone."""

    channel: str


DispatcherOutput = BeginTry | MailNoted | FetchMore


class _Channel:
    """The mails of one way that wait for a try."""

    def __init__(self) -> None:
        self.heap: list[tuple[Instant, int]] = []
        self.under_way = 0
        self.failures = 0
        self.paused_until: Instant = 0
        self.has_more = False

    def slots(self, patience: Patience) -> int:
        """How many more tries may begin; one alone looks whether a server is back."""
        return (1 if self.failures else patience.at_once) - self.under_way


class Dispatcher:
    """A `Machine` of `DispatcherInput` and `DispatcherOutput`."""

    def __init__(self, patience: Patience | None = None) -> None:
        """Begin without any mail."""
        self._patience = patience or Patience()
        self._channels: dict[str, _Channel] = {}
        self._waiting: dict[int, MailWaits] = {}
        self._under_way: dict[int, MailWaits] = {}
        self._forgotten: set[int] = set()

    def holds(self, mail_id: int) -> bool:
        """Tell whether a mail waits here, or is being tried."""
        return mail_id in self._waiting or mail_id in self._under_way

    def receive(self, message: DispatcherInput, now: Instant) -> Sequence[DispatcherOutput]:
        """Take one input and return what is to be begun and noted."""
        match message:
            case MailWaits():
                self._wait(message)
                return self.wake(now)
            case TryEnded():
                return [*self._ended(message, now), *self.wake(now)]
            case MailForgotten(id=mail_id):
                self._waiting.pop(mail_id, None)  # its place in the heap is skipped
                if mail_id in self._under_way:
                    self._forgotten.add(mail_id)
                return ()
            case _:
                assert_never(message)

    def deadline(self) -> Instant | None:
        """Return when the next try is due, None while there is nothing to try or no room for it."""
        dues = [
            max(due, channel.paused_until)
            for channel in self._channels.values()
            if (due := self._head(channel)) is not None and channel.slots(self._patience) > 0
        ]
        return min(dues, default=None)

    def wake(self, now: Instant) -> Sequence[DispatcherOutput]:
        """Begin the tries that are due, as far as there is room for them."""
        outputs: list[DispatcherOutput] = []
        for name, channel in self._channels.items():
            while (due := self._head(channel)) is not None and due <= now and channel.slots(self._patience) > 0:
                if now < channel.paused_until:
                    break
                mail = self._waiting.pop(heappop(channel.heap)[1])
                if now - mail.made > self._patience.age:
                    outputs.append(MailNoted(mail.id, "failed", mail.tries, error="it has waited for too long"))
                    continue
                self._under_way[mail.id] = mail
                channel.under_way += 1
                outputs.append(BeginTry(mail.id, mail.tries + 1))
            if channel.has_more and len(channel.heap) <= HELD // 2:
                channel.has_more = False
                outputs.append(FetchMore(name))
        return outputs

    def _head(self, channel: _Channel) -> Instant | None:
        """Return when the first mail is due that is still to be sent."""
        while channel.heap and channel.heap[0][1] not in self._waiting:
            heappop(channel.heap)
        return channel.heap[0][0] if channel.heap else None

    def _wait(self, mail: MailWaits, *, is_again: bool = False) -> None:
        channel = self._channels.setdefault(mail.channel, _Channel())
        if self.holds(mail.id):
            return
        if len(channel.heap) >= HELD and not is_again:
            channel.has_more = True
            return
        self._waiting[mail.id] = mail
        heappush(channel.heap, (mail.due, mail.id))

    def _ended(self, ended: TryEnded, now: Instant) -> list[DispatcherOutput]:
        mail = self._under_way.pop(ended.id, None)
        if mail is None:
            return []
        channel, patience = self._channels[mail.channel], self._patience
        channel.under_way -= 1
        tries = mail.tries + 1
        if ended.outcome in {"unreachable", "unknown"}:
            channel.failures += 1
            channel.paused_until = now + patience.pause(channel.failures)
        else:  # somebody is there
            channel.failures = 0
            channel.paused_until = 0
        if mail.id in self._forgotten:
            self._forgotten.discard(mail.id)
            return []
        match ended.outcome:
            case "sent" | "unknown":
                return [MailNoted(mail.id, ended.outcome, tries, error=ended.detail)]
            case "refused":
                return [MailNoted(mail.id, "failed", tries, error=ended.detail)]
        if tries >= patience.tries:
            return [MailNoted(mail.id, "failed", tries, error=f"given up after {tries} tries; the last: {ended.detail}")]
        due = now + patience.pause(tries)
        self._wait(MailWaits(mail.id, mail.channel, mail.made, due, tries), is_again=True)
        return [MailNoted(mail.id, "waiting", tries, due, ended.detail)]
