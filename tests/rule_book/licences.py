"""The lines about licences: what each package opens is refused without one, with one that is not active, and after its end."""

from __future__ import annotations

from typing import Final

from tests.rule_book.asking import ask
from tests.rule_book.book import Book
from tests.rule_book.variations import OK

_REFUSED: Final = {"expired": "licence_expired", "inactive": "licence_inactive", "missing": "licence_missing"}
_OPENED: Final = {"refresh": "remote", "route_import": "online", "system_update": "safety"}
"""A command of each package."""


def write_licences(book: Book) -> None:
    """Write all lines about licences; these cars have no people but the nameless primary user."""
    book.chapter("licences, of each package")
    for command, package in _OPENED.items():
        car = book.car("leon")
        for state, reason in _REFUSED.items():
            car.serve("licence", "set", OK, f"{package} {state}", product="g3_navi", state=state)
            ask(car, command, f"rejected({reason})", f"its licence is {state}")
        car.serve("licence", "set", OK, f"{package} active", product="g3_navi")
        ask(car, command, OK, "its licence is active")
    car = book.car("leon")
    for state, reason in _REFUSED.items():
        car.serve("licence", "set", OK, f"online {state}, for a request", product="g3_navi", state=state)
        car.online("traffic", reason, f"its licence is {state}")
    car.serve("licence", "set", OK, "online active, for a request", product="g3_navi")
    car.online("traffic", None, "its licence is active")
    car = book.car("leon")
    car.serve("licence", "set", OK, "remote ends in 30 minutes", product="g3_navi", days_left=1 / 48, then_s=60)
    ask(car, "refresh", OK, "before the end of its licence", then_s=1_801)
    ask(car, "refresh", "rejected(licence_expired)", "after the end of its licence")
    car = book.car("leon").serve("licence", "set", OK, "missing, for what is legal", product="g3_navi", state="missing")
    ask(car, "reset", OK, "what is legal needs no licence")
    car = book.car("leon").serve("licence", "set", OK, "a licence for data", product="data_plan", then_s=60)
    car.online("internet_radio", None, "over the data plan of a licence", data={"station": "jazz", "phone": False})
    car.serve("licence", "set", OK, "data is over", product="data_plan", state="expired")
    car.online("internet_radio", "no_data_plan", "the licence for data is over", data={"station": "jazz", "phone": False})
    car = book.car("leon").serve("licence", "set", "rejected(not_found)", "a product that nobody knows", product="yacht")
    car.serve("licence", "list", OK, "a car without licences")
    car.serve("store", "offers", OK, "what is offered for a car of which nobody knows anything")
    car.serve("licence", "renew", "rejected(not_enrolled)", "a car without accounts")
