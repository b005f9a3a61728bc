"""The simulated broker and network of a virtual run, and of tests in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fleet.kernel.schedule import Schedule
from fleet.runtime.broker_acl import acl_text
from fleet.scenario.actions import BrokerAction
from fleet.transport.simulated_access import AccessControl
from fleet.transport.simulated_broker import SimulatedBroker
from fleet.transport.simulated_faults import FrameFaults
from fleet.transport.simulated_link import simulated_links
from fleet.transport.simulated_network import SimulatedNetwork
from fleet.wire.dialect import TopicAccess


class VirtualNetwork:
    """A broker under the private Mosquitto's access control, and the links to it; all of it lives on one schedule."""

    def __init__(self, schedule: Schedule, *, seed: int, topics: TopicAccess | None = None) -> None:
        """Begin with a running broker; faults of the network leave to chance what follows from the seed.

        `topics` are those of a dialect that has its own.
        """
        access = AccessControl.parse(acl_text(topics=topics))
        self._network = SimulatedNetwork(SimulatedBroker(access=access), schedule)
        self._seed = seed
        self._controls: Mapping[str, Callable[[], None]] = {
            "start": self._network.start,
            "stop": self._network.stop,
            "kill": self._network.kill,
            "pause": self._network.pause,
            "resume": self._network.resume,
        }
        self.car_links = simulated_links(self._network, username_as_client_id=True)
        self.tool_links = simulated_links(self._network)

    def control_broker(self, action: BrokerAction) -> None:
        """Do it to the broker, at once."""
        self._controls[action]()

    def faults(self) -> FrameFaults:
        """Return where faults are set; before the first call the network is as fast as without them."""
        if self._network.faults is None:
            self._network.faults = FrameFaults(self._network, self._seed)
        return self._network.faults
