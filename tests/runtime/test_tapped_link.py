"""A link that shows its frames: both ways, and otherwise as the one within."""

from __future__ import annotations

from fleet.kernel.schedule import Schedule
from fleet.runtime.tapped_link import tapped_links
from fleet.runtime.virtual_loop import run_virtually
from fleet.runtime.virtual_network import VirtualNetwork
from fleet.transport.link import BackOff, LinkSettings
from fleet.wire.frame import Frame
from tests.recording_owner import RecordingOwner

VIN = "VSSZZZK1ZRP000001"


def test_all_frames_are_shown_and_carried() -> None:
    schedule = Schedule(0)
    network = VirtualNetwork(schedule, seed=1)
    seen: list[tuple[str, str, bool]] = []
    links = tapped_links(network.car_links, lambda client, frame, sent: seen.append((client, frame.topic, sent)))

    async def talk() -> RecordingOwner:
        owner = RecordingOwner()
        topics = ((f"fleet/v1/{VIN}/command/+", 1),)
        owner.link = links(LinkSettings(client_id=VIN, username=VIN, subscriptions=topics), owner, BackOff(lambda: 0.5))
        owner.link.open()
        await owner.wait_for_up()
        backend = RecordingOwner()
        backend.link = network.tool_links(LinkSettings(client_id="b", username="desk"), backend, BackOff(lambda: 0.5))
        backend.link.open()
        await backend.wait_for_up()
        backend.link.publish(Frame(topic=f"fleet/v1/{VIN}/command/lock", payload=b"x"), 1)
        owner.link.publish(Frame(topic=f"fleet/v1/{VIN}/status", payload=b"y"), 7)
        await owner.wait_for_outcome(7)
        await owner.wait_for_deliveries(1)
        await owner.link.close(last=Frame(topic=f"fleet/v1/{VIN}/presence", payload=b"z"))
        await backend.link.close()
        return owner

    owner = run_virtually(talk(), schedule)
    assert owner.link is not None
    assert not owner.link.is_up
    assert sorted(seen) == sorted(
        [
            (VIN, f"fleet/v1/{VIN}/status", True),
            (VIN, f"fleet/v1/{VIN}/command/lock", False),
            (VIN, f"fleet/v1/{VIN}/presence", True),
        ]
    )
