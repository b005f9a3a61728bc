"""The counters of a shard, for progress and report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fleet.kernel.instants import Instant
from fleet.observe.histogram import Histogram
from fleet.transport.link import ConnectionEnds
from fleet.vehicle.outbox import Outbox


@dataclass(slots=True)
class Outage:
    """A time during which no car had a connection, because it broke; wall µs, `to_wall_us` None while it lasts."""

    from_wall_us: int
    scenario_time: Instant
    to_wall_us: int | None = None


@dataclass(slots=True)
class Presences:
    """Counts of presence messages, and in other dialects of all frames without a number; they stand in no account."""

    published: int = 0
    acknowledged: int = 0
    refused: int = 0


class Counts:
    """Counters of the shard, for progress and report."""

    def __init__(self) -> None:
        self.publish_to_ack = Histogram()
        self.lag = Histogram()
        self.late = 0
        self.connects = 0
        self.losses = 0
        self.unreadable: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        """Messages that the dialect does not write, by kind, or by the reason why it cannot."""
        self.refusals: Counter[str] = Counter()
        """Publishes that were refused, by reason and topic with + for the VIN; presence counts, too."""
        self.presences = Presences()
        self.outages: list[Outage] = []
        self.link_errors: Counter[str] = Counter()
        self.ends = ConnectionEnds()


_ACCOUNT: Final = ("created", "published", "acknowledged", "refused", "dropped", "left_out", "in_outbox", "repeated")


def account_of(outboxes: Iterable[Outbox]) -> dict[str, int]:
    """Return the cars' part of the account, summed up."""
    account = dict.fromkeys(_ACCOUNT, 0)
    for outbox in outboxes:
        for name in _ACCOUNT:
            account[name] += getattr(outbox, name)
    if not account["left_out"]:
        del account["left_out"]  # nothing of the kind in our own dialect, nor in its journals
    return account
