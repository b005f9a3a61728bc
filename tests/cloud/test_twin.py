"""The twin takes each group from the newest message, in whatever order messages arrive."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cloud.twin import Newest, Twin, merge_status, origin_of
from fleet.kernel.instants import DAY
from fleet.wire.messages import STATUS_GROUPS, Energy, Lights, Presence, Status

VIN = "VSSZZZKMZPR000001"
OTHER = "VSSZZZKMZPR000002"


def status(boot: int, seq: int, **groups: object) -> Status:
    return msgspec.convert(
        {"vin": VIN, "boot": boot, "seq": seq, "captured_at": seq * 10, "trigger": "refresh", "state": "parked"} | groups, Status
    )


def presence(boot: int, connection: str, reason: str | None = None) -> Presence:
    return msgspec.convert(
        {"vin": VIN, "boot": boot, "seq": 0, "captured_at": 5, "connection": connection, "reason": reason}, Presence
    )


def test_late_status_does_not_overwrite() -> None:
    """A message that was held up in a coverage hole changes only what nothing newer has told."""
    twin = Twin(vin=VIN)
    assert merge_status(twin, status(1, 5, mileage_km=50.0))
    assert merge_status(twin, status(1, 3, mileage_km=30.0, lights={"parking_lights_on": True}))
    assert twin.mileage_km == 50.0
    assert twin.lights == Lights(parking_lights_on=True)
    assert twin.captured_at == 50
    assert not merge_status(twin, status(1, 3, mileage_km=30.0))


def test_a_new_boot_is_newer_whatever_its_number() -> None:
    """A restarted computer counts from 1 again."""
    twin = Twin(vin=VIN)
    merge_status(twin, status(1, 900, mileage_km=50.0))
    merge_status(twin, status(2, 1, mileage_km=60.0, energy={"fuel_level_percent": 40.0}))
    merge_status(twin, status(1, 901, mileage_km=51.0))
    assert twin.mileage_km == 60.0
    assert twin.energy == Energy(fuel_level_percent=40.0)


def test_presence_follows_arrival_within_a_boot_and_ignores_earlier_boots() -> None:
    """The will of an earlier run, delivered late, does not put a living car off-line."""
    newest = Newest()
    for told, held in (
        (presence(2, "online"), presence(2, "online")),
        (presence(1, "offline", "lost"), presence(2, "online")),
        (presence(2, "offline", "deep_sleep"), presence(2, "offline", "deep_sleep")),
    ):
        newest.take_presence(told)
        assert newest.presence == held


def test_foreign_messages_are_a_mistake_of_the_caller() -> None:
    twin = Twin(vin=OTHER)
    with pytest.raises(ValueError, match="own car"):
        merge_status(twin, status(1, 1))


@given(st.permutations(list(range(1, 7))), st.data())
def test_any_order_gives_the_same_twin(order: list[int], data: st.DataObject) -> None:
    """Merging is independent of the order of arrival, also with repetitions."""
    fields = {n: data.draw(st.sets(st.sampled_from(["mileage_km", "energy", "lights"])), label=f"groups of {n}") for n in order}

    def groups(n: int) -> dict[str, object]:
        values = {"mileage_km": float(n), "energy": {"fuel_level_percent": float(n)}, "lights": {"parking_lights_on": n % 2 == 0}}
        return {name: value for name, value in values.items() if name in fields[n]}

    messages = {n: status(1 + n // 4, n, **groups(n)) for n in order}
    straight, shuffled = Twin(vin=VIN), Twin(vin=VIN)
    for n in sorted(messages):
        merge_status(straight, messages[n])
    for n in [*order, *order[:3]]:
        merge_status(shuffled, messages[n])
    assert shuffled == straight


@pytest.mark.parametrize("order", [(1, 2, 3), (1, 3, 2), (3, 2, 1), (2, 1, 3)])
def test_the_newest_status_is_so_by_its_number_and_not_by_its_clock(order: tuple[int, ...]) -> None:
    """A status that says it was measured in twenty years holds nothing up: the next one tells when it was measured."""
    far = 20 * 365 * DAY
    messages = {n: msgspec.structs.replace(status(1, n, mileage_km=n), captured_at=n if n != 2 else far) for n in (1, 2, 3)}
    twin = Twin(vin=VIN)
    for n in order:
        merge_status(twin, messages[n])
    newest = taken(*(messages[n] for n in order))
    assert (twin.captured_at, newest.captured_at, twin.mileage_km) == (3, 3, 3.0)


def test_survives_the_codec() -> None:
    """What the store keeps is read back the same, stamps included."""
    twin = Twin(vin=VIN)
    merge_status(twin, status(1, 5, mileage_km=50.0))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(twin), type=Twin) == twin


# --- from which messages it comes


def taken(*statuses: Status) -> Newest:
    newest = Newest()
    for key, one in enumerate(statuses):
        newest.take(origin_of(one), key)
    return newest


def test_a_whole_status_leaves_nothing_of_the_ones_before() -> None:
    """So that a car that always sends whole statuses has one origin."""
    newest = taken(status(1, 1, mileage_km=1.0), status(1, 2, mileage_km=2.0), status(2, 1, mileage_km=3.0))
    assert [key for _, key in newest.origins] == [2]
    assert (newest.state, newest.mileage_km, newest.position) == ("parked", 3.0, (None, None))


def test_the_newest_presence_holds_unless_it_is_of_an_earlier_boot() -> None:
    newest = Newest()
    for each in (presence(2, "online"), presence(1, "offline", "lost")):
        newest.take_presence(each)
    assert newest.presence == presence(2, "online")


@given(st.permutations(list(range(1, 9))), st.data())
def test_origins_make_the_twin_that_all_messages_make(order: list[int], data: st.DataObject) -> None:
    """Whatever order they arrive in: what is dropped would have changed nothing."""
    messages = []
    for n in order:
        groups: dict[str, object] = {
            "mileage_km": float(n),
            "lights": {"parking_lights_on": n % 2 == 0},
            "position": {"latitude": n, "longitude": -n, "accuracy_m": 1.0, "fixed_at": n},
        }
        names = data.draw(st.sets(st.sampled_from(sorted(groups))), label=f"groups of {n}")
        messages.append(status(1 + n // 4, n, **{name: groups[name] for name in names}))
    newest = taken(*messages)
    whole, rebuilt = Twin(vin=VIN), Twin(vin=VIN)
    for each in messages:
        merge_status(whole, each)
    for _, key in newest.origins:
        merge_status(rebuilt, messages[key])
    assert rebuilt == whole
    position = (None, None) if whole.position is None else (whole.position.latitude, whole.position.longitude)
    assert (newest.state, newest.mileage_km, newest.position) == (whole.state, whole.mileage_km, position)
    assert newest.captured_at == whole.captured_at


def test_a_twin_has_the_groups_of_a_status() -> None:
    """Under their names, with their types; what a status may report, a twin can hold."""

    def typed(kind: type[msgspec.Struct]) -> dict[str, object]:
        return {field.name: field.type for field in msgspec.structs.fields(kind) if field.name in STATUS_GROUPS}

    assert typed(Twin) == typed(Status)
    assert set(typed(Twin)) == set(STATUS_GROUPS)
