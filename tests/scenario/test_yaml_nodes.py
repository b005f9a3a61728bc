"""The nodes of YAML files, and YAML's own errors in the words of the file's kind."""

from __future__ import annotations

import pytest
from ruamel.yaml.nodes import MappingNode

from fleet.scenario.yaml_nodes import parse_nodes, walk
from tests.scenario.test_reader import KIND, MenuError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "menu.yaml:1:1: the file is empty: a menu is expected"),
        ("a: 1\n---\nb: 2\n", "menu.yaml:2:1: no YAML: a second document begins: one menu in a file is expected"),
        ("a:\n\tb: 1\n", "menu.yaml:2:1: no YAML: a tab cannot indent"),
    ],
)
def test_what_is_no_yaml_is_an_error_of_that_language(text: str, message: str) -> None:
    with pytest.raises(MenuError) as caught:
        parse_nodes(text, "menu.yaml", KIND)
    assert str(caught.value) == message


def test_each_node_knows_its_file_and_is_walked_once() -> None:
    root = parse_nodes("a: &x [1, 2]\nb: *x\n", "menu.yaml", KIND)
    assert isinstance(root, MappingNode)
    nodes = list(walk(root))
    assert len(nodes) == len({id(node) for node in nodes}) == 6
    assert {node.start_mark.name for node in nodes} == {"menu.yaml"}
