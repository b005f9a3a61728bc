"""The conditions under which heater, ventilation and climatisation start, judged by commands and by the car's reports.

Source: the table of remote commands of the domain description. Figures marked ours there are in the words of the checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from fleet.checks.cars import LOW_PERCENT, ROUNDED_PERCENT, Cars, KnownCar
from fleet.checks.check import ANSWER, CheckedRule, Handlers, is_first
from fleet.checks.command_rule import ENGINE_OFF, Answer, CommandRule, Parameters, Verdict, engine_off
from fleet.checks.rules import MINUTES, equipped
from fleet.checks.times import TIMERS, timers_fit
from fleet.kernel.instants import Instant
from fleet.observe.journal import Begin, Output
from fleet.vehicle.catalogue import Equipment

WAKE_UPS: Final = 40
CLIMATISATION_PERCENT_PER_HOUR: Final = 100.0
"""An upper bound of the power that climatisation takes out of a battery: its half hour may empty it."""
CLIMATE_C: Final = (16.0, 29.5)
COMFORT: Final = frozenset({"heater", "ventilation", "climatisation"})
LOW_VOLTAGE: Final = "12 V"
"""The word in the detail of a refusal, as both batteries have the reason battery_low."""


class VentilationRule(CommandRule):
    """Ventilation and its departure times: equipped, parked, 10 to 60 min in steps of 10, at most 3 departure times."""

    name = "ventilation rule"
    rule = "ventilation only in an equipped car, engine off, for 10 to 60 min in steps of 10; at most 3 departure times"
    looks_at = "answers"
    EQUIPPED: Final = CheckedRule("equipped", "only in a car with remote ventilation", frozenset({"not_equipped"}))
    TIME: Final = CheckedRule(
        "minutes",
        "for 10 to 60 min in steps of 10, for at most 3 departure times that exist",
        frozenset({"argument_out_of_range"}),
    )
    rules = (ENGINE_OFF, EQUIPPED, TIME)
    commands = frozenset({"ventilation", "ventilation_timers"})

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterator[Verdict]:
        """Judge a command to ventilate: equipment, minutes and timers, engine."""
        fitted = self._equipment.get(answer["vin"])
        yield equipped(self.EQUIPPED, has=None if fitted is None else fitted.remote_ventilation, what="remote ventilation")
        timers = parameters.get("timers")
        minutes = [parameters.get("minutes", 30)] if timers is None else [timer.get("minutes", 30) for timer in timers]
        fits = set(minutes) <= MINUTES and len(minutes) <= TIMERS and (timers is None or timers_fit(timers))
        yield Verdict(self.TIME, fits, f"asks for {minutes} min" + (f" before {timers}" if timers else ""))
        if parameters.get("action") != "stop":
            yield engine_off(car)


class ClimatisationRule(CommandRule):
    """Climatisation: e-hybrid and electric cars, parked, 16 to 29.5 °C in steps of 0.5, with window heating where there is one.

    Without a plug the traction battery is at 20 % or more, or at the reserve that was set in the car. The last status tells the
    most there can be.
    """

    name = "climatisation rule"
    rule = "climatisation only in an equipped car, engine off, to 16 to 29.5 °C in steps of 0.5, with its reserve or a plug"
    looks_at = "answers"
    EQUIPPED: Final = CheckedRule(
        "equipped",
        "only in an e-Hybrid or electric car, and its windows only where they can be heated",
        frozenset({"not_equipped"}),
    )
    TARGET: Final = CheckedRule("target", "to 16 to 29.5 °C in steps of 0.5", frozenset({"argument_out_of_range"}))
    CHARGE: Final = CheckedRule(
        "charge",
        "a start only with a plug, or 20 % of charge, or the reserve set in the car",
        frozenset({"battery_low"}),
    )
    rules = (ENGINE_OFF, EQUIPPED, TARGET, CHARGE)
    asks = True
    commands = frozenset({"climatisation"})

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment]) -> None:
        """Take what is known of the cars, and their equipment by VIN as far as it is known."""
        super().__init__(begin, cars, equipment)
        self._takes: dict[str, bool] = {}
        """The cars whose climatisation runs, or may run."""

    def handlers(self) -> Handlers:
        return {**super().handlers(), ("out", "Transmit", "Event"): self._event}

    def forget(self, machine: str) -> None:
        self._takes[machine] = True

    def _event(self, record: Output, _line: int) -> None:
        service, _, what = record.data["message"]["name"].rpartition("_")
        if service == "climatisation" and what == "started":
            self._takes[record.m] = True
        elif service == "climatisation" and what == "ended":
            self._takes.pop(record.m, None)

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterator[Verdict]:
        """Judge a command to climatise: equipment, windows, target, charge."""
        fitted = self._equipment.get(answer["vin"])
        starts = parameters.get("action", "start") == "start"
        windows = starts and parameters.get("window_heating", False)
        has = None if fitted is None else fitted.climatisation and (not windows or fitted.window_heating)
        yield equipped(self.EQUIPPED, has=has, what="window heating" if windows else "climatisation")
        target_c = parameters.get("target_c", 21)
        lowest_c, highest_c = CLIMATE_C
        possible = isinstance(target_c, int | float) and lowest_c <= target_c <= highest_c and (2 * target_c) % 1 == 0
        yield Verdict(self.TARGET, possible, f"asks for {target_c} °C")
        if starts:
            yield engine_off(car)
            if answer.get("reason") != "battery_low" or LOW_VOLTAGE not in answer.get("detail", LOW_VOLTAGE):
                yield self._charge(car, fitted, answer)
            if answer["state"] == "succeeded":
                self._takes[f"car/{answer['vin']}"] = True

    def _charge(self, car: KnownCar, fitted: Equipment | None, answer: Answer) -> Verdict:
        if car.plugged_in:
            return Verdict(self.CHARGE, permits=True, why="the car is plugged in")
        machine = f"car/{answer['vin']}"
        per_hour = CLIMATISATION_PERCENT_PER_HOUR if machine in self._takes else 0.0
        electric = fitted is not None and fitted.energy == "electric"
        within = car.charge.within(answer["captured_at"], 100.0, per_hour=per_hour, drains=electric)
        if within is None or car.plugged_in is None:
            return Verdict(self.CHARGE, None, "the charge or the plug is not known")
        least, most = within
        reserve = self._cars.reserves.at(machine, answer["captured_at"])
        if reserve is None:
            return Verdict(self.CHARGE, None, "the reserve at this instant is not known")
        if most < reserve:
            return Verdict(self.CHARGE, permits=False, why=f"there is no plug and at most {most:.1f} % of charge")
        if least > reserve:
            return Verdict(self.CHARGE, permits=True, why=f"there are at least {least:.1f} % of charge")
        return Verdict(self.CHARGE, None, "the charge is too close to its limit to say")


class _Wakes:
    """How often commands have woken a car since its engine last ran: at least and at most."""

    __slots__ = ("known", "least", "most", "since", "woken_at")

    def __init__(self, since: Instant, *, known: bool = True) -> None:
        self.since = since
        self.known = known
        self.least = self.most = 0
        self.woken_at: Instant = 0

    def take(self, at: Instant, received_at: Instant | None) -> None:
        """Take a command that found the car asleep. All that waited for one wake-up are answered in one instant."""
        if at == self.woken_at:
            return
        self.woken_at = at
        self.most += 1
        self.least += received_at is not None and self.since < received_at < at  # or else it had only waited for a connection


class LowVoltageRule(CommandRule):
    """Comfort needs the 12 V battery at half or more, and no more than 40 wake-ups since the engine last ran.

    With the engine off the battery only falls, and the car tells when it becomes low; a plug charges it.
    """

    name = "12 V rule"
    rule = "comfort only with the 12 V battery at 50 % or more; power_budget only after more than 40 commands that woke the car"
    looks_at = "answers"
    CHARGED: Final = CheckedRule(
        "12 V battery", "a start of comfort only with the 12 V battery at 50 % or more", frozenset({"battery_low"})
    )
    BUDGET: Final = CheckedRule(
        "power budget", "only while 40 commands at most have woken the car since a drive", frozenset({"power_budget"})
    )
    STARTS: Final = CheckedRule("started charged", "the car itself starts comfort only with the 12 V battery at 50 % or more")
    rules = (CHARGED, BUDGET, STARTS)
    asks = True
    commands = frozenset({"honk", "ventilation_timers"}) | COMFORT

    def __init__(self, begin: Begin, cars: Cars) -> None:
        """Take what is known of the cars."""
        super().__init__(begin, cars)
        self._wakes: dict[str, _Wakes] = {}
        self._exact = begin.clock == "virtual"  # live a car may be late to execute what has come while it was awake

    def forget(self, machine: str) -> None:
        """Forget the wake-ups, which a silent car does not report."""
        super().forget(machine)
        self._wakes[machine] = _Wakes(0, known=False)

    def handlers(self) -> Handlers:
        return {
            ("out", "Transmit", "Event"): self._event,
            ANSWER: self._wakes_up,
            **super().handlers(),
        }

    def _wakes_up(self, record: Output, _line: int) -> None:
        answer = record.data["message"]
        if not answer["awake"] and answer["state"] in _DECIDED and is_first(record):
            wakes = self._wakes.setdefault(record.m, _Wakes(0))
            wakes.take(answer["captured_at"], self._cars.of(record.m).received_at(answer["command_id"]))

    def _event(self, record: Output, line: int) -> None:
        event = record.data["message"]
        if event["name"] == "engine_on":
            self._wakes[record.m] = _Wakes(event["captured_at"])
        elif event["name"] in _STARTED and is_first(record):
            verdict = self._charged(self._cars.asked(record.m))
            if verdict.permits is None:
                self.undecided(self.STARTS.name, "judged", verdict.why)
                return
            self.judged(self.STARTS.name)
            if not verdict.permits:
                self.breach(line, record.m, f"{event['name']}, but {verdict.why}")

    def _charged(self, car: KnownCar) -> Verdict:
        percent = car.low_voltage_percent
        if percent is None or (percent < LOW_PERCENT and car.plugged_in):  # which charges it
            return Verdict(self.CHARGED, None, "the charge of the 12 V battery is not known")
        if abs(percent - LOW_PERCENT) <= ROUNDED_PERCENT and not car.low_voltage_low:
            return Verdict(self.CHARGED, None, "the 12 V battery is too close to 50 % to say")
        low = car.low_voltage_low or percent < LOW_PERCENT
        return Verdict(self.CHARGED, not low, f"the 12 V battery is at {percent} %")

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterator[Verdict]:
        """Judge any command that wakes the car: the charge of the 12 V battery, and how often it was woken."""
        reason = answer.get("reason")
        if parameters.get("action") == "stop" or answer["state"] == "succeeded":
            return
        other_battery = answer["name"] == "climatisation" and LOW_VOLTAGE not in (answer.get("detail") or "")
        if answer["name"] in COMFORT and not (reason == "battery_low" and other_battery):
            yield self._charged(car)
        yield self._budget(self._wakes.get(f"car/{answer['vin']}"))

    def _budget(self, wakes: _Wakes | None) -> Verdict:
        if wakes is None:
            return Verdict(self.BUDGET, permits=True, why="no command has woken the car")
        if not wakes.known:
            return Verdict(self.BUDGET, None, "the car was silent, and may have been woken")
        if wakes.most <= WAKE_UPS:
            return Verdict(self.BUDGET, permits=True, why=f"commands have woken the car {wakes.most} times at most")
        if wakes.least > WAKE_UPS and self._exact:
            return Verdict(self.BUDGET, permits=False, why=f"commands have woken the car {wakes.least} times")
        return Verdict(self.BUDGET, None, "how often commands have woken the car is not certain")


_DECIDED: Final = frozenset({"accepted", "rejected", "expired"})
"""The first answers to a command, given when the car is awake."""
_STARTED: Final = frozenset(f"{name}_started" for name in COMFORT)
