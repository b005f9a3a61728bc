"""Reason codes of MQTT 5: their names as in the specification, and the next step after a refusal.

Shared by all links, so that one refusal reads the same and counts as the same whichever link met it.
"""

from __future__ import annotations

from typing import Final

from fleet.errors import ConnectionLost, ConnectRefused, PublishRefused, SubscribeRefused, Unreachable

REFUSAL: Final = 0x80
"""Reason codes from here on are refusals."""
UNSUPPORTED_VERSION: Final = 0x84
MALFORMED_PACKET: Final = 0x81
PROTOCOL_ERROR: Final = 0x82
SESSION_TAKEN_OVER: Final = 0x8E
TOPIC_ALIAS_INVALID: Final = 0x94
PACKET_TOO_LARGE: Final = 0x95
QUOTA_EXCEEDED: Final = 0x97
RETAIN_NOT_SUPPORTED: Final = 0x9A
QOS_NOT_SUPPORTED: Final = 0x9B
TAKEN_OVER: Final = "the broker ended it: Session taken over by another client of the same client id"
CLOSED: Final = "the other side closed it"
"""The cause of an end of which nobody said why."""
OWN_CLIENT_IDS: Final = (
    "Client ids follow the topic prefix: give each run, and its back end, a --topic-prefix of its own; back ends of one prefix "
    "need a --client-id each."
)
SAME_CLIENT_ID: Final = f"If it goes on, another client uses the same client id. {OWN_CLIENT_IDS}"
"""The hint at an end of which nobody said why, on a broker that others use, too."""

_NAMES: Final = {
    0x80: "Unspecified error",
    0x81: "Malformed packet",
    0x82: "Protocol error",
    0x83: "Implementation specific error",
    0x84: "Unsupported protocol version",
    0x85: "Client identifier not valid",
    0x86: "Bad user name or password",
    0x87: "Not authorized",
    0x88: "Server unavailable",
    0x89: "Server busy",
    0x8A: "Banned",
    0x8B: "Server shutting down",
    0x8C: "Bad authentication method",
    0x8D: "Keep alive timeout",
    0x8E: "Session taken over",
    0x8F: "Topic filter invalid",
    0x90: "Topic name invalid",
    0x91: "Packet identifier in use",
    0x92: "Packet identifier not found",
    0x93: "Receive maximum exceeded",
    0x94: "Topic alias invalid",
    0x95: "Packet too large",
    0x96: "Message rate too high",
    0x97: "Quota exceeded",
    0x98: "Administrative action",
    0x99: "Payload format invalid",
    0x9A: "Retain not supported",
    0x9B: "QoS not supported",
    0x9C: "Use another server",
    0x9D: "Server moved",
    0x9E: "Shared subscription not supported",
    0x9F: "Connection rate exceeded",
    0xA0: "Maximum connect time",
    0xA1: "Subscription identifiers not supported",
    0xA2: "Wildcard subscription not supported",
}
_TLS_ALERT: Final = 0x15
_PORTS_HINT: Final = "MQTT usually has port 1883, or 8883 with TLS."
_OLDER_CODES: Final = {2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}
"""Refusals of MQTT 3.1.1 as codes of MQTT 5."""
CONNECT_HINTS: Final = {
    UNSUPPORTED_VERSION: "The broker does not speak MQTT 5: it needs a newer version, or a setting.",
    0x85: "The broker does not accept this client id; where it must be the user name, give --vin-as-client-id.",
    0x86: "Are the user name and the password right?",
    0x87: "Are the user name and the password right, and does this listener of the broker know that user?",
    0x88: "The broker is not available; it is tried again.",
    0x89: "The broker is busy; it is tried again.",
    0x8A: "The broker has banned this client.",
    0x97: "A quota of the broker is used up.",
    QOS_NOT_SUPPORTED: "The broker takes messages at QoS 0 only, and all that is counted here needs QoS 1: allow it there.",
    RETAIN_NOT_SUPPORTED: "The broker retains nothing, not even a will; allow it there.",
    0x9C: "The broker sends its clients to another one: name that with --broker.",
    0x9D: "The broker has moved: name the new one with --broker.",
    0x9F: "Too many connects a second for the broker; it is tried again.",
}
_SUBSCRIBE_HINTS: Final = {
    0x8F: "The broker does not accept such a topic filter; some limit the number of levels.",
    0x97: "A quota of the broker is used up: subscriptions of a client, or in all.",
    0xA2: "The broker has no wildcard subscriptions, and commands and status need them: allow them there.",
}
_PUBLISH_HINTS: Final = {
    0x90: "The broker does not accept such a topic; some limit the number of levels.",
    0x95: "The message is larger than the broker takes: allow larger ones there.",
    0x97: "A quota of the broker, or the queue of this client, is full: it sends more than the broker takes.",
    QOS_NOT_SUPPORTED: "Messages go out at QoS 0 or 1 here.",
    RETAIN_NOT_SUPPORTED: "The broker retains nothing.",
}


def name_of(code: int) -> str:
    """Return the specification's name of a reason code."""
    return _NAMES.get(code) or ("Success" if code < REFUSAL else f"Reason 0x{code:02X}")


def connect_refused(client_id: str, code: int, *said: str | None) -> ConnectRefused:
    """Return the error for a CONNACK of that code; `said` is what the broker added in words."""
    words = ", ".join(word for word in said if word)
    name = f"{name_of(code)}, {words!r}" if words else name_of(code)
    return ConnectRefused(client_id, code, name, hint=CONNECT_HINTS.get(code, ""))


def subscribe_refused(client_id: str, topic_filter: str, code: int) -> SubscribeRefused:
    """Return the error for a SUBACK of that code."""
    return SubscribeRefused(client_id, topic_filter, code, name_of(code), hint=_SUBSCRIBE_HINTS.get(code, ""))


def publish_refused(client_id: str, topic: str, code: int) -> PublishRefused:
    """Return the error for a PUBACK of that code."""
    return PublishRefused(client_id, topic, code, name_of(code), hint=_PUBLISH_HINTS.get(code, ""))


def connection_lost(client_id: str, cause: str) -> ConnectionLost:
    """Return the error for a connection that was there and ended against our wish."""
    taken_over = None if cause == CLOSED else cause == TAKEN_OVER
    hint = "The link tries again."
    if taken_over is not False:
        hint = f"The link tries again. {SAME_CLIENT_ID}"
    return ConnectionLost(f"the connection of {client_id!r} was lost: {cause}", hint=hint, taken_over=taken_over)


def broker_ended(client_id: str, code: int) -> ConnectionLost:
    """Return the error for a DISCONNECT of that code."""
    return connection_lost(client_id, TAKEN_OVER if code == SESSION_TAKEN_OVER else f"the broker ended it: {name_of(code)}")


def not_connected(client_id: str) -> ConnectionLost:
    """Return the error for a publish while the link is not up."""
    return ConnectionLost(f"{client_id!r} is not connected", hint="Publish after link_up.")


def not_mqtt(error: Exception) -> str:
    """Return the cause of the end of a connection on which the broker broke the protocol."""
    return f"the broker sent what is no MQTT 5: {error}"


def ended_early(host: str, port: int, cause: str, hint: str = "") -> Unreachable:
    """Return the error for a connection that ended before the broker answered the CONNECT."""
    hint = (
        hint or "Does the broker speak MQTT 5 on this port, and does it want TLS (mqtts://) or a client certificate (--cert-dir)?"
    )
    return Unreachable(host, port, f"ended before the broker answered: {cause}", hint=hint)


def no_connack(host: str, port: int, first: bytes) -> Unreachable:
    """Return the error for an answer to the CONNECT that is none of MQTT; `first` is how it begins, a byte at least."""
    cause, hint = "the answer is no MQTT", f"Is that the port of the broker? {_PORTS_HINT}"
    if first[0] == _TLS_ALERT:
        cause, hint = (
            "the answer is TLS",
            "This port speaks TLS: write mqtts://HOST:PORT, with --ca FILE for an authority of your own.",
        )
    elif first[:1] in {b"H", b"<"}:
        cause = "the answer is that of a web server (HTTP)"
    return Unreachable(host, port, cause, hint=hint)


def timed_out(host: str, port: int, after_s: float, *, connected: bool) -> Unreachable:
    """Return the error for an attempt that took too long: for the network, or once `connected` for the CONNACK."""
    if not connected:
        return Unreachable(host, port, f"timed out after {after_s:g} s waiting for the network")
    cause = f"timed out after {after_s:g} s waiting for the broker, which took the connection but does not answer"
    return Unreachable(host, port, cause, hint=f"Is it overloaded, or no broker at all? {_PORTS_HINT}")


def answered_by_older(client_id: str, code: int) -> ConnectRefused:
    """Return the error for a CONNACK of MQTT 3.1.1, which has a return code and no properties."""
    return connect_refused(client_id, _OLDER_CODES.get(code, UNSUPPORTED_VERSION))
