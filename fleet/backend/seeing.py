"""A store as a person may see it: what rights and privacy forbid is not there. For tools, and for whatever else shows cars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec

from fleet.backend.reader import CarRow, MessageRow, NoticeRow, StoreReader
from fleet.cloud.car_settings import MODULE, ReportedSettings
from fleet.cloud.people.people import RULE, People
from fleet.cloud.rights import PRIMARY
from fleet.cloud.rule import Notes
from fleet.cloud.sight import Sight, shown, shown_notice, shown_twin, visible
from fleet.cloud.twin import Twin, merge_status
from fleet.errors import FleetError
from fleet.wire.messages import Status

LOOKED_THROUGH: Final = 500
"""Statuses in which the last state before a private time is looked for."""


class NotVisible(FleetError):
    """A person may see nothing of a car. `reason` is a word of the contract."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class SeenBy:
    """A store through the eyes of a person: an account, e-mail, user name or mobile number, or `primary` of each car."""

    def __init__(self, reader: StoreReader, person: str) -> None:
        """Read what is known of people. Raises NotVisible when nobody has such an account."""
        self._reader = reader
        self._people = People(Notes(reader.service_state(RULE)))
        self._reported = msgspec.convert(reader.service_state(MODULE), dict[str, ReportedSettings])
        self._now = reader.present()
        account = None if person == PRIMARY else self._people.named(person)
        if account is None and person != PRIMARY:
            raise NotVisible("insufficient_rights", f"nobody has an account by the name of {person!r}")
        self._account = None if account is None else account.id

    def sight(self, vin: str) -> Sight:
        """Return what the person may see of a car. Raises NotVisible."""
        rights = self._people.rights_of(vin)
        who = self._account
        if who is None and rights is not None and rights.people:
            who = rights.primary
        found = visible(rights, self._reported.get(vin), who, self._now)
        if not isinstance(found, Sight):
            raise NotVisible(*found)
        return found

    def cars(self) -> list[CarRow]:
        """Return the cars of the person, each with as much of its newest state as may be seen."""
        mine = None if self._account is None else self._people.cars_of(self._account)
        return [self._row(row) for row in self._reader.cars() if mine is None or row.vin in mine]

    def _row(self, row: CarRow) -> CarRow:
        try:
            twin = self.status(row.vin)
        except NotVisible:
            twin = None
        if twin is None:
            return CarRow(row.vin, None, None, None, None, None, None, 0, 0)
        place = twin.position
        return replace(
            row,
            state=twin.state,
            connection=twin.connection,
            connection_reason=twin.connection_reason,
            latitude=None if place is None else place.latitude,
            longitude=None if place is None else place.longitude,
            mileage_km=twin.mileage_km,
            captured_at=twin.captured_at,
        )

    def status(self, vin: str) -> Twin | None:
        """Return the newest state of a car that may be seen, None when there is none. Raises NotVisible."""
        sight = self.sight(vin)
        twin = self._reader.status(vin)
        seen = None if twin is None else shown_twin(sight, twin)
        if twin is None or (seen is not None and seen.stamps.keys() == twin.stamps.keys()):
            return seen
        seen = seen or Twin(vin=vin)
        for row in self._of(sight, vin, limit=LOOKED_THROUGH, kind="status"):
            merge_status(seen, msgspec.convert(row.content, Status))  # from before it was switched
        return seen if seen.stamps else None

    def history(self, vin: str, *, limit: int = 20, kind: str | None = None) -> list[MessageRow]:
        """Return the messages of a car that may be seen, the newest first. Raises NotVisible."""
        return self._of(self.sight(vin), vin, limit=limit, kind=kind)

    def _of(self, sight: Sight, vin: str, *, limit: int, kind: str | None) -> list[MessageRow]:
        def see(row: MessageRow) -> MessageRow | None:
            content = shown(sight, row.kind, row.name, row.captured_at, row.content)
            return None if content is None else replace(row, content=content)

        return _first(limit, lambda most: self._reader.history(vin, limit=most, since=sight.since, kind=kind), see)

    def notices(self, *, vin: str | None = None, limit: int = 100) -> list[NoticeRow]:
        """Return the notices about a car, or about all cars of the person, that may be seen. Raises NotVisible for the one."""
        sights: dict[str, Sight | None] = {}
        if vin is not None:
            sights[vin] = self.sight(vin)

        def see(row: NoticeRow) -> NoticeRow | None:
            if row.vin not in sights:
                sights[row.vin] = self._sight_of_mine(row.vin)
            sight = sights[row.vin]
            data = None if sight is None else shown_notice(sight, row.to, row.at, row.data)
            return None if data is None else replace(row, data=data)

        return _first(limit, lambda most: self._reader.notices(vin=vin, limit=most), see)

    def _sight_of_mine(self, vin: str) -> Sight | None:
        try:
            return self.sight(vin)
        except NotVisible:
            return None


def _first(limit: int, fetch: Callable[[int], list[Any]], see: Callable[[Any], Any]) -> list[Any]:
    """Return as many rows as are wanted of those that may be seen, fetching more until they are enough."""
    most = limit
    while True:
        rows = fetch(most)
        seen = [row for row in map(see, rows) if row is not None]
        if len(seen) >= limit or len(rows) < most:
            return seen[:limit]
        most *= 4
