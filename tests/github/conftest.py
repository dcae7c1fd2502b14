"""The App's GitHub room against the sandbox: a fresh one per test, and a test fails on a request that no route knew."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from app.core.event import Repository
from app.core.names import Secret
from app.github.client import GitHubApp
from app.github.config import AppConfig
from app.sandbox import AppSettings, Repo, SandboxGitHub, Served, serve_in_thread
from app.sandbox.keys import make_private_key
from tests.github.made import Seen, known


@pytest.fixture(scope="session")
def private_key() -> str:
    return make_private_key()


@pytest.fixture(autouse=True)
def retries_do_not_wait() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture
def sandbox(tmp_path: Path, private_key: str) -> Iterator[SandboxGitHub]:
    sandbox = SandboxGitHub(tmp_path / "github", AppSettings(private_key_pem=private_key))
    yield sandbox
    assert sandbox.unknown_requests == []


@pytest.fixture
def served(sandbox: SandboxGitHub) -> Iterator[Served]:
    with serve_in_thread(sandbox) as served:
        yield served


@pytest.fixture
def repo(sandbox: SandboxGitHub, served: Served) -> Repo:
    for login in ("alice", "rita"):
        sandbox.create_user(login)
    repo = sandbox.create_repository("acme", "infra", files={"net/main.tf": "one\n"})
    repo.set_permission("alice", "write")
    repo.set_permission("rita", "read")
    return repo


@pytest.fixture
def repository(repo: Repo, sandbox: SandboxGitHub) -> Repository:
    """The same repository as the App knows it."""
    return known(repo, sandbox)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def config(sandbox: SandboxGitHub, served: Served) -> AppConfig:
    return AppConfig(
        app_id=sandbox.app.id,
        private_key=Secret(sandbox.private_key_pem),
        client_id=sandbox.app.client_id,
        api_url=served.api_url,
        server_url=served.url,
    )


@pytest.fixture
def app(config: AppConfig, sandbox: SandboxGitHub, seen: Seen) -> Iterator[GitHubApp]:
    app = GitHubApp(config, on_request=seen, now=sandbox.clock.now)
    yield app
    app.close()
