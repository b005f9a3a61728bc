"""A Home Assistant of its own, headless, in a folder that is thrown away: started, set up and asked over its REST interface.

It runs in an environment of its own, as it pins hundreds of packages: `python -m venv DIR`, there
`pip install homeassistant==VERSION paho-mqtt home-assistant-frontend==…` (the versions its own manifests name), and
FLEET_HOME_ASSISTANT_PYTHON=DIR/bin/python. Nothing is installed or fetched while it runs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

PYTHON_VARIABLE: Final = "FLEET_HOME_ASSISTANT_PYTHON"
_START_S: Final = 180.0
_CONFIGURATION: Final = """
homeassistant:
  name: fleet
  latitude: {latitude}
  longitude: {longitude}
  unit_system: metric
  time_zone: UTC
  country: DE
http:
  server_host: 127.0.0.1
  server_port: {port}
logger:
  default: warning
"""

FoundT = TypeVar("FoundT")


def python() -> str | None:
    """Return the Python that has Home Assistant, None where there is none."""
    return os.environ.get(PYTHON_VARIABLE) or None


def version() -> tuple[int, ...]:
    """Return the version that is installed there; none of it where there is none."""
    interpreter = python()
    if interpreter is None:
        return ()
    asked = [interpreter, "-c", "from homeassistant.const import __version__ as found; print(found)"]
    found = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60).stdout
    return tuple(int(part) for part in found.strip().split(".") if part.isdecimal())


class HomeAssistant:
    """One Home Assistant; `home` is where its zone of that name lies."""

    def __init__(self, folder: Path, port: int, *, home: tuple[float, float]) -> None:
        self._folder = folder
        self._url = f"http://127.0.0.1:{port}"
        self._token = ""
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        latitude, longitude = home
        text = _CONFIGURATION.format(port=port, latitude=latitude, longitude=longitude)
        (folder / "configuration.yaml").write_text(text, encoding="utf-8")

    # --- life

    def start(self) -> None:
        """Start it, and wait until it answers."""
        interpreter = python()
        assert interpreter is not None
        with (self._folder / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                [interpreter, "-m", "homeassistant", "--config", str(self._folder), "--skip-pip"],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_for(self._answers, within_s=_START_S, what="Home Assistant to answer")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "output.txt").read_text(encoding="utf-8")[-3000:]
        return bool(self._call("GET", "/manifest.json"))

    def stop(self) -> None:
        """Stop it, as its user would."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def set_up(self, broker_port: int, user: str | None = None, password: str | None = None) -> None:
        """Make the first user, and add the MQTT integration, which logs in at the broker."""
        client = f"{self._url}/"
        owner = {"client_id": client, "name": "test", "username": "test", "password": "test", "language": "en"}
        code = self._call("POST", "/api/onboarding/users", owner)["auth_code"]
        grant = {"grant_type": "authorization_code", "code": code, "client_id": client}
        self._token = self._call("POST", "/auth/token", grant, form=True)["access_token"]
        flow = self._call("POST", "/api/config/config_entries/flow", {"handler": "mqtt"})
        broker = {"broker": "127.0.0.1", "port": broker_port} | ({} if user is None else {"username": user, "password": password})
        entry = self._call("POST", f"/api/config/config_entries/flow/{flow['flow_id']}", broker)
        assert entry["type"] == "create_entry", entry

    @property
    def log(self) -> list[str]:
        """What it logged of MQTT and its entities: warnings and errors."""
        text = (self._folder / "home-assistant.log").read_text(encoding="utf-8")
        return [line for line in text.splitlines() if "mqtt" in line or "template" in line or "sensor" in line]

    # --- entities

    def states(self) -> dict[str, str]:
        """Return the state of each entity."""
        return {each["entity_id"]: each["state"] for each in self._call("GET", "/api/states")}

    def state(self, entity: str) -> str | None:
        """Return the state of an entity, None where there is none of this name."""
        return self.states().get(entity)

    def attributes(self, entity: str) -> dict[str, Any]:
        """Return the attributes of an entity."""
        found: dict[str, Any] = self._call("GET", f"/api/states/{entity}")["attributes"]
        return found

    def call(self, service: str, entity: str, **data: Any) -> None:
        """Call a service, such as `lock.unlock`, for an entity."""
        self._call("POST", f"/api/services/{service.replace('.', '/')}", {"entity_id": entity} | data)

    def wait_for_state(self, entity: str, *wanted: str, within_s: float = 20.0) -> str:
        """Wait until an entity has one of these states."""

        def found() -> str | None:
            state = self.state(entity)
            return state if state in wanted else None

        try:
            return wait_for(found, within_s=within_s, what=f"{entity} to be {' or '.join(wanted)}")
        except TimeoutError as error:
            raise AssertionError(f"{error}; it is {self.state(entity)!r}; log: {self.log[-10:]}") from None

    def wait_for_absence(self, entity: str, *, within_s: float = 20.0) -> None:
        """Wait until there is no entity of this name."""
        wait_for(lambda: entity not in self.states() or None, within_s=within_s, what=f"{entity} to be gone")

    # --- HTTP

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None, *, form: bool = False) -> Any:
        data, headers = None, {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if body is not None:
            data = urllib.parse.urlencode(body).encode() if form else json.dumps(body).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
        return json.loads(text) if answer.headers.get_content_type() == "application/json" else text


def wait_for(found: Callable[[], FoundT | None], *, within_s: float, what: str) -> FoundT:
    """Ask until there is an answer; raises TimeoutError."""
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        try:
            answer = found()
        except (urllib.error.URLError, ConnectionError):
            answer = None
        if answer:
            return answer
        time.sleep(0.1)
    raise TimeoutError(f"waited {within_s:g} s for {what}")
