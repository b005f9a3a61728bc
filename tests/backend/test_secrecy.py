"""Nothing secret is left anywhere: in no store, journal, log or repr, whatever is asked, live or in virtual time.

Each action of each service about people is asked with secrets drawn by chance, in its place and where they do not belong; then
all that is left is searched for them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fleet import __version__
from fleet.backend.centre_driver import SECRETS
from fleet.backend.mail.letter import Letter
from fleet.backend.service import Backend
from fleet.cloud.actions import load_actions
from fleet.cloud.people.rule import PeopleRule
from fleet.kernel.schedule import Schedule
from fleet.observe.journal import Begin, JournalWriter, journal_lines
from fleet.runtime.backend_configs import live_backend, virtual_backend
from fleet.runtime.journalling import BackendRecorder
from fleet.runtime.reexecution import Reexecution
from fleet.runtime.virtual_loop import run_virtually
from fleet.wire.messages import DeskAnswer, Request, ServiceRequest
from fleet.wire.sealing import SIMULATED_CARS_SECRET, key_of, seal
from tests.backend.fake_link import FakeSession
from tests.backend.lab import BOOT, BackendLab, car
from tests.cloud.people.lab import DETAILS

ANNA = "anna@example.com"
CAR = "VSSZZZKLZPR000001"
NAMES = ("password", "new_password", "spin", "new_spin", "link", "refresh", "code")


@dataclass(frozen=True)
class Secrets:
    """What is typed and told in one story: passwords, an S-PIN, and the tokens that came back."""

    password: str
    another: str
    spin: str
    told: set[str] = field(default_factory=set)

    def given(self) -> dict[str, str]:
        words = dict.fromkeys(NAMES, self.password) | {"new_password": self.another, "spin": self.spin, "new_spin": self.spin}
        return words | {"link": f"link {self.another}", "refresh": f"refresh {self.another}", "code": f"code {self.another}"}

    def found_in(self, text: str) -> list[str]:
        """Return those that stand in a text, as such or as JSON writes them."""
        long = [self.password, self.another, *self.told]
        plain = [secret for secret in long if secret in text or ascii(secret)[1:-1] in text]
        return plain + [self.spin] * bool(re.search(rf"(?<![0-9a-fA-F.]){self.spin}(?![0-9a-fA-F.])", text))


passwords = st.text(st.characters(categories=["Lu", "Ll", "Lo"]), max_size=30).map(lambda text: f"correct horse {text}")
some_secrets = st.builds(Secrets, passwords, passwords, st.sampled_from(["9071", "7309", "0853"]))


class Mailbox:
    """Keeps what is mailed."""

    is_quick: bool = True

    def __init__(self, told: Callable[[], None]) -> None:
        self.letters: list[Letter] = []
        self._told = told

    def deliver(self, letter: Letter, hand_over: Callable[[], None]) -> None:
        self.letters.append(letter)
        self._told()

    def remove(self, letter: Letter) -> None:
        """Nobody erases anything here."""


class Story:
    """Everything that can be asked about people, asked of one back end."""

    def __init__(self, lab: BackendLab, mails: Mailbox, secrets: Secrets) -> None:
        self.lab = lab
        self.mails = mails
        self.secrets = secrets
        self.reprs: list[str] = []
        self._count = 0

    async def ask(self, action: str, service: str = "account", **words: Any) -> DeskAnswer:
        self._count += 1
        request = ServiceRequest(id=f"ask-{self._count}", service=service, action=action, **words)
        self.reprs.append(repr(request))
        self.lab.ask(request)
        await self.lab.state(request.id, "succeeded", "rejected", "failed")
        first = self.lab.answers(request.id)[0]
        self.reprs.append(repr(first))
        self.secrets.told.update((first.secrets or {}).values())
        return first

    async def done(self, action: str, **words: Any) -> DeskAnswer:
        answer = await self.ask(action, **words)
        assert answer.state == "succeeded", (action, answer.reason, answer.detail)
        return answer

    async def link(self, kind: str) -> dict[str, str]:
        await self.lab.session.wait_for(lambda: any(letter.kind == kind for letter in self.mails.letters))
        letter = next(letter for letter in self.mails.letters if letter.kind == kind)
        self.secrets.told.add(letter.secret)
        return {"link": letter.secret}

    async def tell(self) -> None:
        one, two, spin = self.secrets.password, self.secrets.another, self.secrets.spin
        await self.done("register", data={"email": ANNA}, secrets={"new_password": one})
        await self.done("confirm", secrets=await self.link("confirm_address"))
        await self.done("complete", user=ANNA, data=dict(DETAILS))
        await self.done("change_password", user=ANNA, secrets={"password": one, "new_password": two})
        await self.done("forgot_password", user=ANNA)
        await self.done("reset_password", secrets={**await self.link("password_reset"), "new_password": one})
        held = (await self.done("log_in", user=ANNA, data={"device": "phone"}, secrets={"password": one})).secrets or {}
        await self.done("set_spin", session=held["session"], secrets={"new_spin": spin})
        await self.done("set_spin", user=ANNA, secrets={"new_spin": spin, "password": one})
        held = (await self.done("refresh", secrets={"refresh": held["refresh"]})).secrets or {}
        for seq, typed in enumerate((spin, "0001"), 1):
            self.type_in_car(seq, typed)
        for service in sorted(PeopleRule.serves):
            for action, entry in load_actions()[service].actions.items():
                vin = CAR if entry.car else None
                for words in ({"user": ANNA}, {"session": held["session"]}):
                    await self.ask(action, service, vin=vin, secrets=self.secrets.given(), origin="192.0.2.7", **words)
        for name in SECRETS:
            assert (await self.ask("show", user=ANNA, data={name: two})).reason == "malformed"

    def type_in_car(self, seq: int, spin: str) -> None:
        sealed = seal(key_of(SIMULATED_CARS_SECRET, CAR), CAR, f"q{seq}", spin)
        data = {"user": "p1", "sealed_spin": sealed}
        asked = Request(vin=CAR, boot=BOOT, seq=seq, captured_at=BOOT + seq, id=f"q{seq}", name="log_in", data=data)
        self.reprs.append(repr(asked))
        self.lab.session.deliver(*car(asked))


async def run(kind: str, folder: Path, secrets: Secrets, schedule: Schedule) -> list[str]:
    """Run the story, and return the reprs of all that was asked and answered."""
    session = FakeSession()
    mails = Mailbox(session.changed)
    store, journal = folder / "store.sqlite", folder / "journal.jsonl"
    config = (
        live_backend(store, session, key=1, password=None) if kind == "live" else virtual_backend(store, session, schedule, key=1)
    )
    writer = JournalWriter(journal, Begin(0, "run", "begin", version=__version__, parts=("backend",)))
    hooks = BackendRecorder(writer)
    backend = Backend(hooks.applied(replace(config, echo=None, ways={"mail": mails})))
    hooks.follow(backend.clock.known_now)
    async with backend:
        story = Story(BackendLab(store, session, backend), mails, secrets)
        await story.tell()
    writer.close(0, {})
    return [*story.reprs, repr(config), repr(backend)]


def left_in(folder: Path, secrets: Secrets) -> list[tuple[str, list[str]]]:
    """Return what is found of the secrets in the files of a run."""
    texts = [("journal", "\n".join(line.decode() for line in journal_lines(folder / "journal.jsonl")))]
    texts += [(path.name, path.read_bytes().decode("utf-8", "replace")) for path in folder.glob("store.sqlite*")]
    return [(name, found) for name, text in texts if (found := secrets.found_in(text))]


def check(
    kind: str, folder: Path, secrets: Secrets, run_it: Callable[[Coroutine[Any, Any, list[str]], Schedule], list[str]]
) -> None:
    schedule = Schedule(BOOT)
    with capture_logs() as logs:
        reprs = run_it(run(kind, folder, secrets, schedule), schedule)
    assert len(secrets.told) >= 6, "sessions, what renews them, and links"
    assert left_in(folder, secrets) == []
    assert secrets.found_in(str(logs)) == []
    assert secrets.found_in("\n".join(reprs)) == []
    assert Reexecution(folder / "journal.jsonl").run().difference is None


@settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secrets=some_secrets)
def test_nothing_secret_is_left_of_a_live_run(secrets: Secrets, tmp_path_factory: pytest.TempPathFactory) -> None:
    check("live", tmp_path_factory.mktemp("live"), secrets, lambda main, _schedule: asyncio.run(main))


@settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secrets=some_secrets)
def test_nothing_secret_is_left_of_a_virtual_run(secrets: Secrets, tmp_path_factory: pytest.TempPathFactory) -> None:
    check("virtual", tmp_path_factory.mktemp("virtual"), secrets, run_virtually)


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """In clear, as JSON writes it, and an S-PIN that is no part of a longer number."""
    secrets = Secrets("ächzend und krächzend", "another horse", "0853", {"fleet_abc"})
    for text in ("ächzend und krächzend", '"\\xe4chzend und kr\\xe4chzend"', "an another horse", "fleet_abc", '"spin":"0853"'):
        assert secrets.found_in(text), text
    assert secrets.found_in("10853 0853.5 a0853") == []


def test_journals_of_one_seed_are_the_same_though_salts_differ(tmp_path: Path) -> None:
    journals = []
    for name in ("one", "two"):
        (folder := tmp_path / name).mkdir()
        schedule = Schedule(BOOT)
        run_virtually(run("virtual", folder, Secrets("correct horse", "another horse", "0853"), schedule), schedule)
        journals.append((folder / "journal.jsonl").read_bytes())
    assert journals[0] == journals[1]
