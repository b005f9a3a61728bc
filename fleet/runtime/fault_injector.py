"""Does to the network what a timeline says: puts the faults of its steps in force and ends them, live on a proxy, virtually
on the simulated network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from fleet.runtime.assembly import vins
from fleet.runtime.car_selector import CarSelector
from fleet.runtime.stage import FaultyNetwork
from fleet.scenario.actions import lasts_on
from fleet.scenario.schema import Scenario
from fleet.transport.faults import Fault, describe_fault


class _Planned(NamedTuple):
    """One fault of a step."""

    name: str
    fault: Fault
    lasts: bool


class FaultInjector:
    """Knows the steps of a scenario by their names."""

    def __init__(self, scenario: Scenario, network: FaultyNetwork, say: Callable[[str], None]) -> None:
        """Take where the faults are set, and whom to tell what is done."""
        self._network = network
        self._say = say
        self._steps: dict[str, tuple[list[_Planned], frozenset[str]]] = {}
        selector, everybody = CarSelector(scenario, ()), vins(scenario)
        for phase in scenario.phases():
            for name, step in scenario.named_steps(phase):
                if step.network is None:
                    continue
                faults = [(kind, step.network.fault(kind)) for kind in step.network.kinds]
                planned = [_Planned(f"{name}/{kind}".lstrip("/"), fault, lasts_on(fault, step)) for kind, fault in faults]
                self._steps[name] = (planned, frozenset(everybody[place] for place in selector.select(step.cars)))

    def do(self, step: str, *, begins: bool) -> None:
        """Begin or end what a step does; raises ValueError for one that does nothing to the network."""
        if step not in self._steps:
            raise ValueError(f"{step!r} does nothing to the network")
        planned, clients = self._steps[step]
        for name, fault, lasts in planned:
            if begins:
                self._network.set(name, fault, clients)
                cars = "1 car" if len(clients) == 1 else f"{len(clients)} cars"
                self._say(f"network: {describe_fault(fault)} for {cars}, as the scenario says")
            if begins and not lasts:
                self._network.clear(name)
            elif not begins and lasts:
                self._network.clear(name)
                self._say(f"network: {fault.kind} is over")

    def tell(self) -> None:
        """Say what each fault did."""
        for name, counts in self._network.counts().items():
            did = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items()) or "nothing"
            self._say(f"network: {name}: {did}")

    def counts(self) -> dict[str, dict[str, int]]:
        """Return for each kind of fault that was set what was done by it, in the order of the names."""
        kinds = {plan.name: plan.fault.kind for planned, _ in self._steps.values() for plan in planned}
        found: dict[str, Counter[str]] = {}
        for name, counts in self._network.counts().items():
            found.setdefault(kinds[name], Counter()).update(counts)
        return {kind: dict(sorted(found[kind].items())) for kind in sorted(found)}


def harms_network(scenario: Scenario) -> bool:
    """Return whether some step does something to the network."""
    return any(step.network is not None for step in scenario.steps())
