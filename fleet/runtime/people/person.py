"""A simulated person: name, address and language, the secrets that only this person knows, and what the app has been told.

Passwords and S-PINs follow from the person's key and how often they were changed, so that no file has one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fleet.kernel.draws import Draws

_FIRST: Final = {
    "en": ("Alice", "Ben", "Chloe", "Daniel", "Emma", "George", "Hannah", "Jack"),
    "de": ("Anna", "Bernd", "Clara", "Dieter", "Erika", "Felix", "Greta", "Hans"),
    "es": ("Ana", "Beatriz", "Carlos", "Diego", "Elena", "Jorge", "Lucia", "Pablo"),
    "fr": ("Alain", "Brigitte", "Camille", "Denis", "Elodie", "Gilles", "Jeanne", "Luc"),
    "it": ("Alessia", "Bruno", "Carla", "Dario", "Elisa", "Franco", "Giulia", "Luca"),
    "cs": ("Adela", "Bohdan", "Dana", "Eva", "Filip", "Hana", "Ivan", "Jana"),
    "sv": ("Astrid", "Birger", "Cecilia", "David", "Elsa", "Folke", "Greta", "Hugo"),
}
_LAST: Final = {
    "en": ("Baker", "Clark", "Harris", "Miller", "Taylor", "Walker"),
    "de": ("Becker", "Fischer", "Huber", "Lehmann", "Schulz", "Wagner"),
    "es": ("Garcia", "Lopez", "Moreno", "Navarro", "Ruiz", "Torres"),
    "fr": ("Bernard", "Dubois", "Lambert", "Moreau", "Petit", "Rousseau"),
    "it": ("Bianchi", "Conti", "Esposito", "Marino", "Ricci", "Romano"),
    "cs": ("Cerny", "Dvorak", "Horak", "Novak", "Prochazka", "Svoboda"),
    "sv": ("Andersson", "Berg", "Eriksson", "Lindqvist", "Nilsson", "Svensson"),
}


@dataclass(slots=True, eq=False)
class Person:
    """Somebody with an e-mail address of their own.

    `account` is the back end's id, "" until it is known. `session` and `refresh` are those of the last log-in; they are kept when
    they are over, as an old phone keeps them. `code` is the pairing code that the app shows. From `password_key` the password
    follows; None without one.
    """

    name: str
    key: int
    number: int
    email: str
    language: str
    country: str
    first_name: str
    last_name: str
    birth_date: str
    verified: bool = True
    registered: bool = True
    app: bool = False
    account: str = ""
    has_spin: bool = False
    session: str | None = field(default=None, repr=False)
    refresh: str | None = field(default=None, repr=False)
    code: str | None = field(default=None, repr=False)
    password_key: int | None = field(default=None, repr=False)
    _passwords: int = 0
    _spins: int = 0

    def __repr__(self) -> str:
        return f"Person({self.name!r})"

    @property
    def device(self) -> str:
        """The name of the phone."""
        return f"phone of {self.first_name}"

    @property
    def password(self) -> str:
        """The password that the back end knows, or (without an account) the one that will be chosen."""
        return password_of(self.key if self.password_key is None else self.password_key, self._passwords)

    @property
    def new_password(self) -> str:
        """The password that is chosen next."""
        return self.password if self.password_key is None else password_of(self.key, self._passwords + 1)

    @property
    def wrong_password(self) -> str:
        """One that is never chosen."""
        return password_of(self.key, -1)

    @property
    def spin(self) -> str:
        """The S-PIN that was set last, or (without one) the one that will be set."""
        return spin_of(self.key, self._spins)

    @property
    def new_spin(self) -> str:
        """The S-PIN that is set next."""
        return spin_of(self.key, self._spins + 1) if self.has_spin else self.spin

    @property
    def wrong_spin(self) -> str:
        """Another one than that which was set last."""
        return f"{(int(self.spin) + 1) % 10_000:04d}"

    def has_changed_password(self) -> None:
        """Know the new password from now on."""
        self._passwords += self.password_key is not None
        self.password_key = self.key

    def has_set_spin(self) -> None:
        """Know the new S-PIN from now on."""
        self._spins += self.has_spin
        self.has_spin = True


def password_of(key: int, version: int) -> str:
    """Return the password that follows from a key."""
    return f"Pass-{Draws(key, 'password', version + 1).bits():016x}"


def spin_of(key: int, version: int) -> str:
    """Return the S-PIN that follows from a key."""
    return f"{Draws(key, 'spin', version).integer(0, 9999):04d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How somebody is, beside the name: language, country, seen by a dealer, with an account, with an app that is logged in."""

    language: str = "en"
    country: str = "DE"
    verified: bool = True
    registered: bool = True
    app: bool = False


def make_person(name: str, key: int, number: int, manner: Manner) -> Person:
    """Make somebody up; `number` is nobody else's."""
    draws = Draws(key, "name")
    first, last = draws.choice(_FIRST[manner.language]), draws.choice(_LAST[manner.language])
    day, month, year = draws.integer(1, 28), draws.integer(1, 12), draws.integer(1950, 2000)
    return Person(
        name=name,
        key=key,
        number=number,
        email=f"{first}.{last}.{number}@example.org".lower(),
        language=manner.language,
        country=manner.country,
        first_name=first,
        last_name=last,
        birth_date=f"{year}-{month:02d}-{day:02d}",
        verified=manner.verified,
        registered=manner.registered,
        app=manner.app,
    )
