"""How a process gets at a broker: addresses, credentials, secrets, and the word a running fleet leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.runtime.access import (
    ENDPOINT_FILE,
    Credentials,
    EndpointFile,
    find_secret,
    need_passwords,
    open_access,
    read_endpoint,
    write_endpoint,
)
from fleet.runtime.credentials import FleetSecret

SECRET = "a secret of some length"
WORD = EndpointFile(cars="mqtt://127.0.0.1:1", tools="mqtt://127.0.0.1:2", prefix="fleet/v1", secret_file="/x/secret")


@pytest.fixture(autouse=True)
def without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEET_SECRET", raising=False)
    monkeypatch.delenv("FLEET_SECRET_FILE", raising=False)


class TestAddresses:
    def test_cars_and_tools_may_have_listeners_of_their_own(self) -> None:
        """Without one for tools both use the same; without a port the default one."""
        both = open_access(broker="mqtt://host")
        assert (both.cars, both.tools) == (both.tools, both.cars)
        assert (both.cars.host, both.cars.port) == ("host", 1883)
        apart = open_access(broker="mqtt://host:1", tools_broker="mqtt://host:2")
        assert (apart.cars.port, apart.tools.port) == (1, 2)

    @pytest.mark.parametrize("url", ["http://host", "mqtt://", "mqtt://host:port", "mqtt://host:70000", "mqtt://host/path"])
    def test_what_is_no_address_is_refused(self, url: str) -> None:
        """With what was expected instead."""
        with pytest.raises(UsageError) as caught:
            open_access(broker=url)
        assert caught.value.hint

    def test_a_password_in_an_address_is_refused_and_not_repeated(self) -> None:
        """Addresses are shown in logs and process lists; secrets are not."""
        with pytest.raises(UsageError) as caught:
            open_access(broker="mqtt://me:very-secret@host")
        assert "very-secret" not in str(caught.value) + caught.value.hint

    def test_a_bad_authority_is_told(self, tmp_path: Path) -> None:
        """A file that is no certificate, or is not there."""
        (tmp_path / "ca.pem").write_text("no certificate", encoding="utf-8")
        for name in ("ca.pem", "none.pem"):
            with pytest.raises(UsageError, match="cannot be used as certificate authority"):
                open_access(broker="mqtts://host", ca=tmp_path / name)

    def test_a_prefix_is_checked(self) -> None:
        """Wildcards would match other people's topics."""
        with pytest.raises(UsageError):
            open_access(broker="mqtt://host", prefix="fleet/#")


class TestPasswords:
    def test_they_come_from_credentials_then_secret_then_nowhere(self, tmp_path: Path) -> None:
        """A user that the credentials do not name has no password."""
        path = tmp_path / "users.csv"
        path.write_text("user,password\nbackend,abc\n", encoding="utf-8")
        secret = FleetSecret(SECRET)
        named = open_access(broker="mqtt://host", credentials=path, secret=secret)
        assert named.password_for("backend") == "abc"
        with pytest.raises(UsageError, match=r"users\.csv has no line for 'tool'"):
            named.password_for("tool")
        assert open_access(broker="mqtt://host", secret=secret).password_for("tool") == secret.password_for("tool")
        assert open_access(broker="mqtt://host").password_for("tool") is None

    def test_no_password_shows(self, tmp_path: Path) -> None:
        """Neither in the `repr` of what holds them nor in an error."""
        path = tmp_path / "users.csv"
        path.write_text("backend,abc-secret\n", encoding="utf-8")
        assert "abc-secret" not in repr(open_access(broker="mqtt://host", credentials=path))
        path.write_text("backend,abc-secret,more\n", encoding="utf-8")
        with pytest.raises(UsageError) as caught:
            Credentials.read(path)
        assert "abc-secret" not in str(caught.value)

    def test_lines_are_read_with_or_without_a_header(self, tmp_path: Path) -> None:
        """Empty lines do not count, quotes and commas in passwords do."""
        path = tmp_path / "users.csv"
        path.write_text('user,password\nbackend,"a,b"\n\ntool,c\n', encoding="utf-8")
        assert Credentials.read(path).table == {"backend": "a,b", "tool": "c"}
        path.write_text("tool,c\n", encoding="utf-8")
        assert Credentials.read(path).table == {"tool": "c"}

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"a,b\nc\n", ":2: 1 columns"),
            (b"a,b,c\n", ":1: 3 columns"),
            (b"\xff\n", ":1:1: byte 0xFF is not UTF-8"),
            (b"a,b\na,c\n", ":2: 'a' has another password before"),
        ],
    )
    def test_a_bad_line_is_told_by_its_number(self, tmp_path: Path, content: bytes, told: str) -> None:
        """So is what is no text."""
        path = tmp_path / "users.csv"
        path.write_bytes(content)
        with pytest.raises(UsageError, match=told):
            Credentials.read(path)

    def test_a_file_as_editors_save_it(self, tmp_path: Path) -> None:
        """With a byte order mark, DOS line ends and a header in capitals."""
        path = tmp_path / "users.csv"
        path.write_bytes(b"\xef\xbb\xbfUser,Password\r\nbackend,abc\r\n")
        assert Credentials.read(path).table == {"backend": "abc"}
        path.write_bytes(b"\xef\xbb\xbfVSSZZZKMZPR000001,abc\r\n")
        assert Credentials.read(path).table == {"VSSZZZKMZPR000001": "abc"}
        path.write_bytes(b"\xef\xbb\xbf" + SECRET.encode() + b"\r\n")
        path.chmod(0o600)
        assert FleetSecret.from_file(path).reveal() == SECRET

    def test_who_is_missing_is_named(self, tmp_path: Path) -> None:
        """The first, and how many more; a VIN in small letters is shown as it stands there."""
        path = tmp_path / "users.csv"
        path.write_text("backend,abc\nvsszzzkmzpr000001,abc\n", encoding="utf-8")
        password_for = Credentials.read(path).password_for
        need_passwords(password_for, ["backend"])
        with pytest.raises(UsageError) as caught:
            need_passwords(password_for, ["backend", "VSSZZZKMZPR000001", "VSSZZZKMZPR000002"])
        assert str(caught.value) == f"{path} has no line for 'VSSZZZKMZPR000001', and for 1 more of 3"
        assert caught.value.hint == "There is one for 'vsszzzkmzpr000001': write VSSZZZKMZPR000001."

    def test_a_missing_file_is_told(self, tmp_path: Path) -> None:
        """With its name."""
        with pytest.raises(UsageError, match=r"none\.csv"):
            Credentials.read(tmp_path / "none.csv")


class TestSecret:
    def test_a_file_goes_before_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The option, then FLEET_SECRET_FILE, then FLEET_SECRET; an empty variable is none."""
        for name in ("option", "variable"):
            FleetSecret(f"the secret of the {name}").write(tmp_path / name)
        monkeypatch.setenv("FLEET_SECRET", "the secret of the environment")
        monkeypatch.setenv("FLEET_SECRET_FILE", str(tmp_path / "variable"))

        def found(path: Path | None = None) -> str:
            secret = find_secret(path)
            assert secret is not None
            return secret.reveal().rpartition(" ")[2]

        assert found(tmp_path / "option") == "option"
        assert found() == "variable"
        monkeypatch.setenv("FLEET_SECRET_FILE", "")
        assert found() == "environment"
        monkeypatch.delenv("FLEET_SECRET")
        assert find_secret(None) is None


class TestEndpointFile:
    def test_it_is_for_its_owner_only_and_replaced_whole(self, tmp_path: Path) -> None:
        """Mode 0600 from its first moment, whatever stood there before."""
        (tmp_path / ENDPOINT_FILE).write_text("an old one, open to all", encoding="utf-8")
        (tmp_path / ENDPOINT_FILE).chmod(0o644)
        write_endpoint(tmp_path, WORD)
        assert (tmp_path / ENDPOINT_FILE).stat().st_mode & 0o777 == 0o600
        assert read_endpoint(tmp_path) == WORD

    def test_without_a_running_fleet_there_is_none(self, tmp_path: Path) -> None:
        """No file is no error."""
        assert read_endpoint(tmp_path) is None

    def test_a_damaged_one_is_told(self, tmp_path: Path) -> None:
        """With the way around it."""
        (tmp_path / ENDPOINT_FILE).write_text("{", encoding="utf-8")
        with pytest.raises(UsageError) as caught:
            read_endpoint(tmp_path)
        assert "--broker" in caught.value.hint
