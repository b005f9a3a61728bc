"""fleet mail: what people got, in words, and nothing that only they may know."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.backend.decisions import MailPosted, decided
from fleet.backend.sqlite_store import SqliteStore
from fleet.backend.store import Batch
from fleet.cloud.dispatcher import MailNoted
from tests.backend.mail.lab import MADE, SECRET, letter
from tests.cli.lab import call


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with four mails and a push."""
    path = tmp_path / "store.sqlite"
    opened = SqliteStore(path)
    letters = [
        letter("confirm_address", id=1, secret=SECRET),
        letter("licence_reminder", id=2, language="sv"),
        letter("invoice", id=3, account="p2", address="bo+car@example.org", language="de"),
        letter("user_removed", id=4, account="p2", address="", channel="push"),
        letter("refund", id=5, data={}),
    ]
    writes: list[MailPosted | MailNoted] = [MailPosted(each, "waiting") for each in letters]
    writes += [MailNoted(2, "sent", 1), MailNoted(3, "failed", 20, error="given up"), MailNoted(5, "failed", 1, error="no words")]
    opened.commit(Batch(writes=[decided(write, MADE) for write in writes]), MADE)
    opened.close()
    return path


def listed(store: Path, *words: str) -> list[int]:
    done = call("mail", "list", "--store", str(store), "--json", *words)
    assert done.code == 0
    assert SECRET not in done.out
    return [row["id"] for row in json.loads(done.out)]


def test_mails_are_listed_the_newest_first(store: Path) -> None:
    assert listed(store) == [5, 4, 3, 2, 1]
    assert listed(store, "--limit", "2") == [5, 4]
    assert listed(store, "--person", "p2") == [4, 3]
    assert listed(store, "--person", "BO+car@example.org") == [3]
    assert listed(store, "--person", "nobody") == []
    assert listed(store, "--kind", "invoice") == [3]
    assert listed(store, "--state", "failed", "--person", "p1") == [5]
    done = call("mail", "list", "--store", str(store))
    assert done.code == 0
    assert "bo+car@example.org" in done.out
    assert "CUPRA CONNECT med navigation upphör den 31 mars 2026" in done.out  # the subject
    assert "given up" in done.out  # why it has not gone
    assert SECRET not in done.text


def test_a_mail_is_shown_in_its_words_but_for_its_secret(store: Path) -> None:
    done = call("mail", "show", "1", "--store", str(store))
    assert done.code == 0
    assert "Subject: Please confirm your e-mail address" in done.out
    assert "To: anna@example.org" in done.out
    assert "(the link is for its receiver only)" in done.out
    assert SECRET not in done.text
    shown = json.loads(call("mail", "show", "3", "--store", str(store), "--json").out)
    assert shown["subject"] == "Ihre Rechnung 2026-000017"
    assert "135,05 €" in shown["body"]
    assert shown["error"] == "given up"
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "99"), "there is no mail 99"),
        (("show", "5"), "has no words"),
        (("show", "0"), "greater than or equal to 1"),
        (("list", "--kind", "invoise"), "invoice"),
        (("list", "--state", "sended"), "sending"),
    ],
)
def test_what_cannot_be_shown_is_told(store: Path, words: tuple[str, ...], told: str) -> None:
    done = call("mail", *words, "--store", str(store))
    assert done.code == 2
    assert told in done.text


def test_without_a_running_back_end_nothing_is_sent_again(store: Path) -> None:
    """The back end alone writes to its store."""
    done = call("mail", "retry", "3", "--store", str(store))
    assert done.code == 2
    assert "no fleet is running" in done.text
    assert listed(store, "--state", "failed") == [5, 3]


def test_a_hostile_name_steers_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    opened = SqliteStore(path)
    hostile = replace(letter("new_device", id=1, data={"device": "\x1b]0;gone\x07", "at": 0}), address="\x1b[2J@example.org")
    opened.commit(Batch(writes=[decided(MailPosted(hostile, "kept"), MADE)]), MADE)
    opened.close()
    for words in (("list",), ("show", "1")):
        done = call("mail", *words, "--store", str(path))
        assert done.code == 0
        assert "\x1b" not in done.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--clock", "virtual", "--push", "https://push.example"), "a virtual run sends nothing to a server"),
        (("--clock", "virtual", "--mail", "smtp://localhost"), "a virtual run sends nothing to a server"),
        (("--no-backend", "--mail", "mails"), "--mail has no effect"),
        (("--no-backend", "--push", "https://push.example"), "--push has no effect"),
        (("--mail", "smtp://localhost:0"), "port"),
        (("--push", "https://push.example"), "needs a secret"),
    ],
)
def test_where_mails_go_is_checked_before_a_run_begins(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    done = call("run", "rush-hour", "--out", str(tmp_path / "run"), *words)
    assert done.code == 2
    assert told in done.text
    assert not (tmp_path / "run").exists()


REGISTERING = """\
scenario: registering
purpose: Somebody registers, and her mail has nowhere to go.
seed: 1
start: 2026-03-07T10:00
duration: 30 h
clock: virtual
region: munich
fleets:
  - {name: city, count: 2, profile: parked, models: {Born: 1}}
people:
  persons:
    - {name: anna, language: sv, registered: false}
timeline:
  - {at: 1 min, do: register, person: anna}
expectations: [lost == 0]
"""


def test_mails_of_a_virtual_run_are_files_where_a_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one there are none; a folder that cannot be made is a finding of the report, once the tries are over."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "registering.yaml"
    file.write_text(REGISTERING)
    (tmp_path / "taken").touch()
    runs = {
        "none": (),
        "mail": ("--mail", str(tmp_path / "mails")),
        "out": ("--out", str(tmp_path / "out")),
        "failing": ("--mail", str(tmp_path / "taken" / "mail"), "--out", str(tmp_path / "failing")),
    }
    for words in runs.values():
        assert call("run", str(file), *words).code == 0
    assert len(list((tmp_path / "mails").glob("*-confirm_address.eml"))) == 1
    assert len(list((tmp_path / "out" / "mail").glob("*-confirm_address.eml"))) == 1
    assert list((tmp_path / "runs").glob("*/mail")) == []
    findings = json.loads((tmp_path / "failing" / "report.json").read_text())["findings"]
    assert "2 mails are failed: fleet mail list --state failed tells why" in findings
    assert "mails are" not in str(json.loads((tmp_path / "out" / "report.json").read_text())["findings"])
    shown = call("mail", "list", "--state", "failed", "--store", str(tmp_path / "failing" / "store.sqlite"))
    assert "given up after 20 tries" in shown.out
