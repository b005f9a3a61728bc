"""The language of scenario files, as types; unknown keys are errors.

Only the shape is here. Names of models, regions and profiles are checked by the loader against a `Vocabulary`,
which whoever assembles the program fills from the vehicle catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from fleet.cloud.actions import ServiceEntry, load_actions
from fleet.kernel.instants import SECOND, Instant
from fleet.scenario.actions import GeoPoint, Load, TimelineStep
from fleet.scenario.drawn import Distances, Plain, PrivacyMix, SpinMix, Values
from fleet.scenario.element import Element
from fleet.scenario.expectations import Expectation
from fleet.scenario.people import People
from fleet.scenario.scalars import ClockFactor, DayWindow, Distance, Duration, LocalTime, Moment, Rate, Share
from fleet.vehicle.place_region import RegionFile
from fleet.wire.commands import COMMANDS, CommandType

RegionChoice = str | RegionFile
"""The name of a shipped region, or a region of one's own. In a file it is written as a name or as the path of a region file."""


class DeadZone(Element, frozen=True, kw_only=True):
    """Everything within `radius` of a point in WGS 84 degrees."""

    latitude: float
    longitude: float
    radius: Distance


class Coverage(Element, frozen=True, kw_only=True):
    """Where and when there is no network: a share of parking places and of drives, whole zones, times of day."""

    garages: Share = Share(0)
    holes: Share = Share(0)
    dead_zones: tuple[DeadZone, ...] = ()
    outages: tuple[DayWindow, ...] = ()


class Places(Element, frozen=True, kw_only=True):
    """Fixed places instead of ones drawn from the region."""

    parked_at: GeoPoint


class Tracks(Element, frozen=True, kw_only=True):
    """Files of drives that were driven: each car follows one of them, in turn. Their first row is at `at`, or at the start."""

    files: tuple[str, ...]
    at: Moment | None = None


class Fleet(Element, frozen=True, kw_only=True):
    """So many cars that are alike in how they are drawn.

    `models` and `energies` are weights; a model without energies takes its catalogue's own mix. `region` None is
    the scenario's, and `profile` None the usual mix of commuters and others. `equipment` overrides what the catalogue would draw.
    `privacy` None is every car as it comes, and `registered_in` None the country of the region (two letters, ISO 3166).
    `dialect` None is the scenario's.
    """

    name: str
    count: int
    models: dict[str, float]
    energies: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)
    profile: str | None = None
    region: RegionChoice | None = None
    coverage: Coverage = Coverage()
    equipment: dict[str, Plain] = msgspec.field(default_factory=dict)
    places: Places | None = None
    tracks: Tracks | None = None
    privacy: PrivacyMix | None = None
    registered_in: str | None = None
    dialect: str | None = None


class CommandLoad(Element, frozen=True, kw_only=True):
    """Commands that users send, evenly spread by chance over the run or over a time of day.

    Either `rate` or `count` (over the whole run) says how many, `fleet` to which cars (None: all). `time_to_live` is
    scenario time, None the command's own; a fast clock needs a long one. `distance` is how far the user stands from the car,
    for commands that say so.
    """

    name: str
    rate: Rate | None = None
    count: int | None = None
    during: DayWindow | None = None
    fleet: str | None = None
    time_to_live: Duration | None = None
    parameters: dict[str, Values] = msgspec.field(default_factory=dict)
    distance: Distances | None = None
    spin: SpinMix | None = None


class Reconnect(Element, frozen=True, kw_only=True):
    """How cars come back after a lost connection: they wait up to twice as long each time (or just so long, without jitter).

    In real time, as all that concerns connections. `first` None follows from the number of cars.
    """

    jitter: bool = True
    first: Duration | None = None
    longest: Duration = Duration(30 * SECOND)


class ScenarioStage(Element, frozen=True, kw_only=True):
    """A stretch of the run with a life of its own; all of it goes on at the same time."""

    name: str
    duration: Duration
    commands: tuple[CommandLoad, ...] = ()
    load: tuple[Load, ...] = ()
    timeline: tuple[TimelineStep, ...] = ()
    expectations: tuple[Expectation, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of the run: all of it, or one of its stages. `after_us` is since the run's start."""

    name: str
    after_us: int
    duration: int
    commands: tuple[CommandLoad, ...]
    load: tuple[Load, ...]
    timeline: tuple[TimelineStep, ...]


class Scenario(Element, frozen=True, kw_only=True):
    """A whole scenario. `start` without an offset is local time in `region`; stages follow each other and make the duration.

    `dialect` is a shipped one, a mapping file (relative to this one), or `module:Class`; None is our own. Without `people` each
    car has a primary user who may do everything.
    """

    scenario: str
    purpose: str
    imports: tuple[str, ...] = ()
    parameters: dict[str, Plain] = msgspec.field(default_factory=dict)
    seed: int
    start: LocalTime
    written_duration: Duration | None = msgspec.field(name="duration", default=None)
    clock: ClockFactor = ClockFactor(1)
    region: RegionChoice
    dialect: str | None = None
    reconnect: Reconnect = Reconnect()
    fleets: tuple[Fleet, ...]
    people: People | None = None
    commands: tuple[CommandLoad, ...] = ()
    load: tuple[Load, ...] = ()
    timeline: tuple[TimelineStep, ...] = ()
    stages: tuple[ScenarioStage, ...] = ()
    expectations: tuple[Expectation, ...] = ()

    @property
    def duration(self) -> Duration:
        """How long the run takes, in scenario time."""
        return Duration(sum(stage.duration for stage in self.stages) if self.stages else self.written_duration or 0)

    @property
    def cars(self) -> int:
        """How many cars there are in all fleets."""
        return self.cars_in(None)

    def cars_in(self, fleet: str | None) -> int:
        """Return how many cars there are in the fleet of that name, or in all."""
        return sum(each.count for each in self.fleets if fleet in (None, each.name))

    def dialects(self) -> dict[str, str | None]:
        """Return the dialect of each fleet, by its name; None is our own."""
        return {fleet.name: fleet.dialect or self.dialect for fleet in self.fleets}

    def region_of(self, fleet: Fleet) -> RegionChoice:
        """Return the region a fleet lives in."""
        return fleet.region or self.region

    def own_regions(self) -> list[RegionFile]:
        """Return the regions that came from files, each once."""
        chosen = [self.region, *(fleet.region for fleet in self.fleets)]
        return list(dict.fromkeys(region for region in chosen if isinstance(region, RegionFile)))

    def phases(self) -> list[Phase]:
        """Return the whole run (without a name) and then its stages, with what goes on in each."""
        found = [
            Phase(name="", after_us=0, duration=self.duration, commands=self.commands, load=self.load, timeline=self.timeline)
        ]
        after_us = 0
        for stage in self.stages:
            found.append(
                Phase(
                    name=stage.name,
                    after_us=after_us,
                    duration=stage.duration,
                    commands=stage.commands,
                    load=stage.load,
                    timeline=stage.timeline,
                )
            )
            after_us += stage.duration
        return found

    def steps(self) -> list[TimelineStep]:
        """Return the steps of all timelines that are done at this clock."""
        return [step for phase in self.phases() for step in phase.timeline if self.plays(step)]

    def named_steps(self, phase: Phase) -> Iterator[tuple[str, TimelineStep]]:
        """Yield the steps of a stage's timeline that are done at this clock, each with a name of its own in the scenario."""
        seen: dict[str, int] = {}
        for step in phase.timeline:
            number = seen[step.subject] = seen.get(step.subject, -1) + 1
            if self.plays(step):
                yield f"{phase.name}/{step.subject}/{number}", step

    def plays(self, step: TimelineStep) -> bool:
        """Tell whether a step is done at this clock."""
        return step.only is None or (step.only == "virtual") is self.clock.is_virtual


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The names a scenario may use. Whatever is handed in here is all there is.

    `models` maps a model to its energies, `regions` a region to its IANA time zone, `equipment` a field to its type. `services`
    are those of the back end that can be asked. `privacy` maps a model to the modes of its switch, `switchable` are the services
    that can be switched off in a car, `countries` where one can be registered. An empty `reasons` accepts any.
    """

    models: Mapping[str, Collection[str]]
    regions: Mapping[str, str]
    profiles: Collection[str]
    equipment: Mapping[str, Any]
    reasons: Collection[str] = ()
    commands: Mapping[str, CommandType] = field(default_factory=lambda: COMMANDS)
    services: Mapping[str, ServiceEntry] = field(default_factory=load_actions)
    privacy: Mapping[str, Collection[str]] = field(default_factory=dict)
    switchable: Collection[str] = ()
    countries: Collection[str] = ()
    open_dialect: Callable[[str], object] | None = None
    """Opens the dialect that is named so; raises UsageError. None: no name is looked at."""

    def zone_of(self, scenario: Scenario) -> str:
        """Return the IANA time zone the scenario's clock times are in."""
        region = scenario.region
        return region.timezone if isinstance(region, RegionFile) else self.regions[region]

    def start_of(self, scenario: Scenario) -> Instant:
        """Return the scenario time at which the run starts."""
        return scenario.start.instant(self.zone_of(scenario))


INSTEAD: Final[dict[type[msgspec.Struct], dict[str, str]]] = {Scenario: {"duration": "stages"}}
"""Keys that must be there unless another one is."""
