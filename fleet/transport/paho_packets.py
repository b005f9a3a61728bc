"""Frames and settings to paho's properties and messages, and back. Knows no connection."""

from __future__ import annotations

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fleet.transport.link import LinkSettings, Will
from fleet.wire.frame import Frame


def frame_from(message: paho.MQTTMessage) -> Frame:
    """Return what was received. An expiry that ran down to 0 would read as none."""
    held = vars(message.properties)
    correlation = held.get("CorrelationData")
    expiry_s = held.get("MessageExpiryInterval")
    return Frame(
        topic=message.topic,
        payload=bytes(message.payload),
        qos=message.qos,
        retain=bool(message.retain),
        expiry_s=None if expiry_s is None else max(1, expiry_s),
        response_topic=held.get("ResponseTopic"),
        correlation=None if correlation is None else bytes(correlation),
        content_type=held.get("ContentType"),
        user_properties=tuple((name, value) for name, value in held.get("UserProperty", ())),
        duplicate=bool(message.dup),
    )


def frame_properties(frame: Frame, packet_type: int) -> Properties | None:
    """Return the properties of a frame in a packet of that type; None when there are none."""
    values = {
        "MessageExpiryInterval": frame.expiry_s,
        "ResponseTopic": frame.response_topic,
        "CorrelationData": frame.correlation,
        "ContentType": frame.content_type,
        "UserProperty": list(frame.user_properties) or None,
    }
    if all(value is None for value in values.values()):
        return None
    properties = new_properties(packet_type)
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    return properties


def new_properties(packet_type: int) -> Properties:
    """Return properties for a packet of that type, none of them set."""
    return Properties(packet_type)  # type: ignore[no-untyped-call]


def will_of(will: Will | None) -> aiomqtt.Will | None:
    """Return the will for a CONNECT."""
    if will is None:
        return None
    frame = will.frame
    properties = frame_properties(frame, PacketTypes.WILLMESSAGE) or new_properties(PacketTypes.WILLMESSAGE)
    properties.WillDelayInterval = will.delay_s
    return aiomqtt.Will(frame.topic, frame.payload, frame.qos, frame.retain, properties)


def connect_properties(settings: LinkSettings) -> Properties:
    """Return the properties of a CONNECT."""
    properties = new_properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = settings.session_expiry_s
    properties.ReceiveMaximum = settings.receive_maximum
    return properties
