"""Keeps the users of a car, as the back end knows them, and the list in the car in step.

The back end decides, and asks the car: `enrol_user` has somebody at home there, `reset` deletes one or all. Until the car has
said so a user is `awaited`: what the car did before does not undo it. Whatever the order in which its messages arrive, the same
holds in the end: a reset takes away what was given before it, by the numbers of messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from fleet.cloud.car_settings import Number
from fleet.cloud.people.mails import mail_to
from fleet.cloud.people.people import People
from fleet.cloud.people.records import CarPeople, CarUser
from fleet.cloud.rule import AskCar, Mail, RuleOutput
from fleet.kernel.instants import DAY, Duration, Instant

SERVICE: Final = "users"
"""The part that hears what becomes of commands: their ids begin so."""
TOLD_WITHIN: Final[Duration] = 7 * DAY
"""How long a command to the car waits for it."""
AGAIN_AFTER: Final[Duration] = DAY
"""When a car is told once more what it has not taken (ours)."""
BY_ENROLMENT: Final = "enrolment"
"""Says in `car_reset` that a new primary user has taken the place of the one before, as the back end wanted it."""
ALL: Final = ""
"""Stands for all users among those whom a car is to forget."""
_ENROL, _FORGET = "enrol", "forget"


# --- asking the car


def welcome(people: People, vin: str, account: str) -> AskCar:
    """Have a user at home in the car."""
    user = people.cars[vin].users[account]
    parameters = {"user": account, "role": user.role} | ({"takes_over": True} if user.takes_over else {})
    return AskCar(_id(people, _ENROL, account), vin, "enrol_user", parameters, TOLD_WITHIN)


def _forget(people: People, vin: str, account: str) -> AskCar:
    parameters = {} if account == ALL else {"user": account}
    return AskCar(_id(people, _FORGET, account), vin, "reset", parameters, TOLD_WITHIN)


def _id(people: People, what: str, account: str) -> str:
    return f"{SERVICE}-{what}-{account}-{people.next_number('at_home')}"


# --- decided by the back end


def with_user(car: CarPeople, account: str, user: CarUser) -> CarPeople:
    """Return the car with this user, whom the car has to hear of."""
    forgetting = tuple(each for each in car.forgetting if each != account)
    return replace(car, users=car.users | {account: replace(user, awaited=True)}, forgetting=forgetting)


def without_users(car: CarPeople, accounts: Iterable[str]) -> CarPeople:
    """Return the car without some users; without its primary user it has none, and nothing of them."""
    gone = set(accounts)
    left = {account: user for account, user in car.users.items() if account not in gone}
    if any(user.role == "primary" for user in left.values()):
        return replace(car, users=left)
    return free(car)


def free(car: CarPeople) -> CarPeople:
    """Return the car without users, and without what was theirs; its licences stay."""
    return replace(car, users={}, sim="", sim_in_car=False)


def dismiss(people: People, vin: str, accounts: Sequence[str]) -> list[AskCar]:
    """Have the car forget some users who are none any more; ALL of them by its factory settings."""
    car = people.cars[vin]
    forgetting = (ALL,) if ALL in accounts else tuple(dict.fromkeys((*car.forgetting, *accounts)))
    people.put_car(replace(car, forgetting=forgetting))
    return [_forget(people, vin, account) for account in accounts]


def told_removed(people: People, vin: str, accounts: Iterable[str]) -> list[Mail]:
    """Tell people that they are no users of a car any more."""
    known = [people.accounts.get(account) for account in accounts]
    return [mail_to(account, "user_removed", vin=vin) for account in known if account is not None]


def remove(people: People, car: CarPeople, account: str) -> list[RuleOutput]:
    """Take the rights of a user away, with the primary user's those of all, and have the car forget them."""
    after = without_users(car, [account])
    people.put_car(after)
    gone = [each for each in car.users if each not in after.users]
    return [*dismiss(people, car.vin, [account] if after.users else [ALL]), *told_removed(people, car.vin, gone)]


# --- told by the car


def enrolled(car: CarPeople, account: str, number: Number) -> CarPeople:
    """Return the car after it has said that a user is at home; deleted or reset since, as far as that was heard of, it is not."""
    user = car.users[account]
    if number < max(user.deleted, car.reset):
        return without_users(car, [account])
    return replace(car, users=car.users | {account: replace(user, given=max(number, user.given), awaited=False)})


def deleted(car: CarPeople, account: str, number: Number) -> CarPeople:
    """Return the car after it has said that a user was deleted in it."""
    car = replace(car, forgetting=tuple(each for each in car.forgetting if each != account))
    user = car.users.get(account)
    if user is None or number < user.given:
        return car
    if user.awaited:  # it was at home before, or will have been
        return replace(car, users=car.users | {account: replace(user, deleted=max(number, user.deleted))})
    return without_users(car, [account])


def reset(car: CarPeople, number: Number) -> CarPeople:
    """Return the car after it has said that it has its factory settings: free, but for whom it is told to have at home since."""
    car = replace(car, reset=max(number, car.reset), forgetting=tuple(each for each in car.forgetting if each != ALL))
    gone = [account for account, user in car.users.items() if not user.awaited and user.given < number]
    qr = None if car.qr is not None and car.qr.number < number else car.qr
    return replace(without_users(car, gone) if gone else car, qr=qr)


def refused(car: CarPeople, what: str, account: str, now: Instant) -> CarPeople:
    """Return the car after it has not taken what it was told: it is told again, if that still holds."""
    user = car.users.get(account)
    if what == _ENROL and user is not None and user.awaited:
        if user.given < max(car.reset, user.deleted):
            return without_users(car, [account])
        return replace(car, tell_again=now + AGAIN_AFTER)
    if what == _FORGET and account in car.forgetting:
        return replace(car, tell_again=now + AGAIN_AFTER)
    return car


def tell_again(people: People, vin: str) -> list[AskCar]:
    """Tell a car once more whom to forget, and who is at home."""
    car = replace(people.cars[vin], tell_again=None)
    people.put_car(car)
    return [
        *(_forget(people, vin, account) for account in car.forgetting),
        *(welcome(people, vin, account) for account, user in car.users.items() if user.awaited),
    ]


def asked_for(command_id: str) -> tuple[str, str]:
    """Return what a command asked for, and of whom, by its id."""
    what, account, _ = command_id.removeprefix(f"{SERVICE}-").split("-")
    return what, account
