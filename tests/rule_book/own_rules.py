"""The lines about rules that are one service's alone, and about cars that sleep or are woken too often."""

from __future__ import annotations

from typing import Any, Final

from fleet.wire.commands import COMMANDS
from tests.rule_book.asking import ask, prepared
from tests.rule_book.book import BETWEEN_S, GAP_S, Book
from tests.rule_book.knowledge import KNOWN
from tests.rule_book.variations import OK, OUT_OF_RANGE

NIGHT: Final = {"begins": "22:00", "ends": "06:00"}


def write_own_rules(book: Book) -> None:
    """Write the lines about rules that are one service's alone."""
    for title, part in (
        ("honk: 500 m by the geodesic from the car's own last fix", _distances),
        ("lock: doors that stand open", _doors),
        ("heater, ventilation, climatisation: how long they run, what they exclude, fuel and batteries", _comfort),
        ("charging: plug, charge point, limit", _charging),
        ("protection of the traction battery: its reserve", _protected),
        ("words that do not go together", _together),
        ("routes: a full list, one route, maps that end", _routes),
        ("updates: consent, one at a time, one that is installed", _updates),
        ("the wake-up budget", _budget),
        ("a weak 12 V battery, and deep sleep", _batteries),
        ("commands of different kinds do not wait for each other", _kinds),
        ("what the desk has not heard of, the car refuses itself", _unheard),
        ("what nobody knows", _unknown),
    ):
        book.chapter(title)
        part(book)


def _distances(book: Book) -> None:
    for fleet in ("leon", "born"):
        car = book.car(fleet)
        for metres, outcome in (
            ("0 m", OK), ("499.999 m", OK), ("500.000 m", OK), ("500.001 m", "rejected(too_far)"), ("501 m", "rejected(too_far)"),
            ("600 m", "rejected(too_far)"), ("1000 m", "rejected(too_far)"), ("20000 km", "rejected(too_far)"),
        ):  # fmt: skip
            what = f"a user {metres} from the car's last fix ({fleet})"
            car.ask("honk", outcome, what, distance=metres, distance_from="fix", time_to_live="10 min")
        car.do("drive", to="3 km", then_s=1200).do("engine_off")
        for metres, outcome in (("500.000 m", OK), ("500.001 m", "rejected(too_far)")):
            what = f"after a drive, a user {metres} from the new fix ({fleet})"
            car.ask("honk", outcome, what, distance=metres, distance_from="fix", time_to_live="10 min")


def _doors(book: Book) -> None:
    for door in ("front_left", "front_right", "rear_left", "rear_right", "bonnet", "boot"):
        car = book.car("leon").do("open", door=door)
        ask(car, "lock", "rejected(door_open)", f"{door} open", then="car.locked == no")
        ask(car, "unlock", OK, f"{door} open")
        car.do("close", door=door)
        ask(car, "lock", OK, f"{door} closed again")
    car = book.car("leon", only="virtual")
    ask(car, "unlock", OK, "so that the car is awake, and not locked")
    ask(car, "lock", "failed(door_open)", "a door is opened meanwhile", then_s=0.4, then="car.locked == no")
    car.do("open", door="boot")
    for first, second in (("lock", "unlock"), ("unlock", "lock")):
        car = book.car("leon", only="virtual")
        ask(car, first, OK, f"before {second} of the same kind", then_s=0.1)
        ask(car, second, "rejected(busy)", f"while {first} is in progress, which is of the same kind")


def _comfort(book: Book) -> None:
    for name, event in (("heater", "heater_ended"), ("ventilation", "ventilation_ended")):
        for minutes in (10, 20, 60):
            car = book.car("leon")
            ends = {"event": event, "data": {"reason": "time", "minutes": minutes}}
            ask(car, name, OK, f"runs for {minutes} minutes", parameters={"minutes": minutes}, then_s=minutes * 60 - 60, **ends)
            still = "car.climate == heating" if name == "heater" else "car.climate == ventilation"
            car.expect(event, f"not before {minutes} minutes", then=still, then_s=180)
            car.expect(event, f"after {minutes} minutes", then="car.climate == off")
        car = book.car("leon")
        ends = {"event": event, "data": {"reason": "stopped"}}
        ask(car, name, OK, "ended by a stop", **ends)
        ask(car, name, OK, "stopped", parameters={"action": "stop"}, then="car.climate == off")
        ask(car, name, OK, "ended by the engine", event=event, data={"reason": "engine_start"})
        car.do("engine_on")
        car.expect(event, "the engine runs", then="car.climate == off")
    for fleet in ("born", "hybrid"):
        car = prepared(book.car(fleet), KNOWN["climatisation"])
        ends = {"event": "climatisation_ended", "data": {"reason": "time", "minutes": 30}}
        ask(car, "climatisation", OK, f"runs for 30 minutes ({fleet})", parameters={"target_c": 22}, then_s=29 * 60, **ends)
        car.expect("climatisation_ended", f"not before 30 minutes ({fleet})", then="car.climate == climatisation", then_s=180)
        car.expect("climatisation_ended", f"after 30 minutes ({fleet})", then="car.climate == off")
    car = book.car("leon")
    ask(car, "heater", OK, "before ventilation")
    ask(car, "ventilation", "rejected(heater_running)", "while the heater runs")
    ask(car, "heater", OK, "stopped for ventilation", parameters={"action": "stop"})
    ask(car, "ventilation", OK, "after the heater")
    ask(car, "heater", "rejected(ventilation_running)", "while ventilation runs")
    ask(car, "ventilation", OK, "stopped for the heater", parameters={"action": "stop"})
    ask(car, "heater", OK, "after ventilation")
    # A Leon's tank holds 50 l, of which 7 l are the reserve: 14 %.
    ask(book.car("leon").do("low_fuel", level="14 %"), "heater", "rejected(fuel_low)", "fuel at the reserve")
    car = book.car("leon").do("low_fuel", level="14.2 %")
    ends = {"event": "heater_ended", "data": {"reason": "fuel_low"}}
    ask(car, "heater", OK, "fuel above the reserve, which it reaches", parameters={"minutes": 60}, **ends)
    for level, outcome in (("20.01 %", OK), ("19.99 %", "rejected(battery_low)")):
        car = book.car("born").do("unplug").do("low_fuel", level=level)
        after = {"event": "climatisation_ended", "data": {"reason": "battery_low"}} if outcome == OK else {}
        ask(car, "climatisation", outcome, f"without a plug, charged to {level}", then=None, **after)
    car = book.car("born").do("unplug").do("low_fuel", level="10 %").do("plug_in")
    ask(car, "climatisation", OK, "charged to 10 %, with a plug")
    for fleet, outcome in (("born", OK), ("bare", "rejected(not_equipped)")):
        car = prepared(book.car(fleet), KNOWN["climatisation"])
        ask(car, "climatisation", outcome, f"with window heating ({fleet})", parameters={"window_heating": True})
    ask(book.car("ateca"), "heater", OK, "a model that does not choose heats", event="heater_ended", data={"mode": "heating"})


def _charging(book: Book) -> None:
    for fleet in ("born", "hybrid"):
        car = book.car(fleet).do("low_fuel", level="50 %").do("unplug")
        if fleet == "hybrid":  # whose fuel was meant: a drive makes room in its battery
            car.do("drive", to="12 km", then_s=3000).do("park").do("unplug")
        ask(car, "charging", "rejected(not_plugged_in)", f"without a plug ({fleet})")
        car.do("plug_in")
        ask(car, "charging", OK, f"plugged in ({fleet})")
        car.do("break_charge_point")
        ask(car, "charging", "rejected(charging_error)", f"the charge point gives no power ({fleet})")
        car.do("mend_charge_point")
        ask(car, "charging", OK, f"the charge point is mended ({fleet})")
        ask(car, "charging", OK, f"stopped ({fleet})", parameters={"action": "stop"}, then="car.charging == plugged_in")
        ask(car, "charging_settings", OK, f"a limit at what the car holds ({fleet})", parameters={"limit_percent": 50})
        ask(car, "charging", "rejected(limit_reached)", f"charged to its limit ({fleet})", then="car.charging == complete")
        ask(car, "charging_settings", OK, f"a limit above what the car holds ({fleet})", parameters={"limit_percent": 90})
        ask(car, "charging", OK, f"below its limit ({fleet})")
        car.do("unplug")
        ask(car, "charging", "rejected(not_plugged_in)", f"the plug is taken out ({fleet})", then="car.charging == unplugged")


def _protected(book: Book) -> None:
    """A reserve of two fifths: climatisation leaves it, and below it a plugged car charges whatever the night window says."""
    for level, outcome in (("40.01 %", OK), ("39.99 %", "rejected(battery_low)")):
        car = book.car("born").do("unplug").do("low_fuel", level=level).do("set_battery_protection", switch="on", level="40 %")
        after = {"event": "climatisation_ended", "data": {"reason": "battery_low"}} if outcome == OK else {}
        ask(car, "climatisation", outcome, f"a reserve of 40 %, charged to {level}", then=None, **after)
        car.do("set_battery_protection", switch="off")
        ask(car, "climatisation", OK, f"without protection, charged to {level}", then=None)
    car = book.car("born").do("low_fuel", level="30 %").do("plug_in")
    car.do("set_battery_protection", switch="on", level="40 %")
    ask(car, "charging_settings", OK, "a night window, and charge below the reserve", parameters={"night_window": True, **NIGHT})
    car.expect("charging_settings", "it charges to the reserve", then="car.charging == charging")
    car.do("set_battery_protection", switch="off")
    car.expect("charging_settings", "without protection it waits for the night", then="car.charging == plugged_in")


def _together(book: Book) -> None:
    car = book.car("born")
    for what, words, outcome in (
        ("nothing is set", {}, OUT_OF_RANGE),
        ("begins without ends", {"begins": "22:00"}, OUT_OF_RANGE),
        ("ends without begins", {"ends": "06:00"}, OUT_OF_RANGE),
        ("a night window without times", {"night_window": True}, OUT_OF_RANGE),
        ("times and no night window", {"night_window": False, **NIGHT}, OUT_OF_RANGE),
        ("a window that ends as it begins", {"begins": "22:00", "ends": "22:00"}, OUT_OF_RANGE),
        ("all at once", {"limit_percent": 80, "max_current_a": 10, "night_window": True, **NIGHT}, OK),
    ):
        ask(car, "charging_settings", outcome, what, parameters=words)
    place = {"latitude": 48.1, "longitude": 11.5}
    for what, places, outcome in (
        ("two places of one name", [{"name": "home", **place}, {"name": "home", **place}], OUT_OF_RANGE),
        ("a place without a name", [{"name": " ", **place}], OUT_OF_RANGE),
        ("two places", [{"name": "home", **place}, {"name": "work", **place}], OK),
    ):
        ask(car, "charging_locations", outcome, what, parameters={"locations": places})
    shape = {"radius_m": 500}
    for what, zones, outcome in (
        ("two zones of one name", [{"name": "a", **place, **shape}, {"name": "a", **place, **shape}], OUT_OF_RANGE),
        ("a zone without a name", [{"name": " ", **place, **shape}], OUT_OF_RANGE),
        ("a zone without a shape", [{"name": "a", **place}], OUT_OF_RANGE),
        ("a zone of two shapes", [{"name": "a", **place, **shape, "width_m": 500, "height_m": 500}], OUT_OF_RANGE),
        ("a rectangle without a height", [{"name": "a", **place, "width_m": 500}], OUT_OF_RANGE),
        ("a zone that begins and never ends", [{"name": "a", **place, **shape, "begins": "22:00"}], OUT_OF_RANGE),
        ("a circle", [{"name": "a", **place, **shape}], OK),
        ("a rectangle", [{"name": "a", **place, "width_m": 500, "height_m": 500}], OK),
    ):  # fmt: skip
        ask(car, "area_alert", outcome, what, parameters={"zones": zones})
    for name, fleet in (("ventilation_timers", "leon"), ("departure_timers", "born")):
        car = book.car(fleet)
        for what, timer, outcome in (
            ("neither days nor a date", {}, OUT_OF_RANGE),
            ("days and a date", {"days": ["monday"], "date": "2026-12-31"}, OUT_OF_RANGE),
            ("no days", {"days": []}, OUT_OF_RANGE),
            ("a date", {"date": "2026-12-31"}, OK),
        ):
            ask(car, name, outcome, what, parameters={"timers": [{"at": "23:30", **timer}]})


def _trips(count: int) -> dict[str, Any]:
    return {
        "trips": [{"name": f"trip {number}", "waypoints": [{"latitude": 48.2, "longitude": 11.6}]} for number in range(count)]
    }


def _routes(book: Book) -> None:
    for fleet in ("leon", "born"):
        car = book.car(fleet)
        ask(car, "route_import", OK, f"4 of 5 ({fleet})", parameters=_trips(4))
        ask(car, "route_import", "rejected(list_full)", f"2 more are too many ({fleet})", parameters=_trips(2))
        ask(car, "route_import", OK, f"the fifth ({fleet})", parameters=_trips(1))
        ask(car, "route_import", "rejected(list_full)", f"the sixth ({fleet})", parameters=_trips(1))
        car.do("engine_on", then_s=GAP_S)
        car.expect("route_import", f"all five are downloaded ({fleet})", then="car.listed_routes == 5")
        ask(car, "route_import", "rejected(list_full)", f"the sixth, when five are downloaded ({fleet})", parameters=_trips(1))
        car.do("clear_routes")
        ask(car, "route_import", OK, f"five, when the list was cleared ({fleet})", parameters=_trips(5))
    car = book.car("older")
    ask(car, "route_import", OUT_OF_RANGE, "two routes for an older car", parameters=_trips(2))
    for what in ("one route for an older car", "another one, which takes its place"):
        ask(car, "route_import", OK, what, parameters=_trips(1))
    london = {"trips": [{"waypoints": [{"latitude": 51.5, "longitude": -0.12}]}]}
    ask(book.car("leon"), "route_import", "rejected(no_map_data)", "to where its maps have ended", parameters=london)


def _update(version: str, **more: Any) -> dict[str, Any]:
    return {"campaign": "spring", "version": version, "size_mb": 1, **more}


def _updates(book: Book) -> None:
    car = book.car("leon")
    for target in ("system", "infotainment"):
        ask(
            car,
            "system_update",
            "rejected(consent_missing)",
            f"{target}, nobody has agreed",
            parameters=_update("2.0", target=target),
        )
    car.do("give_consent")
    ask(car, "system_update", OK, "the driver has agreed in the car", parameters=_update("2.0", target="infotainment"))
    ask(car, "system_update", "rejected(busy)", "another one is on its way", parameters=_update("3.0"))
    car.do("engine_on", then_s=GAP_S).do("engine_off", then_s=15 * 60)
    car.expect("system_update", "it is installed", then="car.ota == none")
    again = _update("2.0", target="infotainment")
    ask(car, "system_update", "rejected(up_to_date)", "the version that is installed", parameters=again)
    ask(car, "system_update", OK, "the next version", parameters=_update("3.0", target="infotainment"))
    car.do("withdraw_consent")
    car.expect("system_update", "given up when consent is withdrawn", then="car.ota == none")
    ask(car, "system_update", "rejected(consent_missing)", "consent is withdrawn", parameters=_update("3.0"))


def _budget(book: Book) -> None:
    """Forty times the car may be woken without a drive, and the fortieth is still obeyed."""
    for fleet in ("leon", "born"):
        car = book.car(fleet, at_s=30)
        names = [name for name, command in COMMANDS.items() if command.entry.budget and fleet in KNOWN[name].fits]
        for _ in range(WAKES - 1):
            car.ask("refresh", None, "", then_s=WAKES_EVERY_S)
        ask(car, names[0], OK, f"woken the fortieth time without a drive ({fleet})", then_s=WAKES_EVERY_S)
        for name in names:
            ask(
                prepared(car, KNOWN[name]),
                name,
                "rejected(power_budget)",
                f"woken once too often without a drive ({fleet})",
                then_s=10,
            )
        car.do("engine_on", then_s=20).do("engine_off", then_s=20)
        for name in names:
            if name != "ventilation":
                ask(prepared(car, KNOWN[name]), name, OK, f"woken too often, but driven since ({fleet})", then_s=60)


WAKES: Final = 40
WAKES_EVERY_S: Final = 241
"""A car takes a minute at most to wake, and stays awake for three."""


def _batteries(book: Book) -> None:
    """Comfort needs half of the 12 V battery, being heard of two fifths."""
    needy = [name for name, command in COMMANDS.items() if command.entry.needs_12v]
    for name in needy:
        known = KNOWN[name]
        for fleet in known.fits:
            car = book.car(fleet).do("unplug")
            if known.plug:
                car.do("low_fuel", level="50 %")
            car.do("low_12v", level="50.5 %")
            ask(car, name, OK, f"the 12 V battery at half ({fleet})", then_s=GAP_S)
            car.do("low_12v", level="49.5 %")
            ask(car, name, "rejected(battery_low)", f"the 12 V battery below half ({fleet})", then="car.low_voltage_percent < 50")
            stop = {"action": "stop"}
            ask(car, name, OK, f"a stop with a low 12 V battery ({fleet})", parameters=stop, then="car.climate == off")
            car.do("engine_on", then_s=1800).do("engine_off")
            ask(car, name, OK, f"the 12 V battery is charged again ({fleet})")
    for name, event in (("heater", "heater_ended"), ("ventilation", "ventilation_ended")):
        car = book.car("leon")
        ends = {"event": event, "data": {"reason": "battery_low"}}
        ask(car, name, OK, "the 12 V battery becomes low meanwhile", parameters={"minutes": 60}, **ends)
        car.do("low_12v", level="49 %")
        car.expect(event, "the 12 V battery is low", then="car.climate == off")
    for fleet in ("leon", "born"):
        car = book.car(fleet).do("unplug").do("low_12v", level="41 %")
        ask(car, "refresh", OK, f"the 12 V battery at two fifths ({fleet})", then="car.connection == online")
        car.do("low_12v", level="39 %")
        car.expect("refresh", f"asleep for good ({fleet})", then="car.connection == offline")
        for name in sorted(KNOWN):
            if fleet in KNOWN[name].fits:
                ask(car, name, "rejected(deep_sleep)", f"the car saves its battery ({fleet})", then_s=20)
        if fleet == "born":
            car.do("plug_in", then_s=GAP_S)
        else:
            car.do("engine_on", then_s=GAP_S)
        ask(car, "refresh", OK, f"it is fed, and awake again ({fleet})")


def _kinds(book: Book) -> None:
    car = book.car("leon", only="virtual")
    ask(car, "honk", OK, "in the same instant as others", then_s=0)
    ask(car, "lock", OK, "in the same instant as others", then_s=0)
    ask(car, "heater", OK, "in the same instant as others")


def _unheard(book: Book) -> None:
    """Switched without network, and commanded before anybody hears of it."""
    for fleet, name, action, words, reason in (
        ("leon", "refresh", "set_service", {"named": "refresh", "switch": "off"}, "service_deactivated"),
        ("leon", "refresh", "set_privacy", {"mode": "maximum_privacy"}, "privacy_offline"),
        ("born", "refresh", "set_privacy", {"mode": "offline"}, "privacy_offline"),
        ("born", "honk", "set_privacy", {"mode": "online"}, "privacy_location"),
        ("leon", "refresh", "reset_car", {}, "not_paired"),
    ):
        car = book.car(fleet).do("lose_coverage")
        car.do(action, then_s=BETWEEN_S, **words)
        ask(car, name, f"rejected({reason})", f"{action} without network ({fleet}, {reason})", time_to_live="20 min")
        car.do("regain_coverage")


def _unknown(book: Book) -> None:
    car = book.car("leon")
    car.ask("whistle", "rejected(unsupported)", "a command that nobody knows")
    for name in ("refresh", "lock"):
        ask(car, name, OUT_OF_RANGE, "a time to live above seven days", time_to_live="8 days")
