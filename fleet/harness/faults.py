"""Faults on purpose: of the broker's process and of the cars' network; the same in live and virtual worlds."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleet.errors import UsageError
from fleet.harness.network import cuts_off, is_momentary, longest_s, of_packets, read_faults
from fleet.harness.steps import Steps, step
from fleet.harness.surroundings import Surroundings
from fleet.transport.faults import Fault, ResetConnections
from fleet.vehicle.signals import SetNetwork

if TYPE_CHECKING:
    from fleet.harness.car import HarnessCar
    from fleet.harness.network import Network
    from fleet.runtime.stage import BrokerProcess

WAYS: Final = 20
"""How often one thing may have to cross a slow network: a connection that comes up takes four ways, a command six."""


@dataclass(frozen=True, slots=True)
class NetworkRule:
    """Faults of the network that were set together, until `clear`."""

    name: str
    faults: tuple[Fault, ...]
    clients: frozenset[str] | None
    """None is everybody."""
    network: Network

    @property
    def names(self) -> dict[str, Fault]:
        """Each fault by the name it is in force under."""
        return {f"{self.name} {fault.kind}": fault for fault in self.faults}

    @property
    def counts(self) -> dict[str, int]:
        """Counts of its effects so far, such as `{"packets": 3}`; a fault that never struck proves nothing."""
        counted = self.network.counts()
        return {what: number for name in self.names for what, number in counted.get(name, {}).items()}


class Faults:
    """Breaks things, and mends what is still broken at the end of the test."""

    def __init__(self, world: Surroundings) -> None:
        self._world = world
        self._down = False
        self._paused = False
        self._rules: dict[str, NetworkRule] = {}
        self._numbers = itertools.count(1)

    @property
    def steps(self) -> Steps:
        return self._world.steps

    @property
    def broker_works(self) -> bool:
        """Whether the broker runs and answers."""
        return not (self._down or self._paused)

    def _broker(self) -> BrokerProcess:
        broker = self._world.stage.broker
        if broker is None:
            hint = 'Mark the test broker="own": then it has a Mosquitto for itself, also with --fleet-broker.'
            raise UsageError("this broker is not ours to stop", hint=hint)
        return broker

    @step
    async def kill_broker(self) -> None:
        """End the broker at once: what it had not written down is lost."""
        self._broker().kill()
        await self._gone()

    @step
    async def stop_broker(self) -> None:
        """End the broker in order: it writes down what must persist."""
        await self._broker().stop()
        await self._gone()

    async def _gone(self) -> None:
        """Let everybody notice, and hold the cars back until it is there again."""
        self._down, self._paused = True, False
        cars = self._world.shard.cars.values()
        await self._world.stage.wait(lambda: not any(held.car.outbox.is_connected for held in cars))
        with self._world.stage.inside():
            self._world.gate.close()

    @step
    async def start_broker(self, *, before_cars: Callable[[], bool] | None = None) -> None:
        """Run it again; returns when our back end and then the cars are connected again.

        A broker that was killed has forgotten who subscribed, so a back end of yours misses what cars send before it is back:
        `before_cars` says when it is.
        """
        await self._start(before_cars)
        await self._world.settle()

    async def _start(self, before_cars: Callable[[], bool] | None = None) -> None:
        await self._broker().start()
        await self._world.stage.wait(self._world.is_connected)
        if before_cars is not None and not await self._world.stage.wait(before_cars):
            self._world.fail("the broker runs again, and what is to hold `before_cars` connect does not")
        with self._world.stage.inside():
            self._world.gate.open()
        self._down = False

    @step
    async def pause_broker(self) -> None:
        """Let it keep its connections and answer nothing."""
        if self._down:
            raise UsageError("the broker does not run", hint="start_broker() lets it run again.")
        self._broker().pause()
        self._paused = True

    @step
    async def resume_broker(self) -> None:
        """Let it go on."""
        self._resume()
        await self._world.settle()

    def _resume(self) -> None:
        self._broker().resume()
        self._paused = False

    @step
    async def network(self, *, works: bool) -> None:
        """Let the mobile network fail for all cars, or work again."""
        for car in self._world.cars:
            car.put(SetNetwork(works))
        await self._world.settle()

    # --- the network, as in scenarios and of `fleet proxy`

    @step
    async def network_fault(self, /, *, cars: Sequence[HarnessCar] | None = None, **words: object) -> NetworkRule:
        """Harm the connections of these cars, or of all there are, until `clear`: latency="200 ms", jitter="50 ms".

        The words are those of `network:` in a scenario, such as bandwidth="20 kB/s", stall=True, refuse=True, drop="PUBACK",
        first=1, duplicate="PUBLISH", every=10. Durations are real time. Raises UnknownName with the nearest right word.
        """
        faults = read_faults(words)
        rule = NetworkRule(f"rule {next(self._numbers)}", tuple(faults), self._clients(cars, faults), self._world.stage.network())
        with self._changing_network():
            self._rules[rule.name] = rule
            for name, fault in rule.names.items():
                rule.network.set(name, fault, rule.clients)
        return rule

    @step
    async def clear(self, rule: NetworkRule) -> None:
        """End it; returns when what was held up has arrived."""
        if rule.name not in self._rules:
            raise UsageError(f"{rule.name} is not in force", hint="It was cleared before, or is of another test.")
        self._clear(rule)
        await self._world.settle()

    def _clear(self, rule: NetworkRule) -> None:
        with self._changing_network():
            del self._rules[rule.name]
            for name in rule.names:
                rule.network.clear(name)

    @step
    async def strike(self, /, *, cars: Sequence[HarnessCar] | None = None, **words: object) -> None:
        """Do to the connections there are what is over at once: reset=True, half_open=True. Those that come later are well.

        Returns when cars whose connection was reset have it again. One that is half-open is noticed when the car sends.
        """
        world, faults = self._world, read_faults(words)
        for fault in faults:
            if not is_momentary(fault):
                raise UsageError(f"{fault.kind} lasts until it is cleared", hint="Use network_fault and clear.")
        clients, network = self._clients(cars, faults), world.stage.network()
        noticed = [vin for vin in self._up(clients) if any(isinstance(fault, ResetConnections) for fault in faults)]
        before = world.gate.losses.copy()
        with self._changing_network():
            for fault in faults:
                network.strike(fault, clients)
        await world.stage.wait(lambda: all(world.gate.losses[vin] > before[vin] for vin in noticed))
        await world.settle()

    def _up(self, clients: frozenset[str] | None) -> list[str]:
        return [car.vin for car in self._world.cars if car.is_connected and (clients is None or car.vin in clients)]

    def _clients(self, cars: Sequence[HarnessCar] | None, faults: Sequence[Fault]) -> frozenset[str] | None:
        """Return whom faults concern; where connections are encrypted nobody can tell, but all are cars."""
        if self._world.stage.tells_clients:
            return frozenset(car.vin for car in (self._world.cars if cars is None else cars))
        if cars is not None or any(of_packets(fault) for fault in faults):
            hint = "Leave out cars and rules about packets, or use a broker without TLS."
            raise UsageError("who is who cannot be read from encrypted connections", hint=hint)
        return None

    @contextlib.contextmanager
    def _changing_network(self) -> Iterator[None]:
        """Have the world look again whether something is under way."""
        with self._world.stage.inside():
            yield
        self._world.gate.activity += 1
        self._world.stage.slower_s = WAYS * sum(longest_s(fault) for rule in self._rules.values() for fault in rule.faults)

    @property
    def network_is_harmed(self) -> bool:
        """Whether a fault of the network is in force."""
        return bool(self._rules)

    def cuts_off(self, vin: str, *, connected: bool) -> bool:
        """Whether a fault is in force that lets nothing of a car come through."""
        return any(
            any(cuts_off(fault, connected=connected) for fault in rule.faults)
            for rule in self._rules.values()
            if rule.clients is None or vin in rule.clients
        )

    @property
    def network_carries(self) -> bool:
        """Whether faults of the network hold something back that will arrive by itself."""
        return bool(self._rules) and self._world.stage.network().is_carrying

    async def mend(self) -> None:
        """End what is still in force, and let the broker run again, for the tests that come after."""
        for rule in list(self._rules.values()):
            self._clear(rule)
        if self._paused:
            self._resume()
        if self._down:
            await self._start()
