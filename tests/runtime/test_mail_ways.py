"""Where mails and pushes go, as it is typed; and what is refused, without showing a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.backend.mail.folder import Folder
from fleet.backend.mail.smtp import Smtp
from fleet.backend.mail.webhook import Webhook
from fleet.errors import UsageError
from fleet.runtime.mail_ways import is_local, mail_folder, open_ways
from tests.backend.mail.lab import letter, not_called
from tests.backend.mail.servers import HOST, Mailbox, Receiver, http_server, mail_server

PUSH = {"FLEET_PUSH_SECRET": "a secret of pushes, long enough"}


def test_a_folder_takes_mails_and_pushes(tmp_path: Path) -> None:
    ways = open_ways(mail_folder(tmp_path / "fleet.sqlite"), None, {})
    assert ways.keys() == {"mail", "push"}
    ways["mail"].deliver(letter(), not_called)
    assert [file.suffix for file in (tmp_path / "mail").iterdir()] == [".eml"]


def test_none_is_no_way() -> None:
    assert open_ways("none", None, {}) == {}


def test_a_server_and_a_webhook() -> None:
    box, receiver = Mailbox(), Receiver()
    with mail_server(box) as port, http_server(receiver) as push_port:
        ways = open_ways(f"smtp://{HOST}:{port}?from=cars@fleet.test", f"http://{HOST}:{push_port}/push", PUSH)
        ways["mail"].deliver(letter(), lambda: None)
        ways["push"].deliver(letter(channel="push"), not_called)
    assert isinstance(ways["mail"], Smtp)
    assert isinstance(ways["push"], Webhook)
    assert box.taken[0].mail_from == "cars@fleet.test"
    assert len(receiver.posted) == 1


def test_with_a_server_alone_pushes_have_no_way() -> None:
    assert open_ways("smtp://mail.example", None, {}).keys() == {"mail"}


def test_with_a_folder_a_webhook_takes_the_pushes(tmp_path: Path) -> None:
    ways = open_ways(str(tmp_path), "https://push.example/", PUSH)
    assert isinstance(ways["mail"], Folder)
    assert isinstance(ways["push"], Webhook)


@pytest.mark.parametrize(
    ("mail", "words"),
    [
        ("smtp://", "no host"),
        ("smtp://mail.example:0", "port"),
        ("smtp://mail.example/box", "no address of a mail server"),
        ("smtp://mail.example?from=nobody", "from:"),
        ("smtp://mail.example?from=cars@example.org%0D%0ABcc:x@y", "from:"),
        ("smtp://mail.example?form=cars@example.org", "unknown: form"),
        ("smtp://mail.example?from", "no address of a mail server"),
        ("smtp://anna:hunter2@mail.example", "password"),
        ("smtp://anna@mail.example", "no password"),
        ("imap://mail.example", "no address of a mail server"),
        ("", "no folder"),
    ],
)
def test_what_is_no_place_for_mails_is_told(mail: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        open_ways(mail, None, {})
    assert caught.value.hint
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "mail").touch()
    with pytest.raises(UsageError, match="no folder"):
        open_ways(str(tmp_path / "mail"), None, {})


def test_passwords_come_from_a_file_or_the_environment(tmp_path: Path) -> None:
    """A file comes first, and others may not read it."""
    file = tmp_path / "password"
    file.write_text("from a file\n")
    file.chmod(0o600)
    for known in ({"FLEET_SMTP_PASSWORD": "from here"}, {"FLEET_SMTP_PASSWORD_FILE": str(file)}):
        assert open_ways("smtps://anna@mail.example", None, known).keys() == {"mail"}
    file.chmod(0o644)
    with pytest.raises(UsageError, match="others may read"):
        open_ways("smtp://anna@mail.example", None, {"FLEET_SMTP_PASSWORD_FILE": str(file)})
    with pytest.raises(UsageError, match="no such file"):
        open_ways("smtp://anna@mail.example", None, {"FLEET_SMTP_PASSWORD_FILE": str(tmp_path / "none")})


def test_pushes_want_a_secret() -> None:
    with pytest.raises(UsageError, match="needs a secret"):
        open_ways("none", "https://push.example/", {})
    with pytest.raises(UsageError, match="at least 16"):
        open_ways("none", "https://push.example/", {"FLEET_PUSH_SECRET": "short"})


def test_what_stays_on_this_machine() -> None:
    assert [is_local(text) for text in ("none", "mail", "/tmp/mail", "smtp://localhost", "smtps://a")] == [True] * 3 + [False] * 2
