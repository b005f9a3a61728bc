"""Bugs in the rules of remote commands: who may, when, for how long, and what must follow."""

from __future__ import annotations

from typing import Final

from mutants.mutant import Mutant

RULES: Final = (
    Mutant(
        name="honk-to-501-m",
        told="the horn obeys up to 501 m",
        file="vehicle/services/horn.py",
        old=("HONK_WITHIN_M: Final = 500.0"),
        new=("HONK_WITHIN_M: Final = 501.0"),
        scenario="find-my-car",
        caught_by=("honk rule",),
    ),
    Mutant(
        name="honk-to-600-m",
        told="the horn obeys up to 600 m",
        file="vehicle/services/horn.py",
        old=("HONK_WITHIN_M: Final = 500.0"),
        new=("HONK_WITHIN_M: Final = 600.0"),
        scenario="find-my-car",
        caught_by=("honk rule",),
    ),
    Mutant(
        name="honk-to-499-m",
        told="the horn obeys up to 499 m only",
        file="vehicle/services/horn.py",
        old=("HONK_WITHIN_M: Final = 500.0"),
        new=("HONK_WITHIN_M: Final = 499.0"),
        scenario="find-my-car",
        caught_by=("honk rule",),
    ),
    Mutant(
        name="honk-for-9-s",
        told="horn and lights stop after 9 s",
        file="vehicle/services/horn.py",
        old=("int(parameters.duration_s * SECOND)"),
        new=("int(parameters.duration_s * SECOND) - SECOND"),
        scenario="find-my-car",
        caught_by=("honk rule",),
    ),
    Mutant(
        name="honk-fails-never",
        told="a horn that sounds while the engine is started succeeds",
        file="vehicle/services/horn.py",
        old=('return Refusal("engine_running", "somebody started the engine") if car.engine_is_on else None'),
        new=("return None"),
        scenario="rush-hour",
        caught_by=("honk rule",),
        cars=200,
    ),
    Mutant(
        name="lock-with-open-door",
        told="a lock with an open door is accepted",
        file="vehicle/services/locking.py",
        old=("    if car.body.open_doors:"),
        new=("    if False:"),
        scenario="command-storm",
        caught_by=("lock rule",),
        cars=100,
    ),
    Mutant(
        name="unlock-locks",
        told="an unlock locks",
        file="vehicle/services/locking.py",
        old=("    car.body.locked = False"),
        new=("    car.body.locked = True"),
        scenario="command-storm",
        caught_by=("doors",),
        cars=100,
    ),
    Mutant(
        name="lock-without-status",
        told="nothing is told of the doors after a lock",
        file="vehicle/services/locking.py",
        old=('    car.body.locked = True\n    car.send_status("command", now, ("doors",))'),
        new=("    car.body.locked = True"),
        scenario="command-storm",
        caught_by=("effects",),
        cars=100,
    ),
    Mutant(
        name="lock-while-driving",
        told="lock and unlock work while driving",
        file="wire/services.toml",
        old=(
            'summary = "lock all doors of the parked car"\n'
            'group = "access"\n'
            'kind = "lock"\n'
            "time_to_live_s = 60\n"
            "spin = true\n"
            'may = ["primary"]\n'
            'state = "parked"'
        ),
        new=(
            'summary = "lock all doors of the parked car"\n'
            'group = "access"\n'
            'kind = "lock"\n'
            "time_to_live_s = 60\n"
            "spin = true\n"
            'may = ["primary"]\n'
            'state = "any"'
        ),
        scenario="command-storm",
        caught_by=("lock rule",),
        cars=100,
    ),
    Mutant(
        name="unlock-while-driving",
        told="unlock works while driving",
        file="wire/services.toml",
        old=(
            'summary = "unlock all doors of the parked car"\n'
            'group = "access"\n'
            'kind = "lock"\n'
            "time_to_live_s = 60\n"
            "spin = true\n"
            'may = ["primary"]\n'
            'state = "parked"'
        ),
        new=(
            'summary = "unlock all doors of the parked car"\n'
            'group = "access"\n'
            'kind = "lock"\n'
            "time_to_live_s = 60\n"
            "spin = true\n"
            'may = ["primary"]\n'
            'state = "any"'
        ),
        scenario="command-storm",
        caught_by=("lock rule",),
        cars=100,
    ),
    Mutant(
        name="lock-kinds-apart",
        told="lock and unlock run side by side",
        file="wire/services.toml",
        old=('summary = "unlock all doors of the parked car"\ngroup = "access"\nkind = "lock"'),
        new=('summary = "unlock all doors of the parked car"\ngroup = "access"'),
        scenario="command-storm",
        caught_by=("busy rule",),
        cars=100,
    ),
    Mutant(
        name="any-state-while-driving",
        told="commands for parked cars work while driving",
        file="vehicle/rules.py",
        old=('        case "driving":\n            return Refusal("not_parked", "the car is being driven")'),
        new=('        case "driving":\n            return None'),
        scenario="command-storm",
        caught_by=("honk rule", "lock rule"),
        cars=100,
    ),
    Mutant(
        name="any-state-with-ignition",
        told="commands for parked cars work with the ignition on",
        file="vehicle/rules.py",
        old=('            return Refusal("engine_running", "the ignition is on")'),
        new=("            return None"),
        scenario="command-storm",
        caught_by=("honk rule", "lock rule"),
        cars=100,
    ),
    Mutant(
        name="driving-called-engine-running",
        told="a car that is driven refuses as engine_running",
        file="vehicle/rules.py",
        old=('            return Refusal("not_parked", "the car is being driven")'),
        new=('            return Refusal("engine_running", "the car is being driven")'),
        scenario="command-storm",
        caught_by=("commands.rejected.engine_running / cars == 12 %",),
        cars=100,
    ),
    Mutant(
        name="heater-15-minutes",
        told="the heater runs for 15 minutes, too",
        file="wire/services.toml",
        old=(
            'reasons = ["fuel_low", "ventilation_running", "cancelled"]\n'
            "\n"
            "[commands.heater.parameters]\n"
            'action = { type = "choice", choices = ["start", "stop"], default = "start", summary = "a stop is never busy" }\n'
            'minutes = { type = "integer", unit = "min", minimum = 10, maximum = 60, step = 10,'
        ),
        new=(
            'reasons = ["fuel_low", "ventilation_running", "cancelled"]\n'
            "\n"
            "[commands.heater.parameters]\n"
            'action = { type = "choice", choices = ["start", "stop"], default = "start", summary = "a stop is never busy" }\n'
            'minutes = { type = "integer", unit = "min", minimum = 10, maximum = 60, step = 5,'
        ),
        scenario="heater-morning",
        caught_by=("heater rule",),
        cars=100,
    ),
    Mutant(
        name="heater-70-minutes",
        told="the heater runs for 70 minutes, too",
        file="wire/services.toml",
        old=(
            'reasons = ["fuel_low", "ventilation_running", "cancelled"]\n'
            "\n"
            "[commands.heater.parameters]\n"
            'action = { type = "choice", choices = ["start", "stop"], default = "start", summary = "a stop is never busy" }\n'
            'minutes = { type = "integer", unit = "min", minimum = 10, maximum = 60, step = 10,'
        ),
        new=(
            'reasons = ["fuel_low", "ventilation_running", "cancelled"]\n'
            "\n"
            "[commands.heater.parameters]\n"
            'action = { type = "choice", choices = ["start", "stop"], default = "start", summary = "a stop is never busy" }\n'
            'minutes = { type = "integer", unit = "min", minimum = 10, maximum = 70, step = 10,'
        ),
        scenario="heater-morning",
        caught_by=("heater rule",),
        cars=100,
    ),
    Mutant(
        name="heater-not-60-minutes",
        told="the heater refuses 60 minutes",
        file="wire/services.toml",
        old=(
            'reasons = ["fuel_low", "ventilation_running", "cancelled"]\n'
            "\n"
            "[commands.heater.parameters]\n"
            'action = { type = "choice", choices = ["start", "stop"], default = "start", summary = "a stop is never busy" }\n'
            'minutes = { type = "integer", unit = "min", minimum = 10, maximum = 60, step = 10,'
        ),
        new=(
            'reasons = ["fuel_low", "ventilation_running", "cancelled"]\n'
            "\n"
            "[commands.heater.parameters]\n"
            'action = { type = "choice", choices = ["start", "stop"], default = "start", summary = "a stop is never busy" }\n'
            'minutes = { type = "integer", unit = "min", minimum = 10, maximum = 50, step = 10,'
        ),
        scenario="heater-morning",
        caught_by=("heater rule",),
    ),
    Mutant(
        name="heater-burns-the-reserve",
        told="the heater starts with any drop of fuel",
        file="vehicle/services/heating.py",
        old=("    if fuel_l <= car.equipment.reserve_l:"),
        new=("    if fuel_l <= 0.0:"),
        scenario="heater-morning",
        caught_by=("commands.rejected.fuel_low / cars == 10 %",),
    ),
    Mutant(
        name="heater-burns-on-into-the-reserve",
        told="a heater does not stop when the fuel reaches the reserve",
        file="vehicle/services/heating.py",
        old=("    if reserve_at < car.comfort.ends_at:"),
        new=("    if False:"),
        scenario="heater-morning",
        caught_by=("effects",),
        cars=100,
    ),
    Mutant(
        name="heater-5-minutes-too-long",
        told="a heater runs five minutes longer than asked for",
        file="vehicle/services/heating.py",
        old=('    run = Run("heater", mode, now, now + minutes * MINUTE)'),
        new=('    run = Run("heater", mode, now, now + (minutes + 5) * MINUTE)'),
        scenario="heater-morning",
        caught_by=("comfort",),
    ),
    Mutant(
        name="heater-without-heater",
        told="a car without a parking heater heats",
        file="wire/services.toml",
        old=('equipment = ["parking_heater"]'),
        new=("equipment = []"),
        scenario="heater-morning",
        caught_by=("commands.rejected.fuel_low / cars == 10 %",),
    ),
    Mutant(
        name="heater-beside-ventilation",
        told="heater and ventilation run at once",
        file="vehicle/services/heating.py",
        old=('    if comfort.runs(car, "ventilation"):'),
        new=("    if False:"),
        scenario="heater-morning",
        caught_by=("heater: rejected(ventilation_running)",),
        cars=100,
    ),
    Mutant(
        name="heater-never-stops",
        told="a stop of the heater does nothing",
        file="vehicle/services/heating.py",
        old=('        comfort.stop(car, "heater", now)'),
        new=("        pass"),
        scenario="heater-morning",
        caught_by=("effects",),
        cars=100,
    ),
    Mutant(
        name="stop-is-busy",
        told="a stop is refused as busy",
        file="vehicle/remote.py",
        old=("        if not self._running or is_stop(parameters):"),
        new=("        if not self._running:"),
        scenario="heater-morning",
        caught_by=("busy rule",),
        cars=100,
    ),
    Mutant(
        name="busy-never",
        told="two of a kind run at once",
        file="vehicle/remote.py",
        old=("            if COMMANDS[running.command.name].kind == kind:\n                return Refusal"),
        new=("            if False:\n                return Refusal"),
        scenario="command-storm",
        caught_by=("busy rule",),
    ),
    Mutant(
        name="busy-for-all",
        told="a command of any kind makes all others busy",
        file="vehicle/remote.py",
        old=("            if COMMANDS[running.command.name].kind == kind:\n                return Refusal"),
        new=("            if True:\n                return Refusal"),
        scenario="command-storm",
        caught_by=("busy rule",),
    ),
    Mutant(
        name="expiry-ignored",
        told="a car executes commands whose time to live is over",
        file="vehicle/remote.py",
        old=("        if now > command.expires_at:"),
        new=("        if False:"),
        scenario="find-my-car",
        caught_by=("command runs",),
    ),
    Mutant(
        name="run-twice",
        told="the same id is executed twice",
        file="vehicle/remote.py",
        old=("        if known is not None:\n            car.respond"),
        new=("        if False:\n            car.respond"),
        scenario="find-my-car",
        caught_by=("command runs",),
    ),
    Mutant(
        name="wakes-at-once",
        told="waking takes no time",
        file="vehicle/remote.py",
        old=("            car.agenda.call(now + _wake_delay(car, self._woken), _awake)"),
        new=("            car.agenda.call(now + 1, _awake)"),
        scenario="command-storm",
        caught_by=("waking",),
        cars=100,
    ),
    Mutant(
        name="wakes-in-minutes",
        told="waking takes ten times as long",
        file="vehicle/remote.py",
        old=("15.0 * 2.0 **"),
        new=("150.0 * 2.0 **"),
        scenario="command-storm",
        caught_by=("waking",),
        cars=100,
    ),
    Mutant(
        name="wake-forgets",
        told="what waited for a car to wake is forgotten",
        file="vehicle/remote.py",
        old=("        waiting, self._waiting = self._waiting or [], None"),
        new=("        waiting, self._waiting = [], None"),
        scenario="command-storm",
        caught_by=("commands.unknown == 0",),
    ),
    Mutant(
        name="power-budget-41",
        told="41 wake-ups are allowed",
        file="vehicle/rules.py",
        old=("WAKE_UPS_WITHOUT_DRIVE: Final = 40"),
        new=("WAKE_UPS_WITHOUT_DRIVE: Final = 41"),
        scenario="long-weekend",
        caught_by=("12 V rule",),
        cars=60,
    ),
    Mutant(
        name="power-budget-30",
        told="30 wake-ups are allowed only",
        file="vehicle/rules.py",
        old=("WAKE_UPS_WITHOUT_DRIVE: Final = 40"),
        new=("WAKE_UPS_WITHOUT_DRIVE: Final = 30"),
        scenario="long-weekend",
        caught_by=("12 V rule",),
    ),
    Mutant(
        name="low-battery-ignored",
        told="comfort starts with a low 12 V battery",
        file="vehicle/rules.py",
        old=("    if command.entry.needs_12v and"),
        new=("    if False and"),
        scenario="winter-week",
        caught_by=("events.heater_ended / events.heater_started == 1",),
    ),
    Mutant(
        name="refresh-of-nothing",
        told="a refresh succeeds and sends no status",
        file="vehicle/services/refreshing.py",
        old=('    car.send_status("refresh", now)'),
        new=("    pass"),
        scenario="broker-outage",
        caught_by=("refresh rule",),
    ),
    Mutant(
        name="climatisation-on-empty",
        told="climatisation starts below 20 % of charge without a plug",
        file="vehicle/services/climatisation.py",
        old=("    if share < LEAST_CHARGE and not car.plugged_in:"),
        new=("    if False:"),
        scenario="winter-week",
        caught_by=("commands.rejected.battery_low / cars >= 28 %",),
    ),
    Mutant(
        name="climatisation-empties",
        told="climatisation runs on below 20 % of charge",
        file="vehicle/services/climatisation.py",
        old=("    if empty_at < over_at:"),
        new=("    if False:"),
        scenario="winter-week",
        caught_by=("effects",),
        cars=50,
    ),
    Mutant(
        name="climatisation-45-minutes",
        told="climatisation ends after 45 minutes",
        file="vehicle/services/climatisation.py",
        old=("RUN: Final[Duration] = 30 * MINUTE"),
        new=("RUN: Final[Duration] = 45 * MINUTE"),
        scenario="winter-week",
        caught_by=("comfort",),
    ),
    Mutant(
        name="climatisation-cools",
        told="climatisation cools a cold car",
        file="vehicle/services/climatisation.py",
        old=("if cabin.inside_c(car, now) < target_c else"),
        new=("if cabin.inside_c(car, now) > target_c else"),
        scenario="winter-week",
        caught_by=("commands.rejected.battery_low / cars >= 28 %",),
    ),
    Mutant(
        name="charging-without-plug",
        told="charging starts without a plug",
        file="vehicle/services/charging.py",
        old=('            return Refusal("not_plugged_in", "the car is not plugged in")'),
        new=("            return None"),
        scenario="overnight-charging",
        caught_by=("charging rule",),
    ),
    Mutant(
        name="charging-beyond-the-limit",
        told="charging goes on to 5 % beyond the limit",
        file="vehicle/services/charge_settings.py",
        old=("    return car.equipment.usable_kwh * here.limit_percent / 100"),
        new=("    return car.equipment.usable_kwh * min(100, here.limit_percent + 5) / 100"),
        scenario="overnight-charging",
        caught_by=("charge",),
    ),
    Mutant(
        name="charging-ignores-the-night",
        told="the night window is not obeyed",
        file="vehicle/services/charging.py",
        old=('if wishes.override == "start" or here.window is None:'),
        new=("if True:"),
        scenario="overnight-charging",
        caught_by=("events.departure_ready / cars == 35 %",),
    ),
    Mutant(
        name="charging-current-ignored",
        told="the current that was set is not obeyed",
        file="vehicle/services/charge_settings.py",
        old=("e.charge_power_kw, here.max_current_a)"),
        new=("e.charge_power_kw, 16)"),
        scenario="overnight-charging",
        caught_by=("charge",),
    ),
    Mutant(
        name="charging-one-phase",
        told="an electric car charges with one phase",
        file="vehicle/charge_curve.py",
        old=('"electric": 3}'),
        new=('"electric": 1}'),
        scenario="overnight-charging",
        caught_by=("events.departure_ready / cars == 35 %",),
    ),
    Mutant(
        name="charging-losses",
        told="a fifth of what flows is lost",
        file="vehicle/charge_curve.py",
        old=("                return charge_kwh + self.power_kw * hours\n            charge_kwh, hours"),
        new=("                return charge_kwh + 0.8 * self.power_kw * hours\n            charge_kwh, hours"),
        scenario="overnight-charging",
        caught_by=("charge",),
    ),
    Mutant(
        name="charging-place-ignored",
        told="places have no settings of their own",
        file="vehicle/services/charge_settings.py",
        old=("    if not wishes.locations:"),
        new=("    if True:"),
        scenario="overnight-charging",
        caught_by=("afterwards: always connected / cars == 1",),
    ),
    Mutant(
        name="departure-an-hour-late",
        told="departures come an hour late",
        file="vehicle/services/departures.py",
        old=("        return min(found, default=None)"),
        new=("        return min(found) + 60 * MINUTE if found else None"),
        scenario="overnight-charging",
        caught_by=("events.departure_ready / cars == 35 %",),
    ),
    Mutant(
        name="clock-change-missed",
        told="the change to summer time is not known to timers",
        file="vehicle/timers.py",
        old=(
            "    wall = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)\n"
            "    at = from_datetime(wall)"
        ),
        new=(
            "    wall = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)\n"
            "    at = from_datetime(datetime(day.year, day.month, day.day, tzinfo=zone)) + minute * 60 * SECOND\n"
            "    return at"
        ),
        scenario="overnight-charging",
        caught_by=("look: event climatisation_started (by departure, mode climatisation, minutes 30) within 21 min",),
        cars=60,
    ),
    Mutant(
        name="departure-5-minutes-ahead",
        told="the car wakes five minutes before a departure only",
        file="vehicle/services/departures.py",
        old=("LEAD: Final[Duration] = 20 * MINUTE"),
        new=("LEAD: Final[Duration] = 5 * MINUTE"),
        scenario="overnight-charging",
        caught_by=("look: event climatisation_started (by departure, mode climatisation, minutes 30) within 21 min",),
        cars=60,
    ),
    Mutant(
        name="departure-charges-too-late",
        told="charging for a departure begins too late",
        file="vehicle/services/charging.py",
        old=("    latest_at = leaves_at - takes - READY_AHEAD"),
        new=("    latest_at = leaves_at - takes // 2"),
        scenario="overnight-charging",
        caught_by=("events.departure_ready / cars == 35 %",),
    ),
    Mutant(
        name="departure-ready-anyway",
        told="a car that is not charged calls itself ready",
        file="vehicle/services/departures.py",
        old=("        if not departures.charged and charge_settings.missing(car, now):"),
        new=("        if False:"),
        scenario="overnight-charging",
        caught_by=("departures",),
        cars=60,
    ),
    Mutant(
        name="timer-off-is-on",
        told="a timer that is switched off is obeyed",
        file="vehicle/timers.py",
        old=("        if not self.enabled:\n            return None\n"),
        new=(""),
        scenario="overnight-charging",
        caught_by=("events.departure_ready / cars == 35 %",),
    ),
    Mutant(
        name="timer-weekday-off-by-one",
        told="timers are due a day later",
        file="vehicle/timers.py",
        old=("if day.weekday() in self.days and"),
        new=("if (day.weekday() - 1) % 7 in self.days and"),
        scenario="winter-week",
        caught_by=("look: no event heater_started within 8 h 14 min",),
        cars=50,
    ),
    Mutant(
        name="timer-once",
        told="a timer is due once",
        file="vehicle/services/comfort.py",
        old=(
            '        car.send_event("timer_skipped", now, {"service": service, "reason": refused.reason})\n'
            "    _plan(car, service, programme, now)"
        ),
        new=('        car.send_event("timer_skipped", now, {"service": service, "reason": refused.reason})'),
        scenario="winter-week",
        caught_by=("events.heater_started / cars >= 155 %",),
    ),
    Mutant(
        name="heater-timer-in-old-cars",
        told="an old Leon sets its heater in the car",
        file="vehicle/services/heating.py",
        old=("    if not car.equipment.heater_set_in_car or"),
        new=("    if"),
        scenario="winter-week",
        caught_by=("events.heater_started / cars <= 180 %",),
    ),
    Mutant(
        name="area-alert-zone-of-nothing",
        told="a zone without a size is accepted",
        file="wire/services.toml",
        old=('radius_m = { type = "number", unit = "m", minimum = 100, maximum = 50_000, summary = "of a circle (ours)" }'),
        new=('radius_m = { type = "number", unit = "m", minimum = 0, maximum = 50_000, summary = "of a circle (ours)" }'),
        scenario="geofence-evening",
        caught_by=("alert rule", "area alerts"),
    ),
    Mutant(
        name="alerts-in-old-cars",
        told="cars of week 24/2022 have area alerts",
        file="wire/services.toml",
        old=(
            "time_to_live_s = 600\n"
            'may = ["primary"]\n'
            "built_from = 202225\n"
            "tells_position = true\n"
            'publishes = ["event area_alert"]'
        ),
        new=(
            "time_to_live_s = 600\n"
            'may = ["primary"]\n'
            "built_from = 202224\n"
            "tells_position = true\n"
            'publishes = ["event area_alert"]'
        ),
        scenario="geofence-evening",
        caught_by=("alert rule",),
    ),
    Mutant(
        name="speed-limit-55",
        told="a limit of 55 km/h is accepted",
        file="wire/services.toml",
        old=("minimum = 30, maximum = 250, step = 10,"),
        new=("minimum = 30, maximum = 250, step = 5,"),
        scenario="geofence-evening",
        caught_by=("alert rule",),
    ),
    Mutant(
        name="routes-without-navi",
        told="a car without a navi system takes routes",
        file="wire/services.toml",
        old=('equipment = ["navi_system"]\npublishes = ["event route_offered"'),
        new=('equipment = []\npublishes = ["event route_offered"'),
        scenario="road-trip",
        caught_by=("route rule",),
    ),
    Mutant(
        name="heats-when-warm",
        told="a heater heats a car that is warm",
        file="vehicle/services/heating.py",
        old=('    return "ventilation" if warm else "heating"'),
        new=('    return "heating"'),
        scenario="rule-book",
        caught_by=("heater: a car that is warm inside is ventilated",),
    ),
    Mutant(
        name="hybrid-burns-first",
        told="an e-Hybrid burns its fuel first",
        file="vehicle/powertrain.py",
        old=("            electric_m = driven_m if driven_m < reach_m else reach_m\n"),
        new=("            electric_m = 0.0 if drive.fuel_l else (driven_m if driven_m < reach_m else reach_m)\n"),
        scenario="rush-hour",
        caught_by=("drives",),
        cars=200,
    ),
    Mutant(
        name="hybrid-empties",
        told="an e-Hybrid drives on electricity until its battery is empty",
        file="vehicle/powertrain.py",
        old=("HYBRID_RESERVE: Final = 0.12"),
        new=("HYBRID_RESERVE: Final = 0.0"),
        scenario="rush-hour",
        caught_by=("drives",),
    ),
    Mutant(
        name="in-progress-untold",
        told="in_progress is never told",
        file="vehicle/remote.py",
        old=('        self._answer(car, command, "in_progress", now, None, awake=awake)\n'),
        new=(""),
        scenario="find-my-car",
        caught_by=("command runs",),
    ),
    Mutant(
        name="answered-once",
        told="a command that comes again is not answered again",
        file="vehicle/remote.py",
        old=(
            "            car.respond(command.id, known.name, known.state, now, reason=known.reason, detail=known.detail, awake=known.awake)\n            return\n        if before"
        ),
        new=("            return\n        if before"),
        scenario="rule-book",
        caught_by=("command runs",),
    ),
)
