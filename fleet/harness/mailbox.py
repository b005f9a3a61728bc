"""The mailbox of a person in a test: the mails and pushes that the back end has delivered, in their words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fleet.backend.mail.letter import Channel, Letter
from fleet.backend.mail.texts import LINKS, worded
from fleet.harness.durations import duration
from fleet.harness.steps import Steps, step
from fleet.harness.surroundings import Surroundings
from fleet.kernel.instants import Instant
from fleet.runtime.people.mailboxes import PostOffice
from fleet.runtime.people.person import Person

_PATIENCE: Final = "10 min"
_SOON_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class HarnessMail:
    """A mail or push as its receiver reads it; `at` is the cars' time, `link` the address of a link in it, "" without one."""

    kind: str
    channel: Channel
    language: str
    subject: str
    text: str = field(repr=False)
    data: Mapping[str, Any]
    vin: str
    at: Instant
    link: str = field(default="", repr=False)


class HarnessMailbox:
    """What one person was sent. A wait takes the first mail of its kind after the one that the last wait took."""

    def __init__(self, world: Surroundings, office: PostOffice, person: Person) -> None:
        self._world = world
        self._office = office
        self._person = person
        self._taken = 0

    @property
    def steps(self) -> Steps:
        return self._world.steps

    @property
    def mails(self) -> list[HarnessMail]:
        """All mails and pushes, the oldest first."""
        names = [name for name in (self._person.email, self._person.account) if name]
        return [_read(letter) for letter in self._office.letters_to(*names)]

    @property
    def kinds(self) -> list[str]:
        """Their kinds, in their order."""
        return [mail.kind for mail in self.mails]

    @step
    async def gets(self, kind: str, *, within: str | float = _PATIENCE) -> HarnessMail:
        """Expect a mail of a kind, and return it. Time moves as far as needed, at most `within`."""

        def place() -> int | None:
            found = (at for at, mail in enumerate(self.mails) if at >= self._taken and mail.kind == kind)
            return next(found, None)

        def has_come() -> bool:
            return place() is not None

        # What is due has its effect in real time, of which the cars' time knows nothing.
        stage, limit = self._world.stage, self._world.now + duration(within)
        if not (await stage.wait(has_come, _SOON_S) or await self._world.until(has_come, limit) or await stage.wait(has_come)):
            told = ", ".join(self.kinds[self._taken :]) or "none"
            self._world.fail(f"{self._person.name} got no mail of the kind {kind} within {within}; since the last: {told}")
        at = place()
        assert at is not None
        self._taken = at + 1
        return self.mails[at]


def _read(letter: Letter) -> HarnessMail:
    text = worded(letter)
    link = next((word for word in text.body.split() if word.startswith(LINKS)), "")
    return HarnessMail(
        letter.kind, letter.channel, text.language, text.subject, text.core, letter.data, letter.vin, letter.at, link
    )  # fmt: skip
