"""The YAML nodes of a file that people write, each with the name of the file; YAML's own errors in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.reader import ReaderError

from fleet.errors import FileError


class FileKind(NamedTuple):
    """The noun for such a file's content, its error, and the hint for one that is empty."""

    noun: str
    error: type[FileError]
    examples: str = ""


def parse_nodes(text: str, file: str, kind: FileKind) -> Node:
    """Return the root of the nodes. Raises the kind's error for text that is no YAML, or no document in it."""
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # an anchor may come again, and Python's warning names no file
    try:
        node: Node | None = yaml.compose(text)
    except ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        character = error.character if isinstance(error.character, int) else ord(str(error.character)[:1] or "\0")
        raise kind.error(f"the character U+{character:04X} is not allowed", file=file, line=line, column=column) from None
    except MarkedYAMLError as error:
        raise _syntax_error(error, file, text, kind) from None
    except (YAMLError, RecursionError) as error:
        problem = f"no YAML: {'nested too deeply' if isinstance(error, RecursionError) else error}"
        raise kind.error(problem, file=file, line=1, column=1) from None
    if node is None:
        message = f"the file is empty: a {kind.noun} is expected"
        raise kind.error(message, file=file, line=1, column=1, hint=kind.examples)
    for each in walk(node):
        each.start_mark.name = file
    return node


def walk(root: Node) -> Iterator[Node]:
    """Yield each node once, aliases and circles notwithstanding."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, SequenceNode):
            waiting += node.value
        elif isinstance(node, MappingNode):
            waiting += [each for pair in node.value for each in pair]


def _syntax_error(error: MarkedYAMLError, file: str, text: str, kind: FileKind) -> FileError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = str(error.problem or error.context or "it is no YAML")
    hint = ""
    if "'\\t'" in problem:
        problem, hint = "a tab cannot indent", "Indent with spaces."
    elif "${" in (text.splitlines() or [""])[min(line, len(text.splitlines())) - 1]:
        hint = 'Inside { } and [ ] put "${…}" in quotes.'
    elif "'%'" in problem or "'@'" in problem or "'`'" in problem:
        hint = "Put the value in quotes."
    elif "mapping values are not allowed" in problem:
        hint = "Is a value with a colon missing its quotes, or a line indented too far?"
    elif "another document" in problem:
        problem, hint = f"a second document begins: one {kind.noun} in a file is expected", "Remove the '---'."
    return kind.error(f"no YAML: {problem}", file=file, line=line, column=column, hint=hint)
