"""S3 and KMS as real HTTP servers: moto's, and a proxy before it that misbehaves as it is told.

With `TEST_S3_ENDPOINT_URL` (and the usual AWS variables) another store is used instead, say radosgw: docs/artifacts.md.
"""

import http.client
import os
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.core.names import Secret
from app.store.artifacts_s3 import S3Place
from app.store.s3_client import AwsAccess, make_client, make_s3_client

GIVEN_S3 = os.environ.get("TEST_S3_ENDPOINT_URL", "")
changes_what_is_signed = pytest.mark.skipif(
    bool(GIVEN_S3), reason="the proxy changes signed headers: a store that checks signatures refuses that by itself"
)


def aws_access(url: str) -> AwsAccess:
    """Access to a server at that URL."""
    return AwsAccess(
        endpoint_url=url,
        region="us-east-1",
        access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "test-key"),
        secret_access_key=Secret(os.environ.get("AWS_SECRET_ACCESS_KEY", "canary-aws-secret")),
    )


@contextmanager
def running_moto() -> Iterator[str]:
    """The URL of a moto server that speaks S3 and KMS."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def new_bucket(url: str) -> str:
    """A fresh bucket's name."""
    name = f"trackside-{secrets.token_hex(6)}"
    make_s3_client(aws_access(url)).create_bucket(Bucket=name)
    return name


def place_of(url: str, bucket: str, **more: Any) -> S3Place:
    """A place in that bucket."""
    return S3Place(bucket=bucket, prefix="some/prefix", access=aws_access(url), **more)


def new_kms_key(url: str) -> str:
    """A fresh KMS key's ARN."""
    arn: str = make_client("kms", aws_access(url), None).create_key()["KeyMetadata"]["Arn"]
    return arn


@dataclass
class Trouble:
    """What the proxy does to requests that match, in order; each once, unless it is to last."""

    upstream: str
    next: deque[tuple[str, str, int]] = field(default_factory=deque)
    """Shape: method (or `*`), what, how much."""
    requests: list[str] = field(default_factory=list)
    hurt: list[str] = field(default_factory=list)
    is_over: Event = field(default_factory=Event)
    lock: Any = field(default_factory=Lock)

    def answer(self, method: str, status: int, *, times: int = 1) -> None:
        """Answer the next requests of that method with a status, without asking the store."""
        self.next.extend([(method, "status", status)] * times)

    def lose_answer(self, method: str) -> None:
        """Carry the next one out, and cut the connection before its answer."""
        self.next.append((method, "lose", 0))

    def cut_answer(self, method: str, at: int, *, times: int = 1) -> None:
        """Cut the next answer's body after so many bytes."""
        self.next.extend([(method, "cut", at)] * times)

    def hang(self, method: str, *, times: int = 1) -> None:
        """Let the next ones wait until the test is over."""
        self.next.extend([(method, "hang", 0)] * times)

    def swallow(self, method: str, kept: int) -> None:
        """Hand on so many bytes of the next body as if they were all, and say that it went well."""
        self.next.append((method, "swallow", kept))

    def overwrite(self) -> None:
        """Be a store that knows no conditions, from now on."""
        self.next.append(("*", "unconditional", 0))

    def take(self, method: str) -> tuple[str, int]:
        """What is to happen to this request."""
        with self.lock:
            for place, (wanted, what, much) in enumerate(self.next):
                if wanted in ("*", method):
                    if what != "unconditional":
                        del self.next[place]
                        self.hurt.append(f"{method} {what}")
                    return what, much
        return "", 0


class _Proxy(BaseHTTPRequestHandler):
    trouble: Trouble
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.trouble.requests.append(f"{self.command} {self.path.partition('?')[0]}")
        what, much = self.trouble.take(self.command)
        self.close_connection = True
        if what == "hang":
            self.trouble.is_over.wait(30)
            return
        if what == "status":
            self._answer(much, {}, b"<Error><Code>InternalError</Code></Error>")
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        if what == "unconditional":
            headers = {name: value for name, value in headers.items() if name.lower() != "if-none-match"}
        if what == "swallow":
            body = body[:much]
            unsigned = ("content-length", "content-md5", "x-amz-checksum-sha256")
            headers = {name: value for name, value in headers.items() if name.lower() not in unsigned}
        status, answered, data = self._forward(headers, body)
        if what == "lose":
            return
        self._answer(status, answered, data, cut=much if what == "cut" else None)

    def _forward(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.trouble.upstream).netloc, timeout=30)
        connection.request(self.command, self.path, body=body, headers=headers)
        answer = connection.getresponse()
        data = answer.read()
        found = dict(answer.getheaders())
        connection.close()
        return answer.status, found, data

    def _answer(self, status: int, headers: dict[str, str], data: bytes, *, cut: int | None = None) -> None:
        self.send_response_only(status)
        left_out = ("connection", "transfer-encoding", "content-length")
        for name, value in headers.items():
            if name.lower() not in left_out:
                self.send_header(name, value)
        length = headers.get("Content-Length") or headers.get("content-length") or "0"
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data if cut is None else data[:cut])

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def troubled(upstream: str) -> Iterator[tuple[str, Trouble]]:
    """The URL of a proxy before a server, and what it is to do."""
    trouble = Trouble(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Proxy", (_Proxy,), {"trouble": trouble}))
    server.daemon_threads = True
    serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", trouble
    finally:
        trouble.is_over.set()
        server.shutdown()
        server.server_close()
        serving.join()
