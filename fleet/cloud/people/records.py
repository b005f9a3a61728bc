"""What is kept of people, of their cars and of what they bought: plain records, each under a key of its own in the notes."""

from __future__ import annotations

from typing import Literal

import msgspec

from fleet.cloud.car_settings import NEVER, Number, ReportedSettings
from fleet.cloud.rights import Private, Role
from fleet.kernel.instants import Instant
from fleet.wire.enrolment import Way
from fleet.wire.privacy import OPEN, PrivacyMode

LicenceState = Literal["inactive", "active", "withdrawn"]
"""`inactive`: bought, and not activated. That one is over follows from the time."""
Switcher = Literal["car", "app"]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of what is kept."""


class Consent(Record, frozen=True, kw_only=True):
    """Somebody has agreed to a version of a text, or taken that back; `vin` is of the car that a contract is about."""

    what: str
    version: str
    given: bool
    at: Instant
    vin: str = ""


class Account(Record, frozen=True, kw_only=True):
    """A person. `id` says nothing of it: that alone goes to cars and into journals.

    `password` is a hash that names its own cost; `password_version` counts how often it was changed,
    and `spin_version` the S-PIN. Times are scenario µs.
    `confirmed` is when the e-mail was, `identified` when a dealer has seen the person.
    """

    id: str
    email: str
    registered: Instant
    password: str = ""
    password_version: int = 0
    user_name: str = ""
    mobile: str = ""
    language: str = "en"
    country: str = ""
    first_name: str = ""
    last_name: str = ""
    birth_date: str = ""
    greeting: str = ""
    confirmed: Instant | None = None
    identified: Instant | None = None
    spin_set: bool = False
    spin_version: int = 0
    consents: tuple[Consent, ...] = ()
    devices: tuple[str, ...] = ()
    relogin_min: int | None = None
    push: bool = False

    def __repr__(self) -> str:
        """Show the id alone: the rest is personal, or secret."""
        return f"Account(id={self.id!r})"


class Session(Record, frozen=True, kw_only=True):
    """An app that is logged in, by the digest of its token. `refresh` is the digest of what makes a new one, once.

    `used` is when somebody did something in it last, within some seconds, where that matters.
    """

    account: str
    device: str
    began: Instant
    used: Instant
    ends: Instant
    refresh: str = ""
    refresh_ends: Instant = 0


class Link(Record, frozen=True, kw_only=True):
    """A link that was mailed, by the digest of its secret."""

    account: str
    purpose: Literal["confirm", "reset"]
    until: Instant


class Tries(Record, frozen=True, kw_only=True):
    """Something of which only so much is allowed, until a time from which on it is counted anew; `locks`: no more is, by then."""

    count: int
    until: Instant
    locks: bool = False


class Switch(Record, frozen=True, kw_only=True):
    """A change of what may be seen or done, with time and author: an account, or `car`."""

    what: str
    value: str
    by: Switcher
    who: str
    at: Instant


class CarUser(Record, frozen=True, kw_only=True):
    """A user of a car. `allowed` are the services the primary user has allowed; None: what the role may anyway.

    `given` is the newest message of the car by which the person is its user: a reset in the car takes away what was given before
    it, whenever it is heard of. `awaited`: the car was asked to have the person at home and has not said so yet; meanwhile
    `deleted` is the newest deletion that was heard of. `takes_over`: another primary user was there before. `spin_typed` is the
    version of the S-PIN that was last typed in this car.
    """

    role: Role
    since: Instant
    allowed: tuple[str, ...] | None = None
    given: Number = NEVER
    awaited: bool = False
    deleted: Number = NEVER
    takes_over: bool = False
    spin_typed: int = -1


class Licence(Record, frozen=True, kw_only=True):
    """A product that opens packages of services for a term; it belongs to the car. `purchase` is what it was bought with.

    One that was bought and not activated begins and ends nowhere: it is for so many `months`. `reminded` are the reminders of its
    end that are over, mailed or not.
    """

    id: str
    product: str
    packages: tuple[str, ...]
    begins: Instant
    ends: Instant
    state: LicenceState = "active"
    months: int = 0
    activated: Instant | None = None
    purchase: str = ""
    reminded: tuple[str, ...] = ()


class Enrolment(Record, frozen=True, kw_only=True):
    """An enrolment that somebody has begun in the app: which way, what is waited for, and until when.

    `code` is the digest of the pairing code.
    """

    account: str
    way: Way
    step: Literal["consents", "scan", "keys", "code"]
    began: Instant
    until: Instant
    code: str = ""


class QrCode(Record, frozen=True, kw_only=True):
    """The newest QR code on the screen of a car, by the message `number`, with what that says of the car; good for one use."""

    code: str
    shown: Instant
    number: Number
    used: bool = False
    model: str | None = None
    navi: bool | None = None


class CarPeople(Record, frozen=True, kw_only=True):
    """A car, its users by account, its licences, and what was switched; `mode_by` tells who switched the mode last.

    `registered` (the warranty was signed) its free term began, in `country`. `equipment` is what offers and terms depend on.
    `sim` is the account that owns the car's SIM, and `sim_in_car` its leave to buy data in the car.

    Once it is `managed`, by an enrolment or a registration, what stands here is all. Until then a verified primary user has it,
    with everything active (ours). `enrolments` are those under way, by account. `reset` is the newest message by which the whole
    car was reset; `forgetting` are users ("" all) of whom the car was told that they are gone, and `tell_again` is when it is
    told once more what it has not taken.
    """

    vin: str
    managed: bool = False
    model: str = ""
    generation: str = ""
    navi: bool = False
    equipment: tuple[str, ...] = ()
    country: str = ""
    registered: Instant | None = None
    users: dict[str, CarUser] = {}
    licences: tuple[Licence, ...] = ()
    mode: PrivacyMode = OPEN
    mode_by: Switcher | None = None
    services_off: tuple[str, ...] = ()
    switches: tuple[Switch, ...] = ()
    private: tuple[Private, ...] = ()
    reported: ReportedSettings | None = None
    enrolments: dict[str, Enrolment] = {}
    qr: QrCode | None = None
    reset: Number = NEVER
    forgetting: tuple[str, ...] = ()
    tell_again: Instant | None = None
    sim: str = ""
    sim_in_car: bool = False

    @property
    def primary(self) -> str | None:
        """The account of the primary user, None while nobody has enrolled the car."""
        return next((account for account, user in self.users.items() if user.role == "primary"), None)


class Purchase(Record, frozen=True, kw_only=True):
    """Something bought for a car; `price_cents` in euro cents. `invoice` is its number."""

    id: str
    vin: str
    account: str
    product: str
    price_cents: int
    at: Instant
    months: int = 0
    licence: str = ""
    invoice: str = ""
    refunded: Instant | None = None
    cancelled: str = ""


class Invoice(Record, frozen=True, kw_only=True):
    """What the law has us keep, whoever is forgotten: number, amount and date. `person` and `words` go when that is erased."""

    number: str
    cents: int
    at: Instant
    account: str = ""
    purchase: str = ""
    words: str = ""


class CarDigest(Record, frozen=True, kw_only=True):
    """A car that was erased, by the keyed digest of its VIN: the whole of it, or what it had measured `until` then.

    `ahead_until` is what that was before scenario time was set back: by that clock its messages from before may still come.
    """

    digest: str
    whole: bool
    until: Instant
    ahead_until: Instant = 0


class Erasure(Record, frozen=True, kw_only=True):
    """The record of an erasure itself; `subject` is a keyed digest of what was erased, by which it is known again.

    `cars` are those whose data went. `waiting` are the resets that cars have not answered yet: the id of the command, and the
    VIN, which goes with the answer. `unasked` cars could not obey, and are asked again at `again`; so far it was `tries` times.
    """

    id: str
    scope: Literal["car", "data", "person"]
    subject: str
    at: Instant
    counts: dict[str, int] = {}
    cars: tuple[CarDigest, ...] = ()
    waiting: dict[str, str] = {}
    unasked: tuple[str, ...] = ()
    again: Instant | None = None
    tries: int = 0
