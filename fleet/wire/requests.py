"""The online services: what a car may ask, with its parameters, as the catalogue has it. `fleet.cloud.online` answers."""

from __future__ import annotations

from functools import cache
from types import GenericAlias
from typing import Any, Final, Literal

import msgspec

from fleet.errors import Undecodable
from fleet.kernel.instants import SECOND, Duration
from fleet.wire.services import Parameter, RequestEntry, load_services, misfit

_PLAIN: Final[dict[str, Any]] = {"integer": int, "number": float, "text": str, "flag": bool}


class RequestType(msgspec.Struct, frozen=True, kw_only=True):
    """An online service; `parameters` is a struct made from its entry in the catalogue."""

    name: str
    parameters: type[msgspec.Struct]
    entry: RequestEntry

    @property
    def time_out(self) -> Duration:
        """How long a car waits for the reply, in scenario time."""
        return self.entry.time_out_s * SECOND


def _type_of(name: str, parameter: Parameter) -> Any:
    match parameter.type:
        case "choice":
            return Literal[parameter.choices]
        case "list":
            item = Literal[parameter.choices] if parameter.choices else _struct_of(name, parameter.items)
            return GenericAlias(tuple, (item, ...))
        case kind:
            return _PLAIN[kind]


def _struct_of(name: str, parameters: dict[str, Parameter]) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for key, parameter in parameters.items():
        kind = _type_of(key, parameter)
        if parameter.required:
            fields.append((key, kind))
        elif parameter.type == "list":
            fields.append((key, kind, ()))
        elif parameter.default is None:
            fields.append((key, kind | None, None))
        else:
            fields.append((key, kind, parameter.default))
    return msgspec.defstruct(name, fields, frozen=True, kw_only=True, forbid_unknown_fields=True)


@cache
def requests() -> dict[str, RequestType]:
    """Return all online services by name."""
    return {
        name: RequestType(name=name, parameters=_struct_of(name, entry.parameters), entry=entry)
        for name, entry in load_services().requests.items()
    }


def read_request(name: str, data: dict[str, Any]) -> Any:
    """Return the parameters of a request; raises Undecodable `unsupported`, `malformed` or `argument_out_of_range`."""
    known = requests().get(name)
    if known is None:
        raise Undecodable("unsupported", f"there is no online service {name[:40]!r}")
    try:
        parameters = msgspec.convert(data, known.parameters)
    except msgspec.ValidationError as error:
        raise Undecodable("malformed", str(error)) from None
    found = misfit(known.entry.parameters, parameters)
    if found is not None:
        raise Undecodable("argument_out_of_range", found)
    return parameters
