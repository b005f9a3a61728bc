"""Whether each command has one life: in the desk's book, and in the car.

Source: the life cycle of commands and the table of who sets which state, in the contract.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any, Final

from fleet.checks.check import Check, CheckedRule, Handlers, desk_inputs, is_first, is_priority
from fleet.kernel.instants import MINUTE, SECOND, Duration, Instant, format_instant
from fleet.observe.journal import Begin, End, Input, Output
from fleet.observe.story import CAR
from fleet.wire.messages import TERMINAL_STATES

ABOUT_SPINS: Final = frozenset({"SpinSettingAsked", "SpinHashed", "EnrolmentAsked"})
"""Inputs of the desk that are answered under ids of their own."""
REMEMBERED: Final = 128
"""Commands of a car that are known, once the desk has ended them or the car got them."""
_RANK: Final = {None: -1, "queued": 0, "sent": 1, "accepted": 2, "in_progress": 3}
INTERRUPTED: Final = "interrupted"
"""Of a command that an earlier run of the car's computer had, or may have had."""
DESK: Final = "desk"
LONGEST_REASON: Final = 60
AGAIN_WITHIN: Final = 10 * MINUTE
"""So long after a command has come again it is answered again, also where the run is much faster than the broker."""
UNTIMED: Final = frozenset({"busy", "privacy_offline", "not_paired", "malformed", "unsupported"})
"""Reasons for which a car refuses before it looks at the time."""


class _Told:
    """A command in the desk's book."""

    __slots__ = ("asked_at", "changed_at", "expires_at", "line", "state", "vin")

    def __init__(self, record: dict[str, Any], line: int) -> None:
        self.vin: str = record["vin"]
        self.line = line
        self.state: str | None = record["state"]
        self.asked_at: Instant = record["asked_at"]
        self.expires_at: Instant = record["expires_at"]
        self.changed_at: Instant = record["changed_at"]


class CommandEnds(Check):
    """The desk gives each command exactly one terminal state, after which nothing changes; before it states only advance.

    A state that the car sets is what the car had answered. A command whose answer is overdue has been given up: 30 s after
    its expiry, or 10 min after the car's last word, and no less than 7 s or 10 s of wall time.
    """

    name = "command ends"
    rule = "each command gets exactly one terminal state, which never changes"
    looks_at = "commands"
    ENDS: Final = CheckedRule("ends", "every command that is overdue has a terminal state")
    ADVANCES: Final = CheckedRule("advances", "states only advance, from queued to a terminal one")
    STAYS: Final = CheckedRule("stays", "a terminal state stays, whatever the car or the broker says afterwards")
    AS_ANSWERED: Final = CheckedRule("as answered", "a state that the car sets is the one that it has answered")
    TOLD: Final = CheckedRule("told", "whoever has asked is told the state that the command has")
    rules = (ENDS, ADVANCES, STAYS, AS_ANSWERED, TOLD)
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._book: dict[str, _Told] = {}
        self._ended: dict[str, deque[str]] = {}
        self._factor = 1.0
        self._answer: dict[str, Any] | None = None
        self._about_spins = False

    def handlers(self) -> Handlers:
        return {
            **desk_inputs(self._given),
            ("in", "DeskStart"): self._starts,
            ("in", "Restored"): self._restored,
            ("in", "ClockChanged"): self._clock,
            ("in", "CarAnswered"): self._answered,
            ("in", "CommandPublished"): self._published,
            ("out", "Answer"): self._tells,
            ("out", "CommandOpened"): self._opened,
            ("out", "Transition"): self._changed,
        }

    def _given(self, record: Input, _line: int) -> None:
        if record.m == DESK:
            self._answer = None
            self._about_spins = record.type in ABOUT_SPINS

    def _answered(self, record: Input, line: int) -> None:
        self._given(record, line)
        self._answer = record.data["response"]
        self._comes_after(record.data["response"]["command_id"])

    def _published(self, record: Input, line: int) -> None:
        self._given(record, line)
        self._comes_after(record.data["command_id"])

    def _comes_after(self, command_id: str) -> None:
        """Count what might move a command that has ended."""
        told = self._book.get(command_id)
        if told is not None and told.state in TERMINAL_STATES:
            self.judged(self.STAYS.name)

    def _tells(self, record: Output, line: int) -> None:
        answer = record.data["answer"]
        told = self._book.get(answer["id"]) if record.m == DESK and not self._about_spins else None
        if told is None or answer.get("reason") == "malformed":  # which may be about a request that has taken the id of another
            return
        self.judged(self.TOLD.name)
        if answer["state"] != told.state:
            subject = f"command {answer['id']} of {told.vin}"
            self.breach(line, DESK, f"is {told.state}, but {answer['state']} is told", subject=subject)

    def _starts(self, record: Input, line: int) -> None:
        self._given(record, line)
        self._factor = record.data["factor"]

    def _clock(self, record: Input, line: int) -> None:
        self._given(record, line)
        self._factor = record.data["factor"]
        for told in self._book.values():
            told.asked_at += record.data["shift"]
            told.expires_at += record.data["shift"]

    def _restored(self, record: Input, line: int) -> None:
        self._given(record, line)
        for command in record.data["commands"]:
            self._book[command["id"]] = _Told(command, line)

    def _opened(self, record: Output, line: int) -> None:
        command = record.data["record"]
        self.looked_at += 1
        if command["id"] in self._book:
            self.breach(line, DESK, "expected an id to be opened once, but it is opened again", subject=command["id"])
        self._book[command["id"]] = _Told(command, line)

    def _changed(self, record: Output, line: int) -> None:
        to, command_id = record.data, record.data["command_id"]
        told = self._book.get(command_id)
        state = to["state"]
        if told is None:
            self.breach(line, DESK, f"becomes {state}, but was never opened", subject=command_id)
            return
        subject = f"command {command_id} of {told.vin}"
        self.judged(self.ADVANCES.name)
        if told.state in TERMINAL_STATES:
            self.breach(line, f"car/{told.vin}", f"ended as {told.state}, but becomes {state}", subject=subject)
        elif _RANK.get(state, 4) <= _RANK[told.state]:
            self.breach(line, f"car/{told.vin}", f"expected a state after {told.state}, but it becomes {state}", subject=subject)
        if to["by"] == "car":
            self.judged(self.AS_ANSWERED.name)
            said = self._answer
            if said is None or (said["command_id"], said["state"], _shortened(said)) != (command_id, state, to.get("reason")):
                self.breach(line, f"car/{told.vin}", f"becomes {state} by the car, which has not answered so", subject=subject)
        if state == "queued":
            told.expires_at += to["at"] - told.asked_at
        told.state, told.changed_at = state, to["at"]
        if state in TERMINAL_STATES:
            self._remember(told.vin, command_id)

    def _remember(self, vin: str, command_id: str) -> None:
        ended = self._ended.setdefault(vin, deque())
        ended.append(command_id)
        if len(ended) > REMEMBERED:
            self._book.pop(ended.popleft(), None)

    def finish(self, end: End | None, line: int) -> None:
        if end is None:
            return
        for command_id, told in self._book.items():
            if self._due(told) >= end.t:
                continue
            self.judged(self.ENDS.name)
            if told.state not in TERMINAL_STATES:
                subject = f"command {command_id} of {told.vin}"
                since = format_instant(self._due(told))
                self.breach(line, f"car/{told.vin}", f"expected an end by {since}, but it is still {told.state}", subject=subject)

    def _due(self, told: _Told) -> Instant:
        skew: Duration = max(30 * SECOND, int(7 * SECOND * self._factor))
        if told.state in {"accepted", "in_progress"}:
            return told.changed_at + max(10 * MINUTE, int(10 * SECOND * self._factor)) + skew
        return told.expires_at + skew


def _shortened(answer: dict[str, Any]) -> str | None:
    """Return the reason of an answer, as much of it as the desk keeps."""
    reason: str | None = answer.get("reason")
    return None if reason is None else reason[:LONGEST_REASON]


class _Got:
    """A command in a car."""

    __slots__ = ("accepted_at", "ended", "ends", "expires_at", "in_progress", "times")

    def __init__(self, expires_at: Instant) -> None:
        self.expires_at = expires_at
        self.times = 0
        self.accepted_at: Instant | None = None
        self.in_progress = False
        self.ended: tuple[str, str | None] | None = None
        self.ends = 0


class CommandRuns(Check):
    """A car runs a command once, in time, and answers it alike however often it comes.

    It judges by what the car itself says: `accepted` is the moment of execution, in the car's scenario time.
    """

    name = "command runs"
    rule = "a car executes a command at most once, never after its expiry, and always gives the same answer"
    looks_at = "answers"
    IN_TIME: Final = CheckedRule(
        "in time", "executed only until its expiry, in the car's time; called expired only after it", frozenset({"expired"})
    )
    ONCE: Final = CheckedRule("once", "a command that comes again is not executed again, and its end is told once for each time")
    LIFE: Final = CheckedRule(
        "life", "what is answered has come; accepted, and what takes time in progress, comes before all but rejected and expired"
    )
    rules = (IN_TIME, ONCE, LIFE)
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._cars: dict[str, OrderedDict[str, _Got]] = {}
        self._unanswered: dict[str, dict[str, Instant]] = {}
        """When a command came again that had ended, by machine: what a car sends of a later time follows the answer."""
        self._maybe_silent: set[str] = set()

    def handlers(self) -> Handlers:
        return {
            ("in", "Recall"): self._recalls,
            ("in", "Received", "Command"): self._arrives,
            ("in", "LinkDown"): self._leaves,
            ("in", "PowerOff"): self._switched_off,
            **{("in", name): self._may_fall_silent for name in ("SetPrivacy", "ResetCar", "DeleteUser")},
            ("out", "Transmit"): self._sends,
            ("out", "Transmit", "Response"): self._answers,
        }

    def _leaves(self, record: Input, _line: int) -> None:
        self._unanswered.pop(record.m, None)

    def _switched_off(self, record: Input, line: int) -> None:
        """Judge what came again long before, in a car that has said nothing since and may speak."""
        waiting = self._unanswered.pop(record.m, {})
        for command_id, at in waiting.items() if record.m not in self._maybe_silent else ():
            if at + AGAIN_WITHIN < record.t:
                self._unanswered_again(line, record.m, command_id, at)

    def _may_fall_silent(self, record: Input, _line: int) -> None:
        self._maybe_silent.add(record.m)

    def _sends(self, record: Output, line: int) -> None:
        waiting = self._unanswered.get(record.m)
        if not waiting or not is_first(record):
            return
        message = record.data["message"]
        if record.of == "Response":
            waiting.pop(message["command_id"], None)
        if is_priority(record):
            return
        for command_id, at in list(waiting.items()):
            if at < message["captured_at"]:
                del waiting[command_id]
                self._unanswered_again(line, record.m, command_id, at)

    def _unanswered_again(self, line: int, machine: str, command_id: str, at: Instant) -> None:
        subject = f"command {command_id} of {machine.removeprefix(CAR)}"
        self.breach(
            line, machine, f"came again at {format_instant(at)}, after its end, and is not answered again", subject=subject
        )

    def _recalls(self, record: Input, _line: int) -> None:
        """Take what the car has executed before this journal; what it had not ended has failed, as it tells by itself."""
        known = self._cars.setdefault(record.m, OrderedDict())
        for done in record.data["executed"][-REMEMBERED:]:
            got = known[done["id"]] = _Got(done["expires_at"])
            if done["state"] not in {"rejected", "expired"}:
                got.accepted_at = done["at"]
            if done["state"] in TERMINAL_STATES:
                got.ended = (done["state"], done.get("reason"))
            else:
                got.ended, got.times = ("failed", INTERRUPTED), 1

    def _arrives(self, record: Input, _line: int) -> None:
        command = record.data["message"]
        known = self._cars.setdefault(record.m, OrderedDict())
        got = known.get(command["id"])
        if got is None:
            got = known[command["id"]] = _Got(command["expires_at"])
            if len(known) > REMEMBERED:
                known.popitem(last=False)
        got.times += 1
        if command["name"] == "reset":
            self._maybe_silent.add(record.m)
        if got.ended is not None:
            self._unanswered.setdefault(record.m, {})[command["id"]] = record.t

    def _answers(self, record: Output, line: int) -> None:
        if not is_first(record):
            return
        answer = record.data["message"]
        self.looked_at += 1
        known = self._cars.setdefault(record.m, OrderedDict())
        got = known.get(answer["command_id"])
        subject = f"command {answer['command_id']} of {answer['vin']}"
        if got is None:
            if len(known) < REMEMBERED:
                self.breach(line, record.m, f"is answered {answer['state']}, but never came to the car", subject=subject)
            return
        self._count(got, answer)
        for told in self._wrong(got, answer):
            self.breach(line, record.m, told, subject=subject)
        if answer["state"] == "accepted":
            got.accepted_at = answer["captured_at"]
        elif answer["state"] == "in_progress":
            got.in_progress = True
        elif answer["state"] in TERMINAL_STATES:
            got.ended = got.ended or (answer["state"], answer.get("reason"))
            got.ends += 1

    def _count(self, got: _Got, answer: dict[str, Any]) -> None:
        self.judged(self.LIFE.name)
        if got.times > 1 and (got.ended is not None or got.accepted_at is not None):
            self.judged(self.ONCE.name)
        if answer["state"] == "accepted" and got.accepted_at is None:
            self.judged(self.IN_TIME.name, "allowed")
        elif answer["state"] == "expired" and got.ended is None:
            self.judged(self.IN_TIME.name, "refused")

    def _wrong(self, got: _Got, answer: dict[str, Any]) -> list[str]:
        """Return all that is wrong with an answer."""
        state, at = answer["state"], answer["captured_at"]
        found = []
        expiry = format_instant(got.expires_at)
        if state == "accepted" and got.accepted_at is not None:
            found.append(f"expected one execution, but it is executed again: first at {format_instant(got.accepted_at)}")
        if state == "accepted" and at > got.expires_at:
            found.append(f"is executed at {format_instant(at)}, after its expiry at {expiry}")
        if state == "rejected" and got.ended is None and at > got.expires_at and answer.get("reason") not in UNTIMED:
            found.append(f"is refused as {answer.get('reason')} at {format_instant(at)}, after its expiry at {expiry}")
        if state == "expired" and at <= got.expires_at:
            found.append(f"is called expired at {format_instant(at)}, before its expiry at {expiry}")
        if state in {"in_progress", "succeeded", "failed"} and got.accepted_at is None and answer.get("reason") != INTERRUPTED:
            found.append(f"is {state}, but was never accepted")
        is_ours = self.begin.scenario is not None  # who drives cars of his own may leave it out
        takes_time = is_ours and got.accepted_at is not None and got.ended is None and at > got.accepted_at
        if state in {"succeeded", "failed"} and takes_time and not got.in_progress and answer.get("reason") != INTERRUPTED:
            found.append(f"is {state} a while after it was accepted, but was never in progress")
        if state in {"rejected", "expired"} and got.accepted_at is not None:
            found.append(f"was accepted, but is {state}")
        if state in TERMINAL_STATES:
            end = (state, answer.get("reason"))
            if got.ended is not None and got.ended != end:
                found.append(f"ended as {_words(got.ended)}, but is answered {_words(end)}")
            if got.ends >= got.times:
                found.append(f"came {got.times} times, but its end is told {got.ends + 1} times")
        return found


Executions = dict[str, OrderedDict[str, int]]
"""By VIN and command: the boot of the car's computer in which it was executed."""


class ExecutedOnce(Check):
    """No command is executed by two runs of a car's computer, by what cars say themselves or a back end has heard of them.

    A run has its own boot; the journal of a simulator has one, that of a back end the boots of all that came to it.
    """

    name = "executed once"
    rule = "a command is executed in one run of a car's computer, however often that is started anew"
    looks_at = "executions"
    remembers = True

    def __init__(self, begin: Begin, executions: Executions | None = None) -> None:
        """Take what was executed by the journals before this one, to which is added what this one tells."""
        super().__init__(begin)
        self._executions: Executions = {} if executions is None else executions

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Response"): self._says, ("in", "CarAnswered"): self._hears}

    def _says(self, record: Output, line: int) -> None:
        if is_first(record):
            self._take(record.data["message"], line)

    def _hears(self, record: Input, line: int) -> None:
        self._take(record.data["response"], line)

    def _take(self, answer: dict[str, Any], line: int) -> None:
        if answer["state"] != "accepted":
            return
        self.looked_at += 1
        vin, command_id, boot = answer["vin"], answer["command_id"], answer["boot"]
        known = self._executions.setdefault(vin, OrderedDict())
        before = known.setdefault(command_id, boot)
        if before != boot:
            subject = f"command {command_id} of {vin}"
            told = f"expected one execution, but boot {boot} executes what boot {before} has executed"
            self.breach(line, f"car/{vin}", told, subject=subject)
        if len(known) > REMEMBERED:
            known.popitem(last=False)


def _words(end: tuple[str, str | None]) -> str:
    state, reason = end
    return state if reason is None else f"{state}({reason})"
