"""The shape of a machine, by the example that ARCHITECTURE.md gives of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fleet.kernel.instants import MINUTE

ROOT = Path(__file__).parents[2]


def example() -> Any:
    """Return the machine of ARCHITECTURE.md."""
    (code,) = re.findall(r"```python\n(class .*?)```", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {"MINUTE": MINUTE}
    exec(code, names)
    return names["Kettle"]()


def test_the_example_decides_by_input_and_time_alone() -> None:
    """It says when it wants to be woken, does nothing earlier, and nothing twice."""
    kettle = example()
    assert kettle.deadline() is None
    assert kettle.wake(0) == []
    assert kettle.receive("switch on", 5) == ["heating"]
    assert kettle.deadline() == 5 + 3 * MINUTE
    assert kettle.wake(5 + 3 * MINUTE - 1) == []
    assert kettle.wake(5 + 3 * MINUTE) == ["boiling"]
    assert kettle.deadline() is None
    assert kettle.wake(5 + 4 * MINUTE) == []
