"""Secrets of requests are proven beside the event loop, once, in bounds, and go nowhere else."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from fleet.backend.passwords import PasswordVault
from fleet.backend.proving import MOST
from fleet.cloud.desk_io import SpinChecked
from fleet.cloud.people.figures import Figures
from fleet.cloud.people.people import RULE
from fleet.cloud.people.tokens import digest_of
from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND
from fleet.runtime.clocks import wall_us
from fleet.wire.messages import AnnounceClock, DeskAnswer, Reply, Request, ServiceRequest
from fleet.wire.sealing import SIMULATED_CARS_SECRET, key_of, seal
from tests.backend.lab import BOOT, DIALECT, BackendLab, car, running

ANNA = "anna@example.com"
PASSWORD = "correct horse"
TRIES = Figures().tries
G3 = "VSSZZZKLZPR000001"
ATECA = "VSSZZZKHZP6000001"


class PeopleBackend:
    """A back end with accounts, and an app that asks it."""

    _count = 0
    """Of all, as ids stay with what was asked under them, also after a restart."""

    def __init__(self, lab: BackendLab) -> None:
        self.lab = lab

    def ask(self, action: str, *, asked_as: str | None = None, service: str = "account", **request: Any) -> str:
        """Ask, and return the id."""
        PeopleBackend._count += 1
        request_id = asked_as or f"ask-{PeopleBackend._count}"
        self.lab.ask(ServiceRequest(id=request_id, service=service, action=action, **request))
        return request_id

    async def answer(self, action: str, **request: Any) -> DeskAnswer:
        return await self.answered(self.ask(action, **request))

    async def answered(self, request_id: str) -> DeskAnswer:
        """Return the first answer: what is secret stands in that alone."""
        await self.lab.state(request_id, "succeeded", "rejected", "failed")
        return self.lab.answers(request_id)[0]

    async def register(self, password: str = PASSWORD, email: str = ANNA) -> None:
        answer = await self.answer("register", data={"email": email}, secrets={"new_password": password})
        assert answer.state == "succeeded", answer.detail

    async def log_in(self, password: str = PASSWORD, user: str = ANNA, **more: Any) -> DeskAnswer:
        return await self.answer("log_in", user=user, data={"device": "phone"}, secrets={"password": password}, **more)

    def notes(self) -> Mapping[str, Any]:
        loaded: Mapping[str, Any] = self.lab.backend.context.store.load().services.get(RULE, {})
        return loaded


@asynccontextmanager
async def people(path: Path, **changes: Any) -> AsyncIterator[PeopleBackend]:
    async with running(path / "store.sqlite", **changes) as lab:
        yield PeopleBackend(lab)


async def test_a_person_registers_logs_in_and_asks_in_the_session(tmp_path: Path) -> None:
    async with people(tmp_path) as backend:
        await backend.register()
        answer = await backend.log_in()
        assert answer.secrets is not None
        session = answer.secrets["session"]
        shown = await backend.answer("show", session=session, user="somebody else")
        assert (shown.data or {})["email"] == ANNA
        assert (await backend.answer("show", session="fleet_another")).reason == "insufficient_rights"
        renewed = await backend.answer("refresh", secrets={"refresh": answer.secrets["refresh"]})
        assert (renewed.secrets or {})["session"] != session
        assert (await backend.answer("show", session=session)).reason == "insufficient_rights"


async def test_two_who_ask_under_one_id_side_by_side_are_both_answered_and_one_is_told_nothing(tmp_path: Path) -> None:
    async with people(tmp_path) as backend:
        await backend.register()
        await backend.register(email="bea@example.com")
        for user in (ANNA, "bea@example.com"):
            backend.ask("log_in", asked_as="x", user=user, data={"device": "phone"}, secrets={"password": PASSWORD})
        await backend.lab.session.wait_for(lambda: {each.reason for each in backend.lab.answers("x")} == {None, "malformed"})


async def test_wrong_passwords_are_wrong_and_as_slow_whoever_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_against: list[bool] = []
    verify = PasswordVault.verify

    def counting(vault: PasswordVault, password: str, against: str | None) -> bool:
        held_against.append(against is not None)
        return verify(vault, password, against)

    async with people(tmp_path) as backend:
        await backend.register()
        monkeypatch.setattr(PasswordVault, "verify", counting)
        for user in (ANNA, "bo@example.com"):
            assert (await backend.log_in("wrong horse", user)).reason == "wrong_credentials"
        assert held_against == [True, False]


async def test_guesses_side_by_side_do_not_pass_the_bound(tmp_path: Path) -> None:
    async with people(tmp_path) as backend:
        await backend.register()
        guesses = [*(f"wrong horse {number}" for number in range(20)), PASSWORD]
        ids = [
            backend.ask("log_in", user=ANNA, data={"device": "phone"}, secrets={"password": guess}, origin=str(number))
            for number, guess in enumerate(guesses)
        ]
        answers = [await backend.lab.state(each, "succeeded", "rejected") for each in ids]
        reasons = Counter(answer.reason for answer in answers)
        assert reasons == {"wrong_credentials": TRIES, "too_many_tries": len(guesses) - TRIES}


async def test_a_request_that_is_repeated_is_proven_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At QoS 0 it comes again until it is answered: while its proof is under way, and after."""
    gate, verified = threading.Event(), []
    verify = PasswordVault.verify

    def slow(vault: PasswordVault, password: str, against: str | None) -> bool:
        verified.append(against)
        assert gate.wait(20)
        return verify(vault, password, against)

    monkeypatch.setattr(PasswordVault, "verify", slow)
    async with people(tmp_path) as backend:
        await backend.register()
        for _ in range(5):
            backend.ask("log_in", asked_as="again", user=ANNA, data={"device": "phone"}, secrets={"password": PASSWORD})
        gate.set()
        first = await backend.answered("again")
        backend.ask("log_in", asked_as="again", user=ANNA, data={"device": "phone"}, secrets={"password": PASSWORD})
        await backend.lab.session.wait_for(lambda: len(backend.lab.answers("again")) == 3)
        assert len(verified) == 1
        assert first.secrets is not None
        assert [answer.secrets for answer in backend.lab.answers("again")[1:]] == [None, None], "a secret is told once"
        assert len([key for key in backend.notes() if key.startswith("session/")]) == 1


async def test_what_does_not_fit_into_the_queue_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, verify = threading.Event(), PasswordVault.verify

    def slow(vault: PasswordVault, password: str, against: str | None) -> bool:
        assert gate.wait(20)
        return verify(vault, password, against)

    monkeypatch.setattr(PasswordVault, "verify", slow)
    async with people(tmp_path) as backend:
        await backend.register()
        for number in range(MOST + 1):
            backend.ask("log_in", asked_as=f"n{number}", user=ANNA, data={"device": "x"}, secrets={"password": PASSWORD})
        assert (await backend.lab.state(f"n{MOST}", "rejected")).reason == "busy"
        assert not backend.lab.answers("n0")
        assert (await backend.answer("show", user=ANNA)).state == "succeeded", "who needs no hash does not wait"
        gate.set()
        await backend.lab.state(f"n{MOST - 1}", "succeeded")


async def test_a_password_of_a_megabyte_is_hashed_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dialect refuses what is above 64 KiB before it reads it; what is below is refused by its length."""
    hashed: list[int] = []

    def hash_it(_vault: PasswordVault, password: str) -> str:
        hashed.append(len(password))
        return "$argon2id$x"

    def verify(_vault: PasswordVault, password: str, _against: str | None) -> bool:
        hashed.append(len(password))
        return False

    async with people(tmp_path) as backend:
        monkeypatch.setattr(PasswordVault, "hash", hash_it)
        monkeypatch.setattr(PasswordVault, "verify", verify)
        answer = await backend.answer("register", data={"email": ANNA}, secrets={"new_password": "x" * 1_000_000})
        assert (answer.reason, answer.detail) == ("malformed", "size")
        for length in (60_000, 257, 7):
            answer = await backend.answer("register", data={"email": ANNA}, secrets={"new_password": "x" * length})
            assert answer.reason == "malformed"
            assert "characters" in (answer.detail or "")
        for length in (60_000, 257):
            assert (await backend.log_in("x" * length)).reason == "malformed"
        assert hashed == []
        assert not backend.notes()


async def test_a_change_of_the_password_while_one_is_held_against_the_old_makes_that_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun, verify = threading.Event(), threading.Event(), PasswordVault.verify

    def slow(vault: PasswordVault, password: str, against: str | None) -> bool:
        if not begun.is_set():
            begun.set()
            assert gate.wait(20)
        return verify(vault, password, against)

    async with people(tmp_path) as backend:
        await backend.register()
        monkeypatch.setattr(PasswordVault, "verify", slow)
        first = backend.ask("log_in", user=ANNA, data={"device": "x"}, secrets={"password": PASSWORD})
        second = backend.ask("change_password", user=ANNA, secrets={"password": PASSWORD, "new_password": "another horse"})
        await backend.lab.session.wait_for(lambda: bool(backend.lab.answers(first) or backend.lab.answers(second)))
        gate.set()
        answers = [(await backend.lab.state(each, "succeeded", "rejected")).reason for each in (first, second)]
        assert answers == ["wrong_credentials", None]


async def test_an_error_of_hashing_is_no_try_and_shows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_vault: PasswordVault, password: str, _against: str | None) -> bool:
        raise MemoryError(password)

    async with people(tmp_path) as backend:
        await backend.register()
        monkeypatch.setattr(PasswordVault, "verify", broken)
        with capture_logs() as logs:
            for _ in range(TRIES + 1):
                assert (await backend.log_in()).reason == "busy"
        assert {log["error"] for log in logs if log["event"] == "secrets could not be proven"} == {"MemoryError"}
        assert PASSWORD not in str(logs)
        monkeypatch.undo()
        assert (await backend.log_in()).state == "succeeded"


async def test_a_restart_forgets_no_account_and_no_session(tmp_path: Path) -> None:
    async with people(tmp_path) as backend:
        await backend.register()
        session = ((await backend.log_in()).secrets or {})["session"]
    async with people(tmp_path) as backend:
        assert (await backend.answer("show", session=session)).state == "succeeded"
        assert (await backend.log_in()).state == "succeeded"


async def test_an_spin_of_an_account_is_set_checked_by_the_desk_and_unlocked_by_another_password(tmp_path: Path) -> None:
    async with people(tmp_path) as backend:
        await backend.register()
        session = ((await backend.log_in()).secrets or {})["session"]
        assert (await backend.answer("set_spin", session=session, secrets={"new_spin": "12345"})).reason == "malformed"
        assert (await backend.answer("set_spin", user=ANNA, secrets={"new_spin": "4711"})).reason == "malformed"
        assert (await backend.answer("set_spin", session=session, secrets={"new_spin": "4711"})).state == "succeeded"
        outcomes: list[str | None] = []

        def told(outcome: SpinChecked) -> None:
            outcomes.append(outcome.refused)
            backend.lab.session.changed()

        desk = backend.lab.backend.desk
        for number, spin in enumerate(("4711", "0000", "0001", "0002", "4711")):
            desk.check_spin(f"c{number}", "p1", spin, told)
        await backend.lab.session.wait_for(lambda: len(outcomes) == 5)
        assert outcomes == [None, "spin_wrong", "spin_wrong", "spin_wrong", "spin_locked"]
        await backend.answer("change_password", user=ANNA, secrets={"password": PASSWORD, "new_password": "another horse"})
        desk.check_spin("c9", "p1", "4711", told)
        await backend.lab.session.wait_for(lambda: len(outcomes) == 6)
        assert outcomes[-1] is None


# --- cars


def typed(seq: int, spin: str, user: str = "p1", **odd: Any) -> Request:
    """Return the request of a car on whose screen somebody logs in to enrol."""
    sealed = seal(key_of(SIMULATED_CARS_SECRET, G3), G3, f"q{seq}", spin)
    data = {"way": "assistant", "step": "begin", "user": user, "sealed_spin": sealed}
    return Request(vin=G3, boot=BOOT, seq=seq, captured_at=BOOT + seq, id=f"q{seq}", name="enrolment", data=data | odd)


def replies(backend: PeopleBackend) -> dict[str, tuple[str | None, dict[str, Any]]]:
    frames = [frame for frame in backend.lab.session.published if f"/{G3}/reply/" in frame.topic]
    read = [reply for frame in frames if isinstance(reply := DIALECT.read_to_car(frame), Reply)]
    return {reply.id: (reply.error, reply.data) for reply in read}


async def told(backend: PeopleBackend, *asked: Request) -> list[str | None]:
    for request in asked:
        backend.lab.session.deliver(*car(request))
    await backend.lab.session.wait_for(lambda: replies(backend).keys() >= {request.id for request in asked})
    return [replies(backend)[request.id][0] for request in asked]


async def test_a_pairing_code_is_kept_in_a_way_that_the_store_alone_does_not_tell(tmp_path: Path) -> None:
    def typed_code(seq: int, code: str) -> Request:
        data = {"way": "code", "code": code}
        return Request(vin=ATECA, boot=BOOT, seq=seq, captured_at=BOOT + seq, id=f"q{seq}", name="enrolment", data=data)

    async with people(tmp_path) as backend:
        seeded = await backend.answer(
            "seed", service="people", data={"persons": [{"email": ANNA}]}, secrets={"new_password": PASSWORD}
        )
        assert seeded.state == "succeeded", seeded.detail
        begun = await backend.answer("begin", service="enrol", vin=ATECA, user=ANNA, data={"way": "code"})
        assert begun.secrets is not None, begun.detail
        code = begun.secrets["code"]
        kept = backend.notes()[f"car/{ATECA}"]["enrolments"]["p1"]["code"]
        assert kept.startswith("sha256:")
        assert kept != digest_of(code)
        for number, each in enumerate(("00000000", code), 1):
            backend.lab.session.deliver(*car(typed_code(number, each)))
        await backend.lab.session.wait_for(lambda: backend.notes()[f"car/{ATECA}"].get("users", {}).keys() == {"p1"})


async def with_spin(backend: PeopleBackend) -> None:
    await backend.register()
    secrets = {"password": PASSWORD, "new_spin": "4711"}
    assert (await backend.answer("set_spin", user=ANNA, secrets=secrets)).state == "succeeded"


async def test_an_spin_typed_in_a_car_counts_with_those_typed_elsewhere(tmp_path: Path) -> None:
    async with people(tmp_path) as backend:
        await with_spin(backend)
        assert await told(backend, typed(1, "4711")) == ["address_not_confirmed"]
        wrong = [typed(number, f"000{number}") for number in range(2, 5)]
        assert await told(backend, *wrong) == ["spin_wrong"] * 3
        assert await told(backend, typed(5, "4711")) == ["spin_locked"]
        with backend.lab.reader() as reader:
            assert [row.kind for row in reader.mails()] == ["spin_locked", "confirm_address"]


async def test_what_was_not_sealed_for_this_request_is_no_try(tmp_path: Path) -> None:
    """Such as the sealed text of an earlier request, which anybody may have seen."""
    async with people(tmp_path) as backend:
        await with_spin(backend)
        seen = typed(1, "4711").data["sealed_spin"]
        odd = [typed(2, "4711", sealed_spin=seen), typed(3, "4711", sealed_spin="x"), typed(4, "4711", sealed_spin=7)]
        assert await told(backend, *odd) == ["malformed"] * 3
        assert await told(backend, typed(5, "4711", user="p9"), typed(6, "12345")) == ["insufficient_rights", "malformed"]
        assert await told(backend, typed(7, "4711")) == ["address_not_confirmed"]


async def test_a_request_that_comes_again_counts_one_try(tmp_path: Path) -> None:
    async with people(tmp_path) as backend:
        await with_spin(backend)
        request = typed(1, "0000")
        assert await told(backend, *[request] * 5) == ["spin_wrong"] * 5
        assert await told(backend, typed(2, "4711")) == ["address_not_confirmed"]


# --- sessions and the clock


async def with_session(backend: PeopleBackend, relogin_min: int) -> str:
    await backend.register()
    session = ((await backend.log_in()).secrets or {})["session"]
    done = await backend.answer("settings", session=session, data={"relogin_min": relogin_min})
    assert done.state == "succeeded"
    return session


async def announce(backend: PeopleBackend, start: int, number: int) -> None:
    """Set scenario time, so slow that it stands."""
    request = AnnounceClock(id=f"clock-{number}", start=start, epoch_wall_us=wall_us(), factor=0.001)
    backend.lab.ask(request)
    await backend.lab.state(request.id, "succeeded")


async def test_a_clock_that_is_announced_anew_leaves_a_session_what_was_left(tmp_path: Path) -> None:
    async with people(tmp_path) as backend:
        await announce(backend, BOOT, 1)
        session = await with_session(backend, 5)
        for number, start in enumerate((BOOT - 365 * DAY, BOOT + 365 * DAY), 2):
            await announce(backend, start, number)
            assert (await backend.answer("show", session=session)).state == "succeeded"
            ends = backend.notes()[f"session/{digest_of(session)}"]["ends"]
            assert abs(ends - start - HOUR) < SECOND


class Minutes:
    """Scenario time in the test's hand."""

    factor = 1.0

    def __init__(self) -> None:
        self.at = BOOT

    def now(self) -> int:
        return self.at

    def wall_us(self) -> int:
        return wall_us()

    def at_wall_us(self, wall_us: int) -> int:
        return self.at

    def wall_us_at(self, instant: int) -> int:
        return wall_us()

    def call_at(self, instant: int, callback: Any, not_before_s: float = 0.0, not_after_s: float = 0.0) -> Any:
        return asyncio.get_running_loop().call_later(3600, callback)


async def test_a_command_in_a_session_is_a_use_of_it(tmp_path: Path) -> None:
    """Refused or not: somebody is there. It is noted when the last one is some seconds old, and not before."""
    clock = Minutes()
    known: dict[str, Any] = {"make_clock": lambda start, *, factor, epoch_wall_us: clock, "clock_is_known": True}
    async with people(tmp_path, **known) as backend:
        session = await with_session(backend, 5)
        key = f"session/{digest_of(session)}"
        for number in range(4):
            clock.at += 4 * MINUTE
            backend.lab.command(f"c{number}", "refresh", parameters={}, session=session)
            await backend.lab.state(f"c{number}", "rejected")
            clock.at += 10 * SECOND
            backend.lab.command(f"d{number}", "refresh", parameters={}, session=session)
            await backend.lab.state(f"d{number}", "rejected")
            assert backend.notes()[key]["used"] == clock.at - 10 * SECOND
        clock.at += 5 * MINUTE
        assert (await backend.answer("show", session=session)).reason == "insufficient_rights"
