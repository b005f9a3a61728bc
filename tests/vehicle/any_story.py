"""A story of one car, step by step, played to its end and judged; and one that fails made as short as it can be."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from fleet.kernel.instants import DAY, HOUR, MINUTE, Instant, to_datetime
from fleet.vehicle.region import Place
from fleet.vehicle.regions import region
from fleet.vehicle.signals import (
    AskStatus,
    DriveTo,
    HeaterTimer,
    PairCar,
    PowerOff,
    PowerOn,
    SetHeater,
    SetPrivacy,
    WorldInput,
)
from fleet.vehicle.timers import DAYS
from fleet.wire.messages import TERMINAL_STATES, Command
from fleet.wire.privacy import OPEN
from tests.vehicle.story_inputs import Built, Step
from tests.vehicle.story_lab import AT_REST, StoryLab, is_life

LONGEST_DRIVE: Final = 6 * HOUR


class AnyStory:
    """Lets a story happen; its methods are the steps. `StoryLab` says what must hold."""

    def __init__(self, built: Built, folder: Path) -> None:
        """Switch the car on."""
        self.lab = StoryLab(folder, built.fitted, built.driver, start=built.start, settings=built.settings)
        self.ids: list[tuple[str, str, dict[str, Any]]] = []
        self.lab.put(PowerOn())

    def play(self, steps: Sequence[Step]) -> None:
        """Take all steps, let all come to its end, and judge the journal. Raises AssertionError."""
        try:
            for name, *given in steps:
                getattr(self, name)(*given)
                self._hold()
            self._end()
        finally:
            self.lab.close()

    def _hold(self) -> None:
        self.lab.hold()
        for states in self.lab.lives().values():
            assert is_life(states), states

    def _end(self) -> None:
        lab = self.lab
        lab.calm_down()
        lives = lab.lives()
        for command_id in (
            lab.asked if lab.car.outbox.is_connected else ()
        ):  # what sleeps deeply, or stands in a dead zone, answers later
            assert lives[command_id][-1] in TERMINAL_STATES, f"{command_id} has no end: {lives[command_id]}"
        lab.run_for(8 * DAY)
        lab.hold()
        assert len(lab.car.agenda) <= AT_REST
        lab.put(PowerOff())
        found = lab.judge()
        assert found.holds, [breach for finding in found.findings for breach in finding.breaches]

    # --- time

    def wait(self, duration: int) -> None:
        self.lab.run_for(duration)

    wait_long = wait

    # --- people and the world

    def apply(self, what: WorldInput) -> None:
        self.lab.put(what)

    def drive(self, place: Place, stay: int) -> None:
        """Drive there and stay, if the car can be driven."""
        self.lab.put(DriveTo(place))
        until = self.lab.now + LONGEST_DRIVE
        while self.lab.car.engine_is_on and self.lab.now < until and (at := self.lab.car.deadline()) is not None:
            self.lab.run_until(max(at, self.lab.now))
        self.lab.run_for(stay)

    def pair_and_open(self) -> None:
        """Somebody has the car tell everything again, whatever was done to it."""
        self.lab.put(PairCar())
        self.lab.put(SetPrivacy(OPEN))

    def ask_status(self) -> None:
        self.lab.put(AskStatus())

    # --- the user

    def command(self, name: str, parameters: dict[str, Any], ttl: int = 10 * MINUTE, age: int = 0) -> None:
        self.ids.append((f"c{len(self.ids) + 1}", name, parameters))
        self._send(self.ids[-1], ttl, age)

    def command_nonsense(self, name: str, wrong: dict[str, Any]) -> None:
        self.command(name, wrong)

    def stop(self, name: str) -> None:
        self.command(name, {"action": "stop"})

    def command_again(self, number: int, ttl: int) -> None:
        """The broker delivers one of the commands again."""
        if self.ids:
            self._send(self.ids[number % len(self.ids)], ttl, 0)

    def _send(self, known: tuple[str, str, dict[str, Any]], ttl: int, age: int) -> None:
        command_id, name, parameters = known
        now = self.lab.now - age
        self.lab.ask(
            Command(id=command_id, vin=self.lab.car.vin, name=name, issued_at=now, expires_at=now + ttl, parameters=parameters)
        )

    def set_off_soon(
        self, what: Literal["departure_timers", "ventilation_timers", "heater"], minutes: Sequence[int], once: bool
    ) -> None:
        """Somebody wants to set off in so many minutes, on this day of each week or `once`."""
        ahead = [clock_in(self.lab.now, each) for each in minutes]
        if what == "heater":
            days: list[Any] = [(day,) for _, _, day in ahead]
            timers = [
                HeaterTimer(at, (), date) if once else HeaterTimer(at, on) for (at, date, _), on in zip(ahead, days, strict=True)
            ]
            self.lab.put(SetHeater(30, tuple(timers)))
        else:
            self.command(
                what, {"timers": [{"at": at, "date": date} if once else {"at": at, "days": [day]} for at, date, day in ahead]}
            )

    # --- the network

    def hurry(self, answering: bool) -> None:
        """The broker takes messages at once, or when it comes to it."""
        self.lab.answering = answering
        if answering:
            self.lab.answer()

    def answer(self, arrives: bool, refused: bool) -> None:
        self.lab.answer(arrives=arrives, refused=refused)

    def break_link(self, heard: bool) -> None:
        if heard:
            self.lab.lose_answer()
        else:
            self.lab.break_link()

    def broker_works(self, works: bool) -> None:
        if works:
            self.lab.come_back()
        else:
            self.lab.broker_works = False
            self.lab.break_link()

    def reply(self) -> None:
        self.lab.reply()

    def mark(self) -> None:
        self.lab.mark()

    def repeat(self) -> None:
        self.lab.repeat()


def clock_in(now: Instant, minutes: int) -> tuple[str, str, str]:
    """Return what a clock in Munich shows in so many minutes: HH:MM, the date, and the name of the day."""
    then = to_datetime(now + minutes * MINUTE).astimezone(region("munich").zone)
    return then.strftime("%H:%M"), then.date().isoformat(), DAYS[then.weekday()]


# --- playing and shortening ------------------------------------------------------------------------------------------


def failure(built: Built, steps: Sequence[Step]) -> str | None:
    """Return what goes wrong in a story, None when nothing does."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            AnyStory(built, Path(folder)).play(steps)
        except Exception as error:  # noqa: BLE001 (whatever it is, a car must bear all that comes)
            return f"{type(error).__name__}: {error}"
    return None


def shortened(built: Built, steps: Sequence[Step], told: str) -> list[Step]:
    """Return the story without the steps that it takes not to fail as it was `told`."""
    left, size = list(steps), max(1, len(steps) // 2)
    while True:
        at = 0
        while at < len(left):
            without = left[:at] + left[at + size :]
            other = failure(built, without)
            if other is not None and kind_of(other) == kind_of(told):
                left = without
            else:
                at += size
        if size == 1:
            return left
        size //= 2


def kind_of(told: str) -> str:
    """Return what failures have in common that have the same cause, as far as their words say."""
    breach = re.search(r"check='([^']+)'.*?told=['\"](.*?)['\"]\)", told, re.DOTALL)
    words = f"{breach[1]}: {breach[2]}" if breach is not None else told
    return re.sub(r"[\d.:TZ-]*\d[\d.:TZ-]*", "#", words)[:60]
