"""`trackside state`: people read, write and mend managed states, never beside a worker that writes too."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from app.cli import app
from app.core.errors import UserError
from app.core.managed import StateCaller, StateQuarantined
from app.core.names import AssignmentId, Secret, StackId
from app.core.protocol import Phase
from app.core.record import NewAssignment
from app.core.run import Run, RunState, Step, advance
from app.flows.state import States
from app.logs import set_up_logging
from tests.driver import World, wait_until

STACKS = "version: 1\nstacks:\n  - {name: app, project_root: app}\n  - {name: bare, project_root: bare}\n"
CODE = 'resource "terraform_data" "web" { input = "one" }\n'
MOVED = 'resource "terraform_data" "site" { input = "one" }\n'
FILES = {".trackside/stacks.yml": STACKS, "app/main.tf": CODE, "bare/README.md": "nothing yet\n"}


@pytest.fixture(autouse=True)
def logs_apart() -> Iterator[None]:
    """What the world logs goes to standard error, as it does in production: not among what commands print."""
    set_up_logging("error")
    yield
    structlog.reset_defaults()


def applied(world: World) -> Run:
    """The run of a stack with one resource, applied."""
    repo = world.repository()
    sha = world.push(repo, FILES, "First stacks")
    world.press(world.expect_check(repo, sha, "deploy/app", "action_required"), "Confirm")
    return world.expect_state(RunState.FINISHED, "app")


def typed(world: World, *words: str) -> Result:
    """What `trackside state …` does, in this process: it is typed many times here."""
    return CliRunner().invoke(app, ["state", *words], env=world.environ)


def said(world: World, *words: str) -> str:
    """What a command that went well prints."""
    done = typed(world, *words)
    assert done.exit_code == 0, f"{done.exception} {done.output}"
    return done.stdout


def listed(world: World, stack: str) -> list[dict[str, object]]:
    """The versions of a stack's state, as a program reads them."""
    found: list[dict[str, object]] = json.loads(said(world, "list", stack, "--json"))
    return found


def refusal(world: World, *words: str) -> str:
    """Why a command was refused."""
    done = typed(world, *words)
    assert isinstance(done.exception, UserError), done.output
    return str(done.exception)


def test_a_resource_is_moved_in_the_state_and_the_next_plan_has_nothing_to_do(world: World) -> None:
    """mv and rm are the engine's own; each makes a version, says what it did, and stands in the audit log."""
    stack = applied(world).stack_id
    told = said(world, "mv", stack, "terraform_data.web", "terraform_data.site")
    assert "Successfully moved 1 object(s)." in told
    assert "has state version" in told
    state = json.loads(said(world, "pull", stack))
    assert [one["name"] for one in state["resources"]] == ["site"]
    repo = world.github.repo("acme/infra")
    sha = world.push(repo, {"app/main.tf": MOVED}, "Renamed")
    assert world.expect_check(repo, sha, "deploy/app", "success").title == "no changes"

    assert "Removed terraform_data.site" in said(world, "rm", stack, "terraform_data.site")
    assert json.loads(said(world, "pull", stack))["resources"] == []
    head, *lines = said(world, "list", stack).splitlines()
    assert head.split()[0] == "VERSION"
    assert [line.split("by hand")[0] != line for line in lines] == [True, True] + [False] * (len(lines) - 2)
    assert [("current" in line) for line in lines] == [True] + [False] * (len(lines) - 1)
    older = lines[-1].split()[0]
    assert json.loads(said(world, "pull", stack, "--version", older))["resources"][0]["name"] == "web"
    audit = [str(row[0]) for row in world.sql("SELECT command FROM audit WHERE source = 'cli' ORDER BY id")]
    assert "state mv terraform_data.web terraform_data.site of app" in audit
    assert "state rm terraform_data.site of app" in audit
    assert f"state pull {older} of app" in audit

    no = refusal(world, "rm", stack, "terraform_data.nowhere")
    assert "No matching objects found" in no
    assert "[31m" not in no
    assert "CLI configuration" not in no
    assert "no address of a resource" in refusal(world, "rm", stack, "--", "-state=/etc/passwd")
    assert said(world, "list", stack).splitlines()[1:] == lines, "what was refused made no version"


def test_a_state_is_pushed_only_where_it_belongs(world: World, tmp_path: Any) -> None:
    """Garbage, another lineage, an older serial: refused with the way on; an existing state is brought in."""
    stack = applied(world).stack_id
    file = tmp_path / "mine.tfstate"
    state = json.loads(said(world, "pull", stack))

    def push(*more: str, **changes: object) -> tuple[str, ...]:
        file.write_text(json.dumps(state | changes))
        return ("push", stack, str(file), *more)

    assert "exactly this state already" in said_of_file(world, stack, file)
    for text in ("", "{", "[]", '{"serial": 1}', '{"serial": "x", "lineage": "y"}', '{"serial": -1, "lineage": "y"}'):
        file.write_text(text)
        assert refusal(world, "push", stack, str(file)).startswith("writing a state: "), text
    assert "another state; --force takes it anyway" in refusal(world, *push(serial=99, lineage="somebody-else"))
    assert "an older state; --force takes it anyway" in refusal(world, *push(serial=0))
    assert "an older state" in refusal(world, *push(outputs={"x": {"value": 1, "type": "number"}}))
    assert "has state version" in said(world, *push(serial=99))
    assert "has state version" in said(world, *push("--force", serial=5))
    assert "No such file" in refusal(world, "push", stack, str(tmp_path / "nowhere"))
    unknown = refusal(world, "push", "01ARZ3NDEKTSV4RRFFQ69G5FAV", str(file))
    assert unknown.startswith("looking up stack 01ARZ3NDEKTSV4RRFFQ69G5FAV: there is none; `trackside stacks` lists")

    ((bare,),) = world.sql("SELECT id FROM stacks WHERE name = 'bare'")
    assert "there is none yet" in refusal(world, "pull", str(bare))
    assert "has state version" in said(world, "push", str(bare), str(file))
    assert world.sql("SELECT state_mode FROM stacks WHERE name = 'bare'") == [("managed",)]


def said_of_file(world: World, stack: str, file: Any) -> str:
    """What pushing what was pulled says."""
    file.write_text(said(world, "pull", stack))
    return said(world, "push", stack, str(file))


def test_nothing_is_written_beside_a_worker_that_may_write(world: World, tmp_path: Any) -> None:
    """While a worker holds a run of the stack every write is refused, and says whom to wait for."""
    run = applied(world)
    file = tmp_path / "mine.tfstate"
    file.write_text(said(world, "pull", run.stack_id))
    world.close()
    repo = world.github.repo("acme/infra")
    world.push(repo, {"app/main.tf": MOVED}, "Another")
    next_run = world.wait_for(RunState.READY, "app")
    hold(world)
    for words in (("push", run.stack_id, str(file), "--force"), ("mv", run.stack_id, "a.b", "c.d")):
        told = refusal(world, *words)
        assert f"worker by-hand holds run {next_run.id}" in told or "changing the state" in told
    assert f"worker by-hand holds run {next_run.id} of the stack" in refusal(
        world, "push", run.stack_id, str(file), "--force"
    )
    assert len(listed(world, run.stack_id)) == len(world.sql("SELECT id FROM state_versions"))


def hold(world: World) -> None:
    """Take the ready run, as a worker does."""
    new = NewAssignment(
        id=AssignmentId("01JASSXGNMENT0000000000009"),
        worker="by-hand",
        pool="default",
        token_hash="t",
        state_token_hash=world.plane.vault.hash_token("state-password"),
        lease_s=600,
    )

    def is_taken() -> bool:
        with world.plane.store.begin() as tx:
            at = tx.now()
            claimed = tx.claim("default", new, lambda run: advance(run, Step.CLAIM, by="worker by-hand", at=at))
        return claimed is not None and claimed[1].phase is Phase.PLAN

    wait_until(is_taken, "the run is taken: a report may hold its row for a moment")


@pytest.mark.parametrize("verb", ["adopt", "drop"])
def test_what_a_lost_worker_wrote_is_adopted_or_dropped_by_a_person(world: World, verb: str) -> None:
    """A write that came too late is shown as kept apart; adopting makes it the state, dropping lets it go for good."""
    run = applied(world)
    before = json.loads(said(world, "pull", run.stack_id))
    ((assignment,),) = world.sql("SELECT id FROM assignments WHERE phase = 'apply'")
    late = json.dumps(before | {"serial": before["serial"] + 1, "outputs": {"late": {"value": 1, "type": "number"}}})
    with world.plane.store.begin() as tx:
        password = world.plane.vault.hash_token("state-password")
        words = "UPDATE assignments SET state_token_hash = %(password)s WHERE id = %(id)s"
        tx._connection.exec_driver_sql(words, {"password": password, "id": assignment})
    caller = StateCaller(
        stack_id=StackId(run.stack_id), assignment_id=AssignmentId(str(assignment)), password=Secret("state-password")
    )
    states = world.plane.doors.state
    assert isinstance(states, States)
    assert isinstance(states.write(caller, "", late.encode()), StateQuarantined)

    (apart,) = [line for line in said(world, "list", run.stack_id).splitlines() if "kept apart" in line]
    version = apart.split()[0]
    assert json.loads(said(world, "pull", run.stack_id)) == before
    assert json.loads(said(world, "pull", run.stack_id, "--version", version))["outputs"]
    told = said(world, verb, run.stack_id, version)
    after = json.loads(said(world, "pull", run.stack_id))
    assert "kept apart" not in said(world, "list", run.stack_id)
    if verb == "adopt":
        assert f"serial {before['serial'] + 1}" in told
        assert after["outputs"]["late"]
    else:
        assert told == f"version {version} of stack app, which was kept apart, is gone for good\n"
        assert after == before
    assert "none that was kept apart" in refusal(world, verb, run.stack_id, version)
    artifacts = [path for path in (world.root / "data" / "artifacts" / "state").rglob("*") if path.is_file()]
    assert len(artifacts) == len(listed(world, run.stack_id))
