"""`make demo` and `make sandbox`: a stand-in GitHub, the product beside it as `serve` runs it, and a demo repository.

The script does what people do, one after the other, and prints what GitHub shows them. Nothing is simulated but GitHub.
"""

import os
import random
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import httpx
from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from app.core.errors import UserError
from app.engine.process import run
from app.engine.tools import find_engine
from app.logs import set_up_logging
from app.sandbox import Repo, SandboxGitHub, serve_in_thread
from app.sandbox.records import CheckRun
from app.serve import Tree
from app.settings import load_settings

OWNER, NAME = "acme", "infrastructure"
PERSON = "alice"
STACKS = ("network", "app", "storage")
WAIT_S = 120.0
LATE_S = 6.0
LOWEST_PORT, HIGHEST_PORT = 20_000, 32_000
"""After so long its page is asked for the reason."""
_THROTTLED = re.compile(r'<p class="card">(The App has written to GitHub[^<]*)</p>')
MARKS = {"success": "[green]✔[/]", "failure": "[red]✘[/]", "action_required": "[yellow]●[/]", "neutral": "[dim]■[/]"}


@dataclass(frozen=True, slots=True)
class Stage:
    """What is on it: GitHub, its repository, the product's address, a console."""

    github: SandboxGitHub
    repo: Repo
    app_url: str
    console: Console
    log_file: Path
    tree: threading.Thread
    environ: Mapping[str, str]

    def say(self, text: str) -> None:
        """One sentence of the story."""
        self.console.print(f"\n[bold cyan]▸[/] [bold]{text}[/]")

    def wait(self, what: str, is_true: Callable[[], object]) -> None:
        """Wait with a spinner. Raises: UserError with the end of the log when it does not come."""
        start, is_told = time.monotonic(), False
        with self.console.status(f"[dim]{what}…[/]"):
            while not is_true():
                waited_s = time.monotonic() - start
                if waited_s > WAIT_S or not self.tree.is_alive():
                    raise UserError(f"waiting until {what}: it did not happen; the log says:\n{_tail(self.log_file)}")
                if waited_s > LATE_S and not is_told:
                    is_told = True
                    self._say_why_late()
                time.sleep(0.05)

    def _say_why_late(self) -> None:
        """Nothing when the page does not answer: what is waited for says more."""
        with suppress(httpx.HTTPError):
            for sentence in _THROTTLED.findall(httpx.get(self.app_url, trust_env=False).text):
                self.console.print(f"  [dim]Trackside's own page says why this takes a while: {sentence}[/]")

    def check(self, sha: str, stack: str, conclusion: str) -> CheckRun:
        """Wait for a stack's newest check run to conclude so."""
        self.wait(f"deploy/{stack} says {conclusion}", lambda: self._concluded(sha, stack, conclusion))
        found = self.repo.check_run(sha, f"deploy/{stack}")
        if found is None:
            raise UserError(f"reading the check run of {stack}: it is gone")
        return found

    def _concluded(self, sha: str, stack: str, conclusion: str) -> bool:
        found = self.repo.check_run(sha, f"deploy/{stack}")
        if found is not None and found.conclusion == "failure" != conclusion:
            raise UserError(f"deploy/{stack} concluded {found.conclusion}: {found.title}\n{found.summary}")
        return found is not None and found.conclusion == conclusion

    def show(self, check: CheckRun, *, with_changes: bool = True) -> None:
        """A check run, as a person reads it on GitHub; the list of changes left out when it was shown before."""
        parts = (check.summary, check.text) if with_changes else (check.summary,)
        body = "\n\n".join(part for part in parts if part)
        buttons = "  ".join(f"[reverse] {label} [/]" for label in self.repo.buttons(check))
        title = Text.assemble((f" {check.name} ", "bold"), f"· {check.title} ")
        self.console.print(
            Panel(Markdown(body or "", hyperlinks=False), title=title, title_align="left", subtitle=buttons)
        )

    def why(self, sha: str) -> str:
        """What `trackside why` says on the server."""
        return self.type("why", f"{OWNER}/{NAME}", sha)

    def type(self, *words: str, stdin: str = "") -> str:
        """What `trackside ...` answers on the server."""
        argv = [sys.executable, "-m", "app.cli", *words]
        done = run(argv, env=self.environ, stdin=stdin.encode())
        return (done.stdout + done.stderr).decode("utf-8", "replace").rstrip()

    def overview(self, sha: str) -> None:
        """All check runs of a commit in one table."""
        table = Table(title=f"checks of {sha[:7]}", title_justify="left", show_header=False, box=None, padding=(0, 2))
        for check in sorted(self.repo.check_runs(sha), key=lambda one: one.name):
            table.add_row(MARKS.get(check.conclusion or "", "[blue]○[/]"), check.name, Text(check.title or ""))
        self.console.print(table)

    def merge(self, title: str, files: dict[str, str | None]) -> tuple[int, str]:
        """A pull request, opened by alice and merged; its number and the commit on main."""
        branch = title.lower().replace(" ", "-")[:40]
        self.repo.push(branch, files=files, message=title, author=PERSON)
        number = self.repo.open_pull(branch, title=title, author=PERSON)
        return number, self.repo.merge_pull(number, by=PERSON)


def run_demo() -> int:
    """The story, unattended; the exit code."""
    console = Console(highlight=False)
    started = time.monotonic()
    with _open_stage(console, port=0) as stage:
        _tell(stage)
        took_s = time.monotonic() - started
        _close(stage, took_s)
    return 0


def run_sandbox(port: int) -> int:
    """The same world, left running until Ctrl-C; the exit code."""
    console = Console(highlight=False)
    with _open_stage(console, port=port) as stage:
        url = f"{stage.github.server_url}/{OWNER}/{NAME}"
        stage.repo.push(files=demo_files(), message="Three stacks", author=PERSON)
        console.print(
            Panel(
                f"[bold]GitHub (the sandbox)[/]  {url}\n"
                f"[bold]Trackside[/]             {stage.app_url}\n\n"
                f"Clone and push:  git clone {stage.github.server_url.replace('://', f'://{PERSON}:TOKEN@')}/{OWNER}/{NAME}.git\n"
                f"alice's token:   {stage.github.user(PERSON).token}\n"
                f"Log:             {stage.log_file}\n\n"
                "Edit a file on the repository's page, look at the commit's checks, press\n"
                "their buttons. Or log in on Trackside's pages, and decide there: as alice,\n"
                "who may do everything, or as bob, who may read.\n"
                "Ctrl-C ends everything; nothing is kept.",
                title=" it runs ",
                title_align="left",
            )
        )
        _until_interrupted(stage)
    return 0


def _tell(stage: Stage) -> None:
    """The main job, from push to applied, then the ways beside it."""
    second = _tell_main_job(stage)
    _tell_part(stage)
    _tell_proof(stage, second)
    stage.say("a tag is pushed: no policy tracks tags, so nothing runs, and the record says why")
    stage.repo.tag("v1.1.0", second, by=PERSON)
    stage.github.wait_deliveries()
    stage.console.print(f"  [dim]$ trackside why {OWNER}/{NAME} {second[:7]}…[/]")
    stage.wait("the record names the tag", lambda: "v1.1.0" in stage.why(second))
    stage.console.print(stage.why(second), markup=False)


def _tell_main_job(stage: Stage) -> str:
    """Plans, confirmed by button and by comment; the last commit that was applied."""
    stage.say(
        "alice merges a pull request that brings three stacks: each gets a tracked run, planned by real Terraform"
    )
    number, first = stage.merge("Three stacks", dict(demo_files()))
    for stack in STACKS:
        stage.check(first, stack, "action_required")
    stage.overview(first)
    plan = stage.check(first, "network", "action_required")
    stage.show(plan)

    stage.say("she presses Confirm on deploy/network: exactly that plan is applied, and the result is a deployment")
    stage.repo.press(plan, "Confirm", by=PERSON)
    stage.show(stage.check(first, "network", "success"), with_changes=False)
    stage.wait("the deployment stands", lambda: _deployment(stage, first, "network") == "success")
    stage.console.print(f"  deployment to [bold]network[/]: {_deployment(stage, first, 'network')}")

    stage.say(f"the other two are confirmed by a comment on pull request #{number}")
    _comment(stage, number, "/trackside confirm app\n/trackside confirm storage")
    for stack in ("app", "storage"):
        stage.check(first, stack, "success")
    stage.overview(first)

    stage.say("a change with a create, an update, a replace and a delete: read it before you confirm it")
    number, second = stage.merge("Release 1.1.0", _release())
    stage.show(stage.check(second, "app", "action_required"))
    stage.say("confirmed by a comment")
    _comment(stage, number, "/trackside confirm")
    stage.show(stage.check(second, "app", "success"), with_changes=False)
    return second


def _tell_part(stage: Stage) -> None:
    """A part of a plan is applied, and the rest by a deploy command, which is discarded."""
    stage.say("one more change; alice wants only the bigger cache of it today, and replans that part")
    number, third = stage.merge("Release 1.2.0", _next_release())
    before = stage.check(third, "app", "action_required")
    _comment(stage, number, "/trackside replan app only 1")
    stage.wait("plan 2 stands", lambda: _is_newer(stage, third, before))
    stage.show(stage.check(third, "app", "action_required"))
    stage.wait("the App's comment shows plan 2 as well", lambda: _shows_plan_2(stage, number))
    _comment(stage, number, "/trackside confirm app")
    stage.say("the part is applied; its check says what of the whole plan is still pending, and what does it")
    before = stage.check(third, "app", "success")
    stage.show(before, with_changes=False)
    stage.say("she asks for the rest with a deploy command, reads it, and discards it: nothing of that is applied")
    _comment(stage, number, "/trackside deploy app")
    stage.wait("the rest is planned", lambda: _is_newer(stage, third, before))
    _comment(stage, number, "/trackside discard app not before the weekend")
    stage.show(stage.check(third, "app", "neutral"), with_changes=False)


def _tell_proof(stage: Stage, sha: str) -> None:
    """The signed statement of an apply is fetched, and verified with the public key alone."""
    stage.say("every apply leaves a signed statement; it verifies with the public key alone")
    found = stage.repo.check_run(sha, "deploy/app")
    run_id = (found.external_id if found is not None else "").partition("/")[0]
    keys = stage.log_file.with_name("keys.json")
    keys.write_text(stage.type("attestation", "key"), encoding="utf-8")
    stage.console.print(
        f"  [dim]$ trackside attestation show {run_id} | trackside attestation verify - --key keys.json[/]"
    )
    said = stage.type("attestation", "verify", "-", "--key", str(keys), stdin=stage.type("attestation", "show", run_id))
    if not said.startswith("verified: "):
        raise UserError(f"verifying the attestation of run {run_id}: {said}")
    stage.console.print(said, markup=False)


def _close(stage: Stage, took_s: float) -> None:
    count = len(stage.github.requests)
    if stage.github.unknown_requests:
        raise UserError(f"the sandbox was asked for routes that it does not have: {stage.github.unknown_requests}")
    stage.console.print(
        Panel(
            f"That was the main job, in {took_s:.0f} s and {count} GitHub API requests.\n"
            "Nothing was simulated but GitHub.\n\n"
            "Next:  [bold]make sandbox[/]   the same world, left running, with pages to click through\n"
            "       [bold]README.md[/]      how to run it on your GitHub\n"
            "       [bold]docs/[/]          how it is built",
            title=" done ",
            title_align="left",
        )
    )


def _comment(stage: Stage, number: int, body: str) -> None:
    """Say it the way a person does: after having read what is there, so at least a second later."""
    stage.github.clock.advance(2)
    stage.console.print(f"  [dim]alice on #{number}:[/] {body.replace(chr(10), ' ⏎ ')}")
    stage.repo.comment_on_pull(number, body, by=PERSON)


def _is_newer(stage: Stage, sha: str, before: CheckRun) -> bool:
    found = stage.repo.check_run(sha, before.name)
    return found is not None and found.id != before.id and found.conclusion == "action_required"


def _shows_plan_2(stage: Stage, number: int) -> bool:
    """Until then a command there could mean the plan before, and is refused."""
    return any(one.by_app and "plan 2" in one.body for one in stage.repo.comments(number))


def _deployment(stage: Stage, sha: str, environment: str) -> str:
    found = [one for one in stage.repo.deployments(environment=environment) if one.sha == sha]
    return found[0].state if found else "none"


def demo_files() -> dict[str, str]:
    """The demo repository. Shape: path to text."""
    root = resources.files("app.sandbox").joinpath("demo_repository")
    with resources.as_file(root) as folder:
        return {
            str(path.relative_to(folder)): path.read_text("utf-8")
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


def _release() -> dict[str, str | None]:
    text = demo_files()["infra/app/main.tf"]
    text = text.replace('"1.0.0"', '"1.1.0"').replace('["v1"]', '["v2"]')
    start = text.index('resource "terraform_data" "legacy_worker"')
    end = text.index("output", start)
    cache = 'resource "terraform_data" "cache" {\n  input = { engine = "valkey", nodes = 3 }\n}\n\n'
    return {"infra/app/main.tf": text[:start] + cache + text[end:]}


def _next_release() -> dict[str, str | None]:
    text = _release()["infra/app/main.tf"] or ""
    return {"infra/app/main.tf": text.replace('"1.1.0"', '"1.2.0"').replace("nodes = 3", "nodes = 5")}


@contextmanager
def _open_stage(console: Console, *, port: int) -> Iterator[Stage]:
    """Start GitHub and the product's process tree in a folder of their own, and end them with the block."""
    engine = find_engine(
        "terraform",
        terraform_bin=os.environ.get("TERRAFORM_BIN", ""),
        tofu_bin=os.environ.get("TOFU_BIN", ""),
        search_path=os.environ.get("PATH", os.defpath),
    )
    root = Path(tempfile.mkdtemp(prefix="trackside-sandbox-"))
    root.chmod(0o711)  # the embedded database passes through when it runs under an account of its own
    log_file = root / "trackside.log"
    stop = threading.Event()
    try:
        github = SandboxGitHub(root / "github")
        github.buttons_on_commits = True  # GitHub documents buttons in pull requests; commit pages may show them too
        with serve_in_thread(github, port=port) as served:
            app_port = free_port()
            app_url = f"http://localhost:{app_port}"
            github.webhook_url = f"http://127.0.0.1:{app_port}/webhooks/github"
            github.app.callback_urls = [f"{app_url}/login/callback"]
            environ = _environ(github, served.url, root, app_port)
            failed: list[BaseException] = []
            tree = threading.Thread(target=_grow, args=(environ, log_file, stop, failed), name="tree")
            tree.start()
            try:
                repo = _repository(github)
                stage = Stage(github, repo, app_url, console, log_file, tree, environ)
                with console.status("[dim]starting the database, the web, the jobs and a worker…[/]"):
                    _await_answer(app_port, tree, failed, log_file)
                console.print(f"[dim]GitHub's stand-in at {served.url}, Trackside at {app_url}, {engine.label}[/]")
                yield stage
            finally:
                stop.set()
                tree.join(60)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _environ(github: SandboxGitHub, github_url: str, root: Path, port: int) -> dict[str, str]:
    """What `serve` reads: nothing of it comes from outside but where programs are found."""
    passed = {name: os.environ[name] for name in ("PATH", "HOME", "TERRAFORM_BIN", "TOFU_BIN") if name in os.environ}
    return passed | {
        "GITHUB_APP_ID": str(github.app.id),
        "GITHUB_PRIVATE_KEY": github.private_key_pem,
        "GITHUB_WEBHOOK_SECRET": github.webhook_secret,
        "GITHUB_CLIENT_ID": github.app.client_id,
        "GITHUB_CLIENT_SECRET": github.app.client_secret,
        "GITHUB_API_URL": f"{github_url}/api",
        "GITHUB_SERVER_URL": github_url,
        "ALLOWED_ACCOUNTS": OWNER,
        "PUBLIC_URL": f"http://localhost:{port}",
        "PORT": str(port),
        "DATA_DIR": str(root / "data"),
        "LOG_LEVEL": "info",
        "WORKER_CONCURRENCY": "2",
    }


def _grow(environ: dict[str, str], log_file: Path, stop: threading.Event, failed: list[BaseException]) -> None:
    try:
        settings = load_settings(environ)
        set_up_logging("error")
        Tree(settings, environ, log_file=log_file).run(stop)
    except BaseException as error:
        failed.append(error)


def _repository(github: SandboxGitHub) -> Repo:
    for person in (PERSON, "bob"):
        github.create_user(person)
    repo = github.create_repository(OWNER, NAME, files={"README.md": demo_files()["README.md"]})
    repo.set_permission(PERSON, "admin")
    repo.set_permission("bob", "read")
    return repo


def _await_answer(port: int, tree: threading.Thread, failed: list[BaseException], log_file: Path) -> None:
    end = time.monotonic() + WAIT_S
    while True:
        if failed:
            raise UserError(f"starting Trackside: {failed[0]}") from failed[0]
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            pass
        if time.monotonic() > end or not tree.is_alive():
            raise UserError(f"starting Trackside: it does not answer; the log says:\n{_tail(log_file)}")
        time.sleep(0.05)


def free_port() -> int:
    """A TCP port of loopback that nobody has now.

    Below those that the kernel gives to connections, so that none takes it before its server does. Raises OSError when
    a hundred tries found none.
    """
    for _ in range(100):
        port = random.randrange(LOWEST_PORT, HIGHEST_PORT)  # noqa: S311 - which one is no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("finding a free port on 127.0.0.1: a hundred were taken")


def _tail(path: Path) -> str:
    return "\n".join(path.read_text("utf-8", "replace").splitlines()[-30:]) if path.exists() else "(nothing)"


def _until_interrupted(stage: Stage) -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(1):
        if not stage.tree.is_alive():
            sys.exit(f"Trackside ended:\n{_tail(stage.log_file)}")
