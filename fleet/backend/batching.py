"""A batch as it is collected until the next commit, and the actions that follow that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from fleet.backend.decisions import (
    AnswerGiven,
    AnswerPublished,
    MailPosted,
    ReplyGiven,
    ReplyPublished,
    StoredWrite,
    decided,
)
from fleet.backend.store import Batch
from fleet.cloud.desk_io import Answer, SendCommand, Transition
from fleet.cloud.dispatcher import MailNoted
from fleet.cloud.rule import Keep, Notify
from fleet.transport.link import Delivery
from fleet.wire.messages import DeskAnswer

BATCH_MESSAGES = 1_000
BATCH_WAIT_S = 0.02

LONGEST_PAUSE_S = 60.0


class ClearPresence(NamedTuple):
    """The broker is to retain the presence of a car no more."""

    vin: str


Action = SendCommand | Answer | ReplyGiven | ClearPresence
"""Published once a batch is stored."""
_PATIENT: Final = frozenset({Notify, Keep, ReplyPublished, AnswerPublished, MailPosted})
"""Writes that nobody waits for."""


def pause_s(failures: int) -> float:
    """Return how many wall seconds to wait before a deadline is looked at again at which so many attempts have failed."""
    return 0.0 if failures == 0 else min(2.0 ** (failures - 1), LONGEST_PAUSE_S)


def _is_patient(write: StoredWrite) -> bool:
    """Tell whether nobody waits for it, as for the note that a command was sent. A mail leaves only when that is noted."""
    kind = type(write)
    if kind in _PATIENT:
        return True
    if isinstance(write, Transition):
        return write.state == "sent"
    return isinstance(write, MailNoted) and write.state != "sending"


class Pending(msgspec.Struct):
    """One batch under collection.

    `round_trips` are (due wall µs, awake) of commands whose first answer by the car is in it, `handled` the numbers of the
    messages that the service centre was given. `stored` is called once all is stored. `unsafe` are deliveries at QoS 0: nobody
    repeats them, should the batch be taken again; `unsafe_bytes` is what came so. `urgent`: somebody waits for an answer, so the
    batch does not wait for more. That a command is sent is not urgent: the car's answer is about to come, and would have to wait
    for a commit that has begun.
    """

    batch: Batch = msgspec.field(default_factory=Batch)
    deliveries: list[Delivery] = []
    unsafe: list[Delivery] = []
    actions: list[Action] = []
    round_trips: list[tuple[int, bool]] = []
    handled: list[tuple[str, int, int]] = []
    stored: list[Callable[[], None]] = []
    unsafe_bytes: int = 0
    urgent: bool = False

    @property
    def size(self) -> int:
        """How much there is in it, about."""
        return self.batch.size + len(self.actions)

    @property
    def empty(self) -> bool:
        """True while there is nothing to commit, to acknowledge or to do."""
        batch = self.batch
        waits = self.deliveries or self.actions or batch.writes or batch.meta or batch.arrivals or batch.quarantined
        return not (waits or batch.forgotten)

    def write(self, write: StoredWrite, wall_us: int) -> None:
        """Add a decision of desk or centre; raises whatever keeps it from being stored."""
        self.batch.add(decided(write, wall_us))
        self.urgent |= not _is_patient(write)

    def answer(self, topic: str, answer: DeskAnswer, wall_us: int) -> None:
        """Answer a tool once everything collected so far is stored; without a topic nobody listens.

        A final answer is kept with the same commit until the broker has taken it. What is secret is published once, and neither
        we nor the broker keep it: a final answer that is repeated comes without.
        """
        if not topic:
            return
        if answer.token is not None or answer.secrets:
            self.after_commit(Answer(topic, answer))
            answer = replace(answer, token=None, secrets=None)
            if not answer.final:
                return
        if answer.final:
            self.write(AnswerGiven(topic, answer), wall_us)
        self.after_commit(Answer(topic, answer))

    def after_commit(self, action: Action) -> None:
        """Publish once everything collected so far is stored."""
        self.actions.append(action)
        self.urgent |= not (isinstance(action, Answer) and action.answer.state == "sent")
