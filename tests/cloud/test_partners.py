"""Service partners: who is told of faults and services, in each state, and after a restart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.cloud.centre import ServiceCentre
from fleet.cloud.partners import PartnerRule
from fleet.cloud.rights import CarRights, UserRights
from fleet.cloud.rule import Done, Keep, Notes, Notify, ServiceAsked
from fleet.wire.messages import Event, ServiceRequest

NOW = 1_772_000_000_000_000
VIN, OTHER = "VSSZZZKLZTR000001", "VSSZZZKLZTR000002"
FAULT = {"id": "tyre_pressure", "text": "Tyre pressure is low", "category": "tyre", "priority": 2, "mileage_km": 1234.5}
DUE = {"service": "inspection", "left_km": -0.1, "left_days": 12}


class Lab:
    """A centre with this rule alone."""

    def __init__(self) -> None:
        self.state: dict[str, dict[str, Any]] = {}
        self.restart()
        self._number = 0

    def restart(self) -> None:
        """Begin anew with what was stored."""
        self.centre = ServiceCentre([PartnerRule], self.state)

    def _stored(self, outputs: Any) -> list[Any]:
        for output in outputs:
            if isinstance(output, Keep):
                held = self.state.setdefault(output.module, {})
                if output.value is None:
                    del held[output.key]
                else:
                    held[output.key] = msgspec.json.decode(output.value)
        return [output for output in outputs if not isinstance(output, Keep)]

    def ask(self, action: str, vin: str | None = VIN, **data: Any) -> tuple[Any, list[Notify]]:
        """Ask; return the answer and who is told."""
        self._number += 1
        request = ServiceRequest(id=f"r{self._number}", service="partner", action=action, vin=vin, data=data)
        *told, last = self._stored(self.centre.receive(ServiceAsked(request, "topic"), NOW))
        return last.answer, told

    def event(self, name: str = "fault", vin: str = VIN, data: dict[str, Any] | None = None) -> list[Notify]:
        message = Event(vin=vin, boot=1, seq=1, captured_at=NOW - 5, name=name, data=FAULT if data is None else data)
        return self._stored(self.centre.receive(message, NOW))


def test_awaiting_activation_tells_nobody() -> None:
    """Without a partner; and what came before one was chosen is not told afterwards."""
    lab = Lab()
    assert lab.event() == []
    answer, _ = lab.ask("show")
    assert answer.data == {"state": "awaiting_activation", "partner": None, "contact": "email"}
    _, told = lab.ask("choose", partner="Autohaus Mitte")
    assert told == []


@pytest.mark.parametrize(("name", "data"), [("fault", FAULT), ("service_due", DUE)])
@pytest.mark.parametrize("contact", ["email", "phone"])
def test_the_chosen_partner_is_told(name: str, data: dict[str, Any], contact: str) -> None:
    """What happened and when, and how the user wants to be contacted; for this car alone."""
    lab = Lab()
    answer, _ = lab.ask("choose", partner="Autohaus Mitte", contact=contact)
    assert answer.state == "succeeded"
    assert answer.data["state"] == "active"
    [notice] = lab.event(name, data=data)
    assert (notice.vin, notice.to, notice.kind, notice.at) == (VIN, "service_partner", name, NOW)
    assert notice.data == {"partner": "Autohaus Mitte", "contact_by": contact, "happened_at": NOW - 5, **data}
    assert lab.event(name, vin=OTHER, data=data) == []


def test_switched_off_nobody_contacts() -> None:
    lab = Lab()
    lab.ask("choose", partner="Autohaus Mitte")
    answer, _ = lab.ask("automatic", on=False)
    assert answer.data["state"] == "switched_off"
    assert lab.event() == []
    lab.ask("automatic", on=True)
    assert len(lab.event()) == 1


def test_switched_off_before_a_partner_is_chosen() -> None:
    lab = Lab()
    assert lab.ask("automatic", on=False)[0].data["state"] == "awaiting_activation"
    assert lab.ask("choose", partner="Autohaus Mitte")[0].data["state"] == "switched_off"
    assert lab.event() == []


def test_a_partner_closes() -> None:
    """Its users are told once and must choose again; others are not; until then nobody is told of faults."""
    lab = Lab()
    lab.ask("choose", partner="Autohaus Mitte")
    lab.ask("choose", vin=OTHER, partner="Werkstatt Süd")
    answer, told = lab.ask("close", vin=None, partner="Autohaus Mitte")
    assert answer.data == {"cars": 1}
    assert [(notice.vin, notice.to, notice.kind, notice.data) for notice in told] == [
        (VIN, "primary_user", "partner_closed", {"partner": "Autohaus Mitte"})
    ]
    assert lab.ask("show")[0].data["state"] == "partner_closed"
    assert lab.event() == []
    assert len(lab.event(vin=OTHER)) == 1
    answer, told = lab.ask("close", vin=None, partner="Autohaus Mitte")
    assert (answer.data, told) == ({"cars": 0}, [])
    answer, _ = lab.ask("choose", partner="Autohaus Mitte")
    assert (answer.state, answer.reason) == ("rejected", "partner_closed")
    lab.ask("choose", partner="Werkstatt Süd")
    assert [notice.data["partner"] for notice in lab.event()] == ["Werkstatt Süd"]


def test_the_next_primary_user_of_a_car_chooses_anew() -> None:
    """Nobody contacts somebody in the name of whom the car has left; what a nameless user has chosen is nothing either."""
    rule = PartnerRule(Notes())

    def has(users: dict[str, UserRights]) -> None:
        rule.rights_of = lambda _: CarRights(users=users)

    def asks(action: str, **data: Any) -> Any:
        done = rule.asked(ServiceRequest(id="r", service="partner", action=action, vin=VIN, data=data), NOW)
        assert isinstance(done, Done)
        return done.data

    def told() -> list[Any]:
        event = Event(vin=VIN, boot=1, seq=1, captured_at=NOW, name="fault", data=FAULT)
        return [notice.data["partner"] for notice in rule.event(event, NOW) if isinstance(notice, Notify)]

    asks("choose", partner="North", contact="phone")
    assert told() == ["North"]
    has({"p1": UserRights("primary")})
    assert told() == []
    asks("choose", partner="West")
    assert told() == ["West"]
    has({"p2": UserRights("primary"), "p1": UserRights("additional")})
    assert told() == []
    assert rule.asked(ServiceRequest(id="r", service="partner", action="close", data={"partner": "West"}), NOW) == Done(
        [], {"cars": 0}
    )
    assert asks("automatic", on=True) == {"state": "awaiting_activation", "partner": None, "contact": "email"}
    has({})
    assert told() == []


def test_a_restart_forgets_nothing() -> None:
    lab = Lab()
    lab.ask("choose", partner="Autohaus Mitte", contact="phone")
    lab.ask("choose", vin=OTHER, partner="Werkstatt Süd")
    lab.ask("close", vin=None, partner="Werkstatt Süd")
    lab.restart()
    assert lab.event()[0].data["contact_by"] == "phone"
    assert lab.event(vin=OTHER) == []
    assert lab.ask("choose", vin=OTHER, partner="Werkstatt Süd")[0].reason == "partner_closed"


@pytest.mark.parametrize(
    ("action", "vin", "data", "reason"),
    [
        ("choose", VIN, {}, "malformed"),
        ("choose", VIN, {"partner": 5}, "malformed"),
        ("choose", VIN, {"partner": "A", "contact": "fax"}, "malformed"),
        ("choose", VIN, {"partner": "A", "town": "B"}, "malformed"),
        ("choose", None, {"partner": "A"}, "malformed"),
        ("choose", VIN, {"partner": ""}, "argument_out_of_range"),
        ("choose", VIN, {"partner": "x" * 81}, "argument_out_of_range"),
        ("automatic", VIN, {"on": "no"}, "malformed"),
        ("automatic", None, {"on": True}, "malformed"),
        ("close", None, {}, "malformed"),
        ("close", None, {"partner": " "}, "argument_out_of_range"),
        ("show", None, {}, "malformed"),
        ("praise", VIN, {}, "unsupported"),
        ("choose", "NOVIN", {"partner": "A"}, "invalid_vin"),
    ],
)
def test_what_is_wrong_changes_nothing(action: str, vin: str | None, data: dict[str, Any], reason: str) -> None:
    lab = Lab()
    lab.ask("choose", partner="Autohaus Mitte")
    before = dict(lab.state["partner"])
    answer, told = lab.ask(action, vin, **data)
    assert (answer.state, answer.reason, told) == ("rejected", reason, [])
    assert lab.state["partner"] == before


@pytest.mark.parametrize("data", [{}, {"id": 5}, {**FAULT, "priority": "high"}, {**FAULT, "mileage_km": None}])
def test_an_event_that_says_something_else(data: dict[str, Any]) -> None:
    """A car can write anything; nobody is told nonsense."""
    lab = Lab()
    lab.ask("choose", partner="Autohaus Mitte")
    assert lab.event(data=data) == []
