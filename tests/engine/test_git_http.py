"""Mirrors over smart HTTP: git's own server program behind a door that demands the token."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.core.errors import RetryableError, UserError
from app.core.names import Secret
from app.engine.git import Mirror, Source

TOKEN = "ghs_0123456789abcdefSECRET"
BASIC = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()

LARGE = "# nothing yet\n" * 6_000
"""More than comes with a fetch: it is asked for when it is needed."""


class Door(ThreadingHTTPServer):
    """Serves the repositories of a folder with `git http-backend`, to whoever brings the token."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.folder = folder
        self.headers_seen: list[str] = []
        self.lines_seen: list[str] = []
        self.leaks: list[str] = []
        self.answers: dict[str, int] = {}
        """Path prefix to the status that is answered instead."""
        self.redirect_to = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Request(BaseHTTPRequestHandler):
    server: Door

    def do_GET(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def log_message(self, format: str, *args: object) -> None:
        return

    def serve(self) -> None:
        self.server.lines_seen.append(self.path)
        self.server.headers_seen.append(self.headers.get("Authorization", ""))
        # While it waits for us, the client is alive: what can others of this machine see of it?
        self.server.leaks += [line for line in command_lines() if TOKEN in line or BASIC in line]
        body = self.read_body()
        status = next((code for prefix, code in self.server.answers.items() if self.path.startswith(prefix)), 0)
        if self.server.redirect_to:
            self.answer(301, {"Location": self.server.redirect_to + self.path})
        elif status:
            self.answer(status, {}, f"you sent {TOKEN}".encode())
        elif self.headers.get("Authorization") != f"Basic {BASIC}":
            self.answer(401, {"WWW-Authenticate": "Basic"})
        else:
            self.pass_to_git(body)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body

    def pass_to_git(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        command = ["git", "http-backend"]
        done = subprocess.run(command, env=env, input=body, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.answer(int(fields.pop("Status", "200").split()[0]), fields, content)

    def answer(self, status: int, fields: dict[str, str], content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    (tmp_path / "served").mkdir()
    with Door(tmp_path / "served") as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def sha(door: Door) -> str:
    """The only commit of `acme/infra` behind the door: one file."""
    folder = door.folder / "acme/infra"
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]

    def git(*arguments: str) -> str:
        command = ["git", *identity, *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    folder.mkdir(parents=True)
    git("init", "--quiet", "--initial-branch=main")
    git("config", "uploadpack.allowFilter", "true")
    (folder / "main.tf").write_text(LARGE)
    git("add", "--all")
    git("commit", "--quiet", "-m", "first")
    return git("rev-parse", "HEAD")


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "mirrors", timeout_s=20)


def source(door: Door, token: str = TOKEN) -> Source:
    return Source(7, f"{door.url}/acme/infra", Secret(token))


def test_the_token_opens_the_door_and_shows_nowhere_else(door: Door, sha: str, mirror: Mirror, tmp_path: Path) -> None:
    mirror.fetch(source(door), wants=[sha])
    asked_before = len(door.lines_seen)
    mirror.checkout(source(door), sha, tmp_path / "source")
    assert (tmp_path / "source/main.tf").read_text() == LARGE
    assert len(door.lines_seen) > asked_before, "the blob came at checkout, with the token of that call"
    assert mirror.ls_remote(source(door)) == {"refs/heads/main": sha}

    assert set(door.headers_seen) == {f"Basic {BASIC}"}
    assert door.leaks == []
    assert not any(TOKEN in line or BASIC in line for line in door.lines_seen)
    for path in [*(tmp_path / "mirrors").rglob("*"), *(tmp_path / "source").rglob("*")]:
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes()
            assert BASIC.encode() not in path.read_bytes()


def test_a_renewed_token_serves_an_old_mirror(door: Door, sha: str, mirror: Mirror, tmp_path: Path) -> None:
    mirror.fetch(source(door), wants=[sha])
    with pytest.raises(RetryableError, match="the token was refused"):
        mirror.checkout(source(door, "ghs_expired"), sha, tmp_path / "source")
    mirror.checkout(source(door), sha, tmp_path / "source")


@pytest.mark.parametrize("token", ["ghs_wrong", ""])
def test_a_token_that_is_refused_can_be_tried_again_with_another(
    door: Door, sha: str, mirror: Mirror, token: str
) -> None:
    with pytest.raises(RetryableError, match=r"fetching .*: the token was refused"):
        mirror.fetch(source(door, token), wants=[sha])


@pytest.mark.parametrize(
    ("status", "kind"), [(403, UserError), (404, UserError), (500, RetryableError), (429, RetryableError)]
)
def test_what_the_server_answers_decides_whether_to_ask_again(
    door: Door, sha: str, mirror: Mirror, status: int, kind: type[Exception]
) -> None:
    door.answers["/acme"] = status
    with pytest.raises(kind) as raised:
        mirror.fetch(source(door), wants=[sha])
    assert TOKEN not in str(raised.value)
    assert BASIC not in str(raised.value)


def test_a_redirect_does_not_take_the_token_elsewhere(door: Door, sha: str, mirror: Mirror, tmp_path: Path) -> None:
    with Door(tmp_path) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        door.redirect_to = elsewhere.url
        with pytest.raises(RetryableError, match="301"):
            mirror.fetch(source(door), wants=[sha])
        elsewhere.shutdown()
        assert elsewhere.headers_seen == []
