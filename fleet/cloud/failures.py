"""Messages that rules failed at: kept and tried again, later each time, and at last given up with a notice. Bounded.

What waits stands in notes of its own, so that a restart forgets nothing. An emergency call does not wait: its centre is notified
at once, with the car and the content of the call.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec

from fleet.cloud.rule import CommandEnded, Notes, Notify, RuleFailed
from fleet.kernel.instants import MINUTE, Duration, Instant
from fleet.wire.messages import EMERGENCIES, Event

FIRST_AFTER: Final[Duration] = MINUTE
"""In scenario time; then twice as long each time."""
TRIES: Final = 6
"""In all: the last one half an hour after the first."""
LONGEST_PAUSE: Final[Duration] = 60 * MINUTE
FAILURE_KINDS: Final = ("rule_failed", "rule_gave_up")
"""Notices to an operator: a rule raised, or a message is not tried again."""
KEPT_MOST: Final = 1_000
"""Messages that wait; one more is given up at once."""


class WaitingMessage(msgspec.Struct, frozen=True):
    """A message that a rule failed at; one of `event` and `ended` is there."""

    rule: str
    tries: int
    at: Instant
    event: Event | None = None
    ended: CommandEnded | None = None


class Failures:
    """The messages that wait for another try, and the rules that failed at a deadline."""

    name: Final = "failures"

    def __init__(self, notes: Notes) -> None:
        """Go on from the notes."""
        self.notes = notes
        self._waiting = {key: msgspec.convert(held, WaitingMessage) for key, held in notes.items()}
        self._pauses: dict[str, tuple[int, Instant]] = {}

    def next_try(self) -> Instant | None:
        """Return when something is to be tried again."""
        return min((held.at for held in self._waiting.values()), default=None)

    def due(self, now: Instant) -> list[tuple[str, str, Event | CommandEnded]]:
        """Return what is to be tried again now: key, rule and message."""
        found: list[tuple[str, str, Event | CommandEnded]] = []
        for key, held in self._waiting.items():
            message = held.event or held.ended
            if held.at <= now and message is not None:
                found.append((key, held.rule, message))
        return found

    def over(self, key: str) -> None:
        """Note that a rule has taken a message after all, or that there is no such rule."""
        del self._waiting[key]
        del self.notes[key]

    def failed(self, failed: RuleFailed, message: Event | CommandEnded, now: Instant, key: str | None) -> list[Notify]:
        """Keep a message for another try, or give it up; return the notices."""
        called = message.name if isinstance(message, Event) else "command_ended"
        if called in EMERGENCIES and isinstance(message, Event):
            call = Notify(message.vin, "emergency_centre", called, {**message.data, "country": None}, now)
            return [call, self.told(failed, called, now, vin=message.vin)]
        tries = 1 if key is None else self._waiting[key].tries + 1
        if tries >= TRIES or (key is None and len(self._waiting) >= KEPT_MOST):
            if key is not None:
                self.over(key)
            return [self.told(failed, called, now, vin=message.vin, kind="rule_gave_up", tries=tries)]
        at = now + FIRST_AFTER * 2 ** (tries - 1)
        key = key or _key(failed.rule, message)
        event, ended = (message, None) if isinstance(message, Event) else (None, message)
        held = self._waiting[key] = WaitingMessage(failed.rule, tries, at, event, ended)
        self.notes[key] = msgspec.to_builtins(held)
        return [self.told(failed, called, now, vin=message.vin, tries=tries, again_at=at)] if tries == 1 else []

    def told(
        self, failed: RuleFailed, called: str, now: Instant, *, vin: str = "", kind: str = "rule_failed", **more: Any
    ) -> Notify:
        """Return the notice to the operator."""
        data = {"rule": failed.rule, "at": called, "car": vin, "error": failed.error, **more}
        return Notify("", "operator", kind, data, now)

    def forget(self, vins: Collection[str]) -> None:
        """Try no message of these cars again."""
        for key, held in list(self._waiting.items()):
            message = held.event or held.ended
            if message is not None and message.vin in vins:
                self.over(key)

    # --- deadlines

    def paused_until(self, rule: str) -> Instant | None:
        """Return before when a rule is not woken, because it failed at that."""
        pause = self._pauses.get(rule)
        return None if pause is None else pause[1]

    def woke(self, rule: str) -> None:
        """Note that a rule was woken without a failure."""
        self._pauses.pop(rule, None)

    def woke_in_vain(self, failed: RuleFailed, now: Instant) -> list[Notify]:
        """Have a rule pause that failed at its deadline, and tell it the first time."""
        count = self._pauses[failed.rule][0] + 1 if failed.rule in self._pauses else 1
        self._pauses[failed.rule] = count, now + min(FIRST_AFTER * 2 ** min(count - 1, 10), LONGEST_PAUSE)
        return [self.told(failed, "deadline", now)] if count == 1 else []


def unreadable(rule: str, event: Event, error: msgspec.ValidationError) -> Notify:
    """Return the notice to the operator that a rule cannot read an event, with its number and the kind of misfit."""
    data = {"rule": rule, "at": event.name, "car": event.vin, "error": str(error), "boot": event.boot, "seq": event.seq}
    return Notify("", "operator", "unreadable_event", data)


def _key(rule: str, message: Event | CommandEnded) -> str:
    if isinstance(message, Event):
        return f"{rule}/{message.vin}/{message.boot}/{message.seq}"
    return f"{rule}/{message.vin}/{message.id}"
