"""People who enrol cars under the control of a test: accounts that are confirmed, QR codes, keys and codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet.cloud.centre import ASKED_BY_CENTRE
from fleet.cloud.people.records import Account, CarPeople, Consent
from fleet.cloud.people.tokens import digest_of
from fleet.cloud.rule import AskCar, CommandEnded, Mail, Proof
from fleet.wire.messages import CommandState, Event, Reply
from tests.cloud.people.lab import PeopleLab

BORN, TAVASCAN = "VSSZZZK1ZPP000001", "VSSZZZKRZS2000001"
ATECA, LEON, FORMENTOR = "VSSZZZKHZP6000001", "VSSZZZKLZPR000001", "VSSZZZKMZPR000001"
ANNA, BEA, CARL = "p1", "p2", "p3"
CODE = "8C0F2A6E5D417B93"
ALL_TEXTS = {"privacy": True, "terms": True, "contract": True}


def account_of(person: str, *, confirmed: bool = True, accepted: tuple[str, ...] = ("terms", "privacy")) -> Account:
    """Return an account, as it is after its address was confirmed, and it was completed."""
    consents = tuple(Consent(what=text, version="1", given=True, at=3, vin="") for text in accepted)
    confirmed_at = 2 if confirmed else None
    return Account(
        id=person, email=f"{person}@example.com", registered=1, confirmed=confirmed_at, country="DE", consents=consents
    )


class EnrolLab(PeopleLab):
    """Anna, Bea and Carl have accounts."""

    def __init__(self, notes: Mapping[str, Any] | None = None) -> None:
        super().__init__(notes)
        if notes is None:
            for person in (ANNA, BEA, CARL):
                self.people.put_account(account_of(person))
        self._codes = 0

    def car(self, vin: str = BORN) -> CarPeople:
        return self.people.car(vin)

    def roles(self, vin: str = BORN) -> dict[str, str]:
        return {account: user.role for account, user in self.car(vin).users.items()}

    def refused(self, service: str, action: str, vin: str | None = None, **asked: Any) -> str:
        """Ask for what must be refused, and return the reason; nothing has come of it."""
        before = dict(self.people.cars.items())
        reason = super().refused(service, action, vin, **asked)
        assert dict(self.people.cars.items()) == before
        return reason

    # --- the ways

    def shows(self, vin: str = BORN, **more: Any) -> str:
        """Have a car show a QR code, and return it."""
        self._codes += 1
        code = f"{self._codes:016X}"
        self.event("qr_shown", vin, **({"code": code, "until": self.now} | more))
        return code

    def accepts(self, person: str, vin: str = BORN) -> None:
        """Have somebody begin by QR code, and accept all texts."""
        self.done("enrol", "begin", vin, person=person, way="qr")
        self.done("enrol", "consents", vin, person=person, **ALL_TEXTS)

    def enrols(self, person: str, vin: str = BORN, *, at_home: bool = True) -> list[AskCar]:
        """Have somebody become the primary user by QR code; the car says that the person is at home in it."""
        self.accepts(person, vin)
        self.done("enrol", "scan", vin, person=person, code=self.shows(vin))
        asked = self.asked_of_car()
        if at_home:
            self.event("user_enrolled", vin, user=person, role="primary")
        return asked

    def types(self, code: str, vin: str = ATECA, **more: Any) -> Reply:
        """Have somebody type a pairing code into a car."""
        return self.request("enrolment", vin, proofs={"code": Proof(digest=digest_of(code))}, way="code", **more)

    # --- what comes of it

    def at(self, name: str, seq: int, vin: str = BORN, *, boot: int = 1, **data: Any) -> None:
        """Have a car say something under a number."""
        self.give(Event(vin=vin, boot=boot, seq=seq, captured_at=self.now, name=name, data=data))

    def asked_of_car(self) -> list[AskCar]:
        """Return what the last input has the back end want of cars, beside what their screens show."""
        return [asked for asked in self.those(AskCar) if asked.name != "show_notice"]

    def told(self) -> list[tuple[str, str]]:
        """Return the mails that the last input brings: to whom, and which."""
        return [(mail.account, mail.kind) for mail in self.those(Mail)]

    def ends(self, asked: AskCar, state: CommandState, reason: str | None = None) -> None:
        """Have a command end."""
        assert asked.id.startswith(ASKED_BY_CENTRE)
        self.give(CommandEnded(asked.id, asked.vin, state, reason))
