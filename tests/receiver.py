"""A receiver of notifications: an HTTP server on loopback that keeps what came, and answers as a test scripts it."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """True when both signatures are those of the body, as a receiver computes them."""
        mark = "sha256=" + hmac.new(secret.encode(), self.body, hashlib.sha256).hexdigest()
        return self.headers["x-signature-256"] == mark == self.headers["x-hub-signature-256"]


@dataclass
class Receiver:
    """The server."""

    url: str
    received: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """What the next requests are answered with; then `status`."""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    """Of every answer."""

    def to(self, path: str) -> list[Received]:
        """What came to a path, in its order."""
        return [one for one in self.received if one.path == path]


@contextmanager
def open_receiver() -> Iterator[Receiver]:
    """A receiver; ends with the block."""
    made = Receiver(url="")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.received.append(Received(self.command, self.path, headers, body))
            self.send_response(made.statuses.pop(0) if made.statuses else made.status)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = do_PUT = do_GET = _take  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
