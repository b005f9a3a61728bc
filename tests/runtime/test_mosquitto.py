"""The private broker, its credentials and the folders it is made from."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fleet.errors import BrokerError, UsageError
from fleet.runtime import mosquitto
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.mosquitto import PrivateMosquitto, free_port
from fleet.runtime.resources import resource_dir
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.wire.frame import Frame
from tests.lab import TOPICS, VINS, Lab, LiveBroker

SECRET = FleetSecret("a secret of some length")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder Mosquitto's user can reach: those of pytest are closed to others."""
    above = Path(tempfile.mkdtemp())
    above.chmod(0o711)
    yield above / "kept"
    shutil.rmtree(above)


@pytest.fixture
async def lab(own_broker: LiveBroker) -> AsyncIterator[Lab]:
    """Links to a broker of the test's own."""
    made = Lab(own_broker, aiomqtt_links)
    yield made
    await made.close()


def process_owner(pid: int) -> int:
    """Return the user id a process runs under."""
    found = subprocess.run(["ps", "-o", "uid=", "-p", str(pid)], check=True, capture_output=True, text=True).stdout
    return int(found)


@pytest.mark.live
class TestRunning:
    """A Mosquitto of our own, as long as we want it."""

    async def test_listens_is_closed_to_others_and_leaves_nothing(self) -> None:
        """While entered both listeners accept and the folder is the broker's alone; afterwards all is gone."""
        async with PrivateMosquitto(secret=SECRET, vins=VINS[:2]) as broker:
            folder, pid = broker.folder, broker.pid
            assert pid is not None
            for endpoint in (broker.cars, broker.tools):
                socket.create_connection((endpoint.host, endpoint.port), 1).close()
            assert folder.stat().st_mode & 0o777 == 0o700
            assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir() if path.suffix != ".db")
            assert folder.stat().st_uid == process_owner(pid) != 0
            assert os.getsid(pid) == pid  # Ctrl-C of the terminal does not reach it
        assert not folder.exists()
        assert broker.pid is None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    async def test_two_at_once(self) -> None:
        """Two private brokers take different ports."""
        async with PrivateMosquitto(secret=SECRET) as one, PrivateMosquitto(secret=SECRET) as two:
            assert len({one.cars.port, one.tools.port, two.cars.port, two.tools.port}) == 4

    async def test_restart_keeps_ports_and_what_persists(self, lab: Lab) -> None:
        """After stop and start the ports are the same and retained messages are there."""
        broker, vin = lab.broker.mosquitto, VINS[0]
        assert isinstance(broker, PrivateMosquitto)
        before = (broker.cars, broker.tools)
        car, owner = await lab.car_up(vin)
        car.publish(Frame(topic=TOPICS.presence(vin), payload=b"kept", retain=True), 1)
        await owner.wait_for_outcome(1)
        await car.close()
        await broker.stop()
        assert broker.pid is None
        await broker.stop()
        await broker.start()
        pid = broker.pid
        await broker.start()
        assert broker.pid == pid
        assert (broker.cars, broker.tools) == before
        _, watcher = await lab.user_up("tool", "watch", subscriptions=((TOPICS.presence(vin), 1),))
        await watcher.wait_for_payload(b"kept")

    async def test_stop_works_on_a_paused_broker(self, own_broker: LiveBroker) -> None:
        """Stop wakes a paused broker so that it ends in good order."""
        broker = own_broker.mosquitto
        assert isinstance(broker, PrivateMosquitto)
        broker.pause()
        await broker.stop()
        assert "terminating" in broker.log_tail()

    async def test_pause_without_a_broker(self) -> None:
        """What does not run cannot be paused, and has no ports."""
        broker = PrivateMosquitto(secret=SECRET)
        with pytest.raises(BrokerError):
            broker.pause()
        with pytest.raises(BrokerError):
            _ = broker.cars

    async def test_folder_of_the_user_is_kept(self, folder: Path) -> None:
        """A given folder outlives the broker, and the next one on it has the same ports, sessions and messages."""
        ports, vin = [], VINS[0]
        for turn in range(2):
            async with PrivateMosquitto(secret=SECRET, vins=VINS[:1], folder=folder) as broker:
                ports.append((broker.cars.port, broker.tools.port))
                lab = Lab(LiveBroker(broker, SECRET), aiomqtt_links)
                car, owner = await lab.car_up(vin)
                assert owner.ups == [turn == 1]
                if turn == 0:
                    car.drop()
                    backend, sent = await lab.user_up("backend", "backend")
                    backend.publish(Frame(topic=TOPICS.command(vin, "x"), payload=b"held"), 1)
                    await sent.wait_for_outcome(1)
                else:
                    await owner.wait_for_payload(b"held")
                await lab.close()
        assert ports[0] == ports[1]
        assert (folder / "mosquitto.db").exists()

    async def test_prefix_reaches_the_access_control(self) -> None:
        """With another topic prefix the same rights hold under it."""
        async with PrivateMosquitto(secret=SECRET, vins=VINS[:1], prefix="acme/cars") as broker:
            lab = Lab(LiveBroker(broker, SECRET), aiomqtt_links)
            car, owner = await lab.car_up(VINS[0])
            for token, prefix in enumerate(("acme/cars", "fleet/v1")):
                car.publish(Frame(topic=f"{prefix}/{VINS[0]}/status", payload=b""), token)
            assert await owner.wait_for_outcome(0) is None
            assert await owner.wait_for_outcome(1) is not None
            await lab.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process wish to die with its parent")
    def test_dies_with_a_parent_that_was_killed(self) -> None:
        """kill -9 of the process that started it ends the broker too."""
        program = (
            "import asyncio, os\n"
            "from fleet.runtime.credentials import FleetSecret\n"
            "from fleet.runtime.mosquitto import PrivateMosquitto\n"
            "async def main():\n"
            "    async with PrivateMosquitto(secret=FleetSecret.new()) as broker:\n"
            "        print(broker.pid, broker.folder, flush=True)\n"
            "        await asyncio.Event().wait()\n"
            "asyncio.run(main())\n"
        )
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            pid, folder = parent.stdout.readline().split()
            broker = os.pidfd_open(int(pid))
            parent.kill()
        try:
            ended, _, _ = select.select([broker], [], [], 5)
        finally:
            os.close(broker)
        subprocess.run(["rm", "-r", folder], check=True)
        assert ended


@pytest.mark.live
class TestFailing:
    """A broker that cannot run says why and what to do."""

    async def test_taken_port(self, own_broker: LiveBroker) -> None:
        """A fixed port that somebody else has is a BrokerError that says so, and nothing is left behind."""
        taken = own_broker.mosquitto.cars.port
        broker = PrivateMosquitto(secret=SECRET, cars_port=taken, tools_port=free_port("127.0.0.1"))
        with pytest.raises(BrokerError, match="Address already in use") as error:
            await broker.start()
        assert "another port" in error.value.hint
        assert broker.pid is None
        broker.discard()

    async def test_port_taken_in_between_is_chosen_again(self, own_broker: LiveBroker, monkeypatch: pytest.MonkeyPatch) -> None:
        """When a chosen port is taken before Mosquitto binds it, others are chosen."""
        ports = iter([own_broker.mosquitto.cars.port, free_port("127.0.0.1")])

        def choose(host: str, *, avoid: int = 0) -> int:
            return next(ports, None) or free_port(host, avoid=avoid)

        monkeypatch.setattr(mosquitto, "free_port", choose)
        async with PrivateMosquitto(secret=SECRET) as broker:
            assert broker.cars.port != own_broker.mosquitto.cars.port

    async def test_program_that_fails(self) -> None:
        """A program that ends at once is a BrokerError, not a time-out."""
        with pytest.raises(BrokerError, match="ended at once"):
            async with PrivateMosquitto(secret=SECRET, binary=Path("/bin/false")):
                pass

    async def test_cancelled_start_leaves_no_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ctrl-C while the broker starts ends it and removes its folder."""
        started = asyncio.Event()

        async def never(self: PrivateMosquitto, process: object, begin: int) -> None:
            started.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(PrivateMosquitto, "_wait_for_listeners", never)
        broker = PrivateMosquitto(secret=SECRET)
        task = asyncio.create_task(broker.__aenter__())
        await started.wait()
        folder, pid = broker.folder, broker.pid
        assert pid is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not folder.exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def test_folder_of_somebody_else_is_left_alone(self, folder: Path) -> None:
        """A folder with other files keeps its owner and mode: the broker refuses it."""
        folder.mkdir(mode=0o755)
        (folder / "thesis.tex").write_text("")
        with pytest.raises(BrokerError, match="somebody else"):
            asyncio.run(PrivateMosquitto(secret=SECRET, folder=folder).start())
        assert folder.stat().st_mode & 0o777 == 0o755

    def test_no_mosquitto_says_how_to_install_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the program the hint names the commands that install it."""
        monkeypatch.setenv("PATH", "")
        monkeypatch.setattr(mosquitto, "_EXTRA_FOLDERS", ())
        with pytest.raises(BrokerError) as error:
            mosquitto.find_mosquitto()
        assert "sudo apt-get install mosquitto" in error.value.hint
        assert "brew install mosquitto" in error.value.hint

    def test_found_outside_the_path(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """An sbin folder that is not on the PATH is looked at too."""
        program = tmp_path / "mosquitto"
        program.touch(mode=0o755)
        monkeypatch.setenv("PATH", "")
        monkeypatch.setattr(mosquitto, "_EXTRA_FOLDERS", (str(tmp_path),))
        assert mosquitto.find_mosquitto() == program


class TestCredentials:
    """Passwords come from one secret that nobody sees."""

    def test_password_is_hmac_sha256(self) -> None:
        """A password is the hex HMAC-SHA256 of the user name under the secret."""
        expected = hmac.new(b"a secret of some length", VINS[0].encode(), hashlib.sha256).hexdigest()
        assert SECRET.password_for(VINS[0]) == expected

    def test_never_shown(self) -> None:
        """Neither repr nor str holds the secret."""
        assert "secret of" not in f"{SECRET!r}{SECRET}"

    def test_file_round_trip(self, tmp_path: Path) -> None:
        """A secret written to a file has mode 0600, is read back the same and never overwritten."""
        path = tmp_path / "secret"
        SECRET.write(path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert FleetSecret.from_file(path).password_for("x") == SECRET.password_for("x")
        with pytest.raises(UsageError):
            FleetSecret.new().write(path)

    def test_file_others_may_read(self, tmp_path: Path) -> None:
        """A file open to others is refused with the command that closes it."""
        path = tmp_path / "secret"
        SECRET.write(path)
        path.chmod(0o640)
        with pytest.raises(UsageError) as error:
            FleetSecret.from_file(path)
        assert error.value.hint == f"chmod 600 {path}"

    def test_missing_file(self, tmp_path: Path) -> None:
        """A file that is not there is the user's mistake."""
        with pytest.raises(UsageError):
            FleetSecret.from_file(tmp_path / "none")

    def test_environment(self) -> None:
        """FLEET_SECRET gives the secret; without it there is none; a short one is refused."""
        held = FleetSecret.from_env({"FLEET_SECRET": "a secret of some length\n"})
        assert held is not None
        assert held.password_for("x") == SECRET.password_for("x")
        assert FleetSecret.from_env({}) is None
        with pytest.raises(UsageError):
            FleetSecret.from_env({"FLEET_SECRET": "short"})

    def test_new_ones_differ(self) -> None:
        """Each new secret is another."""
        assert FleetSecret.new().password_for("x") != FleetSecret.new().password_for("x")

    def test_user_name_that_would_break_the_file(self) -> None:
        """A user name cannot smuggle a line into the password file."""
        with pytest.raises(UsageError):
            mosquitto.password_file(["a:b"], SECRET)


class TestResources:
    """The folders that ship with the project."""

    def test_in_the_checkout(self) -> None:
        """In a checkout the folders of its top level are found."""
        assert (resource_dir("broker") / "mosquitto.conf").is_file()
        assert resource_dir("scenarios").is_dir()

    def test_package_goes_first(self, tmp_path: Path) -> None:
        """What was installed with the package is preferred to what lies beside it."""
        package = tmp_path / "fleet"
        (package / "_data" / "broker").mkdir(parents=True)
        (tmp_path / "broker").mkdir()
        assert resource_dir("broker", package=package) == package / "_data" / "broker"

    def test_missing(self, tmp_path: Path) -> None:
        """Without either the error names both places."""
        with pytest.raises(UsageError, match="_data"):
            resource_dir("broker", package=tmp_path / "fleet")
