"""The payload of a status that says the same again: from pieces, and the very bytes of the ordinary way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.dialects.rendering import Tree
from fleet.wire.messages import Status
from tests.dialects.test_mapped import AT, HEAD, STATUS, dialect_of, end_of

NESTED = HEAD + (
    "status: [{topic: '{base}/s', fields: {sent: sent_wall_us, a.b.km: mileage_km, a.at: {from: captured_at, unit: iso8601},"
    " 'n': seq, a.b.s: state, x: {expression: seq + boot}, due: due_wall_us, d: doors, h: {constant: '\\u00ff0\\u00ff'}}}]}"
)


@pytest.mark.parametrize("stamps", [{}, {"due_wall_us": 7, "sent_wall_us": 8}])
def test_the_same_again_is_the_ordinary_payload(stamps: dict[str, int]) -> None:
    """Whatever is between the pieces, in whatever order, also when one of the values comes or goes."""
    dialect = dialect_of(NESTED)
    end = end_of(dialect)
    for seq, more in ((1, {}), (2, {}), (3, stamps), (4, stamps), (5, {}), (6, {}), (7, {"mileage_km": 9.0}), (8, {})):
        status = replace(STATUS, seq=seq, captured_at=AT + seq, **more)
        (again,), (fresh,) = end.write(status, AT), end_of(dialect).write(status, AT)
        assert json.loads(again.payload) == json.loads(fresh.payload)
        assert json.loads(again.payload)["n"] == seq


@given(st.lists(st.sampled_from(["load", "state", "seq", "mileage", "doors", "nothing"]), max_size=12))
def test_any_change_is_seen(changes: list[str]) -> None:
    dialect = dialect_of(NESTED)
    end = end_of(dialect)
    status: Status = STATUS
    for number, change in enumerate(changes, start=5):
        match change:
            case "load":
                status = replace(status, trigger="load", seq=number)
            case "state":
                status = replace(status, state="driving" if status.state == "parked" else "parked")
            case "seq":
                status = replace(status, seq=number, captured_at=AT + number)
            case "mileage":
                status = replace(status, mileage_km=float(number))
            case "doors":
                status = replace(status, doors=None if status.doors else STATUS.doors)
        (again,), (fresh,) = end.write(status, AT), end_of(dialect).write(status, AT)
        assert json.loads(again.payload) == json.loads(fresh.payload)


def test_a_tree_nests_by_dots_or_not() -> None:
    assert Tree(["a.b", "a.c.d", "e"], nested=True).build([(0, 1), (1, 2), (2, 3)]) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert Tree(["a.b", "a.c.d", "e"], nested=True).build([(2, 3)]) == {"e": 3}
    assert Tree(["a.b", "e"], nested=False).build([(0, 1), (1, 2)]) == {"a.b": 1, "e": 2}
