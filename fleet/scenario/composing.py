"""From the text of a scenario file to one tree of YAML nodes: imports joined, parameters put in. Each node knows its file.

Works on nodes and not on data, so that whatever is found wrong later is reported at the place where it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fleet.errors import FileError, ScenarioError, UnknownName, UsageError, nearest_hint
from fleet.scenario.text import is_mapping_file
from fleet.scenario.yaml_nodes import FileKind, parse_nodes, walk

JOINED: Final = ("fleets", "commands", "load", "timeline", "expectations")
"""Lists of an imported file, which come before those of the file that imports it."""
IMPORTABLE: Final = ("imports", "parameters", *JOINED)
_SCENARIO: Final = FileKind("scenario", ScenarioError, "`fleet scenarios` lists examples to start from.")
_PARAMETER: Final = re.compile(r"\$\{([A-Za-z_]\w*)\}")

Read = Callable[[Path], str]


@dataclass
class Composed:
    """The tree of a scenario and of all it imports (None when there is none), and what is wrong so far."""

    node: Node | None = None
    errors: list[FileError] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def fail(self, node: Node, message: str, hint: str = "") -> None:
        mark = node.start_mark
        self.errors.append(ScenarioError(message, file=str(mark.name), line=mark.line + 1, column=mark.column + 1, hint=hint))


def compose(text: str, file: str, settings: Mapping[str, str], read: Read) -> Composed:
    """Compose a scenario file; `settings` replace the defaults of its parameters, `read` reads an imported file.

    Raises UsageError for a setting that is no value, or of a parameter that there is not.
    """
    composed = Composed()
    joiner = _Joiner(composed, read)
    node = joiner.parse(text, file)
    composed.node = node
    if isinstance(node, MappingNode):
        joiner.join(node, (Path(file),))
        _find_tracks(node)
        _find_mappings(node)
        parameters = {name: key_value[1] for name, key_value in joiner.parameters.items()}
        _put_in(composed, node, parameters | _settings(settings, parameters), joiner.parameters)
    return composed


class _Joiner:
    """Reads imported files, each once, and joins their lists into those of the importing file."""

    def __init__(self, composed: Composed, read: Read) -> None:
        self.parameters: dict[str, tuple[Node, Node]] = {}
        self._composed = composed
        self._read = read
        self._seen: set[Path] = set()

    def parse(self, text: str, file: str) -> Node | None:
        """Return the file's nodes, which know its name, or None after noting why there are none."""
        self._composed.files.append(file)
        try:
            return parse_nodes(text, file, _SCENARIO)
        except FileError as error:
            self._composed.errors.append(error)
            return None

    def join(self, node: MappingNode, chain: tuple[Path, ...]) -> None:
        """Join all that `node`, the file at the end of `chain`, imports; what it says itself about a parameter wins."""
        self._seen.add(chain[-1].resolve())
        for key, value in _entry(node, "parameters"):
            if isinstance(key, ScalarNode):
                self.parameters.setdefault(str(key.value), (key, value))
        joined: dict[str, list[Node]] = {key: [] for key in JOINED}
        imports = next((value for key, value in node.value if key.value == "imports"), None)
        for item in imports.value if isinstance(imports, SequenceNode) else ():
            imported = self._imported(item, chain) if str(item.tag).endswith(":str") else None
            for key, value in imported.value if imported is not None else ():
                if key.value in joined and isinstance(value, SequenceNode):
                    joined[key.value] += value.value
        for name, items in joined.items():
            _prepend(node, name, items)

    def _imported(self, item: ScalarNode, chain: tuple[Path, ...]) -> MappingNode | None:
        """Return what the file named by `item` and its own imports hold; None when it was seen before or cannot be had."""
        path = chain[-1].parent / str(item.value)
        if path.resolve() in [each.resolve() for each in chain]:
            self._composed.fail(item, f"the imports turn in a circle: {' → '.join(map(str, (*chain, path)))}")
            return None
        if path.resolve() in self._seen:
            return None
        try:
            text = self._read(path)
        except FileError as error:
            self._composed.files.append(error.file)
            self._composed.errors.append(error)
            return None
        except UsageError as error:
            self._composed.fail(item, str(error), "A path is relative to the file that imports it.")
            return None
        node = self.parse(text, str(path))
        if node is None:
            return None
        if not isinstance(node, MappingNode):
            self._composed.fail(node, f"an imported file is a mapping with {', '.join(IMPORTABLE)}")
            return None
        for key, value in node.value:
            if key.value not in IMPORTABLE:
                self._composed.fail(key, f"{str(key.value)!r} cannot be imported", nearest_hint(str(key.value), IMPORTABLE))
            elif key.value == "parameters" and not isinstance(value, MappingNode):
                self._composed.fail(value, "parameters: a mapping (name: default) is expected")
            elif key.value != "parameters" and not isinstance(value, SequenceNode):
                self._composed.fail(value, f"{key.value}: a list is expected")
        self.join(node, (*chain, path))
        return node


def _entry(node: MappingNode, name: str) -> list[tuple[Node, Node]]:
    """Return the pairs of the mapping that stands under a key; none when there is no mapping."""
    value = next((value for key, value in node.value if key.value == name), None)
    return list(value.value) if isinstance(value, MappingNode) else []


def _prepend(node: MappingNode, name: str, items: list[Node]) -> None:
    """Put items before the list under a key, which is made when there is none."""
    if not items:
        return
    for key, value in node.value:
        if key.value == name:
            if isinstance(value, SequenceNode):
                value.value[:0] = items
            return
    mark = items[0].start_mark
    key = ScalarNode("tag:yaml.org,2002:str", name, mark, mark)
    node.value.append((key, SequenceNode("tag:yaml.org,2002:seq", items, mark, mark)))


def _find_tracks(root: MappingNode) -> None:
    """Make the names of track files paths: they are relative to the file in which they stand."""
    fleets = next((value for key, value in root.value if key.value == "fleets"), None)
    for fleet in fleets.value if isinstance(fleets, SequenceNode) else ():
        tracks = _entry(fleet, "tracks") if isinstance(fleet, MappingNode) else []
        files = next((value for key, value in tracks if key.value == "files"), None)
        for item in files.value if isinstance(files, SequenceNode) else ():
            if str(item.tag).endswith(":str"):
                item.value = str(Path(item.start_mark.name).parent / str(item.value))


def _find_mappings(root: MappingNode) -> None:
    """Make the names of mapping files paths: they, too, are relative to the file in which they stand."""
    fleets = next((value for key, value in root.value if key.value == "fleets"), None)
    for part in (root, *(fleets.value if isinstance(fleets, SequenceNode) else ())):
        for key, value in part.value if isinstance(part, MappingNode) else ():
            if key.value == "dialect" and str(value.tag).endswith(":str") and is_mapping_file(str(value.value)):
                value.value = str(Path(value.start_mark.name).parent / str(value.value))


# --- parameters


def _settings(settings: Mapping[str, str], parameters: Mapping[str, Node]) -> dict[str, Node]:
    """Return the values of the command line as nodes, so that 5000 is a number and true a truth there, too."""
    found: dict[str, Node] = {}
    for name, text in settings.items():
        if name == "cars" and name not in parameters:
            continue  # the number of all cars, which the loader sees to
        if name not in parameters:
            raise UnknownName("parameter", name, {*parameters, "cars"})
        try:
            node = YAML(typ="safe", pure=True).compose(text)
        except YAMLError:
            node = None
        if not isinstance(node, ScalarNode):
            raise UsageError(f"{name}={text} sets no value", hint="Such as --set cars=5000 or --set 'pause=10 min'.")
        found[name] = node
    return found


def _put_in(
    composed: Composed, root: MappingNode, parameters: Mapping[str, Node], declared: Mapping[str, tuple[Node, Node]]
) -> None:
    """Put the values where `${name}` stands: alone it keeps its type, within a text it becomes part of it."""
    values = {id(value) for _, value in declared.values()}
    used: set[str] = set()
    for node in list(walk(root)):
        if not isinstance(node, ScalarNode) or id(node) in values or "${" not in str(node.value):
            continue
        names = set(_PARAMETER.findall(str(node.value)))
        used |= names
        for name in sorted(names - parameters.keys()):
            composed.fail(node, f"there is no parameter {name!r}", nearest_hint(name, parameters))
        if not names or names - parameters.keys():
            continue
        whole = _PARAMETER.fullmatch(str(node.value))
        if whole is not None:
            value = parameters[whole[1]]
            node.tag, node.value = value.tag, value.value
        else:
            node.value = _PARAMETER.sub(lambda match: str(parameters[match[1]].value), str(node.value))
    for name, (key, value) in declared.items():
        if isinstance(value, ScalarNode) and "${" in str(value.value):
            composed.fail(value, f"parameters.{name}: a default is a plain value and has no parameter in it")
        if name not in used:
            composed.fail(key, f"the parameter {name!r} is nowhere used", f"Write ${{{name}}} where its value belongs.")
