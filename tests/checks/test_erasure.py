"""The check of what is kept of erased cars, by journals by hand on either side of its rule."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.checks.erasure import ForgottenCars
from fleet.observe.journal import Begin, Output, Record, StoredBatch

VIN, OTHER = "VSSZZZKMZPR000001", "VSSZZZKMZPR000002"


def out(of: str, t: int = 20, m: str = "centre", **data: Any) -> Output:
    return Output(t, m, "out", of, None, data)


def erased(*, whole: bool = True) -> Output:
    return out("Erase", 10, cars=[{"vin": VIN, "whole": whole, "until": 10}])


def sent(seq: int, at: int, vin: str = VIN, name: str | None = None) -> Output:
    return out("Transmit", at, f"car/{vin}", message={"vin": vin, "boot": 1, "seq": seq, "captured_at": at, "name": name})


def owned() -> Output:
    """Somebody has made the car their own; what the car said itself stands in another journal."""
    return out("Keep", module="people", key=f"car/{VIN}", value='{"users": {"p9": {"role": "primary"}}}')


def stored(seq: int, vin: str = VIN) -> StoredBatch:
    return StoredBatch(30, "store", "stored", ((vin, 1, seq, "status"),))


def breaches(*records: Record) -> int:
    check = ForgottenCars(Begin(1, "run", "begin"))
    handlers = check.handlers()
    for line, record in enumerate(records, 1):
        key = (record.k,) if isinstance(record, StoredBatch) else (record.k, record.type)  # type: ignore[union-attr]
        if key in handlers:
            handlers[key](record, line)
    return check.broken


@pytest.mark.parametrize(
    "records",
    [
        (sent(1, 5), stored(1), erased()),
        (erased(), sent(1, 5, OTHER), stored(1, OTHER)),
        (erased(), sent(2, 20, name="car_paired"), stored(2), sent(3, 21), stored(3)),
        (erased(), sent(2, 20, name="ecall"), stored(2)),
        (erased(whole=False), sent(2, 20), stored(2)),
        (erased(), out("CommandOpened", m="desk", record={"id": "centre-people-erasure-e1-1", "vin": VIN, "name": "reset"})),
        (erased(), out("Notify", vin=OTHER, kind="fault")),
        (erased(), owned(), out("CommandOpened", m="desk", record={"id": "c1", "vin": VIN, "name": "honk"})),
    ],
)
def test_what_may_be(records: tuple[Record, ...]) -> None:
    assert breaches(*records) == 0


@pytest.mark.parametrize(
    "records",
    [
        (erased(), sent(1, 5), stored(1)),
        (erased(), sent(1, 10), stored(1)),
        (erased(whole=False), sent(1, 10), stored(1)),
        (erased(), sent(2, 20), stored(2)),
        (erased(), sent(2, 20, name="car_paired"), stored(2), sent(3, 9), stored(3)),
        (erased(), out("Notify", vin=VIN, kind="fault")),
        (erased(), out("SendReply", vin=VIN)),
        (erased(), out("CommandOpened", m="desk", record={"id": "c1", "vin": VIN, "name": "honk"})),
        (erased(), out("SendCommand", m="desk", command={"id": "centre-campaigns-x", "vin": VIN, "name": "update"})),
    ],
)
def test_what_must_not_be(records: tuple[Record, ...]) -> None:
    assert breaches(*records) == 1
