"""The shape of a check of remote commands: a rule says whether it permits a command, and the car's answer must agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, NamedTuple

from fleet.checks.cars import Cars, KnownCar
from fleet.checks.check import ANSWER, Check, CheckedRule, Handlers, Side, desk_inputs, is_first
from fleet.kernel.instants import Instant
from fleet.observe.journal import Begin, Input, Output
from fleet.vehicle.catalogue import Equipment

RAN: Final = frozenset({"accepted", "succeeded"})
REFUSED: Final = frozenset({"rejected", "failed"})
ASKED: Final = frozenset({"CommandAsked", "BackEndAsked"})
"""Inputs at which the desk decides whether to send a command."""
UNREAD: Final = frozenset({"malformed", "unsupported", "privacy_offline", "not_paired"})
"""Reasons for which a car has looked at nothing else."""

Answer = dict[str, Any]
Parameters = dict[str, Any]

ENGINE_OFF: Final = CheckedRule("engine off", "only while the engine is off", frozenset({"not_parked", "engine_running"}))


class Verdict(NamedTuple):
    """Whether a rule permits a command in the state that its car is in; None where that cannot be said.

    `why` is the fact that decides: words that fit behind "…, but"; with None, the fact that is not known.
    """

    rule: CheckedRule
    permits: bool | None
    why: str = ""


class AnswersJudged(Check):
    """A check that holds the answers to commands against the verdicts of its rules."""

    def compare(self, verdict: Verdict, answer: Answer, line: int) -> None:
        """Count a verdict on the side that the answer takes, and note where the two disagree."""
        rule, permits, why = verdict
        side = _side(rule, answer)
        if side is None:
            return
        counts = answer["state"] != "succeeded" or side == "judged"
        if permits is None:
            if counts:
                self.undecided(rule.name, side, why)
            return
        if counts:
            self.judged(rule.name, side)
        if permits == (side == "refused"):
            what = f"{answer['name']} is {'refused as ' + answer['reason'] if side == 'refused' else answer['state']}"
            subject = f"command {answer['command_id']} of {answer['vin']}"
            self.breach(line, f"car/{answer['vin']}", f"{what}, but {why}", subject=subject)


class CommandRule(AnswersJudged):
    """The base of checks of commands: an answer is judged with the command and the car it belongs to.

    A command that is accepted must be permitted by each rule, and one that is refused for a reason forbidden by the rule whose
    reason that is. What was accepted is judged once more when it succeeds, and counted once.
    """

    commands: frozenset[str]
    asks: ClassVar[bool] = False
    """Whether the beginning of a car is wanted, besides what it has reported."""

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment] | None = None) -> None:
        """Take what is known of the cars, and their equipment by VIN as far as it is known."""
        super().__init__(begin)
        self._cars = cars
        self._equipment = equipment or {}

    def handlers(self) -> Handlers:
        return {(*ANSWER, name): self._answered for name in self.commands}

    def _answered(self, record: Output, line: int) -> None:
        answer = record.data["message"]
        if not is_first(record):
            return
        car = self._cars.of(record.m)
        command = car.commands.get(answer["command_id"])
        if command is None or answer["state"] == "expired" or answer.get("reason") in UNREAD or _queue_full(answer):
            return
        if car.repeats(answer):
            return
        self.looked_at += 1
        if self.asks:
            car = self._cars.asked(record.m)
        for verdict in self.judge(car, command.get("parameters", {}), answer):
            self.compare(verdict, answer, line)

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterable[Verdict]:
        """Return the verdicts of the rules on a command, at the moment of an answer."""
        raise NotImplementedError


class DeskRule(AnswersJudged):
    """The base of checks of what the desk sends or refuses as soon as it is asked.

    A command that waits for its S-PIN is sent or refused later, and judged then only with `late`.
    """

    late: ClassVar[bool] = False

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._asked: dict[str, Any] | None = None
        self._opened: dict[str, Any] | None = None
        self._waiting: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    def handlers(self) -> Handlers:
        return {
            **desk_inputs(self.given),
            ("out", "CommandOpened"): self._opens,
            ("out", "SendCommand"): self._sends,
            ("out", "Transition"): self._changes,
        }

    def given(self, record: Input, _line: int) -> None:
        """Take an input of the desk."""
        if record.m == "desk":
            self._asked, self._opened = (record.data if record.type in ASKED else None), None

    def _opens(self, record: Output, _line: int) -> None:
        if self._asked is not None:
            self._opened = opened = record.data["record"]
            if self.late:
                self._waiting[opened["id"]] = (self._asked, opened)

    def _sends(self, record: Output, line: int) -> None:
        self._decided(record, record.data["command"]["id"], "accepted", None, line)

    def _changes(self, record: Output, line: int) -> None:
        change = record.data
        if change["state"] == "rejected" and change["by"] == "desk":
            self._decided(record, change["command_id"], "rejected", change.get("reason"), line)

    def _decided(self, record: Output, command_id: str, state: str, reason: str | None, line: int) -> None:
        asked, opened = self._waiting.pop(command_id, (self._asked, self._opened))
        if asked is None or opened is None or opened["id"] != command_id:
            return
        answer = {"command_id": command_id, "vin": opened["vin"], "name": opened["name"], "state": state, "reason": reason}
        verdicts = list(self.judge(opened, asked, record.t))
        self.looked_at += bool(verdicts)
        for verdict in verdicts:
            self.compare(verdict, answer, line)

    def judge(self, command: Mapping[str, Any], asked: Mapping[str, Any], now: Instant) -> Iterable[Verdict]:
        """Return the verdicts of the rules on a command, as it was asked; none where the check says nothing of it."""
        raise NotImplementedError


def _side(rule: CheckedRule, answer: Answer) -> Side | None:
    """Return on which side of a rule an answer stands, None when it says nothing of it."""
    if not rule.reasons:
        return "judged"
    if answer["state"] in RAN:
        return "allowed"
    return "refused" if answer["state"] in REFUSED and answer.get("reason") in rule.reasons else None


def engine_off(car: KnownCar) -> Verdict:
    """Judge a command that needs a parked car with its engine off."""
    if car.engine_on is None:
        return Verdict(ENGINE_OFF, None, "whether the engine is on is not known")
    return Verdict(ENGINE_OFF, not car.engine_on, f"the engine is {'on' if car.engine_on else 'off'}")


def _queue_full(answer: Answer) -> bool:
    """Tell whether too many commands wait, which is another kind of busy; a reset takes the words that say so away."""
    return answer.get("reason") == "busy" and "wait" in answer.get("detail", "wait")
