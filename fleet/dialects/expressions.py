"""Computed fields: one small expression over a message, in the language of simpleeval: no loops, no imports, no `eval`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Mapping
from math import isfinite
from typing import Any, Final

import msgspec
from simpleeval import SimpleEval

from fleet.errors import Unwritable, UsageError

_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": abs, "float": float, "int": int, "len": len, "max": max, "min": min, "round": round, "str": str,
}  # fmt: skip
LONGEST: Final = 500
"""Characters of an expression."""


class Expression:
    """A compiled expression. `roots` are the fields of the message that it names; `paths` lead from them."""

    def __init__(self, text: str) -> None:
        """Compile; raises UsageError for what is no expression."""
        if len(text) > LONGEST:
            raise UsageError(f"an expression of {len(text)} characters is too long", hint=f"At most {LONGEST}.")
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise UsageError(f"{text[:80]!r} is no expression: {error}") from None
        self.text = text
        self.paths = frozenset(_paths(tree))
        self.roots = frozenset(path.partition(".")[0] for path in self.paths)
        unknown = {call.func.id for call in ast.walk(tree) if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}
        if unknown - _FUNCTIONS.keys():
            raise UsageError(f"{min(unknown - _FUNCTIONS.keys())!r} is no function", hint=f"Known: {', '.join(_FUNCTIONS)}.")
        self._evaluator = SimpleEval(functions=dict(_FUNCTIONS), names={})
        self._parsed = self._evaluator.parse(text)
        if any(type(node) not in self._evaluator.nodes for node in ast.walk(tree) if isinstance(node, ast.expr)):
            raise UsageError(
                f"{text[:80]!r} uses what expressions do not have", hint="Fields, numbers, texts, operators, functions."
            )

    def evaluate(self, message: object) -> Any:
        """Return the value for a message, None where a field that it names is not there.

        Raises Unwritable where it fails, or comes to what is no plain value.
        """
        return self._value({root: getattr(message, root) for root in self.roots})

    def evaluator(self, root: str) -> Callable[[Any], Any]:
        """Return the function that evaluates it for the value of the only field that it names."""
        return lambda value: self._value({root: value})

    def _value(self, names: dict[str, Any]) -> Any:
        if None in names.values():
            return None
        self._evaluator.names = names
        try:
            value = self._evaluator.eval(self.text, previously_parsed=self._parsed)
        except Exception as error:  # noqa: BLE001 (whatever an expression of the user's does)
            if any(_is_absent(names, path) for path in self.paths):
                return None
            raise Unwritable("expression", f"{self.text[:80]!r} failed: {error}") from None
        if isinstance(value, float) and not isfinite(value):
            raise Unwritable("expression", f"{self.text[:80]!r} comes to {value}, which no payload has")
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, msgspec.Struct | dict | list | tuple):
            return msgspec.to_builtins(value)
        raise Unwritable("expression", f"{self.text[:80]!r} comes to a {type(value).__name__}, no plain value")


def _is_absent(message: object, path: str) -> bool:
    """Tell whether a field, or one on the way to it, is None, or missing in free data."""
    value: Any = message
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else getattr(value, step, None)
        if value is None:
            return True
    return False


def _paths(tree: ast.AST) -> Iterator[str]:
    inner: Collection[ast.AST] = {node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    functions = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and node not in inner and node not in functions:
            yield ast.unparse(node)
