"""What the repository says about itself is true: commands that exist, versions that agree, files that are shipped."""

from __future__ import annotations

import ast
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

import fleet
from fleet import cli
from fleet.vehicle.car import Car
from mutants.table import MUTANTS

ROOT = Path(__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMPOSE: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def targets() -> dict[str, list[str]]:
    """Return each target of the Makefile with its recipe."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text_of("Makefile").splitlines():
        match = re.match(r"([a-z][a-z-]*):", line)
        if match:
            current = found.setdefault(match[1], [])
        elif line.startswith("\t"):
            current.append(line.strip())
    return found


def cli_commands() -> set[str]:
    """Return the subcommands of `fleet`."""
    command = typer.main.get_command(cli.application())
    return set(getattr(command, "commands", {}))


# --- make, set-up, continuous integration ---------------------------------------------------------------------------


def test_make_has_what_is_promised() -> None:
    """Each promised target is there, and is phony, so that a file of its name cannot disable it."""
    promised = {
        "help",
        "demo",
        "test",
        "test-fast",
        "test-wheel",
        "test-nightly",
        "conformance",
        "mutants",
        "rule-book",
        "check",
        "build",
        "clean",
    }
    assert set(targets()) == promised
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text_of("Makefile"), re.MULTILINE)
    assert set(phony.split()) == promised
    assert ".DEFAULT_GOAL := help" in text_of("Makefile")


@pytest.mark.parametrize("target", ["demo", "test", "test-fast", "test-wheel", "check", "build"])
def test_targets_set_themselves_up(target: str) -> None:
    """On a fresh clone every target works first: its recipe begins with the set-up."""
    assert targets()[target][0].startswith("@bash tools/setup.sh")


def test_demo_and_test_bring_a_broker() -> None:
    """Tests need a Mosquitto, the demo takes one where it can; `demo` runs the scenario that is shipped under that name."""
    assert targets()["demo"][0] == "@bash tools/setup.sh some-broker"
    assert targets()["test"][0] == "@bash tools/setup.sh dev broker"
    assert "fleet run rush-hour" in targets()["demo"][1]
    assert (ROOT / "scenarios" / "rush-hour.yaml").is_file()


@pytest.mark.parametrize("script", ["tools/setup.sh", "tools/test_wheel.sh", "tools/test_in_chroot.sh", ".ci/run"])
def test_scripts_can_be_run_and_stop_at_errors(script: str) -> None:
    """They are executable, are valid bash, and do not go on after a failure."""
    path = ROOT / script
    assert path.stat().st_mode & stat.S_IXUSR
    assert "\nset -euo pipefail\n" in path.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_set_up_refuses_words_it_does_not_know() -> None:
    """A slip is refused before anything is installed."""
    refused = subprocess.run(["bash", "tools/setup.sh", "brocker"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr == "setup: unknown word 'brocker'\nsetup: Use: tools/setup.sh [dev] [broker] [some-broker]\n"


def test_continuous_integration_runs_the_checks_and_all_tests() -> None:
    """What it runs is what a contributor runs."""
    lines = text_of(".ci/run").splitlines()
    assert [line for line in lines if line.startswith("make ")] == ["make check", "make test", "make test-wheel"]


# --- package ---------------------------------------------------------------------------------------------------------


def test_versions_agree() -> None:
    """There is one version, in the package; the changelog knows every released one."""
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "fleet/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", fleet.__version__)
    released = re.findall(r"^## \[(.+?)\]", text_of("CHANGELOG.md"), re.MULTILINE)
    assert released[0] == "Unreleased"
    # 0.1.0 is what is being worked towards; a version beyond it has an entry.
    assert fleet.__version__ in released or fleet.__version__ == "0.1.0"


def test_python_versions_agree() -> None:
    """Package, linters, set-up and image mean the same oldest Python, and none promises another."""
    assert PYPROJECT["project"]["requires-python"] == ">=3.11"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py311"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == "3.11"
    assert "sys.version_info < (3, 11)" in text_of("tools/setup.sh")
    classifiers = PYPROJECT["project"]["classifiers"]
    (image,) = set(re.findall(r"^FROM python:(3\.\d+)-", text_of("Dockerfile"), re.MULTILINE))
    assert f"Programming Language :: Python :: {image}" in classifiers
    assert sys.version_info >= (3, 11)


def test_the_wheel_carries_its_data() -> None:
    """Scenarios and the broker's configuration go into the wheel, and what goes in exists."""
    included: dict[str, str] = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert set(included) >= {"broker", "scenarios"}
    for source, target in included.items():
        assert (ROOT / source).is_dir()
        assert target.startswith("fleet/_data/")


def test_the_image_gets_all_that_the_wheel_is_made_of() -> None:
    """Whatever the build reads is copied into it, and is not ignored."""
    needed = {"fleet", "pyproject.toml", PYPROJECT["project"]["readme"], *PYPROJECT["project"]["license-files"]}
    needed |= set(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"])
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text_of("Dockerfile"), re.MULTILINE)
    assert {name for names in copied for name in names.split()} == needed
    allowed = {line.removeprefix("!") for line in text_of(".dockerignore").splitlines() if line.startswith("!")}
    assert allowed == needed


def test_every_dependency_has_its_reason() -> None:
    """Beside each run-time dependency stands what it is for."""
    block = text_of("pyproject.toml").partition("\ndependencies = [\n")[2].partition("\n]")[0]
    lines = [line.strip() for line in block.splitlines()]
    assert len(lines) == len(PYPROJECT["project"]["dependencies"])
    for line in lines:
        assert re.fullmatch(r'"[^"]+",\s+# .{10,}', line), f"no reason: {line}"


def test_silenced_lints_have_their_reason() -> None:
    """What is ignored everywhere says why, in the same line or the one above."""
    block = text_of("pyproject.toml").partition("\nignore = [\n")[2].partition("\n]")[0]
    lines = [line.strip() for line in block.splitlines()]
    without = [line for line in lines if "#" not in line and not line.startswith('"D415"')]
    assert without == []


def test_the_licence_is_whole() -> None:
    """The full text, as the SPDX expression promises."""
    assert PYPROJECT["project"]["license"] == "Apache-2.0"
    licence = text_of("LICENSE")
    assert "Apache License\n                           Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


# --- containers ------------------------------------------------------------------------------------------------------


def test_compose_starts_the_three_parts_in_order() -> None:
    """The broker comes first, then the back end, then the simulator; each is checked for health."""
    services: dict[str, Any] = COMPOSE["services"]
    assert list(services) == ["broker", "backend", "simulator"]
    for service in services.values():
        assert service["healthcheck"]["test"][0] == "CMD"
        assert "restart" in service
    assert services["backend"]["depends_on"] == {"broker": {"condition": "service_healthy"}}
    assert services["simulator"]["depends_on"] == {name: {"condition": "service_healthy"} for name in ("broker", "backend")}


def test_compose_shares_one_secret_and_shows_it_nowhere() -> None:
    """The secret comes from the environment as a file that only the service's user may read, never as a value."""
    assert COMPOSE["secrets"] == {"fleet_secret": {"environment": "FLEET_SECRET"}}
    for service in COMPOSE["services"].values():
        assert service["secrets"] == [{"source": "fleet_secret", "uid": "10001", "gid": "10001", "mode": "0400"}]
        assert service["environment"]["FLEET_SECRET_FILE"] == "/run/secrets/fleet_secret"
        assert "FLEET_SECRET" not in service["environment"]


def test_compose_mounts_only_volumes_it_names() -> None:
    """Every mount is a named volume, into a folder that the image prepared for its user."""
    mounts = [mount for service in COMPOSE["services"].values() for mount in service.get("volumes", [])]
    assert {mount.partition(":")[0] for mount in mounts} == set(COMPOSE["volumes"])
    for mount in mounts:
        assert mount.partition(":")[2] in text_of("Dockerfile")


def test_compose_uses_ports_consistently() -> None:
    """Cars and tools connect to the listeners the broker was given, and only this machine reaches the published one."""
    broker = COMPOSE["services"]["broker"]["command"]
    cars_port = broker[broker.index("--port") + 1]
    tools_port = broker[broker.index("--tools-port") + 1]
    assert f"mqtt://broker:{tools_port}" in COMPOSE["services"]["backend"]["command"]
    simulator = COMPOSE["services"]["simulator"]["command"]
    assert simulator[simulator.index("--broker") + 1] == f"mqtt://broker:{cars_port}"
    assert simulator[simulator.index("--tools-broker") + 1] == f"mqtt://broker:{tools_port}"
    for service in COMPOSE["services"].values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_compose_names_only_commands_and_options_that_exist() -> None:
    """Each service runs a subcommand of `fleet` with options it has; so do the health checks."""
    known = cli_commands()
    commands = typer.main.get_command(cli.application()).commands  # type: ignore[attr-defined]
    for service in COMPOSE["services"].values():
        test = service["healthcheck"]["test"]
        lines = [service["command"], *([test[2:]] if test[1] == "fleet" else [])]
        for name, *arguments in lines:
            assert name in known
            options = {option for parameter in commands[name].params for option in parameter.opts}
            assert {argument for argument in arguments if argument.startswith("--")} <= options


def test_documents_are_finished() -> None:
    """No page has a place that was left to be filled in."""
    for page in sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("*/README.md")):
        assert "@@" not in page.read_text(encoding="utf-8"), page


# --- the example of a back end that is not ours -----------------------------------------------------------------------


def test_all_tests_are_those_of_the_example_too() -> None:
    """Whoever runs all tests runs them; whoever selects some selects among ours."""
    both = "cd examples && ../.venv/bin/python -m pytest && cd foreign && ../../.venv/bin/python -m pytest"
    assert targets()["test"][-1].startswith(f"@$(if $(ARGS),,{both})")


def test_the_example_knows_cars_in_its_tests_only() -> None:
    """It shows how others test their back end, so it must not lean on ours."""
    for package, project in (("examples/finder", "examples"), ("examples/foreign/depot", "examples/foreign")):
        sources = [path.read_text(encoding="utf-8") for path in (ROOT / package).glob("*.py")]
        assert sources
        assert not any(re.search(r"^\s*(import|from) fleet\b", source, re.MULTILINE) for source in sources)
        theirs = tomllib.loads(text_of(f"{project}/pyproject.toml"))["project"]
        assert not any(name.startswith("connectfleet") for name in theirs["dependencies"])
        assert "connectfleet" in theirs["optional-dependencies"]["test"]


def test_the_examples_workflow_has_all_that_its_tests_need() -> None:
    """A broker, what it depends on and the cars come before the tests, in the example's folder."""
    workflow: dict[str, Any] = YAML(typ="safe", pure=True).load(text_of("examples/.github/workflows/tests.yml"))
    job = workflow["jobs"]["tests"]
    assert job["defaults"]["run"]["working-directory"] == "examples"
    runs = [step.get("run", "") for step in job["steps"]]
    places = [
        next(n for n, run in enumerate(runs) if word in run)
        for word in ("install --yes --no-install-recommends mosquitto", ".[test]", "pytest")
    ]
    assert places == sorted(places)
    assert PYPROJECT["project"]["requires-python"] == f">={job['strategy']['matrix']['python-version'][0]}"


# --- tests ------------------------------------------------------------------------------------------------------------

PRIVATE_NAMES_MOST = 66
"""How often tests reach for a private name of another. May only become less: a property or a builder serves better."""
WITHOUT_TESTS_MOST = 134
"""How many modules have no test file of their own name. May only become less: a new module comes with one."""
NAMED_TUPLES = {"_replace", "_asdict", "_fields", "_make"}


def private_names(path: Path) -> list[str]:
    """Return the private attributes that a file reaches for in what is not its own."""
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in NAMED_TUPLES
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
        and not (isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "super")
    ]


def test_tests_look_from_outside() -> None:
    """What a class keeps to itself can be changed without a test."""
    found = [name for path in sorted((ROOT / "tests").rglob("*.py")) for name in private_names(path)]
    assert len(found) <= PRIVATE_NAMES_MOST, "\n".join(found)


def test_tests_lie_where_their_module_lies() -> None:
    """fleet/PACKAGE/MODULE.py is tested by tests/PACKAGE/test_MODULE.py; what is tested by a story of several has none yet."""
    modules = [path.relative_to(ROOT / "fleet") for path in (ROOT / "fleet").rglob("*.py") if not path.name.startswith("__")]
    without = [str(path) for path in modules if not (ROOT / "tests" / path.parent / f"test_{path.name}").is_file()]
    assert len(without) <= WITHOUT_TESTS_MOST, "\n".join(sorted(without))


# --- imports ----------------------------------------------------------------------------------------------------------


def imports_of(path: Path, modules: set[str]) -> set[str]:
    """Return which modules of ours a module imports, for typing only or within a function, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(name if (name := f"{node.module}.{alias.name}") in modules else node.module for alias in node.names)
    return found & modules


def circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that reach each other (Tarjan's strongly connected components of more than one)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(module: str) -> None:
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for other in sorted(imports[module]):
            if other not in index:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], index[other])
        if lowest[module] == index[module]:
            circle = set(stack[stack.index(module) :])
            del stack[stack.index(module) :]
            if len(circle) > 1:
                found.append(circle)

    for module in sorted(imports):
        if module not in index:
            visit(module)
    return found


def test_circles_are_found() -> None:
    """Two modules that import each other, by way of a third or not."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": {"d"}}) == [{"a", "b", "c"}]


def test_no_service_of_a_car_knows_the_car() -> None:
    """A service takes ports; those themselves know the kernel and the wire alone."""
    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "fleet").rglob("*.py")}
    modules = set(paths)
    imports = {module: imports_of(path, modules) for module, path in paths.items() if module.startswith("fleet.vehicle.")}
    services = {module for module in imports if module.startswith("fleet.vehicle.services.")}
    assert len(services) > 20
    assert {module for module in services if "fleet.vehicle.car" in imports[module]} == set()
    assert {module.split(".")[1] for module in imports["fleet.vehicle.ports"]} == {"kernel", "wire"}


def test_a_car_reaches_its_services_by_hooks_alone() -> None:
    """Of a service the car itself names the class of a state that it holds, and no function."""
    tree = ast.parse((ROOT / "fleet" / "vehicle" / "car.py").read_text(encoding="utf-8"))
    named = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fleet.vehicle.services")
        for alias in node.names
    }
    assert {name for name in named if not name[0].isupper()} == {"hooks"}
    assert len(Car.__slots__) <= 25, "state of a service belongs into fleet/vehicle/kept.py, or into the part that it is of"


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Not even for typing: what two modules need of each other is a protocol below both."""
    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "fleet").rglob("*.py")}
    modules = set(paths)
    found = circles({module: imports_of(path, modules) - {module} for module, path in paths.items()})
    assert found == []


OWN_DIALECT = "fleet.wire.fleet_dialect"


def test_one_module_chooses_the_dialect() -> None:
    """All others take a `Dialect`, so that another system's topics and payloads need no change but there. Those of other systems
    take ours, in which tools and desk go on to speak.
    """
    paths = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "fleet").rglob("*.py")}
    naming = {module for module, path in paths.items() if OWN_DIALECT in imports_of(path, set(paths))}
    assert {module for module in naming if not module.startswith("fleet.dialects.")} == {"fleet.runtime.dialects"}


def test_only_the_dialect_has_topics_of_its_own() -> None:
    """No other module makes `Topics`: whoever needs a topic or a filter asks the dialect's."""
    making = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "fleet").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Topics"
    }
    assert making == {"fleet/runtime/dialects.py", "fleet/dialects/opening.py", "fleet/wire/fleet_dialect.py"}


# --- planted bugs ---------------------------------------------------------------------------------------------------


def test_each_mutant_can_be_planted() -> None:
    """What it changes stands in the source exactly once, and becomes something else: after a rename, say it anew in mutants/."""
    unfit = []
    for mutant in MUTANTS:
        try:
            mutant.planted(ROOT)
        except (ValueError, OSError) as error:
            unfit.append(f"{mutant.name}: {error}")
    assert unfit == []
    assert [mutant.name for mutant in MUTANTS if mutant.old == mutant.new] == []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
def test_nothing_that_a_run_leaves_behind_is_in_the_repository() -> None:
    """Whoever follows an example begins with an empty broker, and has a clean checkout afterwards."""
    tracked = subprocess.run(
        ["git", "ls-files", "-ci", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert tracked.stdout == ""
    left = ["examples/foreign/fleet-broker/sessions", "examples/foreign/runs/latest", "runs/latest"]
    ignored = subprocess.run(["git", "check-ignore", *left], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ignored.stdout.split() == left
