"""A sandbox per test, served on loopback, and an inbox that stands where the App would: it keeps what it is sent."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.sandbox import AppSettings, Repo, SandboxGitHub, Served, serve_in_thread
from app.sandbox.keys import make_private_key

CLIENT = httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


@pytest.fixture(scope="session")
def private_key() -> str:
    return make_private_key()


@pytest.fixture
def github(tmp_path: Path, private_key: str) -> SandboxGitHub:
    return SandboxGitHub(tmp_path / "github", AppSettings(private_key_pem=private_key))


@pytest.fixture
def served(github: SandboxGitHub) -> Iterator[Served]:
    with serve_in_thread(github) as served:
        yield served


@pytest.fixture
def repo(github: SandboxGitHub, served: Served) -> Repo:
    github.create_user("alice")
    github.create_user("rita")
    repo = github.create_repository("acme", "infra", files={"net/main.tf": "one\n", "README.md": "# Infra\n"})
    repo.set_permission("alice", "write")
    repo.set_permission("rita", "read")
    return repo


@dataclass
class Api:
    """A plain client of the sandbox's API, with one token."""

    served: Served
    token: str

    def __call__(self, method: str, path: str, **fields: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", "User-Agent": "test"}
        body: dict[str, Any] = {"json": fields} if fields else {}
        return CLIENT.request(method, f"{self.served.api_url}{path}", headers=headers, **body)


@pytest.fixture
def api(repo: Repo, github: SandboxGitHub, served: Served) -> Api:
    return Api(served, github.installation_token("acme"))


@dataclass
class Inbox:
    """What arrived, in order: headers and raw bodies. `answer` is the status of the next ones."""

    url: str = ""
    answer: int = 202
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@pytest.fixture
def inbox(github: SandboxGitHub) -> Iterator[Inbox]:
    inbox = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            inbox.headers.append({name.lower(): value for name, value in self.headers.items()})
            inbox.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(inbox.answer)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    github.webhook_url = inbox.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield inbox
    server.shutdown()
    server.server_close()
