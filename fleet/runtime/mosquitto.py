"""The private broker: a Mosquitto of our own, with its folder, users and two listeners on this machine.

Takes the configuration and the access control from `broker/`, so that the private broker and one run by hand behave
alike. Knows no link and no car beyond the names of its users.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NamedTuple, Self

from fleet.errors import BrokerError, UsageError
from fleet.runtime.broker_acl import acl_text
from fleet.runtime.credentials import FleetSecret
from fleet.runtime.limits import raise_open_files
from fleet.runtime.resources import resource_dir
from fleet.runtime.signals import how_ended
from fleet.transport.link import Endpoint
from fleet.wire.dialect import TopicAccess
from fleet.wire.topics import DEFAULT_PREFIX, checked_prefix

TOOL_USERS: Final = ("backend", "desk", "tool")
START_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.005
_CARS_OPTION: Final = "use_username_as_clientid true"
"""Stands in the configuration of the cars' listener, and of no other."""
_PORT_ATTEMPTS: Final = 5
_PORTS: Final = range(15_000, 32_000)
"""Below the ephemeral ports of Linux and macOS: a client trying to reconnect can take no port of a stopped broker."""

_EXTRA_FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin", "/opt/homebrew/bin")
_INSTALL_HINT: Final = (
    "Install it: Debian or Ubuntu `sudo apt-get install mosquitto`, Fedora `sudo dnf install mosquitto`, "
    "macOS `brew install mosquitto`; or use the embedded broker, which needs nothing "
    "(fleet run --broker embedded, fleet broker --embedded), or one you have."
)

# What becomes Mosquitto. A parent killed with -9 cannot stop its broker, so on Linux the kernel does. It forgets that
# wish when a process changes its user, hence Mosquitto must not drop root itself; and asking for it in a fork of this
# process (preexec_fn) is unsafe beside threads, hence a process of its own that ends in exec. The parent may be gone
# before the wish is made; then there is nobody to serve. Arguments: pid of the parent, user (or ""), command.
_LAUNCHER: Final = """\
import ctypes, os, pwd, sys
parent, user, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
if user:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != parent:
        sys.exit(1)
os.execv(command[0], command)
"""


class BrokerCertificates(NamedTuple):
    """Files that the cars' listener needs for TLS. With `clients` (an authority) each car must have a certificate of its own."""

    certificate: Path
    key: Path
    clients: Path | None = None


class PrivateMosquitto:
    """A Mosquitto that lives while this object is entered, and no longer than this process (on Linux).

    Without a folder it gets a temporary one, removed at exit; a folder of the user's is kept, with what persists in
    it. Ports of 0 are chosen. After `stop` or `kill`, `start` runs it again on the same ports with what it kept.
    """

    def __init__(
        self,
        *,
        secret: FleetSecret,
        vins: Iterable[str] = (),
        prefix: str = DEFAULT_PREFIX,
        listen: str = "127.0.0.1",
        cars_port: int = 0,
        tools_port: int = 0,
        folder: Path | None = None,
        binary: Path | None = None,
        any_prefix: bool = False,
        certificates: BrokerCertificates | None = None,
        topics: TopicAccess | None = None,
    ) -> None:
        """Take the users' VINs and where to listen. Nothing is touched before `start`.

        With `any_prefix` the last level of the topic prefix may be anything: tests that share a broker have one each. With
        `certificates` cars connect by TLS; their common name is then their user name, where each has one.
        `topics` are those of a dialect that has its own.
        """
        self._prefix = checked_prefix(prefix)
        if any_prefix:
            self._prefix = self._prefix.rpartition("/")[0] + "/+"
        self._certificates = certificates
        self._topics = topics
        self._secret = secret
        self._vins = tuple(vins)
        self._listen = listen
        self._fixed = (cars_port, tools_port)
        self._ports: tuple[int, int] | None = None
        self._keep = folder is not None
        self._folder = None if folder is None else folder.absolute()  # Mosquitto runs in another one
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def cars(self) -> Endpoint:
        """Where cars connect: the client id is the user name."""
        return Endpoint(self._host(), self._known_ports()[0])

    @property
    def tools(self) -> Endpoint:
        """Where backend, desk and tool connect."""
        return Endpoint(self._host(), self._known_ports()[1])

    @property
    def pid(self) -> int | None:
        """The process while it runs, else None."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def end(self) -> str | None:
        """How the process ended, in words, when nobody ended it here; None while it runs, and after `stop` and `kill`."""
        code = self._process.poll() if self._process is not None else None
        return None if code is None else how_ended(code)

    @property
    def folder(self) -> Path:
        """Where its files are, from `start` on."""
        if self._folder is None:
            raise BrokerError("the private broker was not started")
        return self._folder

    @property
    def log_path(self) -> Path:
        """Mosquitto's log, kept over restarts until the folder goes."""
        return self.folder / "mosquitto.log"

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of the log."""
        try:
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self.discard()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await self.stop()
        finally:
            self.discard()

    async def start(self) -> None:
        """Run it and wait until both listeners accept. Does nothing while it runs. Raises BrokerError."""
        if self.pid is not None:
            return
        binary = find_mosquitto() if self._binary is None else self._binary
        raise_open_files()  # it has one for each client
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="fleet-broker-"))
        first = self._ports is None
        if first:
            await asyncio.to_thread(self._write_users)
        for attempt in range(_PORT_ATTEMPTS):
            if self._ports is None:
                self._ports = self._choose_ports()
                self._write_configuration()
            try:
                await self._launch(binary)
                return
            except _PortTaken as taken:
                if not first or all(self._fixed) or attempt == _PORT_ATTEMPTS - 1:
                    raise BrokerError(str(taken), hint="Another program listens there; choose another port.") from None
                self._ports = None

    async def admit(self, vins: Iterable[str]) -> None:
        """Let further cars in while it runs, and return when it knows them. Raises BrokerError when it does not read them."""
        new = [vin for vin in vins if vin not in self._vins]
        if not new:
            return
        self._vins += tuple(new)
        with (self.folder / "passwords").open("a", encoding="utf-8") as file:
            file.write(password_file(new, self._secret))
        reloads = self._reloads()
        self._signal(signal.SIGHUP)
        async with asyncio.timeout(START_TIMEOUT_S):
            while self._reloads() == reloads:  # noqa: ASYNC110  a log cannot wake us
                await asyncio.sleep(_POLL_S / 5)

    def _reloads(self) -> int:
        return self.log_path.read_bytes().count(b"Reloading config")

    async def stop(self) -> None:
        """End it in good order, so that it writes down what must persist. Safe to call twice."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)  # one that is paused would not see the end coming
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """End it at once with SIGKILL: what it had not written down is lost."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Stop the process without ending it (SIGSTOP): it keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused broker go on."""
        self._signal(signal.SIGCONT)

    def discard(self) -> None:
        """Kill what still runs and remove the folder if it is a temporary one."""
        self.kill()
        if not self._keep and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
            self._ports = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            raise BrokerError("the private broker does not run")
        self._process.send_signal(number)

    def _host(self) -> str:
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._listen, self._listen)  # noqa: S104  it is read, not bound

    def _known_ports(self) -> tuple[int, int]:
        if self._ports is None:
            raise BrokerError("the private broker was not started")
        return self._ports

    def _choose_ports(self) -> tuple[int, int]:
        """Keep the ports a kept folder had, so that its clients find the broker again."""
        before = self.folder / "mosquitto.conf"
        if all(self._fixed) or not before.exists():
            had = [0, 0]
        else:
            had = [int(port) for port in re.findall(r"^listener (\d+)", before.read_text("utf-8"), flags=re.MULTILINE)]
        cars = self._fixed[0] or (had[0] if is_free(self._listen, had[0]) else free_port(self._listen))
        tools = self._fixed[1] or (had[1] if is_free(self._listen, had[1]) else free_port(self._listen, avoid=cars))
        return cars, tools

    def _write_users(self) -> None:
        """Make the folder and the files that hold through all restarts. Slow with many cars: one PBKDF2 each."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._refuse_foreign_folder()
            self.folder.chmod(0o700)
            shutil.chown(self.folder, *_owner())
            self._write("passwords", password_file((*TOOL_USERS, *self._vins), self._secret))
            self._write("acl", acl_text(self._prefix, self._topics))
        except OSError as error:
            raise BrokerError(
                f"the folder of the private broker cannot be prepared: {error}",
                hint="May that folder be written to, and is there room?",
            ) from error

    def _refuse_foreign_folder(self) -> None:
        """A folder given by the user changes its owner and mode: only an empty one, or one we had before."""
        held = {path.name for path in self.folder.iterdir()}
        if held and "mosquitto.conf" not in held:
            raise BrokerError(
                f"{self.folder} holds files of somebody else", hint="Name an empty or a new folder for the private broker."
            )

    def _write_configuration(self) -> None:
        template = (resource_dir("broker") / "mosquitto.conf").read_text(encoding="utf-8")
        text = render(template, self.folder, self._listen, self._known_ports())
        if self._certificates is not None:
            text = text.replace(_CARS_OPTION, "\n".join((_CARS_OPTION, *self._write_certificates(self._certificates))))
        self._write("mosquitto.conf", text)

    def _write_certificates(self, files: BrokerCertificates) -> list[str]:
        """Copy what Mosquitto has to read into its folder, and return the lines for the cars' listener; see broker/README.md."""
        lines = []
        for option, file in (("certfile", files.certificate), ("keyfile", files.key), ("cafile", files.clients)):
            if file is not None:
                self._write(option, file.read_text(encoding="utf-8"))
                lines.append(f"{option} {self.folder / option}")
        return [*lines, "require_certificate true", "use_identity_as_username true"] if files.clients is not None else lines

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        shutil.chown(path, *_owner())

    async def _launch(self, binary: Path) -> None:
        user = _mosquitto_user() if os.geteuid() == 0 else ""
        command = [str(binary), "-c", str(self.folder / "mosquitto.conf")]
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), user]
        with self._open_log() as log:
            begin = log.tell()
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220  our own command; it does not wait
                [*launcher, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C of the terminal is for the run, which then stops its broker
                cwd="/",
            )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._wait_for_listeners(self._process, begin)
        except TimeoutError:
            self._give_up(f"Mosquitto did not listen within {START_TIMEOUT_S:g} s")
        except BaseException:
            self.kill()
            raise

    def _open_log(self) -> IO[bytes]:
        log = self.log_path.open("ab")
        with contextlib.suppress(PermissionError):
            self.log_path.chmod(0o600)
        shutil.chown(self.log_path, *_owner())
        return log

    async def _wait_for_listeners(self, process: subprocess.Popen[bytes], begin: int) -> None:
        """Poll every few milliseconds: Mosquitto cannot tell otherwise that it is ready.

        That a port accepts is not enough: it may be another program's, and Mosquitto about to fail.
        """
        ports = list(self._known_ports())
        while True:
            if process.poll() is not None:
                self._give_up("Mosquitto ended at once")
            if ports and await _accepts(self._host(), ports[0]):
                ports.pop(0)
            elif not ports and b" running" in self._log_since(begin):
                return
            else:
                await asyncio.sleep(_POLL_S)

    def _log_since(self, begin: int) -> bytes:
        with self.log_path.open("rb") as log:
            log.seek(begin)
            return log.read()

    def _give_up(self, what: str) -> None:
        self.kill()
        tail = self.log_tail()
        if "Address already in use" in self.log_tail(5):
            cars, tools = self._known_ports()
            raise _PortTaken(f"{what}: port {cars} or {tools} is taken\n{tail}")
        hint = "Its last lines are above." if tail else "It said nothing."
        if "Permission denied" in tail or "Unable to open" in tail:
            user = pwd.getpwuid(_owner()[0]).pw_name
            hint = f"Can the user {user!r} reach {self.folder}? Every folder above it must be open to it (x)."
        raise BrokerError(f"{what}:\n{tail}", hint=hint)


class _PortTaken(Exception):
    """Somebody else took the port between our look and Mosquitto's bind."""


def find_mosquitto() -> Path:
    """Return the program; it often lies in an sbin folder that is not on the PATH. Raises BrokerError."""
    path = os.environ.get("PATH", "")
    found = shutil.which("mosquitto", path=os.pathsep.join((path, *_EXTRA_FOLDERS)))
    if found is None:
        raise BrokerError("no Mosquitto is installed", hint=_INSTALL_HINT)
    return Path(found)


def has_mosquitto() -> bool:
    """Return whether a Mosquitto is installed."""
    try:
        find_mosquitto()
    except BrokerError:
        return False
    return True


def render(template: str, folder: Path, listen: str, ports: tuple[int, int]) -> str:
    """Return `broker/mosquitto.conf` with the image's paths and the two listeners replaced by ours."""
    text = template.replace("/mosquitto/config", str(folder)).replace("/mosquitto/data", str(folder))
    for number, port in zip((1883, 1884), ports, strict=True):
        text, count = re.subn(rf"^listener {number}$", f"listener {port} {listen}", text, flags=re.MULTILINE)
        if count != 1:
            raise BrokerError(
                f"broker/mosquitto.conf has no line 'listener {number}'",
                hint="Its two listeners are for cars and for tools; each begins with such a line.",
            )
    return text


def password_file(users: Iterable[str], secret: FleetSecret) -> str:
    """Return a Mosquitto password file: PBKDF2-SHA512 with 101 iterations, as mosquitto_passwd writes it."""
    lines = []
    for user in users:
        if ":" in user or "\n" in user or not user:
            raise UsageError(
                f"{user!r} cannot be the name of a user of the broker", hint="It needs a name without colons and line ends."
            )
        salt = secrets.token_bytes(12)
        digest = hashlib.pbkdf2_hmac("sha512", secret.password_for(user).encode(), salt, 101)
        lines.append(f"{user}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n")
    return "".join(lines)


def free_port(host: str, *, avoid: int = 0) -> int:
    """Return a port on which nobody listens at this moment. Raises BrokerError when none was found."""
    for _ in range(200):
        port = _PORTS[secrets.randbelow(len(_PORTS))]
        if port != avoid and is_free(host, port):
            return port
    raise BrokerError(f"no free port was found on {host}", hint="Is that an address of this machine?")


def is_free(host: str, port: int) -> bool:
    """Return whether nobody listens on the port at this moment; False for port 0."""
    with contextlib.suppress(OSError):
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return port != 0
    return False


async def _accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _mosquitto_user() -> str:
    """Return the account a broker started by root runs under: never root."""
    for name in ("mosquitto", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise BrokerError("there is no user 'mosquitto' or 'nobody' to run the broker under", hint="Do not run it as root.")


def _owner() -> tuple[int, int]:
    """Return the user and group that the broker's files belong to."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    entry = pwd.getpwnam(_mosquitto_user())
    return entry.pw_uid, entry.pw_gid
