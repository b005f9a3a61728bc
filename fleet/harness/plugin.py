"""The pytest plugin: fixtures that give a test cars, a broker, a back end and the time. Imports the rest when it is used."""

from __future__ import annotations

import inspect
import os
import shlex
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import pytest

try:
    import pytest_asyncio
except ImportError:  # then the fixtures say what is missing, and nobody else is disturbed
    pytest_asyncio = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from fleet.harness.backend import HarnessBackend
    from fleet.harness.broker import ForeignBroker, HarnessBroker, Kind
    from fleet.harness.car import HarnessCar
    from fleet.harness.clock import HarnessClock
    from fleet.harness.faults import Faults
    from fleet.harness.world import World
    from fleet.scenario.schema import RegionChoice

Mode = Literal["live", "virtual"]
MODES: Final = ("live", "virtual")
WORDS: Final = ("mode", "seed", "start", "checks", "car", "backend", "until_stored", "broker", "dialect", "region")
OWN: Final = "own"
"""The kind of broker that no other test shares."""
WORLD: Final = pytest.StashKey["World"]()
SUBSTITUTE: Final = pytest.StashKey[bool]()
"""Whether tests ran on the embedded broker for want of a Mosquitto."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and settings of the plugin."""
    group = parser.getgroup("fleet", "simulated cars")
    group.addoption("--fleet-mode", choices=MODES, help="Where cars live: live beside a real broker, or virtual [fleet_mode]")
    group.addoption("--fleet-seed", type=int, help="The seed of all chance, instead of each test's own")
    group.addoption("--fleet-broker", metavar="URL", help="A broker of yours, instead of a private Mosquitto")
    group.addoption("--fleet-ca", metavar="FILE", type=Path, help="The authority that signed your broker's certificate")
    group.addoption("--fleet-cert-dir", metavar="DIR", type=Path, help="Certificates of clients, where your broker wants them")
    group.addoption("--fleet-credentials", metavar="FILE", type=Path, help="user,password lines for your broker")
    group.addoption("--fleet-prefix", metavar="PREFIX", help="Topics under which all tests stay")
    parser.addini("fleet_mode", "Where cars live: live or virtual", default="live")


def pytest_configure(config: pytest.Config) -> None:
    words = ", ".join(f"{word}=…" for word in WORDS)
    config.addinivalue_line("markers", f"fleet({words}): what the world of a test with cars is like")


def _mode(request: pytest.FixtureRequest) -> Mode:
    """Return where the cars of this test live. Raises UsageError for a word that means nothing."""
    from fleet.errors import UnknownName

    config = request.config
    mode = _words(request).get("mode") or config.getoption("--fleet-mode") or config.getini("fleet_mode")
    if mode not in MODES:
        raise UnknownName("fleet mode", str(mode), MODES)
    return cast("Mode", mode)


def _words(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return what the marks of this test say, the nearest one first. Raises UsageError, also for a broker that nobody needs."""
    from fleet.errors import UnknownName, UsageError
    from fleet.harness.broker import KINDS

    found: dict[str, Any] = {}
    for mark in request.node.iter_markers("fleet"):
        if mark.args:
            raise UsageError("@pytest.mark.fleet takes words only", hint='Such as @pytest.mark.fleet(mode="virtual").')
        for name, value in mark.kwargs.items():
            if name not in WORDS:
                raise UnknownName("word of @pytest.mark.fleet", name, WORDS)
            if name == "broker" and value not in (*KINDS, OWN):
                raise UnknownName("kind of broker", str(value), (*KINDS, OWN))
            found.setdefault(name, value)
    return found


# --- fixtures -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def fleet_brokers(request: pytest.FixtureRequest) -> Iterator[Brokers]:
    """Hold the brokers that tests share; each is started when the first test needs it."""
    brokers = Brokers(request.config)
    yield brokers
    request.config.stash[SUBSTITUTE] = brokers.is_without_mosquitto
    brokers.stop()


class Brokers:
    """The brokers of a session, by kind. They are started outside of any test's loop, which ends with its test."""

    def __init__(self, config: pytest.Config) -> None:
        self._option = config.getoption
        self._shared: dict[tuple[str, str | None], HarnessBroker] = {}
        self._foreign: ForeignBroker | None = None

    def shared(self, kind: str, dialect: str | None = None) -> HarnessBroker | ForeignBroker:
        """Return the one of a kind for cars of a dialect, or the user's. Raises UsageError for a kind that does not exist."""
        from fleet.errors import UnknownName, UsageError
        from fleet.harness.broker import KINDS, ForeignBroker

        known = next((each for each in KINDS if each == kind), None)
        if known is None:
            raise UnknownName("kind of shared broker", kind, KINDS)
        if self._option("--fleet-broker"):
            if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
                hint = "Run them with -n 0: a car's VIN is its client id, and cars of two tests can have the same."
                raise UsageError("tests beside a broker of yours run one at a time", hint=hint)
            self._foreign = self._foreign or ForeignBroker(
                self._option("--fleet-broker"),
                ca=self._option("--fleet-ca"),
                cert_dir=self._option("--fleet-cert-dir"),
                credentials=self._option("--fleet-credentials"),
                prefix=self._option("--fleet-prefix") or "fleet/test",
            )
            return self._foreign
        key = (kind, dialect)
        if key not in self._shared:
            self._shared[key] = self.started(known, dialect)
        return self._shared[key]

    def started(self, kind: Kind, dialect: str | None = None) -> HarnessBroker:
        """Return a new private one that runs."""
        from fleet.harness.broker import HarnessBroker

        broker = HarnessBroker(kind, dialect)
        try:
            _run(broker.start())
        except BaseException:
            broker.discard()
            raise
        return broker

    @property
    def is_without_mosquitto(self) -> bool:
        """Whether a broker that tests share is the embedded one only because no Mosquitto is installed."""
        return any(broker.is_substitute for broker in self._shared.values())

    @property
    def running(self) -> list[HarnessBroker]:
        """Those that tests share, as far as they were started."""
        return list(self._shared.values())

    def stop(self) -> None:
        """Stop all."""
        for broker in self._shared.values():
            _run(broker.stop())


def _run(work: Coroutine[Any, Any, None]) -> None:
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


@pytest.fixture
def fleet_broker(request: pytest.FixtureRequest, fleet_brokers: Brokers) -> Iterator[HarnessBroker | ForeignBroker]:
    """Give the broker: a private Mosquitto that the tests of a session share, one of this test's `own`, or the user's."""
    words = _words(request)
    kind, dialect = str(words.get("broker", "plain")), words.get("dialect")
    if kind != OWN:
        yield fleet_brokers.shared(kind, dialect)
        return
    broker = fleet_brokers.started("plain", dialect)
    yield broker
    _run(broker.stop())


@pytest.fixture
def _fleet_broker_of_test(request: pytest.FixtureRequest) -> HarnessBroker | ForeignBroker | None:
    """Give the broker where cars live beside one."""
    if _mode(request) == "virtual":
        return None
    return cast("HarnessBroker | ForeignBroker", request.getfixturevalue("fleet_broker"))


async def _make_world(
    request: pytest.FixtureRequest, _fleet_broker_of_test: HarnessBroker | ForeignBroker | None
) -> AsyncIterator[World]:
    """Give the world of this test: `await fleet.car(…)` adds a car."""
    async with _world(request, _fleet_broker_of_test) as world:
        request.node.stash[WORLD] = world
        test, request.node.obj = request.node.obj, _closing(request.node.obj, world)
        yield world
        request.node.obj = test  # a session keeps its tests, and is not to keep their worlds
        del request.node.stash[WORLD]


def _world(request: pytest.FixtureRequest, broker: HarnessBroker | ForeignBroker | None) -> AbstractAsyncContextManager[World]:
    from fleet.harness.world import MONDAY, live_world, virtual_world

    words = _words(request)
    seed = words.get("seed", request.config.getoption("--fleet-seed"))
    if seed is None:
        seed = zlib.crc32(request.node.nodeid.encode())
    settings = {
        "seed": seed,
        "start": words.get("start", MONDAY),
        "checks": words.get("checks", True),
        "backend": words.get("backend", "fleet_backend" in request.fixturenames),
        "until_stored": words.get("until_stored", False),
        "dialect": words.get("dialect"),
        "faults": "fleet_faults" in request.fixturenames,
        "region": _region(request, words.get("region", "munich")),
        "reproduce": _again(request, seed),
    }
    if broker is None:
        return virtual_world(**settings)
    return live_world(broker.reach(), **settings)


def _region(request: pytest.FixtureRequest, named: object) -> RegionChoice:
    """Return where the cars live: a shipped region by its name, or the one in a file beside the test."""
    from fleet.errors import UsageError
    from fleet.runtime.assembly import vocabulary
    from fleet.scenario.region_files import load_region

    if not isinstance(named, str | os.PathLike):
        raise UsageError(f"{named!r} is no region", hint="Name a shipped one, or a file beside the test.")
    return load_region(os.fspath(named), request.node.path.parent, vocabulary())


def _again(request: pytest.FixtureRequest, seed: int) -> str:
    """Return the line that runs this test again, where pytest was called."""
    config = request.config
    file = os.path.relpath(request.node.path, config.invocation_params.dir)
    words = ["pytest", f"{file}::{request.node.nodeid.partition('::')[2]}", "--fleet-seed", str(seed)]
    for option in ("--fleet-mode", "--fleet-broker", "--fleet-ca", "--fleet-cert-dir", "--fleet-credentials", "--fleet-prefix"):
        if (value := config.getoption(option)) is not None:
            words += [option, str(value)]
    return shlex.join(words)


def _closing(test: Callable[..., Any], world: World) -> Callable[..., Any]:
    """Return the test with the end of its world in it, so that a rule that is broken fails the test itself."""
    import asyncio

    from fleet.errors import UsageError

    if not inspect.iscoroutinefunction(test):
        raise UsageError("a test with cars is a coroutine", hint="Write `async def`, and mark it for pytest-asyncio.")
    of_cars = asyncio.get_running_loop()

    @wraps(test)
    async def closed(*args: Any, **kwargs: Any) -> None:
        if asyncio.get_running_loop() is not of_cars:
            hint = "asyncio_default_fixture_loop_scope says where fixtures run, and must be what the test's loop_scope is."
            raise UsageError("this test runs in another event loop than its cars", hint=hint)
        await test(*args, **kwargs)
        await world.close()

    return closed


async def _make_car(fleet: World, request: pytest.FixtureRequest) -> HarnessCar:
    """Give one car: a petrol Leon, or what @pytest.mark.fleet(car={…}) says."""
    return await fleet.car(**_words(request).get("car", {}))


@pytest.fixture
def fleet_backend(fleet: World) -> HarnessBackend:
    """Give our own back end; a test that does not ask for it brings its own."""
    from fleet.harness.backend import HarnessBackend

    return HarnessBackend(fleet)


@pytest.fixture
def fleet_clock(fleet: World) -> HarnessClock:
    """Give the cars' time: `await fleet_clock.advance(minutes=60)`."""
    return fleet.clock


@pytest.fixture
def fleet_faults(fleet: World) -> Faults:
    """Give what can go wrong: broker, network, back end."""
    return fleet.faults


@pytest.fixture
def fleet_journal(fleet: World) -> Path:
    """Give where the journal of this test is written."""
    return fleet.journal_path


def _lacks_asyncio() -> None:
    from fleet.errors import UsageError

    raise UsageError("the fixtures for cars need pytest-asyncio", hint="pip install pytest-asyncio")


def _async_fixture(make: Callable[..., Awaitable[Any] | AsyncIterator[Any]], name: str) -> Any:
    return pytest.fixture(name=name)(_lacks_asyncio) if pytest_asyncio is None else pytest_asyncio.fixture(name=name)(make)


fleet_world = _async_fixture(_make_world, "fleet")
fleet_one_car = _async_fixture(_make_car, "fleet_car")


# --- reports ------------------------------------------------------------------------------------------------------


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Keep the journal of a test that failed, and say where it is."""
    outcome = yield
    world = item.stash.get(WORLD, None)
    if call.excinfo is None or world is None:
        return
    from fleet.harness.errors import ExpectationFailed, InvariantBroken

    report: pytest.TestReport = cast("Any", outcome).get_result()
    world.failed = True
    world.keeps_journal = report.failed  # and not of one that is skipped, or was expected to fail
    if report.failed and not isinstance(call.excinfo.value, ExpectationFailed | InvariantBroken):  # they have told it themselves
        report.sections.append(("fleet", world.about_failure()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say on which broker the tests were, where it is not the one that was asked for."""
    if config.stash.get(SUBSTITUTE, False):
        terminalreporter.write_line("fleet: no Mosquitto is installed, so the cars were on the embedded broker")
