"""Counts, in words, where a broker does otherwise than it was asked, for all the links of a process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from fleet.errors import SubscribeRefused
from fleet.transport.reasons import REFUSAL, subscribe_refused

KINDS_MAX: Final = 100

LET_GO: Final = "subscriptions that another client had left in a session were ended"
NOT_LET_GO: Final = (
    "a session gets messages by a subscription that another client left in it and that cannot be named; `fleet clean` ends the "
    "session"
)

NO_RETAIN: Final = (
    "the broker retains nothing: presence is sent without being retained, and who comes later does not learn which cars are there"
)
SHORTER_SESSIONS: Final = "the broker keeps sessions shorter than asked, and what waits in them is lost then"
GRANTED_LESS: Final = "the broker grants a subscription QoS 0 only, and may lose what it delivers"


class Remarks:
    """Counts remarks by their kind; the first of each kind keeps its example, and is passed on at once."""

    def __init__(self, tell: Callable[[str], None] = lambda _remark: None) -> None:
        """Take whom to tell the first remark of each kind."""
        self.counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._tell = tell

    def add(self, kind: str, example: str = "") -> None:
        """Note one; `kind` is the same text for all clients of a process."""
        if kind not in self.counts:
            if len(self.counts) >= KINDS_MAX:
                return
            self._examples[kind] = example
            self._tell(f"{kind}: {example}" if example else kind)
        self.counts[kind] += 1

    def note_limits(self, retains: bool, asked_s: int, kept_s: int | None) -> None:
        """Note a CONNACK: whether the broker retains, and how long the session was to be kept and (None: as asked) is."""
        if not retains:
            self.add(NO_RETAIN)
        if kept_s is not None and kept_s < asked_s:
            self.add(SHORTER_SESSIONS, f"{kept_s} s instead of {asked_s} s")

    def note_granted(self, client_id: str, filters: Iterable[tuple[str, int]], codes: Iterable[int]) -> SubscribeRefused | None:
        """Note the codes of a SUBACK; return the error for the first filter that the broker refused, if it did one."""
        for (topic_filter, qos), code in zip(filters, codes, strict=False):
            if code < qos:
                self.add(GRANTED_LESS, repr(topic_filter))
            if code >= REFUSAL:
                return subscribe_refused(client_id, topic_filter, code)
        return None

    def note_let_go(self, client_id: str, ended: Sequence[str]) -> None:
        """Note the subscriptions of another client that an UNSUBSCRIBE has ended; none when there is no filter to name."""
        self.add(LET_GO if ended else NOT_LET_GO, f"{client_id!r}: {', '.join(ended)}")

    def in_words(self) -> list[str]:
        """Return a sentence for each kind, with how often it was noted and its first example."""
        return [_in_words(kind, count, self._examples[kind]) for kind, count in self.counts.items()]


def _in_words(kind: str, count: int, example: str) -> str:
    times = "once" if count == 1 else f"{count} times"
    return f"{kind} ({times}, first: {example})" if example else f"{kind} ({times})"
