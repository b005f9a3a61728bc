"""The configuration of a back end: settings, and the parts that differ between a live run, a virtual one and a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fleet.backend.announced_clock import ClockFactory
from fleet.backend.batching import BATCH_WAIT_S
from fleet.backend.consumer import RECEIVE_MAXIMUM
from fleet.backend.echo import Echo
from fleet.backend.mail.letter import Way
from fleet.backend.passwords import PasswordCost
from fleet.backend.recorder import NoRecorder, Recorder
from fleet.backend.spin import SpinCost
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import OpenStore
from fleet.cloud.dispatcher import Patience
from fleet.cloud.registry import RULES
from fleet.cloud.rule import Rule
from fleet.transport.link import LinkFactory
from fleet.wire.dialect import Dialect
from fleet.wire.sealing import SIMULATED_CARS_SECRET

CLIENT_ID: Final = "backend"
_SESSION_EXPIRY_S: Final = 7 * 24 * 3600


LONGEST_BACK_OFF_S: Final = 5.0
"""The longest wait between two tries to connect (ours): while a back end is away, what is asked of it is lost or waits."""


@dataclass(frozen=True, slots=True)
class BackendConfig:
    """The settings of a back end and the parts it is assembled from; `fleet.runtime.backend_configs` fills it in. Secrets are
    left out of its `repr`.

    `make_clock` and `wall_us` bring the time; the scenario time is known from the beginning where `clock_is_known`, otherwise
    once it is announced. `draw` returns the jitter of reconnects, whose waits grow to `longest_back_off_s`. `announce_stored`
    serves cars that keep messages until they are stored. `recorder` keeps a journal. `rules` are those of the services. `echo`
    makes the watch over a stalled connection; None where connections do not stall. `ways` deliver mails and pushes, by channel,
    with `patience`; those of a channel without one are kept in the store, and go nowhere. `fresh` makes tokens that nobody can
    guess. By `cars_secret` cars have sealed the S-PINs that are typed on their screens.
    """

    store: Path
    links: LinkFactory
    pepper: bytes = field(repr=False)
    make_clock: ClockFactory
    wall_us: Callable[[], int]
    draw: Callable[[], float]
    dialect: Dialect
    fresh: Callable[[], str]
    clock_is_known: bool = False
    spin_cost: SpinCost = field(default_factory=SpinCost)
    password_cost: PasswordCost = field(default_factory=PasswordCost)
    cars_secret: bytes = field(default=SIMULATED_CARS_SECRET, repr=False)
    username: str | None = "backend"
    password: str | None = field(default=None, repr=False)
    client_id: str = CLIENT_ID
    session_expiry_s: int = _SESSION_EXPIRY_S
    receive_maximum: int = RECEIVE_MAXIMUM
    keep_alive_s: int = 60
    longest_back_off_s: float = LONGEST_BACK_OFF_S
    announce_stored: bool = False
    batch_wait_s: float = BATCH_WAIT_S
    echo: Callable[[], Echo] | None = None
    open_store: OpenStore = SqliteStore
    recorder: Recorder = field(default_factory=NoRecorder)
    rules: tuple[type[Rule], ...] = RULES
    ways: Mapping[str, Way] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
