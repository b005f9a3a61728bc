"""The service centre: what the back end makes of cars' events and requests, beside keeping them. Pure, as the desk is.

A service's own rules are a `Rule` in a module of their own, with one line in `registry.py` and an entry in `actions.toml`:

- `events` and `requests` name what the rule is given; each (VIN, boot, number) comes once, also across restarts. What is in
  `data` was written by a car: read it with `msgspec.convert`, and expect anything.
- `asked` answers what tools and scenarios ask (`fleet service NAME ACTION [VIN] key=value …`), NAME being the rule's `name`. Of a
  list of `cars` it gets those that the back end knows; whoever asked is told of the others.
- Each method returns outputs, in their order: `Notify` somebody, `AskCar` for a command, `SendReply` to a request.
- What must outlive a restart stands in `self.notes`, a mapping of text to plain data (as JSON has it). Assign an entry anew to
  change it: `notes[key] = {**notes[key], "closed": True}`. It is stored in the transaction that stores the message itself and
  all outputs, and is read back by the rule's constructor. So nothing is done twice and nothing is forgotten, whatever dies.
- `deadline` says when the rule wants to be woken, in scenario time; `wake` is then called until it is later than now.
- A command it asked for ends in `command_ended`, exactly once, under the id it was asked with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal, assert_never

import msgspec

from fleet.cloud.desk_io import Answer
from fleet.kernel.instants import MINUTE, Duration, Instant
from fleet.wire.messages import CommandState, DeskAnswer, Event, Reply, Request, ServiceRequest
from fleet.wire.vin import fault_of, is_vin

REMEMBERED: Final = 1_000
"""Answers that are kept for requests of tools that come again."""
ASKED_BY_CENTRE: Final = "centre-"
"""What ids of commands begin with that a rule asked for; then follow its name and its own id."""
LONGEST_ID: Final = 100
NAMED: Final = 20
"""Unknown cars that an answer names."""
UNANSWERABLE: Final = 5 * MINUTE
"""How long a reply lives to a request that nobody here can answer."""
_NEVER_HEARD_OF: Final = (
    "nobody is enrolled there, and no message of such a car has ever arrived; fleet cars lists those that are known"
)
_OWN: Final = "centre"
_COUNT: Final = "asked"

Recipient = Literal[
    "primary_user", "user", "service_partner", "emergency_centre", "breakdown_centre", "info_centre", "operator"
]  # fmt: skip
"""Who can be told something."""

# --- outputs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendReply:
    """To be published to the car: the answer to its request. It is of use for `lifetime` from now."""

    vin: str
    reply: Reply
    lifetime: Duration


@dataclass(frozen=True, slots=True)
class Notify:
    """To be stored: somebody is told something about a car. `at` is filled in by the centre."""

    vin: str
    to: Recipient
    kind: str
    data: Mapping[str, Any]
    at: Instant = 0


@dataclass(frozen=True, slots=True)
class AskCar:
    """A command by the back end itself: no S-PIN, no user's rights. One id is one command, however often it is asked.

    `time_to_live` None takes the command's own. The rule's id comes back in `CommandEnded`.
    """

    id: str
    vin: str
    name: str
    parameters: Mapping[str, Any]
    time_to_live: Duration | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """To be stored: a note of a rule, as JSON; None removes it."""

    module: str
    key: str
    value: str | None


RuleOutput = SendReply | Notify | AskCar
CentreOutput = RuleOutput | Keep | Answer

# --- inputs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServiceAsked:
    """A tool or a scenario asks a rule for something. `unknown` are those of its cars of which the back end has never heard."""

    request: ServiceRequest
    answer_topic: str
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """A command that a rule asked for has its terminal state."""

    id: str
    vin: str
    state: CommandState
    reason: str | None


CentreInput = Event | Request | ServiceAsked | CommandEnded
"""What a centre is given. An event or a request is new: its sequence number was never seen before."""

# --- rules ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    """What was asked is done; `data` is for whoever asked, `detail` words for people."""

    outputs: Sequence[RuleOutput] = ()
    data: Mapping[str, Any] | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why what was asked is not done: a reason for machines, words for people."""

    reason: str
    detail: str


class Notes(MutableMapping[str, Any]):
    """What a rule remembers: plain data by key. Notes which entries were assigned or removed."""

    def __init__(self, held: Mapping[str, Any] | None = None) -> None:
        """Start from what the store holds."""
        self._held = dict(held or {})
        self._changed: dict[str, None] = {}

    def __getitem__(self, key: str) -> Any:
        return self._held[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._held[key] = value
        self._changed[key] = None

    def __delitem__(self, key: str) -> None:
        del self._held[key]
        self._changed[key] = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def take_changes(self) -> list[tuple[str, str | None]]:
        """Return what has changed since the last call, each value as JSON and None for what is gone."""
        changed = [(key, _as_json(self._held[key]) if key in self._held else None) for key in self._changed]
        self._changed.clear()
        return changed


def _as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class Rule:
    """The rules of one service, a small machine; the module's first lines say how to write one. Does nothing by itself."""

    name: ClassVar[str]
    events: ClassVar[frozenset[str]] = frozenset()
    requests: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, notes: Notes) -> None:
        """Go on from the notes."""
        self.notes = notes

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Take an event of a car. It can be old: `captured_at` says when it happened."""
        return ()

    def request(self, request: Request, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Take a request of a car, and reply to it now or later."""
        return ()

    def asked(self, request: ServiceRequest, now: Instant) -> Done | Refused:  # noqa: ARG002
        """Take what a tool or a scenario asks. Its VIN, if any, is one by its form; nothing else of it has been checked."""
        return Refused("unsupported", f"nothing can be asked of {self.name}")

    def command_ended(self, ended: CommandEnded, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Take the end of a command that this rule asked for."""
        return ()

    def deadline(self) -> Instant | None:
        """Return when to be woken, None while nothing is due."""
        return None

    def wake(self, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Do what is due."""
        return ()


RuleFactory = Callable[[Notes], Rule]


class ServiceCentre:
    """A `Machine` of `CentreInput` and `CentreOutput`."""

    def __init__(self, rules: Iterable[type[Rule]], state: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Make the rules, each with its notes of `state` (by rule, then by key) as the store has it."""
        held = state or {}
        self._notes = {rule.name: Notes(held.get(rule.name)) for rule in rules}
        self._rules = {rule.name: rule(self._notes[rule.name]) for rule in rules}
        self._own = self._notes[_OWN] = Notes(held.get(_OWN))
        self._answered = {kept["id"]: kept for key, kept in self._own.items() if key != _COUNT}
        self._of_event: dict[str, list[Rule]] = {}
        self._of_request: dict[str, Rule] = {}
        for rule in self._rules.values():
            for name in sorted(rule.events):
                self._of_event.setdefault(name, []).append(rule)
            for name in sorted(rule.requests):
                assert name not in self._of_request, f"two rules answer {name}"
                self._of_request[name] = rule

    def wants(self, message: Event | Request) -> bool:
        """Tell whether anything could come of the message; what is not wanted need not be given."""
        return message.name in self._of_event or type(message) is Request

    # --- Machine

    def receive(self, message: CentreInput, now: Instant) -> list[CentreOutput]:
        """Take one input and return what is to be stored and published, in that order."""
        match message:
            case Event():
                return self._all(
                    [
                        output
                        for rule in self._of_event.get(message.name, ())
                        for output in self._of(rule, rule.event(message, now))
                    ],
                    now,
                )
            case Request():
                return self._requested(message, now)
            case ServiceAsked():
                return self._asked(message, now)
            case CommandEnded():
                return self._command_ended(message, now)
            case _:
                assert_never(message)

    def deadline(self) -> Instant | None:
        """Return when the first rule wants to be woken."""
        return min((due for rule in self._rules.values() if (due := rule.deadline()) is not None), default=None)

    def wake(self, now: Instant) -> list[CentreOutput]:
        """Wake the rules whose time has come."""
        outputs: list[RuleOutput] = []
        for rule in self._rules.values():
            due = rule.deadline()
            if due is not None and due <= now:
                outputs += self._of(rule, rule.wake(now))
        return self._all(outputs, now)

    # --- inputs

    def _requested(self, request: Request, now: Instant) -> list[CentreOutput]:
        rule = self._of_request.get(request.name)
        if rule is None:
            reply = Reply(id=request.id, name=request.name, error="unsupported")
            return self._all([SendReply(request.vin, reply, UNANSWERABLE)], now)
        return self._all(self._of(rule, rule.request(request, now)), now)

    def _asked(self, message: ServiceAsked, now: Instant) -> list[CentreOutput]:
        request, topic = message.request, message.answer_topic
        if not 0 < len(request.id) <= LONGEST_ID:
            refusal = Refused("malformed", f"an id has 1 to {LONGEST_ID} characters")
            return [_answer(topic, request.id[:LONGEST_ID], refusal, now)]
        earlier = self._answered.get(request.id)
        if earlier is not None:
            return [Answer(topic, DeskAnswer(final=True, **earlier))]
        done = self._judge(request, message.unknown, now)
        outputs = self._of(self._rules[request.service], done.outputs) if isinstance(done, Done) else []
        answer = _answer(topic, request.id, done, now)
        self._remember(answer.answer)
        return [*self._all(outputs, now), answer]

    def _judge(self, request: ServiceRequest, unknown: Sequence[str], now: Instant) -> Done | Refused:
        rule = self._rules.get(request.service)
        if rule is None:
            return Refused(
                "unsupported", f"there is no service {request.service[:40]!r}; known: {', '.join(sorted(self._rules))}"
            )
        if request.vin is not None and (fault := fault_of(request.vin)) is not None:
            return Refused("invalid_vin", f"{fault}; a VIN has 17 characters, A-Z and 0-9 without I, O and Q")
        return self._of_known(rule, request, unknown, now) if unknown else rule.asked(request, now)

    def _of_known(self, rule: Rule, request: ServiceRequest, unknown: Sequence[str], now: Instant) -> Done | Refused:
        """Have it done for the cars that are known, and tell which are not."""
        known = [vin for vin in listed_cars(request) if vin not in set(unknown)]
        told = f"{_named(unknown)}: {_NEVER_HEARD_OF}"
        if not known or request.vin in unknown:
            return Refused("unknown_vin", told)
        done = rule.asked(msgspec.structs.replace(request, data={**request.data, "cars": known}), now)
        if isinstance(done, Refused):
            return done
        return replace(done, data={**(done.data or {}), "unknown": list(unknown[:NAMED])}, detail=f"left out: {told}")

    def _remember(self, answer: DeskAnswer) -> None:
        """Keep what was answered, in place of what was answered long ago."""
        count = self._own.get(_COUNT, 0)
        key = f"{_COUNT}/{count % REMEMBERED}"
        if key in self._own:
            self._answered.pop(self._own[key]["id"], None)
        kept = {"id": answer.id, "state": answer.state, "reason": answer.reason, "detail": answer.detail, "at": answer.at}
        self._own[key] = self._answered[answer.id] = kept | ({} if answer.data is None else {"data": answer.data})
        self._own[_COUNT] = count + 1

    def _command_ended(self, ended: CommandEnded, now: Instant) -> list[CentreOutput]:
        name, _, own_id = ended.id.removeprefix(ASKED_BY_CENTRE).partition("-")
        rule = self._rules.get(name)
        if rule is None:
            return []  # it was asked for by a rule that this version has not
        return self._all(self._of(rule, rule.command_ended(replace(ended, id=own_id), now)), now)

    # --- outputs

    def _of(self, rule: Rule, outputs: Sequence[RuleOutput]) -> list[RuleOutput]:
        """Return what a rule wants, its commands under ids that no other rule has."""
        return [
            replace(output, id=f"{ASKED_BY_CENTRE}{rule.name}-{output.id}") if isinstance(output, AskCar) else output
            for output in outputs
        ]

    def _all(self, outputs: Iterable[RuleOutput], now: Instant) -> list[CentreOutput]:
        """Return the outputs, and before them what the rules noted."""
        notes: list[CentreOutput] = [
            Keep(name, key, value) for name, notes in self._notes.items() for key, value in notes.take_changes()
        ]
        return [*notes, *(replace(output, at=now) if isinstance(output, Notify) else output for output in outputs)]


def listed_cars(request: ServiceRequest) -> list[Any]:
    """Return what a request has in its list `cars`, which a command line may write as text."""
    listed = request.data.get("cars")
    return listed.split(",") if isinstance(listed, str) else listed if isinstance(listed, list) else []


def vins_of(request: ServiceRequest) -> list[str]:
    """Return the cars that a request is about, alone or in a list. What is no VIN is left to the rule."""
    return [vin for vin in (request.vin, *listed_cars(request)) if isinstance(vin, str) and is_vin(vin)]


def _named(vins: Sequence[str]) -> str:
    more = f" and {len(vins) - NAMED} more" if len(vins) > NAMED else ""
    return ", ".join(vins[:NAMED]) + more


def _answer(topic: str, request_id: str, done: Done | Refused, now: Instant) -> Answer:
    if isinstance(done, Refused):
        answer = DeskAnswer(id=request_id, state="rejected", reason=done.reason, detail=done.detail, final=True, at=now)
    else:
        data = None if done.data is None else dict(done.data)
        answer = DeskAnswer(id=request_id, state="succeeded", detail=done.detail, final=True, at=now, data=data)
    return Answer(topic, answer)
