"""Commits of forks: held back, unless a policy lets them be validated; never planned, never with anything of ours."""

import pytest

from app.core.errors import LeaseLost
from app.core.names import AssignmentId
from app.core.plan import PlanSummary
from app.core.protocol import (
    ApplyRequest,
    Outcome,
    Phase,
    PlanReport,
    ResultReport,
    Stage,
    StageReport,
)
from app.core.run import RunState
from app.sandbox import Repo
from tests.driver import World
from tests.worker.world import boxes

STACKS = """
version: 1
stacks:
  - name: app
    project_root: app
    environment: {TF_VAR_token: hush, ro_PLAN_ONLY: hush, KEY: {secret: NOBODY_HAS_SET_IT}}
    git: {submodules: true, lfs: true}
  - {name: net, project_root: net}
policies:
  - {name: pulls, type: push, path: pulls.rego, attach: [app]}
"""
ALLOWS = "package trackside\n\npropose if not is_null(input.pull_request)\n\nallow_fork := true\n"
RESOURCE = 'variable "token" { default = "none" }\nresource "terraform_data" "one" { input = var.token }\n'
WRONG = 'resource "terraform_data" "one" { input = var.nobody }\n'
REMOTE = 'terraform {\n  backend "http" { address = "http://127.0.0.1:9/state" }\n}\n'
NO_CHANGE = PlanSummary()
FILES = {".trackside/stacks.yml": STACKS, "app/main.tf": "# nothing yet\n", "net/main.tf": "# nothing yet\n"}


def forked(world: World, policy: str) -> tuple[Repo, Repo]:
    """The repository with its policy, and mallory's fork of it."""
    repo = world.repository(FILES | {"pulls.rego": policy})
    world.settle()
    repo.set_permission("mallory", "read")
    return repo, world.github.fork_repository(repo.full_name, "mallory")


def pushed(fork: Repo, text: str, message: str = "Mine") -> str:
    """Mallory pushes to the fork's main; the SHA."""
    return fork.push("main", files={"app/main.tf": text, "net/main.tf": text}, message=message, author="mallory")


def test_a_fork_starts_nothing_of_itself_and_the_commit_says_how_to_have_it_validated(world: World) -> None:
    """Nobody's branch runs on our workers because it is called main: not where no policy speaks, nor where one tracks
    all there is. The summary has the line that a writer can copy."""
    locks = 'lock := "mine" if not is_null(input.pull_request)\n'
    repo, fork = forked(world, f"package trackside\n\ntrack := true\n\nallow_fork := true\n\n{locks}")
    before = len(world.runs())
    head = pushed(fork, RESOURCE)
    repo.open_pull("mallory:main", title="Mine", author="mallory")
    assert world.decision(head, "app")[:2] == (
        "ignore",
        "policy pulls said track (line 3); nothing of a fork is tracked before it is merged",
    )
    verdict, reason, _ = world.decision(head, "net")
    assert verdict == "ignore"
    assert reason.endswith("comes from a fork: its commits are validated only where somebody allows it")
    assert len(world.runs()) == before
    assert world.sql("SELECT lock_key FROM stacks WHERE lock_key <> ''") == []
    summary = world.expect_check(repo, head, "trackside", "success")
    assert summary.title == "1 of 2 stacks held back: a fork's commit"
    assert f"`/trackside plan net --sha {head}`" in (summary.summary or "")


@boxes()
def test_a_policy_lets_a_fork_be_validated_and_it_gets_nothing_of_ours(world: World) -> None:
    """allow_fork: the commit is initialised without its backend (which is not there to be asked) and validated; no plan
    is made, nothing is stored, and the check says that it is not a plan."""
    repo, fork = forked(world, ALLOWS)
    head = pushed(fork, RESOURCE + REMOTE)
    repo.open_pull("mallory:main", title="Mine", author="mallory")
    check = world.expect_check(repo, head, "plan/app", "success")
    assert check.title == "validated, not planned"
    assert check.actions == []
    run = world.runs("app")[-1]
    assert (run.state, run.is_from_fork, run.plan) == (RunState.FINISHED, True, None)
    assert world.sql(f"SELECT count(*) FROM plans WHERE run_id = '{run.id}'") == [(0,)]  # noqa: S608 - our own id
    summary = world.expect_check(repo, head, "trackside", "success")
    assert summary.title == "1 of 2 stacks affected: 1 validated"
    assert f"`/trackside plan net --sha {head}`" in (summary.summary or "")


@boxes()
def test_a_fork_s_mistake_stands_on_its_commit_and_its_next_push_takes_the_place_of_the_last(world: World) -> None:
    """What is wrong with the configuration is said with its place; a newer commit is another question, asked anew."""
    repo, fork = forked(world, ALLOWS)
    head = pushed(fork, WRONG)
    repo.open_pull("mallory:main", title="Mine", author="mallory")
    check = world.expect_check(repo, head, "plan/app", "failure")
    assert check.title == "validation failed"
    assert "Reference to undeclared input variable (main.tf:1" in (check.summary or "")
    world.expect_check(repo, head, "trackside", "failure")
    second = pushed(fork, RESOURCE, "Mended")
    world.expect_check(repo, second, "plan/app", "success")


def test_a_worker_without_boxes_validates_nothing_of_a_fork(unboxed: World) -> None:
    """Whoever allows it: the check says what the operator has to do."""
    repo, fork = forked(unboxed, ALLOWS)
    head = pushed(fork, RESOURCE)
    repo.open_pull("mallory:main", title="Mine", author="mallory")
    check = unboxed.expect_check(repo, head, "plan/app", "failure")
    assert "a fork's commit is validated on isolated workers alone" in (check.summary or "")
    assert "── fetch" not in unboxed.log(unboxed.runs("app")[-1])


def test_the_assignment_of_a_fork_s_commit_brings_nothing_but_the_commit(world: World) -> None:
    """No variable, no state, no key, to any stage; what a worker says of a plan or an apply of it is refused."""
    repo, fork = forked(world, ALLOWS)
    world.push(
        repo, {".trackside/stacks.yml": STACKS.replace("root: app\n", "root: app\n    worker_pool: mine\n")}, "Pool"
    )
    world.settle()
    head = pushed(fork, RESOURCE)
    repo.open_pull("mallory:main", title="Mine", author="mallory")
    world.wait_carried_out()
    work = world.plane.doors.work
    given = world.take("mine")
    assert (given.phase, given.sha, given.environment) == (Phase.VALIDATE, head, {})
    assert (given.secret_names, given.redacted, given.oidc_token) == ((), (), "")
    assert (given.submodules, given.lfs) == (False, False)
    assert (given.state, given.state_mode, given.data_key) == (None, "", "")
    hold, token, fencing = AssignmentId(given.id), given.token, given.fencing
    for stage in Stage:
        report = StageReport(fencing=fencing, stage=stage, state_mode="managed")
        assert work.stage(hold, token, report).state is None
    plan = PlanReport(fencing=fencing, digest="a" * 64, engine="terraform 1.11.4", has_changes=True, summary=NO_CHANGE)
    with pytest.raises(LeaseLost, match="there to validate, not to plan"):
        work.report_plan(hold, token, plan)
    with pytest.raises(LeaseLost, match="there to validate, not to apply"):
        work.begin_apply(hold, token, ApplyRequest(fencing=fencing, digest="a" * 64, engine="terraform 1.11.4"))
    with pytest.raises(LeaseLost, match="there to validate, not to plan"):
        work.put_archive(hold, token, fencing, iter([b"workspace"]))
    with pytest.raises(LeaseLost, match="nothing of it was to be applied"):
        work.report_result(hold, token, ResultReport(fencing=fencing, outcome=Outcome.APPLIED))
    work.report_result(hold, token, ResultReport(fencing=fencing, outcome=Outcome.VALIDATED))
    assert world.runs("app")[-1].reason.startswith("validated, and not planned")
