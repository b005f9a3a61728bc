"""Client ids: apart for each prefix, within what every broker takes, and read back."""

from __future__ import annotations

import pytest

from fleet.wire.clients import car_of, client_id_of

VIN = "VSSZZZKLZTR000000"


def test_the_default_prefix_leaves_the_name() -> None:
    """Under the prefix that brokers know from the documents, a car's client id is its VIN."""
    assert client_id_of(VIN, "fleet/v1") == VIN
    assert client_id_of("backend", "fleet/v1") == "backend"


def test_other_prefixes_have_ids_of_their_own() -> None:
    """Two prefixes never share an id; it is the same each time, and no longer than every broker must take."""
    ids = {client_id_of(VIN, f"team-{number}/v1") for number in range(500)}
    assert len(ids) == 500
    assert all(len(each) == 23 and each.isalnum() for each in ids)
    assert client_id_of(VIN, "team-1/v1") in ids


@pytest.mark.parametrize(
    ("client_id", "car"),
    [
        (VIN, VIN),
        (client_id_of(VIN, "team"), VIN),
        ("backend", "backend"),
        ("tool-00ff11", "tool-00ff11"),
        (VIN + "xyz", VIN + "xyz"),
    ],
)
def test_the_car_is_read_back(client_id: str, car: str) -> None:
    """A proxy knows a car by its VIN under any prefix, and leaves other ids alone."""
    assert car_of(client_id) == car
