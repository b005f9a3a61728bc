"""The topics of a car beside Home Assistant."""

from __future__ import annotations

from tests.dialects.homeassistant.device_lab import DeviceLab


def test_a_cars_topics_are_all_that_it_subscribes_and_writes() -> None:
    """But for Home Assistant's own: the announcement, which bears the VIN, and the topic of its birth."""
    lab = DeviceLab()
    frames = [*lab.connect(), *lab.end.write(lab.status(), lab.now)]
    assert all(f"/{lab.car.vin}/" in frame.topic for frame in frames)
    assert {topic for topic, _ in lab.end.subscriptions if lab.car.vin not in topic} == {"homeassistant/status"}
