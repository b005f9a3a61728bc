"""Online services, answered for cars: places, ways and maps for whoever asks; profile, radio, store and charging by user.

Of a car with people the centre has judged who asks, before it comes here. Of another one, who is who follows from the name
(ours): `primary` is the primary user, `guest` and `guest-…` are guests, all others are additional users.

What is kept of a car's users is forgotten when the car is reset. A car's messages may come in another order than it sent them, so
what is kept has a number: a reset takes away what is older than itself, however late it comes; and what was asked before a reset
is not done afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, NamedTuple

import msgspec

from fleet.cloud import places
from fleet.cloud.actions import load_actions
from fleet.cloud.calendar import months_later
from fleet.cloud.car_settings import NEVER, NOT_PAIRED, Number, read_reset
from fleet.cloud.failures import unreadable
from fleet.cloud.people.products import load_products
from fleet.cloud.people.screening import is_listed
from fleet.cloud.places import Position, WorldMap, load_world
from fleet.cloud.rights import CarRights, unlicensed
from fleet.cloud.rule import Done, Erase, Notes, Notify, RequestRefused, Rule, RuleOutput, SendReply
from fleet.errors import Undecodable
from fleet.kernel.instants import MINUTE, Instant, to_datetime
from fleet.wire.messages import Event, Reply, Request, ServiceRequest
from fleet.wire.requests import read_request, requests
from fleet.wire.services import misfit

PRIMARY: Final = "primary"
DATA_PLAN: Final = "data_plan"
CONFIDENTIAL: Final = frozenset({"home_address", "contacts", "last_destinations"})
"""Settings that are shown to an identified user only."""
REPLY_LIFETIME: Final = 5 * MINUTE
"""Of a reply to a request that does not say until when somebody waits."""
USERS_OF_CAR: Final = 50
"""Of whom something is kept; names are the car's own words, so there is no end of them (ours)."""
MAP_SIZE_MB: Final = 450
"""Of one region (ours)."""

Role = Literal["primary", "additional", "guest"]


class Failed(NamedTuple):
    """Why there is no answer."""

    error: str


class Asked(NamedTuple):
    """A request that was read, and what an answer may need of the rule."""

    vin: str
    number: Number
    parameters: Any
    now: Instant
    notes: Notes
    world: WorldMap
    rights: CarRights | None

    @property
    def here(self) -> Position:
        """Where the car is."""
        return self.parameters.latitude, self.parameters.longitude

    @property
    def there(self) -> Position | None:
        """The destination, where the car has sent one."""
        latitude, longitude = self.parameters.to_latitude, self.parameters.to_longitude
        return None if latitude is None or longitude is None else (latitude, longitude)

    def key(self, kind: str, *more: str) -> str:
        """Return where something of this car is noted."""
        return "/".join((kind, self.vin, *more))


class Owned(msgspec.Struct, frozen=True, array_like=True):
    """By which messages a car was last reset and paired, as far as they are known."""

    reset: Number = NEVER
    paired: Number = NEVER

    @property
    def enrolled(self) -> bool:
        """Tell whether somebody is at home in the car."""
        return self.paired >= self.reset

    def enrolled_at(self, number: Number) -> bool:
        """Tell whether those at home in the car when it sent this message still are."""
        return self.enrolled and (self.reset == NEVER or number > self.paired)


def _owned(notes: Notes, vin: str) -> Owned:
    known = notes.get(f"owned/{vin}")
    if known is None:  # an earlier version noted no more than that the car was reset
        return Owned(reset=(0, 1)) if f"left/{vin}" in notes else Owned()
    return msgspec.convert(known, Owned)


def _number(kept: Any) -> Number:
    """Return the number that something was kept with; what an earlier version kept has none."""
    return tuple(kept) if kept else NEVER


Answer = tuple[dict[str, Any], Sequence[RuleOutput]] | dict[str, Any] | Failed


def role_of(user: str) -> Role:
    """Return what a user is, by the name."""
    if user == PRIMARY:
        return "primary"
    return "guest" if user == "guest" or user.startswith("guest-") else "additional"


# --- the world --------------------------------------------------------------------------------------------------------


def _region(asked: Asked, position: Position | None = None) -> places.MapRegion | None:
    found = asked.world.regions_at(position or asked.here)
    return asked.world.regions[found[0]] if found else None


def _traffic(asked: Asked) -> Answer:
    region = _region(asked)
    if region is None:
        return Failed("no_map_data")
    to = asked.there
    return {"incidents": places.incidents(region, asked.here, asked.now, radius_km=asked.parameters.radius_km, to=to)}


def _route(asked: Asked) -> Answer:
    region, to = _region(asked), asked.there
    if region is None or to is None or not region.holds(to):
        return Failed("no_map_data")
    return places.route(region, asked.here, to, asked.now) or Failed("already_there")


def _found(found: list[dict[str, Any]]) -> Answer:
    return {"places": found} if found else Failed("not_found")


def _petrol(asked: Asked) -> Answer:
    region, wanted = _region(asked), asked.parameters
    if region is None:
        return Failed("no_map_data")
    found = places.petrol_places(
        region, asked.here, asked.now, fuel=wanted.fuel, radius_km=wanted.radius_km, open_now=wanted.open_now
    )
    return _found(found)


def _charging(asked: Asked) -> Answer:
    region, wanted = _region(asked), asked.parameters
    if region is None:
        return Failed("no_map_data")
    found = places.charging_places(
        region, asked.here, asked.now,
        plug=wanted.plug, power_kw=wanted.power_kw, radius_km=wanted.radius_km, free_now=wanted.free_now,
    )  # fmt: skip
    return _found(found)


def _parking(asked: Asked) -> Answer:
    region, wanted = _region(asked), asked.parameters
    if region is None:
        return Failed("no_map_data")
    return _found(places.parking_places(region, asked.here, asked.now, radius_km=wanted.radius_km, free_now=wanted.free_now))


def _maps(asked: Asked) -> Answer:
    """Each area has a new version each month, and a car gets each version of it once."""
    areas: list[str] = []
    for position in (asked.here, asked.there):
        if position is not None:
            found = asked.world.regions_at(position)
            if not found:
                return Failed("no_map_data")
            areas += found[:1]
    version = f"{to_datetime(asked.now):%Y.%m}"
    held: dict[str, str] = asked.notes.get(asked.key("maps"), {})
    new = [area for area in dict.fromkeys(areas) if held.get(area) != version]
    if not new:
        return Failed("up_to_date")
    if asked.number > _owned(asked.notes, asked.vin).reset:
        asked.notes[asked.key("maps")] = held | dict.fromkeys(new, version)
    return {"version": version, "areas": new, "size_mb": MAP_SIZE_MB * len(new)}


_WORDS: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("petrol_places", frozenset({"petrol", "fuel", "diesel", "tank", "tanken", "gasolina", "gasolinera"})),
    ("charging_places", frozenset({"charge", "charging", "charger", "laden", "cargar", "recarga"})),
    ("parking_places", frozenset({"park", "parking", "parken", "parkplatz", "aparcar", "aparcamiento"})),
    ("traffic", frozenset({"traffic", "jam", "stau", "verkehr", "tráfico", "atasco"})),
)
"""Words that tell what somebody wants (ours)."""


def _voice(asked: Asked) -> Answer:
    """Understand the first known word, and answer as the service that it names."""
    said = {word.strip(".,!?¿¡").lower() for word in asked.parameters.text.split()}
    intent = next((name for name, words in _WORDS if said & words), None)
    if intent is None:
        return Failed("not_understood")
    kind = requests()[intent]
    known = {key: getattr(asked.parameters, key) for key in kind.entry.parameters if hasattr(asked.parameters, key)}
    try:
        parameters = read_request(intent, {key: value for key, value in known.items() if value is not None})
    except Undecodable:
        return Failed("not_understood")  # such as petrol for a car that takes none
    answer = _ANSWERS[intent](asked._replace(parameters=parameters))
    if isinstance(answer, Failed):
        return answer
    assert isinstance(answer, dict), "what is asked of the world changes nothing"
    (found,) = answer.values()
    spoken = f"{len(found)} found" + (f", the nearest is {_spoken(found[0])}" if found else "")
    return {"intent": intent, "spoken": spoken, "result": answer}


def _spoken(found: Mapping[str, Any]) -> str:
    return f"{found.get('name') or found['road']}, {found['distance_km']:g} km"


# --- users ------------------------------------------------------------------------------------------------------------


def _personalisation(asked: Asked) -> Answer:
    """Keep settings, or give them back: the newest value of each, and none of those kept before a reset."""
    wanted, notes = asked.parameters, asked.notes
    key = asked.key("profile", wanted.user)
    gone = max(_owned(notes, asked.vin).reset, _number(notes.get(asked.key("deleted", wanted.user))))
    kept: dict[str, Any] = notes.get(key, {})
    if wanted.action == "save":
        if not _joins(notes, asked.vin, wanted.user):
            return Failed("insufficient_rights")
        if asked.number > gone:
            saved = {
                setting.name: [setting.value, *asked.number]
                for setting in wanted.settings
                if asked.number >= _saved_at(kept.get(setting.name))
            }
            notes[key] = kept | saved
        return {"settings": [], "hidden": 0}
    if key not in notes or asked.number < gone:
        return Failed("no_profile")
    shown = {name: _value(kept[name]) for name in kept if wanted.identified or name not in CONFIDENTIAL}
    return {"settings": [{"name": name, "value": shown[name]} for name in sorted(shown)], "hidden": len(kept) - len(shown)}


def _joins(notes: Notes, vin: str, user: str) -> bool:
    """Tell whether this is one of a car's users of whom something is kept, or one more for whom there is room."""
    users: list[str] = notes.get(f"users/{vin}", [])
    if user in users:
        return True
    if len(users) >= USERS_OF_CAR:
        return False
    notes[f"users/{vin}"] = [*users, user]
    return True


def _value(kept: str | list[Any]) -> Any:
    """Return a setting's value; an earlier version kept it without a number."""
    return kept if isinstance(kept, str) else kept[0]


def _saved_at(kept: str | list[Any] | None) -> Number:
    return NEVER if kept is None or isinstance(kept, str) else _number(kept[1:])


def _radio(asked: Asked) -> Answer:
    wanted = asked.parameters
    over = "data_plan" if _has_data(asked) else "phone" if wanted.phone else None
    if over is None:
        return Failed("no_data_plan")
    return asked.world.station(wanted.station, over) or Failed("not_found")


def _has_data(asked: Asked) -> bool:
    """Tell whether data is paid for: by a licence, or by what was bought in a car without people."""
    rights = asked.rights
    if rights is not None and DATA_PLAN in (rights.terms or {}) and unlicensed(rights, DATA_PLAN, asked.now) is None:
        return True
    until: Instant = asked.notes.get(asked.key("active"), {}).get(DATA_PLAN, 0)
    return asked.now < until


def _purchase(asked: Asked) -> Answer:
    """Sell to the primary user of an enrolled car without accounts who is on no list, and activate at once what was bought."""
    wanted, notes = asked.parameters, asked.notes
    if not _owned(notes, asked.vin).enrolled_at(asked.number):
        return Failed("not_enrolled")
    product = asked.world.store.get(wanted.product)
    if product is None:
        return Failed("not_found")
    if is_listed(notes.get(asked.key("holder"), {}).get("name", "")):
        return Failed("sanctioned")
    if load_products().products[product.product].subscription and not wanted.subscription:
        return Failed("subscription_missing")
    licence = wanted.product.split("_1_")[0].split("_2_")[0]
    active: dict[str, Instant] = notes.get(asked.key("active"), {})
    until = months_later(max(asked.now, active.get(licence, 0)), product.months)
    notes[asked.key("active")] = active | {licence: until}
    bought: list[dict[str, Any]] = notes.get(asked.key("purchases"), [])
    purchase = {"product": wanted.product, "price_eur": product.price_eur, "at": asked.now, "active_until": until}
    notes[asked.key("purchases")] = [*bought, purchase]
    told = Notify(asked.vin, "primary_user", "purchased", purchase)
    return {"purchase": len(bought) + 1, "product": wanted.product, "price_eur": product.price_eur, "active_until": until}, [told]


def _plug_and_charge(asked: Asked) -> Answer:
    certificate = asked.notes.get(asked.key("certificate"))
    if certificate is None or asked.number < _owned(asked.notes, asked.vin).reset:
        return Failed("certificate_missing")
    return {
        "contract": certificate if isinstance(certificate, str) else certificate["contract"],
        "station": asked.parameters.station,
    }


_ANSWERS: Final[Mapping[str, Callable[[Asked], Answer]]] = {
    "traffic": _traffic,
    "route_calculation": _route,
    "petrol_places": _petrol,
    "charging_places": _charging,
    "parking_places": _parking,
    "map_update": _maps,
    "voice_query": _voice,
    "personalisation": _personalisation,
    "internet_radio": _radio,
    "store_purchase": _purchase,
    "plug_and_charge": _plug_and_charge,
}


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _Holder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    contract: str


def _misfit(action: str, words: msgspec.Struct) -> RequestRefused | None:
    wrong = misfit(load_actions()[OnlineRule.name].actions[action].parameters, words)
    return None if wrong is None else RequestRefused("argument_out_of_range", wrong)


class OnlineRule(Rule):
    """Answers all online services. Can be asked to `show`, `set_holder`, `install_certificate`, `remove_certificate` of a car."""

    name: ClassVar[str] = "online"
    events: ClassVar[frozenset[str]] = frozenset({"car_reset", "car_paired"})
    requests: ClassVar[frozenset[str]] = frozenset(_ANSWERS)

    def request(self, request: Request, now: Instant) -> Sequence[RuleOutput]:
        """Judge and answer; what nobody waits for any more is not done."""
        until = request.expires_at
        if until is not None and now >= until:
            return []
        data, outputs = self._answer(request, now)
        error = data.error if isinstance(data, Failed) else None
        reply = Reply(id=request.id, name=request.name, data={} if isinstance(data, Failed) else data, error=error)
        return [*outputs, SendReply(request.vin, reply, REPLY_LIFETIME if until is None else until - now)]

    def _answer(self, request: Request, now: Instant) -> tuple[dict[str, Any] | Failed, Sequence[RuleOutput]]:
        try:
            parameters = read_request(request.name, request.data)
        except Undecodable as error:
            return Failed(error.reason), ()
        may = requests()[request.name].entry.may
        if may and not self._was_judged(request.vin) and role_of(parameters.user) not in may:
            return Failed("insufficient_rights"), ()
        number, rights = (request.boot, request.seq), self.rights_of(request.vin)
        answer = _ANSWERS[request.name](Asked(request.vin, number, parameters, now, self.notes, load_world(), rights))
        return answer if isinstance(answer, tuple) and not isinstance(answer, Failed) else (answer, ())

    def _was_judged(self, vin: str) -> bool:
        """Tell whether a car has people, by whose rights what comes here was judged."""
        rights = self.rights_of(vin)
        return rights is not None and rights.people

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002
        """Forget what belonged to the people of a car before it was reset; what was bought belongs to the car."""
        vin, number = event.vin, (event.boot, event.seq)
        owned = _owned(self.notes, vin)
        if event.name == "car_paired":
            self.notes[f"owned/{vin}"] = [owned.reset, max(owned.paired, number)]
            return ()
        try:
            user = read_reset(event).user
        except msgspec.ValidationError as error:
            return (unreadable(self.name, event, error),)
        if user is None:
            self.notes[f"owned/{vin}"] = [max(owned.reset, number), owned.paired]
            self._forget_users(vin, number)
            for kind in ("holder", "certificate"):
                kept = self.notes.get(f"{kind}/{vin}")
                if kept is not None and (isinstance(kept, str) or _number(kept.get("given")) < number):
                    del self.notes[f"{kind}/{vin}"]
            self.notes.pop(f"maps/{vin}", None)  # should some be of after it, the car gets them once more
        elif _joins(self.notes, vin, user):
            key = f"deleted/{vin}/{user}"
            self.notes[key] = max(_number(self.notes.get(key)), number)
            self._forget_profile(f"profile/{vin}/{user}", number)
        return ()

    def forget(self, erased: Erase) -> None:
        """Drop what is kept of the cars, and of the person as a user of other people's cars."""
        super().forget(erased)
        if not erased.account:
            return
        for key in [key for key in self.notes if key.endswith(f"/{erased.account}")]:
            del self.notes[key]
        for key in [key for key in self.notes if key.startswith("users/")]:
            users = [user for user in self.notes[key] if user != erased.account]
            if users:
                self.notes[key] = users
            else:
                del self.notes[key]

    def _forget_users(self, vin: str, before: Number) -> None:
        """Forget the profiles of a car, and whom it deleted: what was kept before that is older than the reset, too."""
        for key in [key for key in self.notes if key.startswith((f"profile/{vin}/", f"deleted/{vin}/"))]:
            if key.startswith("profile"):
                self._forget_profile(key, before)
            elif _number(self.notes[key]) < before:
                del self.notes[key]
        kept = {key.split("/", 2)[2] for key in self.notes if key.startswith((f"profile/{vin}/", f"deleted/{vin}/"))}
        users = [user for user in self.notes.get(f"users/{vin}", ()) if user in kept]
        if users:
            self.notes[f"users/{vin}"] = users
        else:
            self.notes.pop(f"users/{vin}", None)

    def _forget_profile(self, key: str, before: Number) -> None:
        kept: dict[str, Any] = self.notes.get(key, {})
        stays = {name: value for name, value in kept.items() if _saved_at(value) > before}
        if stays:
            self.notes[key] = stays
        else:
            self.notes.pop(key, None)

    def asked(self, request: ServiceRequest, now: Instant) -> Done | RequestRefused:  # noqa: ARG002
        """Do what the users of a car do elsewhere than in it."""
        vin = request.vin
        if vin is None:
            return RequestRefused("malformed", "it needs a VIN")
        try:
            match request.action:
                case "show":
                    msgspec.convert(request.data, _Nothing)
                    return Done(data=self._shown(vin))
                case "set_holder":
                    return self._set_holder(vin, request)
                case "install_certificate" | "remove_certificate":
                    return self._certificate(vin, request)
                case _:
                    return RequestRefused("unsupported", "possible: show, set_holder, install_certificate, remove_certificate")
        except msgspec.ValidationError as error:
            return RequestRefused("malformed", str(error))

    def _set_holder(self, vin: str, request: ServiceRequest) -> Done | RequestRefused:
        words = msgspec.convert(request.data, _Holder)
        if (wrong := _misfit(request.action, words)) is not None:
            return wrong
        return self._give(vin, "holder", {"name": words.name})

    def _give(self, vin: str, kind: str, what: dict[str, Any]) -> Done | RequestRefused:
        """Keep what a user of the car gives, until the car is reset."""
        owned = _owned(self.notes, vin)
        if not owned.enrolled:
            return RequestRefused(*NOT_PAIRED)
        self.notes[f"{kind}/{vin}"] = what | {"given": owned.paired}
        return Done()

    def _certificate(self, vin: str, request: ServiceRequest) -> Done | RequestRefused:
        if not self._was_judged(vin) and role_of(request.user or PRIMARY) != "primary":
            return RequestRefused("insufficient_rights", "the primary user alone installs and removes it")
        if request.action == "remove_certificate":
            msgspec.convert(request.data, _Nothing)
            self.notes.pop(f"certificate/{vin}", None)
            return Done()
        words = msgspec.convert(request.data, _Certificate)
        if (wrong := _misfit(request.action, words)) is not None:
            return wrong
        return self._give(vin, "certificate", {"contract": words.contract})

    def _shown(self, vin: str) -> dict[str, Any]:
        """Return what is known of a car, without what is its users' own."""
        shown = {kind: self.notes[key] for kind in ("maps", "active", "purchases") if (key := f"{kind}/{vin}") in self.notes}
        return {**shown, "certificate": f"certificate/{vin}" in self.notes, "enrolled": _owned(self.notes, vin).enrolled}
