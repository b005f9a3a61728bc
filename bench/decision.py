"""What it costs to decide a command with rights, licence, privacy and consent, for 10 000 accounts and as many cars.

    python bench/decision.py [--runs 3] [--cars 10000]

The reference of the same run is the decoding of a status. `the question` is that alone, asked for each car in turn; `desk` is
the whole step in which a command is taken up, judged and sent, of cars with people and of cars without; `whose account` finds who
asks by e-mail. Medians of the runs after the first.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable

import msgspec
from lab import surroundings

from fleet.cloud.car_settings import ReportedSettings
from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import CommandAsked
from fleet.cloud.people.people import People
from fleet.cloud.people.records import Account, CarPeople, CarUser, Consent, Licence
from fleet.cloud.rights import CarRights, command_doing, refusal
from fleet.cloud.rule import Notes
from fleet.kernel.instants import DAY
from fleet.wire.messages import CommandRequest, Status

NOW = 1_772_424_000_000_000
PACKAGES = ("safety", "remote", "online")
LOOPS = 10
"""The question is asked so often for each car: it is too quick for one round."""


def vin_of(number: int) -> str:
    return f"VSSZZZKMZPR{number:06}"


def people_of(cars: int) -> People:
    """Return as many accounts as cars: each is the primary user of one car and an additional one of the next."""
    people = People(Notes())
    consents = tuple(Consent(what=what, version="1", given=True, at=NOW) for what in ("terms", "privacy", "location"))
    for number in range(cars):
        account = Account(
            id=f"p{number}", email=f"p{number}@example.com", registered=NOW, confirmed=NOW, identified=NOW, consents=consents
        )
        people.put_account(account)
    terms = [
        Licence(id=f"l{each}", product="g3_navi", packages=PACKAGES, begins=NOW + begins, ends=NOW + ends)
        for each, (begins, ends) in enumerate(((-2 * DAY, -DAY), (-DAY, DAY)))
    ]
    for number in range(cars):
        users = {
            f"p{number}": CarUser(role="primary", since=NOW),
            f"p{(number + 1) % cars}": CarUser(role="additional", since=NOW, allowed=("honk", "refresh", "lock")),
        }
        people.put_car(
            CarPeople(
                vin=vin_of(number), managed=True, generation="G4", users=users, licences=tuple(terms), services_off=("heater",)
            )
        )
    return people


def took_us(step: Callable[[], object], times: int) -> float:
    """Return µs of each of so many things that one step does."""
    gc.collect()
    began = time.perf_counter_ns()
    step()
    return (time.perf_counter_ns() - began) / 1_000 / times


def desk_of(cars: int, rights: dict[str, CarRights], reported: dict[str, ReportedSettings]) -> Desk:
    return Desk(known_vins=map(vin_of, range(cars)), rights=rights, settings=reported)


def measure(runs: int, cars: int) -> dict[str, list[float]]:
    people = people_of(cars)
    rights = people.all_rights()
    reported = {vin_of(number): ReportedSettings(boot=1, seq=1, services_off=("lock",)) for number in range(cars)}
    lookups = [(rights[vin_of(number)], reported[vin_of(number)], f"p{(number + number % 2) % cars}") for number in range(cars)]
    status = msgspec.msgpack.encode(
        Status(vin=vin_of(0), boot=1, seq=1, captured_at=NOW, trigger="engine_off", state="parked", mileage_km=12.5)
    )
    read = msgspec.msgpack.Decoder(Status).decode
    where = {"latitude": 48.1, "longitude": 11.5}
    asked = [
        [
            CommandAsked(CommandRequest(id=f"{number}", vin=vin_of(number), name="honk", parameters=where), "t", None, person)
            for number in range(cars)
            for person in (f"p{(number + number % 2) % cars}" if has_people else None,)
        ]
        for has_people in (True, False)
    ]
    doing = command_doing("honk")

    def ask_all() -> None:
        for _ in range(LOOPS):
            for car, settings, who in lookups:
                assert refusal(car, settings, who, doing, NOW) is None

    def decode_all() -> None:
        for _ in range(cars):
            read(status)

    def find_all() -> None:
        for number in range(cars):
            assert people.named(f"p{number}@example.com") is not None

    found: dict[str, list[float]] = {}
    for _ in range(runs + 1):
        figures = {
            "decoding a status (reference)": took_us(decode_all, cars),
            "the question": took_us(ask_all, cars * LOOPS),
            "whose account": took_us(find_all, cars),
        }
        for label, known, messages in (("desk, people", rights, asked[0]), ("desk, no people", {}, asked[1])):
            desk = desk_of(cars, known, reported)

            def decide_all(desk: Desk = desk, messages: list[CommandAsked] = messages) -> None:
                for message in messages:
                    outputs = desk.receive(message, NOW)
                    assert type(outputs[-1]).__name__ == "SendCommand"

            figures[label] = took_us(decide_all, cars)
        for label, figure in figures.items():
            found.setdefault(label, []).append(figure)
    return {label: figures[1:] for label, figures in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cars", type=int, default=10_000)
    given = parser.parse_args()
    print(surroundings())
    found = measure(given.runs, given.cars)
    reference = statistics.median(found["decoding a status (reference)"])
    print(f"\n{given.cars} cars and accounts, median of {given.runs} runs")
    for label, figures in found.items():
        middle = statistics.median(figures)
        each = ", ".join(f"{figure:.2f}" for figure in figures)
        print(f"{label:32} {middle:7.2f} µs   {middle / reference:5.2f} × reference   ({each})")


if __name__ == "__main__":
    main()
