"""Fields of a mapping: paths, units, value maps, expressions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialects.small import RIGHT, errors_of, only_error


@pytest.mark.parametrize(
    ("right", "wrong", "error"),
    [
        ("mileage_km", "mileage", "7:11: status[0].fields.km: unknown field 'mileage' | Did you mean 'mileage_km'?"),
        ("doors.front_left", "doors.font_left", "9:20: status[0].fields.lock.from: unknown field 'doors.font_left.locked' | Did"),
        ("data: data", "data: data.dstance_km", "12:37: events[0].fields.data: unknown field 'data.dstance_km' | Did you mean"),
        ("x: vin", "x: {from: mileage_km, unit: miles}", "8:35: status[0].fields.x.unit: unknown unit 'miles' for 'mileage_km'"),
        ("x: vin", "x: {from: state, unit: mi}", "8:30: status[0].fields.x.unit: 'state' has no unit, so that there is not"),
        ("x: vin", "x: {from: vin, digits: 2}", "8:22: status[0].fields.x.digits: 'vin' is no number that could be rounded"),
        ("x: vin", "x: {digits: 2}", "8:10: status[0].fields.x: a field needs one of from, constant, expression"),
        ("x: vin", "x: {from: vin, constant: 1}", "8:22: status[0].fields.x.constant: 'from' and 'constant' exclude each"),
        ("x: vin", "x: {from: vin, every: 3 s}", "8:22: status[0].fields.x.every: 'every' means something only where"),
        ("x: vin", "x: vin\n      x.y: vin", "8:7: status[0].fields.x: 'x.y' is within it, so that it cannot be a"),
        ("true: LOCKED, ", "", "9:45: status[0].fields.lock.values: the value map misses true | Map them, or give 'otherwise'"),
        ("true: LOCKED", "yes: LOCKED", "9:54: status[0].fields.lock.values.yes: 'yes' is none of true, false"),
        ("state: state", "state: {from: reason, values: {busy: 1}}", "24:52: responses[0].fields.state.values: there may be"),
        ("x: vin", "x: {expression: mileage_km *}", "8:23: status[0].fields.x.expression: 'mileage_km *' is no expression"),
        ("x: vin", "x: {expression: milage_km * 2}", "8:23: status[0].fields.x.expression: unknown field 'milage_km' | Did"),
        ("x: vin", "x: {expression: root(mileage_km)}", "8:23: status[0].fields.x.expression: 'root' is no function"),
    ],
)  # fmt: skip
def test_each_slip_has_its_place_and_the_nearest_right_name(right: str, wrong: str, error: str, tmp_path: Path) -> None:
    assert only_error(right, wrong, tmp_path).startswith(error)


def test_what_is_broken_hides_no_other_error(tmp_path: Path) -> None:
    wrong = RIGHT.replace("x: vin", "x: {from: [vin]}").replace("km: mileage_km", "km: milage_km")
    assert [error.partition(" | ")[0] for error in errors_of(wrong, tmp_path)] == [
        "7:11: status[0].fields.km: unknown field 'milage_km'",
        "8:17: status[0].fields.x.from: a text is expected, not a list",
    ]
