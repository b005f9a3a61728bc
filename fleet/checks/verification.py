"""Puts all checks to one journal, in one pass, and says what they found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from fleet.checks.account import AccountHolds, Numbering, StoredOnce
from fleet.checks.back_end import CampaignsKept, DeskSends, PartnersTold, RepliesTrue, WillSays
from fleet.checks.calls import BreakdownCalls, EmergencyCalls, InfoCalls
from fleet.checks.cars import Beginnings, Cars, unknown
from fleet.checks.charging import ChargeAgrees, ChargingRule, DepartureAgrees
from fleet.checks.check import ANSWER, Breach, Check, CheckedRule, Handler, Handlers, Route, Side, Tally
from fleet.checks.comfort import ComfortAgrees, ComfortEnergy
from fleet.checks.comfort_rules import ClimatisationRule, LowVoltageRule, VentilationRule
from fleet.checks.commands import CommandEnds, CommandRuns, ExecutedOnce, Executions
from fleet.checks.desk_switches import DeskSwitches
from fleet.checks.driving import DrivesAgree
from fleet.checks.driving_data import DrivingDataAgrees
from fleet.checks.effects import EffectsTold, WakingTakes
from fleet.checks.erasure import ForgottenCars
from fleet.checks.frames import Acknowledgements, Connection, Frames
from fleet.checks.in_car import EnrolledInCar
from fleet.checks.journeys import ConsentRule, RouteRule, UpdatesAgree
from fleet.checks.online import RepliesFit, RepliesHeard, RequestEnds, RequestRule
from fleet.checks.order import CapturedInOrder, Fuel, LinesKept, Odometer, TimeRuns
from fleet.checks.people import KnownPeople
from fleet.checks.people_contracts import MailsFit, MoneyAddsUp, RemindersSent
from fleet.checks.people_requests import PeopleRequests
from fleet.checks.people_rights import PeopleRights
from fleet.checks.privacy import Modes, PositionKept, SilenceKept, Silences, SwitchRule
from fleet.checks.purchases import PurchasesKept
from fleet.checks.rules import BusyRule, HeaterRule, HonkRule, LockRule, RefreshRule
from fleet.checks.spin import SpinRule
from fleet.checks.state import DoorsAgree, EngineAgrees
from fleet.checks.statuses import (
    FixesAgree,
    LeavingShares,
    LevelsAgree,
    ServicesCount,
    SpeedsPlausible,
    StatusWhole,
    VoltageAgrees,
)
from fleet.checks.watching import AlertRule, AreaAlertsAgree, SpeedAlertsAgree
from fleet.checks.wear import WearTold
from fleet.errors import JournalError
from fleet.observe.journal import Begin, Input, JournalReader, Output, Record
from fleet.vehicle.catalogue import Equipment

_TYPED = (Input, Output)
NAME = len(ANSWER)
"""The place of a command's name in a route."""
_UNFIT = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError)
"""Errors at a record that lacks a field, or has one of another form."""
NOT_WRITTEN = "not written"
"""The only field of data that JSON has no form for."""


def full_name(check: str, rule: str) -> str:
    """Return the name of a rule among those of all checks."""
    return check if rule == check else f"{check}: {rule}"


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """How often one rule was judged on each of its sides, and how often it could not be, and why."""

    check: str
    rule: str
    words: str
    sides: Mapping[Side, Tally]

    @property
    def full_name(self) -> str:
        """The name of the rule among those of all checks."""
        return full_name(self.check, self.rule)

    @property
    def never(self) -> Sequence[Side]:
        """The sides on which it was never judged."""
        return [side for side, tally in self.sides.items() if not tally.judged]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check: how much it looked at, its judgements, how often it is broken, and the first breaches."""

    check: str
    rule: str
    looked_at: int
    looks_at: str
    broken: int
    breaches: Sequence[Breach]
    rules: Sequence[Judged]


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The results of all checks of a journal; a `complete` one has its end, and all before it."""

    records: int
    complete: bool
    warnings: Sequence[str]
    findings: Sequence[Finding]

    @property
    def holds(self) -> bool:
        """Whether no rule is broken."""
        return not any(finding.broken for finding in self.findings)

    @property
    def rules(self) -> Sequence[Judged]:
        """The judgements of each rule."""
        return [rule for finding in self.findings for rule in finding.rules]


def all_checks(
    begin: Begin,
    cars: Cars,
    people: KnownPeople,
    equipment: Mapping[str, Equipment],
    *,
    privacy: Mapping[str, str] | None = None,
    executions: Executions | None = None,
) -> list[Check]:
    """Return every check of the records, in the order in which findings are reported."""
    return [
        *_message_checks(begin, executions),
        *_command_checks(begin, cars, people, equipment),
        *_car_checks(begin, cars, equipment),
        *_service_checks(begin, cars, people, equipment, privacy),
        *_people_checks(begin, people),
        *_report_checks(begin, cars, equipment, privacy or {}),
    ]


def _message_checks(begin: Begin, executions: Executions | None) -> list[Check]:
    """Messages are accounted for, and commands run once and end."""
    return [
        AccountHolds(begin),
        Numbering(begin),
        StoredOnce(begin),
        CommandEnds(begin),
        CommandRuns(begin),
        ExecutedOnce(begin, executions),
    ]


def _command_checks(begin: Begin, cars: Cars, people: KnownPeople, equipment: Mapping[str, Equipment]) -> list[Check]:
    """Commands are permitted or refused by their rules."""
    return [
        SpinRule(begin, people),
        HonkRule(begin, cars),
        LockRule(begin, cars),
        HeaterRule(begin, cars, equipment),
        VentilationRule(begin, cars, equipment),
        ClimatisationRule(begin, cars, equipment),
        LowVoltageRule(begin, cars),
        RefreshRule(begin, cars),
        BusyRule(begin, cars),
        ChargingRule(begin, cars, equipment),
        AlertRule(begin, cars, equipment),
        RouteRule(begin, cars, equipment),
        ConsentRule(begin, cars),
    ]


def _car_checks(begin: Begin, cars: Cars, equipment: Mapping[str, Equipment]) -> list[Check]:
    """Engine, doors, comfort and charging follow from the events of a car."""
    return [
        EngineAgrees(begin, cars),
        DoorsAgree(begin, cars),
        ComfortAgrees(begin, cars),
        ComfortEnergy(begin, equipment),
        ChargeAgrees(begin, cars, equipment),
        DepartureAgrees(begin, cars),
    ]


def _people_checks(begin: Begin, people: KnownPeople) -> list[Check]:
    """Nobody does what is not theirs to do, and licences hold for what was paid."""
    return [
        ForgottenCars(begin),
        PeopleRights(begin, people),
        PeopleRequests(begin, people),
        RemindersSent(begin, people),
        MoneyAddsUp(begin, people),
        MailsFit(begin, people),
    ]


def _service_checks(
    begin: Begin, cars: Cars, people: KnownPeople, equipment: Mapping[str, Equipment], privacy: Mapping[str, str] | None
) -> list[Check]:
    """Requests, replies, the back end's services, privacy and calls."""
    begun = privacy or {}
    return [
        RequestEnds(begin),
        RepliesHeard(begin),
        RepliesFit(begin, people),
        RequestRule(begin, equipment),
        EnrolledInCar(begin, equipment),
        RepliesTrue(begin, equipment),
        PurchasesKept(begin, people),
        PartnersTold(begin, people),
        CampaignsKept(begin),
        DeskSends(begin),
        *([WillSays(begin)] if begin.dialect is None else []),
        PositionKept(begin, cars, equipment, begun),
        SilenceKept(begin, cars, equipment, begun),
        SwitchRule(begin, cars, equipment, privacy),
        DeskSwitches(begin, people),
        EmergencyCalls(begin),
        BreakdownCalls(begin),
        InfoCalls(begin),
    ]


def _report_checks(begin: Begin, cars: Cars, equipment: Mapping[str, Equipment], begun: Mapping[str, str]) -> list[Check]:
    """Alerts, wear, levels, drives, order and frames: the car reports what it does."""
    return [
        AreaAlertsAgree(begin, cars),
        SpeedAlertsAgree(begin, cars, Modes(equipment, begun)),
        WearTold(begin, cars),
        DrivingDataAgrees(begin, cars),
        UpdatesAgree(begin, cars),
        EffectsTold(begin, cars, equipment),
        WakingTakes(begin, cars),
        LevelsAgree(begin, cars, equipment),
        SpeedsPlausible(begin),
        ServicesCount(begin, cars, equipment),
        FixesAgree(begin, equipment),
        VoltageAgrees(begin, equipment),
        StatusWhole(begin, equipment),
        LeavingShares(begin),
        Odometer(begin),
        DrivesAgree(begin, cars, equipment),
        Fuel(begin),
        CapturedInOrder(begin),
        TimeRuns(begin),
        Connection(begin),
        *([Frames(begin), Acknowledgements(begin)] if begin.dialect is None else []),
    ]


def declared_rules() -> Sequence[tuple[str, CheckedRule]]:
    """Return all rules there are, each with the name of its check."""
    begin = Begin(0, "run", "begin")
    checks = [LinesKept(begin, ()), *all_checks(begin, Cars(), KnownPeople(), {})]
    return [(check.name, rule) for check in checks for rule in check.declared()]


def verify(
    path: Path,
    equipment: Mapping[str, Equipment],
    privacy: Mapping[str, str] | None = None,
    beginnings: Beginnings = unknown,
    executions: Executions | None = None,
) -> Verification:
    """Put all checks to a journal, also to one that was cut off.

    `equipment`, the `privacy` modes at the start where they are not the usual one, and the `beginnings` are by VIN, as far as
    they are known. `executions` are those of the journals before this one, to which its own are added.

    Raises JournalError for what is no journal, and OSError.
    """
    reader = JournalReader(path)
    cars, people = Cars(beginnings), KnownPeople()
    owned = MappingProxyType(dict(equipment))  # what a car has is not forgotten
    checks = [
        LinesKept(reader.begin, reader.gaps),
        *all_checks(reader.begin, cars, people, owned, privacy=privacy, executions=executions),
    ]
    routes = _Routes(
        [
            Silences(checks, cars, Modes(owned, privacy or {})).handlers(),
            *(check.handlers() for check in checks),
            cars.handlers(),
            people.handlers(),
        ]
    )
    line = unread = 0
    for line, record in enumerate(reader, 1):
        try:
            for handler in routes.of(record):
                handler(record, line)
        except _UNFIT as error:
            if not _is_unwritten(record):
                hint = f"It was written by fleet {reader.begin.version}."
                raise JournalError(f"the record cannot be judged: {error!r}", file=str(path), line=line, hint=hint) from error
            unread += 1
    end = reader.end if reader.end is not None and reader.end.complete else None
    try:
        for check in checks:
            check.finish(end, line)
    except _UNFIT as error:
        lacks = f"it lacks {error}" if isinstance(error, KeyError) else repr(error)
        raise JournalError(f"the last line is damaged: {lacks}", file=str(path), line=line) from error
    warnings = [*reader.warnings, *([f"{unread} records whose data could not be written are not judged"] if unread else [])]
    if reader.begin.dialect is not None:
        warnings.append(f"the cars spoke {reader.begin.dialect}: whether a frame is the message it stands for is not judged")
    return Verification(
        records=line,
        complete=end is not None,
        warnings=warnings,
        findings=[_finding(check) for check in checks],
    )


def _finding(check: Check) -> Finding:
    counts = check.counts()
    return Finding(
        check=check.name,
        rule=check.rule,
        looked_at=check.looked_at,
        looks_at=check.looks_at,
        broken=check.broken,
        breaches=check.breaches,
        rules=[Judged(check=check.name, rule=rule.name, words=rule.words, sides=counts[rule.name]) for rule in check.declared()],
    )


def _is_unwritten(record: Record) -> bool:
    data: Any = getattr(record, "data", None)
    return isinstance(data, dict) and NOT_WRITTEN in data


class _Routes:
    """The handlers of each kind of record, in the order of the checks."""

    def __init__(self, handlers: Sequence[Handlers]) -> None:
        self._by_route: dict[Route, list[tuple[int, Handler]]] = {}
        placed = (pair for mine in handlers for pair in mine.items())
        for place, (route, handler) in enumerate(placed):
            self._by_route.setdefault(route, []).append((place, handler))
        self._known: dict[Route, tuple[Handler, ...]] = {}
        self._names = {route[NAME] for route in self._by_route if len(route) > NAME}

    def of(self, record: Record) -> tuple[Handler, ...]:
        """Return who takes a record."""
        key: Route = (record.k, record.type, record.of) if isinstance(record, _TYPED) else (record.k,)
        if key == ANSWER:
            name = record.data["message"]["name"]  # type: ignore[union-attr]  # an answer is an output
            key = (*key, name if name in self._names else None)
        known = self._known.get(key)
        if known is None:
            asked = [pair for end in range(len(key) + 1) for pair in self._by_route.get(key[:end], ())]
            known = self._known[key] = tuple(handler for _, handler in sorted(asked, key=itemgetter(0)))
        return known
