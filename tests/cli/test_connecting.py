"""The options of a connection: every command that connects has all of them, and one that would change nothing is an error."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from fleet.cli.connecting import EVERYWHERE, OF_CARS, option_of
from fleet.runtime.access import ENDPOINT_FILE, EndpointFile
from tests.cli.lab import call

VIN = "VSSZZZKMZTP000001"
CONNECTING = ("run", "simulate", "backend", "clean", "command", "user set-spin", "service")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, where no fleet ever ran."""
    monkeypatch.chdir(tmp_path)
    for name in ("FLEET_STORE", "FLEET_BROKER", "FLEET_SECRET", "FLEET_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)


def options(command: str) -> set[str]:
    return set(re.findall(r"--[a-z-]+", call(*command.split(), "--help").out))


@pytest.mark.parametrize("command", CONNECTING)
def test_every_command_that_connects_has_all_options(command: str) -> None:
    """Address, trust, certificates, passwords and topics."""
    assert options(command) >= {"--broker", *map(option_of, EVERYWHERE)}


@pytest.mark.parametrize("command", ["run", "simulate"])
def test_cars_have_more(command: str) -> None:
    """How they connect in masses."""
    assert options(command) >= set(map(option_of, OF_CARS))


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("run find-my-car --broker mqtt://h --ca ca.pem", "--ca"),
        ("run find-my-car --broker h --cert-dir d", "--cert-dir"),
        ("run find-my-car --broker mqtt://h --server-name n", "--server-name"),
        ("run find-my-car --ca ca.pem", "--ca"),
        ("run find-my-car --credentials c.csv", "--credentials"),
        ("run find-my-car --cert-dir d", "--cert-dir"),
        ("run find-my-car --keep-sessions", "--keep-sessions"),
        ("run find-my-car --vin-as-client-id", "--vin-as-client-id"),
        ("run find-my-car --link aiomqtt --source 127.0.0.1", "--source"),
        ("run find-my-car --link aiomqtt --connect-rate 5", "--connect-rate"),
        ("run find-my-car --clock virtual --topic-prefix a", "--topic-prefix"),
        ("run find-my-car --clock virtual --link aiomqtt", "--link"),
        ("run find-my-car --clock virtual --keep-sessions", "--keep-sessions"),
        ("run find-my-car --clock virtual --secret-file s", "--secret-file"),
        ("run find-my-car --clock virtual --no-backend", "--no-backend"),
        ("simulate find-my-car --clock x60 --broker mqtt://h --ca ca.pem", "--ca"),
        ("simulate find-my-car --clock x60 --broker mqtt://h --no-backend --tools-broker mqtt://h:2", "--tools-broker"),
        ("simulate find-my-car --clock x60 --broker mqtt://h --credentials c --secret-file s", "--secret-file"),
        ("run find-my-car --ask-desk", "--ask-desk"),
        ("backend --broker mqtt://h --ca ca.pem", "--ca"),
        ("clean --broker mqtt://h --ca ca.pem", "--ca"),
        ("clean --broker mqtt://h --client-id b", "--client-id"),
        ("clean find-my-car --broker mqtt://h --tools-broker mqtt://h:2", "--tools-broker"),
        (f"command {VIN} refresh --broker mqtt://h --ca ca.pem", "--ca"),
        (f"command {VIN} refresh --broker mqtt://h --store s.sqlite", "--store"),
        (f"user set-spin {VIN} --spin 4711 --broker mqtt://h --cert-dir d", "--cert-dir"),
        ("service --broker mqtt://h", "--broker"),
        ("service --markdown --json", "--markdown"),
        ("catalogue heater --markdown", "--markdown"),
        ("proxy --to h:1 --client x", "--client"),
        ("proxy --to h:1 --refuse --way to_broker", "--way"),
    ],
)
def test_an_option_without_effect_is_an_error(line: str, option: str) -> None:
    """It is named, with why it changes nothing and what to do."""
    done = call(*line.split())
    assert done.code == 2, done
    assert f"error: {option} has no effect: " in done.err
    assert f"Leave {option} out, or " in done.err or "Leave NAME" in done.err


@pytest.mark.parametrize(
    "line",
    [
        "run find-my-car --broker mqtt://[::1]:1 --source 127.0.1.0/28",
        "simulate find-my-car --clock x60 --no-backend --broker mqtt://127.0.0.1:1 --source ::1",
    ],
)
def test_source_addresses_are_of_the_brokers_kind(line: str) -> None:
    """IPv4 reaches no IPv6, and the error says so instead of blaming the network."""
    done = call(*line.split())
    assert done.code == 2
    assert "is an address of IPv" in done.err


def word(folder: Path, **more: str) -> None:
    folder.mkdir()
    secret = folder / "secret"
    secret.write_text("a secret of the fleet\n")
    secret.chmod(0o600)
    told = EndpointFile(cars="mqtts://[::1]:1", tools="mqtts://[::1]:1", prefix="a/b", secret_file=str(secret), **more)
    (folder / ENDPOINT_FILE).write_bytes(msgspec.json.encode(told))


def test_what_a_running_fleet_has_left_is_used(tmp_path: Path) -> None:
    """Its authority, certificates and credentials come from its folder; what is typed comes before them."""
    (tmp_path / "users.csv").write_text("backend,abc\n")
    word(tmp_path / "out", credentials=str(tmp_path / "users.csv"), ca=str(tmp_path / "none.pem"))
    ask = ("command", VIN, "refresh", "--store", str(tmp_path / "out" / "store.sqlite"))
    assert "none.pem cannot be used as certificate authority" in call(*ask).err
    own = tmp_path / "own.pem"
    own.write_text("nothing")
    assert "own.pem cannot be used as certificate authority" in call(*ask, "--ca", str(own)).err
    word(tmp_path / "other", credentials=str(tmp_path / "users.csv"))
    ask = ("command", VIN, "refresh", "--store", str(tmp_path / "other" / "store.sqlite"))
    assert "users.csv has no line for 'tool'" in call(*ask).err


def test_an_older_word_is_read(tmp_path: Path) -> None:
    """One that says nothing of authority and credentials has none."""
    folder = tmp_path / "out"
    word(folder)
    plain = msgspec.json.decode((folder / ENDPOINT_FILE).read_bytes())
    older = {name: plain[name] for name in ("cars", "tools", "prefix", "secret_file")}
    (folder / ENDPOINT_FILE).write_bytes(msgspec.json.encode(older))
    done = call("command", VIN, "refresh", "--store", str(folder / "store.sqlite"))
    assert "no connection to [::1]:1" in done.err
