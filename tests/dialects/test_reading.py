"""What can be read back of a mapping, known before anything is sent."""

from __future__ import annotations

import pytest

from fleet.dialects.reading import nested, status_of
from fleet.errors import Undecodable
from fleet.wire.messages import DrivingData, LowVoltage
from tests.dialects.test_mapped import HEAD, HEADER, acme, dialect_of


def test_what_a_complete_mapping_does_not_give_back() -> None:
    assert acme().not_read_back == ("responses.state",), "accepted and in_progress are one word there"


@pytest.mark.parametrize(
    ("entries", "missing"),
    [
        ("status: [{topic: '{base}/s', fields: {a: doors.boot.open, k: mileage_km, l: low_voltage}}]",
         ["status.trigger", "status.doors"]),
        ("status: [{topic: '{base}/s', triggers: [load], fields: {k: {expression: mileage_km * 2}, s: state}}]",
         ["status.mileage_km"]),
        ("status: [{topic: '{base}/s', fields: {t: trigger, d: driving.last_trip.fuel_l, l: low_voltage.charge_percent}}]",
         ["status.low_voltage"]),
        ("events: [{topic: '{base}/{event}', fields: {d: data}}]", []),
        ("events: [{topic: '{base}/e', fields: {d: data}}]", ["events.name"]),
        ("events: [{topic: '{base}/e', names: [trip], fields: {d: data}}]", []),
        ("requests: [{topic: '{base}/e', fields: {d: data}}]", ["requests.id", "requests.name"]),
        ("responses: [{topic: '{base}/{id}', fields: {d: state}}]", []),
    ],
)  # fmt: skip
def test_what_is_sent_and_cannot_be_read_is_listed(entries: str, missing: list[str]) -> None:
    assert list(dialect_of(HEAD + entries + "}").not_read_back) == missing


def test_a_part_that_lacks_something_is_left_out_alone() -> None:
    header = {**HEADER}
    values = {
        "driving.last_trip.distance_km": 1.0,
        "driving.today": None,
        "low_voltage.charge_percent": 50.0,
        "low_voltage.voltage_v": 12.0,
    }
    found = status_of(nested({**values, "health.mileage_km": 3.0}), header)
    assert (found.driving, found.low_voltage, found.health) == (
        DrivingData(),
        LowVoltage(charge_percent=50.0, voltage_v=12.0),
        None,
    )
    assert (found.trigger, found.state) == ("refresh", "parked"), "nothing says otherwise"


def test_a_value_out_of_range_is_undecodable() -> None:
    with pytest.raises(Undecodable, match="type"):
        status_of(nested({"low_voltage.charge_percent": 101.0, "low_voltage.voltage_v": 12.0}), {**HEADER})
