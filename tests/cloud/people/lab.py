"""The rules about people under the control of a test: what they are asked, and what comes out. Plays the driver of the centre."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import msgspec
import pytest

from fleet.cloud import car_settings
from fleet.cloud.car_settings import ReportedSettings
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.desk_io import Answer, RightsChanged
from fleet.cloud.people.enrolment import FRESH_CODE
from fleet.cloud.people.people import RULE, People
from fleet.cloud.people.records import Account
from fleet.cloud.people.rule import PeopleRule
from fleet.cloud.people.shelves import Shelf
from fleet.cloud.people.tokens import PREFIX, digest_of, pairing_code_of
from fleet.cloud.rights import CarRights
from fleet.cloud.rule import CentreInput, CentreOutput, ClockMoved, Keep, Mail, Proof, RequestProven, SendReply, ServiceAsked
from fleet.kernel.instants import Duration
from fleet.wire.messages import DeskAnswer, Event, Reply, Request, ServiceRequest

VIN = "VSSZZZKMZPR000001"
OTHER = "VSSZZZKMZPR000002"
START = 1_772_424_000_000_000
"""2026-03-02T04:00Z, a Monday."""
TOPIC = "fleet/v1/desk/answer/t"
PASSWORD = "correct horse"
SPIN = "0815"
DETAILS: Mapping[str, Any] = {
    "first_name": "Anna", "last_name": "Ek", "birth_date": "1990-05-17", "country": "SE", "terms": "2026-1", "privacy": "2026-1",
}  # fmt: skip
OutputT = TypeVar("OutputT")


def forbid_walks(monkeypatch: pytest.MonkeyPatch, kind: type[Shelf[Any]]) -> None:
    """Have a walk over a whole shelf of this kind fail."""

    def walked(_: object) -> NoReturn:
        pytest.fail("a whole shelf was walked")

    for name in ("__iter__", "items", "values"):
        monkeypatch.setattr(kind, name, walked)


class PeopleLab:
    """A centre with the rule about people alone; `now` is set by the test. `outputs` are all, `last` those of the last input."""

    def __init__(self, notes: Mapping[str, Any] | None = None) -> None:
        self.now = START
        self.outputs: list[CentreOutput] = []
        self.last: list[CentreOutput] = []
        self.in_desk: dict[str, ReportedSettings] = {}
        """What the desk knows of the switches in the cars."""
        self.notes: dict[str, Any] = dict(notes or {})
        self.centre = ServiceCentre((PeopleRule,), {RULE: self.notes})
        self._asked = 0
        self._seq = 0
        self._words = 0

    @property
    def people(self) -> People:
        rule = self.centre.find(PeopleRule)
        assert rule is not None
        return rule.people

    def give(self, message: CentreInput) -> list[CentreOutput]:
        self.last = self.centre.receive(message, self.now)
        self.outputs += self.last
        return self.last

    def wait(self, duration: Duration) -> list[CentreOutput]:
        """Let time pass, and wake the centre at each deadline on the way."""
        until = self.now + duration
        woken: list[CentreOutput] = []
        while (due := self.centre.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            woken += self.centre.wake(self.now)
        self.now = until
        self.last = woken
        self.outputs += woken
        return woken

    def ask(
        self, service: str, action: str, vin: str | None = None, *, person: str | None = None, unknown: tuple[str, ...] = (),
        proofs: Mapping[str, Proof] | None = None, session: str | None = None, origin: str | None = None, **data: Any,
    ) -> DeskAnswer:  # fmt: skip
        """Ask as a person (by account, e-mail, user name or number) or in a session, and return the answer."""
        self._asked += 1
        asker = None if person is None else self.people.named(person)
        account = None if asker is None else asker.id
        proven = dict(proofs or {})
        if session is not None:
            account = self.people.in_session(digest_of(session), self.now)
            proven["session"] = Proof(right=account is not None, account=account, digest=digest_of(session))
        request = ServiceRequest(
            id=f"r{self._asked}", service=service, action=action, vin=vin, data=data, user=person, origin=origin
        )  # fmt: skip
        reported = None if vin is None else self.in_desk.get(vin)
        fresh = (self.word(), self.word())
        proven.setdefault(FRESH_CODE, Proof(digest=digest_of(pairing_code_of(fresh[0]))))
        self.give(ServiceAsked(request, TOPIC, unknown, account, proven, fresh, reported))
        (answer,) = self.those(Answer)
        return answer.answer

    def set_clock(self, shift: Duration) -> None:
        """Announce scenario time anew: it jumps by this."""
        self.now += shift
        self.give(ClockMoved(shift))

    # --- accounts

    def person(
        self, email: str = "anna@example.com", *, confirmed: bool = True, complete: bool = True, identified: bool = False,
        password: str = PASSWORD, **details: Any,
    ) -> str:  # fmt: skip
        """Have a person register, follow the link, complete the account, and see a dealer; return the account's id."""
        self.done("account", "register", email=email, proofs=self.secrets(new_password=password))
        account = self.people.named(email)
        assert account is not None
        if confirmed:
            self.done("account", "confirm", proofs=self.secrets(link=self.those(Mail)[0].secret))
        if complete:
            self.done("account", "complete", person=account.id, **{**DETAILS, **details})
        if identified:
            self.done("account", "identify", person=account.id, dealer="North")
        return account.id

    def log_in(self, person: str, device: str = "phone", password: str = PASSWORD) -> str:
        """Have a person log in, and return the token of the session."""
        proofs = self.secrets(person, password=password)
        secrets = self.done("account", "log_in", person=person, device=device, proofs=proofs).secrets
        assert secrets is not None
        return secrets["session"]

    def secrets(self, person: str | None = None, **secrets: str) -> dict[str, Proof]:
        """Return what the driver proves of secrets of a person: by their names, as it does.

        `password` and `spin` are held against those of the person, those that are new are hashed, others looked up.
        """
        account = None if person is None else self.people.named(person)
        return {name: self._proof(name, secret, account) for name, secret in secrets.items()}

    def _proof(self, name: str, secret: str, account: Account | None) -> Proof:
        if name in {"new_password", "new_spin"}:
            return Proof(digest=_hash(secret))
        if name == "password" and account is not None:
            return Proof(right=_hash(secret) == account.password, account=account.id, against=account.password_version)
        if name == "spin" and account is not None:
            return Proof(right=True, account=account.id) if secret == SPIN else Proof(refused="spin_wrong")
        return Proof(digest=digest_of(secret))

    def done(self, service: str, action: str, vin: str | None = None, **asked: Any) -> DeskAnswer:
        """Ask for what must be done."""
        answer = self.ask(service, action, vin, **asked)
        assert answer.state == "succeeded", (answer.reason, answer.detail)
        return answer

    def refused(self, service: str, action: str, vin: str | None = None, **asked: Any) -> str:
        """Ask for what must be refused, and return the reason."""
        answer = self.ask(service, action, vin, **asked)
        assert answer.state == "rejected", answer.data
        assert answer.reason is not None
        return answer.reason

    def word(self) -> str:
        """Return a word that nobody can guess, as a driver makes them."""
        self._words += 1
        return f"{PREFIX}x{self._words:023}"

    def event(self, name: str, vin: str = VIN, **data: Any) -> list[CentreOutput]:
        self._seq += 1
        event = Event(vin=vin, boot=1, seq=self._seq, captured_at=self.now, name=name, data=data)
        if (reported := car_settings.after(self.in_desk.get(vin), event)) is not None:
            self.in_desk[vin] = reported
        return self.give(event) if self.centre.wants(event) else []

    def request(self, name: str, vin: str = VIN, *, proofs: Mapping[str, Proof] | None = None, **data: Any) -> Reply:
        """Have a car ask, and return the reply."""
        self._seq += 1
        asked = Request(vin=vin, boot=1, seq=self._seq, captured_at=self.now, id=f"q{self._seq}", name=name, data=data)
        self.give(asked if proofs is None else RequestProven(asked, proofs, self.in_desk.get(vin)))
        (reply,) = self.those(SendReply)
        return reply.reply

    def late_request(self, name: str, vin: str = VIN, **data: Any) -> None:
        """Have a car ask something for whose answer nobody waits any more."""
        self._seq += 1
        asked = Request(vin=vin, boot=1, seq=self._seq, captured_at=self.now - 9, id=f"q{self._seq}", name=name, data=data)
        self.give(msgspec.structs.replace(asked, expires_at=self.now))

    def those(self, kind: type[OutputT]) -> list[OutputT]:
        """Return the outputs of the last input that are of a kind."""
        return [output for output in self.last if isinstance(output, kind)]

    @property
    def answers(self) -> list[DeskAnswer]:
        """The answers so far."""
        return [output.answer for output in self.outputs if isinstance(output, Answer)]

    @property
    def mails(self) -> list[Mail]:
        """The mails and pushes so far."""
        return [output for output in self.outputs if isinstance(output, Mail)]

    def rights(self, vin: str = VIN) -> CarRights | None:
        """Return the rights of a car as the desk knows them."""
        told = [output for output in self.outputs if isinstance(output, RightsChanged) and output.vin == vin]
        return told[-1].rights if told else None

    def again(self) -> PeopleLab:
        """Return a lab that goes on from what was kept, as after a restart."""
        kept = dict(self.notes)
        for output in self.outputs:
            if isinstance(output, Keep) and output.module == RULE:
                if output.value is None:
                    kept.pop(output.key, None)
                else:
                    kept[output.key] = msgspec.json.decode(output.value)
        lab = PeopleLab(kept)
        lab.now = self.now
        return lab


def _hash(secret: str) -> str:
    """Return what stands for the hash of a secret."""
    return f"$argon2id$lab${secret.encode().hex()}"
