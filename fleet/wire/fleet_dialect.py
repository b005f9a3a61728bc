"""Our own dialect: the topics of `topics`, and payloads with the field names of `messages` in MessagePack or JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, assert_never

import msgspec
from msgspec.structs import replace

from fleet.errors import Undecodable
from fleet.kernel.instants import Instant
from fleet.wire.dialect import ANSWER_OF_USE_S, CarEnd, CarFacts, TopicAccess, is_secret
from fleet.wire.frame import Frame
from fleet.wire.intake import MAX_PAYLOAD, NOT_PLAIN, check_fields, misfit, plain_part
from fleet.wire.messages import (
    EMERGENCIES,
    SCHEMA_VERSION,
    CarMessage,
    Command,
    DeskAnswer,
    DeskRequest,
    Event,
    FromCar,
    Header,
    Presence,
    Reply,
    Request,
    Response,
    Status,
    Stored,
    ToCar,
    Written,
    WrittenStatus,
)
from fleet.wire.topics import Channel, Topics
from fleet.wire.trace import boot_trace, traceparent, traceparent_of

MESSAGEPACK: Final = "application/vnd.msgpack"
JSON: Final = "application/json"
_SCHEMA: Final = ("schema", SCHEMA_VERSION)
_FROM_CARS: Final[dict[Channel, type[FromCar]]] = {
    "status": Status,
    "event": Event,
    "response": Response,
    "request": Request,
    "presence": Presence,
}


class _Lax(msgspec.Struct):
    """The data of an event that is no event of ours."""

    data: Any = None


class _Numbers(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The fields of a header that differ from one message of a car to the next."""

    seq: int
    captured_at: int
    due_wall_us: int | None = None
    sent_wall_us: int | None = None


_BEHIND: Final = tuple(name for name in Status.__struct_fields__ if name not in Header.__struct_fields__)
"""The fields of a status behind its header."""
_MAPS: Final = tuple(bytes((0xDE, 0, fields)) for fields in range(256))
"""The head of a map of so many fields, as MessagePack has it for a struct that could have more than 15."""
_SMALL_MAP: Final = 0x80
_LARGE_MAP: Final = 0xDE


class PayloadCodec(Protocol):
    """Bytes to objects of a type and back."""

    content_type: str

    def encode(self, message: Any) -> bytes: ...
    def decode(self, payload: bytes, kind: Any) -> Any: ...


class _Codec:
    """A msgspec codec with its decoders made once per type."""

    def __init__(self, content_type: str, encoder: Any, decoder: Any) -> None:
        self.content_type = content_type
        self.encode = encoder.encode
        self._decoder = decoder
        self._decoders: dict[Any, Callable[[bytes], Any]] = {}

    def decode(self, payload: bytes, kind: Any) -> Any:
        """Read `payload` as `kind`; raises Undecodable `type` for the wrong fields, `encoding` for no codec's bytes."""
        decode = self._decoders.get(kind)
        if decode is None:
            decode = self._decoders[kind] = self._decoder(kind).decode
        try:
            return decode(payload)
        except msgspec.ValidationError as error:
            raise Undecodable("type", str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Undecodable("encoding", f"{len(payload)} bytes are no {self.content_type}: {error}") from None
        except RecursionError:
            raise Undecodable("encoding", f"{len(payload)} bytes nest too deeply") from None


def messagepack_codec() -> PayloadCodec:
    """Return the codec that is used unless the user asks for JSON."""
    return _Codec(MESSAGEPACK, msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder)


def json_codec() -> PayloadCodec:
    """Return the codec for people and for back ends without MessagePack."""
    return _Codec(JSON, msgspec.json.Encoder(), msgspec.json.Decoder)


class FleetDialect:
    """Our own topics and payloads. Writes with one codec, reads both, told by the content type."""

    def __init__(self, topics: Topics | None = None, codec: PayloadCodec | None = None) -> None:
        """Take the topics (default prefix when None) and the codec to write with (MessagePack when None)."""
        self.topics = topics or Topics()
        codec = codec or messagepack_codec()
        self._encode, self._content_type = codec.encode, codec.content_type
        self._encode_stored = messagepack_codec().encode
        self._readers: dict[str | None, PayloadCodec] = {MESSAGEPACK: messagepack_codec(), JSON: json_codec()}
        self._readers[None] = codec

    @property
    def name(self) -> str:
        """`fleet`, or `json` where it writes that."""
        return "json" if self._content_type == JSON else "fleet"

    @property
    def content_type(self) -> str:
        """The MQTT content type of what it writes; it reads both."""
        return self._content_type

    @property
    def access(self) -> TopicAccess | None:
        """None: the shipped access control list is about these topics."""
        return None

    @property
    def says_stored(self) -> bool:
        """True: there is a topic for it."""
        return True

    @property
    def has_ends(self) -> bool:
        """False: `from_car` and `read_to_car` do; unless a dialect that derives from ours brings ends."""
        return type(self).car_end is not FleetDialect.car_end

    def car_end(self, car: CarFacts, snapshot: Callable[[], Status]) -> CarEnd | None:  # noqa: ARG002
        """Return None: a message is a frame, and nothing of a car need be remembered."""
        return None

    # --- car to cloud

    def from_car(self, message: FromCar | WrittenStatus) -> Frame:
        """Write what a car sends; presence is retained."""
        if type(message) is WrittenStatus:  # nearly all there is under load
            return self._written(message)
        topics, vin = self.topics, message.vin
        if type(message) is Event:
            return self._numbered(topics.event(vin, message.name), message)
        if type(message) is Status:
            return self._numbered(topics.status(vin), message)
        match message:
            case Response(name=name, command_id=command_id):
                trace = traceparent(command_id)
                return self._frame(topics.response(vin, name), message, trace, correlation=command_id.encode())
            case Presence():
                return self._frame(topics.presence(vin), message, traceparent(vin, message.boot), retain=True)
            case Request(name=name, id=id_):
                topic, reply = topics.request(vin, name), topics.reply(vin, name)
                return self._frame(topic, message, traceparent(id_), correlation=id_.encode(), response_topic=reply)
            case _:
                assert_never(message)

    def _numbered(self, topic: str, message: Header) -> Frame:
        trace = traceparent_of(boot_trace(message.vin, message.boot), message.seq)
        return Frame(
            topic=topic,
            payload=self._encode(message),
            content_type=self._content_type,
            user_properties=(("traceparent", trace), _SCHEMA),
        )

    @property
    def status_writer(self) -> Callable[[Status], Written] | None:
        """The function that writes a status ahead, to be sent again as `WrittenStatus`; JSON has none."""
        return self._write_status if self._content_type == MESSAGEPACK else None

    def _write_status(self, status: Status) -> Written:
        vin, boot = status.vin, status.boot
        behind = {name: value for name in _BEHIND if (value := getattr(status, name)) is not None}
        encoded = self._encode(behind)
        return Written(
            fields=2 + len(behind),
            head=self._encode({"vin": vin, "boot": boot})[1:],
            body=encoded[3 if encoded[0] == _LARGE_MAP else 1 :],
            topic=self.topics.status(vin),
            trace=boot_trace(vin, boot),
        )

    def _written(self, message: WrittenStatus) -> Frame:
        """Write number and times between what is written already: the very bytes of the whole status."""
        seq, written = message.seq, message.written
        numbers = self._encode(_Numbers(seq, message.captured_at, message.due_wall_us, message.sent_wall_us))
        return Frame(
            topic=written.topic,
            payload=b"".join((_MAPS[numbers[0] - _SMALL_MAP + written.fields], written.head, numbers[1:], written.body)),
            content_type=self._content_type,
            user_properties=(("traceparent", traceparent_of(written.trace, seq)), _SCHEMA),
        )

    def read_from_car(self, frame: Frame) -> FromCar:
        """Read what a car sent.

        Raises Undecodable: `size`, `topic`, `vin`, `content_type`, `encoding`, `type`, `foreign_vin`, `name`.
        """
        address = self.topics.parse(frame.topic)
        kind = _FROM_CARS.get(address.channel)
        if kind is None:
            raise Undecodable("topic", f"{frame.topic[:120]!r} is not written by cars")
        message: FromCar = self._decode(frame, kind)
        if message.vin != address.vin:
            raise Undecodable("foreign_vin", f"{message.vin[:40]!r} was sent on the topic of {address.vin}")
        if type(message) is Status:  # nearly all there is under load
            return message
        if type(message) is not Presence and message.name != address.name:
            raise Undecodable("name", f"{message.name[:40]!r} was sent on the topic of {address.name[:40]!r}")
        check_fields(message)
        return message

    def emergency_of(self, frame: Frame, at: Instant) -> Event | None:
        """Return what can be told of an emergency call that cannot be read as a whole; None for anything else.

        By whom it is, the topic says. A header that cannot be read leaves boot and seq 0, and `at` for when it was.
        """
        try:
            address = self.topics.parse(frame.topic)
        except Undecodable:
            return None
        if address.channel != "event" or address.name not in EMERGENCIES:
            return None
        header = self.header_of(frame)
        if header is None or header.vin != address.vin:
            header = Header(vin=address.vin, boot=0, seq=0, captured_at=at)
        try:
            told = self._decode(frame, _Lax).data
        except Undecodable:
            told = {}
        return Event(
            vin=address.vin, boot=header.boot, seq=header.seq, captured_at=header.captured_at, name=address.name,
            data=plain_part(told) if type(told) is dict else {},
        )  # fmt: skip

    def stored_form(self, frame: Frame, message: CarMessage) -> bytes:
        """Return the message in MessagePack: its very payload, where it came so."""
        return frame.payload if frame.content_type == MESSAGEPACK else self._encode_stored(message)

    # --- cloud to car

    def to_car(self, vin: str, message: ToCar, *, expiry_s: int | None = None) -> Frame:
        """Write what the cloud sends to the car; commands carry their response topic and correlation data."""
        if isinstance(message, Command):
            return self._frame(
                self.topics.command(vin, message.name),
                message,
                trace=traceparent(message.id),
                expiry_s=expiry_s,
                correlation=message.id.encode(),
                response_topic=self.topics.response(vin, message.name),
            )
        if isinstance(message, Reply):
            return self._frame(
                self.topics.reply(vin, message.name),
                message,
                trace=traceparent(message.id),
                expiry_s=expiry_s,
                correlation=message.id.encode(),
            )
        return self._frame(self.topics.stored(vin), message, trace=traceparent(vin, message.boot, message.through), qos=0)

    def read_to_car(self, frame: Frame) -> ToCar:
        """Read what the cloud sent. Raises Undecodable as `read_from_car` does, and `retained` for a retained command."""
        address = self.topics.parse(frame.topic)
        kind: type[ToCar]
        match address.channel:
            case "command":
                if frame.retain:
                    raise Undecodable("retained", "a retained command is refused: it would run again at every connect")
                kind = Command
            case "reply":
                kind = Reply
            case "stored":
                kind = Stored
            case _:
                raise Undecodable("topic", f"{frame.topic[:120]!r} is not written to cars")
        message: ToCar = self._decode(frame, kind)
        if isinstance(message, Command) and message.vin != address.vin:
            raise Undecodable("foreign_vin", f"{message.vin[:40]!r} was sent on the topic of {address.vin}")
        if not isinstance(message, Stored) and message.name != address.name:
            raise Undecodable("name", f"{message.name[:40]!r} was sent on the topic of {address.name[:40]!r}")
        if isinstance(message, Command):
            # Parameters that are no plain data are not lost: the car finds one that no command has, and answers `malformed`.
            check_fields(message, but="parameters")
            return message if misfit(message.parameters) is None else replace(message, parameters=NOT_PLAIN)
        if isinstance(message, Reply):
            check_fields(message)
        return message

    # --- tools and the desk

    def desk_request(self, request: DeskRequest, *, answer_topic: str, expiry_s: int = 30) -> Frame:
        """Write what a tool asks of the desk; what `is_secret` at QoS 0, as the broker keeps the rest in a file."""
        return self._frame(
            self.topics.desk_request(),
            request,
            qos=0 if is_secret(request) else 1,
            trace=traceparent(request.id),
            expiry_s=expiry_s,
            correlation=request.id.encode(),
            response_topic=answer_topic,
        )

    def read_desk_request(self, frame: Frame) -> DeskRequest:
        """Read what a tool asked. Raises Undecodable; its detail never holds a part of the payload."""
        try:
            request: DeskRequest = self._decode(frame, DeskRequest)
        except Undecodable as error:
            raise Undecodable(error.reason, "a request to the desk that cannot be read; not kept, it may hold an S-PIN") from None
        check_fields(request)
        return request

    def desk_answer(self, answer: DeskAnswer, *, topic: str) -> Frame:
        """Write a step of the desk's answer to its asker's topic; what is secret at QoS 0, as no broker must keep it."""
        qos = 1 if answer.token is None and not answer.secrets else 0
        return self._frame(
            topic, answer, trace=traceparent(answer.id), correlation=answer.id.encode(), expiry_s=ANSWER_OF_USE_S, qos=qos
        )

    def read_desk_answer(self, frame: Frame) -> DeskAnswer:
        """Read a step of an answer. Raises Undecodable."""
        answer: DeskAnswer = self._decode(frame, DeskAnswer)
        return answer

    # --- shared

    def _frame(
        self,
        topic: str,
        message: object,
        trace: str,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry_s: int | None = None,
        correlation: bytes | None = None,
        response_topic: str | None = None,
    ) -> Frame:
        return Frame(
            topic=topic,
            payload=self._encode(message),
            qos=qos,
            retain=retain,
            expiry_s=expiry_s,
            correlation=correlation,
            response_topic=response_topic,
            content_type=self._content_type,
            user_properties=(("traceparent", trace), _SCHEMA),
        )

    def _decode(self, frame: Frame, kind: Any) -> Any:
        payload = frame.payload
        if len(payload) > MAX_PAYLOAD:
            raise Undecodable("size", f"{len(payload)} bytes are more than {MAX_PAYLOAD}")
        reader = self._readers.get(frame.content_type)
        if reader is None:
            raise Undecodable("content_type", f"{str(frame.content_type)[:60]!r} is neither {MESSAGEPACK} nor {JSON}")
        return reader.decode(payload, kind)

    def header_of(self, frame: Frame) -> Header | None:
        """Read just the header of a frame that does not decode as a whole, for the account; None without one."""
        try:
            header: Header = self._decode(frame, Header)
        except Undecodable:
            return None
        return header
