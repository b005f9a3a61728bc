"""The actions of the services of the back end, from actions.toml, for tools, scenarios and docs.

Each rule judges itself what it is asked; that both say the same is a test's affair.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib import resources

import msgspec

from fleet.cloud.rights import Role
from fleet.wire.services import Parameter


class ActionEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One action of a service. With `car` it is about one car, by its VIN; a list of cars is the parameter `cars`.

    `example` are the words behind it on a command line. `answer` tells each name of the answer's data, or `answers_as` that it is
    that of another action; `reasons` are why the service may refuse what is right by its form. With `plans_as` it may do that
    other action first: then it takes its parameters, too. `secrets` are those that it wants (`password`, `spin` …), by their
    names, beside its parameters; one with a `?` behind it may be left out. `may` are the roles that may ask it about a car with
    people (none: a matter of its own rule), `consent` is the purpose to which they must have consented. With `operator` it is for
    whoever runs the service, and for tests: no app may ask it.
    """

    summary: str
    example: str
    car: bool = False
    plans_as: str | None = None
    parameters: dict[str, Parameter] = {}
    answer: dict[str, str] = {}
    answers_as: str | None = None
    reasons: tuple[str, ...] = ()
    may: tuple[Role, ...] = ()
    operator: bool = False
    consent: str | None = None
    secrets: tuple[str, ...] = ()


class ServiceEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service of the back end; nothing can be asked of one without actions. `notices`: what it tells whom.

    `consent`: the purpose to which a primary user must have consented before it makes anything of what the car tells.
    """

    summary: str
    actions: dict[str, ActionEntry] = {}
    notices: dict[str, tuple[str, ...]] = {}
    consent: str | None = None

    def parameters(self, action: str, given: Collection[str]) -> dict[str, Parameter]:
        """Return what an action takes, asked with these words: with any that is not its own, all of what it may do first."""
        entry = self.actions[action]
        if entry.plans_as is None or entry.parameters.keys() >= set(given):
            return entry.parameters
        return self.actions[entry.plans_as].parameters | entry.parameters

    def answer(self, action: str) -> dict[str, str]:
        """Return what each name of an action's answer means."""
        entry = self.actions[action]
        return entry.answer if entry.answers_as is None else self.answer(entry.answers_as)


@cache
def load_actions() -> dict[str, ServiceEntry]:
    """Return the services by name, from the package's own file."""
    text = resources.files("fleet.cloud").joinpath("actions.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=dict[str, ServiceEntry])
