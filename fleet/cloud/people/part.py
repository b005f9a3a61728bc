"""The shape of a part of the rules about people: one chapter, on the state that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import msgspec

from fleet.cloud.actions import ActionEntry, load_actions
from fleet.cloud.online import REPLY_LIFETIME
from fleet.cloud.people.people import People
from fleet.cloud.people.records import CarPeople
from fleet.cloud.rule import CommandEnded, Done, Proof, RequestRefused, RuleOutput, SendReply, ServiceAsked
from fleet.errors import FleetError, Undecodable
from fleet.kernel.instants import Duration, Instant
from fleet.wire.messages import Event, Reply, Request, ServiceRequest
from fleet.wire.services import misfit

WordsT = TypeVar("WordsT", bound="Words")


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the words of an action: an unknown one is malformed."""


class Refused(FleetError):
    """What was asked is not done. A reason for machines, words for people, and who else is told of it."""

    def __init__(self, reason: str, detail: str, outputs: Sequence[RuleOutput] = ()) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.outputs = outputs


class Asking(msgspec.Struct, frozen=True):
    """What is asked of a part, and by whom."""

    asked: ServiceAsked
    now: Instant

    @property
    def vin(self) -> str:
        """The car it is about. Raises Refused without one."""
        vin = self.asked.request.vin
        if vin is None:
            raise Refused("malformed", f"{self.asked.request.service} {self.asked.request.action} needs the VIN of a car")
        return vin

    @property
    def person(self) -> str:
        """The account that asks. Raises Refused where that is nobody."""
        if self.asked.person is None:
            raise Refused("insufficient_rights", "nobody of that name has an account, or the session is over; log in")
        return self.asked.person

    def person_of(self, car: CarPeople) -> str:
        """Return the account that asks about a car: its primary user where nobody is named. Raises Refused."""
        asked = self.asked
        if asked.person is None and asked.request.user in {None, "primary"} and "session" not in asked.proofs:
            if car.primary is None:
                raise Refused("insufficient_rights", f"nobody has enrolled {car.vin}")
            return car.primary
        return self.person

    def as_user_of(self, car: CarPeople) -> None:
        """Raise Refused for who is no user of the car; whoever runs the service asks outside of an app, and as nobody."""
        asked = self.asked
        by_operator = asked.request.user in {None, "primary"} and "session" not in asked.proofs
        if not by_operator and asked.person not in car.users:
            raise Refused("insufficient_rights", "this person is no user of the car")

    def words(self, kind: type[WordsT]) -> WordsT:
        """Read the words of the action, within the ranges of the catalogue. Raises Refused."""
        request = self.asked.request
        service = load_actions().get(request.service)
        entry = None if service is None else service.actions.get(request.action)
        try:
            words = msgspec.convert(request.data, kind)
        except msgspec.ValidationError as error:
            raise Refused("malformed", str(error) if entry is None else _malformed(request, entry, error)) from None
        if entry is not None:
            wrong = misfit(entry.parameters, words)
            if wrong is not None:
                raise Refused("argument_out_of_range", wrong)
        return words

    def proof(self, name: str) -> Proof:
        """Return what became of a secret. Raises Refused when it was not given or could not be proven."""
        proof = self.asked.proofs.get(name)
        if proof is None:
            raise Refused("malformed", f"{self.asked.request.action} needs the secret {name!r}")
        if proof.refused is not None:
            raise Refused(proof.refused, proof.detail or f"the {name} could not be proven")
        return proof

    @property
    def session(self) -> str | None:
        """The digest of the token of the session in which it was asked, None outside of one."""
        proof = self.asked.proofs.get("session")
        return proof.digest if proof is not None and proof.right else None

    def fresh(self, number: int) -> str:
        """Return one of the words that nobody can guess."""
        return self.asked.fresh[number]


def _malformed(request: ServiceRequest, entry: ActionEntry, error: msgspec.ValidationError) -> str:
    """Return what is wrong with words, what was expected, and the example."""
    takes = entry.parameters
    unknown = next((name for name in request.data if name not in takes), None)
    missing = next((name for name, each in takes.items() if each.required and name not in request.data), None)
    if unknown is not None:
        wrong = f"there is no {unknown[:40]!r}; it takes {', '.join(takes) or 'nothing'}"
    elif missing is not None:
        wrong = f"{missing} is missing: {takes[missing].range_text or takes[missing].summary}"
    else:
        wrong = str(error)
    return f"{wrong}; such as fleet {request.service} {request.action} {entry.example}".rstrip()


Action = Callable[[Asking], Done]
"""Does an action, or raises Refused: then what it has put on shelves by then, such as a wrong try, stays."""


class Part:
    """One chapter. `service` is the name under which tools ask its `actions`. Does nothing by itself.

    All state stands in `people`: a part is made anew from it after a failure, so it holds nothing that does not follow from that.
    """

    service: ClassVar[str]
    events: ClassVar[frozenset[str]] = frozenset()
    requests: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, people: People) -> None:
        self.people = people

    def takes(self, request: Request) -> bool:  # noqa: ARG002
        """Tell whether a request of a car is for this part; if not, it goes to another rule that answers its name."""
        return True

    def actions(self) -> Mapping[str, Action]:
        """Return what can be asked, by its name."""
        return {}

    def hears(self, event: Event) -> bool:  # noqa: ARG002
        """Tell whether it wants an event of those that it names; as a rule it wants all."""
        return True

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Take an event of a car. It can be old: `captured_at` says when it happened."""
        return ()

    def request(self, request: Request, proofs: Mapping[str, Proof], now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Take a request of a car, and reply to it."""
        return ()

    def command_ended(self, ended: CommandEnded, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Take the end of a command that this part asked for, under an id that begins with its service and `-`."""
        return ()

    def has_pending_times(self) -> bool:
        """Tell whether `clock_moved` or `set_back` would change something."""
        return False

    def clock_moved(self, shift: Duration) -> None:
        """Move what is still to come (no date of a calendar) by this, as scenario time was set anew by it."""

    def set_back(self, now: Instant) -> None:
        """Let nothing that was by the clock before stand in the way of what is new: scenario time was set back to `now`."""

    def deadline(self) -> Instant | None:
        """Return when something is due."""
        return None

    def wake(self, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Do what is due."""
        return ()


def replied(
    request: Request, now: Instant, decide: Callable[[], tuple[dict[str, Any], Sequence[RuleOutput]]]
) -> Sequence[RuleOutput]:  # fmt: skip
    """Return what `decide` wants, and the reply with its data or the reason it raises. Nobody may wait for one any more."""
    until = request.expires_at
    if until is not None and now >= until:
        return ()
    data: dict[str, Any] = {}
    outputs: Sequence[RuleOutput] = ()
    error = None
    try:
        data, outputs = decide()
    except Refused as refused:
        error, outputs = refused.reason, refused.outputs
    except Undecodable as undecodable:
        error = undecodable.reason
    reply = Reply(id=request.id, name=request.name, data=data, error=error)
    return [*outputs, SendReply(request.vin, reply, REPLY_LIFETIME if until is None else until - now)]


def ask(part: Part, asking: Asking) -> Done | RequestRefused:
    """Have a part do an action, or tell why not."""
    name: str = asking.asked.request.action
    action: Action | None = part.actions().get(name)
    if action is None:
        known: Any = ", ".join(sorted(part.actions())) or "nothing"
        return RequestRefused("unsupported", f"{part.service} knows {known}, not {name[:40]!r}")
    try:
        return action(asking)
    except Refused as refused:
        return RequestRefused(refused.reason, refused.detail, refused.outputs)
