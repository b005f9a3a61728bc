"""Each check catches what is planted into the journal of a real run, and no other check minds it but where they share a fact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.kernel.instants import HOUR, MINUTE
from fleet.observe.journal import MARKED_LINES
from fleet.observe.packing import read_lines
from tests.checks.lab import (
    KINDS,
    START,
    Records,
    broken,
    equipment_in,
    find,
    find_message,
    judged,
    read_records,
    reframe,
    run_day,
    told,
    write_records,
)

Plant = Callable[[Records], None]


ELSEWHERE = {
    *("position kept", "silence kept", "emergency calls", "info calls"),  # test_privacy.py
    *("alert rule", "area alerts", "speed alerts"),  # test_planted_watching.py
    *("route rule", "consent rule", "updates"),  # test_journeys.py
    *("campaigns", "purchases", "breakdown calls"),  # test_back_end.py
    *("enrolled in the car", "people's rights"),  # test_in_car.py, test_people_rights.py
    *("people's requests", "reminders", "money", "mails"),  # test_people_requests.py, test_people_contracts.py
    "forgotten cars",  # test_erasure.py
}
"""Checks whose faults are planted into days of their own."""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_day(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def clean_until_stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_day(tmp_path_factory.mktemp("stored"), until_stored=True)


def planted(clean: Path, folder: Path, plant: Plant) -> Path:
    records = read_records(clean)
    plant(records)
    return write_records(folder / "journal.jsonl", records)


# --- account and store ----------------------------------------------------------------------------------------------


def more_created(records: Records) -> None:
    records[-1]["account"]["created"] += 1


def one_not_stored(records: Records) -> None:
    del find_stored(records)["messages"][0]


def one_not_stored_nor_counted(records: Records) -> None:
    one_not_stored(records)
    records[-1]["account"]["stored"] -= 1


def one_not_acknowledged(records: Records) -> None:
    del records[find(records, lambda _: True, k="in", type="Acknowledged")]


def unknown_duplicate(records: Records) -> None:
    at = find(records, lambda _: True, k="stored")
    vin, boot, _, kind = records[at]["messages"][0]
    records.insert(at + 1, {"t": records[at]["t"], "m": "store", "k": "duplicate", "messages": [[vin, boot, 10_000, kind]]})
    records[-1]["account"]["duplicates"] += 1


def stored_twice(records: Records) -> None:
    committed = find_stored(records)["messages"]
    committed.append(committed[0])


def find_stored(records: Records) -> dict[str, Any]:
    return records[find(records, lambda _: True, k="stored")]


def called_a_repetition(records: Records) -> None:
    records[find_message(records, "Status", lambda _: True)]["data"]["again"] = True


# --- commands -------------------------------------------------------------------------------------------------------


def a_second_end(records: Records) -> None:
    at = find(records, lambda r: r["data"]["state"] == "succeeded", k="out", type="Transition")
    records.insert(at + 1, {**records[at], "data": {**records[at]["data"], "state": "unknown", "by": "desk"}})


def no_end(records: Records) -> None:
    del records[find(records, lambda r: r["data"]["state"] == "expired", k="out", type="Transition")]


def another_end_than_answered(records: Records) -> None:
    records[find(records, lambda r: r["data"]["by"] == "car", k="out", type="Transition")]["data"]["state"] = "failed"


def executed_late(records: Records) -> None:
    received(records, "honk", "accepted")["expires_at"] -= 24 * HOUR


def executed_again(records: Records) -> None:
    at = find_message(records, "Response", lambda m: m["state"] == "in_progress")
    records[at]["data"]["message"]["state"] = "accepted"
    reframe(records, at)


def never_received(records: Records) -> None:
    del records[received_at(records, "refresh", "succeeded")]


def received_at(records: Records, name: str, state: str) -> int:
    answer = find_message(records, "Response", lambda m: (m["name"], m["state"]) == (name, state))
    command_id = records[answer]["data"]["message"]["command_id"]
    return find(records, lambda r: r["data"]["message"]["id"] == command_id, k="in", type="Received", of="Command")


def received(records: Records, name: str, state: str) -> dict[str, Any]:
    command: dict[str, Any] = records[received_at(records, name, state)]["data"]["message"]
    return command


# --- rules ----------------------------------------------------------------------------------------------------------


def wrong_spin_is_good_enough(records: Records) -> None:
    for record in records:
        if record.get("type") == "SpinVerified" and record["data"]["right"]:
            record["data"]["right"] = False
            return


def nobody_enrolled(records: Records) -> None:
    records[:] = [record for record in records if record.get("type") != "StoreUser"]


def honk_from_afar(records: Records) -> None:
    received(records, "honk", "accepted")["parameters"]["latitude"] += 0.01


def honk_for_long(records: Records) -> None:
    received(records, "honk", "accepted")["parameters"]["duration_s"] = 60


def locked_with_an_open_door(records: Records) -> None:
    at = find_message(records, "Response", lambda m: (m["name"], m["state"]) == ("lock", "accepted"))
    t, machine = records[at]["t"] - 1, records[at]["m"]
    begin = find(records[:at], lambda r: r["t"] >= t, m=machine)
    opened = {"t": t, "m": machine, "k": "in", "type": "SetOpening", "data": {"name": "boot", "opened": True}}
    records.insert(begin, opened)


def heated_for_a_quarter(records: Records) -> None:
    for command in received_and_done(records):
        if command.get("parameters", {}) == {"action": "start", "minutes": 10}:
            command["parameters"]["minutes"] = 15


def ventilated_for_a_quarter(records: Records) -> None:
    for command in received_and_done(records):
        if command["name"] == "ventilation" and command["parameters"]["minutes"] == 20:
            command["parameters"]["minutes"] = 15


def climatised_to_boiling(records: Records) -> None:
    for command in received_and_done(records):
        if command["name"] == "climatisation" and command["parameters"]["target_c"] == 24.5:
            command["parameters"]["target_c"] = 100


def no_budget_left(records: Records) -> None:
    """A car refuses for the power budget what is one of its first commands."""
    at = find_message(records, "Response", lambda m: m.get("reason") in {"fuel_low", "too_far"})
    records[at]["data"]["message"]["reason"] = "power_budget"
    reframe(records, at)


def received_and_done(records: Records) -> Iterator[dict[str, Any]]:
    """Yield the commands that a car got and that succeeded."""
    answers = [record["data"]["message"] for record in records if record.get("of") == "Response"]
    done = {answer["command_id"] for answer in answers if answer["state"] == "succeeded"}
    for record in records:
        if record.get("of") == "Command" and record["data"]["message"]["id"] in done:
            yield record["data"]["message"]


def charged_to_three_quarters(records: Records) -> None:
    received(records, "charging_settings", "accepted")["parameters"]["limit_percent"] = 75


def refresh_without_status(records: Records) -> None:
    at = find_message(records, "Status", lambda m: m["trigger"] == "refresh")
    records[at]["data"]["message"]["trigger"] = "load"
    reframe(records, at)


# --- state ----------------------------------------------------------------------------------------------------------


def change_status(**changed: Any) -> Plant:
    """Return what changes a status that a load stage asked for."""

    def plant(records: Records) -> None:
        at = find_message(records, "Status", lambda m: m["trigger"] == "load" and m["state"] == "parked", after=len(records) // 2)
        message = records[at]["data"]["message"]
        for name, change in changed.items():
            message[name] = change(message[name])
        reframe(records, at)

    return plant


OTHER_CLIMATE = {"off": "heating", "heating": "off", "ventilation": "off", "climatisation": "off"}


def no_status_after_the_engine(records: Records) -> None:
    at = find_message(records, "Status", lambda m: m["trigger"] == "engine_off")
    records[at]["data"]["message"]["trigger"] = "load"
    reframe(records, at)


def unlocked(doors: dict[str, Any]) -> dict[str, Any]:
    return {name: {**door, "locked": not door["locked"]} for name, door in doors.items()}


def more_fuel(records: Records) -> None:
    """A parked car has more than before, and less again after its next drive."""
    driven = after_a_drive(records, most_percent=50)
    machine = records[driven]["m"]

    def is_parked_status(record: dict[str, Any]) -> bool:
        if (record["m"], record["k"], record.get("of")) != (machine, "out", "Status"):
            return False
        message = record["data"]["message"]
        return (message["trigger"], message["state"]) == ("load", "parked")

    at = max(at for at in range(driven) if is_parked_status(records[at]))
    records[at]["data"]["message"]["energy"]["fuel_level_percent"] += 40
    reframe(records, at)


def heated_longer(records: Records) -> None:
    at = find_message(records, "Event", lambda m: m["name"] == "heater_ended")
    records[at]["data"]["message"]["data"]["minutes"] += 60
    reframe(records, at)


def burnt_nothing(records: Records) -> None:
    at = find_message(records, "Event", lambda m: m["name"] == "heater_ended" and m["data"].get("fuel_l", 0) > 0.02)
    records[at]["data"]["message"]["data"]["fuel_l"] = 0.0
    reframe(records, at)


def charge_came_back(records: Records) -> None:
    """The status at the end of a climatisation out of the battery shows the charge of its start, and a bit."""
    at = find_message(records, "Event", lambda m: m["name"] == "climatisation_ended" and m["data"]["energy_kwh"] > 1)
    vin = records[at]["data"]["message"]["vin"]
    at = find_message(records, "Status", lambda m: (m["vin"], m["trigger"]) == (vin, "climatisation"), after=at)
    records[at]["data"]["message"]["energy"]["charge_percent"] += 9
    reframe(records, at)


def charge_from_nowhere(records: Records) -> None:
    """In a car that is not driven again on that day."""

    def could_be_more(message: dict[str, Any]) -> bool:
        charging = message.get("charging") or {}
        return charging.get("state") == "unplugged" and message["energy"]["charge_percent"] < 60 and message["trigger"] == "load"

    at = find_message(records, "Status", could_be_more, after=len(records) * 9 // 10)
    records[at]["data"]["message"]["energy"]["charge_percent"] += 30
    reframe(records, at)


def power_without_a_plug(records: Records) -> None:
    at = find_message(records, "Status", lambda m: (m.get("charging") or {}).get("state") == "unplugged")
    records[at]["data"]["message"]["charging"]["power_kw"] = 11.0
    reframe(records, at)


def ready_for_what_nobody_set(records: Records) -> None:
    at = find_message(records, "Event", lambda m: m["name"] == "departure_not_ready")
    records[at]["data"]["message"]["data"]["departs_at"] += 7 * MINUTE
    reframe(records, at)


def after_a_drive(records: Records, most_percent: float = 100) -> int:
    """Return the place of the status of a car that burns fuel, at the end of a drive that is not its first."""

    def is_there(message: dict[str, Any]) -> bool:
        energy = message.get("energy", {})
        return message["trigger"] == "engine_off" and "fuel_range_km" in energy and energy["fuel_level_percent"] < most_percent

    return find_message(records, "Status", is_there, after=len(records) // 2)


def another_range(records: Records) -> None:
    at = after_a_drive(records)
    records[at]["data"]["message"]["energy"]["fuel_range_km"] *= 1.6
    reframe(records, at)


def another_service(records: Records) -> None:
    at = after_a_drive(records)
    records[at]["data"]["message"]["service"]["inspection_km"] += 100
    reframe(records, at)


def nothing_told_of_a_lock(records: Records) -> None:
    """The status of the lock comes as one of how the car was left."""
    answer = find_message(records, "Response", lambda m: (m["name"], m["state"]) == ("lock", "succeeded"))
    vin = records[answer]["data"]["message"]["vin"]
    at = find_message(records, "Status", lambda m: (m["vin"], m["trigger"]) == (vin, "command"), after=answer)
    records[at]["data"]["message"]["trigger"] = "health"
    reframe(records, at)


# --- online requests ------------------------------------------------------------------------------------------------


def request_end(records: Records, *, after: int = 0, vin: str | None = None) -> int:
    """Return the place of an answer that a car tells."""
    return find_message(records, "Event", lambda m: m["name"] == "request_answered" and vin in {None, m["vin"]}, after=after)


def replied(records: Records) -> dict[str, Any]:
    """Return the reply that a car got for the first request it calls answered."""
    request_id = records[request_end(records)]["data"]["message"]["data"]["id"]
    at = find(records, lambda r: r["data"]["message"]["id"] == request_id, k="in", type="Received", of="Reply")
    return records[at]


def ended_twice(records: Records) -> None:
    first = request_end(records)
    told = records[first]["data"]["message"]
    second = request_end(records, after=first + 1, vin=told["vin"])
    records[second]["data"]["message"]["data"]["id"] = told["data"]["id"]
    reframe(records, second)


def an_end_of_nothing(records: Records) -> None:
    at = request_end(records)
    records[at]["data"]["message"]["data"]["id"] = "nothing"
    reframe(records, at)


def answered_by_nobody(records: Records) -> None:
    records.remove(replied(records))


def answered_with_an_error(records: Records) -> None:
    replied(records)["data"]["message"]["error"] = "not_found"


def answered_too_late(records: Records) -> None:
    request_id = records[request_end(records)]["data"]["message"]["data"]["id"]
    at = find_message(records, "Request", lambda m: m["id"] == request_id)
    records[at]["data"]["message"]["expires_at"] = records[at]["data"]["message"]["captured_at"]
    reframe(records, at)


def replied_twice(records: Records) -> None:
    at = find(records, lambda r: r["data"]["reply"]["name"] == "parking_places", k="out", type="SendReply")
    records.insert(at + 1, records[at])


def replied_with_other_fields(records: Records) -> None:
    at = find(records, lambda r: r["data"]["reply"].get("data"), k="out", type="SendReply")
    records[at]["data"]["reply"]["data"] = {"weather": "fine"}


def replied_with_an_unknown_error(records: Records) -> None:
    at = find(records, lambda r: r["data"]["reply"].get("data"), k="out", type="SendReply")
    records[at]["data"]["reply"] |= {"data": {}, "error": "bad_mood"}


# --- time and frames ------------------------------------------------------------------------------------------------


def time_runs_back(records: Records) -> None:
    records[find(records, lambda r: r["m"] != "link/backend", k="publish")]["t"] += HOUR


def published_while_down(records: Records) -> None:
    at = find(records, lambda _: True, k="drop")
    machine = records[at]["m"]
    presence = find(records, lambda r: r["token"] == 0, k="publish", m=machine)
    records.insert(at + 1, {**records[presence], "t": records[at]["t"]})


def other_bytes(records: Records) -> None:
    first_frame(records)["crc32"] ^= 1


def without_assurance(records: Records) -> None:
    first_frame(records)["qos"] = 0


def first_frame(records: Records) -> dict[str, Any]:
    return records[find(records, lambda r: r["token"] and r["topic"].endswith("/status"), k="publish")]


def acknowledged_twice(records: Records) -> None:
    at = find(records, lambda _: True, k="in", type="Acknowledged")
    records.insert(at + 1, dict(records[at]))


FAULTS: list[tuple[Plant, set[str]]] = [
    (more_created, {"account"}),
    (one_not_stored, {"account"}),
    (one_not_acknowledged, {"account"}),
    (unknown_duplicate, {"stored once"}),
    (stored_twice, {"stored once", "account"}),
    (called_a_repetition, {"numbering", "account"}),
    (a_second_end, {"command ends"}),
    (no_end, {"command ends"}),
    (another_end_than_answered, {"command ends"}),
    (executed_late, {"command runs"}),
    (executed_again, {"command runs"}),
    (never_received, {"command runs"}),
    (wrong_spin_is_good_enough, {"S-PIN rule"}),
    (nobody_enrolled, {"S-PIN rule"}),
    (honk_from_afar, {"honk rule"}),
    (honk_for_long, {"honk rule"}),
    (locked_with_an_open_door, {"lock rule", "doors"}),
    (heated_for_a_quarter, {"heater rule", "comfort"}),
    (ventilated_for_a_quarter, {"ventilation rule", "comfort"}),
    (climatised_to_boiling, {"climatisation rule", "comfort"}),
    (no_budget_left, {"12 V rule"}),
    (refresh_without_status, {"refresh rule"}),
    (change_status(state=lambda _: "driving"), {"engine", "fixes", "voltage"}),
    (no_status_after_the_engine, {"engine"}),
    (change_status(doors=unlocked), {"doors"}),
    (change_status(climate=lambda climate: {**climate, "state": OTHER_CLIMATE[climate["state"]]}), {"comfort"}),
    (heated_longer, {"comfort", "comfort energy"}),
    (burnt_nothing, {"comfort energy"}),
    (charge_came_back, {"comfort energy", "charge"}),
    (charged_to_three_quarters, {"charging rule"}),
    (charge_from_nowhere, {"charge"}),
    (power_without_a_plug, {"charge"}),
    (ready_for_what_nobody_set, {"departures"}),
    (ended_twice, {"request ends", "replies heard"}),
    (an_end_of_nothing, {"request ends"}),
    (answered_by_nobody, {"replies heard"}),
    (answered_with_an_error, {"replies heard"}),
    (answered_too_late, {"request ends", "replies heard"}),
    (replied_twice, {"replies fit"}),
    (replied_with_other_fields, {"replies fit"}),
    (replied_with_an_unknown_error, {"replies fit"}),
    (change_status(mileage_km=lambda km: km - 1_000), {"odometer", "drives", "services"}),
    (more_fuel, {"fuel", "drives"}),
    (change_status(captured_at=lambda at: at - 2 * HOUR), {"captured_at"}),
    (change_status(low_voltage=lambda battery: {**battery, "voltage_v": 14.9}), {"voltage"}),
    (change_status(position=lambda fix: {**fix, "accuracy_m": 80.0}), {"fixes"}),
    (change_status(windows=lambda _: None), {"whole status"}),
    (another_range, {"levels"}),
    (another_service, {"services"}),
    (nothing_told_of_a_lock, {"effects"}),
    (time_runs_back, {"time"}),
    (published_while_down, {"connection"}),
    (other_bytes, {"frames"}),
    (without_assurance, {"frames", "acknowledgements"}),
    (acknowledged_twice, {"acknowledgements"}),
]


@pytest.mark.parametrize(
    ("plant", "checks"), FAULTS, ids=[f"{number}-{min(checks)}" for number, (_, checks) in enumerate(FAULTS)]
)
def test_a_planted_fault_is_caught(clean: Path, tmp_path: Path, plant: Plant, checks: set[str]) -> None:
    """What is wrong breaks the rule it belongs to, and says where."""
    found = judged(planted(clean, tmp_path, plant))
    assert broken(found) == checks
    assert all(breach.line and breach.told for finding in found.findings for breach in finding.breaches)


def test_the_journal_without_a_fault_holds(clean: Path) -> None:
    """Nothing of the run breaks a rule, and every check had something to look at."""
    found = judged(clean)
    assert found.complete
    assert broken(found) == set()
    assert {finding.check for finding in found.findings if not finding.looked_at} == ELSEWHERE


@pytest.mark.parametrize("instead", [0, 2], ids=["cut out", "twice"])
def test_a_line_that_nothing_else_misses(clean: Path, tmp_path: Path, instead: int) -> None:
    """No other check minds a wake that is not there or comes twice, nor the last line twice."""
    lines = list(read_lines(clean))
    wake = next(at for at, line in enumerate(lines) if at > len(lines) // 2 and b'"k":"wake"' in line)
    path = tmp_path / "journal.jsonl"
    for at in (wake, len(lines) - 1) if instead else (wake,):
        path.write_bytes(b"".join((*lines[:at], *[lines[at]] * instead, *lines[at + 1 :])))
        found = judged(path)
        assert found.complete
        assert broken(found) == {"lines"}
        assert found.findings[0].broken == 1
        assert 0 <= found.findings[0].breaches[0].line - at <= MARKED_LINES + 1


def test_until_stored_nothing_is_lost(clean_until_stored: Path, tmp_path: Path) -> None:
    """With delivery until stored, a message that the account forgets together with the store is missed all the same."""
    assert broken(judged(clean_until_stored)) == set()
    found = judged(planted(clean_until_stored, tmp_path, one_not_stored_nor_counted))
    assert broken(found) == {"account"}
    assert any("left the outbox as stored" in words for words in told(found, "account"))


@pytest.mark.parametrize(
    "changed", [{"parking_heater": False}, {"reserve_l": 1_000.0}], ids=["no parking heater", "fuel below the reserve"]
)
def test_the_heater_of_another_car(clean: Path, changed: dict[str, Any]) -> None:
    """A heater must not run where there is none, nor on the reserve."""
    equipment = {vin: msgspec.structs.replace(each, **changed) for vin, each in equipment_in(clean).items()}
    assert broken(judged(clean, equipment)) - {"effects"} == {"heater rule"}  # nor does it leave the reserve


def test_online_services_of_another_car(clean: Path) -> None:
    """A car without a navi system must not ask for places."""
    equipment = {vin: msgspec.structs.replace(each, media="media_system") for vin, each in equipment_in(clean).items()}
    assert broken(judged(clean, equipment)) == {"request rule"}


def test_what_is_cut_off_is_checked_as_far_as_it_goes(clean: Path, tmp_path: Path) -> None:
    """Half a journal breaks nothing, but is called incomplete; a fault in it is found."""
    lines = list(read_lines(clean))
    half = tmp_path / "journal.jsonl"
    half.write_bytes(b"".join(lines[: len(lines) // 2]) + lines[len(lines) // 2][:40])
    found = judged(half)
    assert not found.complete
    assert found.warnings
    assert broken(found) == set()
    records = read_records(clean)[: len(lines) // 2]
    other_bytes(records)
    assert broken(judged(write_records(half, records))) == {"frames"}


# --- live frames ------------------------------------------------------------------------------------------------------


def as_live(records: Records) -> list[int]:
    """Make the frames those of a live run, which hold two wall times; return the places of repeated ones."""
    records[0]["clock"] = "x60"
    sent: dict[tuple[str, int], int] = {}
    repeated = []
    for index, record in enumerate(records):
        if record.get("type") == "Transmit":
            message = record["data"]["message"] | {"due_wall_us": START, "sent_wall_us": START}
            payload = msgspec.msgpack.encode(msgspec.convert(message, KINDS[record["of"]]))
            sent[record["m"].replace("car/", "link/"), message["seq"]] = len(payload)
            last_again = record["data"]["again"]
        elif record["k"] == "publish" and (size := sent.get((record["m"], record.get("token", 0)))):
            record["bytes"] = size
            if last_again:
                repeated.append(index)
    return repeated


def test_live_frames_are_compared_by_length(clean_until_stored: Path, tmp_path: Path) -> None:
    """Wall times are not in the journal: the length must fit, and a repetition must have the bytes of the first time."""
    records = read_records(clean_until_stored)
    repeated = as_live(records)
    path = tmp_path / "journal.jsonl"
    assert broken(judged(write_records(path, records))) == set()
    records[repeated[0]]["crc32"] ^= 1
    found = judged(write_records(path, records))
    assert broken(found) == {"frames"}
    assert "other bytes than the first time" in told(found, "frames")[0]
    records[repeated[0]]["crc32"] ^= 1
    first_frame(records)["bytes"] += 1
    assert broken(judged(write_records(path, records))) == {"frames"}
