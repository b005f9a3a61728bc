"""A real SMTP server (aiosmtpd) and a real HTTP server on this machine, which do what a test tells them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port


@dataclass
class Mailbox:
    """The handler of a mail server. An answer that is set is given in the place of 250; `at_data` is called with each text."""

    to_mail: str = ""
    to_receiver: str = ""
    to_data: str = ""
    taken: list[Envelope] = field(default_factory=list)
    asked: int = 0
    release: threading.Event | None = None
    """The text is answered only when it is set."""

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        self.asked += 1
        if self.to_mail:
            return self.to_mail
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        if self.to_receiver:
            return self.to_receiver
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.release is not None:
            await server.loop.run_in_executor(None, self.release.wait, 30)
        if not self.to_data:
            self.taken.append(envelope)
        return self.to_data or "250 OK"


@contextmanager
def mail_server(mailbox: Mailbox, port: int = 0, **options: Any) -> Iterator[int]:
    """Run a mail server; yields its port."""
    controller = Controller(mailbox, hostname=HOST, port=port or free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        if mailbox.release is not None:
            mailbox.release.set()
        controller.stop()


@dataclass
class Posted:
    """A request that came in."""

    path: str
    headers: dict[str, str]
    content: bytes


@dataclass
class Receiver:
    """What an HTTP server got, and its answers in their order; the last one stays."""

    answers: list[int] = field(default_factory=lambda: [200])
    posted: list[Posted] = field(default_factory=list)
    release: threading.Event | None = None


@contextmanager
def http_server(receiver: Receiver, port: int = 0) -> Iterator[int]:
    """Run a receiver of pushes; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.posted.append(Posted(self.path, {name.lower(): value for name, value in self.headers.items()}, content))
            if receiver.release is not None:
                receiver.release.wait(30)
            answers = receiver.answers
            status = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer((HOST, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        if receiver.release is not None:
            receiver.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
