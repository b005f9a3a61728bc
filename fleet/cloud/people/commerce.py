"""The store: what it offers for a car, purchases in the car and outside of it, refunds, invoices, and the data plan.

Of a car without people the online services sell (`fleet.cloud.online`): nobody there has an account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from fleet.cloud.car_settings import PRIMARY
from fleet.cloud.people.licences import activation
from fleet.cloud.people.part import Action, Asking, Part, Refused, Words, replied
from fleet.cloud.people.products import load_products
from fleet.cloud.people.records import Invoice, Purchase
from fleet.cloud.people.sales import DATA_PLAN, buyer_of, customer_of, outputs_of_sale, primary_of, purchased, sell, take_back
from fleet.cloud.people.terms import covered_until
from fleet.cloud.places import load_world
from fleet.cloud.rule import Done, Proof, RuleOutput
from fleet.kernel.instants import Instant
from fleet.wire.messages import Request
from fleet.wire.requests import read_request


class _Buy(Words, frozen=True, kw_only=True):
    offer: str
    subscription: str = ""
    activate: bool = True


class _Refund(Words, frozen=True, kw_only=True):
    purchase: str


class _Invoices(Words, frozen=True, kw_only=True):
    number: str | None = None


class _DataPlan(Words, frozen=True, kw_only=True):
    own_sim: bool | None = None
    in_car: bool | None = None


class Store(Part):
    """Sells to the primary users of cars, in the app and on the cars' screens."""

    service = "store"
    requests = frozenset({"store_purchase"})

    def actions(self) -> Mapping[str, Action]:
        return {
            "offers": self._offers,
            "buy": self._buy,
            "refund": self._refund,
            "invoices": self._invoices,
            "data_plan": self._data_plan,
        }

    # --- outside of the car

    def _offers(self, asking: Asking) -> Done:
        """Show what its users can buy for a car, or anybody with an account for one that nobody has."""
        asking.words(Words)
        car, products = self.people.car(asking.vin), load_products().products
        if car.primary is not None or asking.asked.person not in self.people.accounts:
            asking.as_user_of(car)
        offers = [
            {"offer": name, "product": offer.product, "price_cents": offer.price_cents, "months": offer.months}
            | ({"subscription": True} if products[offer.product].subscription else {})
            for name, offer in load_world().store.items()
            if products[offer.product].misfit(car) is None
        ]
        return Done(data={"offers": offers})

    def _buy(self, asking: Asking) -> Done:
        words, (car, buyer) = asking.words(_Buy), customer_of(self.people, asking)
        sale = sell(self.people, car, buyer, words.offer, asking.now, subscription=words.subscription, active=words.activate)
        outputs = outputs_of_sale(self.people, sale, asking.now)
        outputs += activation(sale.car, asking.now) if words.activate else []
        return Done(outputs, _shown(sale.purchase))

    def _refund(self, asking: Asking) -> Done:
        words, (car, person) = asking.words(_Refund), customer_of(self.people, asking)
        purchase = self.people.purchases.get(words.purchase)
        if purchase is None or purchase.vin != car.vin:
            raise Refused("not_found", f"nothing was bought for this car under {words.purchase[:40]!r}")
        outputs = take_back(self.people, car, person, asking.now, purchase=purchase)
        return Done(outputs, _shown(self.people.purchases[purchase.id]))

    def _invoices(self, asking: Asking) -> Done:
        """Show the invoices of a person, never those of another; with a number one of them, to be kept as a file."""
        words, person = asking.words(_Invoices), asking.person
        own = [each for each in self.people.invoices.values() if each.account == person]
        if words.number is not None:
            own = [each for each in own if each.number == words.number]
            if not own:
                raise Refused("not_found", f"there is no invoice {words.number[:40]!r} of this person")
        shown = [self._invoice(each) for each in sorted(own, key=lambda each: each.number)]
        lines = [f"{each.number} {each.cents / 100:.2f} €" for each in own]
        return Done(data={"invoices": shown, "sum_cents": sum(each.cents for each in own)}, detail="; ".join(lines) or None)

    def _invoice(self, invoice: Invoice) -> dict[str, Any]:
        purchase = self.people.purchases.get(invoice.purchase)
        return {
            "number": invoice.number, "at": invoice.at, "cents": invoice.cents, "purchase": invoice.purchase,
            "offer": invoice.words, "vin": "" if purchase is None else purchase.vin,
        }  # fmt: skip

    def _data_plan(self, asking: Asking) -> Done:
        """Tell of the data plan; the primary user says who owns the SIM, and whether data may be bought in the car."""
        words, (car, person) = asking.words(_DataPlan), buyer_of(self.people, asking)
        if words.own_sim is not None:
            car = replace(car, sim=person.id if words.own_sim else "", sim_in_car=False)
        if words.in_car is not None:
            if words.in_car and car.sim != person.id:
                raise Refused("sim_not_owned", "who owns the SIM of the car allows it: own_sim=true")
            car = replace(car, sim_in_car=words.in_car)
        if car != self.people.cars[car.vin]:
            self.people.put_car(car)
        until = covered_until(car, DATA_PLAN)
        shown = {"until": until} if until > asking.now else {}
        countries = list(load_products().data_plan.countries)
        return Done(data={**shown, "own_sim": car.sim == person.id, "in_car": car.sim_in_car, "countries": countries})

    # --- in the car

    def takes(self, request: Request) -> bool:
        """Answer cars that have people; at the others nobody has an account."""
        car = self.people.cars.get(request.vin)
        return car is not None and car.managed

    def request(self, request: Request, proofs: Mapping[str, Proof], now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        return replied(request, now, lambda: self._bought_in(request, now))

    def _bought_in(self, request: Request, now: Instant) -> tuple[dict[str, Any], Sequence[RuleOutput]]:
        car, wanted = self.people.cars[request.vin], read_request(request.name, request.data)
        primary = primary_of(self.people, car)
        if wanted.user not in {PRIMARY, primary.id}:
            raise Refused("insufficient_rights", "the primary user alone buys")
        offer = load_world().store.get(wanted.product)
        if offer is not None and offer.product == DATA_PLAN and not car.sim_in_car:
            raise Refused("sim_not_owned", "data is bought in the app, until the owner of the SIM allows it in the car")
        sale = sell(self.people, car, primary, wanted.product, now, subscription=wanted.subscription)
        return {"purchase": int(sale.purchase.id[1:]), **purchased(sale)}, outputs_of_sale(self.people, sale, now)


def _shown(purchase: Purchase) -> dict[str, Any]:
    """Return a purchase as people see it."""
    shown = {
        "purchase": purchase.id, "offer": purchase.product, "price_cents": purchase.price_cents, "at": purchase.at,
        "licence": purchase.licence, "invoice": purchase.invoice,
    }  # fmt: skip
    return shown if purchase.refunded is None else {**shown, "refunded": purchase.refunded}
