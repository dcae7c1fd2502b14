"""Trouble at an exact moment: a run is held in one state by a lock in the database, something is killed, the run is let
go, and afterwards everything that was promised is held against what is there.

The stack's one resource calls a server of the test with the number of its push each time it is applied, from inside its
box: a second apply of one push would be a second call.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
import pytest
from psycopg import sql

from app.core.run import Run, RunState
from app.sandbox import Repo
from app.store.embedded import EmbeddedPostgres
from app.store.url import conninfo
from tests.driver import Processes, World, open_processes, strike, wait_until

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

STACKS: Final = "version: 1\nstacks:\n  - {name: app, project_root: app}\n"
CODE: Final = """
locals {{ many = sum(flatten([for a in range(220) : [for b in range(220) : a * b]])) }}
resource "terraform_data" "line" {{
  triggers_replace = [{number}, local.many]
  provisioner "local-exec" {{ command = "git ls-remote '{url}/{number}' 2>/dev/null; sleep 0.6" }}
}}
"""
"""Takes about a second to plan, and longer than half a second to apply. git is the one client that every worker has."""
CLAIMED: Final = (RunState.READY, RunState.CONFIRMED, RunState.REPLAN_REQUESTED)
"""States that end with a worker's claim: held by holding assignments back."""
BEFORE_PLAN: Final = (RunState.READY, RunState.PREPARING, RunState.INITIALIZING, RunState.PLANNING)
REPLANNING: Final = (RunState.REPLAN_REQUESTED, RunState.PREPARING_REPLAN)
APPLYING: Final = (RunState.CONFIRMED, RunState.PREPARING_APPLY, RunState.APPLYING)
EVERY_STATE: Final = (*BEFORE_PLAN, RunState.UNCONFIRMED, *REPLANNING, *APPLYING)


def often_in(*often: RunState) -> "list[ParameterSet]":
    """Every state; those that are not named are left to `make chaos`."""
    rare = pytest.mark.rare
    return [pytest.param(state, id=state.value, marks=() if state in often else rare) for state in EVERY_STATE]


ENDS: Final = {
    RunState.FINISHED: "success",
    RunState.FAILED: "failure",
    RunState.DISCARDED: "neutral",
    RunState.CANCELED: "neutral",
}


@dataclass
class Machine:
    """Trackside as processes, its repository, and the server that counts applies."""

    world: World
    processes: Processes
    database_url: str
    repo: Repo
    counter: "Counter"
    pushes: int = 0

    # what people do
    def push(self) -> str:
        """Another number for the resource; the SHA."""
        self.pushes += 1
        code = CODE.format(number=self.pushes, url=self.counter.url)
        return self.world.push(self.repo, {"app/main.tf": code}, f"Number {self.pushes}")

    def say(self, sha: str, words: str) -> None:
        """Alice comments on the commit, once its plan stands there."""
        self.world.expect_check(self.repo, sha, "deploy/app", "action_required")
        self.world.comment_on_commit(self.repo, sha, f"/trackside {words}")

    def run_of(self, sha: str) -> Run | None:
        """The newest run of a commit."""
        return next((run for run in self.world.runs("app")[::-1] if run.head_sha == sha), None)

    # trouble
    def _in_trouble_after(self, state: RunState, trouble: Callable[[Run], object], begin: Callable[[], str]) -> str:
        """Do `begin` (its SHA), hold the commit's run in that state, make trouble, and let it go on.

        Raises: AssertionError when the state was over before it could be held.
        """
        url = conninfo(self.database_url)
        with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as watcher:
            if state in CLAIMED:
                _hold(holder, "assignments")
            sha = begin()
            _watch(watcher, sha, state)
            if state not in CLAIMED:
                _hold(holder, "run_steps")
            run = self.run_of(sha)
            assert run is not None
            assert run.state is state, f"the run is {run.state.value} already"
            trouble(run)
            with suppress(psycopg.OperationalError):  # the trouble may have been the database's own
                holder.rollback()
        return sha

    def kill(self, *names: str) -> None:
        """kill -9 of parts, and wait until others have taken their places."""
        before = {name: self.processes.pid(name) for name in names}
        for name in names:
            self.processes.kill(name)
        wait_until(
            lambda: all(self.processes.pid(name) != before[name] for name in names), f"{', '.join(names)} came back"
        )

    def kill_engine(self, word: str, phase: str) -> str:
        """A push whose engine is killed while it does that (`init`, `plan`, `apply`): of its first plan, or of what was
        said afterwards (`replan`, `confirm`); the SHA."""
        self._clear()
        worker = self.processes.pid("worker")
        sha = self.push()
        if phase:
            self.say(sha, phase)
        pause, end = threading.Event(), time.monotonic() + 60
        while not strike(engines(worker, word), signal.SIGKILL):
            assert time.monotonic() < end, f"the engine never did {word}"
            pause.wait(0.002)
        return sha

    def through(self, state: RunState, trouble: Callable[[Run], object]) -> str:
        """A push whose run goes all the way, with trouble in one state; the SHA. Who confirms does so in any case."""
        self._clear()
        if state in BEFORE_PLAN:
            sha = self._in_trouble_after(state, trouble, self.push)
            return self._confirmed(sha)
        sha = self.push()
        self.world.expect_check(self.repo, sha, "deploy/app", "action_required")
        if state is RunState.UNCONFIRMED:
            self._in_trouble_after(state, trouble, lambda: sha)
            return self._confirmed(sha)
        if state in REPLANNING:
            self._in_trouble_after(state, trouble, lambda: self._said(sha, "replan"))
            return self._confirmed(sha)
        self._in_trouble_after(state, trouble, lambda: self._said(sha, "confirm"))
        return sha

    def _said(self, sha: str, words: str) -> str:
        self.world.comment_on_commit(self.repo, sha, f"/trackside {words}")
        return sha

    def _clear(self) -> None:
        """Take away what a case that failed has left: each begins with a stack that is free."""
        wait_until(self.world.is_answering, "the web process is back")
        self.world.settle()
        for run in self.world.runs("app"):
            if run.state is RunState.UNCONFIRMED:
                self.world.operate("discard", run.id)
        for (stack_id,) in self.world.sql("SELECT id FROM stacks WHERE hold_reason <> ''"):
            self.world.operate("unlock", str(stack_id))
        self.world.settle()

    def _confirmed(self, sha: str) -> str:
        """Confirm the commit's plan, unless the run ended in the trouble."""
        wait_until(self.world.is_answering, "the web process is back")
        self.world.settle()
        run = self.run_of(sha)
        assert run is not None, "the push was lost"
        if run.state is RunState.UNCONFIRMED:
            self.say(sha, "confirm")
        return sha

    # promises
    def expect_end(self, sha: str, *states: RunState) -> Run:
        """The commit's run, settled, in one of those ends; everything else about it as promised."""
        wait_until(self.world.is_answering, "the web process is back")
        self.world.settle()
        run = self.run_of(sha)
        assert run is not None, "the push was lost"
        assert run.state in states, f"{run.state.value}: {run.reason}\n{self.world.log(run)}"
        self._require_single_apply(sha, run)
        self._require_true_check(sha, run)
        assert self.world.sql("SELECT id FROM assignments WHERE ended_at IS NULL") == []
        locks = self.world.sql("SELECT stack_id FROM state_locks")
        assert locks == [] or run.is_outcome_unknown, "a state lock was left behind"
        return run

    def free(self, run: Run) -> None:
        """A person takes the hold away that an unknown outcome left."""
        unlocked = self.world.operate("unlock", run.stack_id)
        assert unlocked.returncode == 0, unlocked.stderr

    def _require_single_apply(self, sha: str, run: Run) -> None:
        lines = self.counter.calls.count(str(self.pushes))
        assert lines == 1 if run.state is RunState.FINISHED else lines <= 1, f"applied {lines} times"
        (begun,) = self.world.sql(
            f"SELECT count(*) FROM run_steps WHERE step = 'apply' AND run_id = '{run.id}'"  # noqa: S608 - our own id
        )
        assert begun == ((1,) if run.state is RunState.FINISHED else (lines,)) or not lines

    def _require_true_check(self, sha: str, run: Run) -> None:
        check = self.repo.check_run(sha, "deploy/app")
        assert check is not None
        assert (check.status, check.conclusion) == ("completed", ENDS[run.state]), check.title
        segments = [one.external_id for one in self.repo.check_runs(sha, latest=False) if one.name == "deploy/app"]
        assert len(segments) == len(set(segments)), f"posted twice: {segments}"


@contextmanager
def open_machine(root: Path, database_url: str, **variables: str) -> Iterator[Machine]:
    """A machine whose stack was applied once; ends with the block."""
    with open_processes(root, database_url, **variables) as (world, processes):
        repo = world.repository({".trackside/stacks.yml": STACKS})
        with counting() as counter:
            made = Machine(world, processes, database_url, repo, counter)
            sha = made.push()
            made.say(sha, "confirm")
            made.expect_end(sha, RunState.FINISHED)
            yield made


@dataclass(frozen=True, slots=True)
class Counter:
    """What was called, in order."""

    url: str
    calls: list[str]


@contextmanager
def counting() -> Iterator[Counter]:
    """A server on loopback that has no repository, and notes which one it was asked for."""
    calls: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Note it."""
            calls.append(self.path.split("/")[1])
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Counter(f"http://127.0.0.1:{server.server_port}", calls)
        server.shutdown()


def engines(worker: int, word: str) -> list[int]:
    """The engine's own processes below a worker's that were given that word, also those in boxes."""
    parents: dict[int, int] = {}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            argv = (folder / "cmdline").read_bytes().split(b"\0")
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:
            continue
        if argv[0].endswith((b"/terraform", b"/tofu")) and word.encode() in argv:
            found.append(int(folder.name))
    return [pid for pid in found if worker in _ancestors(pid, parents)]


def _ancestors(pid: int, parents: Mapping[int, int]) -> list[int]:
    line = []
    while pid in parents:
        pid = parents[pid]
        line.append(pid)
    return line


def _hold(connection: psycopg.Connection[tuple[object, ...]], table: str) -> None:
    """Let nobody write into a table until this connection's transaction ends."""
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier(table)))


def _watch(connection: psycopg.Connection[tuple[object, ...]], sha: str, state: RunState) -> None:
    """Return as soon as the newest run of a commit is in that state."""
    pause, end = threading.Event(), time.monotonic() + 60
    question = "SELECT state FROM runs WHERE head_sha = %s ORDER BY created_at DESC LIMIT 1"
    while time.monotonic() < end:
        row = connection.execute(question, (sha,)).fetchone()
        if row is not None and row[0] == state.value:
            return
        pause.wait(0.001)
    raise AssertionError(f"the run never was {state.value}")


def kill_server(server: EmbeddedPostgres) -> None:
    """kill -9 of a PostgreSQL server, with all of its processes."""
    pid = int((server.data / "postmaster.pid").read_text().split("\n", 1)[0])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in (pid, *map(int, children)):
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), "the server is gone")


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except OSError:
        return True
