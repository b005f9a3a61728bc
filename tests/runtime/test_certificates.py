"""Certificates of clients from a folder, and the authority of tests that makes them."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.runtime.access import need_users, open_access
from fleet.runtime.authority import Authority
from tests.cli.lab import call

VINS = ("VSSZZZKMZTP000001", "VSSZZZKMZTP000002", "VSSZZZKMZTP000003")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An authority, and certificates of a tool and of one car."""
    made = tmp_path / "certs"
    made.mkdir()
    authority = Authority(made)
    authority.sign("tool", "tool")
    authority.sign(VINS[0], VINS[0])
    return made


class TestAFolder:
    def test_each_has_his_own(self, folder: Path) -> None:
        """A connection is made with the certificate of its user, and trusts the folder's authority alone."""
        access = open_access(broker="mqtts://host", cert_dir=folder)
        context = access.cars.context(VINS[0])
        assert context is not None
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert len(context.get_ca_certs()) == 1
        assert access.cars.context("tool") is not context

    def test_who_has_none_is_named_before_anything_connects(self, folder: Path) -> None:
        """The first of them, and how many more."""
        access = open_access(broker="mqtts://host", cert_dir=folder)
        with pytest.raises(UsageError, match=f"has no certificate {VINS[1]}.pem, and none of 1 more of 3") as caught:
            need_users(access, cars=VINS, tools=("tool",))
        assert "fleet certificates" in caught.value.hint

    def test_one_for_all(self, folder: Path) -> None:
        """client.pem is for who has none of his own."""
        Authority(folder).sign("client", "anybody")
        access = open_access(broker="mqtts://host", cert_dir=folder)
        need_users(access, cars=VINS, tools=("tool", "backend"))
        assert access.cars.context(VINS[2]) is not None

    def test_a_key_may_stand_with_its_certificate(self, folder: Path) -> None:
        """As many tools write them."""
        pem, key = folder / "tool.pem", folder / "tool.key"
        pem.write_text(pem.read_text() + key.read_text())
        key.unlink()
        need_users(open_access(broker="mqtts://host", cert_dir=folder), tools=("tool",))

    @pytest.mark.parametrize("wrong", ["missing", "another", "no key"])
    def test_what_cannot_be_used_is_told(self, folder: Path, wrong: str) -> None:
        """With the file, and what it should be."""
        key = folder / "tool.key"
        if wrong == "missing":
            key.unlink()
        else:
            key.write_text((folder / "ca.key").read_text() if wrong == "another" else "nothing")
        with pytest.raises(UsageError, match=r"tool\.pem cannot be used with its key") as caught:
            need_users(open_access(broker="mqtts://host", cert_dir=folder), tools=("tool",))
        assert "PEM" in caught.value.hint

    def test_each_is_tried(self, folder: Path) -> None:
        """A key of somebody else is named before anything connects, whoever's it is."""
        for vin in VINS:
            Authority(folder).sign(vin, vin)
        (folder / f"{VINS[1]}.key").write_text((folder / "ca.key").read_text())
        with pytest.raises(UsageError, match=rf"{VINS[1]}\.pem cannot be used with its key"):
            need_users(open_access(broker="mqtts://host", cert_dir=folder), cars=VINS, tools=("tool",))

    def test_no_folder(self, tmp_path: Path) -> None:
        """What is named must be there."""
        with pytest.raises(UsageError, match="is no folder of certificates"):
            open_access(broker="mqtts://host", cert_dir=tmp_path / "none")


class TestTheCommand:
    def test_it_makes_all_that_a_run_needs(self, tmp_path: Path) -> None:
        """Authority, server, tools and each car; the folder is good for --cert-dir, and goes on with its authority."""
        out = tmp_path / "certs"
        done = call("certificates", "find-my-car", "--cars", "12", "--out", str(out), "--host", "broker.example", "--host", "::1")
        assert done.code == 0, done
        before = (out / "ca.pem").read_bytes()
        assert call("certificates", "find-my-car", "--cars", "15", "--out", str(out)).code == 0
        assert (out / "ca.pem").read_bytes() == before
        cars = [path.stem for path in out.glob("VSS*.pem")]
        assert len(cars) >= 15
        need_users(open_access(broker="mqtts://host", cert_dir=out), cars=cars, tools=("tool", "backend", "desk"))
        assert all(path.stat().st_mode & 0o077 == 0 for path in out.glob("*.key"))

    def test_an_authority_that_is_over_is_refused(self, tmp_path: Path) -> None:
        """And one whose key is not its own."""
        Authority(tmp_path, valid=datetime.timedelta(seconds=-1))
        with pytest.raises(UsageError, match="has expired"):
            Authority(tmp_path)
        (tmp_path / "ca.key").write_text("nothing")
        with pytest.raises(UsageError, match="cannot be used as authority"):
            Authority(tmp_path)
