"""The base of all elements of a file that people write, and how their types are looked at."""

from __future__ import annotations

from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec


class Element(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of such a file."""


def without_none(kind: Any) -> Any:
    """Return `X` of `X | None`, `X | Y` of `X | Y | None`, and any other type as it is."""
    if isinstance(kind, UnionType) or get_origin(kind) is Union:
        return reduce(or_, (option for option in get_args(kind) if option is not NoneType))
    return kind
