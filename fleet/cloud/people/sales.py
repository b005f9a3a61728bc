"""Sells offers of the store to the primary user of a car, and takes them back: screening, licence, invoice and credit note.

Amounts are integer euro cents. Each sale that costs something has an invoice, each refund a credit note of its negative amount;
both have numbers of one sequence without gaps. So sold minus refunded is what all invoices add up to.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from fleet.cloud.people.mails import mail_to
from fleet.cloud.people.part import Asking, Refused
from fleet.cloud.people.people import People
from fleet.cloud.people.products import load_products
from fleet.cloud.people.records import Account, CarPeople, Invoice, Licence, Purchase
from fleet.cloud.people.screening import is_listed
from fleet.cloud.people.terms import with_licence, withdrawable_until, withdrawal_end, withdrawn
from fleet.cloud.places import load_world
from fleet.cloud.rule import Notify, RuleOutput
from fleet.kernel.instants import Instant, format_instant

DATA_PLAN: Final = "data_plan"


class Sale(NamedTuple):
    """What was sold: the car as it is then, the purchase, and the licence that it brought."""

    car: CarPeople
    purchase: Purchase
    licence: Licence


def primary_of(people: People, car: CarPeople) -> Account:
    """Return the primary user of a car. Raises Refused where nobody has enrolled it."""
    primary = people.accounts.get(car.primary)
    if primary is None:
        raise Refused("not_enrolled", "nobody has enrolled the car: it has no primary user who could buy")
    return primary


def buyer_of(people: People, asking: Asking) -> tuple[CarPeople, Account]:
    """Return the car and its primary user, who alone buys, renews and withdraws. Raises Refused for everybody else."""
    car = people.car(asking.vin)
    primary = primary_of(people, car)
    if asking.person_of(car) != primary.id:
        raise Refused("insufficient_rights", "the primary user of the car alone may do this")
    return car, primary


def customer_of(people: People, asking: Asking) -> tuple[CarPeople, Account]:
    """Return the car and who buys for it in the web shop: its primary user, or while it has none anybody with an account.

    So a car whose licences are all over can get one, without which nobody enrols it. Raises Refused.
    """
    car = people.car(asking.vin)
    if car.primary is not None:
        return buyer_of(people, asking)
    customer = people.accounts.get(asking.asked.person)
    if customer is None or customer.confirmed is None:
        raise Refused("not_enrolled", "nobody has enrolled the car, so who buys for it needs an account: --user, or log in")
    return car, customer


def sell(
    people: People, car: CarPeople, buyer: Account, name: str, now: Instant, *, subscription: str = "", active: bool = True
) -> Sale:
    """Sell an offer to the primary user, and keep it. Raises Refused; a buyer who is on a list is recorded all the same."""
    offer = load_world().store.get(name)
    if offer is None:
        raise Refused("not_found", f"there is no offer {name[:40]!r}; fleet store offers VIN lists them")
    product = load_products().products[offer.product]
    misfit = product.misfit(car)
    if misfit is not None:
        raise Refused("not_equipped", f"{name} is not for this car: {misfit}")
    if product.subscription and not subscription.strip():
        raise Refused("subscription_missing", f"{name} is of no use without a subscription of one's own: subscription=…")
    if offer.product == DATA_PLAN and car.sim != buyer.id:
        raise Refused("sim_not_owned", "who owns the SIM of the car buys data for it: fleet store data_plan VIN own_sim=true")
    if not (buyer.first_name and buyer.last_name and buyer.birth_date):
        raise Refused("account_incomplete", "a purchase needs the name and date of birth of the account: fleet account settings")
    purchase = Purchase(
        id=f"b{people.next_number('purchase')}",
        vin=car.vin,
        account=buyer.id,
        product=name,
        price_cents=offer.price_cents,
        at=now,
        months=offer.months,
    )
    if is_listed(f"{buyer.first_name} {buyer.last_name}", buyer.birth_date):
        people.purchases.put(purchase.id, replace(purchase, cancelled="sanctioned"))
        mail = mail_to(buyer, "purchase_cancelled", vin=car.vin, product=offer.product)
        told = Notify(car.vin, "operator", "purchase_cancelled", {"purchase": purchase.id, "account": buyer.id})
        raise Refused(
            "sanctioned", f"the purchase {purchase.id} is cancelled: its buyer is on the list of sanctions", (told, mail)
        )
    car, licence = with_licence(car, offer.product, offer.months, now, purchase=purchase.id, active=active)
    purchase = replace(purchase, licence=licence.id, invoice=_invoice(people, purchase, purchase.price_cents, now))
    people.purchases.put(purchase.id, purchase)
    people.put_car(car)
    return Sale(car, purchase, licence)


def _invoice(people: People, purchase: Purchase, cents: int, now: Instant) -> str:
    """Write an invoice, or with a negative amount a credit note, and return its number; "" where nothing is to be paid."""
    if cents == 0:
        return ""
    number = f"{people.next_number('invoice'):08}"
    invoice = Invoice(number=number, cents=cents, at=now, account=purchase.account, purchase=purchase.id, words=purchase.product)
    people.invoices.put(number, invoice)
    return number


def purchased(sale: Sale) -> dict[str, Any]:
    """Return what the notice of a purchase, and the car that asked for it, are told."""
    told = {"product": sale.purchase.product, "price_eur": sale.purchase.price_cents / 100}
    return told if sale.licence.state == "inactive" else {**told, "active_until": sale.licence.ends}


def outputs_of_sale(people: People, sale: Sale, now: Instant) -> list[RuleOutput]:
    """Return who is told of a sale: the car's account by a notice, the buyer by mail."""
    car, purchase, licence = sale
    buyer = people.accounts[purchase.account]
    outputs: list[RuleOutput] = [Notify(car.vin, "primary_user", "purchased", purchased(sale) | {"at": now})]
    if purchase.invoice:
        outputs.append(
            mail_to(buyer, "invoice", vin=car.vin, number=purchase.invoice, cents=purchase.price_cents, product=licence.product)
        )
    if licence.state == "active" and any(held.product == licence.product for held in car.licences if held.id != licence.id):
        begins, ends = licence.begins, licence.ends
        outputs.append(mail_to(buyer, "licence_renewed", vin=car.vin, product=licence.product, begins=begins, ends=ends))
    return outputs


def take_back(
    people: People, car: CarPeople, person: Account, now: Instant, *, licence: Licence | None = None,
    purchase: Purchase | None = None,
) -> list[RuleOutput]:  # fmt: skip
    """Withdraw the primary user from a licence, or from a purchase: its services stop, its price goes back. Raises Refused."""
    if purchase is None and licence is not None and licence.purchase:
        purchase = people.purchases.get(licence.purchase)
    if purchase is not None:
        licence = next((held for held in car.licences if held.purchase == purchase.id), None)
        if purchase.account != person.id:
            raise Refused("insufficient_rights", f"{purchase.id} was bought by somebody else, who alone may withdraw from it")
        if purchase.refunded is not None or purchase.cancelled:
            raise Refused("already_refunded", f"{purchase.id} was refunded or cancelled before")
    outputs: list[RuleOutput] = []
    until: Instant | None = None
    if licence is not None:
        until = withdrawable_until(car, licence)
    elif purchase is not None:  # what it brought is gone: the days count from the purchase (ours)
        until = withdrawal_end(car, purchase.at)
    if until is not None and now >= until:
        raise Refused("withdrawal_over", f"one could withdraw until {format_instant(until)}; it ends by itself")
    if licence is not None:
        car = withdrawn(car, licence, now)
        people.put_car(car)
        outputs.append(mail_to(person, "licence_withdrawn", vin=car.vin, product=licence.product))
    if purchase is not None:
        people.purchases.put(purchase.id, replace(purchase, refunded=now))
        if _invoice(people, purchase, -purchase.price_cents, now):
            cents, product = purchase.price_cents, load_world().store[purchase.product].product
            outputs += [
                mail_to(person, "refund", vin=car.vin, number=purchase.invoice, cents=cents, product=product),
                Notify(car.vin, "primary_user", "refunded", {"purchase": purchase.id, "cents": cents}),
            ]
    return outputs
