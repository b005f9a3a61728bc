"""The shape of a check of remote commands: a rule says whether it permits a command, and the car's answer must agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, NamedTuple

from fleet.checks.cars import Cars, KnownCar
from fleet.checks.check import ANSWER, Check, CheckedRule, Handlers, Side, is_first
from fleet.observe.journal import Begin, Output
from fleet.vehicle.catalogue import Equipment

RAN: Final = frozenset({"accepted", "succeeded"})
REFUSED: Final = frozenset({"rejected", "failed"})
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
