"""An installation without a GitHub App is given one in a browser, and goes on as if it had always had it."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.core.run import RunState
from app.demo import free_port
from app.sandbox import SandboxGitHub, Served, serve_in_thread
from app.serve import Tree
from app.wiring import open_control
from app.wiring_app import get_settings, load_first
from tests.driver import SHARED, World, wait_until
from tests.newcomer import Browser
from tests.operator import operator

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app}\n"
TERRAFORM = 'resource "terraform_data" "one" {\n  input = "1"\n}\n'


@dataclass
class Newcomer:
    """GitHub, and `serve` beside it that has no App."""

    github: SandboxGitHub
    served: Served
    environ: dict[str, str]
    root: Path
    url: str

    @property
    def log(self) -> str:
        """What its processes have said."""
        path = self.root / "log"
        return path.read_text() if path.exists() else ""

    @property
    def codes(self) -> list[str]:
        """The codes that were printed, oldest first."""
        return re.findall(r"/setup and give the code ([0-9a-f]{32}) ", self.log)

    def answers(self, path: str) -> int:
        """The status of an address; 0 when nobody answers."""
        try:
            return httpx.get(f"{self.url}{path}", trust_env=False).status_code
        except httpx.HTTPError:
            return 0

    def type(self, *words: str) -> str:
        """What `trackside …` says on the server."""
        done = operator().type(words, {"PATH": os.environ["PATH"], "HOME": str(self.root), **self.environ}, "", 60)
        return done.stdout + done.stderr


@contextmanager
def open_newcomer(root: Path, database_url: str) -> Iterator[Newcomer]:
    """Both, until the block ends."""
    shared = root / SHARED
    shared.mkdir()
    shared.chmod(0o755)
    github, port = SandboxGitHub(root / "github"), free_port()
    github.create_user("alice")
    github.create_organization("acme")
    with serve_in_thread(github) as served:
        environ = {
            "GITHUB_API_URL": served.api_url,
            "GITHUB_SERVER_URL": served.url,
            "PORT": str(port),
            "PUBLIC_URL": f"http://localhost:{port}",
            "DATA_DIR": str(root / "data"),
            "DATABASE_URL": database_url,
            "SWEEP_EVERY_S": "1",
            "ISOLATION_READABLE": str(shared),
        }
        process = {"PATH": os.environ["PATH"], "HOME": str(root), **environ}
        tree, stop = Tree(load_first(process), process, root / "log"), threading.Event()
        thread = threading.Thread(target=tree.run, args=(stop,), daemon=True)
        thread.start()
        try:
            yield Newcomer(github, served, environ, root, environ["PUBLIC_URL"])
        finally:
            stop.set()
            thread.join(60)
    assert not github.unknown_requests, f"requests that no route knew: {github.unknown_requests}"


def set_up(new: Newcomer, browser: Browser) -> None:
    """Somebody follows the pages from the code to the App's installation."""
    wait_until(lambda: bool(new.codes) and new.answers("/setup") == 200, "the set-up is open")
    browser.open(f"{new.url}/setup")
    browser.send(code=new.codes[-1], account="organisation", organisation="acme")
    browser.send()  # the manifest goes to GitHub
    browser.send(1, name="Trackside of acme")
    assert "trackside-of-acme" in browser.words, browser.words


def test_an_app_is_set_up_in_the_browser_and_a_push_becomes_a_run(tmp_path: Path, database_url: str) -> None:
    """Nobody copies a key: the pages lead to GitHub and back, the processes go on by themselves, and nothing of the key
    is in the log or in clear in the database."""
    with open_newcomer(tmp_path, database_url) as new, Browser() as browser:
        wait_until(lambda: new.answers("/readyz") == 503, "the web process answers")
        assert httpx.get(f"{new.url}/readyz", trust_env=False).json()["parts"] == {
            "GitHub App": "not configured: open /setup"
        }
        refused = httpx.post(f"{new.url}/webhooks/github", content=b"{}", trust_env=False)
        assert (refused.status_code, "not configured yet" in refused.json()["error"]) == (503, True)
        assert "the GitHub App is not configured" in new.type("runs")

        repo = new.github.create_repository("acme", "infra", files={"README.md": "# infra\n"}, installed=False)
        set_up(new, browser)
        browser.click("Install trackside-of-acme on GitHub")
        wait_until(lambda: new.answers("/readyz") == 200, "the web process has its App")
        browser.send(1, which="all")
        assert "acme/infra" in browser.words
        assert new.answers("/setup") == 404

        repo.set_permission("alice", "write")
        settings = get_settings(new.environ, database_url)
        with open_control(settings, database_url, now=new.github.clock.now) as plane:
            world = World(new.github, new.served, plane, new.environ, tmp_path, new.url)
            files = {".trackside/stacks.yml": STACKS, "app/main.tf": TERRAFORM}
            sha = repo.push(files=files, message="First stack", author="alice")
            world.expect_state(RunState.UNCONFIRMED)
            world.expect_check(repo, sha, "deploy/app", "action_required")
            assert [row[0] for row in world.sql("SELECT command FROM audit")] == ["setup trackside-of-acme of acme"]
            kept = str(world.sql("SELECT app_credentials::text FROM app_credentials"))

        assert settings.github_private_key.reveal() == new.github.private_key_pem
        pem = new.github.private_key_pem.splitlines()[1]
        for canary in (pem, new.github.webhook_secret, new.github.app.client_secret, pem.encode().hex()):
            assert canary not in new.log
            assert canary not in kept
        assert "which set-up in the browser stored" in new.type("doctor")
        assert "is set up: trackside-of-acme, of acme" in new.type("setup")
        assert "trackside-of-acme is forgotten" in new.type("setup", "--reset", "--yes")
        assert "nothing to forget" in new.type("setup", "--reset", "--yes")
        assert f"open {new.url}/setup and give the code" in new.type("setup")
