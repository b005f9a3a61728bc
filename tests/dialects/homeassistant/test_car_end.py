"""A car's end: states that are kept up to date, and commands in Home Assistant's words."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleet.errors import Undecodable
from fleet.kernel.instants import MINUTE, SECOND
from fleet.vehicle.signals import SetPrivacy
from fleet.wire.frame import Frame
from fleet.wire.messages import Command
from tests.dialects.homeassistant.device_lab import DeviceLab, payloads


class TestStates:
    def test_a_status_is_a_retained_frame_for_each_group_that_changed(self) -> None:
        """The rest is known there; that the car reported is sent always."""
        lab = DeviceLab()
        lab.connect()
        first = payloads(lab.end.write(lab.status(), lab.now))
        assert set(first) == {"car"}
        lab.run_for(10 * MINUTE)
        lab.drive()
        again = payloads(lab.end.write(lab.status(), lab.now))
        assert {"car", "mileage_km", "energy", "position", "driving"} <= set(again)
        assert "windows" not in again

    def test_a_position_that_may_not_be_told_is_withdrawn(self) -> None:
        """The broker would keep the old one, and Home Assistant show it for ever; a silent car says nothing else."""
        lab = DeviceLab("Born", "electric")
        lab.connect()
        lab.put(SetPrivacy(mode="online"))
        changed = payloads(lab.end.write(lab.events("privacy_changed")[-1], lab.now))
        assert changed["position"] == {}
        assert "energy" in changed
        lab.put(SetPrivacy(mode="online_with_location"))
        assert "latitude" in payloads(lab.end.write(lab.events("privacy_changed")[-1], lab.now))["position"]
        lab.put(SetPrivacy(mode="offline"))
        silent = lab.end.write(lab.events("privacy_changed")[-1], lab.now)
        assert [frame.topic.removeprefix(lab.head) for frame in silent] == ["/event/privacy_changed", "/status/position"]

    def test_a_car_that_fell_silent_without_a_connection_withdraws_its_position(self) -> None:
        """Its link lets nothing out when a connection begins in silence; the event, which the law requires, comes after that."""
        lab = DeviceLab("Born", "electric")
        lab.connect()
        lab.put(SetPrivacy(mode="offline"))
        lab.connect()
        silent = lab.end.write(lab.events("privacy_changed")[-1], lab.now)
        assert payloads(silent)["position"] == {}
        assert len(silent) == 2, "the event and the position"

    def test_a_lock_at_work_is_shown_and_goes_back_when_it_was_refused(self) -> None:
        """While unlocking it is unlocking; rejected or failed, it is as the doors are."""
        lab = DeviceLab()
        lab.connect()
        at_work = payloads(lab.end.write(lab.response("unlock", "accepted"), lab.now))
        assert at_work["controls"]["lock"] == "UNLOCKING"
        refused = payloads(lab.end.write(lab.response("unlock", "failed", "interrupted"), lab.now))
        assert refused["controls"]["lock"] == "LOCKED"
        assert "controls" not in payloads(lab.end.write(lab.response("unlock", "rejected", "busy"), lab.now))


class TestCommands:
    @pytest.mark.parametrize(("payload", "name"), [("LOCK", "lock"), ("UNLOCK", "unlock")])
    def test_the_lock_is_locked_and_unlocked(self, payload: str, name: str) -> None:
        """A command with an id and with the catalogue's time to live, as Home Assistant gives neither."""
        lab = DeviceLab()
        command = lab.ask("lock", payload)
        assert (command.name, command.vin, command.issued_at) == (name, lab.car.vin, lab.now)
        assert command.expires_at == lab.now + 60 * SECOND
        assert lab.ask("lock", payload).id != command.id

    def test_any_command_can_be_asked_with_its_parameters_in_json(self) -> None:
        """So automations reach commands that no entity has."""
        lab = DeviceLab()
        assert lab.ask("charging_settings", '{"limit_percent": 80}').parameters == {"limit_percent": 80}
        assert lab.ask("refresh", "").parameters == {}

    def test_climate_modes_start_what_they_stand_for_and_off_stops_what_runs(self) -> None:
        """With the target that was chosen last."""
        lab = DeviceLab("Leon", "petrol", parking_heater=True, remote_ventilation=True)
        lab.connect()
        assert lab.ask("climate_mode", "heat").name == "heater"
        assert lab.ask("climate_mode", "fan_only").name == "ventilation"
        lab.wake()
        assert lab.outcome("ventilation") == ("succeeded", None)
        lab.end.write(lab.status(), lab.now)
        stop = lab.ask("climate_mode", "off")
        assert (stop.name, stop.parameters) == ("ventilation", {"action": "stop"})

    def test_a_target_waits_for_the_next_start_and_reaches_a_car_that_runs_at_once(self) -> None:
        """Home Assistant shows it in either case."""
        lab = DeviceLab("Born", "electric")
        lab.connect()
        topic = f"{lab.head}/set/target_c"
        heard = lab.end.read(Frame(topic=topic, payload=b"23.5"), lab.now)
        assert heard.messages == ()
        assert payloads(heard.frames)["controls"]["target_c"] == 23.5
        start = lab.ask("climate_mode", "heat_cool")
        assert start.parameters == {"action": "start", "target_c": 23.5}
        lab.end.write(replace(lab.response("climatisation", "succeeded"), command_id=start.id), lab.now)
        lab.wake()
        assert lab.outcome("climatisation", target_c=23.5) == ("succeeded", None)
        lab.end.write(lab.status(), lab.now)
        assert lab.ask("target_c", "19").parameters == {"action": "start", "target_c": 19.0}

    def test_a_target_that_comes_while_climatisation_is_being_started_is_sent_after_it(self) -> None:
        """Home Assistant's service for both says the mode first; two starts at once would be too many for the car."""
        lab = DeviceLab("Born", "electric")
        lab.connect()
        first = lab.ask("climate_mode", "heat_cool")
        heard = lab.end.read(Frame(topic=f"{lab.head}/set/target_c", payload=b"24"), lab.now)
        assert heard.messages == ()
        lab.end.write(replace(lab.response("climatisation", "in_progress"), command_id=first.id), lab.now)
        assert lab.end.deadline() is None
        lab.end.write(replace(lab.response("climatisation", "succeeded"), command_id=first.id), lab.now)
        assert lab.end.deadline() == lab.now
        (second,) = lab.end.wake(lab.now)
        assert isinstance(second, Command)
        assert second.parameters == {"action": "start", "target_c": 24.0}
        assert lab.end.deadline() is None

    def test_a_target_for_a_start_that_was_refused_waits_for_the_next(self) -> None:
        """Nothing is started by a target alone."""
        lab = DeviceLab("Born", "electric")
        lab.connect()
        first = lab.ask("climate_mode", "heat_cool")
        lab.end.read(Frame(topic=f"{lab.head}/set/target_c", payload=b"24"), lab.now)
        lab.end.write(replace(lab.response("climatisation", "rejected", "not_parked"), command_id=first.id), lab.now)
        assert lab.end.deadline() is None
        assert lab.ask("climate_mode", "heat_cool").parameters == {"action": "start", "target_c": 24.0}

    @pytest.mark.parametrize(
        ("name", "payload", "reason", "text"),
        [
            ("lock", "OPEN", "malformed", "'OPEN' is neither LOCK nor UNLOCK"),
            ("climate_mode", "dry", "malformed", "'dry' is no climate mode; known are off, heat_cool, heat, fan_only"),
            ("target_c", "40", "malformed", "target_c is 40; possible: 16 to 29.5 °C in steps of 0.5"),
            ("target_c", "warm", "malformed", "'warm' is no number"),
            ("fly", "{}", "unsupported", "there is no command 'fly'"),
            ("honk", "[1]", "malformed", "3 bytes are no JSON object with the parameters of a command"),
        ],
    )
    def test_what_cannot_be_asked_is_refused_with_its_reason(self, name: str, payload: str, reason: str, text: str) -> None:
        """It is counted, and no command reaches the car."""
        with pytest.raises(Undecodable) as caught:
            DeviceLab().ask(name, payload)
        assert (caught.value.reason, caught.value.detail) == (reason, text)

    def test_a_retained_command_is_refused(self) -> None:
        """It would run again at every connect."""
        with pytest.raises(Undecodable, match="retained"):
            DeviceLab().ask("lock", "UNLOCK", retain=True)

    def test_our_own_desk_commands_the_car_too(self) -> None:
        """Beside Home Assistant's words a car hears ours."""
        lab = DeviceLab()
        command = Command(id="c1", vin=lab.car.vin, name="lock", issued_at=lab.now, expires_at=lab.now + MINUTE)
        assert lab.end.read(lab.dialect.to_car(lab.car.vin, command), lab.now).messages == (command,)
