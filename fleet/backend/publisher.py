"""Publishes commands, replies and answers, and again after a lost connection, until the broker has said yes or no.

A command or a reply may so be published twice: a car executes an id once, and takes one reply to a request. A message
that cannot be published at all is warned of, and whoever waits for it gets `internal` in its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import structlog

from fleet.backend.batching import Action, ClearPresence
from fleet.backend.centre_driver import CentreDriver
from fleet.backend.context import BackendContext
from fleet.backend.decisions import ReplyGiven
from fleet.backend.desk_driver import DeskDriver
from fleet.cloud.desk_io import INTERNAL, NOT_IN_DIALECT, Answer, SendCommand
from fleet.errors import ConnectionLost, PublishRefused, Unwritable
from fleet.transport.link import Link
from fleet.wire.frame import Frame
from fleet.wire.messages import DeskAnswer, Reply, Stored

HELD: Final = 20_000
"""Frames without an outcome; beyond it answers are dropped and counted, as whoever waits can ask again."""
_UNTRACKED: Final = 0

_log = structlog.get_logger(__name__)


class Publisher:
    """The frames that a back end sends. Its owner passes on the events of the link."""

    def __init__(self, context: BackendContext, link: Link, desk: DeskDriver, centre: CentreDriver) -> None:
        """Take the link to publish on, and desk and centre, which hear what became of their commands, answers and replies."""
        self._context = context
        self._dialect = context.dialect
        self._link = link
        self._desk = desk
        self._centre = centre
        self._held: dict[int, Action] = {}
        self._next_token = _UNTRACKED + 1
        self.dropped = 0
        self._without_words: set[str] = set()
        self.refusals: Counter[str] = Counter()
        """What the broker did not take, by reason and kind of topic."""

    @property
    def in_flight(self) -> int:
        """How many frames have no outcome yet."""
        return len(self._held)

    def send(self, action: Action) -> None:
        """Publish now, or as soon as the link is up."""
        if len(self._held) >= HELD and isinstance(action, Answer):
            self.dropped += 1
            self._is_over(action)
            return
        token = self._next_token
        self._next_token += 1
        self._held[token] = action
        self._publish(token, action)

    def send_stored(self, marks: Iterable[tuple[str, Stored]]) -> None:
        """Send cars their stored numbers. Not repeated when lost: the next mark covers this one."""
        link = self._link
        if not link.is_up:
            return
        try:
            for vin, mark in marks:
                link.publish(self._dialect.to_car(vin, mark), _UNTRACKED)
        except ConnectionLost:
            return
        except Exception as error:  # noqa: BLE001 (the next mark says as much)
            self._context.warn(f"cars could not be told what is stored: {type(error).__name__}")

    def link_up(self) -> None:
        """Publish again what has no outcome, in its order."""
        for token, action in list(self._held.items()):
            if isinstance(action, SendCommand) and not self._desk.is_open(action.command.id):
                del self._held[token]
            else:
                self._publish(token, action)

    def acknowledged(self, token: int, error: PublishRefused | None) -> None:
        """Note an outcome; tokens that are not ours, or no longer, mean nothing."""
        action = self._held.pop(token, None)
        if error is not None:
            refusal = f"{error.name}: {self._dialect.topics.kind_of(error.topic)}"
            if not self.refusals[refusal]:
                _log.warning("publish refused", error=str(error), hint=error.hint)
            self.refusals[refusal] += 1
        if isinstance(action, SendCommand):
            self._outcome_of(action, None if error is None else error.name)
        elif isinstance(action, Answer | ReplyGiven):
            self._is_over(action)

    def _outcome_of(self, action: SendCommand, refused: str | None) -> None:
        self._context.attempt("the outcome of a publish", self._desk.published, action.command.id, refused)

    def _is_over(self, action: Answer | ReplyGiven) -> None:
        """Tell whoever keeps it that it need not be published again."""
        if isinstance(action, ReplyGiven):
            self._context.attempt("the outcome of a reply", self._centre.replied, action)
        elif action.answer.final and action.answer.token is None and not action.answer.secrets:
            self._context.attempt("the outcome of an answer", self._desk.answered, action)

    def _publish(self, token: int, action: Action) -> None:
        if not self._link.is_up:
            return
        try:
            self._link.publish(self._frame(action), token)
        except ConnectionLost:
            return  # held, and published again when the link is up
        except Unwritable as error:
            self._held.pop(token, None)
            self._unwritable(action, error)
        except Exception as error:  # noqa: BLE001 (the others are published all the same)
            self._held.pop(token, None)
            self._failed(action, error)

    def _unwritable(self, action: Action, error: Unwritable) -> None:
        """Refuse a command that the dialect of the car has no words for; tell the first of each kind."""
        if not isinstance(action, SendCommand):
            self._failed(action, error)
            return
        if action.command.name not in self._without_words:
            self._without_words.add(action.command.name)
            self._context.warn(f"the dialect of the cars has no words for it: {error.detail}")
        self._outcome_of(action, NOT_IN_DIALECT)

    def _failed(self, action: Action, error: Exception) -> None:
        """Warn of an action that cannot be published, and give whoever waits for it an answer that can."""
        self._context.warn(f"a {type(action).__name__} could not be published: {type(error).__name__}")
        if isinstance(action, ClearPresence):
            return
        if isinstance(action, SendCommand):
            self._outcome_of(action, INTERNAL)
            return
        self._is_over(action)
        if isinstance(action, ReplyGiven) and action.reply.error != INTERNAL:
            reply = Reply(id=action.reply.id, name=action.reply.name, error=INTERNAL)
            self.send(action._replace(reply=reply))
        elif isinstance(action, Answer) and action.answer.final and action.answer.reason != INTERNAL:
            detail = "the answer could not be published"
            asked = action.answer
            answer = DeskAnswer(id=asked.id, state="failed", reason=INTERNAL, detail=detail, final=True, at=asked.at)
            self.send(Answer(action.topic, answer))

    def _frame(self, action: Action) -> Frame:
        if isinstance(action, SendCommand):
            return self._dialect.to_car(action.command.vin, action.command, expiry_s=action.expiry_s)
        if isinstance(action, Answer):
            return self._dialect.desk_answer(action.answer, topic=action.topic)
        if isinstance(action, ReplyGiven):
            return self._dialect.to_car(action.vin, action.reply, expiry_s=self._centre.expiry_s(action.expires_at))
        return Frame(topic=self._dialect.topics.presence(action.vin), payload=b"", retain=True)
