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
    """Return the type that is not None of `X | None`, and any other as it is."""
    if isinstance(kind, UnionType) or get_origin(kind) is Union:
        options = [option for option in get_args(kind) if option is not NoneType]
        return options[0] if len(options) == 1 else reduce(or_, options)
    return kind
