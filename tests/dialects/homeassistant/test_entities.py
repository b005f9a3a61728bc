"""The announcement of a car: which entities it has, and on which topics."""

from __future__ import annotations

import pytest

from fleet.dialects.homeassistant.car_end import SPREAD
from fleet.dialects.homeassistant.entities import load_entities
from fleet.wire.commands import COMMANDS
from fleet.wire.frame import Frame
from fleet.wire.messages import STATUS_GROUPS
from fleet.wire.services import load_services
from tests.dialects.homeassistant.device_lab import DeviceLab, device_of


class TestAnnouncement:
    def test_one_retained_message_announces_a_device_with_all_its_entities(self) -> None:
        """Its identity, whose software it is, where its presence is, and a unique id for each entity."""
        lab = DeviceLab()
        device = device_of(lab)
        assert device["device"]["identifiers"] == [lab.car.vin]
        assert device["device"]["name"] == f"Leon {lab.car.vin[-6:]}"
        assert device["availability_topic"] == f"{lab.head}/presence"
        ids = [part["unique_id"] for part in device["components"].values()]
        assert ids == [f"{lab.car.vin}_{key}" for key in device["components"]]
        assert all(frame.retain for frame in lab.connect())

    def test_every_topic_of_an_entity_is_the_cars_own(self) -> None:
        """No frame leaves the car's topics by way of Home Assistant, and none comes from elsewhere."""
        lab = DeviceLab("Formentor", "e-hybrid")
        for part in device_of(lab)["components"].values():
            topics = [value for name, value in part.items() if name.endswith("topic")]
            assert topics
            assert all(topic.startswith(lab.head + "/") for topic in topics)

    @pytest.mark.parametrize(
        ("model", "energy", "there", "not_there"),
        [
            ("Leon", "petrol", {"fuel_level", "oil_change_distance"}, {"charge", "charging", "adblue_level", "trip_energy"}),
            ("Ateca", "diesel", {"fuel_level", "adblue_warning"}, {"charge", "plugged_in"}),
            ("Formentor", "e-hybrid", {"fuel_level", "charge", "charging", "charge_limit", "trip_energy"}, {"adblue_level"}),
            ("Born", "electric", {"charge", "charging_power"}, {"fuel_level", "oil_change_distance", "trip_fuel"}),
        ],
    )
    def test_a_car_has_the_entities_of_what_it_is_equipped_with(
        self, model: str, energy: str, there: set[str], not_there: set[str]
    ) -> None:
        """An electric car has no fuel level, and a petrol car no plug; nobody sees entities that are never known."""
        found = set(device_of(DeviceLab(model, energy))["components"])
        assert there <= found
        assert not not_there & found

    def test_the_climate_has_the_modes_that_the_car_can_be_asked_for(self) -> None:
        """A parking heater heats, ventilation is a fan, and only climatisation has a target."""
        heats = device_of(DeviceLab("Leon", "petrol", parking_heater=True, remote_ventilation=False))["components"]["climate"]
        assert heats["modes"] == ["off", "heat"]
        assert "temperature_command_topic" not in heats
        electric = device_of(DeviceLab("Born", "electric"))["components"]["climate"]
        assert electric["modes"] == ["off", "heat_cool"]
        assert electric["temperature_command_topic"].endswith("/set/target_c")
        bare = device_of(DeviceLab("Leon", "petrol", parking_heater=False, remote_ventilation=False))["components"]
        assert "climate" not in bare

    def test_an_older_home_assistant_gets_a_message_for_each_entity(self) -> None:
        """Before 2024.11 it knows no announcement of a whole device; the entities are the same."""
        lab = DeviceLab(per_entity=True)
        topics = [frame.topic for frame in lab.connect() if frame.topic.startswith("homeassistant/")]
        assert f"homeassistant/lock/{lab.car.vin}/lock/config" in topics
        assert {topic.split("/")[3] for topic in topics} == set(device_of(DeviceLab())["components"])

    def test_all_events_of_the_catalogue_are_event_types(self) -> None:
        """Home Assistant drops an event whose type it was not told of."""
        assert device_of(DeviceLab())["components"]["event"]["event_types"] == sorted(load_services().events)

    def test_the_table_names_only_groups_and_commands_that_there_are(self) -> None:
        """A field that was renamed would leave an entity unknown for ever."""
        groups = {*STATUS_GROUPS, "car", "controls"}
        for entity in load_entities():
            assert entity.needs <= set(COMMANDS), entity.key
            for name, topic in entity.config.items():
                if name.endswith("topic") and topic.startswith("status/"):
                    assert topic.removeprefix("status/") in groups, entity.key

    def test_clearing_empties_every_retained_topic(self) -> None:
        """Home Assistant removes a device whose announcement is emptied, and the broker keeps nothing of the car."""
        lab = DeviceLab()
        sent = {frame.topic for frame in [*lab.connect(), *lab.end.write(lab.status(), lab.now)] if frame.retain}
        cleared = list(lab.end.clear())
        assert sent <= {frame.topic for frame in cleared}
        assert all(frame.retain and not frame.payload for frame in cleared)

    def test_coming_online_again_home_assistant_hears_all_anew(self) -> None:
        """Within three seconds, each car at a time of its own, and once."""
        lab = DeviceLab()
        before = {frame.topic for frame in lab.connect()}
        assert lab.end.read(Frame(topic="homeassistant/status", payload=b"offline"), lab.now).frames == ()
        assert lab.end.deadline() is None
        lab.end.read(Frame(topic="homeassistant/status", payload=b"online"), lab.now)
        due = lab.end.deadline()
        assert due is not None
        assert lab.now <= due < lab.now + SPREAD
        assert not lab.end.wake(due - 1) or due == lab.now
        assert {frame.topic for frame in lab.end.wake(due) if isinstance(frame, Frame)} == before
        assert lab.end.deadline() is None
