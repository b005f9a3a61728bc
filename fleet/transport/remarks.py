"""What a broker does otherwise than it was asked, in words and counted, for all the links of a process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

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
    """Counts remarks by their kind; the first of each kind keeps its example, and is told at once."""

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

    def in_words(self) -> list[str]:
        """Return a sentence for each kind, with how often it was noted and its first example."""
        return [_in_words(kind, count, self._examples[kind]) for kind, count in self.counts.items()]


def _in_words(kind: str, count: int, example: str) -> str:
    times = "once" if count == 1 else f"{count} times"
    return f"{kind} ({times}, first: {example})" if example else f"{kind} ({times})"
