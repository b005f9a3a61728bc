"""People in a test: each with an account, an app and a mailbox; what they do is asked in their own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, assert_never, get_args

from fleet.cloud.actions import load_actions
from fleet.errors import UnknownName, UsageError
from fleet.harness.durations import duration
from fleet.harness.mailbox import HarnessMailbox
from fleet.harness.sent import Sent
from fleet.harness.steps import Steps, step
from fleet.harness.surroundings import Surroundings
from fleet.harness.user import RIGHT, User
from fleet.kernel.draws import stream_key
from fleet.runtime.people.cast import CarCast, Cast
from fleet.runtime.people.enrolling import enrol, log_in, log_in_car, register, set_spin
from fleet.runtime.people.flows import Ask, Flow, InCar, OnScreen, ReadMail, Seen, Wait
from fleet.runtime.people.mailboxes import PostOffice
from fleet.runtime.people.person import Manner, Person, make_person
from fleet.runtime.people.secrets import has_learnt, secrets_for
from fleet.runtime.people.seeding import seeds_of
from fleet.runtime.screen import answer_shown
from fleet.scenario.persons import MISTAKES, WAYS, EnrolWay, Mistake
from fleet.vehicle.services.online import Shown
from fleet.wire.enrolment import way_of
from fleet.wire.messages import DeskAnswer, Event, ServiceRequest

if TYPE_CHECKING:
    from fleet.harness.car import HarnessCar

Role = Literal["primary", "additional", "guest"]
ROLES: Final = get_args(Role)


class SentRequest(Sent):
    """A request to a service on its way; a person learns from its answer, such as the token of a session."""

    def __init__(
        self, world: Surroundings, request: ServiceRequest, car: HarnessCar | None, person: Person | None = None
    ) -> None:
        who = "" if person is None else f" by {person.name}"
        super().__init__(world, request.id, f"{request.service} {request.action}{who}", car)
        self._person = person
        self._given = request.secrets

    async def end(self, within: str | float = "10 min") -> DeskAnswer:
        answer = await super().end(within)
        told = next((each for each in self._answers if each.final and each.secrets), answer)  # secrets are told once
        if self._person is not None:
            has_learnt(self._person, self._given, told)
            self._given = {}
        return answer


class HarnessPerson(User):
    """Somebody with an account: `anna.lock(car)`, `anna.ask("users", "list", car)`, `await anna.enrol(car, by="qr")`."""

    def __init__(self, people: HarnessPeople, who: Person, *, in_session: bool = False) -> None:
        super().__init__(people.world, who.name)
        self._people = people
        self._who = who
        self._in_session = in_session

    def __repr__(self) -> str:
        return f"HarnessPerson({self._who.name!r})"

    @property
    def steps(self) -> Steps:
        return self._world.steps

    @property
    def name(self) -> str:
        """The name in the test."""
        return self._who.name

    @property
    def email(self) -> str:
        """The e-mail address of the account."""
        return self._who.email

    @property
    def account(self) -> str:
        """The id of the account, "" before there is one."""
        return self._who.account

    @property
    def spin(self) -> str:
        """The S-PIN of the account."""
        return self._who.spin

    @property
    def app(self) -> HarnessPerson:
        """The same person with the token of the last log-in, even one that is over: as the app asks."""
        return HarnessPerson(self._people, self._who, in_session=True)

    @property
    def mailbox(self) -> HarnessMailbox:
        """What the person was sent."""
        return self._people.mailbox(self)

    def ask(
        self, service: str, action: str, car: HarnessCar | None = None, *, wrong: Sequence[str] = (), **data: Any
    ) -> SentRequest:
        """Ask a service and return at once. The secrets that the action wants go with it; those in `wrong` are other ones."""
        return self._people.ask(self._who, Ask(
            service, action, None if car is None else car.vin, data, wrong=tuple(wrong), in_session=self._in_session
        ), car)  # fmt: skip

    @step
    async def log_in(self) -> None:
        """Log in with the app."""
        await self._people.do(self._who, log_in(self._who), None, f"{self.name} logs in")

    @step
    async def register(self) -> None:
        """Get an account: register, follow the link in the mail, complete it, set an S-PIN."""
        await self._people.do(self._who, register(self._who), None, f"{self.name} registers")

    @step
    async def enrol(
        self, car: HarnessCar, *, by: EnrolWay | None = None, mistake: Mistake | None = None, refused: str | None = None
    ) -> None:  # fmt: skip
        """Become the primary user of a car, in the app and in the car: by qr, assistant, two_keys or code; without, its own way.

        A `mistake` is made first, such as `expired_code`, and must be refused. Expects that it succeeds, or that it is `refused`
        for a reason. Raises UsageError for an unknown way, and for a mistake that nobody can make on it.
        """
        if by is not None and by not in WAYS:
            raise UnknownName("way to enrol", by, WAYS)
        equipment = car.equipment
        way = by or way_of(equipment.model, equipment.generation, navi=equipment.navi_system)
        if mistake is not None and mistake not in MISTAKES[way]:
            raise UnknownName(f"mistake on the way {way}", mistake, MISTAKES[way])
        expected = None if refused is None else f"rejected({refused})"
        what = f"{self.name} enrols {car.vin} by {way}"
        await self._people.do(self._who, enrol(self._who, car.vin, way, mistake), car, what, expected)
        if expected is None:
            self._people.took(self, car)

    @step
    async def log_in_car(self, car: HarnessCar, *, spin: Literal["right", "wrong"] = "right", refused: str | None = None) -> None:
        """Log in on the screen of a car with the S-PIN. Expects that it succeeds, or that it is `refused` for a reason."""
        flow = log_in_car(self._who, car.vin, is_right=spin == "right")
        expected = None if refused is None else f"rejected({refused})"
        await self._people.do(self._who, flow, car, f"{self.name} logs in to {car.vin}", expected)

    def _signed(self, car: HarnessCar, spin: str | None, *, needs_spin: bool) -> dict[str, Any]:  # noqa: ARG002
        who = self._who
        by: dict[str, Any] = {"session": who.session or ""} if self._in_session else {"user": who.email}
        return by | {"spin": (who.spin if spin == RIGHT else spin) if needs_spin else None}


class HarnessPeople:
    """All people of a world."""

    def __init__(self, world: Surroundings, office: PostOffice | None, *, seed: int) -> None:
        """Take the post office through which all mails go; None where the back end is in a process of its own."""
        self.world = world
        self._office = office
        self._seed = seed
        self._known: dict[str, HarnessPerson] = {}
        self._primaries: dict[str, HarnessPerson] = {}
        self._mailboxes: dict[str, HarnessMailbox] = {}

    async def join(
        self, name: str, role: Role | None, car: HarnessCar | None, manner: Manner, *, allowed: Sequence[str] | None,
        licence_age: str | float,
    ) -> HarnessPerson:  # fmt: skip
        """Make somebody up and known, as a user of a car or of none. Raises UsageError."""
        if name in self._known:
            raise UsageError(f"there is a person {name!r} already", hint="Give another name.")
        if role is not None and role not in ROLES:
            raise UnknownName("role", role, ROLES)
        if role is not None and not manner.registered:
            raise UsageError(f"{name} has no account, and so no role", hint="Leave role out, and let the person enrol.")
        who = make_person(name, stream_key(self._seed, "person", name), len(self._known), manner)
        person = self._known[name] = HarnessPerson(self, who)
        at = self._car_of(role, car)
        await self._make_known(who, at if role == "primary" else None, duration(licence_age))
        if role == "primary" and at is not None:
            self._primaries[at.vin] = person
        elif role is not None and at is not None:
            await self._invited(person, role, at, allowed, licence_age)
        return person

    def _car_of(self, role: Role | None, car: HarnessCar | None) -> HarnessCar | None:
        if role is None or car is not None:
            return car
        cars: Sequence[Any] = self.world.cars
        if len(cars) != 1:
            raise UsageError(f"{role} of which car? there are {len(cars)}", hint="Say car=….")
        only: HarnessCar = cars[0]
        return only

    async def _make_known(self, who: Person, car: HarnessCar | None, age: int) -> None:
        """Have the back end know somebody with an account, and as the primary user of a car."""
        cast = Cast(self._seed)
        if who.registered:
            cast.named[who.name] = who
        if car is not None:
            cast.cars[car.vin] = CarCast(car.vin, car.equipment, who.country, age=age, roles={"primary": [who]})
        for seed in seeds_of(cast, seed=self._seed, start=self.world.now):
            request = ServiceRequest(
                id=self.world.new_id("seed"), service="people", action="seed", data=seed.data,
                secrets={"new_password": seed.password},
            )  # fmt: skip
            self.world.ask(request)
            answer = await SentRequest(self.world, request, car).end()
            if answer.state != "succeeded" or answer.data is None:
                self.world.fail(f"{who.name} could not be made known: {answer.reason}: {answer.detail}", car)
            seed.is_known(answer.data["accounts"])
        if who.registered:
            await self.do(who, set_spin(who), None, f"{who.name} sets an S-PIN")

    async def _invited(
        self, person: HarnessPerson, role: Role, car: HarnessCar, allowed: Sequence[str] | None, age: str | float
    ) -> None:
        primary = self._primaries.get(car.vin)
        if primary is None:
            primary = await self.join(f"owner of {car.vin}", "primary", car, Manner(), allowed=None, licence_age=age)
        asked = [primary.ask("users", "invite", car, email=person.email, role=role)]
        if allowed is not None:
            asked.append(primary.ask("users", "allow", car, user=person.email, services=list(allowed)))
        for sent in asked:
            answer = await sent.end()
            if answer.state != "succeeded":
                self.world.fail(f"{person.name} could not be made {role}: {answer.reason}: {answer.detail}", car)
        await self.world.settle()

    def took(self, person: HarnessPerson, car: HarnessCar) -> None:
        """Note who is the primary user of a car now."""
        self._primaries[car.vin] = person

    def mailbox(self, person: HarnessPerson) -> HarnessMailbox:
        """Return the mailbox of a person, the same each time. Raises UsageError where mails go elsewhere."""
        if self._office is None:
            raise UsageError(
                "the mails of a back end in a process of its own are in its folder", hint="See world.folder / 'mail'."
            )
        who = person._who
        if person.name not in self._mailboxes:
            self._mailboxes[person.name] = HarnessMailbox(self.world, self._office, who)
        return self._mailboxes[person.name]

    def service(self, service: str, action: str, car: HarnessCar | None, data: Mapping[str, Any]) -> SentRequest:
        """Ask a service as a trusted tool, in nobody's name."""
        vin = None if car is None else car.vin
        request = ServiceRequest(id=self.world.new_id(service), service=service, action=action, vin=vin, data=dict(data))
        self.world.ask(request)
        return SentRequest(self.world, request, car)

    # --- what people do

    def ask(self, who: Person, want: Ask, car: HarnessCar | None) -> SentRequest:
        """Ask a service in somebody's name. Raises UsageError for one that there is not."""
        services = load_actions()
        if want.service not in services:
            raise UnknownName("service of the back end", want.service, services)
        entries = services[want.service].actions
        if want.action not in entries:
            raise UnknownName(f"action of {want.service}", want.action, entries)
        secrets = secrets_for(
            who, want.action, entries[want.action].secrets, in_session=want.in_session, wrong=want.wrong,
            take_link=partial(self._take_link, who),
        ) | dict(want.given)  # fmt: skip
        request = ServiceRequest(
            id=self.world.new_id(want.service), service=want.service, action=want.action, vin=want.vin, data=dict(want.data),
            user=None if want.in_session or want.action == "register" else who.email,
            session=(who.session or "") if want.in_session else None, secrets=secrets, origin=f"app of {who.number}",
        )  # fmt: skip
        self.world.ask(request)
        return SentRequest(self.world, request, car, who)

    def _take_link(self, who: Person, kind: str) -> str | None:
        return None if self._office is None else self._office.take_link(who.email, kind)

    async def do(self, who: Person, flow: Flow, car: HarnessCar | None, what: str, expected: str | None = None) -> None:
        """Have somebody do something step by step, and expect how it ends."""
        ended = await self._run(who, flow, car)
        if ended != expected:
            self.world.fail(f"{what}: {expected or 'succeeded'} was expected, and it {ended or 'succeeded'}", car)

    async def _run(self, who: Person, flow: Flow, car: HarnessCar | None) -> str | None:
        world, since = self.world, 0
        value: Any = None
        messages = [] if car is None else car.messages
        while True:
            try:
                want = flow.send(value)
            except StopIteration as end:
                ended: str | None = end.value
                return ended
            value = None
            match want:
                case Ask():
                    since = len(messages)
                    value = await self._answered(who, want, car)
                case InCar(message=message):
                    assert car is not None
                    since = len(messages)
                    car.put(message(car.simulated) if callable(message) else message)
                case Seen(names=names, within=within):
                    place = await self._seen(messages, since, names, within)
                    if place is not None:
                        value, since = messages[place], place + 1
                case OnScreen(within=within):
                    assert car is not None
                    value = await self._on_screen(car, within)
                case Wait(duration=waited):
                    await world.until(lambda: False, world.now + waited)
                case ReadMail(kind=kind, within=within):
                    value = await self._mail(who, kind, within)
                case _:
                    assert_never(want)

    async def _answered(self, who: Person, want: Ask, car: HarnessCar | None) -> DeskAnswer:
        sent = self.ask(who, want, car)
        await sent.end()
        answers = self.world.asker.answers[sent.id]
        return next((each for each in answers if each.final and each.secrets), answers[-1])

    async def _seen(self, messages: Sequence[Any], since: int, names: Sequence[str], within: int) -> int | None:
        def place() -> int | None:
            found = (at for at in range(since, len(messages)) if _is_event(messages[at], names))
            return next(found, None)

        await self.world.until(lambda: place() is not None, self.world.now + within)
        return place()

    async def _on_screen(self, car: HarnessCar, within: int) -> Shown | None:
        """Return what the screen of a car shows, once it has an answer to what was last asked there."""
        await self.world.until(lambda: answer_shown(car.simulated) is not None, self.world.now + within)
        return answer_shown(car.simulated)

    async def _mail(self, who: Person, kind: str, within: int) -> str | None:
        found: list[str] = []

        def has_come() -> bool:
            if not found and (link := self._take_link(who, kind)) is not None:
                found.append(link)
            return bool(found)

        await self.world.until(has_come, self.world.now + within)
        return found[0] if found else None


def _is_event(message: object, names: Sequence[str]) -> bool:
    return isinstance(message, Event) and message.name in names
