"""Export and erasure, as the rule about people decides them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.cloud.centre import ServiceCentre
from fleet.cloud.desk_io import ForgetSpin, RightsChanged
from fleet.cloud.people.erasure import AGAIN_AFTER, SUBJECT, asked_to_forget, subjects_of
from fleet.cloud.people.people import RULE, erased_cars_in
from fleet.cloud.people.records import CarPeople, CarUser, Consent, Invoice, Licence, Purchase
from fleet.cloud.people.tokens import digest_of
from fleet.cloud.registry import RULES
from fleet.cloud.rule import AskCar, CommandEnded, Erase, ErasedCar, Keep, Mail, Proof, ServiceAsked
from fleet.kernel.instants import DAY, SECOND
from fleet.wire.messages import DeskAnswer, ServiceRequest
from tests.cloud.people.lab import OTHER, START, VIN, PeopleLab

THIRD = "VSSZZZKMZPR000003"
ANNA, BEA = "anna@example.com", "bea@example.com"


class ErasureLab(PeopleLab):
    """Anna has a car of her own, and uses Bea's; she has bought something for hers."""

    def __init__(self) -> None:
        super().__init__()
        self.anna, self.bea = self.person(ANNA, last_name="Zetterlund"), self.person(BEA)
        people = self.people
        people.put_account(replace(people.accounts[self.anna], user_name="anna1"))
        licence = Licence(id="l1", product="connect", packages=("remote",), begins=0, ends=2 * START)
        people.put_car(CarPeople(
            vin=VIN, managed=True, licences=(licence,),
            users={self.anna: CarUser(role="primary", since=START), self.bea: CarUser(role="guest", since=START)},
        ))  # fmt: skip
        people.put_car(CarPeople(
            vin=OTHER, managed=True,
            users={self.bea: CarUser(role="primary", since=START + 10), self.anna: CarUser(role="additional", since=START + 10)},
        ))  # fmt: skip
        people.purchases.put("p", Purchase(
            id="p", vin=VIN, account=self.anna, product="data_plan", price_cents=900, at=START, invoice="i1"
        ))  # fmt: skip
        people.invoices.put("i1", Invoice(
            number="i1", cents=900, at=START, account=self.anna, purchase="p", words="data_plan"
        ))  # fmt: skip
        self.log_in(ANNA)

    def erase(self, vin: str | None = None, person: str | None = ANNA, **data: Any) -> DeskAnswer:
        named = None if person is None else self.people.named(person)
        subjects = subjects_of(self.people, vin, None if named is None else named.id)
        proofs = {SUBJECT + each: Proof(digest=digest_of(each)) for each in subjects}
        return self.ask("erasure", "erase", vin, person=person, proofs=proofs, **data)

    def remembered(self) -> str:
        """Return what the centre remembers of its answers, as it was stored."""
        kept = {output.key: output.value for output in self.outputs if isinstance(output, Keep) and output.module == "centre"}
        return repr([value for value in kept.values() if value is not None])

    def text(self) -> str:
        """Return all notes of the rule, as the store has them after the outputs so far."""
        return repr(self.again().notes)


def test_nothing_of_an_erased_person_is_left_in_the_notes() -> None:
    """E-mail, names, the car, what was bought; the car of somebody else and its user stay."""
    lab = ErasureLab()
    answer = lab.erase(scope="person")
    assert answer.data is not None
    assert answer.data["counts"] == {
        "cars": 1, "former_cars": 0, "licences": 1, "purchases": 1, "invoices_kept": 1, "sessions": 1
    }  # fmt: skip
    (erase,) = lab.those(Erase)
    assert (erase.vins, erase.account, set(erase.words)) == ((VIN,), lab.anna, {ANNA, "anna1"})
    assert lab.those(ForgetSpin) == [ForgetSpin(lab.anna)]
    (command,) = [asked for asked in lab.those(AskCar) if asked.vin == VIN]
    lab.give(CommandEnded(command.id, VIN, "succeeded", None))
    text = lab.text()
    for word in (ANNA, "anna1", VIN, "Zetterlund"):
        assert word not in text, word
    assert BEA in text
    assert OTHER in text
    assert lab.people.cars[OTHER].users.keys() == {lab.bea}


def test_of_an_invoice_number_amount_and_date_stay() -> None:
    """The law wants them kept, whoever is forgotten."""
    lab = ErasureLab()
    lab.erase(scope="person")
    assert dict(lab.people.invoices.items()) == {"i1": Invoice(number="i1", cents=900, at=START)}


def test_nobody_may_do_anything_with_an_erased_car() -> None:
    """The desk hears of it before anything else follows."""
    lab = ErasureLab()
    lab.erase(VIN)
    assert isinstance(lab.last[[type(output) for output in lab.last].index(RightsChanged)], RightsChanged)
    kinds = [type(output) for output in lab.last if not isinstance(output, Keep)]
    assert kinds.index(RightsChanged) < kinds.index(Erase) < kinds.index(AskCar)
    assert lab.people.cars_of(lab.anna) == {OTHER}
    assert lab.people.named(ANNA) is not None


def test_data_alone_leave_account_car_and_licences() -> None:
    lab = ErasureLab()
    answer = lab.erase(scope="data")
    assert answer.data is not None
    assert (answer.data["scope"], answer.data["waiting"]) == ("data", 0)
    (erase,) = lab.those(Erase)
    assert [(car.vin, car.whole, car.until) for car in erase.cars] == [(VIN, False, lab.now)]
    assert lab.people.cars[VIN].licences
    assert lab.people.named(ANNA) is not None
    assert lab.those(AskCar) == []


def test_a_former_owner_takes_the_own_time_alone() -> None:
    """What the present owner's car has said since is not the former one's."""
    lab = ErasureLab()
    account = lab.people.accounts[lab.anna]
    contract = Consent(what="contract", version="1", given=True, at=0, vin=THIRD)
    lab.people.put_account(replace(account, consents=(*account.consents, contract)))
    lab.people.put_car(CarPeople(vin=THIRD, managed=True, users={lab.bea: CarUser(role="primary", since=START + 77)}))
    lab.erase(scope="person")
    (erase,) = lab.those(Erase)
    assert {car.vin: (car.whole, car.until) for car in erase.cars} == {VIN: (True, lab.now), THIRD: (False, START + 76)}


def had(lab: ErasureLab, person: str, vin: str, at: int) -> None:
    """Have a person accept the contract for a car, as with an enrolment."""
    account = lab.people.accounts[person]
    contract = Consent(what="contract", version="1", given=True, at=at, vin=vin)
    lab.people.put_account(replace(account, consents=(*account.consents, contract)))


def former(lab: ErasureLab) -> dict[str, int]:
    """Erase Anna, and return her former cars, each with up to when its data go."""
    lab.erase(scope="person")
    (erase,) = lab.those(Erase)
    return {car.vin: car.until for car in erase.cars if not car.whole}


def test_of_a_car_that_was_given_back_all_goes_that_was_measured_up_to_now() -> None:
    """Nobody has it: neither where it is known, nor where nothing is left of it but the person's contract."""
    lab = ErasureLab()
    fourth = "VSSZZZKMZPR000004"
    had(lab, lab.anna, THIRD, START)
    had(lab, lab.anna, fourth, START)
    lab.people.put_car(CarPeople(vin=THIRD, managed=True))
    assert former(lab) == {THIRD: lab.now, fourth: lab.now}
    assert set(erased_cars_in(lab.again().notes)) >= {ErasedCar("", False, lab.now, digest_of(THIRD))}


def test_of_a_car_that_somebody_else_has_given_back_since_their_time_stays() -> None:
    """And the time of whoever had it before does not end the person's own."""
    lab = ErasureLab()
    had(lab, lab.bea, THIRD, START - 9)
    had(lab, lab.anna, THIRD, START - 5)
    had(lab, lab.bea, THIRD, START - 2)
    lab.people.put_car(CarPeople(vin=THIRD, managed=True))
    assert former(lab) == {THIRD: START - 3}


def test_a_former_owner_who_is_a_guest_now_takes_the_own_time() -> None:
    lab = ErasureLab()
    had(lab, lab.anna, OTHER, START)
    assert former(lab) == {OTHER: START + 9}


def test_only_the_primary_user_erases_a_car() -> None:
    """No guest, nobody whose session is over, and nobody else."""
    lab = ErasureLab()
    assert lab.refused("erasure", "erase", VIN, person=BEA) == "insufficient_rights"
    assert lab.refused("erasure", "erase", OTHER, person=ANNA, scope="data") == "insufficient_rights"
    assert lab.refused("erasure", "erase", VIN, session="fleet_" + "x" * 24) == "insufficient_rights"
    assert lab.refused("erasure", "erase", person="nobody@example.com") == "insufficient_rights"
    assert lab.refused("erasure", "erase", THIRD, person=None, scope="person") == "malformed"
    assert lab.refused("erasure", "erase", VIN, person=ANNA, scope="all") in {"malformed", "argument_out_of_range"}
    assert lab.those(Erase) == []
    assert VIN in lab.people.cars


def test_a_car_that_cannot_obey_is_asked_again() -> None:
    """It is being driven, or away for a week; in the meantime its VIN alone is kept, with the command."""
    lab = ErasureLab()
    lab.erase(VIN)
    (first,) = [asked for asked in lab.those(AskCar) if asked.vin == VIN]
    assert (first.name, dict(first.parameters)) == ("reset", {})
    lab.give(CommandEnded(first.id, VIN, "rejected", "not_parked"))
    (gone,) = lab.those(Erase)
    assert (gone.cars, gone.commands, gone.words) == ((), (first.id,), ())
    lab.wait(AGAIN_AFTER + SECOND)
    (second,) = lab.those(AskCar)
    assert (second.vin, second.name) == (VIN, "reset")
    assert second.id != first.id
    lab.give(CommandEnded(second.id, VIN, "succeeded", None))
    (gone,) = lab.those(Erase)
    assert gone.words == (VIN,)
    assert VIN not in lab.text()
    assert lab.centre.deadline() is None


def test_what_is_waited_for_survives_a_restart_and_a_clock_that_is_set() -> None:
    lab = ErasureLab()
    lab.erase(VIN)
    (first,) = [asked for asked in lab.those(AskCar) if asked.vin == VIN]
    lab.give(CommandEnded(first.id, VIN, "rejected", "busy"))
    again = lab.again()
    again.set_clock(-3600 * SECOND)
    assert again.centre.deadline() == lab.now + AGAIN_AFTER - 3600 * SECOND


def test_when_the_clock_is_set_back_the_record_says_from_when_on_a_car_is_heard_again() -> None:
    """And up to when it had measured by the clock before; a clock that goes on changes nothing."""
    lab = ErasureLab()
    lab.erase(scope="data")
    at = lab.now
    lab.set_clock(DAY)
    assert erased_cars_in(lab.again().notes) == [ErasedCar("", False, at, digest_of(VIN))]
    for days in (31, 1):
        lab.set_clock(-days * DAY)
        assert erased_cars_in(lab.again().notes) == [ErasedCar("", False, lab.now, digest_of(VIN), at)]


def test_the_record_is_kept_without_whom_it_was() -> None:
    """A keyed digest by which the car is known again, and nothing by which anybody else knows it."""
    lab = ErasureLab()
    lab.erase(VIN)
    answer = lab.done("erasure", "records")
    assert answer.data is not None
    (told,) = answer.data["erasures"]
    assert (told["scope"], told["subject"], told["waiting"]) == ("car", digest_of(lab.anna), 1)
    assert [(car.digest, car.whole) for car in erased_cars_in(lab.again().notes)] == [(digest_of(VIN), True)]


def test_export_tells_whose_the_cars_are_and_since_when() -> None:
    lab = ErasureLab()
    answer = lab.done("erasure", "export", person=ANNA)
    assert answer.data == {
        "account": lab.anna,
        "cars": {
            VIN: {"role": "primary", "since": START, "mode": "online_with_location"},
            OTHER: {"role": "additional", "since": START + 10, "mode": "online_with_location"},
        },
    }
    assert lab.refused("erasure", "export", person="nobody@example.com") == "insufficient_rights"


def test_the_person_is_told_where_the_account_stays() -> None:
    lab = ErasureLab()
    lab.erase(VIN)
    (mail,) = lab.those(Mail)
    assert (mail.kind, mail.address, VIN in repr(mail)) == ("erased", ANNA, False)
    lab.erase(scope="person")
    assert [mail.kind for mail in lab.those(Mail)] == []


def test_all_other_rules_forget_the_car() -> None:
    """Partner preference, what cars asked online, campaigns; what was answered about it, and what waits for another try."""
    lab = ErasureLab()
    notes: dict[str, dict[str, Any]] = {
        RULE: lab.again().notes,
        "partner": {f"car/{VIN}": {"partner": "North"}, f"car/{OTHER}": {"partner": "North"}},
        "online": {f"holder/{VIN}": {"name": "Anna Ek"}, f"users/{OTHER}": ["p1", "p2"], f"profile/{OTHER}/p1": {"seat": 1}},
        "centre": {
            "asked": 1,
            "asked/0": {"id": "x", "state": "succeeded", "reason": None, "detail": None, "data": {"vin": VIN}},
        },
    }
    centre = ServiceCentre(RULES, notes)
    plan = {"campaign": "spring", "version": "2", "size_mb": 100, "cars": [VIN, OTHER]}
    lab.centre = centre
    lab.give(_asked("campaign", "plan", data=plan))
    lab.give(_asked("campaign", "start", data={"campaign": "spring"}))
    answer = lab.erase(scope="person")
    assert answer.state == "succeeded", answer
    (command,) = [asked for asked in lab.those(AskCar) if asked.vin == VIN]
    lab.give(CommandEnded(command.id, VIN, "succeeded", None))
    text = repr(kept_by(lab, notes))
    assert VIN not in text
    assert "Anna Ek" not in text
    assert OTHER in text
    assert "profile" not in text
    lab.give(_asked("campaign", "status", data={"campaign": "spring"}))
    data = lab.answers[-1].data
    assert data is not None
    assert data["cars"] == 1


def kept_by(lab: PeopleLab, notes: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    """Return what the store has of the notes of all rules, after the outputs so far."""
    kept = {(module, key): value for module, of_module in notes.items() for key, value in of_module.items()}
    for output in lab.outputs:
        if isinstance(output, Keep):
            kept[output.module, output.key] = output.value
    return {key: value for key, value in kept.items() if value is not None}


def _asked(service: str, action: str, *, data: dict[str, Any]) -> ServiceAsked:
    return ServiceAsked(ServiceRequest(id=f"{service}-{action}", service=service, action=action, data=data), "t")


FREE = "VSSZZZKMZPR000009"
"""A car that nobody has enrolled."""


@pytest.mark.parametrize("scope", ["car", "data", "person"])
def test_a_session_that_is_over_and_a_name_that_nobody_has_erase_no_car(scope: str) -> None:
    """Nor the person at home in it, nor a car in which nobody is."""
    lab = ErasureLab()
    for vin in (FREE, VIN):
        assert lab.refused("erasure", "erase", vin, session="fleet_" + "x" * 24, scope=scope) == "insufficient_rights"
        assert lab.refused("erasure", "erase", vin, person="nobody@example.com", scope=scope) == "insufficient_rights"
    assert lab.those(Erase) == []
    assert VIN in lab.people.cars


def test_what_a_living_person_bought_for_an_erased_car_stays_that_person_s() -> None:
    """It is no datum of the car's new owner: number, amount and date, and whose; but which car it was for is gone."""
    lab = ErasureLab()
    car = lab.people.cars[VIN]
    lab.people.put_car(replace(car, users={lab.bea: CarUser(role="primary", since=START + 1)}))
    lab.erase(VIN, person=BEA)
    (invoice,) = lab.people.invoices.values()
    assert (invoice.account, invoice.purchase) == (lab.anna, "p")
    assert lab.people.purchases["p"].vin == ""
    assert VIN not in repr(lab.again().people.purchases.items())


def test_the_cars_that_have_not_forgotten_are_known_from_the_notes() -> None:
    """So that a desk that begins anew takes a command for them, though it knows nothing else of them."""
    lab = ErasureLab()
    lab.erase(VIN)
    (command,) = [asked for asked in lab.those(AskCar) if asked.vin == VIN]
    assert asked_to_forget(lab.again().notes) == [VIN]
    lab.give(CommandEnded(command.id, VIN, "failed", None))
    assert asked_to_forget(lab.again().notes) == [VIN]
    assert lab.again().centre.deadline() == lab.now + AGAIN_AFTER
    lab.wait(AGAIN_AFTER)
    (command,) = lab.those(AskCar)
    lab.give(CommandEnded(command.id, VIN, "succeeded", None))
    assert asked_to_forget(lab.again().notes) == []


def test_the_answer_of_a_car_has_no_rule_made_anew() -> None:
    """It has nothing of a person in it, and all people are read again when their rule is."""
    lab = ErasureLab()
    people = lab.people
    lab.erase(VIN)
    (command,) = [asked for asked in lab.those(AskCar) if asked.vin == VIN]
    lab.give(CommandEnded(command.id, VIN, "succeeded", None))
    assert lab.people is people


def test_a_person_is_erased_by_name_alone() -> None:
    """Whoever names a car and nobody means the car."""
    lab = ErasureLab()
    assert lab.refused("erasure", "erase", VIN, scope="person") == "malformed"
    assert lab.anna in lab.people.accounts


def test_what_was_answered_to_an_erased_person_is_kept_no_more() -> None:
    """The answers stand apart from the notes of the rule, and tell the account by its id."""
    lab = ErasureLab()
    lab.ask("account", "show", person=ANNA)
    assert f'"{lab.anna}"' in lab.remembered()
    lab.erase(scope="person")
    assert f'"{lab.anna}"' not in lab.remembered()
