"""A VISS 3 server in a car, as COVESA specifies it: get, set, subscribe, unsubscribe by VSS path. Pure.

It knows neither MQTT nor how a command is carried out: requests and responses are JSON objects, an update of an actuator is a
command of ours, and what comes of it is told to it. `services` adds invoke, monitor, cancel and discover. Times of filters
are those of the car's clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from fleet.dialects.vss.filters import (
    SAMPLED_EVERY,
    Filter,
    VissError,
    Wanted,
    bad_request,
    invalid_data,
    is_changed,
    is_within,
    read_filter,
    resolve,
    unavailable,
)
from fleet.dialects.vss.signals import TREE, Signal, Value, attributes_of, signals_of
from fleet.kernel.instants import Instant, format_instant
from fleet.wire.commands import COMMANDS
from fleet.wire.messages import TERMINAL_STATES, Command, Response, Status

MOST_SUBSCRIPTIONS: Final = 16
"""Of one car; more are refused with 429."""
MOST_PENDING: Final = 64
"""Updates of a car whose outcome is awaited; more are refused with 429."""
NOT_AVAILABLE: Final = "viss-inline:Data-not-available"
"""The value of one of several signals that is not there (transport, section 4.1.1)."""

Object = dict[str, Any]


class Answer(NamedTuple):
    """A response or an event, and the topic of whoever asked."""

    topic: str
    body: Object


class Outcome(NamedTuple):
    """The result of a request: answers that can be given at once, and commands for the car."""

    answers: tuple[Answer, ...] = ()
    commands: tuple[Command, ...] = ()


class Asked(NamedTuple):
    """Where the answer to a request goes, and the members that it repeats."""

    topic: str
    action: str
    request_id: str | None

    def answer(self, now: Instant, **members: Any) -> Answer:
        """Return the answer with the members of every response."""
        repeated = {} if self.request_id is None else {"requestId": self.request_id}
        return Answer(self.topic, {"action": self.action, **repeated, **members, "ts": format_instant(now)})

    def error(self, now: Instant, error: VissError, **members: Any) -> Answer:
        """Return the answer of a request that failed."""
        return self.answer(now, **members, error=error.as_object())


Setting = Callable[[Any], tuple[str, Object]]
"""The command that an update of an actuator is, with its parameters, for a value of its datatype."""


def _lock(locked: bool) -> tuple[str, Object]:
    return ("lock" if locked else "unlock"), {}


SETTINGS: Final[dict[str, Setting]] = {
    **{path: _lock for path in TREE if path.endswith(".IsLocked")},
    "Vehicle.Cabin.HVAC.IsAirConditioningActive": lambda on: ("climatisation", {"action": "start" if on else "stop"}),
    "Vehicle.Cabin.HVAC.Station.Row1.Driver.Temperature": lambda c: ("climatisation", {"action": "start", "target_c": c}),
    "Vehicle.Powertrain.TractionBattery.Charging.StartStopCharging": lambda word: ("charging", {"action": word.lower()}),
    "Vehicle.Powertrain.TractionBattery.Charging.ChargeLimit": lambda limit: ("charging_settings", {"limit_percent": limit}),
}
"""The actuators that can be set. Doors lock together: the lock of any is that of all."""

_REASONS: Final = {
    "malformed": (400, "invalid_data"),
    "argument_out_of_range": (400, "invalid_data"),
    "unsupported": (404, "unavailable_data"),
    "not_equipped": (404, "unavailable_data"),
    "no_map_data": (404, "unavailable_data"),
    "insufficient_rights": (403, "forbidden_request"),
    "privacy_offline": (403, "forbidden_request"),
    "privacy_location": (403, "forbidden_request"),
    "service_deactivated": (403, "forbidden_request"),
    "workshop_mode": (403, "forbidden_request"),
    "not_paired": (403, "forbidden_request"),
    "consent_missing": (403, "forbidden_request"),
    "power_budget": (429, "too_many_requests"),
    "list_full": (429, "too_many_requests"),
}
"""The errors of refusals; all others are 503: the car cannot at the moment."""


def error_of(response: Response) -> VissError:
    """Return the error that says how a command of the car ended, other than well."""
    words = [word for word in (response.reason, response.detail) if word]
    told = ": ".join(words) or response.state
    match response.state:
        case "expired":
            return VissError(408, "request_timeout", told)
        case "unknown":
            return VissError(504, "gateway_timeout", told)
        case "failed":
            return VissError(502, "bad_gateway", told)
        case _:
            return VissError(*_REASONS.get(response.reason or "", (503, "service_unavailable")), told)


class Subscription:
    """A subscription: whose it is, which signals, when it is looked at next, and what they were when it last sent."""

    __slots__ = ("before", "due", "filter", "paths", "several", "topic")

    def __init__(self, topic: str, paths: list[str], filter_: Filter, *, several: bool) -> None:
        self.topic = topic
        self.paths = paths
        self.filter = filter_
        self.several = several
        self.due: Instant = 0
        self.before: dict[str, Value] = {}


class View:
    """The signals of the car at one instant."""

    def __init__(self, status: Status, attributes: Mapping[str, Value]) -> None:
        self.values = {**attributes, **signals_of(status)}
        self._captured_at = format_instant(status.captured_at)
        absent = _absent_from(status)
        self.tree = [path for path in TREE if path in self.values or not path.startswith(absent)]

    def point(self, path: str) -> Object | None:
        """Return a data object, None for a signal that is not there."""
        value = self.values.get(path)
        if value is None:
            return None
        fixed_at = self.values.get("Vehicle.CurrentLocation.Timestamp")
        captured_at = fixed_at if path.startswith("Vehicle.CurrentLocation.") and fixed_at else self._captured_at
        return {"path": path, "dp": {"value": as_text(value), "ts": captured_at}}


def _absent_from(status: Status) -> tuple[str, ...]:
    """Return the beginnings of paths that the car is not built for."""
    energy, windows, climate = status.energy, status.windows, status.climate
    absent = []
    if energy is not None and energy.charge_percent is None:
        absent.append("Vehicle.Powertrain.TractionBattery.")
    if energy is not None and energy.fuel_level_percent is None:
        absent += ["Vehicle.Powertrain.FuelSystem.", "Vehicle.Powertrain.CombustionEngine."]
    if status.adblue is None:
        absent.append("Vehicle.Powertrain.CombustionEngine.DieselExhaustFluid.")
    if windows is not None and windows.sunroof is None:
        absent.append("Vehicle.Cabin.Sunroof.")
    if climate is not None and climate.window_heating is None:
        absent.append("Vehicle.Cabin.HVAC.IsRearDefrosterActive")
    return tuple(absent)


def as_text(value: Value) -> str:
    """Return a value as VISS has all of them: a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def read_value(signal: Signal, text: Any) -> Value:
    """Read a value for a signal, a string or the JSON value itself. Raises VissError."""
    text = as_text(text) if isinstance(text, bool | int | float) else text
    if not isinstance(text, str):
        raise bad_request("Missing or invalid value")
    if signal.datatype == "boolean" and text in ("true", "false"):
        return text == "true"
    if signal.datatype == "string":
        if signal.allowed and text not in signal.allowed:
            raise invalid_data(f"Data value outside limit: {signal.path} is one of {', '.join(signal.allowed)}")
        return text
    if signal.datatype != "boolean":
        try:
            return float(text) if signal.datatype in ("float", "double") else int(text)
        except ValueError:
            pass
    raise invalid_data(f"Incorrect data type: {signal.path} is a {signal.datatype}")


class VissServer:
    """The server of one car. `snapshot` returns its whole status at the moment."""

    def __init__(self, vin: str, model: str, snapshot: Callable[[], Status], *, token: str | None = None) -> None:
        """With a `token` each request must bear it as `authorization`."""
        self.vin = vin
        self._attributes = attributes_of(vin, model)
        self._snapshot = snapshot
        self._token = token
        self._subscriptions: dict[str, Subscription] = {}
        self._pending: OrderedDict[str, Asked] = OrderedDict()
        self._made = 0

    # --- requests

    def request(self, topic: str, request: Any, now: Instant) -> Outcome:
        """Take a request whose answers go to a topic."""
        if not isinstance(request, Mapping):
            request = {}
        asked = read_asked(topic, request)
        try:
            self.authorize(request)
            match asked.action:
                case "get":
                    return self._get(asked, request, now)
                case "set":
                    return self._set(asked, request, now)
                case "subscribe":
                    return self._subscribe(asked, request, now)
                case "unsubscribe":
                    return self._unsubscribe(asked, request, now)
                case _:
                    raise bad_request(f"Missing or invalid action: {asked.action[:40]!r}")
        except VissError as error:
            return Outcome((asked.error(now, error),))

    def authorize(self, request: Mapping[str, Any]) -> None:
        """Raise VissError for a request without the token, where there is one."""
        given = request.get("authorization")
        if self._token is not None and given != self._token:
            text = "Access token is missing" if given is None else "Access token is invalid"
            raise VissError(401, "invalid_token", text)

    def _view(self) -> View:
        return View(self._snapshot(), self._attributes)

    def _get(self, asked: Asked, request: Mapping[str, Any], now: Instant) -> Outcome:
        wanted = read_filter(request.get("filter"), ("paths", "metadata"))
        path = read_path(request)
        if wanted.depth is not None:
            return Outcome((asked.answer(now, metadata=_metadata(self._view().tree, path, wanted)),))
        view = self._view()
        paths = resolve(view.tree, path, wanted.paths)
        return Outcome((asked.answer(now, data=self._data(view, paths, several=bool(wanted.paths))),))

    def _data(self, view: View, paths: list[str], *, several: bool) -> Any:
        """Return the data objects of these signals; of several some may be missing, unless access is controlled."""
        points = [view.point(path) for path in paths]
        if not any(points) or (self._token is not None and not all(points)):
            raise unavailable("Data temporarily unaccessible")
        missing = format_instant(self._snapshot().captured_at) if not all(points) else ""
        found = [
            point or {"path": path, "dp": {"value": NOT_AVAILABLE, "ts": missing}}
            for path, point in zip(paths, points, strict=True)
        ]
        return found if several else found[0]

    def _set(self, asked: Asked, request: Mapping[str, Any], now: Instant) -> Outcome:
        path = read_path(request)
        signal = TREE.get(path)
        if signal is None:
            resolve(TREE, path, ())  # a branch, or nothing
        assert signal is not None
        if signal.kind != "actuator":
            raise invalid_data(f"Update of a {signal.kind} is not supported: {path}")
        if "value" not in request:
            raise bad_request("Missing or invalid value")
        value = read_value(signal, request["value"])
        setting = SETTINGS.get(path)
        if setting is None:
            raise VissError(403, "forbidden_request", f"The car lets nobody set {path} from afar")
        if len(self._pending) >= MOST_PENDING:
            raise VissError(429, "too_many_requests", "Too many updates are under way")
        self._made += 1
        command = new_command(self.vin, *setting(value), now, f"viss-set-{now}-{self._made}")
        self._pending[command.id] = asked
        return Outcome(commands=(command,))

    # --- subscriptions

    def _subscribe(self, asked: Asked, request: Mapping[str, Any], now: Instant) -> Outcome:
        if "filter" not in request:
            raise bad_request("Missing or invalid filter")
        wanted = read_filter(request["filter"], ("paths", "timebased", "change", "range"))
        if wanted.when is None:
            raise bad_request("Missing or invalid filter: timebased, change or range says when")
        view = self._view()
        paths = resolve(view.tree, read_path(request), wanted.paths)
        if len(self._subscriptions) >= MOST_SUBSCRIPTIONS:
            raise VissError(429, "too_many_requests", f"The car has {MOST_SUBSCRIPTIONS} subscriptions, and takes no more")
        self._made += 1
        name = str(self._made)
        subscription = self._subscriptions[name] = Subscription(asked.topic, paths, wanted.when, several=bool(wanted.paths))
        subscription.due = now + (wanted.when.period or SAMPLED_EVERY)
        if wanted.when.variant == "change":
            subscription.before = {path: view.values[path] for path in paths if path in view.values}
        return Outcome((asked.answer(now, subscriptionId=name),))

    def _unsubscribe(self, asked: Asked, request: Mapping[str, Any], now: Instant) -> Outcome:
        name = request.get("subscriptionId")
        if not isinstance(name, str):
            raise bad_request("Missing or invalid subscriptionId")
        if self._subscriptions.pop(name, None) is None:
            raise unavailable("Unknown subscription Id")
        return Outcome((asked.answer(now),))

    def deadline(self) -> Instant | None:
        """Return when a subscription is looked at next."""
        return min((subscription.due for subscription in self._subscriptions.values()), default=None)

    def wake(self, now: Instant) -> list[Answer]:
        """Return the events that are due."""
        events: list[Answer] = []
        view: View | None = None
        for name, subscription in self._subscriptions.items():
            if subscription.due <= now:
                view = view or self._view()
                subscription.due = _next(subscription, now)
                events += self._event(name, subscription, view, now)
        return events

    def changed(self, now: Instant) -> list[Answer]:
        """Return the events of subscriptions to changes: something has happened to the car."""
        waiting = [(name, each) for name, each in self._subscriptions.items() if each.filter.variant != "timebased"]
        if not waiting:
            return []
        view = self._view()
        return [event for name, each in waiting for event in self._event(name, each, view, now)]

    def _event(self, name: str, subscription: Subscription, view: View, now: Instant) -> list[Answer]:
        match subscription.filter.variant:
            case "timebased":
                paths = subscription.paths
            case "change":
                paths = _changed_paths(subscription, view.values)
            case _:
                paths = _paths_within(subscription, view.values)
        if not paths:
            return []
        asked = Asked(subscription.topic, "subscription", None)
        try:
            data = self._data(view, paths, several=subscription.several)
        except VissError:
            return []  # nothing of it is there at the moment; the subscription goes on
        return [asked.answer(now, subscriptionId=name, data=data)]

    # --- what came of commands

    def answered(self, response: Response, now: Instant) -> list[Answer]:
        """Answer the update that was this command, once the car has taken or refused it."""
        asked = self._pending.get(response.command_id)
        if asked is None:
            return []
        del self._pending[response.command_id]
        if response.state in TERMINAL_STATES and response.state != "succeeded":
            return [asked.error(now, error_of(response))]
        return [asked.answer(now)]


def new_command(vin: str, name: str, parameters: Object, now: Instant, command_id: str) -> Command:
    """Return a command for the car, with the time to live of its kind."""
    return Command(
        id=command_id, vin=vin, name=name, issued_at=now, expires_at=now + COMMANDS[name].time_to_live, parameters=parameters
    )


def read_asked(topic: str, request: Mapping[str, Any]) -> Asked:
    """Return where the answer goes, whatever else stands in the request."""
    action, request_id = request.get("action"), request.get("requestId")
    if isinstance(request_id, int) and not isinstance(request_id, bool):
        request_id = str(request_id)
    return Asked(topic, action if isinstance(action, str) else "", request_id if isinstance(request_id, str) else None)


def read_path(request: Mapping[str, Any]) -> str:
    """Return the path of a request, with dots. Raises VissError."""
    path = request.get("path")
    if not isinstance(path, str) or not path or len(path) > 1000:
        raise bad_request("Missing or invalid path")
    return path.replace("/", ".")


def _next(subscription: Subscription, now: Instant) -> Instant:
    """Return when it is due again: one event for periods that were missed."""
    period = subscription.filter.period or SAMPLED_EVERY
    return subscription.due + period * ((now - subscription.due) // period + 1)


def _changed_paths(subscription: Subscription, values: Mapping[str, Value]) -> list[str]:
    """Return what has changed as wanted. A bound of 0 compares with the look before, another with what was sent last."""
    bound, before, changed = subscription.filter.bounds[0], subscription.before, []
    for path in subscription.paths:
        value = values.get(path)
        if value is None:
            continue
        if is_changed(bound, before.get(path), value):
            changed.append(path)
            before[path] = value
        elif bound.number == 0:
            before[path] = value
    return changed


def _paths_within(subscription: Subscription, values: Mapping[str, Value]) -> list[str]:
    """Return what is in the range and was not sent yet: once when it comes there, and then with each new value."""
    before, within = subscription.before, []
    for path in subscription.paths:
        value = values.get(path)
        if value is None or not is_within(subscription.filter, value):
            before.pop(path, None)
        elif before.get(path) != value:
            within.append(path)
            before[path] = value
    return within


# --- metadata


def _metadata(tree: list[str], path: str, wanted: Wanted) -> Object:
    """Return what the tree says of a node and those below it, as many generations deep as wanted; 0 is without limit."""
    roots = resolve(tree, path, wanted.paths) if wanted.paths else [path]
    found: Object = {}
    for root in roots:
        below = [leaf for leaf in tree if leaf == root or leaf.startswith(root + ".")]
        if not below:
            raise unavailable("Data is unknown")
        found[root.rsplit(".", 1)[-1]] = _node(root, below, wanted.depth or len(tree))
    return found


def _node(path: str, below: list[str], depth: int) -> Object:
    signal = TREE.get(path)
    if signal is not None:
        node: Object = {"type": signal.kind, "datatype": signal.datatype}
        if signal.unit:
            node["unit"] = signal.unit
        if signal.allowed:
            node["allowed"] = list(signal.allowed)
        return node
    names = list(dict.fromkeys(leaf[len(path) + 1 :].split(".")[0] for leaf in below))
    if depth <= 1:
        return {"type": "branch", "children": names}
    children = {}
    for name in names:
        child = f"{path}.{name}"
        children[name] = _node(child, [leaf for leaf in below if leaf == child or leaf.startswith(child + ".")], depth - 1)
    return {"type": "branch", "children": children}
