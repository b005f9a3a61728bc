"""The other end: what a back end of ours reads of a car in Home Assistant's dialect."""

from __future__ import annotations

from msgspec.structs import replace

from fleet.wire.messages import Event, Presence
from tests.dialects.homeassistant.device_lab import DeviceLab


def test_a_status_survives_its_way() -> None:
    """The other end has the message again, whole and under its number, when its last group has come."""
    lab = DeviceLab("Formentor", "e-hybrid")
    lab.car.outbox.boot = 7
    status = lab.status()
    frames = list(lab.end.write(status, lab.now))
    read = [lab.dialect.read_from_car(frame) for frame in frames]
    assert [each for each in read if each is not None] == [status]
    assert all(lab.dialect.header_of(frame) is not None for frame in frames if not frame.topic.endswith("controls"))


def test_groups_that_have_not_changed_are_part_of_the_status() -> None:
    """They were sent before, in a status or when the connection began; a group that the car did not report is not among them."""
    lab = DeviceLab("Formentor", "e-hybrid")
    for frame in lab.connect():
        if frame.topic.startswith(lab.head):
            assert lab.dialect.read_from_car(frame) is None
    whole = lab.status()
    (car,) = lab.end.write(whole, lab.now)
    assert lab.dialect.read_from_car(car) == whole
    part = replace(whole, seq=2, windows=None, energy=None)
    (car,) = lab.end.write(part, lab.now)
    assert lab.dialect.read_from_car(car) == part


def test_groups_that_come_twice_or_not_at_all_make_no_status() -> None:
    """A broker may deliver a frame again; one that is lost leaves a gap, which the account shows."""
    lab = DeviceLab()
    *groups, last = [each for each in lab.end.write(lab.status(), lab.now) if not each.topic.endswith("controls")]
    for frame in (groups[0], groups[0], *groups[1:]):
        assert lab.dialect.read_from_car(frame) is None
    assert lab.dialect.read_from_car(last) == lab.status()
    assert lab.dialect.read_from_car(groups[0]) is None


def test_other_messages_are_ours() -> None:
    """Events, responses and presence go out as in our own dialect, and are read as it reads them."""
    lab = DeviceLab()
    lab.connect()
    event = Event(vin=lab.car.vin, boot=7, seq=3, captured_at=lab.now, name="engine_on")
    presence = Presence(vin=lab.car.vin, boot=7, seq=0, captured_at=lab.now, connection="offline", reason="lost")
    for message in (event, lab.response("lock", "rejected", "not_parked"), presence):
        (frame,) = lab.end.write(message, lab.now)
        assert lab.dialect.read_from_car(frame) == message
    will = lab.end.will(presence)
    assert will is not None
    assert will.retain
