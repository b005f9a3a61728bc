"""The lines about online services: each is answered, and each fails for every reason it can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fleet.wire.requests import requests
from fleet.wire.services import RequestEntry
from tests.rule_book.book import Book, Story
from tests.rule_book.knowledge import GENERATION, MODES, SILENT
from tests.rule_book.variations import MALFORMED, OK, variations

CAR_KNOWS: Final = frozenset({"latitude", "longitude", "fuel", "plug"})
"""What a car fills in itself when nobody says it."""
NOWHERE: Final = {"latitude": 10.0, "longitude": 10.0}
REMOTE: Final = {"latitude": 47.6, "longitude": 11.9}
"""A valley on the map of the world that is shipped, with nothing within a kilometre."""
LONDON: Final = {"to_latitude": 51.5, "to_longitude": -0.12}
CERTIFICATE: Final = ("online", "install_certificate", {"contract": "C1"})


@dataclass(frozen=True, kw_only=True)
class Asking:
    """An online service: cars that can ask it, parameters that it answers, and parameters or actions for each error.

    `first` is asked of a service of the back end before. `edges`: what values within the range fail with, by parameter and value.
    """

    fits: tuple[str, ...]
    words: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    edges: Mapping[tuple[str, str], str] = field(default_factory=dict)
    companions: Mapping[tuple[str, ...], Mapping[str, Any]] = field(default_factory=dict)
    plug: bool = False
    first: tuple[str, str, dict[str, Any]] | None = None
    lacking: Mapping[str, str]


_ENDS: Final = (("latitude", "-90"), ("latitude", "90"), ("longitude", "-180"), ("longitude", "180"))
_POLES: Final = dict.fromkeys(_ENDS, "no_map_data")
_FAR: Final = {(f"to_{name}", end): reason for (name, end), reason in _POLES.items()}
_SEAT: Final = [{"name": "seat", "value": "7"}]
KNOWN_REQUESTS: Final[Mapping[str, Asking]] = {
    "traffic": Asking(fits=("leon", "born"), errors={"no_map_data": NOWHERE}, edges=_POLES, lacking={"navi_system": "plain"}),
    "route_calculation": Asking(
        fits=("leon", "born"), words={"to_latitude": 48.2, "to_longitude": 11.7},
        errors={"no_map_data": LONDON, "already_there": {"latitude": 48.2, "longitude": 11.7}},
        edges=_POLES | _FAR, lacking={"navi_system": "plain"},
    ),
    "petrol_places": Asking(
        fits=("leon",), words={"latitude": 48.13989, "longitude": 11.64864},
        errors={"no_map_data": NOWHERE, "not_found": {**REMOTE, "radius_km": 1}}, edges=_POLES,
        lacking={"navi_system": "plain", "has_engine": "born"},
    ),
    "charging_places": Asking(
        fits=("born",), words={"latitude": 48.10266, "longitude": 11.55042},
        errors={"no_map_data": NOWHERE, "not_found": {**REMOTE, "radius_km": 1}},
        edges=_POLES | {("power_kw", "400"): "not_found"},
        lacking={"navi_system": "bare", "charging_socket": "leon"},
    ),
    "parking_places": Asking(
        fits=("leon", "born"), words={"latitude": 48.13389, "longitude": 11.58927},
        errors={"no_map_data": NOWHERE, "not_found": {**REMOTE, "radius_km": 0.5}}, edges=_POLES,
        lacking={"navi_system": "plain"},
    ),
    "map_update": Asking(
        fits=("leon",), errors={"no_map_data": NOWHERE, "up_to_date": {}}, edges=_POLES | _FAR, lacking={"navi_system": "plain"},
        companions={("to_latitude",): {"to_longitude": 11.7}, ("to_longitude",): {"to_latitude": 48.2}},
    ),
    "voice_query": Asking(
        fits=("leon", "born"), words={"text": "find me parking", "latitude": 48.13389, "longitude": 11.58927},
        errors={
            "not_understood": {"text": "tell me a joke"}, "no_map_data": NOWHERE,
            "not_found": {"text": "parking", "latitude": 47.5, "longitude": 10.0},
        },
        edges=_POLES | {("text", "200 characters"): "not_understood"}, lacking={"navi_system": "plain"},
    ),
    "personalisation": Asking(
        fits=("leon",), words={"action": "save", "settings": _SEAT},
        errors={"insufficient_rights": {"user": "guest"}, "no_profile": {"action": "log_in", "user": "bob"}},
        lacking={"navi_system": "plain"},
    ),
    "internet_radio": Asking(
        fits=("leon",), words={"station": "Isarwelle", "phone": True},
        errors={"insufficient_rights": {"user": "guest"}, "no_data_plan": {"phone": False}, "not_found": {"station": "Nobody"}},
        edges={("station", "60 characters"): "not_found", ("phone", "false"): "no_data_plan"}, lacking={"navi_system": "plain"},
    ),
    "store_purchase": Asking(
        fits=("leon",), words={"product": "navi_1_year"},
        errors={
            "insufficient_rights": {"user": "anna"}, "not_found": {"product": "yacht"},
            "subscription_missing": {"product": "tidal_1_year"},
        },
        edges={("product", "40 characters"): "not_found", ("user", "40 characters"): "insufficient_rights"},
        lacking={"navi_system": "plain"},
    ),
    "plug_and_charge": Asking(
        fits=("born",), words={"station": "Voltalpin"}, plug=True, first=CERTIFICATE, lacking={"charging_socket": "leon"},
    ),
}  # fmt: skip
ELSEWHERE: Final = {
    ("store_purchase", "sanctioned"),
    ("plug_and_charge", "certificate_missing"),
    ("plug_and_charge", "not_plugged_in"),
}
"""Errors that are brought about by more than words; see below."""
NEVER: Final = {
    ("store_purchase", "not_enrolled"): "a car that nobody has enrolled is silent, and asks nothing",
    ("store_purchase", "not_equipped"): "of a car whose people have no accounts the store knows no equipment",
    ("store_purchase", "sim_not_owned"): "of a car whose people have no accounts nobody knows who owns the SIM",
    ("store_purchase", "account_incomplete"): "where nobody has an account",
}
"""Errors that no car of ours can come to, and why."""


OF_PEOPLE: Final = frozenset({"enrolment", "log_in"})
"""Requests that are answered by who has which account: this book has nobody but the users of cars without any."""


def write_requests(book: Book) -> None:
    """Write all lines about online services."""
    parts: tuple[tuple[str, Callable[[Book, str, RequestEntry], None]], ...] = (
        ("online services: parameters", _parameters),
        ("online services: what is answered, and each error", _errors),
        ("online services: equipment, privacy, switches, network, time-out", _common),
    )
    for title, part in parts:
        book.chapter(title)
        for name in KNOWN_REQUESTS:
            part(book, name, requests()[name].entry)
    _elsewhere(book)


def _prepared(car: Story, known: Asking) -> Story:
    if known.plug:
        car.do("plug_in")
    if known.first is not None:
        service, action, data = known.first
        car.serve(service, action, OK, "before", **data)
    return car


def _parameters(book: Book, name: str, entry: RequestEntry) -> None:
    known = KNOWN_REQUESTS[name]
    car = _prepared(book.car(known.fits[0]), known)
    if name != "map_update":
        car.online(name, None, "as it is", data=known.words)
    for variation in variations(entry.parameters, known.words, known.companions):
        if variation.path[-1] in CAR_KNOWS and variation.outcome == MALFORMED and variation.text == "is missing":
            continue
        if car.now_s > 4000:
            car = _prepared(book.car(known.fits[0]), known)
        reason = None if variation.outcome == OK else variation.outcome.removeprefix("rejected(").removesuffix(")")
        reason = known.edges.get((variation.path[-1], variation.text), reason)
        car.online(name, reason, f"{'.'.join(variation.path)} {variation.text}", data=variation.words)


def _errors(book: Book, name: str, entry: RequestEntry) -> None:
    known = KNOWN_REQUESTS[name]
    missing = set(entry.errors) - known.errors.keys() - {error for request, error in ELSEWHERE | NEVER.keys() if request == name}
    assert not missing, f"{name}: how does it come to {missing}?"
    for fleet in known.fits:
        car = _prepared(book.car(fleet), known)
        car.online(name, None, f"answered ({fleet})", data=known.words)
        for error, words in known.errors.items():
            car.online(name, error, f"{error} ({fleet})", data={**known.words, **words})


def _common(book: Book, name: str, entry: RequestEntry) -> None:
    known = KNOWN_REQUESTS[name]
    assert set(entry.equipment) == set(known.lacking), f"{name}: for each of {entry.equipment} a fleet without it"
    for need, fleet in known.lacking.items():
        book.car(fleet).online(name, "not_equipped", f"without {need} ({fleet})", data=known.words)
    for fleet in known.fits:
        for mode in MODES[GENERATION[fleet]]:
            car = _prepared(book.car(fleet), known).do("set_privacy", mode=mode)
            if mode in SILENT:
                _silent(car, name, known, f"privacy mode {mode} ({fleet})")
            else:
                hidden = "privacy_location" if entry.tells_position else None
                car.online(name, hidden, f"privacy mode {mode} ({fleet})", data=known.words)
            car.do("set_privacy", mode="online_with_location")
            again = "up_to_date" if name == "map_update" and mode not in SILENT and not entry.tells_position else None
            car.online(name, again, f"privacy mode online_with_location after {mode} ({fleet})", data=known.words)
    car = _prepared(book.car(known.fits[0]), known).do("set_service", named=name, switch="off")
    car.online(name, "service_deactivated", "switched off in the car", data=known.words)
    car.do("set_service", named=name, switch="on")
    car.online(name, None, "switched on again", data=known.words)
    car = _prepared(book.car(known.fits[0]), known).do("lose_coverage")
    car.online(name, "no_network", "without network", data=known.words).do("regain_coverage")
    car = _prepared(book.car(known.fits[0], only="virtual"), known)
    car.network(drop="PUBLISH", way="to_client", topic="fleet/v1/+/reply/+", lasts_s=entry.time_out_s + 5, then_s=1)
    doing = {"do": "ask", "request": name, "data": dict(known.words)}
    late: dict[str, Any] = {"event": "request_timed_out", "data": {"request": name}, "within_s": entry.time_out_s}
    car.expect(name, f"no reply within {entry.time_out_s} s", doing=doing, then_s=0, **late)
    early_s = entry.time_out_s - 0.001
    car.expect("request_timed_out", f"{name}: not before {entry.time_out_s} s", no_event="request_timed_out", within_s=early_s)


def _silent(car: Story, name: str, known: Asking, what: str) -> None:
    """Ask in a car that says nothing: no word of it leaves the car."""
    doing = {"do": "ask", "request": name, "data": dict(known.words)}
    for event in ("request_failed", "request_answered"):
        car.expect(name, f"{event}: {what}", doing=doing, no_event=event, within_s=50, then_s=1)
    car.wait(59)


def _elsewhere(book: Book) -> None:
    book.chapter("online services: what takes more than words")
    car = book.car("leon")
    car.serve("online", "set_holder", OK, "somebody on the list of sanctions", name="Viktor Blackwood")
    car.online("store_purchase", "sanctioned", "the holder is on the list of sanctions", data={"product": "navi_1_year"})
    car.serve("online", "set_holder", OK, "somebody on no list", name="Viktoria Blackwood")
    car.online("store_purchase", None, "the holder is on no list", data={"product": "navi_1_year"})
    car.online("store_purchase", None, "once more, from the end of what is active", data={"product": "navi_1_year"})
    radio = {"station": "Isarwelle", "phone": False}
    car.online("internet_radio", "no_data_plan", "before one was bought", data=radio)
    car.online("store_purchase", None, "a data plan", data={"product": "data_plan_1_month"})
    car.online("internet_radio", None, "over the data plan", data=radio)
    car = book.car("born").do("plug_in")
    station = {"station": "Voltalpin"}
    car.online("plug_and_charge", "certificate_missing", "without a contract", data=station)
    car.serve("online", "install_certificate", OK, "by the primary user", contract="C1")
    car.online("plug_and_charge", None, "with a contract", data=station)
    car.do("unplug").online("plug_and_charge", "not_plugged_in", "without the plug", data=station)
    car.serve("online", "remove_certificate", OK, "by the primary user")
    car.do("plug_in").online("plug_and_charge", "certificate_missing", "the contract was removed", data=station)
    car.serve("online", "show", OK, "what is known of a car")
    car = book.car("leon")
    for user, identified in (("primary", False), ("primary", True)):
        words = {"action": "save", "user": user, "settings": [{"name": "contacts", "value": "1"}]}
        car.online("personalisation", None, f"saved, identified {identified}", data=words)
        car.online("personalisation", None, f"log in, identified {identified}", data={"user": user, "identified": identified})
    car = book.car("leon", only="virtual")
    car.network(latency="20 s", way="to_client", lasts_s=5, then_s=1)
    ask = {"do": "ask", "request": "traffic"}
    for _ in range(8):
        car.do("ask", request="traffic", then_s=0)
    car.expect(
        "traffic",
        "a ninth at a time",
        doing=ask,
        event="request_failed",
        data={"request": "traffic", "reason": "busy"},
        within_s=1,
    )
