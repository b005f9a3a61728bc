"""The wheel that visits all links of a factory."""

from __future__ import annotations

from fleet.transport.swarm_wheel import KeepAliveWheel


async def test_after_a_stall_nobody_is_judged() -> None:
    """Members of slots that are long over are pinged, not given up; one removed meanwhile is not visited."""
    wheel = KeepAliveWheel()
    beats: list[tuple[str, bool]] = []

    class Pulse:
        wheel_slot = wheel_period = 0

        def __init__(self, name: str) -> None:
            self.name = name

        def beat(self, *, late: bool) -> None:
            beats.append((self.name, late))
            for other in pulses:
                if other is not self:
                    wheel.remove(other)

    pulses = [Pulse("one"), Pulse("two")]
    for pulse in pulses:
        wheel.add(pulse, 60)
        wheel._slots.clear()
    long_ago = wheel._now() - 1000
    wheel._slots[long_ago] = set(pulses)
    for pulse in pulses:
        pulse.wheel_slot = long_ago
    wheel._turn()
    assert len(beats) == 1
    assert beats[0][1]
    for pulse in pulses:
        wheel.remove(pulse)
    assert wheel._timer.armed_at is None
