"""The rule about people in the service centre: its parts on one state, and what desk and cars are to know of each change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from fleet.cloud.desk_io import RightsChanged
from fleet.cloud.people import sessions
from fleet.cloud.people.mails import PARTNER_CLOSED, mail_to, with_pushes
from fleet.cloud.people.part import Asking, Part, ask
from fleet.cloud.people.people import RULE, People
from fleet.cloud.people.privacy import know_switches
from fleet.cloud.people.registry import PARTS
from fleet.cloud.rights import CarRights
from fleet.cloud.rule import (
    CommandEnded,
    Done,
    Erase,
    Notes,
    Notify,
    RequestProven,
    RequestRefused,
    Rule,
    RuleOutput,
    ServiceAsked,
)
from fleet.kernel.instants import Duration, Instant
from fleet.wire.messages import Event, Request


class PeopleRule(Rule):
    """Gives each part what it is for. After each step the rights of every car that it concerned go to the desk."""

    name: ClassVar[str] = RULE
    parts: ClassVar[tuple[type[Part], ...]] = PARTS
    events: ClassVar[frozenset[str]] = frozenset(name for part in PARTS for name in part.events)
    requests: ClassVar[frozenset[str]] = frozenset(name for part in PARTS for name in part.requests)
    notices: ClassVar[frozenset[str]] = frozenset({PARTNER_CLOSED})
    serves: ClassVar[frozenset[str]] = frozenset(part.service for part in PARTS)
    any_car: ClassVar[bool] = True
    knows_rights: ClassVar[bool] = True

    def __init__(self, notes: Notes) -> None:
        """Go on from the notes."""
        super().__init__(notes)
        self.people = People(notes)
        self._parts = [kind(self.people) for kind in self.parts]
        self._of_service = {part.service: part for part in self._parts}
        self._told: dict[str, CarRights | None] = dict(self.people.all_rights())
        self.rights_of = self._told.get

    def takes(self, request: Request) -> bool:
        """Tell whether the part that answers such requests wants this one."""
        return self._part_of(request).takes(request)

    def _part_of(self, request: Request) -> Part:
        return next(part for part in self._parts if request.name in part.requests)

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:
        """Give an event to the parts that want it."""
        return self._with_rights([output for part in self._hearing(event) for output in part.event(event, now)])

    def hears(self, event: Event) -> bool:
        """Tell whether a part wants it."""
        return bool(self._hearing(event))

    def _hearing(self, event: Event) -> list[Part]:
        return [part for part in self._parts if event.name in part.events and part.hears(event)]

    def request(self, request: Request, now: Instant) -> Sequence[RuleOutput]:
        """Give a request to its part."""
        return self._with_rights(self._part_of(request).request(request, {}, now))

    def proven(self, proven: RequestProven, now: Instant) -> Sequence[RuleOutput]:
        """Give a request whose secrets were proven to its part."""
        request = proven.request
        outputs = self._part_of(request).request(request, proven.proofs, now)
        know_switches(self.people, request.vin, proven.reported)
        return self._with_rights(outputs)

    def asked_by(self, asked: ServiceAsked, now: Instant) -> Done | RequestRefused:
        """Have the part of the service do the action; in a session that goes on by it."""
        asking = Asking(asked, now)
        if asking.session is not None:
            sessions.used(self.people, asking.session, now)
        done = ask(self._of_service[asked.request.service], asking)
        know_switches(self.people, asked.request.vin, asked.reported)
        return replace(done, outputs=self._with_rights(done.outputs))

    def noticed(self, notice: Notify, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Mail the primary user of a car the same that the notice says."""
        car = self.people.cars.get(notice.vin)
        primary = None if car is None else self.people.accounts.get(car.primary)
        if primary is None:
            return ()
        return self._with_rights([mail_to(primary, notice.kind, vin=notice.vin, **notice.data)])

    def command_ended(self, ended: CommandEnded, now: Instant) -> Sequence[RuleOutput]:
        """Give the end of a command to the part that asked for it."""
        part = self._of_service.get(ended.id.partition("-")[0])
        return () if part is None else self._with_rights(part.command_ended(ended, now))

    def has_pending_times(self) -> bool:
        """Tell whether a part has something to move."""
        return any(part.has_pending_times() for part in self._parts)

    def clock_moved(self, shift: Duration, now: Instant) -> Sequence[RuleOutput]:
        """Have each part move what is still to come, and let an earlier clock begin anew."""
        for part in self._parts:
            part.clock_moved(shift)
            if shift < 0:
                part.set_back(now)
        return self._with_rights(())

    def session_used(self, session: str, now: Instant) -> Sequence[RuleOutput]:
        """Note that a session goes on."""
        sessions.used(self.people, session, now)
        return ()

    def spin_locked(self, account: str, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Tell the owner of an S-PIN that it is locked."""
        owner = self.people.accounts.get(account)
        return [] if owner is None else with_pushes([mail_to(owner, "spin_locked")], self.people.accounts.get)

    def forget(self, erased: Erase) -> None:
        """Drop nothing: the part that wanted it has done so, and keeps what the law does."""

    def deadline(self) -> Instant | None:
        """Return when the first part has something to do."""
        return min((due for part in self._parts if (due := part.deadline()) is not None), default=None)

    def wake(self, now: Instant) -> Sequence[RuleOutput]:
        """Have each part do what is due."""
        outputs: list[RuleOutput] = []
        for part in self._parts:
            due = part.deadline()
            if due is not None and due <= now:
                outputs += part.wake(now)
        return self._with_rights(outputs)

    def _with_rights(self, outputs: Sequence[RuleOutput]) -> list[RuleOutput]:
        """Return the outputs, pushes beside mails, and before them the rights that have changed.

        Who lost a right must not be served by what follows.
        """
        changed: list[RuleOutput] = []
        for vin in self.people.take_touched():
            rights = self.people.rights_of(vin)
            if rights != self._told.get(vin):
                self._told[vin] = rights
                changed.append(RightsChanged(vin, rights))
        return [*changed, *with_pushes(outputs, self.people.accounts.get)]
