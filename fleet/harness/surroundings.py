"""The view of a world that its parts have: a world makes and holds them, and none of them imports it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Never, Protocol

from fleet.backend.reader import StoreReader
from fleet.harness.gate import Gate
from fleet.harness.inboxes import Inboxes
from fleet.harness.stages import WorldStage
from fleet.harness.steps import Steps
from fleet.harness.watcher import Asker, Watcher
from fleet.kernel.instants import Instant
from fleet.runtime.shard import Shard
from fleet.vehicle.signals import PowerOn, WorldInput
from fleet.wire.messages import CarMessage, DeskRequest


class AnyCar(Protocol):
    """A car of the world, as those see it who do something to all."""

    @property
    def vin(self) -> str: ...
    @property
    def is_connected(self) -> bool: ...
    @property
    def messages(self) -> Sequence[CarMessage]: ...
    def put(self, message: WorldInput | PowerOn) -> None: ...


class Surroundings(Protocol):
    """A world, as its cars, users, clock and faults see it. `World` says what each member means."""

    steps: Steps
    stage: WorldStage
    shard: Shard
    gate: Gate
    inboxes: Inboxes
    watcher: Watcher
    asker: Asker

    @property
    def cars(self) -> Sequence[AnyCar]: ...
    @property
    def now(self) -> Instant: ...
    async def until(self, condition: Callable[[], bool], limit: Instant) -> bool: ...
    async def settle(self) -> None: ...
    def must_be_open(self) -> None: ...
    def is_connected(self) -> bool: ...
    def new_id(self, what: str) -> str: ...
    def ask(self, request: DeskRequest) -> None: ...
    async def start_backend(self) -> None: ...
    async def kill_backend(self) -> None: ...
    def limit_disk(self, *, full: bool) -> None: ...
    def reader(self) -> StoreReader: ...
    def fail(self, told: str, car: AnyCar | None = None) -> Never: ...
