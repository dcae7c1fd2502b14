"""A web process of the product alone, over the stand-in GitHub, and a store to put runs in front of it.

For what is measured about claims: no jobs, no worker, no engine. A "worker" is a call of the protocol.
"""

import base64
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from app.core.event import Repository
from app.core.names import ConfigVersionId, Digest, InstallationId, RepositoryId, Sha
from app.core.record import ConfigVersion
from app.core.run import Run, RunState
from app.core.stack import Stack, StackSettings, StackSpec
from app.demo import free_port
from app.sandbox import SandboxGitHub, serve_in_thread
from app.store.migrations import migrate
from app.store.postgres import PostgresStore
from app.store.url import conninfo
from tests.benchmarks.processes import Server, child_env, running
from tests.database import KEY, made_database, made_store
from tests.store.world import CONFIG, HEAD, run_of

POOL_TOKEN = "a-token-of-the-default-pool"
COPIES = """
INSERT INTO runs SELECT (jsonb_populate_record(made, jsonb_build_object(
    'id', 'OLD' || n, 'created_at', made.created_at - n * interval '1 second',
    'head_sha', lpad(to_hex(n), 40, '0'), 'source_sha', lpad(to_hex(n), 40, '0')
))).* FROM runs made, generate_series(2, %(count)s) n WHERE made.stack_id = %(stack)s
"""
"""One run again and again, each a second older and of a commit of its own."""


@dataclass(frozen=True, slots=True)
class Plane:
    """The web process, its database, and one repository with stacks."""

    web: Server
    store: PostgresStore
    database: "psycopg.Connection[tuple[object, ...]]"
    repository: Repository

    @property
    def url(self) -> str:
        """Of the worker protocol."""
        return f"http://127.0.0.1:{self.web.port}/worker/v1"

    def add_stacks(self, count: int, prefix: str = "s") -> list[Stack]:
        """So many stacks."""
        settings = [StackSettings(name=f"{prefix}{number}", branch="main") for number in range(count)]
        with self.store.begin() as tx:
            return [tx.add_stack(self.repository.id, StackSpec(settings=one), CONFIG) for one in settings]

    def add_ready(self, stack: Stack) -> Run:
        """A run of the stack that waits for a worker, once this returns."""
        run = run_of(stack, state=RunState.READY)
        with self.store.begin() as tx:
            tx.add_run(run, event_key=None)
        return run

    def add_finished(self, count: int) -> None:
        """So many runs that have ended, each with the assignment that it had."""
        (stack,) = self.add_stacks(1, "history")
        with self.store.begin() as tx:
            tx.add_run(run_of(stack, state=RunState.FINISHED), event_key=None)
        self.database.execute(COPIES, {"count": count, "stack": stack.id})
        self.database.execute(
            "INSERT INTO assignments (id, run_id, stack_id, phase, fencing, worker, pool, token_hash, state_token_hash,"
            " is_state_read_only, lease_until, ended_at)"
            " SELECT 'A' || id, id, stack_id, 'plan', 1, 'old/1', 'default', 't', 's', false, created_at, created_at"
            " FROM runs WHERE stack_id = %s",
            (stack.id,),
        )
        self.settle()

    def settle(self) -> None:
        """What was written is on the disk and counted: its aftermath is not measured."""
        self.database.execute("VACUUM ANALYZE")
        self.database.execute("CHECKPOINT")

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """What the database answers."""
        return self.database.execute(statement.encode()).fetchall()

    def end(self, client: httpx.Client, assignment: dict[str, object]) -> None:
        """The worker says that the run has failed, so that its stack is free."""
        said = {"fencing": assignment["fencing"], "outcome": "failed", "reason": "measured"}
        headers = {"authorization": f"Bearer {assignment['token']}"}
        client.post(f"{self.url}/assignments/{assignment['id']}/result", json=said, headers=headers).raise_for_status()


@contextmanager
def open_plane(server_url: str) -> Iterator[Plane]:
    """A plane on a fresh database of that server; everything ends with the block."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-plane-")))
        url = stack.enter_context(made_database(server_url))
        migrate(url)
        github = SandboxGitHub(root / "github")
        repo = github.create_repository("acme", "infra", files={"README.md": "# infra\n"})
        served = stack.enter_context(serve_in_thread(github))
        store = stack.enter_context(made_store(url))
        database = stack.enter_context(psycopg.connect(conninfo(url), autocommit=True))
        repository = Repository(
            id=RepositoryId(repo.record.id),
            owner="acme",
            name="infra",
            default_branch="main",
            is_private=True,
            installation_id=InstallationId(github.installation("acme").id),
        )
        with store.begin() as tx:
            tx.save_repository(repository)
            tx.add_config_version(
                ConfigVersion(
                    id=ConfigVersionId(CONFIG),
                    repository_id=repository.id,
                    sha=Sha(HEAD),
                    digest=Digest("c" * 64),
                    is_valid=True,
                )
            )
        port = free_port()
        env = _environ(github, served.url, url, port, root)
        web = stack.enter_context(running(("app.cli", "web"), env, port=port, log_file=root / "web.log"))
        yield Plane(web, store, database, repository)


def _environ(github: SandboxGitHub, github_url: str, database_url: str, port: int, root: Path) -> dict[str, str]:
    return child_env(
        {
            "GITHUB_APP_ID": str(github.app.id),
            "GITHUB_PRIVATE_KEY": github.private_key_pem,
            "GITHUB_WEBHOOK_SECRET": github.webhook_secret,
            "GITHUB_API_URL": f"{github_url}/api",
            "GITHUB_SERVER_URL": github_url,
            "ALLOWED_ACCOUNTS": "acme",
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "PORT": str(port),
            "DATABASE_URL": database_url,
            "DATA_DIR": str(root / "data"),
            "ENCRYPTION_KEY": base64.b64encode(KEY).decode(),
            "WORKER_TOKENS": f"default={POOL_TOKEN}",
            "LOG_LEVEL": "warning",
        }
    )


def cpu_s(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
