"""Service partners: they get a notice when a car is due for service or has a fault, so that somebody contacts its user.

The preferred partner is, and contacts the user by e-mail or phone. Without one nobody is told, until one is chosen; what came
before is not told later (ours). When a partner closes, its users are told and choose again. Whoever switches automatic scheduling
off is left alone. What the primary user of a car with people has chosen is nothing to the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal

import msgspec

from fleet.cloud.rule import Done, Notify, RequestRefused, Rule, RuleOutput
from fleet.kernel.instants import Instant
from fleet.wire.messages import Event, ServiceRequest

State = Literal["awaiting_activation", "active", "switched_off", "partner_closed"]

LONGEST_NAME: Final = 80
_CAR: Final = "car/"
_CLOSED: Final = "closed/"


class _Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what can be asked: an unknown word is malformed."""


class Choose(_Asked, frozen=True, kw_only=True):
    """The user wants this partner, and to be contacted by it like this."""

    partner: str
    contact: Literal["email", "phone"] = "email"


class Automatic(_Asked, frozen=True, kw_only=True):
    """The user switches automatic scheduling on or off."""

    on: bool


class Close(_Asked, frozen=True, kw_only=True):
    """This partner exists no more."""

    partner: str


class Show(_Asked, frozen=True, kw_only=True):
    pass


ACTIONS: Final[dict[str, type[_Asked]]] = {"choose": Choose, "automatic": Automatic, "close": Close, "show": Show}


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """The choices of the user of a car; `by` is the account of its primary user, "" where nobody knows who that is."""

    partner: str | None = None
    contact: Literal["email", "phone"] = "email"
    automatic: bool = True
    closed: bool = False
    by: str = ""

    @property
    def state(self) -> State:
        """Return the outputs for an event of this car."""
        if self.partner is None:
            return "awaiting_activation"
        if self.closed:
            return "partner_closed"
        return "active" if self.automatic else "switched_off"


class FaultTold(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the event `fault` that the partner needs."""

    id: str
    text: str
    category: str
    priority: int
    mileage_km: float


class ServiceDueTold(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the event `service_due` that the partner needs."""

    service: str
    left_km: float
    left_days: int


_TOLD: Final[dict[str, type[msgspec.Struct]]] = {"fault": FaultTold, "service_due": ServiceDueTold}


class PartnerRule(Rule):
    """Knows each car's preferred partner, and which partners are closed."""

    name: ClassVar[str] = "partner"
    events: ClassVar[frozenset[str]] = frozenset(_TOLD)

    def preference(self, vin: str) -> Preference:
        """Return what is preferred for a car; nothing for one that nobody has asked about, or that has another primary user."""
        kept = msgspec.convert(self.notes.get(_CAR + vin, {}), Preference)
        primary = self._primary(vin)
        return kept if primary in {None, kept.by} else Preference()

    def _primary(self, vin: str) -> str | None:
        """Return the account of the primary user; None for a car without people, "" while a car with people has none."""
        rights = self.rights_of(vin)
        return None if rights is None or not rights.people else rights.primary or ""

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002 (its own time counts)
        """Return a notice to the partner, if there is one."""
        preference = self.preference(event.vin)
        if preference.state != "active":
            return ()
        try:
            told = msgspec.convert(event.data, _TOLD[event.name])
        except msgspec.ValidationError:
            return ()  # no car of ours says that
        who = {"partner": preference.partner, "contact_by": preference.contact, "happened_at": event.captured_at}
        return [Notify(event.vin, "service_partner", event.name, who | msgspec.structs.asdict(told))]

    def asked(self, request: ServiceRequest, now: Instant) -> Done | RequestRefused:  # noqa: ARG002 (nothing depends on the time)
        """Choose a partner, switch automatic scheduling, close a partner, or show what holds for a car."""
        wanted = ACTIONS.get(request.action)
        if wanted is None:
            return RequestRefused("unsupported", f"partner knows {', '.join(sorted(ACTIONS))}, not {request.action[:40]!r}")
        try:
            words = msgspec.convert(request.data, wanted)
        except msgspec.ValidationError as error:
            return RequestRefused("malformed", str(error))
        if isinstance(words, Close):
            return self._close(words)
        if request.vin is None:
            return RequestRefused("malformed", f"{request.action} needs the VIN of a car")
        before = self.preference(request.vin)
        if isinstance(words, Choose):
            return self._choose(request.vin, before, words)
        if isinstance(words, Automatic):
            return self._keep(request.vin, msgspec.structs.replace(before, automatic=words.on))
        return Done(data=_shown(before))

    def _choose(self, vin: str, before: Preference, words: Choose) -> Done | RequestRefused:
        if (wrong := _misnamed(words.partner)) is not None:
            return wrong
        if _CLOSED + words.partner in self.notes:
            return RequestRefused("partner_closed", f"{words.partner} is closed; choose another one")
        return self._keep(vin, msgspec.structs.replace(before, partner=words.partner, contact=words.contact, closed=False))

    def _keep(self, vin: str, preference: Preference) -> Done:
        kept = msgspec.to_builtins(msgspec.structs.replace(preference, by=self._primary(vin) or ""))
        self.notes[_CAR + vin] = kept if kept["by"] else {name: value for name, value in kept.items() if name != "by"}
        return Done(data=_shown(preference))

    def _close(self, words: Close) -> Done | RequestRefused:
        """Note it, and tell the user of each car that had chosen this partner; once, however often it is asked."""
        if (wrong := _misnamed(words.partner)) is not None:
            return wrong
        self.notes[_CLOSED + words.partner] = True
        left = [vin for vin in self._vins() if _has(self.preference(vin), words.partner)]
        for vin in left:
            self._keep(vin, msgspec.structs.replace(self.preference(vin), closed=True))
        told = [Notify(vin, "primary_user", "partner_closed", {"partner": words.partner}) for vin in left]
        return Done(told, {"cars": len(left)})

    def _vins(self) -> list[str]:
        return [key.removeprefix(_CAR) for key in self.notes if key.startswith(_CAR)]


def _has(preference: Preference, partner: str) -> bool:
    return preference.partner == partner and not preference.closed


def _misnamed(partner: str) -> RequestRefused | None:
    if len(partner.strip()) > 0 and len(partner) <= LONGEST_NAME:
        return None
    return RequestRefused("argument_out_of_range", f"a partner's name has 1 to {LONGEST_NAME} characters")


def _shown(preference: Preference) -> dict[str, Any]:
    return {"state": preference.state, "partner": preference.partner, "contact": preference.contact}
