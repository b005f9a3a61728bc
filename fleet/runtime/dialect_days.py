"""Days of cars for a look at a dialect: an ordinary one of a single car, and the rule book, in which nearly all things happen."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from fleet.checks.verification import verify
from fleet.errors import UnknownName
from fleet.kernel.instants import Instant
from fleet.observe.journal import JOURNAL
from fleet.observe.packing import packed
from fleet.runtime.assembly import build_cars, equipment_of, vocabulary
from fleet.runtime.car_ends import facts_of
from fleet.runtime.resources import resource_dir
from fleet.runtime.run import Run, RunConfig
from fleet.runtime.tapped_link import tapped_links
from fleet.runtime.view import NoView
from fleet.runtime.virtual_stage import VirtualRunStage
from fleet.scenario.loader import Overrides, load, parse
from fleet.scenario.scalars import ClockFactor
from fleet.scenario.schema import Scenario
from fleet.wire.dialect import CarFacts
from fleet.wire.frame import Frame

DAY: Final = "sample_day.yaml"
RULE_BOOK: Final = "rule-book.yaml"


class Carried(NamedTuple):
    """A frame between a car and the broker, in scenario time."""

    at: Instant
    vin: str
    frame: Frame
    from_car: bool


class Day(NamedTuple):
    """The day of some cars: its frames, its report, the facts about each car, and what the checks say of its journal."""

    carried: Sequence[Carried]
    report: dict[str, Any]
    cars: dict[str, CarFacts]
    breaches: Sequence[str]


def sample_day(*, dialect: str | None = None, model: str | None = None, seed: int | None = None) -> Scenario:
    """Return the scenario of an ordinary day of one car. Raises UnknownName for a model that there is not."""
    words = vocabulary()
    text = resources.files("fleet.runtime").joinpath(DAY).read_text(encoding="utf-8")
    scenario = parse(text, DAY, words)
    if model is not None:
        if model not in words.models:
            raise UnknownName("model", model, words.models)
        (fleet,) = scenario.fleets
        scenario = msgspec.structs.replace(scenario, fleets=(msgspec.structs.replace(fleet, models={model: 1}, energies={}),))
    return msgspec.structs.replace(scenario, dialect=dialect, seed=scenario.seed if seed is None else seed)


def rule_book() -> Scenario:
    """Return the scenario in which each command is tried under every rule, in our own dialect."""
    scenario = load(resource_dir("scenarios") / RULE_BOOK, vocabulary(), Overrides(clock=ClockFactor.parse("virtual")))
    return msgspec.structs.replace(scenario, expectations=())


def live_through(scenario: Scenario, *, journal: bool = False) -> Day:
    """Let a scenario pass in virtual time, and note what its cars send and get; with `journal` it is held against the checks."""
    carried: list[Carried] = []
    with tempfile.TemporaryDirectory(prefix="fleet-dialect-") as folder:
        out = Path(folder)
        config = RunConfig(scenario=scenario, out=out, journal=journal)
        report = Run(config, _TappedStage(config, carried), NoView()).execute()
        breaches = _breaches(out, scenario) if journal else []
    return Day(carried, report, _facts(scenario), breaches)


def _breaches(out: Path, scenario: Scenario) -> list[str]:
    found = verify(packed(out / JOURNAL), equipment_of(scenario))
    return [f"{breach.check}: {breach.told}" for finding in found.findings for breach in finding.breaches]


def _facts(scenario: Scenario) -> dict[str, CarFacts]:
    start = vocabulary().start_of(scenario)
    return {car.vin: facts_of(car) for car in build_cars(scenario, start=start, boot=1)}


class _TappedStage(VirtualRunStage):
    """A virtual stage on which all that cars send and get is noted."""

    def __init__(self, config: RunConfig, carried: list[Carried]) -> None:
        super().__init__(config, NoView())
        schedule, network = self._schedule, self._network

        def look(client_id: str, frame: Frame, from_car: bool) -> None:
            carried.append(Carried(schedule.now, client_id, frame, from_car))

        network.car_links = tapped_links(network.car_links, look)
