"""Services about people on the command line: each action a command, and nothing secret on it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from fleet import cli
from fleet.cli.centre import read_data
from fleet.cli.people import SERVICES
from fleet.cloud.actions import load_actions
from tests.cli.lab import call, clean_environment, running

VIN = "VSSZZZKLZTR000000"
GARAGE = """\
scenario: garage
purpose: A car stands, and somebody enrols it.
seed: 3
start: 2026-03-02T08:00
duration: 20 min
clock: real
region: munich
fleets:
  - {name: radio, count: 1, models: {Leon: 1}, energies: {Leon: {petrol: 1}}, profile: parked}
"""


@pytest.mark.parametrize("service", SERVICES)
def test_each_action_of_a_service_is_a_command(service: str) -> None:
    group: Any = typer.main.get_command(cli.application(service))
    assert set(group.commands[service].commands) == {each.replace("_", "-") for each in load_actions()[service].actions}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("enrol", "begin", "way=qr"), "enrol begin is about a car"),
        (("enrol", "begin", "VSSZZZKLZTR00000O", "way=qr"), "is not a VIN: it holds 'O'"),
        (("enrol", "show", "--user", "anna", "--session-file", "here"), "exclude each other"),
        (("command", VIN, "refresh", "--user", "anna", "--session-file", "here"), "exclude each other"),
        (("command", VIN, "refresh", "--session-file", "not-here"), "cannot be read"),
        (("enrol", "begin", VIN), "enrol begin needs way: qr, assistant, two_keys, code"),
        (("enrol", "begin", VIN, "way=1"), "unknown value of way '1'"),
        (("enrol", "begin", VIN, "way=qr", "wya=qr"), "unknown parameter of enrol begin 'wya'"),
        (("enrol", "begin", VIN, "way=qr", "way=qr"), "way is given twice"),
        (("enrol", "consents", VIN, "privacy=maybe"), "privacy is 'maybe', but yes or no is expected"),
        (("licence", "renew", VIN, "years=two"), "years is 'two', but a whole number is expected"),
        (("licence", "set", VIN, "product=connect", "days_left=1E999"), "days_left is '1E999', but a number is expected"),
        (
            ("users", "allow", VIN, "user=bea", "services=[1]"),
            "services is '[1]', but a list, with commas or in JSON, is expected",
        ),
        (("service", "licence", "renew", VIN, "years=2.5"), "fleet service licence renew VIN years=2"),
        (("enrol", "begin", VIN, "qr"), "neither a VIN in the first place nor KEY=VALUE"),
        (("enrol", "show", "--user", "1234"), "has the form of an S-PIN"),
        (("account", "log-in", "--user", "anna", "device=phone"), "no password was given"),
        (("account", "log-in", "--user", "anna", "device=phone", "password=old horse"), "password is a secret"),
        (("account", "show", "--session-file", "nowhere"), "nowhere cannot be read"),
    ],
)
def test_what_is_wrong_is_told_before_anybody_is_asked(words: tuple[str, ...], told: str) -> None:
    done = call(*words)
    assert done.code == 2
    assert told in done.err


@pytest.mark.parametrize(
    ("service", "action", "word", "value"),
    [
        ("enrol", "scan", "code=1234567890123456", "1234567890123456"),
        ("enrol", "scan", "code=1234E56789012345", "1234E56789012345"),
        ("enrol", "scan", "code=true", "true"),
        ("account", "settings", "mobile=46701234567", "46701234567"),
        ("account", "settings", "user_name=123456789", "123456789"),
        ("account", "settings", "user_name=", ""),
        ("account", "settings", "relogin_min=5", 5),
        ("account", "settings", "push=false", False),
        ("store", "buy", 'offer="radio_1_year"', "radio_1_year"),
        ("campaign", "start", 'campaign="2026"', "2026"),
        ("campaign", "start", "campaign=2026", "2026"),
    ],
)
def test_the_declared_type_decides_how_a_value_is_read(service: str, action: str, word: str, value: Any) -> None:
    assert read_data(service, action, [word]) == {word.partition("=")[0]: value}


@pytest.mark.parametrize("services", ["honk,lock", "honk, lock", '["honk", "lock"]'])
def test_a_list_is_written_in_json_or_with_commas(services: str) -> None:
    read = read_data("users", "allow", ["user=bea", f"services={services}"])
    assert read == {"user": "bea", "services": ["honk", "lock"]}
    shares = read_data("campaign", "plan", ["campaign=c", "version=2.4", "size_mb=9", f"cars={VIN}", "waves=0.1,1"])
    assert shares == {"campaign": "c", "version": "2.4", "size_mb": 9, "cars": [VIN], "waves": [0.1, 1.0]}


def test_the_help_of_an_action_says_all_of_it() -> None:
    text = call("account", "change-password", "--help").out
    assert "secrets: password, new_password" in text
    assert "fleet account change-password --user anna@example.com" in text


async def ask(folder: Path, *words: str, typed: str = "") -> dict[str, Any]:
    """Call `fleet WORDS --json` with secrets piped in, and return the answer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fleet", *words, "--store", "out/store.sqlite", "--json",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        cwd=folder, env=clean_environment(),
    )  # fmt: skip
    out, err = await process.communicate(typed.encode())
    assert out, err.decode()
    answer: dict[str, Any] = json.loads(out)
    assert (process.returncode == 0) == (answer["state"] == "succeeded")
    return answer


DETAILS = (
    "first_name=Anna", "last_name=Ek", "birth_date=1990-05-17", "country=SE", "terms=2026-1", "privacy=2026-1",
)  # fmt: skip


@pytest.mark.live
async def test_somebody_registers_and_begins_to_enrol_a_car(tmp_path: Path) -> None:
    """On a running fleet: the link of the mail, the code that is told once, a session from a file."""
    (tmp_path / "garage.yaml").write_text(GARAGE, encoding="utf-8")
    async with running("run", "garage.yaml", "--out", "out", cwd=tmp_path) as run:
        await run.wait_for("the back end", (tmp_path / "out" / "endpoint.json").exists)
        await ask(tmp_path, "account", "register", "email=anna@example.com", typed="correct horse battery\n")
        mails = tmp_path / "out" / "mail"
        await run.wait_for("the mail", lambda: any(mails.glob("*.eml")))
        link = re.search(r"https://\S+/fleet_[\w-]{24}", next(mails.glob("*.eml")).read_text(encoding="utf-8").replace("=\n", ""))
        assert link is not None
        refused = await ask(tmp_path, "enrol", "begin", VIN, "way=two_keys", "--user", "anna@example.com")
        assert refused["reason"] == "address_not_confirmed"
        await ask(tmp_path, "account", "confirm", typed=f"{link.group()}\n")
        refused = await ask(tmp_path, "enrol", "begin", VIN, "way=two_keys", "--user", "anna@example.com")
        assert refused["reason"] == "consent_missing"
        await ask(tmp_path, "account", "complete", "--user", "anna@example.com", *DETAILS)
        log_in = await ask(
            tmp_path, "account", "log-in", "--user", "anna@example.com", "device=phone", typed="correct horse battery\n"
        )
        (tmp_path / "session").write_text(log_in["secrets"]["session"], encoding="utf-8")
        begun = await ask(tmp_path, "enrol", "begin", VIN, "way=two_keys", "--session-file", "session")
        assert begun["data"]["step"] == "keys"
        code = await ask(tmp_path, "enrol", "begin", "VSSZZZKHZT6000001", "way=code", "--session-file", "session")
        assert re.fullmatch(r"\d{8}", code["secrets"]["code"])
        shown = await ask(tmp_path, "enrol", "show", "--session-file", "session")
        assert [each["way"] for each in shown["data"]["enrolments"]] == ["code", "two_keys"]
