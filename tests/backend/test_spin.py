"""S-PINs end to end: right, wrong and locked, over a restart, and never in clear anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from fleet.backend.spin import SpinCost, SpinVault
from fleet.errors import UsageError
from fleet.runtime.backend_configs import SIMULATED_SPIN_COST as QUICK
from fleet.wire.messages import CommandRequest, DeskRequest, ServiceRequest, SetSpin
from tests.backend.fake_link import FakeSession
from tests.backend.lab import DIALECT, VIN, WHERE, car, presence, running

PEPPER = b"a pepper for the tests"


def test_a_hash_belongs_to_its_user_its_salt_and_its_pepper() -> None:
    """The same S-PIN of somebody else, or with another pepper, does not match; two hashes of it differ."""
    vault = SpinVault(PEPPER, QUICK)
    kept = vault.hash(VIN, "primary", "0000")
    assert vault.verify(VIN, "primary", "0000", kept)
    assert not vault.verify(VIN, "primary", "0001", kept)
    assert not vault.verify(VIN, "other", "0000", kept)
    assert not SpinVault(b"another pepper, long enough", QUICK).verify(VIN, "primary", "0000", kept)
    assert vault.hash(VIN, "primary", "0000").digest != kept.digest
    assert b"0000" not in kept.digest


def test_a_hash_is_verified_at_the_cost_it_was_made_with() -> None:
    kept = SpinVault(PEPPER, QUICK).hash(VIN, "primary", "0000")
    assert SpinVault(PEPPER, SpinCost(n=4, r=2, p=1)).verify(VIN, "primary", "0000", kept)


def test_what_is_too_weak_or_too_dear_is_refused() -> None:
    with pytest.raises(UsageError, match="too short"):
        SpinVault(b"short")
    for n, r in ((3, 8), (1, 8), (1 << 20, 8), (16, 0)):
        with pytest.raises(UsageError, match="no usable cost"):
            SpinCost(n=n, r=r)


async def test_0000_locks_and_unlocks_the_car(path: Path) -> None:
    """Set, used, and its token used after it."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        await lab.set_spin("0000", "set")
        lab.command("a", "lock", spin="0000")
        token = (await lab.state("a", "queued")).token
        lab.command("b", "unlock", token=token)
        await lab.state("b", "sent")
        assert [command.name for command in lab.commands()] == ["lock", "unlock"]


async def test_three_wrong_ones_lock_it_and_a_restart_does_not_help(path: Path) -> None:
    """The count and the lock are in the store before the answer is out."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        await lab.set_spin("4711", "set")
        for number in range(2):
            lab.command(f"w{number}", "lock", spin="0815")
            assert (await lab.state(f"w{number}", "rejected")).reason == "spin_wrong"
    async with running(path) as lab:
        lab.command("w2", "lock", spin="0815")
        assert (await lab.state("w2", "rejected")).reason == "spin_wrong"
    async with running(path) as lab:
        lab.command("r", "lock", spin="4711")
        assert (await lab.state("r", "rejected")).reason == "spin_locked"
        await lab.set_spin("1234", "again")
        lab.command("s", "lock", spin="1234")
        await lab.state("s", "queued")


async def test_guesses_all_at_once_are_three(path: Path) -> None:
    """Twenty requests in one burst get three tries between them."""
    async with running(path) as lab:
        lab.session.deliver(*car(presence()))
        await lab.set_spin("4711", "set")
        for number in range(20):
            lab.command(f"g{number}", "lock", spin=f"{number:04}")
        reasons = [(await lab.state(f"g{number}", "rejected")).reason for number in range(20)]
        assert reasons.count("spin_wrong") == 3
        assert set(reasons) == {"spin_wrong", "spin_locked", "busy"}


async def test_a_defect_in_hashing_shows_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user hears `busy`; the log names the kind of error and no more."""

    def broken(self: SpinVault, vin: str, user: str, spin: str) -> None:
        raise RuntimeError(f"could not hash {spin}")

    monkeypatch.setattr(SpinVault, "hash", broken)
    with capture_logs() as logs:
        async with running(path) as lab:
            lab.session.deliver(*car(presence()))
            lab.ask(SetSpin(id="s", vin=VIN, spin="4711"))
            assert (await lab.state("s", "rejected")).reason == "busy"
    assert "RuntimeError" in str(logs)
    assert "4711" not in str(logs)


def is_in(secret: str, content: bytes) -> bool:
    """Tell whether a secret is written there; in the middle of a longer number, such as an instant, it is chance."""
    return re.search(rb"(?<!\d)" + re.escape(secret.encode()) + rb"(?!\d)", content) is not None


async def test_never_in_clear(path: Path) -> None:
    """Not in the store or its WAL, not in the log, not in any frame, however the S-PIN got in: right, wrong or misplaced."""
    secrets = ["835196", "9357", "2468", "7391"]
    session = FakeSession()
    with capture_logs() as logs:
        async with running(path, session) as lab:
            lab.session.deliver(*car(presence()))
            await lab.set_spin("9357", "set")
            lab.command("right", "lock", spin="9357")
            token = (await lab.state("right", "queued")).token
            lab.command("wrong", "lock", spin="2468")
            await lab.state("wrong", "rejected")
            lab.command("long", "lock", spin="835196")
            await lab.state("long", "rejected")
            lab.command("misplaced", "lock", spin="9357", parameters={"spin": "9357"})
            await lab.state("misplaced", "rejected")
            request = DIALECT.desk_request(SetSpin(id="bad", vin=VIN, spin="9357"), answer_topic=DIALECT.topics.desk_answer("t"))
            lab.session.deliver(msgspec.structs.replace(request, payload=request.payload[:-1]))
            lab.session.deliver(msgspec.structs.replace(request, content_type="9357/2468"))
            await lab.session.wait_for(lambda: len(lab.answers("bad")) == 2)
            typed: dict[str, DeskRequest] = {
                "as user": CommandRequest(id="as user", vin=VIN, name="honk", parameters=WHERE, user="7391"),
                "as vin": CommandRequest(id="as vin", vin="7391", name="honk", parameters=WHERE),
                "as name": CommandRequest(id="as name", vin=VIN, name="7391"),
                "as parameter": CommandRequest(id="as parameter", vin=VIN, name="reset", parameters={"user": "7391"}),
                "with spaces": CommandRequest(id="with spaces", vin=VIN, name="honk", parameters=WHERE, user=" 7391 "),
                "set as user": SetSpin(id="set as user", vin=VIN, spin="7391", user="7391"),
                "set as vin": SetSpin(id="set as vin", vin="7391", spin="7391"),
                "of service": ServiceRequest(id="of service", service="online", action="what", user="7391"),
                "as service": ServiceRequest(id="as service", service="7391", action="what"),
                "in data": ServiceRequest(id="in data", service="online", action="what", data={"user": "7391"}),
            }
            for request_id, misplaced in typed.items():
                lab.ask(misplaced)
                assert (await lab.state(request_id, "rejected")).reason == "malformed"
            files = {file.name: file.read_bytes() for file in path.parent.iterdir()}
            assert f"{path.name}-wal" in files
    files |= {f"{file.name} after": file.read_bytes() for file in path.parent.iterdir()}
    assert token
    for name, content in files.items():
        for secret in [*secrets, token]:
            assert not is_in(secret, content), f"{secret} is in {name}"
    for frame in session.published:
        if "/command/" in frame.topic:
            assert token.encode() not in frame.payload
        for secret in secrets:
            assert not is_in(secret, msgspec.msgpack.encode(frame)), f"{secret} is in {frame.topic}"
    for secret in [*secrets, token]:
        assert not is_in(secret, str(logs).encode())
        assert not is_in(secret, repr(lab.backend.snapshot()).encode())
