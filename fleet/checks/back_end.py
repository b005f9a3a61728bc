"""Whether desk and service centre do what follows from their messages: partners, campaigns, answers to cars, what is sent.

Source: events, requests, and who decides what, of the domain description; what can be asked of the centre, in its catalogue. What
a check knows it has read from the inputs of desk and centre, and judged by rules of its own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from fleet.checks.check import Check, Handlers
from fleet.checks.geodesy import vincenty_m
from fleet.checks.people import KnownPeople
from fleet.kernel.instants import MINUTE, SECOND, Instant, format_instant
from fleet.observe.journal import Begin, End, Input, Opened, Output, Wake
from fleet.observe.story import CAR, LINK
from fleet.vehicle.catalogue import Equipment
from fleet.wire.messages import TERMINAL_STATES, Presence
from fleet.wire.services import load_services

CENTRE: Final = "centre"
DESK: Final = "desk"
SILENT_MODES: Final = frozenset({"offline", "maximum_privacy"})
TELLS_PLACE: Final = frozenset({"honk", "area_alert", "speed_alert"})
LEGAL: Final = frozenset({"reset"})
CONFIDENTIAL: Final = frozenset({"home_address", "contacts", "last_destinations"})
FOUND_MOST: Final = 5
KNOWN_PLACES: Final = 500
ALWAYS: Final = "00:00-24:00"
SPHERE: Final = 0.01
"""How far the distances in answers may be off, as a share: they are those of a sphere."""
ROUNDED_KM: Final = 0.011
FUELS: Final = {"petrol": "petrol", "e-hybrid": "petrol", "diesel": "diesel"}
PLUGS: Final = {"electric": "ccs", "e-hybrid": "type2"}
LOT: Final = 10 * SECOND
"""Cars of a wave are asked in lots (ours)."""
REMEMBERED: Final = 4_000

Data = dict[str, Any]


class PartnersTold(Check):
    """A fault, or a service that is due, goes to the partner that the user has chosen, to be contacted as the user wants.

    To nobody where none is chosen, the chosen one is closed, or automatic scheduling is off. That a partner closes is told to
    each user who had chosen it. For a car with people the primary user chooses, and consents to it; it wants a licence, and a
    privacy mode that is not silent. The next primary user chooses anew.
    """

    name = "partners"
    rule = "faults and services due go to the chosen partner, or to nobody; who had chosen one that closes is told"
    looks_at = "faults, services due, and partners that close"
    remembers = True
    EVENTS: Final = frozenset({"fault", "service_due"})

    PURPOSE: Final = "service_partner"

    def __init__(self, begin: Begin, people: KnownPeople) -> None:
        super().__init__(begin)
        self._people = people
        self._chosen: dict[str, tuple[str, str]] = {}
        self._off: set[str] = set()
        self._closed: set[str] = set()
        self._left: set[str] = set()
        self._by: dict[str, str] = {}
        self._due: dict[tuple[str, str], Data] = {}

    def handlers(self) -> Handlers:
        return {
            ("in", "ServiceAsked"): self._asked,
            ("in", "Event"): self._event,
            ("out", "Notify"): self._told,
            ("out", "Answer"): self._overdue,
        }

    def _asked(self, record: Input, line: int) -> None:
        self._overdue(record, line)
        asked = record.data["request"]
        vin, data = asked.get("vin"), asked.get("data", {})
        if asked["service"] != "partner" or record.m != CENTRE or not self._may_ask(record.data, vin):
            return
        match asked["action"]:
            case "choose" if vin and _is_name(data.get("partner")) and data["partner"] not in self._closed:
                self._belongs_to_primary(vin)
                if data.get("contact", "email") in {"email", "phone"} and not data.keys() - {"partner", "contact"}:
                    self._chosen[vin] = (data["partner"], data.get("contact", "email"))
                    self._left.discard(vin)
            case "automatic" if vin and isinstance(data.get("on"), bool):
                self._belongs_to_primary(vin)
                (self._off.discard if data["on"] else self._off.add)(vin)
            case "close" if _is_name(data.get("partner")):
                self._closed.add(data["partner"])
                for each, (partner, _) in self._chosen.items():
                    if partner == data["partner"] and each not in self._left and self._is_of_primary(each):
                        self._left.add(each)
                        self._due[each, "partner_closed"] = {"partner": partner}

    def _is_of_primary(self, vin: str) -> bool:
        """Tell whether what was chosen for a car was so by who is its primary user now."""
        return self._people.managed(vin) is None or self._by.get(vin, "") == (self._people.primary(vin) or "")

    def _belongs_to_primary(self, vin: str) -> None:
        """Forget what another one has chosen."""
        if not self._is_of_primary(vin):
            self._chosen.pop(vin, None)
            self._off.discard(vin)
            self._left.discard(vin)
        self._by[vin] = (self._people.primary(vin) or "") if self._people.managed(vin) is not None else ""

    def _may_ask(self, asked: Data, vin: str | None) -> bool:
        """Tell whether whoever asks is the primary user of a car with people, and consents to what choosing is for."""
        if vin is None or self._people.managed(vin) is None:
            return True
        primary, action = self._people.primary(vin), asked["request"]["action"]
        if primary is None or asked.get("person", primary) != primary:
            return False
        return action != "choose" or self._people.consents(primary, self.PURPOSE)

    def _may_be_told(self, vin: str, now: Instant) -> bool:
        """Tell whether the people of a car let its partner be told."""
        car = self._people.managed(vin)
        if car is None:
            return True
        switches = self._people.switches(vin)
        return (
            self._is_of_primary(vin)
            and self._people.consents(self._people.primary(vin), self.PURPOSE)
            and self._people.licensed(vin, "safety", now)
            and switches.mode not in SILENT_MODES
            and "partner" not in switches.off
        )

    def _event(self, record: Input, line: int) -> None:
        self._overdue(record, line)
        event = record.data
        if record.m != CENTRE or event.get("name") not in self.EVENTS:
            return
        self.looked_at += 1
        vin = event["vin"]
        chosen = self._chosen.get(vin)
        may = self._may_be_told(vin, record.now or record.t)
        if may and chosen is not None and vin not in self._off and vin not in self._left:
            self._due[vin, event["name"]] = {"partner": chosen[0], "contact_by": chosen[1], "happened_at": event["captured_at"]}

    def _told(self, record: Output, line: int) -> None:
        notice = record.data
        if notice["kind"] not in {*self.EVENTS, "partner_closed"}:
            return
        due = self._due.pop((notice["vin"], notice["kind"]), None)
        wanted = "service_partner" if notice["kind"] in self.EVENTS else "primary_user"
        told = {key: notice["data"].get(key) for key in due or ()}
        if due is None or told != due or notice["to"] != wanted:
            expected = f"expected {wanted} and {due}" if due is not None else "expected nobody"
            self.breach(
                line, CENTRE, f"{notice['kind']} is told to {notice['to']} {notice['data']}, {expected}", subject=notice["vin"]
            )

    def _overdue(self, record: Input | Output, line: int) -> None:
        """End the input before: its outputs come before the next one."""
        if record.m == CENTRE:
            for (vin, kind), data in self._due.items():
                self.breach(line, CENTRE, f"{kind} is told to nobody, expected {data}", subject=vin)
            self._due.clear()


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip()) and len(text) <= 80


class CampaignsKept(Check):
    """A campaign asks its own cars alone, with its own version, as many in a minute as it may, and none while it is paused.

    No car of a later wave is asked before that wave is told. Consent goes along only where it was given by app.
    """

    name = "campaigns"
    rule = "cars are asked for the campaign they are in, wave by wave, not too many at once, and none while it is paused"
    looks_at = "cars asked"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._plans: dict[str, Data] = {}
        self._waves: dict[str, int] = {}
        self._asked: dict[str, set[str]] = {}
        self._paused: set[str] = set()
        self._consents: set[tuple[str, str]] = set()
        self._lots: dict[str, deque[Instant]] = {}

    def handlers(self) -> Handlers:
        return {
            ("in", "ServiceAsked"): self._service,
            ("out", "Notify"): self._told,
            ("out", "AskCar"): self._asks,
        }

    def _service(self, record: Input, _line: int) -> None:
        asked = record.data["request"]
        data = asked.get("data", {})
        name = str(data.get("campaign", ""))
        if asked["service"] != "campaign":
            return
        if asked["action"] in {"plan", "start"} and "version" in data:
            cars = data.get("cars", ())
            listed = cars.split(",") if isinstance(cars, str) else cars
            known = self._plans.setdefault(name, {**data, "first": 0, "cars": []})
            known["cars"] += [vin for vin in dict.fromkeys(listed) if vin not in known["cars"]]
            if name not in self._waves:
                known["first"] = len(known["cars"])
        elif asked["action"] == "consent" and asked.get("vin"):
            self._consents.add((name, asked["vin"]))
        elif asked["action"] == "pause":
            self._paused.add(name)
        elif asked["action"] == "resume":
            self._paused.discard(name)

    def _told(self, record: Output, _line: int) -> None:
        if record.data["kind"] == "campaign_wave":
            name = record.data["data"]["campaign"]
            self._waves[name] = self._waves.get(name, 0) + 1

    def _asks(self, record: Output, line: int) -> None:
        asked = record.data
        parameters = asked["parameters"]
        name, vin = parameters.get("campaign"), asked["vin"]
        plan = self._plans.get(name)
        if asked["name"] != "system_update" or plan is None:
            return
        self.looked_at += 1
        self._asked.setdefault(name, set()).add(vin)
        for told in self._wrong(name, vin, plan, parameters, record.t):
            self.breach(line, CENTRE, f"campaign {name}: {told}", subject=vin)

    def _wrong(self, name: str, vin: str, plan: Data, parameters: Data, now: Instant) -> Iterator[str]:
        if vin not in plan["cars"]:
            yield "a car is asked that is not in its list"
        for key in ("version", "size_mb"):
            if str(parameters.get(key)) != str(plan[key]):
                yield f"a car is asked to take {key} {parameters.get(key)}, expected {plan[key]}"
        if parameters.get("consent") and (name, vin) not in self._consents:
            yield "a car is asked with a consent that nobody has given"
        if name in self._paused:
            yield "a car is asked while it is paused"
        most = self._most(name, plan)
        if most is not None and len(self._asked[name]) > most:
            yield f"{len(self._asked[name])} cars are asked, but wave {self._waves.get(name, 0)} ends with the {most}th"
        lot, per_min = self._lots.setdefault(name, deque()), int(float(plan.get("cars_per_min", 600)))
        lot.append(now)
        while lot[0] <= now - LOT:
            lot.popleft()
        if len(lot) > 2 * math.ceil(per_min * LOT / MINUTE):  # one lot late, and one in time
            yield f"{len(lot)} cars are asked within {LOT // SECOND} s, expected {per_min} in a minute"

    def _most(self, name: str, plan: Data) -> int | None:
        """Return how many cars may have been asked by now; None when all, or when the waves are unknown."""
        waves = plan.get("waves", (0.01, 0.1, 1.0))
        shares = [float(each) for each in (waves.split(",") if isinstance(waves, str) else waves)]
        ends: list[int] = []
        for share in shares:
            end = max(1, round(share * plan["first"]))
            if not ends or end > ends[-1]:
                ends.append(end)
        begun = self._waves.get(name, 0)
        return ends[begun - 1] if 0 < begun < len(ends) else 0 if not begun else None


class RepliesTrue(Check):
    """Places are within the radius, the nearest first, five at most, and fit what was asked; their distance is the true one.

    A car asks for the fuel, or the plug, that it needs. Confidential settings are shown to identified users alone.
    """

    name = "replies true"
    rule = "places are near, in their order, and of the kind that was asked for; confidential settings stay hidden"
    looks_at = "answers with places or settings"
    remembers = True
    PLACES: Final = frozenset({"petrol_places", "charging_places", "parking_places"})

    def __init__(self, begin: Begin, equipment: Mapping[str, Equipment]) -> None:
        """Take the cars' equipment by VIN, as far as it is known."""
        super().__init__(begin)
        self._equipment = equipment
        self._asked: dict[tuple[str, str], Data] = {}
        self._words: dict[str, set[str]] = {}
        self._known: dict[str, dict[str, Data]] = {name: {} for name in self.PLACES}
        """All places of all answers, by request and name."""
        self._requests = load_services().requests

    def handlers(self) -> Handlers:
        return {
            ("in", "AskOnline"): self._said,
            ("in", "Request"): self._given,
            ("out", "SendReply"): self._replied,
        }

    def _said(self, record: Input, _line: int) -> None:
        """The driver may ask for another fuel than the car's."""
        self._words.setdefault(record.m, set()).update(record.data.get("data", {}))

    def _given(self, record: Input, line: int) -> None:
        request = record.data
        if len(self._asked) >= REMEMBERED:
            del self._asked[next(iter(self._asked))]
        self._asked[request["vin"], request["id"]] = request
        fitted, said = self._equipment.get(request["vin"]), self._words.get(CAR + request["vin"], set())
        for word, needed in (("fuel", FUELS), ("plug", PLUGS)):
            told = request.get("data", {}).get(word)
            if fitted is not None and told is not None and word not in said and told != needed.get(fitted.energy):
                self.breach(line, CENTRE, f"a car of {fitted.energy} asks for {word} {told}", subject=request["vin"])

    def _replied(self, record: Output, line: int) -> None:
        vin, reply = record.data["vin"], record.data["reply"]
        request = self._asked.pop((vin, reply["id"]), None)
        if request is None or reply.get("error") is not None:
            return
        name, data = reply["name"], reply.get("data", {})
        told: list[str] = []
        if name in self.PLACES:
            told = list(self._places(request, data.get("places", [])))
            told += self._nearer(request, data.get("places", []))
        elif name == "personalisation":
            hidden = not request.get("data", {}).get("identified", False)
            shown = CONFIDENTIAL & {setting["name"] for setting in data.get("settings", ())}
            told = [f"{', '.join(sorted(shown))} is shown to a user who is not identified"] if hidden and shown else []
        else:
            return
        self.looked_at += 1
        for each in told:
            self.breach(line, CENTRE, f"{name} {reply['id']}: {each}", subject=vin)

    def _nearer(self, request: Data, places: list[Data]) -> Iterator[str]:
        """Look for a place of another answer that fits as well, and is nearer than those of this one."""
        known, wanted = self._known[request["name"]], self._wanted(request)
        told = {place["name"] for place in places}
        is_full = len(places) >= FOUND_MOST
        within_km = max(place["distance_km"] for place in places) if is_full and places else wanted["radius_km"]
        for place in known.values() if not wanted.get("open_now") and not wanted.get("free_now") else ():
            away_km = vincenty_m((wanted["latitude"], wanted["longitude"]), (place["latitude"], place["longitude"])) / 1000
            nearer = place["name"] not in told and away_km < within_km * (1 - SPHERE) - ROUNDED_KM
            if nearer and not any(_unfit({**place, "fuel": wanted.get("fuel")}, wanted)):
                yield f"{place['name']} is {away_km:.2f} km away, and is not told within {within_km} km"
        for place in places:
            if len(known) < KNOWN_PLACES or place["name"] in known:
                known[place["name"]] = place

    def _wanted(self, request: Data) -> Data:
        asked, known = request.get("data", {}), self._requests[request["name"]].parameters
        return {key: asked.get(key, known[key].default) for key in known}

    def _places(self, request: Data, places: list[Data]) -> Iterator[str]:
        wanted = self._wanted(request)
        away = [place["distance_km"] for place in places]
        if len(places) > FOUND_MOST or away != sorted(away):
            yield f"{len(places)} places, {away} km away, expected the {FOUND_MOST} nearest in their order"
        for place in places:
            yield from _misplaced(place, wanted)


def _misplaced(place: Data, wanted: Data) -> Iterator[str]:
    here, there = (wanted["latitude"], wanted["longitude"]), (place["latitude"], place["longitude"])
    true_km, told_km = vincenty_m(here, there) / 1000, place["distance_km"]
    if abs(told_km - true_km) > SPHERE * true_km + ROUNDED_KM:
        yield f"{place['name']} is told to be {told_km} km away, and is {true_km:.2f}"
    if wanted["radius_km"] is not None and told_km > wanted["radius_km"] + ROUNDED_KM:
        yield f"{place['name']} is {told_km} km away, and {wanted['radius_km']} km were asked for"
    yield from _unfit(place, wanted)


def _unfit(place: Data, wanted: Data) -> Iterator[str]:
    """Yield what was asked for and is otherwise."""
    if wanted.get("fuel") is not None and place.get("fuel") != wanted["fuel"]:
        yield f"{place['name']} is told with {place.get('fuel')}, and {wanted['fuel']} was asked for"
    if wanted.get("plug") is not None and wanted["plug"] not in place.get("plugs", ()):
        yield f"{place['name']} has {place.get('plugs')}, and {wanted['plug']} was asked for"
    if wanted.get("power_kw") is not None and place.get("power_kw", 0) < wanted["power_kw"]:
        yield f"{place['name']} has {place.get('power_kw')} kW, and {wanted['power_kw']} were asked for"
    if (wanted.get("open_now") or wanted.get("free_now")) and not place.get("open", True):
        yield f"{place['name']} is closed, and one that is open was asked for"
    if wanted.get("free_now") and not place["free"]:
        yield f"{place['name']} is full, and a free one was asked for"
    if "free" in place and not 0 <= place["free"] <= place.get("points", place.get("spaces", 0)):
        yield f"{place['name']} has {place['free']} free"
    if place.get("hours") == ALWAYS and not place["open"]:
        yield f"{place['name']} is told to be closed, and is open at all hours"


class DeskSends(Check):
    """The desk sends nothing that the car has said it would refuse, nor to a car in deep sleep, and follows what it sends.

    What the broker has taken is `sent`. A command is given up after its time to live, as `expired` when the car was not connected
    meanwhile, else as `unknown`; and before, as `unknown`, when whoever asked is no user of the car any more. What the car then
    answers is kept as its late result.
    """

    name = "desk"
    rule = "what a car would refuse is not sent; what was taken is sent; given up is expired or unknown, after its time"
    looks_at = "commands sent, and given up"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._switched: dict[str, tuple[int, int, Data | None]] = {}
        self._presence: dict[str, tuple[str, str | None]] = {}
        self._open: dict[str, Data] = {}
        self._of: dict[str, set[str]] = {}
        self._taken: dict[str, int] = {}
        self._askers: dict[str, str] = {}
        self._users: dict[str, frozenset[str]] = {}
        self._given_up: dict[str, str] = {}
        self._late = ""

    def handlers(self) -> Handlers:
        return {
            ("in", "CarSwitched"): self._switches,
            ("in", "PresenceChanged"): self._appears,
            ("in", "CarAnswered"): self._answers,
            ("in", "CommandPublished"): self._published,
            ("in", "ClockChanged"): self._forgets,
            ("in", "DeskStart"): self._forgets,
            ("in", "Restored"): self._forgets,
            ("in", "RightsChanged"): self._has_users,
            ("in", "CarForgotten"): self._is_forgotten,
            ("out", "CommandOpened"): self._opens,
            ("out", "SendCommand"): self._sends,
            ("out", "LateResult"): self._keeps,
            ("out", "Transition"): self._moves,
            ("wake",): self._wakes,
        }

    def _forgets(self, _record: Input, _line: int) -> None:
        """Another clock, or another desk: what was open is judged by nobody."""
        self._open.clear()
        self._of.clear()
        self._taken.clear()
        self._askers.clear()

    def _has_users(self, record: Input, _line: int) -> None:
        rights = record.data["rights"]
        if rights is not None and rights.get("people", True):
            self._users[record.data["vin"]] = frozenset(rights.get("users", ()))
        elif rights is None and record.data["vin"] in self._users:
            self._users[record.data["vin"]] = frozenset()
        else:
            self._users.pop(record.data["vin"], None)

    def _is_forgotten(self, record: Input, _line: int) -> None:
        """Nobody is a user of a car that was erased."""
        self._users[record.data["vin"]] = frozenset()

    def _opens(self, record: Output, _line: int) -> None:
        self._askers[record.data["record"]["id"]] = record.data["record"]["user"]

    def _switches(self, record: Input, _line: int) -> None:
        event = record.data["event"]
        vin, number = event["vin"], (event["boot"], event["seq"])
        if number > self._switched.get(vin, (0, 0, None))[:2]:
            known = event["data"] if event["name"] == "privacy_changed" else None
            self._switched[vin] = (*number, known)

    def _appears(self, record: Input, _line: int) -> None:
        vin, connection = record.data["vin"], record.data["connection"]
        self._presence[vin] = (connection, record.data.get("reason"))
        if connection != "offline":
            for command_id in self._of.get(vin, ()):
                self._open[command_id]["seen"] = True

    def _answers(self, record: Input, line: int) -> None:
        self._unkept(line)
        response = record.data["response"]
        held = self._open.get(response["command_id"])
        if held is not None:
            held["seen"] = True
        elif response["state"] in TERMINAL_STATES and self._given_up.get(response["command_id"]) == response.get("vin", ""):
            self._late = f"command {response['command_id']} of {response['vin']}"

    def _keeps(self, _record: Output, _line: int) -> None:
        self._late = ""

    def _unkept(self, line: int) -> None:
        if self._late:
            self.breach(line, DESK, "was given up and is answered, but no late result is kept", subject=self._late)
        self._late = ""

    def finish(self, end: End | None, line: int) -> None:
        """Look for the late result that the last answer should have led to."""
        if end is not None:
            self._unkept(line)

    def _sends(self, record: Output, line: int) -> None:
        command = record.data["command"]
        vin, name = command["vin"], command["name"]
        self.looked_at += 1
        connection, reason = self._presence.get(vin, ("never", None))
        self._open[command["id"]] = {
            "vin": vin,
            "expires_at": command.get("expires_at", 0),
            "seen": connection == "online",
            "state": "queued",
        }
        self._of.setdefault(vin, set()).add(command["id"])
        told = None
        if (connection, reason) == ("offline", "deep_sleep"):
            told = "the car is in deep sleep"
        known = self._switched.get(vin, (0, 0, None))[2]
        if known is not None and name not in LEGAL:
            if known["mode"] in SILENT_MODES:
                told = f"the car's privacy mode is {known['mode']}"
            elif name in known.get("services_off", ()):
                told = "it is switched off in the car"
            elif name in TELLS_PLACE and known["mode"] == "online":
                told = "it would tell the car's place"
        if told is not None:
            self.breach(line, DESK, f"{name} is sent, but {told}", subject=f"command {command['id']} of {vin}")

    def _published(self, record: Input, line: int) -> None:
        self._overdue(line)
        command_id = record.data["command_id"]
        held = self._open.get(command_id)
        if held is not None and record.data.get("refused") is None and held["state"] == "queued":
            self._taken[command_id] = line

    def _wakes(self, record: Wake, line: int) -> None:
        if record.m == DESK:
            self._overdue(line)

    def _overdue(self, line: int) -> None:
        for command_id in self._taken:
            self.breach(line, DESK, "the broker has taken a command, but it is not told as sent", subject=f"command {command_id}")
        self._taken.clear()

    def _moves(self, record: Output, line: int) -> None:
        moved = record.data
        self._taken.pop(moved["command_id"], None)
        held = self._open.get(moved["command_id"])
        ended = moved["state"] in {"expired", "unknown", "succeeded", "rejected", "failed"}
        asker = self._askers.pop(moved["command_id"], "") if ended else ""
        if held is None:
            return
        held["state"] = moved["state"]
        if not ended:
            return
        del self._open[moved["command_id"]]
        self._of[held["vin"]].discard(moved["command_id"])
        if moved["by"] != "desk" or moved["state"] not in {"expired", "unknown"}:
            return
        self.looked_at += 1
        self._given_up[moved["command_id"]] = held["vin"]
        if len(self._given_up) > REMEMBERED:
            del self._given_up[next(iter(self._given_up))]
        subject = f"command {moved['command_id']} of {held['vin']}"
        if moved["state"] == "unknown" and asker not in self._users.get(held["vin"], {asker}):
            return
        if moved["at"] < held["expires_at"]:
            self.breach(line, DESK, f"it is given up before {format_instant(held['expires_at'])}", subject=subject)
        if (moved["state"] == "unknown") != held["seen"]:
            seen = "connected" if held["seen"] else "not connected"
            self.breach(line, DESK, f"it is given up as {moved['state']}, but the car was {seen} meanwhile", subject=subject)


class WillSays(Check):
    """The will of a car says that it is offline, and lost: known by its length, as online it would be another one.

    A car that is connected says that it is online, and one that goes says that it is offline, and why.
    """

    name = "will"
    rule = "a car says online when it is connected and offline when it goes; its will, retained, says offline, lost"
    looks_at = "connections of cars, and what they say of them"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._encoders = (msgspec.msgpack.encode, msgspec.json.encode)

    def handlers(self) -> Handlers:
        said: Handlers = {("out", "Announce"): self._says, ("out", "Disconnect"): self._says}
        return {("open",): self._opens, **said} if self.begin.boot else said

    def _says(self, record: Output, line: int) -> None:
        self.looked_at += 1
        presence = record.data["presence" if record.type == "Announce" else "last"]
        told = (presence["connection"], presence.get("reason"))
        wanted = {("online", None)} if record.type == "Announce" else {("offline", "shutdown"), ("offline", "deep_sleep")}
        if told not in wanted:
            doing = "is connected" if record.type == "Announce" else "goes"
            self.breach(line, record.m, f"a car that {doing} says {told[0]}, {told[1]}")

    def _opens(self, record: Opened, line: int) -> None:
        vin = record.m.removeprefix(LINK)
        if record.will is None or not record.will.topic.endswith(f"/{vin}/presence"):
            return
        self.looked_at += 1
        lost = Presence(vin=vin, boot=self.begin.boot or 0, seq=0, captured_at=record.t, connection="offline", reason="lost")
        if not record.will.retain or record.will.bytes not in {len(encode(lost)) for encode in self._encoders}:
            self.breach(line, record.m, f"the will has {record.will.bytes} bytes: it does not say that the car is offline, lost")
