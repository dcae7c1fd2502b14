"""Secrets of stacks: set on the server, given to runs within their scope, and found nowhere else."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, table, text

from app.core.errors import UserError
from app.core.names import Secret
from app.core.run import RunState
from app.core.secret import read_scope
from tests.driver import World, open_world

CANARY = "canary-8f1d2c7b90-hush"
SECOND = "canary-second-44aa-hush"
STACKS = """
version: 1
stacks:
  - name: app
    project_root: app
    environment:
      PLAIN: visible
      TF_VAR_password: {secret: APP_PASSWORD}
      wo_WRITER: {secret: APP_WRITER}
      ro_READER: {secret: APP_WRITER}
"""
CODE = """
variable "password" {}
resource "terraform_data" "web" {
  input = var.password
  provisioner "local-exec" {
    command = "echo password=SAID writer=$WRITER reader=$READER; cat /proc/[0-9]*/cmdline > 'ARGV' 2>&1 || true"
  }
}
output "password" { value = var.password }
"""


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    """A world whose runs can write to this machine, so that a test sees what they see."""
    with open_world(tmp_path, database_url, ISOLATION="none") as made:
        yield made


def code(argv: Path, said: str) -> str:
    """A configuration that says its secrets aloud, and writes down every command line that it can see."""
    return CODE.replace("ARGV", str(argv)).replace("SAID", said)


def put(world: World, name: str, scope: str, value: str) -> None:
    """The operator sets a secret."""
    world.plane.secrets.set(name, read_scope(scope), Secret(value), "root (on the server)")


def everything_stored(world: World) -> str:
    """Every row of every table, as PostgreSQL writes it, with bytes in hex and as text."""
    told = []
    with world.plane.store.engine.connect() as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        assert "secrets" in names
        for name in names:
            told += [str(row) for row in connection.execute(select(text("*")).select_from(table(name)))]
    return "\n".join(told)


def test_a_secret_reaches_the_engine_and_is_found_nowhere_else(world: World) -> None:
    """Planted as a resource's input, an output and an echo: not in database, log, reports, pages, files, argv."""
    repo, argv = world.repository(), world.root / "argv"
    done = world.operate("secret", "set", "APP_PASSWORD", "--scope", "acme", stdin=CANARY + "\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "secret APP_PASSWORD of acme is set\n", "")
    put(world, "APP_WRITER", "acme", SECOND)
    files = {".trackside/stacks.yml": STACKS, "app/main.tf": code(argv, "$TF_VAR_password")}
    number, sha = world.land(repo, files, "First")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    assert plan.title == "+1 · outputs +1 · waiting for confirmation"
    planned = world.the_run()
    pages = [
        httpx.get(f"{world.url}{path}").text for path in ("/", f"/runs/{planned.id}", f"/stacks/{planned.stack_id}")
    ]
    world.comment(repo, number, "/trackside confirm app")
    run = world.expect_state(RunState.FINISHED)
    assert "password=*** writer=*** reader=\n" in world.log(run)
    pages += [httpx.get(f"{world.url}/runs/{run.id}{rest}").text for rest in ("", "/log", "/changes", "/attestation")]
    assert "TF_VAR_password" in pages[2]

    checks = [f"{one.title}{one.summary}{one.text}{one.annotations}" for one in repo.check_runs(sha, latest=False)]
    spoken = [*world.replies(repo, number), *world.remarks(repo, sha)]
    kept = [file.read_bytes() for file in (world.root / "data").rglob("*") if file.is_file()]
    lines = argv.read_bytes()
    assert b"terraform" in lines, "the command lines of the engine's processes were read"
    haystacks = [everything_stored(world), world.log(run), *pages, *checks, *spoken]
    for secret in (CANARY, SECOND):
        for place in haystacks:
            assert secret not in place
            assert secret.encode().hex() not in place
        for blob in (*kept, lines):
            assert secret.encode() not in blob
    assert world.sql("SELECT count(*) FROM run_secrets") == [(0,)], "what the plan was made with died with the run"


def test_the_nearest_scope_wins_and_the_digest_knows_the_name_alone(world: World) -> None:
    """Stack before repository before owner; a new value changes no digest, so what waits can still be confirmed."""
    code = 'resource "terraform_data" "web" {\n  provisioner "local-exec" { command = "printenv WHO > OUT" }\n}\n'
    out = world.root / "out"
    stacks = "version: 1\nstacks:\n  - {name: app, project_root: app, environment: {WHO: {secret: WHO}}}\n"
    repo = world.repository()
    put(world, "WHO", "acme", "the-owners-own")
    sha = world.push(repo, {".trackside/stacks.yml": stacks, "app/main.tf": code.replace("OUT", str(out))}, "First")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    put(world, "WHO", "acme/infra", "the-repositorys-own")
    put(world, "WHO", "acme/infra/app", "the-stacks-own")
    world.press(plan, "Confirm")
    world.expect_state(RunState.FINISHED)
    assert out.read_text() == "the-stacks-own\n"

    head, *listed = world.operate("secret", "list").stdout.splitlines()
    assert head.split() == ["NAME", "SCOPE", "SET", "BY"]
    assert sorted(line.split()[:2] for line in listed) == [
        ["WHO", "acme"],
        ["WHO", "acme/infra"],
        ["WHO", "acme/infra/app"],
    ]
    assert "own" not in "".join(listed)
    told = json.loads(world.operate("secret", "list", "--json").stdout)
    assert all(datetime.fromisoformat(one["updated_at"]).tzinfo for one in told)
    names = [(one["name"], one["scope"]) for one in told]
    assert ("WHO", "acme/infra/app") in names
    assert world.operate("secret", "delete", "WHO", "--scope", "acme/infra/app").returncode == 0
    commands = [str(row[0]) for row in world.sql("SELECT command FROM audit WHERE source = 'cli' ORDER BY id")]
    assert commands == [
        "secret set WHO --scope acme",
        "secret set WHO --scope acme/infra",
        "secret set WHO --scope acme/infra/app",
        "secret delete WHO --scope acme/infra/app",
    ]


def test_a_secret_of_another_scope_is_not_given_and_its_absence_says_what_to_do(world: World) -> None:
    """Another owner's or repository's secret is none; the run fails with its name and the command that sets it."""
    stacks = "version: 1\nstacks:\n  - {name: app, project_root: app, environment: {WHO: {secret: WHO}}}\n"
    repo = world.repository()
    other = world.repository({"a": "b"}, name="other")
    assert other.full_name == "acme/other"
    world.settle()
    put(world, "WHO", "acme/other", "not-for-infra")
    put(world, "WHO", "else", "of-another-owner")
    sha = world.push(repo, {".trackside/stacks.yml": stacks, "app/main.tf": "locals { a = 1 }\n"}, "First")
    world.expect_check(repo, sha, "deploy/app", "failure")
    run = world.expect_state(RunState.FAILED)
    assert run.reason.startswith("variable WHO is the secret WHO, and stack app has none of that name: set it")
    assert "`trackside secret set WHO --scope acme/infra/app`" in run.reason
    put(world, "WHO", "acme/infra/app", "of-the-stack-now")
    sha = world.push(repo, {"app/main.tf": "locals { a = 2 }\n"}, "Again")
    world.expect_check(repo, sha, "deploy/app", "success")


def test_a_rotated_variable_of_terraform_stays_hidden_while_its_plan_is_applied(world: World) -> None:
    """The plan keeps the value of then, and so do the eyes that keep it out of the apply's log."""
    repo, argv = world.repository(), world.root / "argv"
    put(world, "APP_PASSWORD", "acme", CANARY)
    put(world, "APP_WRITER", "acme", "an-older-writer")
    files = {".trackside/stacks.yml": STACKS, "app/main.tf": code(argv, "${var.password}")}
    sha = world.push(repo, files, "First")
    plan = world.expect_check(repo, sha, "deploy/app", "action_required")
    put(world, "APP_PASSWORD", "acme", "an-entirely-new-one")
    put(world, "APP_WRITER", "acme", SECOND)
    world.press(plan, "Confirm")
    run = world.expect_state(RunState.FINISHED)
    assert "password=*** writer=*** reader=\n" in world.log(run)
    assert CANARY not in world.log(run)


def test_what_cannot_be_kept_is_refused_with_the_way_on(world: World) -> None:
    """A bad name, a value too short to hide, a repository or stack that is not there: one line, exit code 1."""
    world.repository()
    for name, scope, value, said in (
        ("1ST", "acme", "long-enough", "use letters, digits and `_`"),
        ("PIN", "acme", "123", "fewer than 4 characters cannot be kept out of logs"),
        ("PIN", "acme/none", "12345", "the App has heard nothing of it yet"),
        ("PIN", "acme//app", "12345", "write OWNER, OWNER/REPO or OWNER/REPO/STACK"),
    ):
        with pytest.raises(UserError, match=re.escape(said)):
            put(world, name, scope, value)
    done = world.operate("secret", "delete", "PIN", "--scope", "acme")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("trackside: deleting secret PIN of acme: there is none; `trackside secret list`")
    assert world.sql("SELECT count(*) FROM secrets") == [(0,)]
