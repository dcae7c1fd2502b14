"""The product as `serve` runs it (web, jobs and worker as processes) beside the stand-in GitHub, on a fresh database.

Gives measurements the people's verbs that they need, and the moments that the product itself wrote down.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from app.demo import free_port
from app.logs import set_up_logging
from app.sandbox import Repo, SandboxGitHub, serve_in_thread
from app.sandbox.records import CheckRun
from app.serve import Tree
from app.settings import load_settings
from app.store.url import conninfo
from tests.benchmarks.processes import answers, child_env
from tests.database import made_database

OWNER, PERSON, STACK = "acme", "alice", "app"
CHECK = f"deploy/{STACK}"
STACKS = f"version: 1\nstacks:\n  - name: {STACK}\n    project_root: {STACK}\n"
WAIT_S = 60.0

_BUSY = """
SELECT (SELECT count(*) FROM deliveries WHERE outcome = 'pending')
     + (SELECT count(*) FROM procrastinate_jobs
        WHERE status IN ('todo', 'doing') AND (scheduled_at IS NULL OR scheduled_at < clock_timestamp()))
"""

_WITH_WORKER = """
SELECT (SELECT count(*) FROM runs WHERE state NOT IN ('queued', 'unconfirmed', 'finished', 'failed', 'discarded'))
     + (SELECT count(*) FROM assignments WHERE ended_at IS NULL OR sealed_clone_token <> '')
"""


def stack_files(value: str) -> dict[str, str]:
    """The smallest stack. `value`: what its one resource holds."""
    return {f"{STACK}/main.tf": f'resource "terraform_data" "one" {{ input = "{value}" }}\n'}


@dataclass(frozen=True, slots=True)
class Product:
    """GitHub and the product."""

    github: SandboxGitHub
    database: "psycopg.Connection[tuple[object, ...]]"
    log_file: Path
    root: Path
    tree: Tree

    def worker_pid(self) -> int:
        """The worker's process now."""
        (part,) = (part for part in self.tree.parts if part.name == "worker")
        assert part.process is not None
        return part.process.pid

    def repository(self, name: str) -> Repo:
        """A repository without stacks, once the product has heard of it."""
        repo = self.github.create_repository(OWNER, name, files={"README.md": f"# {name}\n"})
        repo.set_permission(PERSON, "admin")
        self.settle()
        return repo

    def hold_push(self, repo: Repo, files: Mapping[str, str], message: str) -> str:
        """Alice pushes, and GitHub has not told anybody yet; the commit. `github.post.release()` tells."""
        self.settle()
        self.github.post.hold()
        return repo.push(files=files, message=message, author=PERSON)

    def wait_check(self, repo: Repo, sha: str, conclusion: str) -> CheckRun:
        """The stack's check run, as soon as it has that conclusion. Raises: AssertionError when it does not come."""
        found: list[CheckRun] = []
        seen = -1

        def has_concluded() -> bool:
            nonlocal seen
            if len(self.github.requests) == seen:
                return False
            seen = len(self.github.requests)
            check = repo.check_run(sha, CHECK)
            found[:] = [check] if check is not None and check.conclusion == conclusion else []
            return bool(found)

        self.wait(has_concluded, f"{CHECK} is {conclusion}", pause_s=0.001)
        return found[0]

    def settle(self) -> None:
        """Wait until no delivery and no job is under way."""
        self.github.wait_deliveries()
        self.wait(lambda: self.rows(_BUSY) == [(0,)], "nothing is under way", pause_s=0.02)

    def settle_runs(self) -> None:
        """Wait until no run is with a worker, and every clone token was given back."""
        self.wait(lambda: self.rows(_WITH_WORKER) == [(0,)], "no run is with a worker", pause_s=0.02)
        self.settle()

    def wait(self, is_true: Callable[[], bool], what: str, *, pause_s: float) -> None:
        """Wait for something. Raises: AssertionError with the end of the product's log."""
        end, pause = time.monotonic() + WAIT_S, threading.Event()
        while not is_true():
            log = self.log_file.read_text("utf-8", "replace")[-3000:] if time.monotonic() > end else ""
            assert not log, f"waited {WAIT_S:g} s in vain until {what}; the log says:\n{log}"
            pause.wait(pause_s)

    def rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """What the database answers."""
        return self.database.execute(statement.encode(), values or None).fetchall()

    def moments(self, sha: str) -> dict[str, datetime]:
        """When what happened to the one run of a commit, by the database's clock: `stored`, steps, `planned`."""
        found = self.rows(
            "SELECT step, run_steps.at FROM run_steps JOIN runs ON runs.id = run_id WHERE head_sha = %s"
            " UNION ALL SELECT 'planned', plans.created_at FROM plans JOIN runs ON runs.id = run_id WHERE head_sha = %s"
            " UNION ALL SELECT 'stored', received_at FROM deliveries"
            " WHERE event = 'push' AND convert_from(body, 'UTF8')::json->>'after' = %s ORDER BY 2",
            sha,
            sha,
            sha,
        )
        return {str(step): at for step, at in found if isinstance(at, datetime)}


@contextmanager
def open_product(server_url: str) -> Iterator[Product]:
    """A product on a fresh database of that server; everything ends with the block."""
    set_up_logging("error")
    with tempfile.TemporaryDirectory(prefix="bench-product-") as folder, made_database(server_url) as url:
        root = Path(folder)
        github = SandboxGitHub(root / "github")
        github.buttons_on_commits = True
        github.create_user(PERSON)
        with serve_in_thread(github) as served, psycopg.connect(conninfo(url), autocommit=True) as database:
            port = free_port()
            github.webhook_url = f"http://127.0.0.1:{port}/webhooks/github"
            environ = _environ(github, served.url, url, port) | {"DATA_DIR": str(root / "data")}
            log_file, stop = root / "product.log", threading.Event()
            tree = Tree(load_settings(environ), environ, log_file=log_file)
            thread = threading.Thread(target=tree.run, args=(stop,), name="tree")
            thread.start()
            product = Product(github, database, log_file, root, tree)
            try:
                product.wait(lambda: answers(port), "the web process answers", pause_s=0.05)
                yield product
            finally:
                stop.set()
                thread.join(60)
    assert not github.unknown_requests, f"requests that no route knew: {github.unknown_requests}"


def _environ(github: SandboxGitHub, github_url: str, database_url: str, port: int) -> dict[str, str]:
    given = {name: os.environ[name] for name in ("TERRAFORM_BIN", "TOFU_BIN") if name in os.environ}
    return child_env(
        given
        | {
            "GITHUB_APP_ID": str(github.app.id),
            "GITHUB_PRIVATE_KEY": github.private_key_pem,
            "GITHUB_WEBHOOK_SECRET": github.webhook_secret,
            "GITHUB_API_URL": f"{github_url}/api",
            "GITHUB_SERVER_URL": github_url,
            "ALLOWED_ACCOUNTS": OWNER,
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "PORT": str(port),
            "DATABASE_URL": database_url,
            "LOG_LEVEL": "info",
        }
    )
