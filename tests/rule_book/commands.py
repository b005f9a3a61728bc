"""The lines that commands have in common. What the catalogue says is read from it."""

from __future__ import annotations

from typing import Final

from fleet.wire.commands import COMMANDS
from fleet.wire.services import CommandEntry
from tests.rule_book.asking import ask, long_enough, prepared, stopped
from tests.rule_book.book import DROP, GAP_S, Book
from tests.rule_book.knowledge import COMPANIONS, GENERATION, INSTEAD, KNOWN, MODES, OF_BACK_END, SILENT
from tests.rule_book.variations import MALFORMED, OK, variations


def write_commands(book: Book) -> None:
    """Write all lines about commands."""
    for title, part in (
        ("parameters: both ends of each range, and one step beyond", _parameters),
        ("state: ignition on, driving, parked", _states),
        ("equipment that is missing", _equipment),
        ("privacy modes", _privacy),
        ("services that are switched off in the car, and workshop mode", _switched),
        ("after a crash", _crash),
        ("after a reset, and paired again", _reset),
        ("S-PIN: none, wrong, three times wrong, set anew; and who is not enrolled", _spin),
        ("time to live: the last microsecond, and one more; a margin of minutes, live too", _time_to_live),
        ("the same id again, and two at a time", _twice),
        ("while the actuator works", _meanwhile),
    ):
        book.chapter(title)
        for name in KNOWN:
            part(book, name, COMMANDS[name].entry)
    _of_the_back_end(book)


def _of_the_back_end(book: Book) -> None:
    """No user may send what is the back end's own."""
    book.chapter("commands of the back end alone")
    car = book.car("leon")
    for name, words in OF_BACK_END.items():
        car.ask(name, "rejected(insufficient_rights)", "by the primary user", parameters=words)


def _parameters(book: Book, name: str, entry: CommandEntry) -> None:
    """Each value that is taken and each that is not, one after another; what succeeds once has a car each."""
    known = KNOWN[name]
    car = prepared(book.car(known.fits[0]), known)
    if not entry.parameters:
        ask(car, name, OK, "as it is")
    ask(car, name, MALFORMED, "a parameter that nobody knows", parameters={**known.words, "colour": "red"})
    for variation in variations(entry.parameters, known.words, COMPANIONS.get(name, {})):
        if car.now_s > 70 * GAP_S / 2:
            car = prepared(book.car(known.fits[0]), known)
        outcome = INSTEAD.get((name, variation.path[-1], variation.text), variation.outcome)
        here = prepared(book.car(known.fits[0]), known) if known.once and outcome == OK else car
        stands = {} if variation.words.keys() & {"latitude", "longitude"} else known.stands or {}
        of = ".".join(variation.path)
        then = {"start": known.then, "stop": stopped(name)}.get(variation.text) if outcome == OK else None
        here.ask(name, outcome, f"{of} {variation.text}", parameters=variation.words, then=then, **long_enough(name), **stands)


def _states(book: Book, name: str, entry: CommandEntry) -> None:
    known = KNOWN[name]
    for fleet in known.fits:
        car = prepared(book.car(fleet), known).do("engine_on")
        if entry.state == "parked":
            ask(car, name, "rejected(engine_running)", f"the ignition is on ({fleet})")
            car.do("drive", to="60 km", then_s=90)
            ask(car, name, "rejected(not_parked)", f"the car is driven ({fleet})")
        else:
            ask(car, name, known.engine_on, f"the ignition is on ({fleet})")
            car = book.car(fleet).do("engine_on") if known.once else car
            car.do("drive", to="60 km", then_s=90)
            ask(car, name, known.engine_on, f"the car is driven ({fleet})")
        if "action" in entry.parameters:
            ask(car, name, OK, f"a stop, while the car is driven ({fleet})", parameters={**known.words, "action": "stop"})
        if known.once and entry.state == "any":
            car = book.car(fleet).do("engine_on").do("drive", to="60 km", then_s=90)
        car.do("park")
        ask(prepared(car, known), name, OK, f"parked again ({fleet})")


def _equipment(book: Book, name: str, entry: CommandEntry) -> None:
    needs = [*entry.equipment, *(["built_from"] if entry.built_from is not None else [])]
    assert set(needs) == set(KNOWN[name].lacking), f"{name}: for each of {needs} a fleet without it"
    for need, fleet in KNOWN[name].lacking.items():
        ask(book.car(fleet), name, "rejected(not_equipped)", f"without {need} ({fleet})")


def _privacy(book: Book, name: str, entry: CommandEntry) -> None:
    known = KNOWN[name]
    for fleet in known.fits:
        for mode in MODES[GENERATION[fleet]]:
            car = prepared(book.car(fleet), known).do("set_privacy", mode=mode)
            silent = mode in SILENT and not entry.legal
            hidden = mode == "online" and entry.tells_position
            outcome = "rejected(privacy_offline)" if silent else "rejected(privacy_location)" if hidden else OK
            ask(car, name, outcome, f"privacy mode {mode} ({fleet})")
            car.do("set_privacy", mode="online_with_location")
            if outcome != OK or not known.once:
                ask(car, name, OK, f"privacy mode online_with_location after {mode} ({fleet})")


def _switched(book: Book, name: str, entry: CommandEntry) -> None:
    known = KNOWN[name]
    if not entry.legal:
        car = prepared(book.car(known.fits[0]), known).do("set_service", named=name, switch="off")
        ask(car, name, "rejected(service_deactivated)", "switched off in the car")
        if "action" in entry.parameters:
            stop = {**known.words, "action": "stop"}
            ask(car, name, "rejected(service_deactivated)", "a stop of what is switched off in the car", parameters=stop)
        car.do("set_service", named=name, switch="on")
        ask(car, name, OK, "switched on again")
    car = prepared(book.car(known.fits[-1]), known).do("workshop_mode", switch="on")
    ask(car, name, OK if entry.legal else "rejected(workshop_mode)", "in workshop mode")
    if not entry.legal:
        car.do("workshop_mode", switch="off")
        ask(car, name, OK, "after workshop mode")


def _crash(book: Book, name: str, entry: CommandEntry) -> None:
    known = KNOWN[name]
    car = book.car(known.fits[0]).do("engine_on").do("crash")
    refused = entry.state == "parked" and not entry.legal
    ask(prepared(car, known), name, "rejected(crashed)" if refused else OK, "after a crash")
    if refused or not known.once:
        car.do("repair")
        ask(prepared(car, known), name, OK, "repaired")


def _reset(book: Book, name: str, entry: CommandEntry) -> None:
    known = KNOWN[name]
    car = prepared(book.car(known.fits[0]), known)
    if entry.spin:
        ask(car, name, OK, "before the reset")
    car.do("reset_car")
    ask(car, name, "rejected(not_paired)", "after a reset")
    car.do("pair_car")
    prepared(car, known)
    if entry.spin:
        ask(car, name, "rejected(spin_required)", "with the S-PIN of before the reset", spin="right")
        ask(car, name, OK, "paired again, with a new S-PIN", spin="new")
    else:
        ask(car, name, OK, "paired again")


def _spin(book: Book, name: str, entry: CommandEntry) -> None:
    known = KNOWN[name]
    car = prepared(book.car(known.fits[0]), known)
    ask(car, name, "rejected(insufficient_rights)", "by somebody who is not enrolled", user="anna")
    if not entry.spin:
        return
    ask(car, name, "rejected(spin_required)", "without the S-PIN", spin="none")
    for count in (1, 2):
        ask(car, name, "rejected(spin_wrong)", f"wrong S-PIN {count} of 3", spin="wrong")
    ask(car, name, OK, "the right S-PIN after two wrong ones", spin="right")
    for count in (1, 2, 3):
        ask(car, name, "rejected(spin_wrong)", f"after the right one, wrong S-PIN {count} of 3", spin="wrong")
    ask(car, name, "rejected(spin_locked)", "a fourth wrong S-PIN", spin="wrong")
    ask(car, name, "rejected(spin_locked)", "the right S-PIN when it is locked", spin="right")
    ask(car, name, OK, "a new S-PIN", spin="new")


STOPS_IN_S: Final = 0.8
"""How long the actuator takes for a stop: what starts slower can be overtaken."""
ON_THE_WAY_S: Final = 0.002
"""From the desk to the car on the simulated network: a millisecond to the broker, and one from it."""


def _time_to_live(book: Book, name: str, entry: CommandEntry) -> None:
    """Virtually the command is held back on its way until the very microsecond; live a car without network hears of it later.

    Longer than ten minutes nobody holds it back: then with a time to live of ten minutes.
    """
    known = KNOWN[name]
    own = entry.time_to_live_s <= 600
    ttl_s = entry.time_to_live_s if own else 600
    for late_us, outcome in ((0, OK), (1, "expired")):
        car = prepared(book.car(known.fits[0], only="virtual"), known)
        # The way is open again before the car says anything: an acknowledgement that comes late would end the connection.
        car.network(latency=f"{ttl_s - ON_THE_WAY_S + late_us / 1e6:.6f} s", way="to_client", lasts_s=5, then_s=1)
        what = "in the last microsecond of its time to live" if not late_us else "a microsecond later"
        sent_s = car.now_s
        ask(car, name, outcome, what, then_s=0, time_to_live=DROP if own else "10 min")
        car.now_s = sent_s + ttl_s - 14  # awake when it comes: an engine that was on keeps the car awake
        car.do("engine_on", then_s=4).do("engine_off", then_s=0)
        if known.plug:
            car.do("plug_in", then_s=0)
        car.now_s = sent_s + ttl_s + GAP_S
    for back_s, outcome in ((480, OK), (660, "expired")):
        car = prepared(book.car(known.fits[-1]), known).do("lose_coverage")
        ask(car, name, outcome, f"heard of after {back_s // 60} of 10 minutes", time_to_live="10 min", then_s=back_s)
        car.do("regain_coverage", then_s=GAP_S)


def _twice(book: Book, name: str, entry: CommandEntry) -> None:
    known = KNOWN[name]
    car = prepared(book.car(known.fits[0]), known)
    ask(car, name, OK, "asked for", id=f"once-{name}")
    ask(car, name, OK, "asked for again with the same id", id=f"once-{name}")
    other = "refresh" if name != "refresh" else "speed_alert"
    ask(car, other, MALFORMED, f"with the id of a {name}", id=f"once-{name}")
    car = prepared(book.car(known.fits[0], only="virtual"), known)
    awake = "speed_alert" if name == "refresh" else "refresh"
    ask(car, awake, OK, f"so that the car is awake for {name} twice")
    car.network(duplicate="PUBLISH", topic="fleet/v1/+/command/+", lasts_s=60, then_s=1)
    ask(car, name, OK, "delivered twice")
    if known.takes_s is None:
        return
    car = prepared(book.car(known.fits[0], only="virtual"), known)
    ask(car, name, OK, "the first of two at a time", then_s=0.1)
    ask(car, name, "rejected(busy)", "the second of two at a time")
    ask(car, name, OK, "when the first one is done")
    if "action" in entry.parameters:
        stop = {**known.words, "action": "stop"}
        car = prepared(book.car(known.fits[0], only="virtual"), known)
        ask(car, "refresh", OK, f"so that the car is awake for {name}")
        overtaken = known.takes_s > STOPS_IN_S
        what = "a start that a stop overtakes" if overtaken else "a start, and a stop before it is done"
        ask(car, name, "failed(cancelled)" if overtaken else OK, what, then_s=0.1, then=None)
        ask(car, name, OK, "a stop is never busy", parameters=stop, then=stopped(name))
        ask(car, name, OK, "a stop", parameters=stop, then_s=0.1)
        ask(car, name, "rejected(busy)", "a start while a stop is in progress")


def _meanwhile(book: Book, name: str, entry: CommandEntry) -> None:
    """Somebody starts the engine while the actuator works."""
    known = KNOWN[name]
    if known.takes_s is None or entry.state == "any":
        return
    car = prepared(book.car(known.fits[0], only="virtual"), known)
    ask(car, "refresh", OK, f"so that the car is awake for {name} and the engine")
    ask(car, name, "failed(engine_running)", "the engine is started meanwhile", then_s=known.takes_s / 2)
    car.do("engine_on")
