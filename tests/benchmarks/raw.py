"""The floor under a plan on a commit: git fetch, checkout, terraform init, plan, show, one after the other, by hand.

The same engine, the same environment, and a state that is kept over HTTP with locks, as managed state is: by a server
that does nothing but answer.
"""

import base64
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter

from app.core.names import Secret
from app.engine.environment import ManagedState, engine_env, state_env, write_cli_config
from app.engine.process import base_env
from app.engine.tools import Engine

BACKEND = 'terraform {\n  backend "http" {}\n}\n'
PHASES = ("fetch", "checkout", "init", "plan", "show")


class EmptyState(BaseHTTPRequestHandler):
    """A state server that has no state and grants every lock."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", "0")))
        self.send_response(404 if self.command == "GET" else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST = do_LOCK = do_UNLOCK = _answer  # noqa: N815 - the names that the library looks for

    def log_message(self, format: str, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def empty_state() -> Iterator[str]:
    """The address of a state server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), EmptyState)
    thread = threading.Thread(target=server.serve_forever, name="state", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/state"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@dataclass(frozen=True, slots=True)
class Raw:
    """Where the sequence works, and with what."""

    root: Path
    engine: Engine
    state_address: str

    def plan(self, url: str, token: str, sha: str, *, project_root: str) -> dict[str, float]:
        """Plan a commit. Shape: phase to seconds. The mirror of a URL that was there before is warm."""
        mirror = self.root / f"{url.rpartition('/')[2]}"
        work = self.root / sha
        work.mkdir()
        git = self._git(token)
        took: dict[str, float] = {}

        def fetch() -> None:
            if not mirror.exists():
                _run(["git", "init", "--quiet", "--bare", str(mirror)], env=git, cwd=self.root)
            _run(["git", "fetch", "--quiet", "--no-tags", url, sha], env=git, cwd=mirror)

        def checkout() -> None:
            _run(["git", "worktree", "add", "--quiet", "--detach", str(work / "source"), sha], env=git, cwd=mirror)

        for phase, act in zip(PHASES, (fetch, checkout, *self._engine(work, project_root)), strict=True):
            start = perf_counter()
            act()
            took[phase] = perf_counter() - start
        return took

    def _engine(self, work: Path, project_root: str) -> tuple[Callable[[], None], ...]:
        """init, plan and show in the checkout."""
        for name in ("home", "tmp", "data"):
            (work / name).mkdir()
        write_cli_config(work / "home")
        env = engine_env(home=work / "home", tmp=work / "tmp", data_dir=work / "data", environment={})
        state = ManagedState(address=self.state_address, username="floor", password=Secret("floor"))
        env |= state_env(state)
        folder, plan_file = work / "source" / project_root, str(work / "plan")

        def terraform(*words: str, codes: tuple[int, ...] = (0,)) -> None:
            _run([*self.engine.argv, *words], env=env, cwd=folder, codes=codes)

        def init() -> None:
            (folder / "backend_override.tf").write_text(BACKEND)
            terraform("init", "-input=false", "-no-color")

        def plan() -> None:
            words = ("-json", "-input=false", "-detailed-exitcode", "-lock-timeout=60s", f"-out={plan_file}")
            terraform("plan", *words, codes=(2,))

        def show() -> None:
            terraform("show", "-json", plan_file)

        return init, plan, show

    def _git(self, token: str) -> dict[str, str]:
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        return base_env(self.root) | {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
        }


def _run(argv: list[str], *, env: Mapping[str, str], cwd: Path, codes: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run(argv, env=dict(env), cwd=cwd, capture_output=True, timeout=60, check=False)
    assert done.returncode in codes, f"{argv[:2]} exited {done.returncode}: {done.stderr.decode()[-1000:]}"
