"""Secrets stay in: planted wherever a run handles one, and looked for in everything that leaves it or is kept.

The places are read as somebody would who wants to find them: in clear, in base64 at each of its alignments, in hex, and
inside of archives.
"""

import base64
import gzip
import hashlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import zstandard
from sqlalchemy import select, table, text

from app.core.names import Secret
from app.core.run import RunState
from app.core.secret import read_scope
from app.sandbox import Repo
from tests.driver import World, open_world
from tests.receiver import Receiver, open_receiver

PASSWORD = "canary-8f1d2c7b90-password"
WRITER = "canary-5533aa0e17-writer"
DERIVED = hashlib.sha256(PASSWORD.encode()).hexdigest()
"""Known to nobody but the engine, which marks it: as an output, an attribute, and in the state."""
SIGNING = "canary-e0b7713c52-signs"
ADDRESS = "canary-91c4d6f8aa-address"
"""In the path of the endpoint: whoever knows it can post there."""
CANARIES = {
    "a secret variable": PASSWORD,
    "a secret of the apply": WRITER,
    "a value that the engine marks": DERIVED,
    "the key that signs webhooks": SIGNING,
    "the address of a webhook": ADDRESS,
}
STACKS = """
version: 1
stacks:
  - name: app
    project_root: app
    environment:
      TF_VAR_password: {secret: PASSWORD}
      wo_WRITER: {secret: WRITER}
    hooks:
      before_init: ['echo "hook $TF_VAR_password"; export COPIED="again $TF_VAR_password"']
      before_plan: ['echo "hook $COPIED"']
      before_apply: ['echo "hook $WRITER"; echo "$WRITER" | base64']
policies:
  - {name: tell, type: notification, path: tell.rego, attach: "*"}
"""
CODE = """
variable "password" {}
locals { derived = sensitive(sha256(var.password)) }
resource "terraform_data" "unmarked" { input = "NUMBER ${var.password}" }
resource "terraform_data" "marked" { input = "NUMBER ${local.derived}" }
resource "terraform_data" "loud" {
  triggers_replace = "NUMBER"
  provisioner "local-exec" { command = "echo said $TF_VAR_password; echo $WRITER; printf %s $TF_VAR_password | base64" }
}
output "unmarked" { value = "is ${var.password}" }
output "marked" {
  value     = local.derived
  sensitive = true
}
"""
BROKEN = """
check "never" {
  assert {
    condition     = var.password == "right"
    error_message = "warned ${var.password}"
  }
}
resource "terraform_data" "wrong" {
  lifecycle {
    precondition {
      condition     = var.password == "right"
      error_message = "not ${var.password}"
    }
  }
}
"""
TELL = """package trackside
import rego.v1
change := input.run_updated
slack contains {"message": sprintf("%v spacelift::logs::planning spacelift::logs::applying", [input])}
webhook contains {"endpoint_id": "ci", "payload": {"all": input, "logs": "trackside::logs::applying"}}
webhook contains {"endpoint_id": "ci", "payload": {"logs": "trackside::logs::planning trackside::logs::initializing"}}
inbox contains {"title": "all", "body": sprintf("%v spacelift::logs::applying", [input])}
pull_request contains {"id": change.run.commit.pull_request_id, "deduplication_key": "all", "body": body} if {
    change.run.commit.pull_request_id
    body := sprintf("%v\\n\\nspacelift::logs::planning", [input])
}
"""


def forms(value: str) -> set[bytes]:
    """Every way in which the value may lie somewhere."""
    plain = value.encode()
    found = {plain, plain.hex().encode(), plain.hex().upper().encode(), quote(value, safe="").encode()}
    for shift in range(3):  # what of its base64 is the same whatever stands before and after it
        coded = base64.b64encode(b"\0" * shift + plain)
        found.add(coded[(0, 2, 3)[shift] : (len(plain) + shift) * 8 // 6])
    return found


def unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes, and what is in them where they are an archive that needs no key."""
    yield data
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        yield zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from (archive.read(name) for name in archive.namelist())


@dataclass
class Search:
    """Places, and what was found in them."""

    found: list[str] = field(default_factory=list)
    places: int = 0

    def look(self, place: str, data: bytes | str) -> None:
        """Look for every canary in a place."""
        self.places += 1
        for piece in unpacked(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data):
            for name, value in CANARIES.items():
                for form in forms(value):
                    if form in piece:
                        at = piece.index(form)
                        self.found.append(f"{name} in {place}: {piece[max(0, at - 80) : at + 20]!r}")


class Watch:
    """Reads the command lines of all processes on this machine, and the environments of those that are no engine's, as
    long as the block lasts."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, bytes]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    self.seen.add(("a command line", (process / "cmdline").read_bytes()))
                    environment = (process / "environ").read_bytes()
                except OSError:  # it has ended, or is none of ours
                    continue
                if b"TF_IN_AUTOMATION=" not in environment:  # the engine, its hooks and their box have it by right
                    self.seen.add(("an environment", environment))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Who is told."""
    with open_receiver() as made:
        yield made


@pytest.fixture
def world(tmp_path: Path, database_url: str, receiver: Receiver) -> Iterator[World]:
    """A world whose Slack is the receiver; isolation as it is by default."""
    with open_world(tmp_path, database_url, SLACK_WEBHOOK_URL=f"{receiver.url}/slack") as made:
        yield made


def test_a_planted_secret_is_found_nowhere_outside(
    world: World, receiver: Receiver, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """In variables, hooks, state, provider output, plan and errors; not in checks, comments, pages, logs, database,
    processes, artifacts at rest, nor in what anybody is told."""
    repo = world.repository()
    with Watch() as watch:
        _plant(world, receiver)
        first = world.push(repo, _files(CODE.replace("NUMBER", "1")), "First")
        world.press(world.expect_check(repo, first, "deploy/app", "action_required"), "Confirm")
        world.expect_state(RunState.FINISHED)
        world.push(repo, {"app/main.tf": CODE.replace("NUMBER", "2")}, "Second", branch="second")
        number = repo.open_pull("second", title="Second", author="alice")
        previewed = world.expect_state(RunState.FINISHED)
        second = repo.merge_pull(number, by="alice", method="squash")
        world.expect_check(repo, second, "deploy/app", "action_required")
        world.comment(repo, number, "/trackside discard app")
        world.expect_state(RunState.DISCARDED)
        world.push(repo, {"app/main.tf": CODE.replace("NUMBER", "3") + BROKEN}, "Third")
        failed = world.expect_state(RunState.FAILED)

    applied = world.runs()[0]
    assert "said ***" in world.log(applied), "the provider's output was looked at"
    assert world.log(applied).count("hook ***") == 3, "and that of hooks"
    assert "not ***" in world.log(failed), "and errors"
    assert "(sensitive)" in world.page(f"/runs/{previewed.id}/changes"), "and a plan with what is marked"
    search = Search()
    _look_at_github(search, world, repo)
    _look_at_pages(search, world)
    _look_at_the_database(search, world)
    _look_at_files(search, world.root)
    for place, data in watch.seen:
        search.look(place, data)
    for one in receiver.received:
        search.look(f"what {one.path.split('/')[1]} was told", json.dumps(one.headers).encode() + one.body)
    captured = capfd.readouterr()
    search.look("the processes' output", captured.out + captured.err)
    search.look("the processes' log", caplog.text)
    assert search.found == []
    assert search.places > 200, "the places were there"


def _plant(world: World, receiver: Receiver) -> None:
    for name, value in (("PASSWORD", PASSWORD), ("WRITER", WRITER)):
        world.plane.secrets.set(name, read_scope("acme"), Secret(value), "root (on the server)")
    given = world.operate("webhook", "add", "ci", stdin=f"{receiver.url}/hook/{ADDRESS}\n{SIGNING}\n")
    assert given.returncode == 0, given.stderr
    assert ADDRESS not in given.stdout + world.operate("webhook", "list").stdout


def _files(code: str) -> dict[str, str]:
    return {".trackside/stacks.yml": STACKS, "tell.rego": TELL, "app/main.tf": code}


def _look_at_github(search: Search, world: World, repo: Repo) -> None:
    """Everything that the App has ever said there."""
    shas = {run.head_sha for run in world.runs()}
    for sha in shas:
        for check in repo.check_runs(sha, latest=False):
            told = f"{check.name} {check.title} {check.summary} {check.text} {check.annotations} {check.actions}"
            search.look(f"check {check.name}", told)
        for remark in world.remarks(repo, sha):
            search.look("a comment on a commit", remark)
    for pull in repo.record.pulls.values():
        for comment in pull.comments:
            search.look("a comment on a pull request", comment.body)
    for deployment in repo.record.deployments.values():
        search.look("a deployment", str(deployment))
    assert len(shas) == 4


def _look_at_pages(search: Search, world: World) -> None:
    """Every page that can be reached from the first one."""
    waiting, known = ["/", "/metrics"], set[str]()
    while waiting:
        path = waiting.pop()
        if path in known:
            continue
        known.add(path)
        answer = httpx.get(f"{world.url}{path}", trust_env=False)
        search.look(f"page {path}", answer.text)
        waiting += [link for link in re.findall(r'href="(/[^"]*)"', answer.text) if link.startswith("/")]
    assert sum(path.endswith("/log") for path in known) == 4


def _look_at_the_database(search: Search, world: World) -> None:
    """Every column of every row, bytes as they are; and what the server itself wrote down."""
    with world.plane.store.engine.connect() as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        for name in names:
            for row in connection.execute(select(text("*")).select_from(table(name))):
                for value in row:
                    kept = bytes(value) if isinstance(value, (bytes, memoryview)) else str(value)
                    search.look(f"table {name}", kept)
        folder = Path(connection.execute(text("SHOW data_directory")).scalar_one())
    for file in (*folder.glob("*.log"), *folder.glob("log/*")):
        search.look("the database's log", file.read_bytes())


def _look_at_files(search: Search, root: Path) -> None:
    """What is at rest once the runs are over: data folder, mirrors, workers' folders, what is left of workspaces."""
    files = [file for file in root.rglob("*") if file.is_file() and not file.is_relative_to(root / "github")]
    for file in files:
        search.look(f"file {file.relative_to(root)}", file.read_bytes())
    assert any("workspaces" in str(file) or "state" in str(file) for file in files)
