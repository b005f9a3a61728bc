"""The users of a car: the primary user names others, says what they may, and removes them; anybody leaves.

What the car says of its users counts where it is newer than what was decided here (`at_home`). Source: roles of the domain
description.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

import msgspec
from msgspec.structs import replace

from fleet.cloud.car_settings import read_reset
from fleet.cloud.people import at_home, licences
from fleet.cloud.people.guessing import look_up_address
from fleet.cloud.people.mails import mail_to
from fleet.cloud.people.part import Action, Asking, Part, Refused, Words
from fleet.cloud.people.people import People
from fleet.cloud.people.primary import check_garage
from fleet.cloud.people.records import CarPeople, CarUser
from fleet.cloud.rights import ALLOWABLE
from fleet.cloud.rule import CommandEnded, Done, RuleOutput
from fleet.kernel.instants import Duration, Instant
from fleet.kernel.timers import TimerHeap
from fleet.wire.messages import Event

USERS: Final = 5
"""Of a car: the primary user and up to four more."""


class Nothing(Words, frozen=True, kw_only=True):
    """No words."""


class Invite(Words, frozen=True, kw_only=True):
    email: str
    role: Literal["additional", "guest"] = "additional"


class Allow(Words, frozen=True, kw_only=True):
    """`services` None: what the role may anyway."""

    user: str
    services: tuple[str, ...] | None = None


class Remove(Words, frozen=True, kw_only=True):
    user: str


class UserEnrolled(msgspec.Struct, frozen=True):
    """The part of the event `user_enrolled` that counts: the role is what the back end has decided."""

    user: str


class Users(Part):
    """The users of each car, and the list in the car in step with them."""

    service: ClassVar[str] = at_home.SERVICE
    events: ClassVar[frozenset[str]] = frozenset({"car_reset", "user_enrolled"})

    def __init__(self, people: People) -> None:
        """Know when which car is to be told again."""
        super().__init__(people)
        self._due: TimerHeap[str] = TimerHeap()
        for car in people.cars.values():
            self._due.set(car.vin, car.tell_again)

    def actions(self) -> Mapping[str, Action]:
        return {
            "list": self._list,
            "invite": self._invite,
            "allow": self._allow,
            "remove": self._remove,
            "leave": self._leave,
        }

    # --- asked

    def _list(self, asking: Asking) -> Done:
        """Show all users to the primary user, and to another one itself."""
        asking.words(Nothing)
        car, who = self._asked_of(asking)
        shown = car.users if who == car.primary else {who: car.users[who]}
        return Done(data={"users": [_shown(account, user) for account, user in shown.items()]})

    def _invite(self, asking: Asking) -> Done:
        words = asking.words(Invite)
        car = self._primarys(asking)
        look_up_address(self.people, asking.person_of(car), asking.now)
        account = self.people.named(words.email)
        if account is None or account.confirmed is None or account.email.casefold() != words.email.strip().casefold():
            raise Refused("not_found", "nobody has a confirmed account of this e-mail; have the person register first")
        if account.id in car.users:
            raise Refused("already_user", f"this person is a user of {car.vin}")
        if len(car.users) >= USERS:
            raise Refused("too_many_users", f"a car has one primary user and up to {USERS - 1} more; remove one first")
        check_garage(self.people, car.vin, account.id, asking.now)
        given = car.users[asking.person_of(car)].given
        self.people.put_car(at_home.with_user(car, account.id, CarUser(role=words.role, since=asking.now, given=given)))
        outputs: list[RuleOutput] = [
            at_home.welcome(self.people, car.vin, account.id),
            mail_to(account, "user_added", vin=car.vin, role=words.role),
        ]
        return Done(outputs, {"user": account.id, "role": words.role})

    def _allow(self, asking: Asking) -> Done:
        words = asking.words(Allow)
        car = self._primarys(asking)
        account = self._user(car, words.user)
        user = car.users[account]
        if user.role != "additional":
            raise Refused("insufficient_rights", f"services are allowed to additional users; this one is {user.role}")
        unknown = sorted(set(words.services or ()) - ALLOWABLE)
        if unknown:
            raise Refused("argument_out_of_range", f"{', '.join(unknown)[:80]}: allowed can be {', '.join(sorted(ALLOWABLE))}")
        allowed = None if words.services is None else tuple(sorted(set(words.services)))
        user = replace(user, allowed=allowed)
        self.people.put_car(replace(car, users=car.users | {account: user}))
        return Done(data=_shown(account, user))

    def _remove(self, asking: Asking) -> Done:
        """Remove another user, which is for the primary one; oneself is for everybody but that one."""
        words = asking.words(Remove)
        car, who = self._asked_of(asking)
        account = self._user(car, words.user)
        if who not in {account, car.primary}:
            raise Refused("insufficient_rights", "the primary user removes others; anybody else only leaves")
        return self._without(car, account)

    def _leave(self, asking: Asking) -> Done:
        asking.words(Nothing)
        return self._without(*self._asked_of(asking))

    def _without(self, car: CarPeople, account: str) -> Done:
        if account == car.primary:
            raise Refused("not_possible", "a car keeps its primary user; take the car out of the garage: enrol remove")
        return Done(at_home.remove(self.people, car, account), {"user": account})

    def _asked_of(self, asking: Asking) -> tuple[CarPeople, str]:
        """Return the car, and who asks, who is one of its users. Raises Refused."""
        car = self.people.car(asking.vin)
        who = asking.person_of(car)
        if who not in car.users:
            raise Refused("insufficient_rights", f"this person is no user of {car.vin}")
        return car, who

    def _primarys(self, asking: Asking) -> CarPeople:
        """Return the car of the primary user who asks. Raises Refused for anybody else."""
        car, who = self._asked_of(asking)
        if who != car.primary:
            raise Refused("insufficient_rights", "only the primary user says who else uses the car")
        return car

    def _user(self, car: CarPeople, name: str) -> str:
        account = self.people.named(name)
        if account is None or account.id not in car.users:
            raise Refused("not_found", f"nobody of that name is a user of {car.vin}")
        return account.id

    # --- told by the car

    def hears(self, event: Event) -> bool:
        """Want those of cars of which something is known."""
        return event.vin in self.people.cars

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:
        """Take what a car says of its users."""
        car = self.people.cars[event.vin]
        try:
            after, more = self._after(car, event, now)
        except msgspec.ValidationError:
            return ()  # no car of ours says that
        if after == car:
            return more
        self.people.put_car(after)
        return [*at_home.told_removed(self.people, car.vin, [each for each in car.users if each not in after.users]), *more]

    def _after(self, car: CarPeople, event: Event, now: Instant) -> tuple[CarPeople, Sequence[RuleOutput]]:
        number = (event.boot, event.seq)
        if event.name == "user_enrolled":
            user = msgspec.convert(event.data, UserEnrolled).user
            if user in car.users:
                after = at_home.enrolled(car, user, number)
                begins = car.users[user].awaited and car.primary == after.primary == user
                return after, licences.activation(car, now) if begins else ()
            if number < car.reset or self.people.accounts.get(user) is None:
                return car, ()
            return car, at_home.dismiss(self.people, car.vin, [user])  # removed, and the car had not heard of it
        if event.data.get("by") == at_home.BY_ENROLMENT:
            return car, ()
        gone = read_reset(event).user
        if gone is None or gone == car.primary:
            return at_home.reset(car, number), ()
        return at_home.deleted(car, gone, number), ()

    def command_ended(self, ended: CommandEnded, now: Instant) -> Sequence[RuleOutput]:
        """Have a car told again what it has not taken."""
        car = self.people.cars.get(ended.vin)
        if car is None or ended.state == "succeeded":
            return ()
        what, account = at_home.asked_for(ended.id)
        after = at_home.refused(car, what, account, now)
        if after != car:
            self._put(after)
        return at_home.told_removed(self.people, car.vin, [each for each in car.users if each not in after.users])

    def has_pending_times(self) -> bool:
        return self._due.next_deadline() is not None or any(car.users for car in self.people.cars.values())

    def clock_moved(self, shift: Duration) -> None:
        """Tell cars again as long after as it was."""
        for car in list(self.people.cars.values()):
            if car.tell_again is not None:
                self._put(replace(car, tell_again=car.tell_again + shift))

    def set_back(self, now: Instant) -> None:
        """Have the users of cars see what is measured from now on.

        But not where somebody else was the primary user before: what was measured in the time that comes again may be theirs
        (ours), and is not told from what is measured now.
        """
        had = {(each.vin, account.id) for account in self.people.accounts.values() for each in account.consents if each.vin}
        owners = Counter(vin for vin, _ in had)
        for car in list(self.people.cars.values()):
            others = owners[car.vin] - ((car.vin, car.primary) in had) or any(user.takes_over for user in car.users.values())
            if not others and any(user.since > now for user in car.users.values()):
                users = {account: replace(user, since=min(user.since, now)) for account, user in car.users.items()}
                self._put(replace(car, users=users))

    def deadline(self) -> Instant | None:
        return self._due.next_deadline()

    def wake(self, now: Instant) -> Sequence[RuleOutput]:
        outputs: list[RuleOutput] = []
        for _, vin in self._due.pop_due(now, limit=1_000):
            car = self.people.cars.get(vin)
            if car is not None and car.tell_again is not None and car.tell_again <= now:
                outputs += at_home.tell_again(self.people, vin)
        return outputs

    def _put(self, car: CarPeople) -> None:
        self.people.put_car(car)
        self._due.set(car.vin, car.tell_again)


def _shown(account: str, user: CarUser) -> dict[str, Any]:
    return {
        "user": account,
        "role": user.role,
        "since": user.since,
        "allowed": None if user.allowed is None else list(user.allowed),
        "in_car": not user.awaited,
    }
