"""A whole world for a journey: GitHub (the sandbox), Trackside (web, jobs, worker in threads) on a real database.

Tests speak in people's verbs: push, comment, press, settle, expect_check. Teardown fails on a request that no route
knew, a run left with a worker, or a delivery that was never carried out.
"""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn
from sqlalchemy import text

from app.core.plan import PlanSummary
from app.core.protocol import Assignment, ClaimRequest
from app.core.run import Run, RunState
from app.demo import free_port
from app.engine.tools import find_engine
from app.jobs import run_jobs
from app.sandbox import Repo, SandboxGitHub, Served, serve_in_thread
from app.sandbox.records import CheckRun, IssueComment
from app.serve import Tree
from app.settings import load_settings, load_worker_settings
from app.wiring import ControlPlane, open_control
from app.wiring_worker import open_worker
from tests.operator import operator

SETTLE_S = 60.0
SHARED = "shared"
"""The one folder of a world that isolated runs can read."""
POOL_TOKEN = "a-token-of-the-default-pool"
OWNER = "acme"


class HttpThread:
    """An ASGI application served on loopback by a thread."""

    def __init__(self, app: object, sock: socket.socket) -> None:
        config = uvicorn.Config(app, log_config=None, lifespan="auto", access_log=False)  # type: ignore[arg-type]
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [sock]}, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started, "the web process answers", 15)

    def stop(self) -> None:
        """Stop listening and wait for the thread."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(15)


def wait_until(
    is_true: Callable[[], bool], what: str, timeout_s: float = SETTLE_S, found: Callable[[], object] = lambda: ""
) -> None:
    """Wait for what the world itself brings about. Raises: AssertionError that names it, and what there is."""
    pause = threading.Event()
    end = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s:g} s in vain until {what}: {found()}")
        pause.wait(0.02)


@dataclass
class World:
    """GitHub and Trackside, and the people's verbs."""

    github: SandboxGitHub
    served: Served
    plane: ControlPlane
    environ: dict[str, str]
    root: Path
    url: str
    _stops: list[Callable[[], None]] = field(default_factory=list)

    # people
    def repository(self, files: Mapping[str, str] | None = None, name: str = "infra") -> Repo:
        """A repository of acme with the App installed; alice writes, bob reads. `files` come with the first push."""
        repo = self.github.create_repository(OWNER, name, files={"README.md": "# infra\n"})
        repo.set_permission("alice", "write")
        repo.set_permission("bob", "read")
        if files:
            self.push(repo, files, "First stacks")
        return repo

    def push(self, repo: Repo, files: Mapping[str, str | None], message: str, **how: object) -> str:
        """Alice pushes to the default branch (or `branch=`); the SHA."""
        branch = how.pop("branch", None)
        return repo.push(branch, files=files, message=message, author="alice", **how)  # type: ignore[arg-type]

    def land(self, repo: Repo, files: Mapping[str, str | None], message: str) -> tuple[int, str]:
        """Alice opens a pull request with a change and merges it; its number, and the default branch's new commit."""
        branch = f"change-{repo.record.next_number}"
        self.push(repo, files, message, branch=branch)
        number = repo.open_pull(branch, title=message, author="alice")
        return number, repo.merge_pull(number, by="alice", method="squash")

    def comment_on_commit(self, repo: Repo, sha: str, body: str, *, by: str = "alice") -> int:
        """Somebody comments on a commit, a few seconds after whatever is there was published; the comment's id."""
        self.github.clock.advance(2)
        return repo.comment_on_commit(sha, body, by=by).id

    def comment(self, repo: Repo, number: int, body: str, *, by: str = "alice") -> int:
        """Somebody comments on a pull request, seconds after whatever is there was published; the comment's id."""
        self.github.clock.advance(2)
        return repo.comment_on_pull(number, body, by=by).id

    def press(self, check: CheckRun, label: str, *, by: str = "alice") -> None:
        """Somebody presses a button of a check run."""
        repo = self.repo_of(check)
        repo.press(check, label, by=by)

    def repo_of(self, _check: CheckRun) -> Repo:
        """The one repository of most journeys."""
        return self.github.repo(f"{OWNER}/infra")

    def replies(self, repo: Repo, number: int) -> list[str]:
        """What the App answered in a pull request, oldest first: all but its own comment."""
        own = [one.id for one in self.own_comments(repo, number)]
        return [one.body for one in repo.comments(number) if one.by_app and one.id not in own]

    def own_comments(self, repo: Repo, number: int) -> list[IssueComment]:
        """The App's own comments on a pull request; there should be at most one."""
        return [one for one in repo.comments(number) if one.by_app and one.body.startswith("### Trackside")]

    def own_comment(self, repo: Repo, number: int) -> IssueComment:
        """The App's comment on a pull request, once everything has settled."""
        self.settle()
        (found,) = self.own_comments(repo, number)
        return found

    def remarks(self, repo: Repo, sha: str) -> list[str]:
        """What the App said on a commit, oldest first."""
        app = self.github.app.bot
        return [comment.body for comment in repo.commit_comments(sha) if comment.user is app]

    def page(self, path: str) -> str:
        """What somebody reads at that path of Trackside's own pages."""
        return httpx.get(f"{self.url}{path}", trust_env=False).raise_for_status().text

    def apply_by_hand(self, configuration: str, *words: str) -> None:
        """Somebody applies a configuration with an engine of their own, past Trackside."""
        folder = self.root / "by-hand"
        folder.mkdir(exist_ok=True)
        (folder / "main.tf").write_text(configuration)
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root), "CHECKPOINT_DISABLE": "1"}
        env["TF_CLI_CONFIG_FILE"] = os.devnull
        argv = find_engine("terraform", search_path=os.environ["PATH"]).argv
        for command in (["init"], ["apply", "-auto-approve", *words]):
            subprocess.run([*argv, *command, "-input=false"], cwd=folder, env=env, check=True, capture_output=True)

    def operate(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Somebody types `trackside ...` on the server."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root), **self.environ}
        return operator().type(words, env, stdin, 60)

    # waiting
    def settle(self) -> None:
        """Wait until nothing moves by itself any more: no delivery, no job, no run that a worker could take.

        People take their time in between: what the App has written to GitHub until now counts no more in its budget.
        """
        with self.plane.store.begin() as tx:
            tx._connection.execute(text("UPDATE budgets SET taken = '{}'"))
        self.github.wait_deliveries()
        wait_until(lambda: not self.unsettled(), "everything settles; still moving", found=self.unsettled)

    def wait_carried_out(self) -> None:
        """Wait until every delivery has been carried out, whatever follows from it."""
        self.github.wait_deliveries()
        wait_until(lambda: not self.sql(UNHEARD), "every delivery was carried out")

    def wait_for(self, state: RunState, stack: str = "") -> Run:
        """Wait until the newest run is in that state, whatever still has to be told of it."""
        wait_until(lambda: [run.state for run in self.runs(stack)][-1:] == [state], f"the run is {state.value}")
        return self.runs(stack)[-1]

    def unsettled(self) -> list[str]:
        """What still moves, in words."""
        return [str(row[0]) for row in self.sql(UNSETTLED)]

    def runs(self, stack: str = "") -> list[Run]:
        """The runs, oldest first."""
        found = [run for run in self.plane.store.list_recent_runs() if not stack or run.stack_name == stack]
        return found[::-1]

    def the_run(self, stack: str = "") -> Run:
        """The one run that there is (of that stack)."""
        (run,) = self.runs(stack)
        return run

    def expect_state(self, state: RunState, stack: str = "") -> Run:
        """The newest run, settled, in that state."""
        self.settle()
        run = self.runs(stack)[-1]
        assert run.state is state, f"run is {run.state.value}: {run.reason}\n{self.log(run)}"
        return run

    def expect_check(self, repo: Repo, sha: str, name: str, conclusion: str | None) -> CheckRun:
        """The newest check run of that name on the commit, with that conclusion (None: not completed)."""
        self.settle()
        check = repo.check_run(sha, name)
        assert check is not None, (
            f"no check {name} on {sha[:7]}; there are {[one.name for one in repo.check_runs(sha)]}"
        )
        assert check.conclusion == conclusion, (
            f"{name}: {check.status} {check.conclusion} {check.title}\n{check.summary}"
        )
        return check

    def summary(self) -> PlanSummary:
        """What the newest run's newest plan does."""
        run = self.runs()[-1]
        with self.plane.store.begin() as tx:
            found = tx.find_summary(run.id, run.plan_number)
        assert found is not None
        return found

    def log(self, run: Run) -> str:
        """The run's log."""
        return b"".join(chunk.text for chunk in self.plane.store.read_log(run.id)).decode()

    def delivery(self, event: str) -> tuple[str, str]:
        """Outcome and reason of the newest delivery of an event."""
        with self.plane.store.begin() as tx:
            row = tx._connection.execute(
                text("SELECT outcome, reason FROM deliveries WHERE event = :event ORDER BY received_at DESC LIMIT 1"),
                {"event": event},
            ).one()
        return row[0], row[1]

    def decision(self, sha: str, stack: str = "app", ref: str = "") -> tuple[str, str, str]:
        """Verdict, reason and note of the newest decision about a commit (of that ref, when it is named)."""
        self.settle()
        with self.plane.store.begin() as tx:
            row = tx._connection.execute(
                text(
                    "SELECT verdict, reason, note FROM decisions WHERE head_sha = :sha AND stack_name = :stack"
                    " AND ref LIKE '%' || :ref ORDER BY created_at DESC LIMIT 1"
                ),
                {"sha": sha, "stack": stack, "ref": ref},
            ).one()
        return row[0], row[1], row[2]

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        """Rows of a question to the database."""
        with self.plane.store.begin() as tx:
            return [tuple(row) for row in tx._connection.execute(text(statement)).all()]

    def is_answering(self) -> bool:
        """True when the web process is there, with everything that it needs."""
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def make_gate(self) -> Path:
        """A pipe outside of every run that a run can wait at: what reads it goes on when a test writes to it."""
        gate = self.root / SHARED / "gate"
        os.mkfifo(gate)
        gate.chmod(0o644)
        return gate

    def take(self, pool: str) -> Assignment:
        """A worker of that pool, by hand: the run that it gets."""
        given = self.plane.doors.work.claim(pool, ClaimRequest(worker="by hand"))
        assert isinstance(given, Assignment), given
        return given

    def start_worker(self, name: str = "first", **variables: str) -> Callable[[], None]:
        """A worker in a thread; what stops it."""
        settings = load_worker_settings(
            {
                "CONTROL_URL": self.url,
                "WORKER_TOKEN": POOL_TOKEN,
                "DATA_DIR": str(self.root / name),
                "ISOLATION": self.environ.get("ISOLATION", "auto"),
                "ISOLATION_READABLE": self.environ["ISOLATION_READABLE"],
                **variables,
            }
        )
        stop = threading.Event()
        worker = open_worker(settings, name=name, work_root=self.root / "runs")
        thread = threading.Thread(target=worker.run, args=(stop,), daemon=True)
        thread.start()

        def end() -> None:
            stop.set()
            thread.join(60)

        self._stops.append(end)
        return end

    def close(self) -> None:
        """End every thread."""
        for stop in reversed(self._stops):
            stop()


UNHEARD = "SELECT 'delivery ' || event FROM deliveries WHERE outcome = 'pending'"
UNSETTLED = """
SELECT 'delivery ' || event FROM deliveries WHERE outcome = 'pending'
UNION ALL SELECT 'report ' || kind || ' ' || subject FROM reports WHERE published < wanted
UNION ALL SELECT 'job ' || task_name FROM procrastinate_jobs WHERE task_name = 'renew' AND status IN ('todo', 'doing')
UNION ALL SELECT 'notice of run ' || run_id FROM notices
UNION ALL SELECT 'message to ' || target FROM messages WHERE outcome = 'pending'
UNION ALL SELECT 'run ' || stack_name || ' ' || state FROM runs
  WHERE state NOT IN ('queued', 'unconfirmed', 'pending_review',
    'finished', 'failed', 'stopped', 'canceled', 'discarded', 'skipped')
"""


@dataclass
class Restarts:
    """A web process that a test starts again with other variables, as an operator does; and jobs beside it, or not."""

    world: World
    _end: Callable[[], None] = lambda: None

    def start_web(self, **variables: str) -> None:
        """End the web process, if there is one, and start it with those variables."""
        self._end()
        opened = open_control(load_settings({**self.world.environ, **variables}), self.world.plane.database_url)
        plane = opened.__enter__()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", int(self.world.environ["PORT"])))
        http = HttpThread(plane.make_web(), sock)

        def end() -> None:
            http.stop()
            sock.close()
            opened.__exit__(None, None, None)

        self._end = end

    def close(self) -> None:
        """End the web process."""
        self._end()


@contextmanager
def open_restarts(root: Path, database_url: str, *, with_jobs: bool = True, **variables: str) -> Iterator[Restarts]:
    """A world without workers, whose web process is started by the test; ends with the block."""
    port = free_port()
    with open_quiet_world(root, database_url, port, variables) as world:
        restarts, stop = Restarts(world), threading.Event()
        jobs = threading.Thread(target=run_jobs, args=(world.plane.make_job_app, world.plane.tasks, stop), daemon=True)
        if with_jobs:
            jobs.start()
        try:
            restarts.start_web()
            yield restarts
        finally:
            world.close()
            stop.set()
            if with_jobs:
                jobs.join(30)
            restarts.close()


@contextmanager
def open_world(root: Path, database_url: str, **variables: str) -> Iterator[World]:
    """A world under a folder, on a fresh database, its parts in threads; ends with the block."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    with open_quiet_world(root, database_url, sock.getsockname()[1], variables) as world:
        plane = world.plane
        http = HttpThread(plane.make_web(), sock)
        stop = threading.Event()
        jobs = threading.Thread(target=run_jobs, args=(plane.make_job_app, plane.tasks, stop), daemon=True)
        jobs.start()
        world.start_worker()
        try:
            yield world
        finally:
            world.close()
            stop.set()
            jobs.join(30)
            http.stop()
            sock.close()


def strike(pids: Sequence[int], what: signal.Signals) -> list[int]:
    """Signal processes that were found a moment ago; those that it met alive.

    One may have ended since: each is stopped first, and what has not ended by then cannot any more. A strike that met
    none has to be tried again on what is found then.
    """
    met = []
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            if _stands_still(pid):
                os.kill(pid, what)
                met.append(pid)
    return met


def _stands_still(pid: int) -> bool:
    """True once a process that was told to stop has done so; False when it had ended."""
    wait_until(lambda: _state_of(pid) in "TZX", f"process {pid} stands still or has ended", 10)
    return _state_of(pid) == "T"


def _state_of(pid: int) -> str:
    """Linux' letter for what a process does; `X` for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return "X"


@dataclass(frozen=True, slots=True)
class Processes:
    """The parts of a world, each a process of its own, as `trackside serve` starts them and starts them again."""

    tree: Tree

    def pid(self, name: str) -> int:
        """The process of a part now: web, jobs or worker."""
        (part,) = (part for part in self.tree.parts if part.name == name)
        assert part.process is not None
        return part.process.pid

    def kill(self, name: str) -> None:
        """What an out-of-memory killer does to one of them."""
        os.kill(self.pid(name), signal.SIGKILL)


@contextmanager
def open_processes(root: Path, database_url: str, **variables: str) -> Iterator[tuple[World, Processes]]:
    """A world whose parts are processes under `serve`; ends with the block."""
    port = free_port()
    with open_quiet_world(root, database_url, port, variables) as world:
        environ = {"PATH": os.environ["PATH"], "HOME": str(root), **world.environ}
        tree, stop = Tree(load_settings(environ), environ, root / "log"), threading.Event()
        thread = threading.Thread(target=tree.run, args=(stop,), daemon=True)
        thread.start()
        try:
            wait_until(world.is_answering, "the web process answers")
            yield world, Processes(tree)
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive(), "a part did not end when it was told to"


@contextmanager
def open_quiet_world(root: Path, database_url: str, port: int, variables: Mapping[str, str]) -> Iterator[World]:
    """GitHub, the settings, and a control plane to look at; nothing of Trackside runs yet."""
    shared = root / SHARED
    shared.mkdir()
    shared.chmod(0o755)
    github = SandboxGitHub(root / "github")
    github.buttons_on_commits = True  # GitHub documents buttons in pull requests; commit pages may show them too
    url = f"http://127.0.0.1:{port}"
    with serve_in_thread(github) as served:
        github.webhook_url = f"{url}/webhooks/github"
        github.app.callback_urls = [f"{url}/login/callback"]
        environ = {
            "GITHUB_APP_ID": str(github.app.id),
            "GITHUB_PRIVATE_KEY": github.private_key_pem,
            "GITHUB_WEBHOOK_SECRET": github.webhook_secret,
            "GITHUB_API_URL": served.api_url,
            "GITHUB_SERVER_URL": served.url,
            "ALLOWED_ACCOUNTS": OWNER,
            "PORT": str(port),
            "PUBLIC_URL": url,
            "DATA_DIR": str(root / "data"),
            "DATABASE_URL": database_url,
            "WORKER_TOKENS": f"default={POOL_TOKEN}",
            "SWEEP_EVERY_S": "1",
            "COMMENT_EVERY_S": "0",
            "PROGRESS_AFTER_S": "2",
            "ISOLATION_READABLE": str(shared),
            **variables,
        }
        with open_control(load_settings(environ), database_url, now=github.clock.now) as plane:
            yield World(github, served, plane, environ, root, url)
    assert not github.unknown_requests, f"requests that no route knew: {github.unknown_requests}"
