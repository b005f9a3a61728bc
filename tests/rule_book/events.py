"""The lines about what cars tell by themselves, and what the back end makes of it: each event is caused, and kept from coming."""

from __future__ import annotations

from typing import Any, Final

from tests.rule_book.asking import ask
from tests.rule_book.book import GAP_S, Book, Story
from tests.rule_book.knowledge import GENERATION, MODES
from tests.rule_book.variations import OK

NOT_CAUSED: Final = {
    "route_lapsed": "routes wait for seven days",
    "service_due": "whether an inspection is due is drawn with the car",
    "user_enrolled": "by the back end, for somebody with an account",
    "user_logged_in": "by somebody with an account",
    "user_logged_out": "by somebody with an account",
    "notice_shown": "by the back end, for somebody with an account",
}
"""Events that this book does not cause, and why."""
TIMER_DAYS: Final = ["monday"]


def write_events(book: Book) -> None:
    """Write all lines about events and services of the back end."""
    for title, part in (
        ("engine: on, off, and not started", _engine),
        ("drives and fuel", _drives),
        ("calls", _calls),
        ("what is switched, reset and paired", _switches),
        ("how cars are enrolled, and who may not be", _enrolment),
        ("zones and speeds", _watching),
        ("timers of heater, ventilation and departures", _timers),
        ("charging and the 12 V battery", _charging),
        ("faults, services, AdBlue and the partner", _wear),
        ("routes and updates", _journeys),
        ("campaigns", _campaigns),
        ("tokens of a right S-PIN", _tokens),
        ("what takes the place of what was set before, and what a reset wipes", _wiped),
        ("commands that come again, and cars that are warm", _again),
    ):
        book.chapter(title)
        part(book)


def _does(action: str, **words: Any) -> dict[str, Any]:
    return {"do": action, **words}


def _tells(
    car: Story, event: str, what: str, action: str, *, within_s: float = 5, data: dict[str, Any] | None = None,
    then_s: float = 60, **words: Any,
) -> Story:  # fmt: skip
    """Expect that something done to the car is told."""
    doing = _does(action, **words)
    return car.expect(event, what, doing=doing, event=event, data=data, within_s=within_s, then_s=then_s)


def _silent(car: Story, event: str, what: str, action: str, *, within_s: float = 50, then_s: float = 60, **words: Any) -> Story:
    """Expect that something done to the car is not told as this event."""
    return car.expect(event, what, doing=_does(action, **words), no_event=event, within_s=within_s, then_s=then_s)


def _engine(book: Book) -> None:
    for fleet in ("leon", "born"):
        car = book.car(fleet)
        _silent(car, "engine_off", f"an engine that is off ({fleet})", "engine_off")
        _tells(car, "engine_on", f"started ({fleet})", "engine_on")
        _silent(car, "engine_on", f"an engine that runs ({fleet})", "engine_on")
        _tells(car, "engine_off", f"switched off ({fleet})", "engine_off")
    car = book.car("leon").do("engine_on").do("crash")
    _tells(car, "engine_not_started", "after a crash", "engine_on", data={"reason": "crashed"})
    _tells(car, "repaired", "after a crash", "repair")
    _silent(car, "repaired", "nothing to repair", "repair")
    _tells(car, "engine_on", "repaired", "engine_on")
    car = book.car("ateca").do("low_adblue", level="0 %")
    _tells(car, "engine_not_started", "without AdBlue", "engine_on", data={"reason": "adblue_empty"})
    car = book.car("ateca").do("low_adblue", level="1 %")
    _silent(car, "engine_not_started", "with the last of its AdBlue", "engine_on")


def _drives(book: Book) -> None:
    for fleet in ("leon", "born"):
        car = book.car(fleet)
        car.expect("trip", f"a drive of 3 km ({fleet})", doing=_does("drive", to="3 km"), event="trip", within_s=2400, then_s=10)
        car.expect("trip", f"it is under way ({fleet})", then="car.trips == 1 and car.state != parked", then_s=2400)
        car.expect("trip", f"it is over ({fleet})", then="car.trips == 1")
        car = book.car(fleet).do("engine_on")
        _silent(car, "trip", f"an engine that runs, and no drive ({fleet})", "engine_off")
        car = book.car(fleet).do("unplug").do("low_fuel", level="5 %")
        refuelled: dict[str, Any] = {"event": "refuelled", "within_s": 3000}
        car.expect("refuelled", f"low, and a long way ({fleet})", doing=_does("drive", to="30 km"), then_s=3000, **refuelled)
        car = book.car(fleet)
        car.expect(
            "refuelled", f"enough for the way ({fleet})", doing=_does("drive", to="3 km"), no_event="refuelled", within_s=2400
        )


def _calls(book: Book) -> None:
    for fleet in ("leon", "born"):
        for mode in ("online_with_location", *MODES[GENERATION[fleet]]):
            car = book.car(fleet).do("set_privacy", mode=mode)
            _tells(car, "ecall", f"by hand, privacy mode {mode} ({fleet})", "press_sos", data={"automatic": False})
            car.do("engine_on")
            for sensor in ("airbag", "belt_tensioner"):
                data = {"automatic": True, "sensor": sensor}
                _tells(car, "ecall", f"{sensor}, privacy mode {mode} ({fleet})", "crash", data=data, sensor=sensor)
                car.do("repair").do("engine_on")
        car = book.car(fleet)
        _silent(car, "ecall", f"a parked car does not feel a crash ({fleet})", "crash")
        car = book.car(fleet).do("reset_car")
        _tells(car, "ecall", f"after a reset ({fleet})", "press_sos", data={"automatic": False})
    for button, call in (("breakdown_call", "breakdown_call"), ("info_call", "info_call")):
        car = book.car("leon")
        connected = {"call": call, "state": "connected"}
        car.expect(call, "somebody calls", doing=_does(button), event=call, within_s=5, then_s=1)
        car.expect("call_ended", f"{call}: connected", doing=_does(button), event="call_ended", data=connected, within_s=60)
        car = book.car("leon").do("lose_coverage")
        failed = {"call": call, "state": "failed", "reason": "no_network"}
        car.expect("call_ended", f"{call}: no network", doing=_does(button), event="call_ended", data=failed, within_s=5)
        car.do("regain_coverage")
        for fleet, mode in (("leon", "maximum_privacy"), ("born", "offline")):
            car = book.car(fleet).do("set_privacy", mode=mode)
            _silent(car, call, f"privacy mode {mode}", button)
        car = book.car("born").do("set_privacy", mode="online")
        _tells(car, call, "privacy mode online", button)
    car = book.car("albanian")
    failed = {"call": "breakdown_call", "state": "failed", "reason": "no_breakdown_centre"}
    _tells(car, "call_ended", "a country without a breakdown centre", "breakdown_call", data=failed, within_s=50)
    connected = {"call": "info_call", "state": "connected"}
    _tells(car, "call_ended", "an information centre answers from everywhere", "info_call", data=connected, within_s=50)


def _switches(book: Book) -> None:
    for fleet, modes in (("leon", ("maximum_privacy",)), ("born", ("online", "offline"))):
        car = book.car(fleet)
        for mode in (*modes, "online_with_location"):
            _tells(car, "privacy_changed", f"to {mode} ({fleet})", "set_privacy", data={"mode": mode}, mode=mode)
            _silent(car, "privacy_changed", f"{mode} as it was ({fleet})", "set_privacy", mode=mode)
        off = {"services_off": ["honk"]}
        _tells(car, "privacy_changed", f"a service off ({fleet})", "set_service", data=off, named="honk", switch="off")
        _tells(car, "privacy_changed", f"on again ({fleet})", "set_service", data={"services_off": []}, named="honk", switch="on")
        car = book.car(fleet)
        _tells(car, "car_reset", f"one user ({fleet})", "reset_car", data={"user": "anna", "by": "car"}, user="anna")
        _silent(car, "car_paired", f"a car that somebody is at home in ({fleet})", "pair_car")
        _tells(car, "car_reset", f"all of it ({fleet})", "reset_car", data={"by": "car"})
        _silent(car, "engine_on", f"a reset car says nothing of itself ({fleet})", "engine_on")
        _tells(car, "car_paired", f"somebody is at home in it again ({fleet})", "pair_car")
        _tells(car, "engine_off", f"paired again it speaks ({fleet})", "engine_off")
        car = book.car(fleet)
        told = {"event": "car_reset", "data": {"by": "app"}}
        ask(car, "reset", OK, f"told by the car ({fleet})", **told)
    car = book.car("leon")
    _silent(car, "privacy_changed", "a mode that its generation has not", "set_privacy", mode="online")
    for length, ends in (("9 km", True), ("3 km", False)):
        car = book.car("leon")
        _tells(car, "workshop_mode", f"on, before {length}", "workshop_mode", data={"on": True, "reason": "by_hand"}, switch="on")
        if ends:
            data = {"on": False, "reason": "driven"}
            _tells(car, "workshop_mode", f"ended by {length}", "drive", data=data, within_s=3000, then_s=3000, to=length)
        else:
            _silent(car, "workshop_mode", f"not ended by {length}", "drive", within_s=2400, then_s=2500, to=length)
            _tells(car, "workshop_mode", "off", "workshop_mode", data={"on": False, "reason": "by_hand"}, switch="off")


def _zone(**more: Any) -> dict[str, Any]:
    return {"zones": [{"name": "home", "at": "home", "radius_m": 500, **more}]}


def _enrolment(book: Book) -> None:
    """Each model in its way, with a network and a privacy switch that lets it speak; also where nobody is at home."""
    steps: dict[str, tuple[str, dict[str, Any]]] = {"qr_shown": ("show_qr", {}), "key_presented": ("use_key", {"key": "first"})}
    for event, fleet, others in (("qr_shown", "born", ("leon", "plain", "ateca")), ("key_presented", "plain", ("born", "leon"))):
        action, words = steps[event]
        car = book.car(fleet)
        _tells(car, event, f"by the way of its model ({fleet})", action, **words)
        car.do("set_privacy", mode=MODES["G4" if fleet == "born" else "G3"][-1])
        _silent(car, event, f"at maximum privacy ({fleet})", action, **words)
        car.do("set_privacy", mode="online_with_location").do("lose_coverage")
        _silent(car, event, f"without a network ({fleet})", action, **words)
        car.do("regain_coverage").do("reset_car")
        _tells(car, event, f"nobody is at home ({fleet})", action, **words)
        for other in others:
            _silent(book.car(other), event, f"a model that is enrolled in another way ({other})", action, **words)
    nothing = {"request": "enrolment", "reason": "nothing_begun"}
    car = book.car("plain").do("use_key", key="second").do("use_key", key="first")
    _tells(car, "request_failed", "the second key after the first", "use_key", data=nothing, key="second")
    _silent(car, "request_failed", "the second key once more", "use_key", key="second")
    _silent(car, "request_failed", "the first key", "use_key", key="first", then_s=660)
    _silent(car, "request_failed", "the second key eleven minutes after the first", "use_key", key="second")
    _tells(book.car("leon"), "request_failed", "nobody has begun", "log_in", data={"request": "log_in"}, user="p1")
    failed = {"request": "enrolment", "reason": "not_equipped"}
    _tells(book.car("leon"), "request_failed", "a code in a model of another way", "enter_code", data=failed, code="12345678")
    _tells(book.car("plain"), "request_failed", "the assistant in a model of another way", "enrol_in_car", data=failed, user="p1")
    short = {"request": "log_in", "reason": "spin_required"}
    _tells(book.car("leon"), "request_failed", "a log-in without the S-PIN", "log_in", data=short, user="p1", spin="none")


def _watching(book: Book) -> None:
    both = (("leave", "5 km"), ("enter", "home"))
    for fleet in ("leon", "born"):
        car = book.car(fleet)
        ask(car, "area_alert", OK, f"a zone around home ({fleet})", parameters=_zone())
        for direction, to in both:
            data = {"zone": "home", "direction": direction}
            _tells(car, "area_alert", f"{direction} ({fleet})", "drive", data=data, within_s=3000, then_s=3000, to=to)
    for what, zone in (
        ("who enters alone", {"on": "enter"}),
        ("at weekends alone", {"days": "weekend"}),
        ("in the evening alone", {"begins": "20:00", "ends": "22:00"}),
    ):
        car = book.car("leon")
        ask(car, "area_alert", OK, f"a zone that tells {what}", parameters=_zone(**zone))
        _silent(car, "area_alert", f"nobody is told of a car that leaves: {what}", "drive", within_s=1200, then_s=1300, to="5 km")
    car = book.car("leon")
    ask(car, "area_alert", OK, "a zone", parameters=_zone())
    ask(car, "area_alert", OK, "no zone any more", parameters={"zones": []})
    _silent(car, "area_alert", "the watch has ended", "drive", within_s=1200, then_s=1300, to="5 km")
    car = book.car("born")
    ask(car, "area_alert", OK, "a zone before the switch", parameters=_zone())
    car.do("set_privacy", mode="online")
    _silent(car, "area_alert", "no position may leave the car", "drive", within_s=1200, then_s=1300, to="5 km")
    for limit, told in ((30, True), (250, False)):
        car = book.car("leon")
        ask(car, "speed_alert", OK, f"a limit of {limit} km/h", parameters={"limit_kmh": limit})
        if told:
            _tells(
                car,
                "speed_alert",
                f"faster than {limit} km/h",
                "drive",
                data={"limit_kmh": limit},
                within_s=1200,
                then_s=1300,
                to="12 km",
            )
        else:
            _silent(car, "speed_alert", f"not faster than {limit} km/h", "drive", within_s=2400, then_s=2500, to="12 km")
    car = book.car("leon")
    ask(car, "speed_alert", OK, "a limit", parameters={"limit_kmh": 30})
    ask(car, "speed_alert", OK, "no limit any more", parameters={"action": "stop"})
    _silent(car, "speed_alert", "the watch has ended", "drive", within_s=2400, then_s=2500, to="12 km")


def _timers(book: Book) -> None:
    """All set off at half past ten."""
    for fleet, has in (("ateca", True), ("early", True), ("first", False)):
        car = book.car(fleet, at_s=600)
        words = {"minutes": 30, "timers": [{"at": "10:30", "days": TIMER_DAYS}]}
        doing = {"do": "set_heater", "parameters": words}
        started = {"by": "timer", "minutes": 30}
        if has:
            car.expect("heater_started", f"set in the car ({fleet})", doing=doing, event="heater_started", data=started)
            car.expect(
                "heater_ended", f"started by a timer ({fleet})", event="heater_ended", data={"reason": "time", "minutes": 30}
            )
        else:
            car.expect("heater_started", f"a car without the menu ({fleet})", doing=doing, no_event="heater_started")
    for minutes in (10, 60):
        car = book.car("leon", at_s=600)
        timer = {"timers": [{"at": "10:30", "days": TIMER_DAYS, "minutes": minutes}]}
        started = {"event": "ventilation_started", "data": {"by": "timer", "minutes": minutes}}
        ask(car, "ventilation_timers", OK, f"{minutes} minutes before half past ten", parameters=timer, **started)
        car.now_s = 150 * 60 - minutes * 60 - 660
        car.expect("ventilation_started", f"not before it is time, {minutes} minutes", then="car.climate == off", then_s=120)
        car.expect("ventilation_started", f"from its time on, {minutes} minutes", then="car.climate == ventilation")
    for what, other in (
        ("a timer that is off", {"at": "10:30", "days": TIMER_DAYS, "enabled": False}),
        ("another day", {"at": "10:30", "days": ["tuesday"]}),
        ("another date", {"at": "10:30", "date": "2026-03-03"}),
    ):
        car = book.car("leon", at_s=600)
        ask(car, "ventilation_timers", OK, what, parameters={"timers": [other]})
        car.expect("ventilation_started", what, no_event="ventilation_started")
    car = book.car("leon", at_s=600)
    today = {"timers": [{"at": "10:30", "date": "2026-03-02"}]}
    ask(car, "ventilation_timers", OK, "today", parameters=today, event="timer_skipped")
    car.now_s = 100 * 60
    car.do("engine_on")
    car = book.car("leon", at_s=600)
    ask(car, "ventilation_timers", OK, "timers", parameters=today)
    ask(car, "ventilation_timers", OK, "no timers any more", parameters={"timers": []})
    car.expect("ventilation_started", "the timers are gone", no_event="ventilation_started")
    _departures(book)


def _departures(book: Book) -> None:
    timer = {"timers": [{"at": "10:30", "days": TIMER_DAYS}]}
    for fleet in ("born", "hybrid"):
        car = book.car(fleet, at_s=600).do("plug_in")
        if fleet == "born":
            car.do("low_fuel", level="50 %")
            ask(car, "charging_settings", OK, "charged as far as is wanted", parameters={"limit_percent": 50})
        started = {"event": "climatisation_started", "data": {"by": "departure"}}
        ask(car, "departure_timers", OK, f"charged, and warm in time ({fleet})", parameters=timer, **started)
        car.expect("departure_ready", f"charged, with a plug ({fleet})", event="departure_ready")
        car.expect("target_reached", f"warm for the departure ({fleet})", event="target_reached", data={"target_c": 21})
    low: dict[str, Any] = {"level": "40 %"}
    for reason, steps in (
        ("not_plugged_in", (("low_fuel", low), ("unplug", {}))),
        ("charging_error", (("low_fuel", low), ("plug_in", {}), ("break_charge_point", {}))),
    ):
        car = book.car("born", at_s=600)
        for action, words in steps:
            car.do(action, **words)
        missed = {"event": "departure_not_ready", "data": {"reason": reason}}
        ask(car, "departure_timers", OK, f"not ready: {reason}", parameters=timer, **missed)
    car = book.car("born", at_s=600)
    car.do("low_fuel", level="40 %").do("plug_in")
    ask(car, "charging", OK, "stopped before a departure", parameters={"action": "stop"})
    missed = {"event": "departure_not_ready", "data": {"reason": "charging_stopped"}}
    ask(car, "departure_timers", OK, "not ready: charging_stopped", parameters=timer, **missed)
    car = book.car("born", at_s=600).do("unplug")
    ask(
        car,
        "departure_timers",
        OK,
        "not ready: too_late",
        parameters=timer,
        event="departure_not_ready",
        data={"reason": "too_late"},
    )
    car.now_s = 120 * 60 - 600  # ten minutes before the car wakes for it
    car.do("low_fuel", level="21 %", then_s=1).do("plug_in")


def _charging(book: Book) -> None:
    car = book.car("born").do("low_fuel", level="50 %").do("plug_in")
    _tells(car, "charging_error", "the charge point fails", "break_charge_point")
    _silent(car, "charging_error", "it has failed already", "break_charge_point")
    car = book.car("born").do("unplug")
    _silent(car, "charging_error", "a car that is not plugged in", "break_charge_point")
    for fleet in ("leon", "born"):
        car = book.car(fleet).do("unplug")
        _silent(car, "low_voltage_low", f"above half ({fleet})", "low_12v", within_s=10, level="51 %")
        _tells(car, "low_voltage_low", f"below half ({fleet})", "low_12v", level="49 %")
        _silent(car, "low_voltage_low", f"told already ({fleet})", "low_12v", level="48 %")


def _wear(book: Book) -> None:
    car = book.car("leon")
    _tells(car, "fault", "a light comes on", "fault", fault="tyre_pressure")
    _silent(car, "fault", "a light that is on", "fault", fault="tyre_pressure")
    _tells(car, "serviced", "mended", "repair", data={"faults": ["tyre_pressure"]})
    _tells(car, "fault", "it comes on again", "fault", fault="tyre_pressure")
    for warning, level in (("low", "20 %"), ("critical", "0.5 %")):
        car = book.car("ateca").do("low_adblue", level=level)
        _tells(car, "adblue_warning", f"AdBlue at {level}, {warning}", "drive", within_s=2400, then_s=2500, to="12 km")
    partner = book.car("leon")
    partner.serve("partner", "show", OK, "nobody is chosen")
    partner.do("fault", fault="headlight")
    partner.serve("partner", "choose", OK, "a partner", partner="North")
    partner.do("fault", fault="tail_light")
    partner.serve("partner", "automatic", OK, "not to be told any more", on=False)
    partner.do("fault", fault="coolant")
    partner.serve("partner", "automatic", OK, "to be told again", on=True)
    partner.do("fault", fault="engine_oil")
    partner.serve("partner", "close", OK, "the partner", about="none", partner="North")
    partner.do("fault", fault="washer_fluid")
    partner.serve("partner", "choose", "rejected(partner_closed)", "a partner that is closed", partner="North")
    partner.serve("partner", "choose", OK, "another one", partner="South", contact="phone")
    partner.do("fault", fault="brake_pads")


TOLD_PARTNER: Final = 3
"""Of those faults: with a partner that is to be told, and not closed."""


def _journeys(book: Book) -> None:
    car = book.car("leon")
    point = {"trips": [{"waypoints": [{"at": "5 km"}]}]}
    _silent(car, "route_offered", "no route", "engine_on").do("engine_off")
    _silent(car, "route_started", "no route", "follow_route")
    ask(car, "route_import", OK, "one route", parameters=point)
    _tells(car, "route_offered", "at the next ignition", "engine_on", data={"count": 1}, then_s=1)
    car.expect("route_downloaded", "it is in the list", event="route_downloaded", data={"count": 1, "listed": 1}, within_s=60)
    car.do("engine_off")
    _silent(car, "route_offered", "once", "engine_on").do("engine_off")
    _tells(car, "route_started", "followed", "follow_route", data={"waypoints": 1})
    for target, fails in (("infotainment", False), ("infotainment", True)):
        car = book.car("leon")
        _silent(car, "update_consent", f"withdrawn, never given, fails {fails}", "withdraw_consent")
        _tells(car, "update_consent", f"given, fails {fails}", "give_consent", data={"given": True})
        words = {"campaign": "spring", "version": "2.0", "size_mb": 1, "target": target}
        ask(car, "system_update", OK, f"{target}, fails {fails}", parameters=words)
        if fails:
            car.do("fail_update", then_s=1)
        data = {"state": "downloading", "version": "2.0"}
        _tells(car, "update_progress", f"downloading, fails {fails}", "engine_on", data=data)
        ended = {"state": "rolled_back", "reason": "self_test_failed"} if fails else {"state": "installed"}
        _tells(car, "update_result", f"fails {fails}", "engine_off", data=ended, within_s=660, then_s=700)
    car = book.car("leon").do("give_consent")
    ask(car, "system_update", OK, "given up", parameters={"campaign": "spring", "version": "2.0", "size_mb": 1000})
    data = {"state": "cancelled", "reason": "consent_withdrawn"}
    _tells(car, "update_result", "consent is withdrawn", "withdraw_consent", data=data)


def _campaigns(book: Book) -> None:
    car = book.car("born", at_s=300).do("give_consent")
    named: dict[str, Any] = {"campaign": "spring"}
    plan: dict[str, Any] = {**named, "version": "2.0", "size_mb": 1, "target": "infotainment", "waves": [1.0]}
    for action in ("status", "pause", "resume", "start"):
        car.serve("campaign", action, "rejected(not_found)", "of a campaign that is not there", about="none", **named)
    car.serve("campaign", "consent", "rejected(not_found)", "to a campaign that is not there", **named)
    falling = {**plan, "waves": [0.5, 0.1, 1.0]}
    car.serve("campaign", "plan", "rejected(argument_out_of_range)", "waves that fall", about="list", **falling)
    car.serve("campaign", "plan", OK, "for one car", about="list", **plan)
    car.serve("campaign", "status", "rejected(not_found)", "of what is planned, and not begun", about="none", **named)
    car.serve("campaign", "start", OK, "as it is planned", about="none", then_s=GAP_S, **named)
    car.serve("campaign", "status", OK, "of one that is begun", about="none", **named)
    car.serve("campaign", "pause", OK, "one that runs", about="none", **named)
    car.serve("campaign", "pause", "rejected(not_possible)", "one that is paused", about="none", **named)
    further = book.car("born", at_s=300)
    further.wait(car.now_s).do("give_consent")
    further.serve("campaign", "plan", OK, "a further car, while it is paused", about="list", then_s=GAP_S, **plan)
    car.now_s = further.now_s
    car.serve("campaign", "resume", OK, "one that is paused", about="none", then_s=GAP_S, **named)
    car.serve("campaign", "resume", "rejected(not_possible)", "one that runs", about="none", **named)
    other = book.car("leon", at_s=300 + car.now_s)
    other.serve("campaign", "consent", "rejected(not_possible)", "of a car that is not part of it", **named)
    car.serve("campaign", "consent", OK, "of the car's user, by app", then_s=GAP_S, **named)
    data = {"campaign": "spring", "state": "installed"}
    further.now_s = car.now_s
    for what, each in (("for a campaign", car), ("when it was resumed", further)):
        each.do("engine_on", then_s=GAP_S)
        _tells(each, "update_result", f"installed {what}", "engine_off", data=data, within_s=660, then_s=700)
    car.serve("campaign", "pause", "rejected(not_possible)", "one that is finished", about="none", **named)


def _tokens(book: Book) -> None:
    """A right S-PIN brings a token, which is as good for five minutes, but not when the S-PIN is locked."""
    for minutes, outcome in ((4, OK), (6, "rejected(spin_required)")):
        car = book.car("leon")
        ask(car, "lock", OK, f"with the S-PIN, {minutes} minutes before its token", spin="right", then_s=minutes * 60)
        ask(car, "unlock", outcome, f"with a token of {minutes} minutes", spin="token")
    for after_s, outcome in ((299, OK), (301, "rejected(spin_required)")):
        car = book.car("leon", only="virtual")
        ask(car, "lock", OK, f"with the S-PIN, {after_s} s before its token", spin="right", then_s=after_s)
        ask(car, "unlock", outcome, f"with a token of {after_s} s", spin="token")
    car = book.car("leon")
    ask(car, "lock", OK, "with the S-PIN, before it is locked", spin="right", then_s=30)
    for count in (1, 2, 3):
        ask(car, "lock", "rejected(spin_wrong)", f"wrong S-PIN {count} of 3, a token being there", spin="wrong", then_s=30)
    ask(car, "lock", "rejected(spin_locked)", "with a token, when the S-PIN is locked", spin="token")


def _wiped(book: Book) -> None:
    car = book.car("leon")
    ask(car, "area_alert", OK, "a zone that another one takes the place of", parameters=_zone())
    far = {"zones": [{"name": "far", "latitude": 48.9, "longitude": 11.5, "radius_m": 500}]}
    ask(car, "area_alert", OK, "another zone", parameters=far)
    _silent(car, "area_alert", "the zone of before is watched no more", "drive", within_s=1200, then_s=1300, to="5 km")
    car = book.car("leon")
    ask(car, "speed_alert", OK, "a limit that another one takes the place of", parameters={"limit_kmh": 30})
    ask(car, "speed_alert", OK, "another limit", parameters={"limit_kmh": 250})
    _silent(car, "speed_alert", "the limit of before is watched no more", "drive", within_s=2400, then_s=2500, to="12 km")
    for name, words, event, to in (
        ("area_alert", _zone(), "area_alert", "5 km"),
        ("speed_alert", {"limit_kmh": 30}, "speed_alert", "12 km"),
    ):
        car = book.car("leon")
        ask(car, name, OK, "before a reset that wipes it", parameters=words)
        car.do("reset_car").do("pair_car")
        _silent(car, event, "it was wiped", "drive", within_s=2400, then_s=2500, to=to)
    car = book.car("leon")
    ask(car, "route_import", OK, "before a reset that wipes it", parameters={"trips": [{"waypoints": [{"at": "5 km"}]}]})
    car.do("reset_car").do("pair_car")
    _silent(car, "route_offered", "it was wiped", "engine_on")
    for fleet, name, event in (
        ("leon", "ventilation_timers", "ventilation_started"),
        ("born", "departure_timers", "climatisation_started"),
    ):
        car = book.car(fleet, at_s=600)
        if fleet == "born":
            car.do("low_fuel", level="50 %").do("plug_in")
        ask(car, name, OK, "before a reset that wipes it", parameters={"timers": [{"at": "10:30", "days": TIMER_DAYS}]})
        car.do("reset_car").do("pair_car")
        car.expect(event, f"{name}: they were wiped", no_event=event)
    car = book.car("leon").do("drive", to="3 km", then_s=1500).do("engine_off").do("reset_car").do("pair_car")
    ask(car, "refresh", OK, "driving data were wiped")
    car = book.car("leon")
    profile = {"action": "save", "settings": [{"name": "seat", "value": "7"}]}
    car.online("personalisation", None, "before a reset that wipes it", data=profile)
    car.do("reset_car").do("pair_car")
    car.online("personalisation", "no_profile", "it was wiped", data={"action": "log_in"})


def _again(book: Book) -> None:
    for name in ("refresh", "lock"):
        car = book.car("leon", only="virtual")
        ask(car, "speed_alert", OK, f"so that the car is awake for {name} and the broker")
        car.network(drop="PUBACK", way="to_broker", lasts_s=30, then_s=1)
        ask(car, name, OK, "the broker does not hear that it came, and sends it again", then_s=20)
        car.do("lose_coverage", then_s=40).do("regain_coverage", then_s=GAP_S)
        car.expect(name, "answered again, and not done again", doing=_does("engine_on"), event="engine_on", within_s=5)
    car = book.car("leon")
    ask(car, "heater", OK, "an hour in the cold", parameters={"minutes": 60}, then="car.climate == heating", then_s=3000)
    ask(car, "heater", OK, "a car that is warm inside is ventilated", then="car.climate == ventilation")
