"""What cars say by VSS and VISS, held against what COVESA publishes: the catalogue of signals, and the schemas of VISS.

FLEET_COVESA names a folder outside of the repository with `vss.json` (release 6.0 of vehicle_signal_specification, by
`vspec export json -u spec/units.yaml -q spec/quantities.yaml -s spec/VehicleSignalSpecification.vspec -o vss.json`),
`vissv3.0-schema.json` (vehicle-information-service-specification, spec/resources) and `vissv3.2-service-schema.json` (vissr,
server/vissv2server). FLEET_COVESA_PYTHON is a Python with vss-tools 6.0, and so with jsonschema.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from fleet.dialects.vss.dialect import VssDialect
from fleet.dialects.vss.services import PATHS
from fleet.dialects.vss.signals import SIGNALS, TREE, signals_of
from fleet.harness import virtual_world
from fleet.kernel.instants import MINUTE, SECOND
from fleet.wire.dialect import CarEnd, CarFacts
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import Command, Event, Response
from tests.dialects.statuses import NOW, VIN, petrol_status, whole_status

FOLDER: Final = os.environ.get("FLEET_COVESA", "")
PYTHON: Final = os.environ.get("FLEET_COVESA_PYTHON", "")
pytestmark = pytest.mark.skipif(not (FOLDER and PYTHON), reason="FLEET_COVESA and FLEET_COVESA_PYTHON name no files of COVESA")

_JUDGE: Final = """
import json, sys
from jsonschema import Draft202012Validator
folder = sys.argv[1]
of_data = Draft202012Validator(json.load(open(folder + "/vissv3.0-schema.json")))
services = json.load(open(folder + "/vissv3.2-service-schema.json"))
for definition in services["$defs"].values():  # its ids are fragments, which the draft forbids, and no reference needs them
    definition.pop("$id", None)
of_services = Draft202012Validator(services)
def is_ambiguous(error):
    return "is valid under each of" in error.message or any(is_ambiguous(each) for each in error.context or ())
for message in json.load(sys.stdin):
    schema = of_services if message["action"] in ("invoke", "monitor", "cancel", "discover", "monitoring") else of_data
    for error in schema.iter_errors(message):
        print(json.dumps([is_ambiguous(error), message, error.message]))
"""
_RANGES: Final = {"uint8": (0, 255), "int8": (-128, 127), "int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1)}


def node(catalogue: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = {"children": catalogue}
    for name in path.split("."):
        found = found["children"][name]
    return found


@pytest.fixture(scope="module")
def catalogue() -> dict[str, Any]:
    found = json.loads((Path(FOLDER) / "vss.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_each_path_is_one_of_the_catalogue_with_its_kind_datatype_unit_and_values(catalogue: dict[str, Any]) -> None:
    """None is invented, renamed or of another unit."""
    for path, signal in TREE.items():
        known = node(catalogue, path)
        ours = (signal.kind, signal.datatype, signal.unit, signal.allowed)
        assert ours == (known["type"], known["datatype"], known.get("unit"), tuple(known.get("allowed", ()))), path
    major, minor, patch = (node(catalogue, f"Vehicle.VersionVSS.{part}")["default"] for part in ("Major", "Minor", "Patch"))
    assert (major, minor, patch) == (6, 0, 0)


async def test_values_of_each_model_lie_within_the_catalogue(catalogue: dict[str, Any]) -> None:
    """After a drive, and plugged in where they can be: datatype, list of values, least and greatest."""
    said: set[str] = set()
    async with virtual_world(dialect="vss") as fleet:
        for model in ("Ateca", "Leon", "Formentor", "Born", "Tavascan"):
            car = await fleet.car(model)
            await car.drive(km=5)
            await car.switch_off()
            for message in (*car.messages, car.simulated.snapshot(fleet.now)):
                if type(message) is type(car.simulated.snapshot(fleet.now)):
                    for path, value in signals_of(message).items():
                        said.add(path)
                        assert fits(node(catalogue, path), value), (model, path, value)
    said |= signals_of(whole_status()).keys()
    assert said >= {signal.path for signal in SIGNALS} - {"Vehicle.Powertrain.TractionBattery.Charging.Timer.Time"}


def fits(known: dict[str, Any], value: Any) -> bool:
    kind = known["datatype"]
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "string":
        return isinstance(value, str) and value in known.get("allowed", [value])
    lowest, highest = _RANGES.get(kind, (float("-inf"), float("inf")))
    is_number = isinstance(value, int | float) if kind in ("float", "double") else isinstance(value, int)
    bounds = known.get("min", lowest), known.get("max", highest)
    return is_number and not isinstance(value, bool) and lowest <= value <= highest and bounds[0] <= value <= bounds[1]


# --- VISS


def complaints(messages: Iterable[dict[str, Any]]) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return what the schemas of COVESA say against messages, and those that fit more than one of their alternatives."""
    done = subprocess.run(
        [PYTHON, "-c", _JUDGE, FOLDER], input=json.dumps(list(messages)), text=True, capture_output=True, check=True, timeout=60
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [each for each in found if not each[0]], [message for is_ambiguous, message, _ in found if is_ambiguous]


class Client:
    """Asks a car, and keeps all that it says."""

    def __init__(self, end: CarEnd) -> None:
        self._end = end
        self.requests: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []

    def ask(self, **request: Any) -> list[Command]:
        self.requests.append(request)
        payload = msgspec.json.encode({"topic": "viss/1", "request": request})
        heard = self._end.read(Frame(topic=f"{VIN}/Vehicle", payload=payload), NOW)
        self._take(heard.frames)
        return [message for message in heard.messages if isinstance(message, Command)]

    def answer(self, command: Command, state: Any, reason: str | None = None) -> None:
        response = Response(
            vin=VIN,
            boot=3,
            seq=9,
            captured_at=NOW,
            command_id=command.id,
            name=command.name,
            state=state,
            reason=reason,
            awake=True,
        )
        self._end.write(response, NOW)
        self.wake(NOW)

    def wake(self, now: int) -> None:
        self._take(self._end.wake(now))

    def _take(self, woken: Iterable[Frame | Command]) -> None:
        self.told += [msgspec.json.decode(each.payload) for each in woken if isinstance(each, Frame)]


@pytest.fixture(params=[whole_status, petrol_status])
def client(request: pytest.FixtureRequest) -> Client:
    end = VssDialect(FleetDialect()).car_end(CarFacts(vin=VIN, client_id=VIN, model="Leon"), request.param)
    assert end is not None
    return Client(end)


LEVEL: Final = "Vehicle.Powertrain.FuelSystem.RelativeLevel"
LOCK: Final = "Vehicle.Cabin.Door.Row1.DriverSide.IsLocked"


def test_what_is_read_and_subscribed_is_as_the_schema_has_it(client: Client) -> None:
    """Responses, errors and events, of one signal and of many; the requests of the test are, too."""
    paths = {"variant": "paths", "parameter": ["*"]}
    client.ask(action="get", path=LEVEL, requestId="1")
    client.ask(action="get", path="Vehicle", filter=paths, requestId="2")
    client.ask(action="get", path="Vehicle", filter={"variant": "metadata", "parameter": "0"}, requestId="3")
    client.ask(action="get", path="Vehicle.No", requestId="4")
    client.ask(action="subscribe", path=LEVEL, filter={"variant": "timebased", "parameter": {"period": "1000"}}, requestId="5")
    change = {"variant": "change", "parameter": {"logic-op": "ne", "diff": "0"}}
    client.ask(action="subscribe", path="Vehicle", filter=[paths, change], requestId="6")
    within = [{"logic-op": "gt", "boundary": "1"}, {"logic-op": "lt", "boundary": "99"}]
    client.ask(action="subscribe", path=LEVEL, filter={"variant": "range", "parameter": within}, requestId="7")
    client.ask(action="subscribe", path="Vehicle.No", filter=change, requestId="8")
    client.wake(NOW + SECOND)
    client.ask(action="unsubscribe", subscriptionId="1", requestId="9")
    (command,) = client.ask(action="set", path=LOCK, value="true", requestId="10")
    client.answer(command, "succeeded")
    assert len(client.told) == 12
    assert complaints(client.requests) == ([], [])
    assert complaints(client.told) == ([], [])


def test_errors_of_set_and_unsubscribe_fit_two_alternatives_of_the_schema(client: Client) -> None:
    """Which exclude each other, but a success needs no more than `ts`, as each error has. As errors of `get` ours are right."""
    client.ask(action="set", path=LEVEL, value="3", requestId="1")
    client.ask(action="unsubscribe", subscriptionId="99", requestId="2")
    (command,) = client.ask(action="set", path=LOCK, value="true", requestId="3")
    client.answer(command, "rejected", "door_open")
    assert complaints(client.told) == ([], client.told)
    assert complaints(message | {"action": "get"} for message in client.told) == ([], [])


def test_services_are_as_the_schema_has_them(client: Client) -> None:
    """Invoked, refused, failed, monitored, cancelled, discovered, and ended by themselves."""
    heater, every = "VehicleService.Comfort.Heater", {"variant": "all"}
    (command,) = client.ask(action="invoke", path=heater, filter=every, input={"minutes": "30"}, requestId="1")
    client.answer(command, "accepted")
    client.ask(action="monitor", path=heater, filter={"variant": "status"}, requestId="2")
    client.answer(command, "succeeded")
    client.ask(action="monitor", path=heater, filter={"variant": "timebased", "parameter": {"period": "60000"}}, requestId="3")
    client.wake(NOW + MINUTE)
    client._end.write(
        Event(vin=VIN, boot=3, seq=10, captured_at=NOW, name="heater_ended", data={"reason": "time", "minutes": 30.0}), NOW
    )
    client.wake(NOW + MINUTE)
    client.ask(action="monitor", path=heater, filter=every, requestId="4")
    (command,) = client.ask(action="invoke", path=heater, filter=every, requestId="5")
    client.answer(command, "accepted")
    (stop,) = client.ask(action="cancel", serviceId=client.told[-1]["serviceId"])
    client.answer(stop, "succeeded")
    for state, reason in (("rejected", "fuel_low"), ("expired", None), ("failed", "actuator")):
        (command,) = client.ask(action="invoke", path=heater, filter=every, requestId="6")
        client.answer(command, state, reason)
    client.ask(action="cancel", serviceId="99")
    client.ask(action="invoke", path="VehicleService.No", filter=every, requestId="7")
    for path in ("VehicleService", *PATHS, "Nothing"):
        client.ask(action="discover", path=path, requestId="8")
    states = {message["status"] for message in client.told if "status" in message}
    assert states == {"ONGOING", "SUCCESSFUL", "CANCELED", "FAILED"}
    assert complaints(client.requests) == ([], [])
    cancelled = [message for message in client.told if message["action"] == "cancel" and "error" not in message]
    assert complaints(client.told) == ([], cancelled)  # its schema takes any answer with a serviceId for a request, too
