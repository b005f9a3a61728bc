"""Each way to enrol with a car of its kind, message by message: what car and back end say to each other is understood by both."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cloud.people.tokens import digest_of
from fleet.cloud.rule import AskCar, CentreOutput, Proof, RequestProven, SendReply
from fleet.kernel.instants import DAY, MINUTE, SECOND
from fleet.vehicle.kept import find
from fleet.vehicle.services.car_users import CarUsers
from fleet.vehicle.signals import EnrolInCar, EnterCode, PairCar, Received, ResetCar, ShowQr, UseKey
from fleet.wire.messages import Command, Event, Request
from tests.cloud.people.enrolling import ALL_TEXTS, ANNA, BEA, EnrolLab
from tests.vehicle.car_lab import equipment
from tests.vehicle.services.people_lab import SPIN
from tests.vehicle.services.people_lab import PeopleLab as CarOfPeople

KINDS = {
    "qr": ("Born", None, "media_system"),
    "assistant": ("Leon", "petrol", "navi_system"),
    "two_keys": ("Leon", "petrol", "media_system"),
    "code": ("Ateca", "petrol", "media_system"),
}


WAKING = 70 * SECOND
"""How long a car that sleeps takes to obey, at most."""


class Home:
    """A car, and the back end that hears it; the S-PIN of everybody is that of the lab."""

    def __init__(self, way: str) -> None:
        model, energy, media = KINDS[way]
        self.way = way
        self.car = CarOfPeople(equipment(model, energy, media=media))
        self.back_end = EnrolLab()
        self.back_end.now = self.car.now
        self._heard = len(self.car.sent)
        self.asked: list[AskCar] = []

    @property
    def vin(self) -> str:
        return self.car.car.vin

    def talk(self) -> None:
        """Pass on what both have to say, until they are silent."""
        while self._heard < len(self.car.sent):
            message = self.car.sent[self._heard]
            self._heard += 1
            self.back_end.now = self.car.now
            if isinstance(message, Request):
                self.obey(self.back_end.give(self._proven(message)))
            elif isinstance(message, Event) and self.back_end.centre.wants(message):
                self.obey(self.back_end.give(message))

    def _proven(self, request: Request) -> Request | RequestProven:
        """Prove what is secret in a request, as the driver of the centre does."""
        proofs = {}
        if "code" in request.data:
            proofs["code"] = Proof(digest=digest_of(request.data["code"]))
        if "sealed_spin" in request.data:
            proofs["spin"] = Proof(right=self.car.opened(request) == SPIN, account=request.data["user"])
        public = {name: value for name, value in request.data.items() if name not in {"code", "sealed_spin"}}
        return RequestProven(replace(request, data=public), proofs) if proofs else request

    def obey(self, outputs: list[CentreOutput]) -> None:
        for output in outputs:
            if isinstance(output, SendReply):
                self.car.put(Received(output.reply))
            elif isinstance(output, AskCar):
                self.asked.append(output)
                self._send(output)

    def _send(self, asked: AskCar) -> None:
        now = self.car.now
        command = Command(
            id=asked.id, vin=asked.vin, name=asked.name, issued_at=now, expires_at=now + DAY, parameters=dict(asked.parameters)
        )
        self.car.put(Received(command))
        self.car.run_for(WAKING)

    def ask(self, action: str, person: str, **words: Any) -> Any:
        """Have somebody do something in the app, and let both talk."""
        answer = self.back_end.done("enrol", action, self.vin, person=person, **words)
        self.obey(self.back_end.last)
        self.talk()
        return answer

    def do(self, *signals: Any) -> None:
        for signal in signals:
            self.car.put(signal)
            self.talk()

    def enrols(self, person: str) -> None:
        """Go the whole way."""
        match self.way:
            case "qr":
                self.do(ShowQr())
                self.ask("begin", person, way="qr", code=self.car.told("qr_shown")[-1]["code"])
                self.ask("consents", person, **ALL_TEXTS)
                self.do(ShowQr())
                self.ask("scan", person, code=self.car.told("qr_shown")[-1]["code"])
            case "assistant":
                self.do(EnrolInCar(person, self.car.sealed()))
            case "two_keys":
                self.ask("begin", person, way="two_keys")
                self.do(UseKey("first"), UseKey("second"))
            case _:
                secrets = self.ask("begin", person, way="code").secrets
                self.do(EnterCode(secrets["code"]))

    def in_car(self) -> dict[str, str]:
        users = find(self.car.car, CarUsers)
        return {} if users is None else dict(users.roles)

    def is_in_step(self) -> bool:
        users = self.back_end.car(self.vin).users
        return self.in_car() == {account: user.role for account, user in users.items() if not user.awaited}


@pytest.mark.parametrize("way", KINDS)
def test_somebody_enrols_and_both_say_so(way: str) -> None:
    home = Home(way)
    home.enrols(ANNA)
    assert home.back_end.roles(home.vin) == home.in_car() == {ANNA: "primary"}
    assert home.is_in_step()
    assert home.car.failures() == []
    assert home.car.told("user_enrolled") == [{"user": ANNA, "role": "primary"}]
    assert home.back_end.car(home.vin).navi == (way == "assistant")


@pytest.mark.parametrize("way", KINDS)
@pytest.mark.parametrize("reset", [False, True])
def test_somebody_takes_the_car_over_or_enrols_on_one_that_was_reset(way: str, *, reset: bool) -> None:
    """The car forgets the previous owner in both cases, and what it says at that undoes nothing."""
    home = Home(way)
    home.enrols(ANNA)
    if reset:
        home.do(ResetCar())
        assert home.back_end.roles(home.vin) == home.in_car() == {}
    home.enrols(BEA)
    assert home.back_end.roles(home.vin) == home.in_car() == {BEA: "primary"}
    assert home.is_in_step()
    assert [data.get("by") for data in home.car.told("car_reset")] == ["car" if reset else "enrolment"]
    told = [(mail.account, mail.kind) for mail in home.back_end.mails]
    assert told == [
        (ANNA, "enrolled"), *([(ANNA, "user_removed")] if reset else []),
        (BEA, "enrolled"), *([] if reset else [(ANNA, "taken_over")]),
    ]  # fmt: skip


def test_the_second_key_first_enrols_nobody() -> None:
    home = Home("two_keys")
    home.ask("begin", ANNA, way="two_keys")
    home.do(UseKey("second"), UseKey("first"))
    assert home.back_end.roles(home.vin) == {}
    home.do(UseKey("second"))
    assert home.back_end.roles(home.vin) == {ANNA: "primary"}


def test_a_qr_code_is_over_after_five_minutes_whatever_the_car_shows() -> None:
    home = Home("qr")
    home.ask("begin", ANNA, way="qr")
    home.ask("consents", ANNA, **ALL_TEXTS)
    home.do(ShowQr())
    code = home.car.told("qr_shown")[-1]["code"]
    home.car.run_for(5 * MINUTE)
    home.back_end.now = home.car.now
    assert home.back_end.refused("enrol", "scan", home.vin, person=ANNA, code=code) == "code_expired"


@pytest.mark.parametrize("wrong", ["99999999", "1234567", "eight888"])
def test_a_wrong_code_enrols_nobody(wrong: str) -> None:
    home = Home("code")
    home.ask("begin", ANNA, way="code")
    home.do(EnterCode(wrong))
    assert home.back_end.roles(home.vin) == {}
    assert home.car.failures()[-1][1] in {"code_wrong", "malformed"}


def family(way: str = "qr") -> Home:
    home = Home(way)
    home.enrols(ANNA)
    home.back_end.done("users", "invite", home.vin, person=ANNA, email="p2@example.com")
    home.obey(home.back_end.last)
    home.talk()
    return home


def test_the_list_in_the_car_is_kept_in_step() -> None:
    home = family()
    assert home.in_car() == {ANNA: "primary", BEA: "additional"}
    assert home.is_in_step()
    home.ask("remove", BEA)
    assert home.in_car() == {ANNA: "primary"}
    assert home.back_end.car(home.vin).forgetting == ()
    assert home.is_in_step()


def test_a_car_that_is_taken_out_of_the_garage_has_its_factory_settings() -> None:
    home = family()
    home.ask("remove", ANNA)
    assert home.back_end.roles(home.vin) == home.in_car() == {}
    assert home.back_end.car(home.vin).forgetting == ()
    assert home.car.car.outbox.muted
    home.enrols(BEA)
    assert home.in_car() == {BEA: "primary"}


def test_the_old_way_pairs_nobody_in_a_car_with_people() -> None:
    home = family()
    home.do(ResetCar(), PairCar())
    assert home.car.told("car_paired")
    rights = home.back_end.rights(home.vin)
    assert rights is not None
    assert rights.users == {}
